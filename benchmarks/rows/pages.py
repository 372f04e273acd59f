"""100 pages of 100 tasks over a line of 50 ms: pages ahead, against the official SDK, which reads one after another.

Time from before the client is made to after the last task, models included. What it takes is mostly the line, which
hardly varies, so two rounds are enough. One after another is shown as information: what is left is ours and theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter

from benchmarks.harness import Goal, Line, alternate, server
from benchmarks.reading import check_all, read, read_officially

_PAGES = 100
_DELAY = 50


def _rate(walk: Callable[[], int]) -> float:
    """Return pages per second."""
    started = perf_counter()
    check_all(walk(), _PAGES)
    return _PAGES / (perf_counter() - started)


def measure(rounds: int) -> Iterator[Line]:
    """Measure walks with a window of 10 and of 20 pages, and without one."""
    with server() as plain:
        url = f"{plain}/delay-{_DELAY}/pages-{_PAGES}"
        official, *ours = alternate(
            min(rounds, 2),
            partial(_rate, partial(read_officially, url)),
            *(partial(_rate, partial(read, url, window)) for window in (0, 10, 20)),
        )
    cases = ("one after another", "prefetch(10)", "prefetch(20)")
    goals = (None, Goal(5, ">=", stretch=7), Goal(7, ">=", stretch=9))
    for case, figures, goal in zip(cases, ours, goals, strict=True):
        named = f"{_PAGES} pages at {_DELAY} ms, {case}, against the official SDK"
        yield Line(row="pages", case=named, unit="pages/s", ours=figures, peer=official, best=max, goal=goal)
