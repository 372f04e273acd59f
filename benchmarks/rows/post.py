"""Creating a task: a small JSON body goes out, 1.5 KB come back. Processor time of the client for a call.

Ours checks the fields and refuses unknown ones, sends, and builds the typed model; httpx posts a dict and decodes JSON.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from benchmarks.harness import Goal, Line, server
from benchmarks.sampling import Job, lines

_GOALS = {1: Goal(1.15, stretch=0.6), 20: Goal(0.65, stretch=0.3)}


def measure(rounds: int) -> Iterator[Line]:
    """Measure creating a task."""
    with server() as url:
        ours = Job(side="tallyfy_async", what="create", url=url, at_once=tuple(_GOALS), connections=100)
        stock = evolve(ours, side="httpx", connections=1_000)
        yield from lines("post", "POST of a task", rounds, [ours, stock], _GOALS)
        others = [evolve(ours, side=side) for side in ("aiohttp", "tallyfy")]
        yield from lines("post", "POST of a task", rounds, [ours, *others])
