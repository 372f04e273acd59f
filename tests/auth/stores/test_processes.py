"""Several processes on one file store, some of them killed."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve

from tallyfy_async import AmbiguousRefreshError, RefreshToken, Token
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.sandbox import Fault, Sandbox
from tests.auth.stores.disk import KEY, SEAL, TOO_LONG, file_store, token, worker
from tests.auth.stores.worker import token as written
from tests.faults.rig import connected, line_of, login, logins, refreshes, sent, served, stored, until

pytestmark = pytest.mark.anyio


async def expired_login(sandbox: Sandbox, store: FileStore) -> dict[str, Any]:
    """Log in aside and leave an expired record in the store; return how another process goes on with it."""
    async with connected(sandbox) as client:
        got = await client.tokens.get()
    assert got.refresh_token is not None
    known = sandbox.credentials
    auth: dict[str, Any] = {
        "client_id": known.client_id,
        "client_secret": known.client_secret,
        "refresh_token": got.refresh_token.reveal(),
    }
    line = line_of(RefreshToken(**auth), sandbox.url)
    assert await store.save(line, evolve(got, issued_at=got.issued_at - 100_000), expected=None)
    sandbox.stats.reset()
    return {"auth": auth, "url": sandbox.url}


async def record_of(store: FileStore, asked: dict[str, Any]) -> Token:
    return await stored(store, RefreshToken(**asked["auth"]), asked["url"])


async def released(store: FileStore, count: int, do: str, **asked: Any) -> list[dict[str, Any]]:
    """Start processes, let them go at once, and return what each said."""
    async with AsyncExitStack() as stack:
        with anyio.fail_after(TOO_LONG):
            workers = [await stack.enter_async_context(worker(store, do, **asked)) for _ in range(count)]
            for one in workers:
                assert (await one.hear())["state"] == "ready"
            for one in workers:
                await one.go()
            return [await one.hear() for one in workers]


@pytest.mark.parametrize("count", [2, 4])
async def test_row_27_processes_refresh_once_in_all(tmp_path: Path, count: int) -> None:
    store = file_store(tmp_path)
    with served() as sandbox:
        asked = await expired_login(sandbox, store)
        sandbox.faults.add(Fault(operation="create_token", delay_after=0.3))
        said = await released(store, count, "refresh", **asked)
        assert refreshes(sandbox) == 1
        assert sandbox.stats.token_total == 1
        assert sandbox.stats.reuses == sandbox.stats.presented_twice == 0
    assert [one["generation"] for one in said] == [2] * count
    assert len({one["access"] for one in said}) == 1
    assert sum(one["requests"] for one in said) == 1
    assert sum(one["adopted"] for one in said) == count - 1


async def test_row_27_several_lives_in_several_processes(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    with served() as sandbox:
        asked = await expired_login(sandbox, store)
        line = line_of(RefreshToken(**asked["auth"]), asked["url"])
        for life in (2, 3):
            said = await released(store, 2, "refresh", **asked)
            assert [one["generation"] for one in said] == [life] * 2
            assert refreshes(sandbox) == life - 1
            got = await record_of(store, asked)
            assert await store.save(line, evolve(got, issued_at=got.issued_at - 100_000), expected=life)
        assert sandbox.stats.reuses == sandbox.stats.presented_twice == 0


async def test_row_37_process_killed_between_reply_and_write(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    with served() as sandbox:
        asked = await expired_login(sandbox, store)
        sandbox.faults.add(Fault(operation="create_token", delay_after=3.0))
        async with worker(store, "refresh", **asked) as first:
            assert (await first.hear())["state"] == "ready"
            await first.go()
            await until(lambda: sandbox.token_lives == 2)
            assert await first.kill() == []
        assert (await record_of(store, asked)).presented, "the mark was written before the refresh token was sent"
        for _ in range(2):
            [said] = await released(store, 1, "refresh", **asked)
            assert said == {"error": "AmbiguousRefreshError", "requests": 0}
        auth = RefreshToken(**asked["auth"])
        async with connected(sandbox, auth, token_store=store) as here:
            with pytest.raises(AmbiguousRefreshError, match="may be spent"):
                await here.tokens.get()
        assert sent(sandbox, auth) == sandbox.stats.presented.total() == 1


async def test_row_37_a_password_logs_in_anew_after_the_kill(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    with served() as sandbox:
        auth = login(sandbox)
        async with connected(sandbox, token_store=store) as client:
            got = await client.tokens.get()
        line = line_of(auth, sandbox.url)
        killed = evolve(got, issued_at=got.issued_at - 100_000, presented=True)
        assert await store.save(line, killed, expected=got.generation)
        sandbox.stats.reset()
        async with connected(sandbox, token_store=store) as client:
            assert (await client.tokens.get()).generation == got.generation + 1
        assert (logins(sandbox), refreshes(sandbox)) == (1, 0)


async def test_row_67_a_process_in_another_time_zone(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    async with worker(store, "once", {"TZ": "Pacific/Kiritimati"}, key=KEY) as other:
        assert (await other.hear())["saved"]
    assert await store.load(KEY) == written(1)


async def test_row_96_killed_while_writing(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    for turn in range(6):
        async with worker(store, "write", key=KEY) as other:
            heard = await other.hear()
            await anyio.sleep(0.013 * turn)
            told = [heard, *await other.kill()][-1]["generation"]
        found = await store.load(KEY)
        assert found is not None
        assert found == written(found.generation), "both tokens and all else are of one generation"
        assert told <= found.generation <= told + 1, "what was told is there; what was not yet told may be"
    names = sorted(path.suffix for path in (tmp_path / "tokens").iterdir())
    assert len(names) <= 3, "nothing piles up"


async def test_row_96_killed_before_every_step_of_a_write(tmp_path: Path) -> None:
    stores = {step: FileStore(tmp_path / f"tokens{step}", keys=SEAL) for step in range(1, 30)}
    for store in stores.values():
        assert await store.save(KEY, written(1), expected=None)
    async with worker(file_store(tmp_path), "crash", key=KEY) as other:
        with anyio.fail_after(TOO_LONG):
            statuses = [one["status"] for one in await other.rest()]
    assert len(statuses) > 10
    assert statuses == [-9] * (len(statuses) - 1) + [0], "the last one ran to its end"
    seen: list[int] = []
    for step in range(1, len(statuses) + 1):
        found = await stores[step].load(KEY)
        assert found in (written(1), written(2)), "row 104: never the parts of two records"
        seen.append(found.generation)
        assert await stores[step].save(KEY, written(3), expected=found.generation), "nothing is in the next one's way"
        assert list(stores[step].path(KEY).parent.glob("*.tmp")) == []
    assert seen == sorted(seen), "the new record appears in one step and stays"
    assert set(seen) == {1, 2}


async def test_compare_and_set_between_processes_without_the_lock(tmp_path: Path) -> None:
    store, times = file_store(tmp_path), 60
    assert await store.save(KEY, token(1), expected=None)
    said = await released(store, 3, "race", key=KEY, times=times)
    found = await store.load(KEY)
    assert found is not None
    assert found.generation == 1 + sum(one["taken"] for one in said), "every write that was taken moved the line by one"
    assert sum(one["taken"] for one in said) >= times
