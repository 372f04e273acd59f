"""A width that changes while callers queue: order, slots, the server's word on what remains, turns of the rate cap."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async import RateLimit
from tallyfy_async.transport.limiter import Limiter
from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.transport.pace import Pace

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def settle() -> None:
    """Let everybody go as far as they can."""
    for _ in range(20):
        await checkpoint()


class Crowd:
    """Callers with numbers, in the order of their coming; each keeps its slot until it is told to go."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.served: list[int] = []
        self.inside: list[int] = []
        self._leave: dict[int, anyio.Event] = {}

    async def user(self, number: int) -> None:
        self._leave[number] = anyio.Event()
        await self.limiter.acquire()
        self.served.append(number)
        self.inside.append(number)
        try:
            await self._leave[number].wait()
        finally:
            self.inside.remove(number)
            self.limiter.release()

    async def leave(self, number: int) -> None:
        self._leave[number].set()
        await settle()

    async def leave_all(self) -> None:
        while self.inside:
            await self.leave(self.inside[0])


@asynccontextmanager
async def crowd(limiter: Limiter, size: int) -> AsyncIterator[Crowd]:
    people = Crowd(limiter)
    async with anyio.create_task_group() as group:
        for number in range(size):
            group.start_soon(people.user, number)
            await settle()
        yield people
        await people.leave_all()


def test_a_limiter_is_a_pace(clock: ManualClock) -> None:
    pace: Pace = Limiter(5, clock)
    assert (pace.slots, pace.width) == (5, 5)


async def test_a_refusal_lets_fewer_in_and_the_order_stays(clock: ManualClock) -> None:
    limiter = Limiter(8, clock)
    async with crowd(limiter, 30) as people:
        assert people.inside == list(range(8))
        limiter.refused(began=0.0)
        assert limiter.width == 4
        for number in range(4):
            await people.leave(number)
        assert people.inside == [4, 5, 6, 7], "nobody comes in before there is room in the narrower width"
        await people.leave(4)
        assert people.inside == [5, 6, 7, 8]
    assert people.served == list(range(30))
    assert limiter.free == 8


async def test_when_it_widens_the_longest_waiting_come_in_at_once(clock: ManualClock) -> None:
    limiter = Limiter(8, clock)
    limiter.refused(began=0.0)
    async with crowd(limiter, 12) as people:
        assert sorted(people.inside) == [0, 1, 2, 3]
        for _ in range(10):
            limiter.succeeded(None, 0.0, 0.1)
        await settle()
        assert limiter.width == 6
        assert sorted(people.inside) == [0, 1, 2, 3, 4, 5]
    assert sorted(people.served[:6]) == [0, 1, 2, 3, 4, 5]
    assert people.served[6:] == list(range(6, 12))


async def test_latency_narrows_the_limiter(clock: ManualClock) -> None:
    limiter = Limiter(8, clock)
    async with crowd(limiter, 8):
        for number in range(48):
            limiter.succeeded("op", float(number), 0.1 if number < 16 else 0.9)
        assert limiter.width == 4


@pytest.mark.parametrize(("count", "width"), [(3, 3), (1, 1), (0, 1), (8, 8), (100, 8)])
async def test_no_more_run_than_the_server_says_remain(clock: ManualClock, count: int, width: int) -> None:
    limiter = Limiter(8, clock)
    limiter.remain(count, began=0.0)
    assert limiter.width == width
    async with crowd(limiter, 10) as people:
        assert people.inside == list(range(width))


async def test_the_word_on_what_remains_holds_until_a_newer_one_says_more(clock: ManualClock) -> None:
    limiter = Limiter(8, clock)
    limiter.remain(2, began=5.0)
    limiter.remain(7, began=4.0)
    assert limiter.width == 2, "an older reply that comes late cannot raise it"
    limiter.remain(1, began=4.0)
    assert limiter.width == 1, "but lower it"
    limiter.remain(5, began=6.0)
    assert limiter.width == 5
    limiter.remain(500, began=7.0)
    assert limiter.width == 8


async def test_the_word_on_what_remains_holds_for_a_minute(clock: ManualClock) -> None:
    limiter = Limiter(8, clock)
    limiter.remain(2, began=0.0)
    async with crowd(limiter, 5) as people:
        clock.advance(59)
        assert limiter.width == 2
        clock.advance(1)
        assert limiter.width == 8
        await settle()
        assert sorted(people.inside) == [0, 1, 2, 3, 4], "whoever looks lets those in who wait"


