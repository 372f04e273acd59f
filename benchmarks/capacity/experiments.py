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

from attrs import frozen

from benchmarks.capacity.fleet import Figures, Mode, Record, Scenario, figures_of, most_in_a_window, run
from benchmarks.capacity.published import USER_PER_MINUTE, defaults

T = TypeVar("T")

PROCESSES = (1, 3, 10, 30, 100, 300, 1_000)
CROWDED = (10, 30, 100, 300)
FAILING = (10, 100)
AWAY = (90.0, 120.0)
"""When Redis is away in the experiment with its failover, in seconds from the beginning."""
_STEADY = 30.0
"""Seconds after which a fleet with a bucket goes evenly."""
_BIN = 10.0
_RECOVERED = 0.95


@frozen(kw_only=True)
class Failover:
    """What Redis' time away does.

    Attributes:
        processes: how many there are.
        before: calls that the server let in, a second, before it.
        during: while it is away.
        after: from its return to the end.
        refused: share of the requests that the server refused from its beginning to the end.
        most: calls in any minute.
        recovery: seconds from its return until ten seconds had 95 % of the rate of before; None where none had.
        rates: the rate in each of the bins of ten seconds.

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
    return {(number, mode): Scenario(processes=number, mode=mode) for number in PROCESSES for mode in Mode}


def ahead() -> dict[tuple[int, Mode], Scenario]:
    """Return fleets in which each process wants as many calls at once as an export does."""
    return {
        (number, mode): Scenario(processes=number, mode=mode, callers=defaults().ahead)
        for number in CROWDED
        for mode in (Mode.ALONE, Mode.DIVIDED, Mode.BUCKETS)
    }


def failing() -> dict[int, Scenario]:
    """Return the fleets whose Redis goes away."""
    return {
        number: Scenario(processes=number, mode=Mode.BUCKETS, outages=(AWAY,), warm=0.0, seconds=180.0)
        for number in FAILING
    }


def simulated(scenario: Scenario) -> Figures:
    """Simulate and count."""
    return figures_of(run(scenario))


def failover(scenario: Scenario) -> Failover:
    """Simulate and tell what the time away did."""
    return failover_of(run(scenario))


def failover_of(record: Record) -> Failover:
    """Tell what the time away did."""
    admitted, (begin, end) = record.admitted, AWAY
    last = record.scenario.warm + record.scenario.seconds
    rate = partial(_rate, admitted)
    before = rate(_STEADY, begin)
    refused = sum(at >= begin for at in record.refused)
    return Failover(
        processes=record.scenario.processes,
        before=before,
        during=rate(begin, end),
        after=rate(end, last),
        refused=refused / max(1, refused + sum(at >= begin for at in admitted)),
        most=most_in_a_window(admitted),
        recovery=_recovery(rate, before, end, last),
        rates=tuple(rate(_BIN * number, _BIN * (number + 1)) for number in range(int(last / _BIN))),
    )


def _rate(times: Sequence[float], begin: float, end: float) -> float:
    return (bisect_left(times, end) - bisect_left(times, begin)) / (end - begin)


def _recovery(rate: Callable[[float, float], float], before: float, end: float, last: float) -> float | None:
    """Return how long after ``end`` the first ten seconds begin that are as good as before."""
    for tenth in range(int(10 * (last - end - _BIN))):
        begin = end + tenth / 10
        if rate(begin, begin + _BIN) >= _RECOVERED * before:
            return tenth / 10
    return None


def everywhere(work: Callable[[Scenario], T], scenarios: Sequence[Scenario]) -> list[T]:
    """Do all scenarios, on all processors, the largest first; return what came of each, in their order."""
    order = sorted(scenarios, key=lambda one: -one.processes * one.callers * (1 + one.shares))
    found: dict[Scenario, T] = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for one, result in zip(order, pool.map(work, order), strict=True):
            found[one] = result
            print(f"simulated {one.processes:,} processes that share {one.mode.value}", file=sys.stderr, flush=True)
    return [found[one] for one in scenarios]


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


def failover_row(found: Failover) -> str:
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
