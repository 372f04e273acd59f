"""The control law against a simulated server: workers, one queue, replies as long as their requests waited and ran."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence

import pytest

from tallyfy_async.transport.aimd import ControlLaw


class Server:
    """Serves so many at once, the rest waits its turn; as many requests as the law allows are always under way."""

    def __init__(self, law: ControlLaw, capacity: int, *, noise: float = 0.2, seed: int = 1) -> None:
        self.law, self.noise = law, noise
        self.capacity = capacity
        self.now = 0.0
        self.service = 0.2
        self.demand = 1000
        self.key: Callable[[], str | None] = lambda: "op"
        self.stalls: Sequence[tuple[float, float]] = ()
        self._free = [0.0] * capacity
        self._flying: list[tuple[float, int, float, str | None]] = []
        self._numbers = itertools.count()
        self._random = random.Random(seed)

    def grow(self, capacity: int) -> None:
        self._free += [self.now] * (capacity - self.capacity)
        heapq.heapify(self._free)

    def _send(self) -> None:
        begins = max(self.now, heapq.heappop(self._free))
        ends = begins + self.service * self._random.lognormvariate(0, self.noise)
        for stall, over in self.stalls:
            if begins < over and ends > stall:
                ends = max(ends, over)
        heapq.heappush(self._free, ends)
        heapq.heappush(self._flying, (ends, next(self._numbers), self.now, self.key()))

    def widths(self, replies: int) -> list[int]:
        """Return the width after each of so many replies."""
        seen: list[int] = []
        for _ in range(replies):
            while len(self._flying) < min(self.law.width, self.demand):
                self._send()
            busy = len(self._flying)
            self.now, _, began, key = heapq.heappop(self._flying)
            self.law.succeeded(key, began, self.now - began, busy)
            seen.append(self.law.width)
        return seen


def mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("capacity", [1, 2, 4, 8])
def test_the_width_ends_near_what_the_server_can_do_at_once(capacity: int, seed: int) -> None:
    end = Server(ControlLaw(20), capacity, seed=seed).widths(4000)[1000:]
    assert capacity * 0.75 <= mean(end) <= max(2.2 * capacity, 7)
    assert max(end) <= max(3 * capacity, 12)


@pytest.mark.parametrize("capacity", [2, 4, 8])
def test_a_narrower_width_costs_next_to_no_throughput(capacity: int) -> None:
    server = Server(ControlLaw(20), capacity, noise=0.0)
    server.widths(4000)
    assert server.now == pytest.approx(4000 * 0.2 / capacity, rel=0.06)


def test_the_width_does_not_creep_up_in_the_long_run() -> None:
    server = Server(ControlLaw(20), 4)
    end = server.widths(60_000)[-10_000:]
    assert server.now > 2000
    assert mean(end) < 9


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.1, 0.8])
def test_with_room_enough_the_width_stays_however_much_replies_vary(noise: float, seed: int) -> None:
    assert set(Server(ControlLaw(20), 40, noise=noise, seed=seed).widths(5000)) == {20}


def test_a_few_slow_replies_do_not_narrow() -> None:
    law, chance = ControlLaw(20), random.Random(3)
    for number in range(5000):
        law.succeeded("op", number * 0.01, 5.0 if chance.random() < 0.2 else 0.1, 20)
        assert law.width == 20


def test_stalls_of_the_whole_machine_do_not_narrow() -> None:
    server = Server(ControlLaw(20), 40)
    server.stalls = [(second, second + 1.0) for second in range(2, 100, 4)]
    assert set(server.widths(4000)) == {20}
    assert server.now > 20


def test_what_is_slow_for_another_reason_narrows_for_a_short_trial_only() -> None:
    server = Server(ControlLaw(20), 40)
    server.widths(1000)
    server.service = 0.8
    after = server.widths(4000)
    assert min(after) == 10
    assert after.count(20) > 3900


def test_quick_operations_may_slow_down_by_less_than_anybody_notices() -> None:
    server = Server(ControlLaw(20), 4, noise=0.2)
    server.service = 0.005
    assert set(server.widths(4000)) == {20}


def test_operations_are_compared_with_themselves() -> None:
    server = Server(ControlLaw(20), 40, noise=0.1)
    names = itertools.cycle(["quick", "slow"])
    begun: dict[str, int] = {"quick": 0, "slow": 0}

    def key() -> str:
        name = next(names)
        begun[name] += 1
        server.service = 0.1 if name == "quick" else 2.0
        return name

    server.key = key
    assert set(server.widths(4000)) == {20}
    assert min(begun.values()) > 1000


def test_latency_without_a_key_says_nothing() -> None:
    server = Server(ControlLaw(20), 2)
    server.key = lambda: None
    assert set(server.widths(2000)) == {20}


def test_when_the_server_has_room_again_the_width_grows_back() -> None:
    server = Server(ControlLaw(20), 4)
    assert max(server.widths(3000)[-500:]) < 14
    server.grow(40)
    assert server.widths(2000)[-1] == 20


def test_one_caller_at_a_time_has_no_queue_of_its_own_to_shorten() -> None:
    server = Server(ControlLaw(20), 4)
    server.demand = 1
    server.widths(200)
    server.service = 3.0
    assert set(server.widths(200)) == {20}


def test_a_refusal_halves_once_an_episode() -> None:
    law = ControlLaw(20)
    for _ in range(20):
        law.refused(began=1.0, now=2.0)
    assert law.width == 10
    law.refused(began=2.0, now=2.5)
    assert law.width == 10, "it was sent no later than the width was halved"
    law.refused(began=2.1, now=3.0)
    assert law.width == 5


def test_the_width_never_falls_below_one() -> None:
    law = ControlLaw(3)
    for second in range(10):
        law.refused(began=second + 0.5, now=second + 1.0)
    assert law.width == 1


def test_after_a_refusal_the_width_grows_back_by_one_for_a_round_of_successes() -> None:
    law = ControlLaw(20)
    law.refused(began=1.0, now=2.0)
    widths: list[int] = []
    for number in range(200):
        law.succeeded("op", 3.0 + number, 0.1, 5)
        widths.append(law.width)
    assert widths[9] == 10
    assert widths[10] == 11
    assert widths == sorted(widths)
    assert widths[-1] == 20


def test_somewhat_slow_for_good_does_not_keep_it_narrow_for_ever() -> None:
    law, widths = ControlLaw(20), []
    for number in range(16):
        law.succeeded("op", float(number), 0.3, 10)
    law.refused(began=16.0, now=17.0)
    for number in range(1000):
        law.succeeded("op", 18.0 + number, 0.5, 10)
        widths.append(law.width)
    assert set(widths[20:250]) == {11}, "it does not grow while replies are slower than usual"
    assert widths[-1] == 20, "but they are usual by now"


def test_a_trial_whose_operation_is_no_longer_called_is_given_up() -> None:
    law, now = ControlLaw(20), 0.0
    for latency in [0.1] * 16 + [1.0] * 32:
        now += 2.0
        law.succeeded("gone", now, latency, 20)
    assert law.width == 10
    for _ in range(16 * 4):
        now += 2.0
        law.succeeded("other", now, 0.1, 20)
    for _ in range(200):
        now += 2.0
        law.succeeded("other", now, 0.1, 20)
    assert law.width == 20


def on_trial() -> tuple[ControlLaw, float]:
    """Return a law that is trying out half the width for an operation, and the time."""
    law, now = ControlLaw(20), 0.0
    for latency in [0.1] * 16 + [1.0] * 32:
        now += 2.0
        law.succeeded("op", now, latency, 20)
    assert law.width == 10
    return law, now


def test_replies_that_say_nothing_end_a_trial_that_is_over_too() -> None:
    law, now = on_trial()
    for _ in range(30):
        now += 2.0
        law.succeeded(None, now, 0.1, 10)
        assert law.width == 10
    now += 2.0
    law.succeeded(None, now, 0.1, 10)
    assert law.width == 20


def test_many_operations_with_few_calls_each_end_a_trial_that_is_over() -> None:
    law, now = on_trial()
    for number in range(200):
        now += 2.0
        law.succeeded(f"op {number}", now, 0.1, 10)
    assert law.width == 20


def test_a_trial_is_decided_by_its_own_replies_however_late_they_are() -> None:
    law, now = on_trial()
    for _ in range(15):
        now += 20.0
        law.succeeded("op", now, 1.0, 10)
    assert law.width == 10
    for _ in range(1000):
        now += 20.0
        law.succeeded("op", now, 1.0, 20)
        assert law.width == 20, "it did not help, slow is usual now"


@pytest.mark.parametrize("seconds", [2.0, 5.0, 10.0, 25.0])
def test_what_takes_minutes_for_a_round_narrows_for_one_trial_only(seconds: float) -> None:
    server = Server(ControlLaw(20), 40)
    server.widths(1000)
    server.service = seconds * 4
    after = server.widths(3000)
    assert min(after) == 10
    assert after.count(20) > 2900


def test_several_slow_operations_do_not_narrow_one_after_the_other() -> None:
    law, now, widths = ControlLaw(20), 0.0, list[int]()
    for number in range(6000):
        now += 3.0
        law.succeeded(f"op {number % 3}", now, 0.1 if number < 300 else 1.0, law.width)
        widths.append(law.width)
    assert min(widths) == 10
    assert widths.count(20) > 5900


def test_a_refusal_ends_a_trial_and_nothing_is_given_back() -> None:
    law, now = ControlLaw(20), 0.0
    for latency in [0.1] * 16 + [1.0] * 32:
        now += 2.0
        law.succeeded("op", now, latency, 20)
    law.refused(began=now + 1.5, now=now + 2.0)
    assert law.width == 5
    for _ in range(16):
        now += 3.0
        law.succeeded("op", now, 1.0, 5)
    assert law.width < 10