async def test_after_a_minute_the_next_caller_lets_everybody_in(clock: ManualClock) -> None:
    limiter = Limiter(8, clock)
    limiter.remain(1, began=0.0)
    async with crowd(limiter, 3) as people, anyio.create_task_group() as group:
        clock.advance(60)
        group.start_soon(people.user, 3)
        await settle()
        assert sorted(people.inside) == [0, 1, 2, 3]
        await people.leave_all()


@asynccontextmanager
async def one_inside(limiter: Limiter) -> AsyncIterator[Crowd]:
    """Let one of six in, who stays; the server says that only one call remains."""
    limiter.remain(1, began=0.0)
    async with crowd(limiter, 6) as people:
        assert people.inside == [0]
        yield people


async def test_waiters_come_in_after_the_minute_although_nobody_leaves() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(4, clock)
    async with one_inside(limiter) as people:
        clock.advance(59.9)
        await settle()
        assert people.inside == [0]
        clock.advance(0.1)
        await settle()
        assert sorted(people.inside) == [0, 1, 2, 3]
    assert sorted(people.served[:4]) == [0, 1, 2, 3]
    assert people.served[4:] == [4, 5]
    assert limiter.free == 4


async def test_a_newer_word_keeps_waiters_for_its_own_minute() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(4, clock)
    async with one_inside(limiter) as people:
        clock.advance(40)
        limiter.remain(1, began=40.0)
        clock.advance(59)
        await settle()
        assert people.inside == [0]
        clock.advance(1)
        await settle()
        assert sorted(people.inside) == [0, 1, 2, 3]


async def test_whoever_becomes_the_first_of_the_queue_looks_after_the_minute() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(4, clock)
    async with one_inside(limiter) as people:
        await people.leave(0)
        assert people.inside == [1]
        clock.advance(60)
        await settle()
        assert sorted(people.inside) == [1, 2, 3, 4]


async def test_when_the_first_of_the_queue_gives_up_the_next_one_looks() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(2, clock)
    limiter.remain(1, began=0.0)
    await limiter.acquire()
    first, inside = anyio.CancelScope(), False

    async def impatient() -> None:
        with first:
            await limiter.acquire()

    async def patient() -> None:
        nonlocal inside
        await limiter.acquire()
        inside = True
        limiter.release()

    async with anyio.create_task_group() as group:
        group.start_soon(impatient)
        await settle()
        group.start_soon(patient)
        await settle()
        first.cancel()
        await settle()
        clock.advance(60)
        await settle()
        assert inside
    assert limiter.free == 1


async def test_those_who_wait_already_when_the_word_comes_look_too() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(2, clock)
    async with crowd(limiter, 4) as people:
        limiter.remain(1, began=0.0)
        await people.leave(0)
        assert people.inside == [1]
        clock.advance(60)
        await settle()
        assert people.inside == [1, 2]


async def test_a_release_after_the_minute_lets_in_as_many_as_may() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(4, clock)
    limiter.remain(1, began=0.0)
    await limiter.acquire()
    inside = 0

    async def user() -> None:
        nonlocal inside
        await limiter.acquire()
        inside += 1

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(user)
        await settle()
        clock._move_to(60.0)
        limiter.release()
        assert limiter.free == 0, "at once, before anybody else has looked"
        await settle()
        assert inside == 4
        group.cancel_scope.cancel()


async def test_an_old_reply_does_not_make_the_word_older_than_it_was(clock: ManualClock) -> None:
    limiter = Limiter(20, clock)
    limiter.remain(5, began=10.0)
    limiter.remain(4, began=1.0)
    limiter.remain(15, began=2.0)
    assert limiter.width == 4


async def test_what_remains_for_one_of_two_users_narrows_neither(clock: ManualClock) -> None:
    limiter = Limiter(8, clock)
    limiter.remain(1, 0.0, "poor")
    assert limiter.width == 1
    async with crowd(limiter, 4) as people:
        limiter.remain(590, 1.0, "rich")
        assert limiter.width == 8
        await settle()
        assert sorted(people.inside) == [0, 1, 2, 3]
        limiter.remain(1, 2.0, "poor")
        assert limiter.width == 8
    clock.advance(59)
    limiter.remain(1, 61.0, "poor")
    assert limiter.width == 8
    clock.advance(1)
    limiter.remain(1, 62.0, "poor")
    assert limiter.width == 1, "nobody has heard of the other for a minute"


