"""What the scripts decide, on a real server at a time that the test sets, whatever is asked in whatever order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis

from tallyfy_async.fleet.decisions import HORIZON, Asked, asked, attendance, verdict
from tallyfy_async.fleet.scripts import ATTEND, DECIDE, LEAVE, PAUSE
from tests.fleet.limiter.rig import at_given_time, set_time
from tests.redis_server import RedisServer

START = 1_780_000_000.0


@pytest.fixture
def admin(server: RedisServer) -> Iterator[Redis]:
    with server.admin() as admin:
        yield admin


class Decided(RuleBasedStateMachine):
    """Calls of three processes for two users of one organization. A full bucket and what comes in is never exceeded."""

    admin: Redis

    @initialize(
        interval=st.sampled_from([0.01, 0.1, 0.15, 1.0]),
        burst=st.integers(1, 8),
        wider=st.sampled_from([0.5, 1.0, 1.5, 3.0]),
        fleet=st.integers(1, 4),
    )
    def begin(self, interval: float, burst: int, wider: float, fleet: int) -> None:
        self.admin.flushall()
        self.now = START
        self.rates = {"ada": (interval, burst), "bob": (interval, burst), "acme": (interval / wider, burst)}
        self.begun: dict[str, list[float]] = defaultdict(list)
        self.paused: dict[str, float] = {}
        self.scripts = {text: self.admin.register_script(at_given_time(text)) for text in (DECIDE, PAUSE, ATTEND)}
        set_time(self.admin, self.now)
        for number in range(fleet):
            self.scripts[ATTEND](keys=["members", "slots"], args=[f"process {number}", 86_400_000, 0, 0, 0, 0])
        self.fleet = fleet

    @rule(seconds=st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.3, 2.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        who=st.sampled_from(["ada", "bob"]),
        wanted=st.integers(1, 30),
        shared=st.booleans(),
        waited=st.booleans(),
        spent=st.booleans(),
    )
    def ask(self, who: str, wanted: int, *, shared: bool, waited: bool, spent: bool) -> None:
        names = [who, "acme"] if shared else [who]
        buckets = [
            Asked(name=name, interval=self.rates[name][0], burst=self.rates[name][1], spent=spent) for name in names
        ]
        set_time(self.admin, self.now)
        keys, arguments = asked("members", buckets, wanted, waited=waited)
        said = verdict(self.scripts[DECIDE](keys=keys, args=arguments))
        assert said.fleet == self.fleet
        assert len(said.waits) <= wanted
        assert bool(said.waits) != bool(said.again)
        assert list(said.waits) == sorted(said.waits)
        assert all(0 <= wait <= HORIZON + 1e-6 for wait in said.waits)
        assert said.again < 8 * (self.fleet + 2) * max(HORIZON, *(rate for rate, _ in self.rates.values())) + max(
            [0.0, *(end - self.now for end in self.paused.values())]
        )
        for name in names:
            if said.waits:
                assert self.now >= self.paused.get(name, 0.0) - 1e-3
            self.begun[name] += [self.now + wait for wait in said.waits]

    @rule(who=st.sampled_from(["ada", "bob"]), seconds=st.sampled_from([0.05, 1.0, 20.0]))
    def pause(self, who: str, seconds: float) -> None:
        set_time(self.admin, self.now)
        self.scripts[PAUSE](keys=[who], args=[seconds * 1000])
        self.paused[who] = max(self.paused.get(who, 0.0), self.now + seconds)

    @rule()
    def forget(self) -> None:
        """Lose everything but who there is, as a failover does: what was let in ahead is not known any more."""
        self.admin.delete("ada", "bob", "acme")
        self.paused.clear()
        self.begun.clear()

    @invariant()
    def the_caps_hold(self) -> None:
        for name, times in getattr(self, "begun", {}).items():
            interval, burst = self.rates[name]
            ordered = sorted(times)
            for last in range(len(ordered)):
                first = max(0, last - 3 * burst - 20)
                for earlier in range(first, last + 1):
                    took = ordered[last] - ordered[earlier]
                    assert last - earlier + 1 <= burst + took / interval + 0.01


@pytest.mark.once
def test_no_order_of_questions_exceeds_a_cap(admin: Redis) -> None:
    class OnThisServer(Decided):
        pass

    OnThisServer.admin = admin
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OnThisServer,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def decide(
    admin: Redis, now: float, *, waited: bool = False, wanted: int = 1, spent: bool = False
) -> tuple[float, ...]:
    """Ask for calls of one a second; return when they may begin, or minus the time at which to come again."""
    set_time(admin, now)
    bucket = Asked(name="ada", interval=1.0, burst=2, spent=spent)
    keys, arguments = asked("members", [bucket], wanted, waited=waited)
    said = verdict(admin.eval(at_given_time(DECIDE), len(keys), *keys, *arguments))
    return said.waits or (-said.again,)


@pytest.mark.once
def test_who_has_to_wait_is_told_a_time_of_his_own(admin: Redis) -> None:
    assert decide(admin, START) == (0,)
    told = [-decide(admin, START)[0] for _ in range(5)]
    assert [round(later - earlier, 3) for earlier, later in pairwise(told)] == [1.0] * 4
    assert decide(admin, START + told[0], waited=True) == (0,)
    assert decide(admin, START + told[0])[0] < 0  # who did not wait goes behind those who do


@pytest.mark.once
def test_those_who_do_not_come_again_hold_nobody_up(admin: Redis) -> None:
    decide(admin, START)
    told = [-decide(admin, START)[0] for _ in range(50)]
    assert decide(admin, START + 2)[0] < 0
    assert decide(admin, START + 5) == (0,)
    assert told[-1] > 10


@pytest.mark.once
def test_a_bucket_that_the_server_forgot_begins_with_one_call(admin: Redis) -> None:
    assert len(decide(admin, START, wanted=2)) == 1
    assert len(decide(admin, START + 60, wanted=2)) == 2
    admin.delete("ada")
    assert len(decide(admin, START + 60, wanted=2)) == 1


@pytest.mark.once
def test_a_bucket_that_was_used_without_the_server_has_nothing_left(admin: Redis) -> None:
    decide(admin, START)
    assert decide(admin, START + 60, wanted=2, spent=True) == (-1,)


@pytest.mark.once
def test_a_server_s_clock_that_goes_back_an_hour_stops_nobody(admin: Redis) -> None:
    decide(admin, START)
    set_time(admin, START)
    admin.eval(at_given_time(PAUSE), 1, "ada", 5000)
    decide(admin, START)
    before = START - 3600
    rest = -decide(admin, before)[0]
    assert 0 < rest <= 5 + 8 * 2 + 2
    assert decide(admin, before + rest, waited=True) == (0,)


def attend(
    admin: Redis, now: float, who: str, running: int, wanted: int, *, had: bool = False
) -> tuple[bool, int, int]:
    set_time(admin, now)
    arguments = [who, 10_000, 4, running, wanted, int(had or running > 0)]
    said = attendance(admin.eval(at_given_time(ATTEND), 2, "members", "slots", *arguments))
    return said.known, said.fleet, said.slots


@pytest.mark.once
def test_slots_go_to_who_asks_and_in_equal_parts_to_who_asks_for_too_many(admin: Redis) -> None:
    assert attend(admin, START, "one", 0, 9) == (False, 1, 4)
    assert attend(admin, START, "two", 0, 9) == (False, 2, 0)
    assert attend(admin, START, "one", 3, 9) == (True, 2, 3)  # it takes none away from a call that runs
    assert attend(admin, START, "two", 0, 9) == (True, 2, 1)
    assert attend(admin, START, "one", 1, 9) == (True, 2, 2)
    assert attend(admin, START, "two", 1, 9) == (True, 2, 2)
    assert attend(admin, START, "two", 0, 0) == (True, 2, 0)
    assert attend(admin, START, "one", 2, 9) == (True, 2, 4)


@pytest.mark.once
def test_where_there_are_fewer_slots_than_processes_who_had_one_goes_to_the_end(admin: Redis) -> None:
    for who in "abcd":
        assert attend(admin, START, who, 0, 1)[2] == 1
        attend(admin, START, who, 1, 1)
    assert attend(admin, START, "e", 0, 1)[2] == 0
    assert attend(admin, START, "a", 0, 1, had=True)[2] == 0
    assert attend(admin, START, "e", 0, 1)[2] == 1
    assert attend(admin, START, "a", 0, 1)[2] == 0


@pytest.mark.once
def test_slots_of_who_is_heard_of_no_more_come_free(admin: Redis) -> None:
    attend(admin, START, "dead", 4, 4)
    assert attend(admin, START + 9.9, "alive", 0, 3) == (False, 2, 0)
    assert attend(admin, START + 10.1, "alive", 0, 3) == (True, 1, 3)
    assert attend(admin, START + 10.2, "dead", 4, 4) == (False, 2, 4)  # it stood still: its calls run, so they count
    assert attend(admin, START + 10.3, "alive", 1, 3) == (True, 2, 1)


@pytest.mark.once
def test_who_leaves_gives_his_slots_back_at_once(admin: Redis) -> None:
    attend(admin, START, "one", 4, 4)
    admin.eval(LEAVE, 2, "members", "slots", "one")
    assert attend(admin, START, "two", 0, 9) == (False, 1, 4)


@pytest.mark.once
def test_the_dead_do_not_live_on_where_the_clock_goes_back(admin: Redis) -> None:
    attend(admin, START, "dead", 4, 4)
    assert attend(admin, START - 3600, "alive", 0, 3) == (False, 2, 0)
    assert attend(admin, START - 3589, "alive", 0, 3) == (True, 1, 3)
