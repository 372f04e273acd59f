"""Leases on a real server, cancelled waiters, and the fences that hold when a lease ends early."""

from __future__ import annotations

import random
from collections import Counter

import anyio
import anyio.lowlevel
import pytest

from tallyfy_async.auth.stores.redis import RedisStore
from tests.auth.stores.redis.rig import LINE, drop_locks, everything, is_locked, names, opened, token
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio
TOO_LONG = 30.0


async def test_many_lines_at_once_do_not_exhaust_the_connections(server: RedisServer) -> None:
    async with opened(server) as store, anyio.create_task_group() as group:

        async def work(key: str) -> None:
            async with store.lock(key):
                assert await store.save(key, token(), expected=await store.load(key) and 1)

        for number in range(300):
            group.start_soon(work, str(number))
    assert len(names(server, "token")) == 300
    assert names(server, "lock") == []


async def test_lock_excludes_between_stores_and_by_key(server: RedisServer) -> None:
    inside: list[str] = []
    most: Counter[str] = Counter()

    async def work(store: RedisStore, key: str) -> None:
        async with store.lock(key):
            inside.append(key)
            most[key] = max(most[key], inside.count(key))
            most["all"] = max(most["all"], len(inside))
            await anyio.sleep(0.01)
            inside.remove(key)

    async with opened(server) as one, opened(server) as two, anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(work, one if number % 4 < 2 else two, "ab"[number % 2])
    assert most == {"a": 1, "b": 1, "all": 2}
    assert names(server, "lock") == []


async def test_lock_is_a_lease_with_a_random_owner(server: RedisServer) -> None:
    owners: set[bytes] = set()
    async with opened(server, lease=25) as store:
        for _ in range(20):
            async with store.lock(LINE):
                with server.admin() as admin:
                    (name,) = names(server, "lock")
                    owners.add(admin.get(name))
                    assert 20_000 < admin.pttl(name) <= 25_000
    assert len(owners) == 20
    assert {len(owner) for owner in owners} == {32}


async def test_errors_under_the_lock_release_it(server: RedisServer) -> None:
    async with opened(server) as store:
        with pytest.raises(LookupError):
            async with store.lock(LINE):
                raise LookupError
        assert names(server, "lock") == []


@pytest.mark.parametrize("native", [True, False], ids=["task.cancel", "cancel scope"])
async def test_row_26_redis_lock_that_comes_late_is_released(server: RedisServer, native: bool) -> None:
    import asyncio

    entered: list[bool] = []
    scope = anyio.CancelScope()

    async def wait(store: RedisStore) -> None:
        with scope:
            async with store.lock(LINE):
                entered.append(True)

    async with opened(server) as store:
        assert await store.load(LINE) is None  # connects, so that nothing but the lock is on its way
        server.pause()
        task = asyncio.get_running_loop().create_task(wait(store))
        await anyio.sleep(0.05)
        task.cancel() if native else scope.cancel()
        await anyio.sleep(0.05)
        assert not task.done(), "the attempt is heard out, or it would lock after the release"
        server.resume()
        with anyio.fail_after(TOO_LONG):
            await asyncio.wait([task])
        assert task.cancelled() is native
        assert names(server, "lock") == []
        with anyio.fail_after(TOO_LONG):
            async with store.lock(LINE):
                assert entered == []


