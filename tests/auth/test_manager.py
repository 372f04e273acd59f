"""The manager: one renewal however many wait."""

from __future__ import annotations

import logging

import anyio
import anyio.lowlevel
import pytest

from tallyfy_async import (
    AuthError,
    MemoryStore,
    RateLimitError,
    Token,
    TokenRequestError,
)
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import DOWN, KEY, Server, aged, crowd, manager, record, resumed

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


async def test_one_request_for_many(server: Server) -> None:
    tokens = manager(server)
    assert tokens.peek() is None
    assert {token.generation for token in await crowd(tokens.get, 200)} == {1}
    assert server.grants == ["password"]
    assert tokens.peek() == await tokens.get()


async def test_fresh_token_asks_nobody(server: Server) -> None:
    tokens = await aged(server, 3539)
    assert (await tokens.get()).generation == 1
    assert server.received == []


async def test_one_renews_early_while_the_others_go_on(server: Server) -> None:
    tokens = await aged(server, 3541)
    server.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        assert {token.generation for token in await crowd(tokens.get)} == {1}
        server.gate.set()
    assert server.grants == ["refresh_token"]
    assert (await tokens.get()).generation == 2


async def test_everybody_waits_at_the_end(server: Server) -> None:
    tokens = await aged(server, 3591)
    server.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        assert tokens.peek() is None
        server.gate.set()
    assert {token.generation for token in await crowd(tokens.get)} == {2}
    assert server.grants == ["refresh_token"]


async def test_failing_early_renewal_pauses(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    tokens = await aged(server, 3541)
    server.accidents = [DOWN] * 2
    with caplog.at_level(logging.WARNING):
        assert {token.generation for token in await crowd(tokens.get)} == {1}
        server.clock.advance(4.9)
        assert {token.generation for token in await crowd(tokens.get)} == {1}
    assert (len(server.received), len(caplog.records)) == (1, 1)
    server.clock.advance(0.2)
    assert {token.generation for token in await crowd(tokens.get)} == {1}
    assert len(server.received) == 2
    server.clock.advance(45)
    assert {token.generation for token in await crowd(tokens.get)} == {2}
    assert tokens.statistics.failures == 2


async def test_failing_early_renewal_of_a_stored_token(clock: ManualClock, server: Server) -> None:
    store = MemoryStore()
    await store.save(KEY, record(clock, 4, age=3541), expected=None)
    server.accidents = [DOWN]
    tokens = manager(server, store)
    assert {token.generation for token in await crowd(tokens.get)} == {4}
    assert server.grants == ["refresh_token"]


async def test_failure_is_shared_not_repeated(server: Server) -> None:
    tokens = manager(server)
    server.accidents = [DOWN]
    errors = await crowd(tokens.get)
    assert [type(error) for error in errors] == [TokenRequestError] * 20
    assert len({id(error) for error in errors}) == 20
    assert len(server.received) == 1
    assert (await tokens.get()).generation == 1


async def test_expired_on_arrival_serves_those_who_waited(server: Server) -> None:
    server.life = 0
    tokens = manager(server)
    assert {token.generation for token in await crowd(tokens.get)} == {1}
    assert {token.generation for token in await crowd(tokens.get)} == {2}
    assert len(server.received) == 2


async def test_unforeseen_error_reaches_waiters_as_ours(server: Server) -> None:
    tokens = manager(server)
    server.accidents = [LookupError("bug")]
    errors = await crowd(tokens.get)
    assert sorted({type(error).__name__ for error in errors}) == ["AuthError", "LookupError"]
    assert [type(error) for error in errors].count(AuthError) == 19


async def test_refresh_compares_generations(server: Server) -> None:
    tokens = await aged(server, 1)
    assert (await tokens.refresh(if_generation=1)).generation == 2
    assert (await tokens.refresh(if_generation=1)).generation == 2
    assert len(server.received) == 1
    assert {token.generation for token in await crowd(lambda: tokens.refresh(if_generation=2))} == {3}
    assert {token.generation for token in await crowd(tokens.refresh)} == {4}
    assert len(server.received) == 3
    assert server.resent == []


async def test_rejected_token_is_renewed_once(server: Server) -> None:
    tokens = await aged(server, 1)
    first = await tokens.get()
    renewed = await crowd(lambda: tokens.rejected(first))
    assert {token.generation for token in renewed} == {2}
    assert len(server.received) == 1


async def test_futile_renewals_pause(server: Server) -> None:
    tokens = await aged(server, 1)
    first = await tokens.get()
    second = await tokens.rejected(first)
    assert second is not None
    tokens.futile()
    assert await tokens.rejected(second) is None
    assert await tokens.rejected(first) == second, "a newer token is worth a try"
    server.clock.advance(30)
    third = await tokens.rejected(second)
    assert third is not None
    assert third.generation == 3
    assert len(server.received) == 2


async def test_waiter_of_a_failing_early_renewal_renews_what_was_rejected(server: Server) -> None:
    tokens = await aged(server, 3541)
    assert tokens._held is not None
    first = tokens._held.token
    server.gate, server.accidents = anyio.Event(), [DOWN]
    renewed: list[Token | None] = []

    async def reject() -> None:
        renewed.append(await tokens.rejected(first))

    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(reject)
        await anyio.wait_all_tasks_blocked()
        server.gate.set()
    assert [token and token.generation for token in renewed] == [first.generation + 1]


@pytest.mark.parametrize(("asked", "waits"), [(45.0, 45.0), (1e9, 300.0)])
async def test_pause_of_the_endpoint_binds_everybody(server: Server, asked: float, waits: float) -> None:
    tokens = manager(server)
    server.accidents = [RateLimitError("busy", status=429, retry_after=asked)]
    errors = await crowd(tokens.get)
    assert {error.retry_after for error in errors} == {asked}
    server.clock.advance(waits - 1)
    errors = await crowd(tokens.get)
    assert [round(error.retry_after) for error in errors] == [1] * 20
    assert len(server.received) == 1
    server.clock.advance(2)
    assert (await tokens.get()).generation == 1


async def test_statistics_and_repr(server: Server) -> None:
    tokens = manager(server)
    assert repr(tokens) == "<TokenManager password: no token yet>"
    server.accidents = [DOWN]
    await crowd(tokens.get)
    await tokens.get()
    assert repr(tokens) == "<TokenManager password: generation 1, fresh>"
    server.clock.advance(3550)
    assert repr(tokens) == "<TokenManager password: generation 1, stale>"
    numbers = tokens.statistics
    assert (numbers.requests, numbers.tokens, numbers.adopted, numbers.failures) == (2, 1, 0, 1)
    assert not numbers.unpersisted
    await tokens.aclose()
    assert repr(tokens) == "<TokenManager password: closed>"


async def test_wall_clock_that_jumps_back_does_not_revive_a_token(server: Server) -> None:
    tokens = await aged(server, 0)
    server.clock.skew -= 7200
    server.clock.advance(3600)
    assert (await tokens.get()).generation == 2
    assert server.grants == ["refresh_token"]


async def test_resumed_line_starts_with_its_refresh_token(server: Server) -> None:
    store = MemoryStore()
    tokens = manager(server, store, resumed())
    assert {token.generation for token in await crowd(tokens.get)} == {1}
    assert [form["refresh_token"] for form in server.received] == ["refresh-0"]
    again = manager(server, store, resumed())
    assert (await again.get()).generation == 1
    assert len(server.received) == 1
