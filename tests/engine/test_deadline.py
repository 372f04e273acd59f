"""``timeout`` bounds an attempt, ``deadline`` the whole call."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from tallyfy_async import (
    ConfigurationError,
    IndeterminateError,
    Outcome,
    RequestOptions,
    RequestTimeoutError,
    ServerError,
    Timeouts,
)
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.engine.flaky import Slow
from tests.helpers import connect, small_sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Sandbox:
    return small_sandbox()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_slow_attempt_is_cut_and_sent_again(sandbox: Sandbox, clock: ManualClock) -> None:
    transport = Slow(sandbox, clock, 1000, 1000)
    async with connect(sandbox, clock=clock, transport=transport, timeout=3) as client:
        await client.me.get()
    assert (transport.sent, sandbox.stats.requests) == (3, 1)
    assert 6 <= clock.monotonic() <= 8


async def test_the_deadline_bounds_all_attempts(sandbox: Sandbox, clock: ManualClock) -> None:
    transport = Slow(sandbox, clock, *[1000.0] * 9)
    async with connect(sandbox, clock=clock, transport=transport, timeout=3, deadline=8) as client:
        with pytest.raises(RequestTimeoutError, match="GET /me: not done within its deadline of 8 s") as caught:
            await client.me.get()
        assert client._limiter.free == 20
    assert transport.sent == 3
    assert clock.monotonic() == 8
    assert isinstance(caught.value.__cause__, RequestTimeoutError)
    assert isinstance(caught.value, TimeoutError)


async def test_attempts_that_all_time_out_end_with_the_attempts_error(sandbox: Sandbox, clock: ManualClock) -> None:
    transport = Slow(sandbox, clock, *[1000.0] * 9)
    async with connect(sandbox, clock=clock, transport=transport, timeout=3) as client:
        with pytest.raises(RequestTimeoutError, match="no whole reply within 3 s"):
            await client.me.get()
    assert transport.sent == 4


async def test_a_call_may_have_its_own_bounds(sandbox: Sandbox, clock: ManualClock) -> None:
    transport = Slow(sandbox, clock, *[1000.0] * 9)
    async with connect(sandbox, clock=clock, transport=transport, retry=0) as client:
        for options, end in (
            (RequestOptions(timeout=2), 2.0),
            (RequestOptions(timeout=Timeouts(attempt=5)), 7.0),
            (RequestOptions(deadline=4), 11.0),
            (None, 41.0),
        ):
            with pytest.raises(RequestTimeoutError):
                await client.me.get(options=options)
            assert clock.monotonic() == end


async def test_a_write_that_was_on_its_way_at_the_deadline_may_have_landed(
    sandbox: Sandbox, clock: ManualClock
) -> None:
    transport = Slow(sandbox, clock, 1000)
    async with connect(sandbox, clock=clock, transport=transport, deadline=5) as client:
        with pytest.raises(IndeterminateError, match="its deadline of 5 s ended") as caught:
            await client.request("POST", "/nowhere", json={})
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_write_that_only_waited_for_its_turn_was_not_sent(sandbox: Sandbox) -> None:
    clock = ManualClock(autojump=False)
    transport = Slow(sandbox, clock, 50)
    async with connect(sandbox, clock=clock, transport=transport, max_connections=1, timeout=1000) as client:

        async def write() -> None:
            with pytest.raises(RequestTimeoutError) as caught:
                await client.request("POST", "/nowhere", json={}, options=RequestOptions(deadline=5))
            assert caught.value.outcome is Outcome.NOT_SENT

        async with anyio.create_task_group() as group:
            group.start_soon(client.me.get)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            clock.advance(5)
            await anyio.wait_all_tasks_blocked()
            clock.advance(45)
        assert client._limiter.free == 1
    assert transport.sent == 1


async def test_a_write_between_two_attempts_was_not_sent(sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.faults.add(Fault(status=429, times=None, headers={"Retry-After": "4"}))
    async with connect(sandbox, clock=clock, deadline=6) as client:
        client._limiter.pause(5.9)
        with pytest.raises(RequestTimeoutError) as caught:
            await client.request("POST", "/nowhere", json={})
    assert caught.value.outcome is Outcome.NOT_SENT
    assert sandbox.stats.requests == 0


async def test_a_back_off_that_would_outlast_the_deadline_is_not_begun(sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.faults.add(Fault(status=503, times=None))
    async with connect(sandbox, clock=clock, deadline=0.6) as client:
        with pytest.raises(ServerError):
            await client.me.get()
    assert clock.monotonic() <= 0.6


async def test_no_deadline_means_no_deadline(sandbox: Sandbox, clock: ManualClock) -> None:
    transport = Slow(sandbox, clock, 100_000)
    async with connect(sandbox, clock=clock, transport=transport, deadline=None, timeout=math.inf) as client:
        await client.me.get()
    assert clock.monotonic() == 100_000


@pytest.mark.parametrize("value", [0, -1, math.nan, True, "5"])
@pytest.mark.parametrize("name", ["timeout", "deadline"])
def test_bounds_that_are_none_are_refused(sandbox: Sandbox, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        connect(sandbox, **{name: value})
    with pytest.raises(ConfigurationError, match=name):
        RequestOptions(**{name: value})
    if name == "timeout":
        with pytest.raises(ConfigurationError, match=name):
            RequestOptions(timeout=Timeouts(attempt=value))
