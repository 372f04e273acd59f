"""The simulation beside the real thing: real clients, sockets and Redis against a sandbox with a rate limit.

It takes the real time of its scenarios, all at once. The sandbox limits a user as the simulated server does; what it
does not have in common with it is that nothing is for nothing: replies take their processing too.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager

import anyio
from attrs import define, field, frozen

from benchmarks.capacity.fleet import Done, Figures, Mode, Record, Scenario, figures_of, run, work
from benchmarks.capacity.tallyfy import Limit, Line
from benchmarks.harness import line_of, running
from benchmarks.redis_server import redis_server
from tallyfy_async import TallyfyClient
from tallyfy_async.fleet import RedisLimiter
from tallyfy_async.telemetry import AttemptRecord, Hooks
from tallyfy_async.transport.clock import SystemClock

_LATENCY = 0.05
_LIMIT = 240


@frozen(kw_only=True)
class Pair:
    """A scenario's figures, simulated and real."""

    scenario: Scenario
    simulated: Figures
    real: Figures

    @property
    def row(self) -> str:
        """The row of the table."""
        cells = [f"{self.scenario.processes}", self.scenario.mode.value]
        for figures in (self.simulated, self.real):
            cells += [f"{figures.rate:.2f}", f"{figures.refused:.1%}"]
        cells.append(f"{self.real.rate / self.simulated.rate - 1:+.1%}")
        return f"| {' | '.join(cells)} |"


def scenarios(seconds: float) -> list[Scenario]:
    """Return what is compared."""
    line, limits = Line(network=_LATENCY, work=0.0, spread=0.0), (Limit(_LIMIT),)
    return [
        Scenario(processes=number, mode=mode, line=line, limits=limits, warm=60.0, seconds=seconds)
        for number, mode in ((2, Mode.ALONE), (4, Mode.ALONE), (2, Mode.BUCKETS), (4, Mode.BUCKETS))
    ]


def compare(seconds: float = 120.0) -> list[Pair]:
    """Simulate, then run all scenarios at once in real time."""
    chosen = scenarios(seconds)
    simulated = [figures_of(run(one)) for one in chosen]
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        words = ("--latency", str(_LATENCY), "--rate-limit", str(_LIMIT), "--runs", "2", "--tasks", "10")
        served = [stack.enter_context(running("tallyfy_async.sandbox", *words)) for _ in chosen]
        places = [Place(**json.loads(line_of(one)), redis=redis) for one in served]
        real = anyio.run(_all, chosen, places)
    return [Pair(scenario=a, simulated=b, real=c) for a, b, c in zip(chosen, simulated, real, strict=True)]


class Place:
    """Where a scenario happens: a sandbox of its own, and the Redis of all."""

    def __init__(self, *, url: str, personal_token: str, organization: str, redis: str, **_: object) -> None:
        self.url, self.token, self.organization, self.redis = url, personal_token, organization, redis


@define(eq=False)
class _Counted(Hooks):
    admitted: list[float] = field(factory=list[float])
    refused: list[float] = field(factory=list[float])
    began: float = field(factory=time.monotonic)

    def on_attempt(self, record: AttemptRecord) -> None:
        (self.refused if record.status == 429 else self.admitted).append(time.monotonic() - self.began)


async def _all(chosen: Sequence[Scenario], places: Sequence[Place]) -> list[Figures]:
    found: list[Record] = []
    async with anyio.create_task_group() as group:
        for scenario, place in zip(chosen, places, strict=True):
            counted = _Counted()
            calls: list[list[Done]] = [[] for _ in range(scenario.processes)]
            found.append(Record(scenario, calls, counted.admitted, counted.refused))
            for done in calls:
                group.start_soon(_client, scenario, place, counted, done)
    return [figures_of(record) for record in found]


async def _client(scenario: Scenario, place: Place, counted: _Counted, done: list[Done]) -> None:
    with anyio.move_on_after(counted.began + scenario.ends - time.monotonic()):
        async with _opened(scenario, place, counted) as client:
            ask = client.organization(place.organization).get
            await work(ask, SystemClock(), done, scenario.rests, counted.began)


@asynccontextmanager
async def _opened(scenario: Scenario, place: Place, hooks: Hooks) -> AsyncGenerator[TallyfyClient]:
    rate = scenario.rate
    if rate is None:
        async with TallyfyClient(place.token, base_url=place.url, hooks=[hooks]) as client:
            yield client
        return
    async with (
        RedisLimiter(place.redis, per_user=rate, prefix=f"fleet {scenario.processes}") as limiter,
        TallyfyClient(place.token, base_url=place.url, hooks=[hooks], limiter=limiter) as client,
    ):
        yield client
