"""Four processes that share one store, with tokens of a second: as many token requests as token lives.

Each process has five tasks that call without a pause, through its own client and real sockets. In the first moment of
every round all of them find the token expired. The server ends a token when it is refreshed, takes a refresh token that
comes twice for theft, and counts both; a token request is one too many where more than half of the newest token's life
is left. Beside ours: httpx-auth with its own token file, told the same leeway, a tenth of a life.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from tempfile import TemporaryDirectory

from attrs import frozen

from benchmarks.authority import Counts, authority, counted
from benchmarks.caller import Job, Kind
from benchmarks.harness import Goal, Line, RowError, alternate, line_of, running, server
from benchmarks.redis_server import redis_if_any
from tallyfy_async.auth.stores.sealing import generate_key

_PROCESSES = 4
_LIFE = 1
_SECONDS = 1.2


@frozen(kw_only=True)
class Round:
    """What happened in one round.

    Attributes:
        counts: what the server saw.
        calls: calls that succeeded.
        failed: calls that did not.

    """

    counts: Counts
    calls: int
    failed: int

    @property
    def per_life(self) -> float:
        """Token requests per life of a token."""
        if not self.counts.lives or not self.calls:
            msg = f"nothing happened: {self}"
            raise RowError(msg)
        return self.counts.requests / self.counts.lives


class Crew:
    """The processes, all with the same jobs."""

    def __init__(self, stack: ExitStack, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        texts = [job.to_text() for job in jobs]
        self._crew = [stack.enter_context(running("benchmarks.caller", *texts)) for _ in range(_PROCESSES)]
        for process in self._crew:
            line_of(process)

    def work(self, number: int) -> Round:
        """Let all of them do one of the jobs."""
        before = counted(self._jobs[number].url)
        for process in self._crew:
            assert process.stdin is not None
            process.stdin.write(f"{number} {_SECONDS}\n")
            process.stdin.flush()
        told = [json.loads(line_of(process)) for process in self._crew]
        return Round(
            counts=counted(self._jobs[number].url).since(before),
            calls=sum(one["calls"] for one in told),
            failed=sum(sum(one["errors"].values()) for one in told),
        )


def _lines(store: str, ours: Sequence[Round], peer: Sequence[Round]) -> Iterator[Line]:
    def line(what: str, unit: str, figure: Callable[[Round], float], goal: Goal | None) -> Line:
        return Line(
            row="four_processes",
            case=f"{store} store, {what}, beside httpx-auth",
            unit=unit,
            ours=tuple(map(figure, ours)),
            peer=tuple(map(figure, peer)),
            best=max,
            goal=goal,
        )

    yield line("token requests", "per life", lambda one: one.per_life, Goal(1, alone=True))
    yield line("refresh tokens sent twice", "tokens", lambda one: one.counts.twice, Goal(0, alone=True))
    yield line("failed calls", "calls", lambda one: one.failed, Goal(0, alone=True))
    yield line("calls", "calls/s", lambda one: one.calls / _SECONDS, None)


def measure(rounds: int) -> Iterator[Line]:
    """Measure four processes on files and, where there is one, on a Redis server."""
    with ExitStack() as stack:
        places: dict[Kind, str] = {
            "httpx-auth": stack.enter_context(TemporaryDirectory(prefix="benchmarks-")),
            "file": stack.enter_context(TemporaryDirectory(prefix="benchmarks-")),
        }
        redis = redis_if_any(stack)
        if isinstance(redis, str):
            places["redis"] = redis
        url, keys = stack.enter_context(server()), generate_key()
        jobs = [
            Job(kind=kind, url=authority(url, first=_LIFE, then=_LIFE), place=place, keys=keys)
            for kind, place in places.items()
        ]
        crew = Crew(stack, jobs)
        # Counts hardly vary, and every round takes its time.
        peer, *ours = alternate(min(rounds, 4), *(partial(crew.work, number) for number in range(len(jobs))))
    for job, taken in zip(jobs[1:], ours, strict=True):
        yield from _lines(job.kind, taken, peer)
    if isinstance(redis, RowError):
        raise redis
