"""Reading a task from an ASGI application in the process, as tests of an application do: against bare httpx.

Both call over ``httpx.ASGITransport``. httpx gets and decodes JSON; ours is a whole call up to the typed model.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from benchmarks.harness import Goal, Line
from benchmarks.sampling import Job, lines

_GOALS = {1: Goal(1.6, stretch=1.0)}


def measure(rounds: int) -> Iterator[Line]:
    """Measure calls in the process."""
    ours = Job(side="tallyfy_async", calls=40)
    yield from lines("asgi", "over ASGITransport", rounds, [ours, evolve(ours, side="httpx")], _GOALS)
