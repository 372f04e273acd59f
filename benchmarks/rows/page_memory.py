"""Memory while 1,000 pages of 100 tasks stream by: how far the peak goes beyond what is resident after page 10.

Each walk is a process of its own; the pages of 150 KB come from a server in another one. The figure is the largest
resident size of the whole walk less the size after 1,000 tasks, in MiB. The row fails unless every task came once, in
order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from time import perf_counter

import anyio

from benchmarks.harness import Goal, Line, in_fresh, memory, peak_memory, server
from benchmarks.payload import PER_PAGE
from benchmarks.reading import TOKEN, check, check_all, tasks_of
from benchmarks.server import PAGES
from tallyfy_async import TallyfyClient
from tallyfy_async.models import Task

_MARK = 10 * PER_PAGE


async def _drain(tasks: AsyncIterator[Task]) -> tuple[int, int]:
    """Return how many tasks came, and the resident size after the first ten pages."""
    seen = resident = 0
    async for task in tasks:
        check(task.id, seen)
        seen += 1
        if seen == _MARK:
            resident = memory()
    return seen, resident


async def _walk(url: str, concurrency: int) -> tuple[int, int]:
    async with TallyfyClient(TOKEN, base_url=url) as client:
        pager = tasks_of(client)
        if not concurrency:
            return await _drain(aiter(pager))
        async with pager.prefetch(concurrency) as tasks:
            return await _drain(tasks)


def walk(url: str, concurrency: str) -> tuple[float, float]:
    """Read all pages in this process; return the growth in MiB and the seconds it took."""
    started = perf_counter()
    seen, resident = anyio.run(_walk, url, int(concurrency))
    check_all(seen, PAGES)
    return (peak_memory() - resident) / 2**20, perf_counter() - started


def measure(rounds: int) -> Iterator[Line]:
    """Measure memory of both ways to walk. Sizes hardly vary, so two walks each are enough."""
    with server() as url:
        for name, concurrency, goal in (
            ("one after another", 0, Goal(5, stretch=2)),
            ("prefetch(10)", 10, Goal(15, stretch=10)),
        ):
            walks = [in_fresh(walk, url, str(concurrency)) for _ in range(min(rounds, 2))]
            grown, seconds = zip(*walks, strict=True)
            case = f"{PAGES:,} pages, {name}"
            yield Line(row="page_memory", case=case, unit="MiB", ours=grown, best=max, goal=goal)
            yield Line(row="page_memory", case=f"{case}, time", unit="s", ours=seconds)
