"""Memory that 20,000 collected tasks take, against the official SDK's models.

Each list is collected in a process of its own. The figure is what the process has grown by since just before the list
was read, after a first page that loads what a client loads late, over the number of tasks. What the allocator keeps is
in it on both sides. The largest counts. Sizes hardly vary, so two rounds are enough.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial
from itertools import chain

import anyio

from benchmarks.harness import Goal, Line, alternate, in_fresh, memory, server
from benchmarks.payload import PER_PAGE
from benchmarks.reading import TOKEN, check, check_all, official_pages, tasks_of
from tallyfy_async import TallyfyClient

_PAGES = 200


def ours(url: str) -> float:
    """Return the bytes for each task of ours."""
    return anyio.run(_ours, url)


async def _ours(url: str) -> float:
    async with TallyfyClient(TOKEN, base_url=url) as client:
        await tasks_of(client)
        before = _settled()
        tasks = await tasks_of(client).collect()
        return _each(before, [task.id for task in (tasks[0], tasks[-1])], len(tasks))


def official(url: str) -> float:
    """Return the bytes for each task of the official SDK."""
    next(official_pages(url))
    before = _settled()
    tasks = list(chain.from_iterable(official_pages(url)))
    return _each(before, [task.id for task in (tasks[0], tasks[-1])], len(tasks))


def _settled() -> int:
    gc.collect()
    return memory()


def _each(before: int, ends: list[str | None], count: int) -> float:
    grown = _settled() - before
    check_all(count, _PAGES)
    check(ends[0], 0)
    check(ends[1], count - 1)
    return grown / count


def measure(rounds: int) -> Iterator[Line]:
    """Measure collected lists."""
    with server() as plain:
        url = f"{plain}/pages-{_PAGES}"
        mine, peers = alternate(min(rounds, 2), partial(in_fresh, ours, url), partial(in_fresh, official, url))
    case = f"{_PAGES * PER_PAGE:,} tasks in a list, against the official SDK"
    goal = Goal(0.75, stretch=0.65)
    yield Line(row="collected", case=case, unit="bytes/task", ours=mine, peer=peers, best=max, goal=goal)
