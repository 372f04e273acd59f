"""What is simulated for docs/scale.md, and the rows that come of it."""

from __future__ import annotations

import os
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from attrs import evolve, frozen

from benchmarks.capacity.fleet import Figures, Mode, Record, Scenario, figures_of, most_in_a_window, run
from benchmarks.capacity.published import BURST, BURST_SECONDS, INVITES_PER_HOUR, USER_PER_MINUTE, WINDOW, defaults
from benchmarks.capacity.tallyfy import Limit
from tallyfy_async.protocol.limits import GUEST_INVITE, HOUR
from tallyfy_async.resources.guests import CREATE as INVITE

T = TypeVar("T")

PROCESSES = (1, 3, 10, 30, 100, 300, 1_000)
CROWDED = (10, 30, 100, 300)
BURSTING = (10, 100)
FAILING = (10, 100, 1_000)
HOURLY = (1, 10, 100)
AWAY = (90.0, 120.0)
"""When Redis is away in the experiment with its failover, in seconds from the beginning."""
DIES = 60.0
"""When every second process is killed in the experiment with that."""
DYING, SLOTS = 20, 20
"""Processes of that experiment, and the exchanges at once of one of its fleets."""
_MANY, _LONG = 1_000, 300.0
"""Processes whose rhythm is no minute but 100 s, a call of each with a thousandth of the limit; seconds that are whole
rounds of both."""
_STEADY = 30.0
"""Seconds after which a fleet with a bucket goes evenly."""
BIN = 5.0
"""Seconds of a bin of the rate over time."""
_TEN = 10.0
_RECOVERED = 0.95


@frozen(kw_only=True)
class Gap:
    """What a time without something does.

    Attributes:
        processes: how many there are.
        before: calls that the server let in, a second, before it.
        during: the same, in it.
        after: the same, from its end on.
        refused: share of the requests that the server refused from its beginning on.
        most: calls in any minute.
        recovery: seconds from its end until ten seconds had 95 % of the rate of before; None where none had.
        rates: the rate in each of the bins of five seconds.

    """

    processes: int
    before: float
    during: float
    after: float
    refused: float
    most: int
    recovery: float | None
    rates: tuple[float, ...]


def crowds() -> dict[tuple[int, Mode], Scenario]:
    """Return the fleets of one user, in which each process has one call under way."""
    return {
        (number, mode): Scenario(processes=number, mode=mode, seconds=_LONG if number >= _MANY else 2 * WINDOW)
        for number in PROCESSES
        for mode in Mode
    }


def ahead() -> dict[tuple[int, Mode], Scenario]:
    """Return fleets in which each process wants as many calls at once as an export does."""
    return {
        (number, mode): Scenario(processes=number, mode=mode, callers=defaults().ahead)
        for number in CROWDED
        for mode in (Mode.ALONE, Mode.DIVIDED, Mode.BUCKETS)
    }


def bursting() -> dict[tuple[int, Mode], Scenario]:
    """Return fleets whose server has a limit for bursts besides."""
    limits = (Limit(), Limit(BURST, BURST_SECONDS))
    return {
        (number, mode): Scenario(processes=number, mode=mode, limits=limits) for number in BURSTING for mode in Mode
    }


def hourly() -> dict[int, Scenario]:
    """Return fleets that invite guests for hours, each process a further one every minute where it may not."""
    limits = (Limit(), Limit(INVITES_PER_HOUR, HOUR, GUEST_INVITE))
    return {
        number: Scenario(processes=number, operation=INVITE, rests=60.0, limits=limits, warm=HOUR / 2, seconds=4 * HOUR)
        for number in HOURLY
    }


def failing() -> dict[int, Scenario]:
    """Return the fleets whose Redis goes away."""
    return {
        number: Scenario(processes=number, mode=Mode.BUCKETS, outages=(AWAY,), warm=0.0, seconds=180.0)
        for number in FAILING
    }


def dying() -> dict[str, Scenario]:
    """Return the fleets of which every second process is killed, by what they share."""
    fleet = Scenario(processes=DYING, callers=4, dies=DIES, warm=0.0, seconds=120.0)
    return {
        "how many they are": evolve(fleet, mode=Mode.DIVIDED),
        "the pace": evolve(fleet, mode=Mode.BUCKETS),
        f"{SLOTS} slots, no limit of the server": evolve(fleet, mode=Mode.BUCKETS, at_once=SLOTS, limits=()),
    }


