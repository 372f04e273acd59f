"""What cancellation, hooks and closing do to a manager."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tallyfy_async import (
    ClientClosedError,
    Hooks,
    MemoryStore,
    StoreLockTimeoutError,
    TokenRecord,
    TokenRequestError,
)
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import DOWN, KEY, Server, aged, crowd, manager, record

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


def _native() -> bool:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _cut(work: Callable[[], Coroutine[Any, Any, Any]], release: Callable[[], None], *, native: bool) -> None:
    """Cancel ``work`` while it waits, then ``release`` what it waits for."""
    if native:
        import asyncio

        task = asyncio.ensure_future(work())
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            task.cancel()
            await anyio.lowlevel.checkpoint()
        release()
        with pytest.raises(asyncio.CancelledError):
            await task
        return
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        release()


@pytest.mark.parametrize("native", [False, True])
async def test_cancelled_leader_loses_nothing(server: Server, *, native: bool) -> None:
    if native and not _native():
        return
    store = MemoryStore()
    tokens = await aged(server, 3600, store=store)
    server.gate = anyio.Event()
    await _cut(tokens.get, server.gate.set, native=native)
    current = tokens.peek()
    assert current is not None
    assert current.generation == 2
    assert await store.load(KEY) == current
    assert server.grants == ["refresh_token"]


@pytest.mark.parametrize("native", [False, True])
async def test_waiters_of_a_cancelled_leader_get_its_token(server: Server, *, native: bool) -> None:
    if native and not _native():
        return
    tokens = await aged(server, 3600)
    server.gate = gate = anyio.Event()
    outcomes: list[Any] = []

    async def others() -> None:
        outcomes.extend(await crowd(tokens.get))

    async with anyio.create_task_group() as group:
        group.start_soon(_late_start, others, server)
        await _cut(tokens.get, gate.set, native=native)
    assert {token.generation for token in outcomes} == {2}
    assert server.grants == ["refresh_token"]


async def _late_start(others: Callable[[], Awaitable[None]], server: Server) -> None:
    while not server.received:
        await anyio.lowlevel.checkpoint()
    await others()


async def test_all_cancelled_then_again(server: Server) -> None:
    tokens = await aged(server, 3600)
    for generation in (2, 3):
        server.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(tokens.get)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            server.gate.set()
        assert (await tokens.get()).generation == generation
        server.clock.advance(3600)
    assert server.resent == []


class Listener(Hooks):
    """Hears, and does what a test wants."""

    def __init__(self, act: Callable[[], Awaitable[Any]] | None = None) -> None:
        self.news: list[TokenRecord] = []
        self.failures: list[Exception] = []
        self.act = act

    async def on_token(self, record: TokenRecord) -> None:
        self.news.append(record)
        if self.act is not None:
            await self.act()

    def on_auth_failure(self, error: Exception) -> None:
        self.failures.append(error)


async def test_hooks_hear_of_every_token_once(server: Server) -> None:
    listener = Listener()
    tokens = await aged(server, 3600, hooks=[listener])
    await crowd(tokens.get)
    assert [(news.grant, news.generation, news.lifetime, news.adopted) for news in listener.news] == [
        ("password", 1, 3600.0, False),
        ("password", 2, 3600.0, False),
    ]


async def test_hooks_hear_of_adopted_tokens(clock: ManualClock, server: Server) -> None:
    store, listener = MemoryStore(), Listener()
    await store.save(KEY, record(clock, 3), expected=None)
    await manager(server, store, hooks=[listener]).get()
    assert [(news.generation, news.adopted) for news in listener.news] == [(3, True)]


async def test_hook_may_come_back(server: Server) -> None:
    seen: list[int] = []

    async def come_back() -> None:
        with anyio.move_on_after(5):
            seen.append((await tokens.get()).generation)
            if len(seen) == 1:
                seen.append((await tokens.refresh(if_generation=seen[0])).generation)

    tokens = manager(server, hooks=[Listener(come_back)])
    assert (await tokens.get()).generation == 1
    assert seen[:2] == [1, 2]


async def test_raising_hook_is_ignored(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise LookupError("s3cret")

    after = Listener()
    tokens = manager(server, hooks=[Listener(fail), after])
    assert (await tokens.get()).generation == 1
    assert len(after.news) == 1
    assert "on_token" in caplog.text
    assert "s3cret" not in caplog.text


async def test_slow_hook_holds_nobody_else_and_ends(server: Server) -> None:
    async def sleep() -> None:
        await server.clock.sleep(1e6)

    server.clock.autojump = False
    tokens = manager(server, hooks=[Listener(sleep)])
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        assert {token.generation for token in await crowd(tokens.get)} == {1}
        server.clock.advance(10.1)
    assert server.clock.monotonic() < 11


async def test_hook_ends_although_the_caller_was_cancelled(server: Server) -> None:
    ended: list[bool] = []

    async def act() -> None:
        await anyio.lowlevel.checkpoint()
        ended.append(True)

    tokens = manager(server, hooks=[Listener(act)])
    server.gate = anyio.Event()
    await _cut(tokens.get, server.gate.set, native=False)
    assert ended == [True]


async def test_failures_are_told(server: Server) -> None:
    listener = Listener()
    tokens = manager(server, hooks=[listener])
    server.accidents = [DOWN]
    await crowd(tokens.get)
    assert [type(error) for error in listener.failures] == [TokenRequestError]


async def test_closing_waits_for_the_renewal(server: Server) -> None:
    store = MemoryStore()
    tokens = await aged(server, 3600, store=store)
    server.gate = gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(_set_later, gate)
        await tokens.aclose()
        kept = await store.load(KEY)
        assert kept is not None
        assert kept.generation == 2
    assert tokens.peek() is None
    for use in (tokens.get, tokens.refresh):
        with pytest.raises(ClientClosedError):
            await use()
    await tokens.aclose()
    assert len(server.received) == 1


async def _set_later(event: anyio.Event) -> None:
    for _ in range(5):
        await anyio.lowlevel.checkpoint()
    event.set()


async def test_closing_does_not_wait_for_ever(server: Server) -> None:
    server.clock.autojump = False
    tokens = manager(server)
    server.gate = anyio.Event()
    closed: list[float] = []

    async def close() -> None:
        await tokens.aclose()
        closed.append(server.clock.monotonic())

    async def get() -> None:
        with pytest.raises(StoreLockTimeoutError):
            await tokens.get()

    async with anyio.create_task_group() as group:
        group.start_soon(get)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(close)
        await anyio.wait_all_tasks_blocked()
        server.clock.advance(21)
    assert closed == [21]
