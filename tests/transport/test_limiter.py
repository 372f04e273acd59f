from __future__ import annotations

import asyncio
import itertools
import random

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async import ConfigurationError, RateLimit
from tallyfy_async.transport.limiter import Limiter
from tallyfy_async.transport.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


async def test_slots_are_never_exceeded_and_all_come_back() -> None:
    limiter, clock = Limiter(3, ManualClock()), ManualClock()
    taken = most = 0

    async def user(seconds: float) -> None:
        nonlocal taken, most
        await limiter.acquire()
        taken += 1
        most = max(most, taken)
        await clock.sleep(seconds)
        taken -= 1
        limiter.release()

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(user, number % 7)
    assert (most, limiter.free) == (3, 3)


async def test_waiters_are_served_in_the_order_of_their_coming() -> None:
    limiter = Limiter(1, ManualClock())
    await limiter.acquire()
    served: list[int] = []

    async def user(number: int) -> None:
        await limiter.acquire()
        served.append(number)
        await checkpoint()
        limiter.release()

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(user, number)
            await anyio.wait_all_tasks_blocked()
        limiter.release()
    assert served == list(range(20))


async def test_nobody_overtakes_those_who_wait() -> None:
    limiter = Limiter(1, ManualClock())
    await limiter.acquire()
    served: list[str] = []

    async def user(name: str) -> None:
        await limiter.acquire()
        served.append(name)
        limiter.release()

    async with anyio.create_task_group() as group:
        group.start_soon(user, "waiting")
        await anyio.wait_all_tasks_blocked()
        limiter.release()
        await user("just come")
    assert served == ["waiting", "just come"]


async def test_cancelled_waiters_take_no_slot_with_them() -> None:
    limiter = Limiter(2, ManualClock())
    for _ in range(2):
        await limiter.acquire()
    for _ in range(5):
        with anyio.move_on_after(0):
            await limiter.acquire()
    assert limiter.free == 0
    for _ in range(2):
        limiter.release()
    assert limiter.free == 2


async def test_a_slot_that_is_handed_over_to_a_cancelled_waiter_goes_on() -> None:
    limiter = Limiter(1, ManualClock())
    await limiter.acquire()
    gone = anyio.CancelScope()
    served = False

    async def first() -> None:
        with gone:
            await limiter.acquire()
            limiter.release()

    async def second() -> None:
        nonlocal served
        await limiter.acquire()
        served = True
        limiter.release()

    async with anyio.create_task_group() as group:
        group.start_soon(first)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        limiter.release()
        gone.cancel()
    assert served
    assert limiter.free == 1


def test_native_cancellation_leaks_no_slot() -> None:
    async def main() -> None:
        limiter, chance = Limiter(3, ManualClock()), random.Random(5)

        async def user() -> None:
            await limiter.acquire()
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                limiter.release()

        tasks = [asyncio.create_task(user()) for _ in range(200)]
        while not all(task.done() for task in tasks):
            chance.choice(tasks).cancel()
            await asyncio.sleep(0)
        assert any(task.cancelled() for task in tasks)
        assert any(not task.cancelled() for task in tasks)
        assert limiter.free == 3

    asyncio.run(main())


async def test_a_pause_holds_everybody_back_and_spreads_their_return() -> None:
    clock = ManualClock()
    limiter = Limiter(8, clock)
    limiter.pause(10)
    back: list[float] = []

    async def user() -> None:
        await limiter.acquire()
        back.append(clock.monotonic())
        limiter.release()

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(user)
    assert all(10 <= moment <= 11.25 for moment in back)
    assert len(set(back)) == 8


async def test_a_pause_that_grows_while_one_waits_is_waited_for() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(1, clock)
    limiter.pause(10)
    got = False

    async def user() -> None:
        nonlocal got
        await limiter.acquire()
        got = True

    async with anyio.create_task_group() as group:
        group.start_soon(user)
        await anyio.wait_all_tasks_blocked()
        limiter.pause(30)
        clock.advance(15)
        await anyio.wait_all_tasks_blocked()
        assert not got
        clock.advance(20)
    assert got


