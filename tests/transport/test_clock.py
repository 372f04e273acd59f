from __future__ import annotations

import time

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async.transport.clock import SystemClock
from tallyfy_async.transport.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


async def test_manual_time_moves_only_when_told() -> None:
    clock = ManualClock(autojump=False, wall=1000.0)
    assert (clock.monotonic(), clock.time()) == (0.0, 1000.0)
    clock.advance(2.5)
    assert (clock.monotonic(), clock.time()) == (2.5, 1002.5)


async def test_the_wall_clock_can_jump_alone() -> None:
    clock = ManualClock(wall=1000.0)
    clock.skew += 3600
    assert (clock.monotonic(), clock.time()) == (0.0, 4600.0)


async def test_random_numbers_are_seeded_and_in_range() -> None:
    first = [ManualClock(seed=7).random() for _ in range(2)]
    numbers = [SystemClock().random(), *first]
    assert first[0] == first[1]
    assert all(0 <= number < 1 for number in numbers)


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    clock = ManualClock()
    woken: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    async with anyio.create_task_group() as group:
        for seconds in (30.0, 10.0, 20.0):
            group.start_soon(sleeper, seconds)
    assert woken == [(10.0, 10.0), (20.0, 20.0), (30.0, 30.0)]
    assert sorted(clock.slept) == [10.0, 20.0, 30.0]


async def test_naps_and_a_long_sleep_keep_their_order() -> None:
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper, "long", 7.0)
        group.start_soon(sleeper, "naps", 2.0, 2.0, 2.0, 2.0)
    assert woken == [("naps", 2.0), ("naps", 4.0), ("naps", 6.0), ("long", 7.0), ("naps", 8.0)]


async def test_the_next_sleeper_takes_over_when_the_first_is_cancelled() -> None:
    clock = ManualClock()
    gone = anyio.CancelScope()

    async def cancelled() -> None:
        with gone:
            gone.cancel()
            await clock.sleep(1.0)

    async with anyio.create_task_group() as group:
        group.start_soon(cancelled)
        group.start_soon(clock.sleep, 2.0)
        group.start_soon(clock.sleep, 3.0)
    assert gone.cancelled_caught
    assert clock.monotonic() == 3.0


async def test_without_autojump_a_sleeper_waits_for_advance() -> None:
    clock = ManualClock(autojump=False)
    woken = False

    async def sleeper() -> None:
        nonlocal woken
        await clock.sleep(5)
        woken = True

    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        await anyio.wait_all_tasks_blocked()
        clock.advance(4.9)
        await anyio.wait_all_tasks_blocked()
        assert not woken
        clock.advance(0.1)
    assert woken


async def test_timers_fire_in_order_at_their_own_time() -> None:
    clock = ManualClock()
    fired: list[tuple[str, float]] = []
    for name, due in (("late", 3.0), ("early", 1.0), ("never", 9.0), ("also early", 1.0)):
        clock.set_timer(due, lambda name=name: fired.append((name, clock.monotonic())))  # type: ignore[misc]
    clock.advance(5.0)
    assert fired == [("early", 1.0), ("also early", 1.0), ("late", 3.0)]
    assert clock.monotonic() == 5.0


async def test_a_dropped_timer_does_not_fire() -> None:
    clock = ManualClock()
    timer = clock.set_timer(1.0, lambda: pytest.fail("fired"))
    clock.drop_timer(timer)
    clock.drop_timer(timer)
    clock.advance(2.0)


async def test_a_timeout_ends_its_block_when_the_clock_passes_it() -> None:
    clock = ManualClock()
    reached = False
    with clock.timeout(5) as scope:
        await clock.sleep(10)
        reached = True
    assert scope.cancelled_caught
    assert not reached
    assert clock.monotonic() == 5.0


async def test_a_timeout_that_is_not_reached_leaves_no_trace() -> None:
    clock = ManualClock()
    with clock.timeout(5) as scope:
        await clock.sleep(1)
    clock.advance(100)
    await checkpoint()
    assert not scope.cancel_called


async def test_the_inner_timeout_wins() -> None:
    clock = ManualClock()
    with clock.timeout(5) as outer, clock.timeout(2) as inner:
        await clock.sleep(3)
    assert inner.cancelled_caught
    assert not outer.cancelled_caught


async def test_a_timeout_passes_errors_on() -> None:
    clock = ManualClock()
    with pytest.raises(ZeroDivisionError), clock.timeout(5):
        raise ZeroDivisionError


async def test_a_cancelled_sleeper_leaves_no_timer() -> None:
    clock = ManualClock(autojump=False)
    with anyio.move_on_after(0):
        await clock.sleep(60)
    clock.advance(120)
    assert clock._timers.first is None


async def test_the_system_clock_ends_a_block_too() -> None:
    clock = SystemClock()
    with clock.timeout(0) as scope:
        await clock.sleep(60)
    assert scope.cancelled_caught
    assert abs(clock.time() - time.time()) < 60
    assert clock.monotonic() <= time.monotonic()
