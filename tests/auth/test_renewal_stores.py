"""A renewal over stores that fail, are slow, or are written by others."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from tallyfy_async import (
    AmbiguousRefreshError,
    MemoryStore,
    ReauthenticationRequiredError,
    RequestTimeoutError,
    StoreError,
    StoreLockTimeoutError,
    Token,
)
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import KEY, LOGIN, Server, crowd, holding, manager, record, resumed

pytestmark = pytest.mark.anyio
DEAD = (400, {"error": "invalid_grant"})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


class Unlocked(MemoryStore):
    """A store whose lock others do not respect: ``rival`` is written while the request is under way."""

    def __init__(self, rival: Token, at: int) -> None:
        super().__init__()
        self.rival, self.at, self.saves = rival, at, 0

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        self.saves += 1
        if self.saves == self.at:
            self._records[key] = self.rival
        return await super().save(key, token, expected=expected)


async def test_sibling_without_a_lock_is_adopted_before_sending(clock: ManualClock, server: Server) -> None:
    store = Unlocked(record(clock, 5), at=2)
    await store.save(KEY, record(clock, 1, age=3600), expected=None)
    assert (await manager(server, store, resumed()).get()).generation == 5
    assert server.received == []


async def test_changed_record_that_is_no_help_is_an_error_before_sending(clock: ManualClock, server: Server) -> None:
    store = Unlocked(record(clock, 5, age=3600), at=2)
    await store.save(KEY, record(clock, 1, age=3600), expected=None)
    tokens = manager(server, store, resumed())
    with pytest.raises(StoreError, match="nothing was sent"):
        await tokens.get()
    assert server.received == []
    assert (await tokens.get()).generation == 6


async def test_sibling_who_won_is_adopted_after_a_dead_answer(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.gate, server.accidents = anyio.Event(), [DEAD]
    tokens = manager(server, store, resumed())
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        assert await store.save(KEY, record(clock, 2), expected=1)
        server.gate.set()
    assert tokens.peek() == record(clock, 2)
    assert await store.load(KEY) == record(clock, 2)
    assert len(server.received) == 1


async def test_newer_record_is_never_overwritten(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.gate = anyio.Event()
    tokens = manager(server, store)
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        assert await store.save(KEY, record(clock, 9), expected=1)
        server.gate.set()
    assert await store.load(KEY) == record(clock, 9)
    assert await tokens.get() == record(clock, 9)
    assert not tokens.statistics.unpersisted


class Failing(MemoryStore):
    """A store whose writes fail from the ``at``-th on."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at - 1

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        if not self.left:
            raise StoreError("disk full")
        self.left -= 1
        return await super().save(key, token, expected=expected)


async def test_token_that_cannot_be_written_is_used(clock: ManualClock, server: Server) -> None:
    tokens = manager(server, Failing(at=1))
    assert (await tokens.get()).generation == 1
    assert tokens.peek() is not None
    assert tokens.statistics.unpersisted


async def test_refresh_token_is_not_sent_where_the_mark_cannot_be_written(clock: ManualClock, server: Server) -> None:
    store = Failing(at=2)
    await store.save(KEY, record(clock, 1, age=3600), expected=None)
    with pytest.raises(StoreError, match="disk full"):
        await manager(server, store).get()
    assert server.received == []


async def test_rotated_token_survives_a_failing_write(clock: ManualClock, server: Server) -> None:
    store = Failing(at=3)
    await store.save(KEY, record(clock, 1, age=3600), expected=None)
    tokens = manager(server, store, resumed())
    assert (await tokens.get()).generation == 2
    clock.advance(3600)
    store.left = 99
    assert (await tokens.get()).generation == 3
    assert server.resent == []
    assert not tokens.statistics.unpersisted