async def test_a_parked_slot_loads_nobody_but_keeps_its_connection(clock: ManualClock) -> None:
    limiter = Limiter(2, clock)
    limiter.remain(1, began=0.0)
    await limiter.acquire()
    async with crowd(limiter, 3) as people:
        assert people.inside == []
        limiter.park()
        await settle()
        assert people.inside == [0], "the first of those who wait comes in"
        assert limiter.free == 0
        limiter.remain(100, began=1.0)
        await settle()
        assert (limiter.width, people.inside) == (2, [0]), "there is no third connection"
        limiter.release(parked=True)
        await settle()
        assert people.inside == [0, 1]
    assert limiter.free == 2


async def test_parked_slots_leave_no_connection_to_who_has_just_come(clock: ManualClock) -> None:
    limiter = Limiter(2, clock)
    for _ in range(2):
        await limiter.acquire()
        limiter.park()
    async with crowd(limiter, 1) as people:
        assert people.inside == []
        for _ in range(2):
            limiter.release(parked=True)
        await settle()
        assert people.inside == [0]
    assert limiter.free == 2


async def test_only_what_was_taken_is_parked_and_only_what_was_parked_comes_back(clock: ManualClock) -> None:
    limiter = Limiter(2, clock)
    with pytest.raises(RuntimeError, match="could be parked"):
        limiter.park()
    await limiter.acquire()
    with pytest.raises(RuntimeError, match="given back twice"):
        limiter.release(parked=True)
    limiter.park()
    with pytest.raises(RuntimeError, match="given back twice"):
        limiter.release()
    limiter.release(parked=True)
    assert limiter.free == 2


@pytest.mark.parametrize("why", ["pause", "turn", "parked"])
async def test_only_those_who_exchange_count_as_a_load(why: str) -> None:
    """One at a time has no queue of its own to shorten, whoever else has a slot."""
    clock = ManualClock(autojump=False)
    limiter = Limiter(8, clock, RateLimit(per_minute=1) if why == "turn" else None)
    await limiter.acquire()
    if why == "pause":
        limiter.pause(1000)
    async with anyio.create_task_group() as group:
        for _ in range(7):
            if why == "parked":
                await limiter.acquire()
                limiter.park()
            else:
                group.start_soon(limiter.acquire)
        await settle()
        assert limiter.free == 0
        for number in range(48):
            limiter.succeeded("op", float(number), 0.1 if number < 16 else 0.9)
        assert limiter.width == 8
        group.cancel_scope.cancel()
    assert limiter._asleep == 0


async def test_a_waiter_who_leaves_gives_its_place_to_the_next(clock: ManualClock) -> None:
    limiter = Limiter(1, clock)
    await limiter.acquire()
    served: list[int] = []
    scopes = [anyio.CancelScope() for _ in range(6)]

    async def user(number: int) -> None:
        with scopes[number]:
            await limiter.acquire()
            served.append(number)
            limiter.release()

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(user, number)
            await settle()
        for number in (0, 3, 5):
            scopes[number].cancel()
        await settle()
        limiter.release()
    assert served == [1, 2, 4]
    assert limiter.free == 1


async def test_a_slot_given_back_twice_is_told(clock: ManualClock) -> None:
    limiter = Limiter(2, clock)
    await limiter.acquire()
    limiter.release()
    with pytest.raises(RuntimeError, match="given back twice"):
        limiter.release()
    assert limiter.free == 2


async def test_whoever_is_cancelled_takes_no_slot_where_one_is_free(clock: ManualClock) -> None:
    limiter = Limiter(2, clock)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await limiter.acquire()
        pytest.fail("it went on")
    assert limiter.free == 2


async def test_a_thousand_waiters_may_leave_in_any_order(clock: ManualClock) -> None:
    limiter = Limiter(1, clock)
    await limiter.acquire()
    scopes = [anyio.CancelScope() for _ in range(1_000)]

    async def user(number: int) -> None:
        with scopes[number]:
            await limiter.acquire()
            limiter.release()

    async with anyio.create_task_group() as group:
        for number in range(1_000):
            group.start_soon(user, number)
        await settle()
        for scope in reversed(scopes):
            scope.cancel()
    limiter.release()
    assert limiter.free == 1


