"""Figures of one side, taken in a process of its own that is kept on one core: processor time and rates of calls."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic, process_time
from typing import Any, Literal, TypeVar

import anyio
from attrs import asdict, field, frozen

from benchmarks.cpu import pin
from benchmarks.harness import Goal, Line, RowError, alternate, in_fresh, leaves
from benchmarks.sides import ASYNC_SIDES, NAMES, THREAD_SIDES, Target

_BATCHES = (3, 15)
_ENOUGH = 600
"""Calls after which no further batch is made: short ones are many, as one that nothing disturbs is enough."""

What = Literal["get", "page", "create"]

R = TypeVar("R")


def _numbers(given: Any) -> tuple[int, ...]:
    return tuple(given)


@frozen(kw_only=True)
class Job:
    """What to measure.

    Attributes:
        side: the library, a name in :data:`benchmarks.sides.ASYNC_SIDES` or ``THREAD_SIDES``.
        what: the call.
        url: base URL of the server; empty: an ASGI application in the process.
        at_once: numbers of callers, measured one after another.
        calls: calls of each of 3 to 15 batches, the best of which counts; at least three for two callers.
        ca: path of the PEM file of the CA to trust.
        connections: connections at once; 0: as many as the library has by default, -1: as many as callers.
        backend: the event loop of the sides that have one.
        without: modules that are hidden, as if they were not installed.

    """

    side: str
    what: What = "get"
    url: str = ""
    at_once: tuple[int, ...] = field(default=(1,), converter=_numbers)
    calls: int = 20
    ca: str = ""
    connections: int = 0
    backend: str = "asyncio"
    without: str = ""

    def cpu(self) -> tuple[float, ...]:
        """Return the milliseconds of processor time of a call, for each number of callers, from a fresh process."""
        return tuple(in_fresh(cpu, json.dumps(asdict(self))))

    def rate(self) -> tuple[float, ...]:
        """Return calls a second, for each number of callers, from a fresh process."""
        return tuple(in_fresh(rate, json.dumps(asdict(self))))

    def target(self, callers: int) -> Target:
        """Return where the side calls."""
        connections = callers if self.connections < 0 else self.connections
        return Target(url=self.url or "http://127.0.0.1:9", ca=self.ca, connections=connections, app=self._app)

    def batch(self, callers: int) -> int:
        """Return how many calls so many callers make in a batch."""
        return max(self.calls, 3 * callers // 2)

    @property
    def _app(self) -> Any:
        if self.url:
            return None
        from benchmarks.application import application

        return application


def lines(
    row: str,
    case: str,
    rounds: int,
    sides: Sequence[Job],
    goals: Mapping[int, Goal] | None = None,
    *,
    rates: bool = False,
    against: str | None = None,
) -> Iterator[Line]:
    """Measure the first side and its peers in turns, by processor time or by rate.

    There is a line for each peer and number of callers; ``against`` is the peer's name where that of its side will not
    do. Peers without goals are information, and two rounds are enough for them.
    """
    measured = alternate(rounds if goals else min(rounds, 2), *(one.rate if rates else one.cpu for one in sides))
    for peer, theirs in zip(sides[1:], measured[1:], strict=True):
        for at, callers in enumerate(sides[0].at_once):
            yield Line(
                row=row,
                case=f"{case}, {callers} at once, against {against or NAMES[peer.side]}",
                unit="calls/s" if rates else "ms CPU",
                ours=tuple(sample[at] for sample in measured[0]),
                peer=tuple(sample[at] for sample in theirs),
                best=max if rates else min,
                goal=(goals or {}).get(callers),
            )


def _prepared(text: str) -> Job:
    job = Job(**json.loads(text))
    sys.modules.update(dict.fromkeys(job.without.split(), None))  # type: ignore[arg-type]  # None: cannot be imported
    pin(0)
    return job


def cpu(text: str) -> list[float]:
    """Measure processor time in this process."""
    job = _prepared(text)
    if job.side in THREAD_SIDES:
        with THREAD_SIDES[job.side](job.target(max(job.at_once))) as calls:
            return [_threads(getattr(calls, job.what), callers, job.batch(callers)) for callers in job.at_once]
    return _run(partial(_tasks, job), job.backend)


def _run(function: Callable[[], Awaitable[R]], backend: str) -> R:
    try:
        return anyio.run(function, backend=backend)
    except ExceptionGroup as group:
        raise next(leaves(group)) from None  # the last line of a process's own words tells what it was


async def _tasks(job: Job) -> list[float]:
    async with ASYNC_SIDES[job.side](job.target(max(job.at_once))) as calls:
        call = getattr(calls, job.what)
        return [await _best(call, callers, job.batch(callers)) for callers in job.at_once]


async def _best(call: Callable[[], Awaitable[object]], callers: int, calls: int) -> float:
    """Return milliseconds of a call: the best batch, after calls that open the connections and do not count."""
    await _batch(call, callers, callers + 5)
    return min([await _batch(call, callers, calls) for _ in range(_batches(calls))]) * 1e3


def _batches(calls: int) -> int:
    fewest, most = _BATCHES
    return max(fewest, min(most, _ENOUGH // calls))


async def _batch(call: Callable[[], Awaitable[object]], callers: int, calls: int) -> float:
    left, started = iter(range(calls)), process_time()

    async def work() -> None:
        for _ in left:
            await call()

    if callers == 1:
        await work()
    else:
        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(work)
    return (process_time() - started) / calls


def _threads(call: Callable[[], object], callers: int, calls: int) -> float:
    with ThreadPoolExecutor(callers) as threads:
        _thread_batch(threads, call, callers, callers + 5)
        return min(_thread_batch(threads, call, callers, calls) for _ in range(_batches(calls))) * 1e3


def _thread_batch(threads: ThreadPoolExecutor, call: Callable[[], object], callers: int, calls: int) -> float:
    started = process_time()
    if callers == 1:  # no thread, as whoever calls one after another needs none
        for _ in range(calls):
            call()
    else:
        for done in [threads.submit(call) for _ in range(calls)]:
            done.result()
    return (process_time() - started) / calls


def rate(text: str) -> list[float]:
    """Measure calls a second in this process."""
    job = _prepared(text)
    return [_run(partial(_rate, job, callers), job.backend) for callers in job.at_once]


_OPENING, _WINDOW, _WINDOWS = 3, 0.5, 3


async def _rate(job: Job, callers: int) -> float:
    """Return the calls a second that end within a window, the best of some.

    The first begins when as many calls have ended as there are callers, or after some seconds.
    """
    async with ASYNC_SIDES[job.side](job.target(callers)) as calls:
        call, done, opened = getattr(calls, job.what), 0, anyio.Event()
        best = 0.0

        async def work() -> None:
            nonlocal done
            while True:
                await call()
                done += 1
                if done == callers:
                    opened.set()

        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(work)
            with anyio.move_on_after(_OPENING):
                await opened.wait()
            for _ in range(_WINDOWS):
                before, started = done, monotonic()
                await anyio.sleep(_WINDOW)
                elapsed = monotonic() - started
                best = max(best, (done - before) / elapsed if elapsed else 0.0)
            group.cancel_scope.cancel()
    if not best:
        msg = f"{job.side} ended no call within {_WINDOWS} windows of {_WINDOW} s"
        raise RowError(msg)
    return best
