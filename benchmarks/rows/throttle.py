"""1,000 tasks at once at a server that lets in 60 requests in any minute, against tasks that back off by themselves.

The time is simulated (:mod:`benchmarks.throttled`): the figures are those of the servers' and clients' clock, the same
in every run, so each side is measured once. Both naive sides try again for ever, over stock httpx: one with tenacity's
exponential back-off and jitter up to a minute, which does not look at ``Retry-After``; one that waits for as long as
it says. 16 minutes is the least that anybody can need. A side fails unless every task was done exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Goal, Line
from benchmarks.throttled import PER_MINUTE, TASKS, Figures, backing_off, figures_of, obeying, ours

_TIME = Goal(1.1, stretch=1.02)
_REFUSED = Goal(0.05, stretch=0.02)


def measure(rounds: int) -> Iterator[Line]:
    """Simulate the storm once on each side, however many rounds are asked for."""
    del rounds
    mine = figures_of(ours, 0)
    yield from _lines(mine, figures_of(backing_off, 0), "backing off")
    yield from _lines(mine, figures_of(obeying, 0), "waiting for Retry-After")


def _lines(mine: Figures, peers: Figures, name: str) -> Iterator[Line]:
    row, case = "throttle", f"{TASKS:,} tasks, {PER_MINUTE}/min, against tasks {name}"
    yield Line(
        row=row, case=f"{case}: simulated time", unit="s", ours=(mine.seconds,), peer=(peers.seconds,), goal=_TIME
    )
    yield Line(
        row=row, case=f"{case}: 429s", unit="429s/task", ours=(mine.refused,), peer=(peers.refused,), goal=_REFUSED
    )
    yield Line(row=row, case=f"{case}: requests", unit="requests/task", ours=(mine.requests,), peer=(peers.requests,))
