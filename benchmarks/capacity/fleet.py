"""A fleet at work: so many processes, each with its own client and callers that call one time after another."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from enum import Enum
from functools import partial
from random import Random

import anyio
from attrs import define, field, frozen

from benchmarks.capacity.published import WINDOW, defaults
from benchmarks.capacity.shared import Server, Wire
from benchmarks.capacity.tallyfy import Limit, Line, Tallyfy
from benchmarks.simulated import SimulatedClock, simulate
from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.plan import Call
from tallyfy_async.engine.policy import RetryPolicy
from tallyfy_async.errors import TallyfyError
from tallyfy_async.fleet import RedisLimiter
from tallyfy_async.fleet.limiter import PER_USER
from tallyfy_async.protocol.operation import Operation, Safety
from tallyfy_async.resources.tasks import LIST
from tallyfy_async.telemetry import logger
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.exchange import Timeouts
from tallyfy_async.transport.limiter import Limiter, RateLimit
from tallyfy_async.transport.pace import Pace
from tallyfy_async.transport.shelter import LoopGuard

_STARTS = 5.0
"""Seconds within which all processes begin, each at its moment."""
_ORGANIZATION = 32 * "0"
_NO_CAP = 600_000.0
"""Calls a minute that nobody reaches: what is left of a shared pace is the shared pause."""


class Mode(Enum):
    """What the processes know of each other."""

    ALONE = "nothing"
    PAUSE = "the pause after a 429"
    DIVIDED = "how many they are"
    BUCKETS = "the pace"


@frozen(kw_only=True)
class Scenario:
    """What is simulated.

    Attributes:
        processes: how many there are, all for one user.
        mode: what they share.
        callers: calls that each process wants to have under way.
        operation: what they call.
        rests: seconds after which a caller whose call failed makes the next one.
        connections: exchanges at once of one process.
        at_once: exchanges at once of all, None for no end.
        limits: what the server allows.
        line: how long things take.
        warm: seconds that do not count.
        seconds: those that do, after them: whole rounds of every rhythm that the fleet may have.
        deadline: seconds of a call.
        outages: when Redis is away.
        dies: when every second process is killed, None for never.
        seed: of all chance.

    """

    processes: int
    mode: Mode = Mode.ALONE
    callers: int = 1
    operation: Operation = LIST
    rests: float = 1.0
    connections: int = field(factory=lambda: defaults().connections)
    at_once: int | None = None
    limits: tuple[Limit, ...] = (Limit(),)
    line: Line = field(factory=Line)
    warm: float = WINDOW
    seconds: float = 2 * WINDOW
    deadline: float = field(factory=lambda: defaults().deadline)
    outages: tuple[tuple[float, float], ...] = ()
    dies: float | None = None
    seed: int = 0

    @property
    def ends(self) -> float:
        """When it is over."""
        return self.warm + self.seconds

    @property
    def shares(self) -> bool:
        """Whether the processes have a Redis in common."""
        return self.mode in {Mode.PAUSE, Mode.BUCKETS}

    @property
    def rate(self) -> RateLimit | None:
        """The configured rate: the first limit, or a process's part of it; None where nobody keeps to one."""
        if self.mode in {Mode.ALONE, Mode.PAUSE} or not self.limits:
            return None
        most = 60 * self.limits[0].most / self.limits[0].seconds
        if self.mode is Mode.DIVIDED:
            return RateLimit(per_minute=most / self.processes)
        return RateLimit(per_minute=most, burst=min(PER_USER.burst, max(1, int(most / 60))))


@frozen
class Done:
    """A call that ended: when, after how long, and whether it succeeded."""

    at: float
    took: float
    good: bool


@define(eq=False)
class Record:
    """What happened, everything in the order in which it did.

    Attributes:
        calls: of each process.
        admitted: when the server let requests in.
        refused: when it refused.
        questions: when Redis was asked.

    """

    scenario: Scenario
    calls: list[list[Done]]
    admitted: list[float]
    refused: list[float]
    questions: Sequence[float] = ()


def run(scenario: Scenario) -> Record:
    """Simulate; the same scenario gives the same record."""
    with _unheard():
        return simulate(_run, scenario)


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep what a thousand processes log of a Redis that is away to themselves."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


async def _run(scenario: Scenario) -> Record:
    clock, chance = SimulatedClock(scenario.seed), Random(f"line {scenario.seed}")
    server = Tallyfy(clock, chance, scenario.limits, scenario.line)
    shared = Server(clock, outages=scenario.outages) if scenario.shares else None
    wire = None if shared is None else Wire(shared)
    fleet = [_Process(scenario, server, copy(wire)) for _ in range(scenario.processes)]
    async with anyio.create_task_group() as group:
        for process in fleet:
            group.start_soon(process.live, chance.random() * _STARTS)
        if scenario.dies is not None:
            await clock.sleep(scenario.dies)
            _kill(fleet[1::2])
        await clock.sleep(scenario.ends - clock.monotonic())
        _kill(fleet)
    questions = () if shared is None else shared.questions
    return Record(scenario, [process.done for process in fleet], server.admitted, server.refused, questions)


