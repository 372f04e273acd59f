"""Calls a second with 100 and 500 callers at once, where the server takes 50 ms: against httpx as it comes.

httpx has 100 connections by default. With 1,000 its pool does worse, which is shown as information. Ours has as many
connections as callers. The bound of the server is 2,000 and 10,000 calls a second.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from benchmarks.harness import Goal, Line, server
from benchmarks.sampling import Job, lines

_GOALS = {100: Goal(2, ">=", stretch=3.3), 500: Goal(5, ">=", stretch=10)}


def measure(rounds: int) -> Iterator[Line]:
    """Measure rates under latency."""
    with server() as url:
        ours = Job(side="tallyfy_async", url=f"{url}/delay-50", at_once=tuple(_GOALS), connections=-1)
        stock = evolve(ours, side="httpx", connections=0)
        yield from lines("latency", "50 ms", rounds, [ours, stock], _GOALS, rates=True)
        ours = evolve(ours, at_once=(100,))
        yield from lines("latency", "50 ms", rounds, [ours, evolve(ours, side="aiohttp")], rates=True)
        raised = evolve(stock, at_once=(100,), connections=1_000)
        yield from lines("latency", "50 ms", rounds, [ours, raised], rates=True, against="httpx with 1,000")