@pytest.mark.parametrize("native", [True, False], ids=["task.cancel", "cancel scope"])
async def test_row_26_redis_attempt_is_heard_out(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    """Cut, it would reach the server all the same, and maybe behind the command that releases."""
    import asyncio

    begun, go_on = anyio.Event(), anyio.Event()
    heard: list[object] = []
    scope = anyio.CancelScope()

    async def wait(store: RedisStore) -> None:
        with scope:
            async with store.lock(LINE):
                raise AssertionError

    async with opened(server) as store:
        acquire = store._server.acquire

        async def slowly(*arguments):
            begun.set()
            await go_on.wait()
            heard.append(await acquire(*arguments))
            assert len(names(server, "lock")) == 1
            return heard[0]

        monkeypatch.setattr(store._server, "acquire", slowly)
        task = asyncio.get_running_loop().create_task(wait(store))
        await begun.wait()
        task.cancel() if native else scope.cancel()
        await anyio.wait_all_tasks_blocked()
        go_on.set()
        with anyio.fail_after(TOO_LONG):
            await asyncio.wait([task])
        assert heard == [True]
        assert task.cancelled() is native
        assert names(server, "lock") == []


async def test_row_26_redis_waiter_that_is_cancelled_leaves_the_holders_lock(server: RedisServer) -> None:
    async with opened(server) as store, opened(server) as other, store.lock(LINE):
        held = everything(server)
        with anyio.move_on_after(0.1) as scope:
            async with other.lock(LINE):
                raise AssertionError
        assert scope.cancelled_caught
        assert everything(server) == held


async def test_lost_answer_to_an_attempt_does_not_shut_its_owner_out(server: RedisServer) -> None:
    async with opened(server) as store:
        assert await store._server.acquire("a-lock", "me", 30) is True
        assert await store._server.acquire("a-lock", "me", 30) is True
        assert await store._server.acquire("a-lock", "you", 30, ["them"]) is False
        assert await store._server.acquire("a-lock", "me again", 30, ["them", "me"]) is True
        assert await store._server.acquire("a-lock", "me", 30) is False
        assert await store._server.release("a-lock", "you") is False
        assert await store._server.release("a-lock", "me") is False
        assert await store._server.release("a-lock", "me again") is True


async def test_write_that_is_sent_again_is_not_refused(server: RedisServer) -> None:
    async with opened(server) as store:
        for _ in range(2):
            assert await store._server.write("a-record", 7, b"sealed", None, None) is True
        assert await store._server.write("a-record", 7, b"other", None, None) is False


async def test_row_32_owner_does_not_delete_the_next_owners_lock(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server) as late, opened(server) as next_one, opened(server) as third:
        async with anyio.create_task_group() as group:
            left, gone = anyio.Event(), anyio.Event()

            async def hold() -> None:
                async with late.lock(LINE):
                    drop_locks(server)
                    left.set()
                    await gone.wait()

            group.start_soon(hold)
            await left.wait()
            async with next_one.lock(LINE):
                held = everything(server)
                gone.set()
                while late._leases:  # noqa: ASYNC110 - until the late one has left
                    await anyio.sleep(0.01)
                await anyio.sleep(0.05)
                assert everything(server) == held
                with anyio.move_on_after(0.1) as scope:
                    async with third.lock(LINE):
                        raise AssertionError
                assert scope.cancelled_caught
        assert "ended before the work under it did" in caplog.text
        assert names(server, "lock") == []


async def test_row_33_late_writer_does_not_overwrite_a_newer_record(server: RedisServer) -> None:
    async with opened(server) as slow, opened(server) as quick:
        await slow.save(LINE, token(1), expected=None)
        async with slow.lock(LINE):
            assert await slow.load(LINE) == token(1)
            assert await slow.save(LINE, token(1, presented=True), expected=1)
            drop_locks(server)  # the lease ends while the answer is on its way
            async with quick.lock(LINE):
                assert await quick.load(LINE) == token(1, presented=True)
                assert await quick.save(LINE, token(2, access_token="quick"), expected=1)
            assert not await slow.save(LINE, token(2, access_token="slow"), expected=1)
            assert not await slow.save(LINE, token(1), expected=1)
        assert await quick.load(LINE) == token(2, access_token="quick")


async def test_row_33_mark_of_a_paused_owner_is_refused(server: RedisServer) -> None:
    async with opened(server) as paused, opened(server) as quick:
        await paused.save(LINE, token(1), expected=None)
        async with paused.lock(LINE):
            assert await paused.load(LINE) == token(1)
            drop_locks(server)
            async with quick.lock(LINE):
                assert await quick.load(LINE) == token(1)
                assert await quick.save(LINE, token(1, presented=True), expected=1)
                marked = everything(server)
                assert not await paused.save(LINE, token(1, presented=True), expected=1), "it would send the token too"
                assert everything(server) == marked
                assert await quick.save(LINE, token(1), expected=1)


async def test_row_31_no_token_is_presented_twice_however_leases_end(server: RedisServer) -> None:
    """Renewals as the manager does them, on stores whose locks vanish at random."""
    rng, presented = random.Random(31), Counter[str]()

    async def renew(store: RedisStore) -> None:
        async with store.lock(LINE):
            held = await store.load(LINE)
            assert held is not None
            assert held.refresh_token is not None
            if rng.random() < 0.4:
                drop_locks(server)
            await anyio.sleep(rng.random() / 500)
            if held.presented or not await store.save(LINE, held.mark(presented=True), expected=held.generation):
                return
            presented[held.refresh_token.reveal()] += 1
            await anyio.sleep(rng.random() / 500)
            assert await store.save(LINE, token(held.generation + 1), expected=held.generation)

    async def work(store: RedisStore) -> None:
        for _ in range(15):
            await renew(store)

    async with opened(server) as seed:
        await seed.save(LINE, token(1), expected=None)
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(work_in_its_own_store, server, work)
        last = await seed.load(LINE)
    assert last is not None
    assert set(presented.values()) == {1}
    assert last.generation == len(presented) + 1 > 10


async def work_in_its_own_store(server: RedisServer, work) -> None:
    async with opened(server) as store:
        await work(store)


async def test_waiters_take_turns_without_a_thundering_poll(server: RedisServer) -> None:
    """However many of one process wait, one of them asks the server."""
    async with opened(server) as holder, opened(server) as store, anyio.create_task_group() as group:

        async def wait() -> None:
            async with store.lock(LINE):
                await anyio.lowlevel.checkpoint()

        async with holder.lock(LINE):
            await is_locked(server)
            with server.admin() as admin:
                before = admin.info("commandstats")["cmdstat_evalsha"]["calls"]
                for _ in range(100):
                    group.start_soon(wait)
                await anyio.sleep(0.3)
                asked = admin.info("commandstats")["cmdstat_evalsha"]["calls"] - before
        assert 1 <= asked < 30
