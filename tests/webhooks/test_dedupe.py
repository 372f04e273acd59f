"""The stores by one set of rules: memory, SQLite and a real Redis server."""

from __future__ import annotations

import math
import multiprocessing
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tallyfy_async import ClientClosedError, ConfigurationError, StoreCorruptError, StoreError, StoreLockTimeoutError
from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.webhooks import DedupeStore, MemoryDedupe, RedisDedupe, SQLiteDedupe, Verdict, dedupe_sqlite
from tests.redis_server import RedisServer, served_redis

pytestmark = pytest.mark.anyio

Wait = Callable[[float], Any]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with served_redis() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[tuple[Any, Wait]]:
    """A store, and what lets its time pass."""
    clock = ManualClock(autojump=False)

    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    if request.param == "redis":
        if anyio_backend == "trio":
            pytest.skip("redis.asyncio needs asyncio")
        server = request.getfixturevalue("redis")
        async with RedisDedupe(server.url, prefix=str(tmp_path)) as store:
            yield store, anyio.sleep
    elif request.param == "sqlite":
        async with SQLiteDedupe(tmp_path / "events.db", clock=clock) as store:
            yield store, advance
    else:
        yield MemoryDedupe(clock=clock), advance


async def claim(store: DedupeStore, owner: str = "a", order: int = 0, lease: float = 60.0, key: str = "k") -> Verdict:
    return await store.claim(key, owner, order=order, lease=lease)


async def test_an_event_is_handled_once(kept: tuple[Any, Wait]) -> None:
    store, _ = kept
    assert await claim(store) is Verdict.CLAIMED
    assert await claim(store) is Verdict.CLAIMED, "the same owner may ask again: its answer may have been lost"
    assert await claim(store, "b") is Verdict.BUSY
    assert await claim(store, "b", key="other") is Verdict.CLAIMED
    await store.done("k", "a", order=0)
    assert await claim(store, "b") is Verdict.DUPLICATE
    assert await claim(store) is Verdict.DUPLICATE
    await store.forget("k")
    assert await claim(store, "b") is Verdict.CLAIMED


async def test_a_failed_one_is_free_again(kept: tuple[Any, Wait]) -> None:
    store, _ = kept
    assert await claim(store) is Verdict.CLAIMED
    await store.release("k", "somebody")
    assert await claim(store, "b") is Verdict.BUSY
    await store.release("k", "a")
    await store.release("k", "a")
    assert await claim(store, "b") is Verdict.CLAIMED


async def test_the_claim_of_one_who_died_ends(kept: tuple[Any, Wait]) -> None:
    store, wait = kept
    assert await claim(store, lease=0.05) is Verdict.CLAIMED
    await wait(0.08)
    assert await claim(store, "b") is Verdict.CLAIMED
    await store.release("k", "a")
    assert await claim(store, "c") is Verdict.BUSY, "it is another's by now"
    await store.done("k", "a", order=0)
    assert await claim(store, "c") is Verdict.DUPLICATE, "it was handled, if late"


async def test_newer_and_older(kept: tuple[Any, Wait]) -> None:
    store, _ = kept
    assert await claim(store, order=10) is Verdict.CLAIMED
    assert await claim(store, "b", order=9) is Verdict.BUSY
    assert await claim(store, "b", order=11) is Verdict.WAIT
    await store.done("k", "a", order=10)
    assert await claim(store, "b", order=9) is Verdict.STALE
    assert await claim(store, "b", order=10) is Verdict.DUPLICATE
    assert await claim(store, "b", order=11) is Verdict.CLAIMED
    await store.release("k", "b")
    assert await claim(store, "c", order=10) is Verdict.DUPLICATE, "the failure of a newer one forgets no older one"
    assert await claim(store, "c", order=11) is Verdict.CLAIMED
    await store.done("k", "c", order=11)
    await store.done("k", "a", order=10)
    assert await claim(store, "d", order=11) is Verdict.DUPLICATE


async def test_of_many_at_once_one_has_it(kept: tuple[Any, Wait]) -> None:
    store, _ = kept
    verdicts: list[Verdict] = []

    async def one(number: int) -> None:
        verdicts.append(await claim(store, str(number)))

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(one, number)
    assert sorted(verdict.value for verdict in verdicts) == ["busy"] * 39 + ["claimed"]


async def test_what_was_handled_is_forgotten_in_the_end(tmp_path: Path) -> None:
    clock = ManualClock(autojump=False)
    async with SQLiteDedupe(tmp_path / "e.db", keep=100.0, clock=clock) as sqlite:
        stores: list[Any] = [MemoryDedupe(keep=100.0, clock=clock), sqlite]
        for store in stores:
            await claim(store)
            await store.done("k", "a", order=0)
        clock.advance(99)
        assert [await claim(store, "b") for store in stores] == [Verdict.DUPLICATE] * 2
        clock.advance(2)
        assert [await claim(store, "b") for store in stores] == [Verdict.CLAIMED] * 2


async def test_redis_forgets_by_itself(redis: RedisServer, anyio_backend: str) -> None:
    if anyio_backend == "trio":
        with pytest.raises(ConfigurationError, match="SQLiteDedupe under trio"):
            await claim(RedisDedupe(redis.url))
        return
    async with RedisDedupe(redis.url, prefix="p", keep=500.0) as store:
        await claim(store, key="claimed", lease=50.0)
        await claim(store, key="handled")
        await store.done("handled", "a", order=0)
        await claim(store, "b", order=5, lease=50.0, key="handled")
        with redis.admin() as admin:
            assert 40 < admin.ttl("p:claimed") <= 50
            assert 400 < admin.ttl("p:handled") <= 500


