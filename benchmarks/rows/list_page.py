"""Reading a page of 100 tasks, one call after another: processor time of the client, models included.

Against the official SDK's ``get_my_tasks``, which leaves dates as text. Ours is measured with the standard library's
JSON, which is what the official SDK has, and with orjson. The figures are noisy, so there are at least five rounds.
Information: httpx and aiohttp, which decode and build no models.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from attrs import evolve

from benchmarks.harness import Goal, Line, RowError, server
from benchmarks.sampling import Job, lines

_GOALS = {1: Goal(0.55, stretch=0.3)}


def measure(rounds: int) -> Iterator[Line]:
    """Measure reading a page."""
    if importlib.util.find_spec("orjson") is None:
        msg = "orjson is not installed"
        raise RowError(msg)
    rounds = max(rounds, 5)
    with server() as url:
        fast = Job(side="tallyfy_async", what="page", url=url, calls=12)
        plain, official = evolve(fast, without="orjson"), evolve(fast, side="tallyfy")
        yield from lines("list_page", "100 tasks with json", rounds, [plain, official], _GOALS)
        yield from lines("list_page", "100 tasks with orjson", rounds, [fast, official], _GOALS)
        others = [evolve(fast, side=side) for side in ("httpx", "aiohttp")]
        yield from lines("list_page", "100 tasks with orjson", rounds, [fast, *others])
