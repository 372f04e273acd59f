"""Reading one task of 1.5 KB: processor time of the client for a call, with 1, 20 and 100 callers at once.

Ours are whole calls: token, pace, deadline, retries, decoding, typed model. Peers get and decode JSON, and the official
SDK builds its own model; requests and it serve many callers by threads. Each sample is a process of its own on one
core; the server has the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from benchmarks.harness import Goal, Line, server
from benchmarks.sampling import Job, lines

_GOALS = {1: Goal(1.15, stretch=0.6), 20: Goal(0.65, stretch=0.3), 100: Goal(0.5, stretch=0.3)}


def measure(rounds: int) -> Iterator[Line]:
    """Measure reading a task."""
    with server() as url:
        ours = Job(side="tallyfy_async", url=url, at_once=tuple(_GOALS), connections=100)
        stock = evolve(ours, side="httpx", connections=1_000)
        yield from lines("requests", "GET of a task", rounds, [ours, stock], _GOALS)
        others = [evolve(ours, side=side) for side in ("aiohttp", "requests", "tallyfy")]
        yield from lines("requests", "GET of a task", rounds, [ours, *others])