class Stuck(MemoryStore):
    """A store whose lock is taken for ``seconds`` of the clock by somebody else."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None, None]:
        await self.clock.sleep(self.seconds)
        async with super().lock(key):
            yield


@pytest.mark.parametrize("seconds", [9.5, 15.0, 1e6])
async def test_lock_that_comes_too_late_sends_nothing(clock: ManualClock, server: Server, seconds: float) -> None:
    store = Stuck(clock, seconds)
    await store.save(KEY, record(clock, 1, age=7200), expected=None)
    with pytest.raises(StoreLockTimeoutError):
        await manager(server, store).get()
    assert server.received == []
    assert clock.monotonic() <= 20


async def test_lock_that_comes_late_leaves_the_rest_of_the_time(clock: ManualClock, server: Server) -> None:
    store = Stuck(clock, 6.0)
    await store.save(KEY, record(clock, 1, age=7200), expected=None)
    assert (await manager(server, store).get()).generation == 2
    assert server.deadlines == [pytest.approx(4.0)]


async def test_lock_that_comes_too_late_still_adopts(clock: ManualClock, server: Server) -> None:
    store = Stuck(clock, 9.9)
    await store.save(KEY, record(clock, 1), expected=None)
    assert (await manager(server, store).get()).generation == 1


class Slow(MemoryStore):
    """A store that takes its time, in seconds of the clock, for reading and for each write."""

    def __init__(self, clock: ManualClock, reading: float, *writing: float) -> None:
        super().__init__()
        self.clock, self.reading, self.writing = clock, reading, list(writing)

    async def load(self, key: str) -> Token | None:
        await self.clock.sleep(self.reading)
        return await super().load(key)

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        await self.clock.sleep(self.writing.pop(0))
        return await super().save(key, token, expected=expected)


async def test_time_limit_does_not_cut_the_write_of_a_rotated_token(clock: ManualClock, server: Server) -> None:
    store = Slow(clock, 1.0, 0.0, 7.0, 4.0)
    await store.save(KEY, record(clock, 1, age=7200), expected=None)
    server.takes = 9.0
    token = await manager(server, store).get()
    assert clock.monotonic() > 20, "the limit of the renewal ended during the write"
    assert store._records[KEY] == token
    assert token.generation == 2


async def test_write_that_hangs_is_given_up(clock: ManualClock, server: Server) -> None:
    tokens = manager(server, Slow(clock, 0.0, 1e6))
    assert (await tokens.get()).generation == 1
    assert tokens.statistics.unpersisted
    assert clock.monotonic() == pytest.approx(5.0)


class Sluggish(MemoryStore):
    """A store that takes a while for each write."""

    seconds = 0.0

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        await self.clock.sleep(self.seconds)
        return await super().save(key, token, expected=expected)


@pytest.mark.parametrize("seconds", [9.5, 12.0])
async def test_nothing_is_sent_when_the_mark_took_all_the_time(
    clock: ManualClock, server: Server, seconds: float
) -> None:
    store = Sluggish(clock)
    await store.save(KEY, record(clock, 1, age=7200), expected=None)
    store.seconds = seconds
    tokens = manager(server, store, resumed())
    with pytest.raises(StoreError):
        await tokens.get()
    assert server.received == []
    store.seconds = 0.0
    assert (await tokens.get()).generation == 2


async def test_replay_waits_for_a_renewal_that_has_time(clock: ManualClock, server: Server) -> None:
    server.takes = 10.0
    server.accidents = [RequestTimeoutError("no answer in time")]
    tokens = manager(server, await holding(record(clock, 1, age=7200)), resumed(replay_refresh=True))
    with pytest.raises(AmbiguousRefreshError):
        await tokens.get()
    assert len(server.received) == 1
    server.takes = 0.0
    assert (await tokens.get()).generation == 2
    assert len(server.received) == 2


async def test_closing_waits_for_an_adoption(server: Server) -> None:
    clock = ManualClock(autojump=False)
    store, closed = Sluggish(clock), anyio.Event()
    store.seconds = 3.0
    tokens = manager(Server(clock), store)

    async def close() -> None:
        await tokens.aclose()
        closed.set()

    async with anyio.create_task_group() as group:
        group.start_soon(tokens.adopt, record(clock, 1))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(close)
        await anyio.wait_all_tasks_blocked()
        assert not closed.is_set()
        clock.advance(3.1)
    assert closed.is_set()
    assert await store.load(KEY) is not None


async def test_row_28_sibling_rotated_long_ago(clock: ManualClock, server: Server) -> None:
    """Our copy in memory is older than the store: it is read again before anything is sent."""
    store = await holding(record(clock, 1))
    idle, busy = manager(server, store, resumed()), manager(server, store, resumed())
    assert (await idle.get()).generation == 1
    for _ in range(3):
        clock.advance(3600)
        await busy.get()
    assert server.grants == ["refresh_token"] * 3
    assert (await idle.get()).generation == 4
    assert server.grants == ["refresh_token"] * 3
    assert (server.resent, idle.statistics.adopted) == ([], 2)


async def test_sibling_s_token_of_the_same_number_is_taken(clock: ManualClock, server: Server) -> None:
    """Ours could not be written, so theirs has its number: a stale one does not condemn the other."""
    store = Failing(at=2)
    ours, theirs = manager(server, store), manager(server, store)
    await store.save(KEY, record(clock, 1, age=7200, refresh_token=None), expected=None)
    store.left = 0
    mine = await ours.get()
    assert (mine.generation, ours.statistics.unpersisted) == (2, True)
    clock.advance(1800)
    store.left = 99
    fresh = await theirs.get()
    assert (fresh.generation, fresh == mine) == (2, False)
    clock.advance(1800)
    server.received.clear()
    assert await ours.get() == fresh
    assert await ours.rejected(mine) == fresh
    assert server.received == []


async def test_row_34_emptied_store_sends_no_refresh_token(clock: ManualClock, server: Server) -> None:
    """A sibling may have traded it in: only a login of one's own helps."""
    for grant, kinds in ((resumed(), []), (LOGIN, ["password"])):
        store = await holding(record(clock, 1))
        tokens = manager(server, store, grant)
        await tokens.get()
        store._records.clear()
        clock.advance(3570)
        seen = {one.generation for one in await crowd(tokens.get, 3)}
        assert seen == ({1, 2} if grant is LOGIN else {1}), "good for some seconds still"
        clock.advance(60)
        if grant is not LOGIN:
            with pytest.raises(ReauthenticationRequiredError, match="lost the record"):
                await tokens.get()
        assert server.grants == kinds
        server.received.clear()


async def test_row_34_result_that_meets_an_emptied_store_is_written(clock: ManualClock, server: Server) -> None:
    """Our own answer is the newest there can be: it was marked and rotated under the lock."""
    store = await holding(record(clock, 1, age=3600))
    server.gate = anyio.Event()
    tokens = manager(server, store, resumed())
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        store._records.clear()
        server.gate.set()
    assert await store.load(KEY) == await tokens.get()
    assert (tokens.statistics.unpersisted, server.grants) == (False, ["refresh_token"])
