"""A page of 100 tasks from bytes to models, against the official SDK's ``from_dict``, which leaves dates as text.

Both start from the same body. Our models check types, read dates and keep unknown keys. The official SDK decodes with
the standard library, as it does over requests; ours is shown with it and with orjson.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from benchmarks.harness import Goal, Line, RowError, alternate
from benchmarks.payload import Pages
from tallyfy_async import models
from tallyfy_async.protocol.converter import structure

_TIMES = 20
_KIND = tuple[models.Task, ...]


def _of(read: Callable[[bytes], Any], body: bytes) -> Callable[[], float]:
    def measured() -> float:
        """Return milliseconds for a page, the best of some."""
        best = float("inf")
        for _ in range(_TIMES):
            started = perf_counter()
            read(body)
            best = min(best, perf_counter() - started)
        return best * 1e3

    return measured


def measure(rounds: int) -> Iterator[Line]:
    """Measure decoding and structuring with both JSON libraries."""
    try:
        import orjson
        from tallyfy.models import Task
    except ImportError as error:
        raise RowError(f"{error.name} is not installed") from error
    body = Pages(1).encode(1)

    def official(content: bytes) -> Any:
        return [Task.from_dict(entry) for entry in json.loads(content)["data"]]

    peer, plain, fast = alternate(
        rounds,
        _of(official, body),
        _of(lambda content: structure(json.loads(content)["data"], _KIND), body),
        _of(lambda content: structure(orjson.loads(content)["data"], _KIND), body),
    )
    row, unit = "structuring", "ms"
    yield Line(row=row, case="100 tasks with json", unit=unit, ours=plain, peer=peer, goal=Goal(0.6))
    yield Line(row=row, case="100 tasks with orjson", unit=unit, ours=fast, peer=peer, goal=Goal(0.4))
