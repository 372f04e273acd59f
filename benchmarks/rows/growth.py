"""What a page costs in a list of 1 to 1,000 pages, and a call among 10 to 10,000 callers at once of one client.

Every figure stands beside the one for 100 of them, so that a ratio of 1 is growth in a straight line. CPU is the
client's process only; each size is measured in a process of its own, after a first page or call, and small sizes are
repeated. Callers have the client's default of 20 connections, the rest wait for their turn: what grows with them is the
waiting. Large sizes take long, so there are at most three rounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter, process_time

import anyio

from benchmarks import reading
from benchmarks.cpu import pin
from benchmarks.harness import Goal, Line, Samples, in_fresh, server
from benchmarks.reading import TOKEN, check_all, tasks_of
from tallyfy_async import TallyfyClient

_PAGES = {0: (1, 10, 100, 1_000), 10: (100, 1_000)}
"""Window -> sizes."""
_CALLERS = (10, 100, 1_000, 10_000)
_BASE = 100
_FLAT = Goal(1.3)
_WAITING = Goal(2)

Figures = tuple[float, float]
"""Milliseconds of CPU, and of time, for one page or call."""


async def _cost(work: Callable[[], Awaitable[object]], units: int, times: int) -> Figures:
    cpu, time = process_time(), perf_counter()
    for _ in range(times):
        await work()
    scale = 1e3 / (units * times)
    return (process_time() - cpu) * scale, (perf_counter() - time) * scale


def walk(url: str, pages: str, window: str) -> Figures:
    """Return what each page of a walk costs in this process."""
    pin(0)
    return anyio.run(_walk, f"{url}/pages-{pages}", int(pages), int(window))


async def _walk(url: str, pages: int, window: int) -> Figures:
    async with TallyfyClient(TOKEN, base_url=url) as client:
        await tasks_of(client)

        async def work() -> None:
            check_all(await reading.walk(client, window), pages)

        return await _cost(work, pages, max(1, _BASE // pages))


def call(url: str, callers: str) -> Figures:
    """Return what each call costs in this process with so many callers at once."""
    pin(0)
    return anyio.run(_call, url, int(callers))


async def _call(url: str, callers: int) -> Figures:
    async with TallyfyClient(TOKEN, base_url=url) as client:
        get = client.me.get
        await get()

        async def work() -> None:
            async with anyio.create_task_group() as group:
                for _ in range(callers):
                    group.start_soon(get)

        return await _cost(work, callers, max(1, 500 // callers))


def measure(rounds: int) -> Iterator[Line]:
    """Measure walks one after another and with pages ahead, then callers."""
    rounds = min(rounds, 3)
    with server() as url:
        for window, sizes in _PAGES.items():
            walks = {size: partial(in_fresh, walk, url, str(size), str(window)) for size in sizes}
            name = f"pages, prefetch({window})" if window else "pages, one after another"
            yield from _lines(name, "page", _in_turns(rounds, walks), _FLAT)
        calls = {size: partial(in_fresh, call, url, str(size)) for size in _CALLERS}
        yield from _lines("callers", "call", _in_turns(rounds, calls), _WAITING)


def _in_turns(rounds: int, sides: Mapping[int, Callable[[], Figures]]) -> dict[int, list[Figures]]:
    """Measure the sizes in turns; nothing that one process did is left for the next, so every round counts."""
    taken: dict[int, list[Figures]] = {size: [] for size in sides}
    for _ in range(rounds):
        for size, side in sides.items():
            taken[size].append(side())
    return taken


def _lines(what: str, one: str, taken: Mapping[int, Sequence[Figures]], goal: Goal) -> Iterator[Line]:
    """Give a line for the CPU of each size beside the base, the goal for the largest, and one for its time."""
    row, unit, largest = "growth", f"ms/{one}", max(taken)
    base_cpu, base_time = _columns(taken[_BASE])
    for size in sorted(taken.keys() - {_BASE}):
        cpu, time = _columns(taken[size])
        case = f"{size:,} {what}, against {_BASE}"
        bound = goal if size == largest else None
        yield Line(row=row, case=f"{case}: CPU", unit=unit, ours=cpu, peer=base_cpu, goal=bound)
        if size == largest:
            yield Line(row=row, case=f"{case}: time", unit=unit, ours=time, peer=base_time)


def _columns(samples: Sequence[Figures]) -> tuple[Samples, Samples]:
    cpu, time = zip(*samples, strict=True)
    return cpu, time