@pytest.mark.parametrize("seed", range(8))
def test_native_cancellation_leaks_no_slot_while_the_width_changes(seed: int) -> None:
    async def main() -> None:
        clock, chance = ManualClock(), random.Random(seed)
        limiter = Limiter(5, clock)
        most = 0

        async def user() -> None:
            nonlocal most
            await limiter.acquire()
            try:
                most = max(most, 5 - limiter.free)
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                limiter.succeeded(None, clock.monotonic(), 0.1)
                if chance.random() < 0.3:
                    limiter.refused(clock.monotonic() + 1e-6)
                if chance.random() < 0.3:
                    limiter.remain(chance.randrange(6), clock.monotonic())
                clock.advance(chance.random())
            finally:
                limiter.release()

        tasks = [asyncio.create_task(user()) for _ in range(300)]
        while not all(task.done() for task in tasks):
            chance.choice(tasks).cancel()
            await asyncio.sleep(0)
        assert {task.cancelled() for task in tasks} == {True, False}
        assert (limiter.free, most <= 5) == (5, True)
        clock.advance(61)
        await limiter.acquire()
        limiter.release()

    asyncio.run(main())


async def test_turns_of_the_rate_cap_go_to_those_who_came_first(clock: ManualClock) -> None:
    limiter = Limiter(4, clock, RateLimit(per_minute=60))
    begun: list[tuple[int, float]] = []

    async def user(number: int) -> None:
        await limiter.acquire()
        begun.append((number, clock.monotonic()))
        await checkpoint()
        limiter.release()

    async with anyio.create_task_group() as group:
        clock.autojump = False
        for number in range(20):
            group.start_soon(user, number)
            await settle()
        for _ in range(20):
            clock.advance(1.0)
            await settle()
    assert [number for number, _ in begun] == [*range(20)]
    assert [moment for _, moment in begun] == pytest.approx([float(number) for number in range(20)])


async def test_the_rate_cap_holds_after_a_pause_too(clock: ManualClock) -> None:
    limiter = Limiter(10, clock, RateLimit(per_minute=60))
    begun: list[float] = []

    async def user() -> None:
        await limiter.acquire()
        begun.append(clock.monotonic())
        limiter.release()

    async with anyio.create_task_group() as group:
        limiter.pause(10)
        for _ in range(20):
            group.start_soon(user)
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert begun[0] == pytest.approx(10, abs=1.3)
    assert gaps == pytest.approx([1.0] * 19), "no burst comes out of the pause, and no turn is lost in it"


async def test_a_pause_amid_the_turns_costs_no_turn_and_doubles_none() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(10, clock, RateLimit(per_minute=60))
    begun: list[float] = []

    async def user() -> None:
        await limiter.acquire()
        begun.append(clock.monotonic())
        limiter.release()

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(user)
        for _ in range(3):
            await settle()
            clock.advance(1.0)
        await settle()
        assert begun == [0.0, 1.0, 2.0, 3.0]
        limiter.pause(20)
        clock.autojump = True
        clock.advance(1.0)
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun[4:])]
    assert len(begun) == 10
    assert 23 <= begun[4] <= 25.5
    assert gaps == pytest.approx([1.0] * 5)


async def test_a_short_pause_amid_many_turns_moves_them_by_its_length() -> None:
    clock = ManualClock(autojump=False)
    limiter = Limiter(10, clock, RateLimit(per_minute=60))
    begun: list[float] = []

    async def user() -> None:
        await limiter.acquire()
        begun.append(clock.monotonic())
        limiter.release()

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(user)
        await settle()
        clock.advance(1.0)
        await settle()
        limiter.pause(2.5)
        for _ in range(200):
            clock.advance(0.1)
            await settle()
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert len(begun) == 10
    assert begun[2] >= 3.5
    assert min(gaps) > 0.99
    assert begun[-1] < 12.5


async def test_a_turn_just_used_counts_after_a_short_pause(clock: ManualClock) -> None:
    limiter = Limiter(10, clock, RateLimit(per_minute=6))
    await limiter.acquire()
    limiter.pause(1)
    await limiter.acquire()
    assert clock.monotonic() == pytest.approx(10)