async def test_a_shorter_pause_does_not_shorten_the_longer_one() -> None:
    clock = ManualClock()
    limiter = Limiter(1, clock)
    limiter.pause(10)
    limiter.pause(1)
    await limiter.acquire()
    assert clock.monotonic() >= 10


async def test_a_pause_that_is_over_costs_nothing() -> None:
    clock = ManualClock()
    limiter = Limiter(1, clock)
    limiter.pause(10)
    clock.advance(10)
    await limiter.acquire()
    assert clock.slept == []


async def test_being_cancelled_in_a_pause_gives_the_slot_back() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(1, clock)
    limiter.pause(10)
    with anyio.move_on_after(0.001) as scope:
        await limiter.acquire()
    assert scope.cancelled_caught
    assert limiter.free == 1


@pytest.mark.parametrize(
    ("burst", "moments"),
    [(1, [0, 2, 4, 6, 8, 10]), (3, [0, 0, 0, 2, 4, 6]), (10, [0, 0, 0, 0, 0, 0])],
)
async def test_the_rate_cap_spaces_calls_out(burst: int, moments: list[float]) -> None:
    clock = ManualClock()
    limiter = Limiter(10, clock, RateLimit(per_minute=30, burst=burst))
    begun: list[float] = []
    for _ in range(6):
        await limiter.acquire()
        begun.append(clock.monotonic())
        limiter.release()
    assert begun == pytest.approx(moments)


async def test_the_rate_cap_holds_for_concurrent_calls() -> None:
    clock = ManualClock()
    limiter = Limiter(50, clock, RateLimit(per_minute=60, burst=5))
    begun: list[float] = []

    async def user() -> None:
        await limiter.acquire()
        begun.append(clock.monotonic())
        limiter.release()

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(user)
    assert sorted(begun) == pytest.approx([0.0] * 5 + [float(second) for second in range(1, 46)])


async def test_quiet_time_saves_up_no_more_than_the_burst() -> None:
    clock = ManualClock()
    limiter = Limiter(10, clock, RateLimit(per_minute=60, burst=2))
    clock.advance(1000)
    begun: list[float] = []
    for _ in range(4):
        await limiter.acquire()
        begun.append(clock.monotonic() - 1000)
        limiter.release()
    assert begun == pytest.approx([0, 0, 1, 2])


async def test_the_turn_of_a_cancelled_caller_is_the_next_one_s() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(2, clock, RateLimit(per_minute=60))
    await limiter.acquire()
    with anyio.move_on_after(0.001):
        await limiter.acquire()
    assert limiter.free == 1
    clock.autojump = True
    await limiter.acquire()
    assert clock.monotonic() == pytest.approx(1)


@pytest.mark.parametrize("callers", [4, 8, 20])
async def test_a_low_rate_serves_callers_whose_deadline_is_shorter_than_the_queue(callers: int) -> None:
    clock = ManualClock()
    limiter = Limiter(callers, clock, RateLimit(per_minute=2))
    begun: list[float] = []

    async def caller() -> None:
        while clock.monotonic() < 1200:
            with clock.timeout(120):
                await limiter.acquire()
                begun.append(clock.monotonic())
                limiter.release()

    async with anyio.create_task_group() as group:
        for _ in range(callers):
            group.start_soon(caller)
    assert len(begun) >= 40
    assert all(later - earlier >= 29.999 for earlier, later in itertools.pairwise(begun))


@pytest.mark.parametrize(("per_minute", "burst"), [(0, 1), (-1, 1), (float("nan"), 1), (60, 0)])
def test_a_rate_that_allows_no_call_is_refused(per_minute: float, burst: int) -> None:
    with pytest.raises(ConfigurationError, match="per_minute > 0 and burst >= 1"):
        RateLimit(per_minute=per_minute, burst=burst)


def test_a_limiter_without_slots_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        Limiter(0, ManualClock())


async def test_the_repr_tells_slots_and_pause() -> None:
    limiter = Limiter(4, ManualClock())
    await limiter.acquire()
    limiter.pause(7)
    assert repr(limiter) == "<Limiter 1 of 4 slots taken, paused for 7.0 s>"
