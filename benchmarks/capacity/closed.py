"""What is known without a simulation, beside what the simulation says: the closed forms that it has to meet."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from statistics import fmean

import anyio
from attrs import frozen

from benchmarks.capacity.fleet import Mode, Scenario, figures_of, most_in_a_window, run
from benchmarks.capacity.published import USER_PER_MINUTE, WINDOW, defaults
from benchmarks.capacity.shared import Server
from benchmarks.capacity.tallyfy import Limit, Line
from benchmarks.simulated import SimulatedClock, simulate
from tallyfy_async.fleet.limiter import PER_USER
from tallyfy_async.transport.limiter import Limiter

_STILL = Line(network=0.05, work=0.15, spread=0.0)


@frozen(kw_only=True)
class Check:
    """A figure that a formula gives, and the simulation's.

    Attributes:
        name: what it is.
        formula: how it is known.
        expected: what the formula gives.
        found: what the simulation gives.
        unit: of both.
        tolerance: the part by which they may differ.

    """

    name: str
    formula: str
    expected: float
    found: float
    unit: str
    tolerance: float

    @property
    def deviation(self) -> float:
        """The part by which they differ."""
        return abs(self.found / self.expected - 1)

    @property
    def row(self) -> str:
        """The row of the table."""
        said = [f"{figure:.4g} {self.unit}" for figure in (self.expected, self.found)]
        return f"| {self.name} | {self.formula} | {said[0]} | {said[1]} | {self.deviation:.1%} |"


def checks(calls: int = 20_000) -> list[Check]:
    """Simulate what has a closed form; ``calls`` is the length of the queues' experiments."""
    return [connections(), window(), bucket(), little(), rounds(), single_slot(calls), redis_queue(calls)]


def connections() -> Check:
    """Saturate the connections of one process that nothing else bounds."""
    scenario = Scenario(processes=1, callers=60, limits=(), line=_STILL, warm=5.0, seconds=10.0)
    return Check(
        name="one process, 20 connections, replies of 0.2 s",
        formula="connections / latency",
        expected=scenario.connections / (_STILL.network + _STILL.work),
        found=figures_of(run(scenario)).rate,
        unit="calls/s",
        tolerance=0.01,
    )


def window() -> Check:
    """Saturate the server's rolling minute."""
    record = run(Scenario(processes=3, callers=2, line=_STILL, warm=0.0))
    return Check(
        name="three processes that share nothing, any minute",
        formula="the user's limit",
        expected=USER_PER_MINUTE,
        found=most_in_a_window(record.admitted),
        unit="calls",
        tolerance=0.0,
    )


def bucket() -> Check:
    """Saturate the shared bucket."""
    scenario = Scenario(processes=3, callers=2, mode=Mode.BUCKETS, line=_STILL, warm=10.0, seconds=30.0)
    return Check(
        name="three processes that share the pace",
        formula="(limit - burst) / (60 s + twice the patience)",
        expected=(USER_PER_MINUTE - PER_USER.burst) / (WINDOW + 2 * defaults().patience),
        found=figures_of(run(scenario)).rate,
        unit="calls/s",
        tolerance=0.01,
    )


def little() -> Check:
    """Compare the time of a call in a full fleet with the number of calls under way."""
    scenario = Scenario(processes=20, callers=1, mode=Mode.DIVIDED, warm=20.0, seconds=30.0)
    figures = figures_of(run(scenario))
    return Check(
        name="20 processes with a 20th of the limit each, the median call",
        formula="calls under way / rate (Little)",
        expected=scenario.processes * scenario.callers / (USER_PER_MINUTE / 60),
        found=figures.median or 0.0,
        unit="s",
        tolerance=0.02,
    )


def rounds() -> Check:
    """Let more processes than the limit has calls each make one call a round, all at the same moments."""
    most = 60
    scenario = Scenario(processes=100, mode=Mode.DIVIDED, limits=(Limit(most),), seconds=300.0)
    return Check(
        name="100 processes with a 100th of 60 calls a minute each, which come all at once",
        formula="limit / seconds between the calls of one",
        expected=most / (scenario.processes / most * WINDOW),
        found=figures_of(run(scenario)).rate,
        unit="calls/s",
        tolerance=0.01,
    )


def single_slot(calls: int) -> Check:
    """Queue for the only slot of the package's limiter: M/M/1."""
    arrive, serve = 0.7, 1.0
    chance = Random("M/M/1")
    found = simulate(_queue, calls, lambda: chance.expovariate(arrive), lambda: chance.expovariate(serve))
    return Check(
        name="the limiter with one slot, random calls, 70 % busy: the mean call",
        formula="1 / (served - arriving) (M/M/1)",
        expected=1 / (serve - arrive),
        found=found,
        unit="s",
        tolerance=0.1,
    )


async def _queue(calls: int, gap: Callable[[], float], work: Callable[[], float]) -> float:
    clock, took = SimulatedClock(0), list[float]()
    limiter = Limiter(1, clock)

    async def call(seconds: float) -> None:
        began = clock.monotonic()
        await limiter.acquire()
        await clock.sleep(seconds)
        limiter.release()
        took.append(clock.monotonic() - began)

    async with anyio.create_task_group() as group:
        for _ in range(calls):
            await clock.sleep(gap())
            group.start_soon(call, work())
    return fmean(took)


def redis_queue(calls: int) -> Check:
    """Queue for Redis' thread: M/D/1."""
    busy, work = 0.8, 1e-3
    chance = Random("M/D/1")
    found = simulate(_questions, calls, lambda: chance.expovariate(busy / work), work)
    return Check(
        name="Redis' thread, random questions, 80 % busy: the mean wait",
        formula="busy x work / 2 (1 - busy) (M/D/1)",
        expected=1e3 * busy * work / (2 * (1 - busy)),
        found=1e3 * found,
        unit="ms",
        tolerance=0.1,
    )


async def _questions(calls: int, gap: Callable[[], float], work: float) -> float:
    server = Server(SimulatedClock(0), work=lambda: work)
    for _ in range(calls):
        await server.clock.sleep(gap())
        server.queue()
    return server.waited / calls