def _kill(processes: Sequence[_Process]) -> None:
    for process in processes:
        process.die()


@define(eq=False)
class _Process:
    """What a process is made of, and its calls."""

    scenario: Scenario
    server: Tallyfy
    wire: Wire | None
    done: list[Done] = field(factory=list[Done], init=False)
    _life: anyio.CancelScope = field(factory=anyio.CancelScope, init=False)

    async def live(self, starts: float) -> None:
        """Begin after so many seconds, and call until the end."""
        await self.server.clock.sleep(starts)
        operation = self.scenario.operation
        payload = None if operation.safety is Safety.SAFE else dict[str, str]()
        call = Call.plan(operation, {"org": _ORGANIZATION}, payload=payload)
        with self._life:
            async with self.pace() as pace, anyio.create_task_group() as group:
                ask = partial(self.engine(pace).call, call)
                for _ in range(self.scenario.callers):
                    group.start_soon(work, ask, self.server.clock, self.done, self.scenario.rests)

    def die(self) -> None:
        """End at once, as when it is killed: Redis does not hear of it."""
        if self.wire is not None:
            self.wire.cut = True
        self._life.cancel()

    @asynccontextmanager
    async def pace(self) -> AsyncGenerator[Pace]:
        """Give its pace."""
        scenario, clock, rate = self.scenario, self.server.clock, self.scenario.rate
        if self.wire is None:
            yield Limiter(scenario.connections, clock, rate)
            return
        cap = RateLimit(per_minute=_NO_CAP, burst=PER_USER.burst) if rate is None else rate
        async with RedisLimiter(
            self.wire, per_user=cap, at_once=scenario.at_once, slots=scenario.connections, clock=clock
        ) as limiter:
            yield limiter

    def engine(self, pace: Pace) -> Engine:
        """Return its client, below the resources."""
        return Engine(
            transport=self.server,
            limiter=pace,
            tokens=None,
            clock=self.server.clock,
            guard=LoopGuard(),
            base_url="https://go.tallyfy.com/api",
            timeouts=Timeouts(),
            deadline=self.scenario.deadline,
            retry=RetryPolicy(),
        )


async def work(
    ask: Callable[[], Awaitable[object]], clock: Clock, done: list[Done], rests: float, since: float = 0.0
) -> None:
    """Call for ever, and rest after failures; note when each call ended, in seconds since then."""
    while True:
        began = clock.monotonic()
        try:
            await ask()
        except TallyfyError:
            good = False
        else:
            good = True
        now = clock.monotonic()
        done.append(Done(now - since, now - began, good))
        if not good:
            await clock.sleep(rests)


@frozen(kw_only=True)
class Figures:
    """What came of it, over the time that counts.

    Attributes:
        rate: calls that succeeded, a second.
        refused: share of all requests that the server refused.
        failed: share of all calls that failed.
        median: seconds of a call that succeeded, with its waits; None where none did.
        slowest: the same, exceeded by one in a hundred.
        fairness: Jain's index of the processes' successes: 1 where all had as many, 1/n where one had all.
        questions: that Redis was asked, a second.

    """

    rate: float
    refused: float
    failed: float
    median: float | None
    slowest: float | None
    fairness: float
    questions: float


def figures_of(record: Record) -> Figures:
    """Return the figures of a record."""
    scenario = record.scenario
    counted = [[call for call in calls if call.at >= scenario.warm] for calls in record.calls]
    times = (record.admitted, record.refused, record.questions)
    admitted, refused, questions = (sum(scenario.warm <= at < scenario.ends for at in each) for each in times)
    took = sorted(call.took for calls in counted for call in calls if call.good)
    bad = sum(not call.good for calls in counted for call in calls)
    each = [sum(call.good for call in calls) for calls in counted]
    squares = sum(one * one for one in each)
    return Figures(
        rate=len(took) / scenario.seconds,
        refused=refused / max(1, admitted + refused),
        failed=bad / max(1, bad + len(took)),
        median=quantile(took, 0.5),
        slowest=quantile(took, 0.99),
        fairness=sum(each) ** 2 / (len(each) * squares) if squares else 0.0,
        questions=questions / scenario.seconds,
    )


def quantile(ordered: list[float], part: float) -> float | None:
    """Return the least of ordered numbers that so large a part of them does not exceed, None where there are none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None


def most_in_a_window(times: list[float], seconds: float = WINDOW) -> int:
    """Return how many of ordered moments lie in any so many seconds at most."""
    return max(_in_windows(times, seconds), default=0)


def _in_windows(times: list[float], seconds: float) -> Iterator[int]:
    begin = 0
    for end, at in enumerate(times):
        while times[begin] + seconds <= at:
            begin += 1
        yield end - begin + 1
