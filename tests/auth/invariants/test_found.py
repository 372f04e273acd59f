"""What the random schedules found, in its shortest form."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

from tallyfy_async import (
    AuthError,
    MemoryStore,
    ReauthenticationRequiredError,
    RequestTimeoutError,
    StoreError,
    Token,
)
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import DOWN, KEY, Server, holding, manager, record, resumed

pytestmark = pytest.mark.anyio
LEAST = 1.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


class Slow(MemoryStore):
    """A store whose writes take this many seconds of the clock."""

    def __init__(self, clock: ManualClock, seconds: float = 0.0) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        await self.clock.sleep(self.seconds)
        return await super().save(key, token, expected=expected)


class Troubled(MemoryStore):
    """A store whose lock is late, or whose writes fail, or which is emptied."""

    def __init__(self, clock: ManualClock, trouble: str) -> None:
        super().__init__()
        self.clock, self.trouble = clock, trouble

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None, None]:
        if self.trouble == "lock":
            await self.clock.sleep(9.5)
        async with super().lock(key):
            yield

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        if self.trouble == "save":
            raise StoreError("the store failed")
        return await super().save(key, token, expected=expected)

    def lose(self) -> None:
        self._records.clear()


@pytest.mark.parametrize("seconds", [9.5, 12.0])
async def test_refresh_token_is_not_sent_after_a_slow_mark(clock: ManualClock, server: Server, seconds: float) -> None:
    store = Slow(clock)
    await store.save(KEY, record(clock, 1, age=7200), expected=None)
    store.seconds = seconds
    tokens = manager(server, store, resumed())
    with suppress(AuthError, StoreError):
        await tokens.get()
    assert all(deadline >= LEAST for deadline in server.deadlines)
    store.seconds = 0.0
    assert (await tokens.get()).generation == 2
    assert server.resent == []


@pytest.mark.parametrize("trouble", ["lock", "save"])
async def test_first_trade_survives_a_store_in_trouble(clock: ManualClock, server: Server, trouble: str) -> None:
    """What was never written cannot have been lost, so the code or refresh token of a new login is still good."""
    store = Troubled(clock, trouble)
    tokens = manager(server, store, resumed())
    with pytest.raises(StoreError):
        await tokens.get()
    store.trouble = ""
    assert (await tokens.get()).generation == 1
    assert server.grants == ["refresh_token"]


async def test_first_trade_is_not_repeated_where_its_record_is_gone(clock: ManualClock, server: Server) -> None:
    store = Troubled(clock, "")
    server.accidents = [DOWN]
    tokens = manager(server, store, resumed())
    with pytest.raises(AuthError):
        await tokens.get()
    store.lose()
    with pytest.raises(ReauthenticationRequiredError, match="lost the record"):
        await tokens.get()
    assert len(server.received) == 1


async def test_replay_waits_for_a_renewal_with_time_to_hear(clock: ManualClock, server: Server) -> None:
    server.accidents, server.takes = [RequestTimeoutError("no answer in time")], 10.0
    tokens = manager(server, await holding(record(clock, 1, age=7200)), resumed(replay_refresh=True))
    with suppress(AuthError, StoreError):
        await tokens.get()
    assert all(deadline >= LEAST for deadline in server.deadlines)
    server.takes = 0.0
    assert (await tokens.get()).generation == 2
    assert server.resent == ["refresh-g1"]


@pytest.mark.parametrize("adopts", [True, False])
async def test_closing_waits_for_an_adoption(clock: ManualClock, server: Server, *, adopts: bool) -> None:
    clock.autojump = False
    store = Slow(clock, 3.0)
    tokens, closed = manager(server, store), anyio.Event()

    async def replace() -> None:
        await (tokens.adopt(record(clock, 1)) if adopts else tokens.forget())

    async def close() -> None:
        await tokens.aclose()
        closed.set()

    async with anyio.create_task_group() as group:
        group.start_soon(replace)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(close)
        await anyio.wait_all_tasks_blocked()
        assert not closed.is_set()
        clock.advance(3.1)
        await closed.wait()
    kept = await store.load(KEY)
    assert kept is not None
    assert kept.ended is not adopts


class View(MemoryStore):
    """What one process sees of a store that others share; one of its writes fails."""

    def __init__(self, records: dict[str, Token]) -> None:
        super().__init__()
        self._records = records
        self.writes_left = -1

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        self.writes_left -= 1
        if self.writes_left == 0:
            raise StoreError("disk full")
        return await super().save(key, token, expected=expected)


async def test_fresh_token_of_a_sibling_with_the_same_number_is_adopted(clock: ManualClock, server: Server) -> None:
    records: dict[str, Token] = {}
    view = View(records)
    ours, theirs = manager(server, view), manager(server, View(records))
    await ours.get()
    clock.advance(3600)
    view.writes_left = 2  # the mark is written, the new token is not
    assert (await ours.get()).generation == 2
    assert ours.statistics.unpersisted
    clock.advance(1800)
    fresh = await theirs.get()
    assert fresh.generation == 2
    clock.advance(1800)
    server.received.clear()
    assert await ours.get() == fresh
    assert server.received == []