def simulated(scenario: Scenario) -> Figures:
    """Simulate and count."""
    return figures_of(run(scenario))


def gap(scenario: Scenario) -> Gap:
    """Simulate and tell what the time without Redis, or until it forgot the dead, did."""
    return gap_of(run(scenario))


def gap_of(record: Record) -> Gap:
    """Tell what the time without Redis, or until it forgot the dead, did."""
    admitted, dies, last = record.admitted, record.scenario.dies, record.scenario.ends
    begin, end = AWAY if dies is None else (dies, dies + defaults().lease)
    rate = partial(_rate, admitted)
    before = rate(_STEADY, begin)
    refused = sum(at >= begin for at in record.refused)
    return Gap(
        processes=record.scenario.processes,
        before=before,
        during=rate(begin, end),
        after=rate(end, last),
        refused=refused / max(1, refused + sum(at >= begin for at in admitted)),
        most=most_in_a_window(admitted),
        recovery=_recovery(rate, before, end, last),
        rates=tuple(rate(BIN * number, BIN * (number + 1)) for number in range(int(last / BIN))),
    )


def _rate(times: Sequence[float], begin: float, end: float) -> float:
    return (bisect_left(times, end) - bisect_left(times, begin)) / (end - begin)


def _recovery(rate: Callable[[float, float], float], before: float, end: float, last: float) -> float | None:
    """Return how long after ``end`` the first ten seconds begin that are as good as before."""
    for tenth in range(int(10 * (last - end - _TEN))):
        begin = end + tenth / 10
        if rate(begin, begin + _TEN) >= _RECOVERED * before:
            return tenth / 10
    return None


def everywhere(work: Callable[[Scenario], T], scenarios: Sequence[Scenario]) -> dict[Scenario, T]:
    """Do all scenarios, on all processors, the largest first; return what came of each, in their order."""
    order = sorted(scenarios, key=lambda one: -one.processes * one.callers * (1 + one.shares))
    found: dict[Scenario, T] = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for one, result in zip(order, pool.map(work, order), strict=True):
            found[one] = result
            print(f"simulated {one.processes:,} processes that share {one.mode.value}", file=sys.stderr, flush=True)
    return {one: found[one] for one in scenarios}


def crowd_row(scenario: Scenario, figures: Figures) -> str:
    """Return a row of the table of fleets."""
    cells = [
        f"{scenario.processes:,}",
        scenario.mode.value,
        f"{figures.rate:.2f}",
        f"{figures.rate * 60 / USER_PER_MINUTE:.0%}",
        f"{figures.refused:.1%}",
        f"{figures.failed:.1%}",
        _seconds(figures.median),
        _seconds(figures.slowest),
        f"{figures.fairness:.2f}",
        f"{figures.questions:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def invitations(scenario: Scenario) -> str:
    """Simulate invitations and return their row: how many there were, and what it took, by the hour."""
    record = run(scenario)
    hours = scenario.seconds / HOUR
    sent, refused = (sum(scenario.warm <= at for at in each) for each in (record.admitted, record.refused))
    tried = sum(call.at >= scenario.warm for calls in record.calls for call in calls)
    most = most_in_a_window(record.admitted, HOUR)
    kept = tried - sent - refused
    return f"| {scenario.processes} | {sent / hours:.1f} | {most} | {refused / hours:.1f} | {kept / hours:,.0f} |"


def gap_row(name: str, found: Gap) -> str:
    """Return a row of the table of processes that die."""
    return f"| {name} | {found.before:.2f} | {found.during:.2f} | {found.after:.2f} | {found.refused:.1%} |"


def failover_row(found: Gap) -> str:
    """Return a row of the table of failovers."""
    cells = [
        f"{found.processes:,}",
        f"{found.before:.2f}",
        f"{found.during:.2f}",
        f"{found.after:.2f}",
        f"{found.refused:.1%}",
        f"{found.most}",
        "not within a minute" if found.recovery is None else f"{found.recovery:.1f} s",
    ]
    return f"| {' | '.join(cells)} |"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
