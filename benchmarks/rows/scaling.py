"""An export on one, two and four of Dask's workers, where the server's latency is what takes time: how much faster.

The server, a sandbox in another process, answers each call after half a second. A worker reads two units
at once, of a page each; the first page tells how many follow, so the ideal is one reply and then as few turns as the
workers need for the rest. Each cluster exports once before it is measured,
so that its workers have loaded everything.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from functools import partial
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import anyio

from benchmarks.fleet.chaos import environment
from benchmarks.harness import Goal, Line, RowError, line_of, peer, running
from tallyfy_async import TallyfyClient

_LATENCY = 0.5
_TASKS = 4_000
_WORKERS = (1, 2, 4)
_ABREAST = 2


def measure(rounds: int) -> Iterator[Line]:
    """Measure the same export on clusters of one, two and four workers."""
    words = ("--latency", str(_LATENCY), "--runs", "1", "--tasks", str(_TASKS), "--templates", "1")
    peer("distributed")
    with running("tallyfy_async.sandbox", *words) as process:
        told = json.loads(line_of(process))
        with environment({"TALLYFY_ACCESS_TOKEN": told["personal_token"]}):
            times = {workers: _times(told, workers, min(rounds, 3)) for workers in _WORKERS}
    for workers in _WORKERS[1:]:
        faster = tuple(min(times[1]) / seconds for seconds in times[workers])  # no luck from a slow round of the one
        ideal = _turns(1) / _turns(workers)
        goal = Goal(0.65 * ideal, ">=", stretch=0.85 * ideal)
        case = f"{workers} workers at {_LATENCY * 1e3:.0f} ms, against one (ideal {ideal:.1f})"
        yield Line(row="scaling", case=case, unit="times", ours=faster, best=max, goal=goal)


def _turns(workers: int) -> int:
    """Return how many replies after one another an export takes at least."""
    return 1 + ceil((_TASKS // 100 - 1) / (_ABREAST * workers))


def _times(told: dict[str, Any], workers: int, rounds: int) -> tuple[float, ...]:
    distributed = peer("distributed")
    with (
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=_ABREAST,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as dask,
    ):
        dask.wait_for_workers(workers)
        return tuple([_one(told, dask) for _ in range(rounds + 1)][1:])


def _one(told: dict[str, Any], dask: Any) -> float:
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        started = perf_counter()
        rows = anyio.run(partial(_export, told, dask, Path(folder, "out")))
        seconds = perf_counter() - started
    if rows != _TASKS:
        msg = f"{rows} tasks of {_TASKS}"
        raise RowError(msg)
    return seconds


async def _export(told: dict[str, Any], dask: Any, out: Path) -> int:
    from tallyfy_async import fleet

    async with TallyfyClient(os.environ["TALLYFY_ACCESS_TOKEN"], base_url=told["url"]) as tallyfy:
        orgs = [tallyfy.organization(told["organization"])]
        access = fleet.Access.of(tallyfy)
        report = await fleet.export(orgs, to=fleet.NDJSON(out), dask=dask, access=access, kinds=["tasks"], pages=1)
    return report.rows