async def test_memory_is_bounded(anyio_backend: str) -> None:
    clock = ManualClock(autojump=False)
    store = MemoryDedupe(most=10, clock=clock)
    await claim(store, key="in hand", lease=1_000.0)
    for number in range(100):
        await claim(store, key=str(number))
        await store.done(str(number), "a", order=0)
    assert len(store) <= 11
    assert await claim(store, "b", key="in hand") is Verdict.BUSY
    assert await claim(store, "b", key="99") is Verdict.DUPLICATE
    assert await claim(store, "b", key="0") is Verdict.CLAIMED


async def test_sqlite_outlives_the_store_and_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, clock = tmp_path / "e.db", ManualClock(autojump=False)
    async with SQLiteDedupe(path, keep=100.0, clock=clock) as store:
        for number in range(5):
            await claim(store, key=str(number))
            await store.done(str(number), "a", order=0)
    with pytest.raises(ClientClosedError):
        await claim(store)
    async with SQLiteDedupe(str(path), keep=100.0, clock=clock) as store:
        assert await claim(store, "b", key="3") is Verdict.DUPLICATE
    monkeypatch.setattr(dedupe_sqlite, "_PURGE_EACH", 1.5)
    clock.advance(101)
    async with SQLiteDedupe(path, clock=clock) as store:
        await claim(store, key="new")
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT key FROM tallyfy_events").fetchall() == [("new",)]
    database.close()


def storm(path: str, barrier: Any, won: Any) -> None:
    async def main() -> None:
        async with SQLiteDedupe(path) as store:
            barrier.wait()
            for number in range(50):
                if await claim(store, str(id(won)) + str(number), key=str(number)) is Verdict.CLAIMED:
                    await store.done(str(number), "x", order=0)
                    won.put(number)

    anyio.run(main)


def test_processes_share_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(3), context.Queue()
    workers = [context.Process(target=storm, args=(str(tmp_path / "e.db"), barrier, won)) for _ in range(3)]
    for worker in workers:
        worker.start()
    numbers = [won.get(timeout=60) for _ in range(50)]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert sorted(numbers) == list(range(50))
    assert won.empty()


async def test_files_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no.db").write_bytes(b"no database, but long enough to be looked at as one" * 100)
    async with SQLiteDedupe(tmp_path / "no.db") as store:
        with pytest.raises(StoreCorruptError, match=r"no\.db"):
            await claim(store)
    async with SQLiteDedupe(tmp_path / "missing" / "e.db") as store:
        with pytest.raises(StoreError):
            await claim(store)
    monkeypatch.setattr(dedupe_sqlite, "_PATIENCE", 0.01)
    other = sqlite3.connect(tmp_path / "e.db", isolation_level=None)
    async with SQLiteDedupe(tmp_path / "e.db") as store:
        await claim(store)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLockTimeoutError):
            await claim(store, "b")
        other.execute("ROLLBACK")
        assert await claim(store, "b") is Verdict.BUSY
    other.close()


async def test_a_file_that_is_locked_takes_no_thread_of_the_program(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "e.db", isolation_level=None)
    async with SQLiteDedupe(tmp_path / "e.db") as store:
        await claim(store)
        other.execute("BEGIN IMMEDIATE")
        free = anyio.to_thread.current_default_thread_limiter()
        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(claim, store, "b", 0, 60.0, str(number))
            await anyio.sleep(0.01)
            assert free.borrowed_tokens == 0
            assert await anyio.to_thread.run_sync(lambda: 7) == 7
            other.execute("ROLLBACK")
        assert await claim(store, "c", key="59") is Verdict.BUSY
    other.close()


async def test_more_events_at_once_than_connections(anyio_backend: str, redis: RedisServer) -> None:
    if anyio_backend == "trio":
        pytest.skip("redis.asyncio needs asyncio")
    verdicts: list[Verdict] = []

    async def one(store: RedisDedupe, number: int) -> None:
        verdicts.append(await claim(store, key=f"many {number}"))

    async with RedisDedupe(f"{redis.url}?max_connections=2") as store, anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, store, number)
    assert verdicts == [Verdict.CLAIMED] * 20


async def test_a_redis_server_that_is_away(anyio_backend: str) -> None:
    if anyio_backend == "trio":
        pytest.skip("redis.asyncio needs asyncio")
    async with RedisDedupe("redis://:p4ss@127.0.0.1:1/0") as store:
        with pytest.raises(StoreError) as caught:
            await claim(store)
        assert "p4ss" not in str(caught.value)
        assert "p4ss" not in repr(store)


@pytest.mark.parametrize("keep", [0, -1, math.inf, math.nan])
def test_arguments_that_cannot_work(keep: float, tmp_path: Path) -> None:
    for make in (MemoryDedupe, lambda keep: SQLiteDedupe(tmp_path / "e", keep=keep)):
        with pytest.raises(ConfigurationError):
            make(keep=keep)
    with pytest.raises(ConfigurationError):
        MemoryDedupe(most=0)
    with pytest.raises(ConfigurationError):
        RedisDedupe("redis://x", keep=keep)
    with pytest.raises(ConfigurationError):
        RedisDedupe("http://x")
