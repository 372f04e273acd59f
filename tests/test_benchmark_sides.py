"""What the rows of calls are made of: every side makes every call, and the figures of jobs become lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from attrs import asdict, evolve, field, frozen

from benchmarks import sampling, sides
from benchmarks.harness import Goal, RowError, server, tls_server
from benchmarks.sampling import Job, lines
from benchmarks.sides import ASYNC_SIDES, THREAD_SIDES, Target, check

CALLS = ("get", "page", "create")
ANYIO_SIDES = ("tallyfy_async", "httpx")


@pytest.fixture(scope="module")
def targets() -> Iterator[dict[str, Target]]:
    with server() as url, tls_server() as (secure, ca):
        yield {
            "plain": Target(url=url),
            "compressed": Target(url=f"{url}/gzip", connections=3),
            "TLS": Target(url=secure, ca=ca, connections=3),
        }


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["plain", "compressed", "TLS"])
@pytest.mark.parametrize("side", ANYIO_SIDES)
async def test_calls_are_made_and_checked(side: str, kind: str, targets: dict[str, Target]) -> None:
    async with ASYNC_SIDES[side](targets[kind]) as calls:
        for what in CALLS:
            await getattr(calls, what)()


@pytest.mark.parametrize("kind", ["plain", "compressed", "TLS"])
@pytest.mark.parametrize("side", sorted(ASYNC_SIDES.keys() - ANYIO_SIDES) + sorted(THREAD_SIDES))
def test_calls_of_peers_are_made_and_checked(side: str, kind: str, targets: dict[str, Target]) -> None:
    pytest.importorskip(side, reason="a peer")
    if side in THREAD_SIDES:
        with THREAD_SIDES[side](targets[kind]) as calls:
            for what in CALLS:
                getattr(calls, what)()
        return

    async def main() -> None:
        async with ASYNC_SIDES[side](targets[kind]) as calls:
            for what in CALLS:
                await getattr(calls, what)()

    anyio.run(main)


@pytest.mark.anyio
@pytest.mark.parametrize("side", ANYIO_SIDES)
async def test_calls_need_no_server_where_there_is_an_application(side: str) -> None:
    async with ASYNC_SIDES[side](Job(side=side).target(1)) as calls:
        await calls.get()
        with pytest.raises(RowError, match="came instead of 'Send the offer'"):
            await calls.create()  # the application knows one answer only


@pytest.mark.anyio
async def test_no_time_is_no_rate(targets: dict[str, Target], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "monotonic", lambda: 5.0)
    monkeypatch.setattr(sampling, "_WINDOW", 0.1)
    with pytest.raises(RowError, match="httpx ended no call"):
        await sampling._rate(Job(side="httpx", url=targets["plain"].url), 2)


@pytest.mark.parametrize(("calls", "batches"), [(5, 15), (40, 15), (60, 10), (150, 4), (200, 3), (750, 3)])
def test_short_batches_are_more(calls: int, batches: int) -> None:
    assert sampling._batches(calls) == batches


def test_the_official_session_is_closed_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    session = SimpleNamespace(close=lambda: closed.append("session"))
    sdk = SimpleNamespace(TallyfySDK=lambda **_: SimpleNamespace(session=session))
    monkeypatch.setattr(sides, "peer", lambda _name: sdk)
    with pytest.raises(KeyError), sides.official(Target(url="http://x")):
        raise KeyError("k")
    assert closed == ["session"]


def test_what_came_is_compared() -> None:
    check(1, 1)
    with pytest.raises(RowError, match=r"^1 came instead of 2$"):
        check(1, 2)


def test_figures_come_from_a_process_of_its_own(targets: dict[str, Target]) -> None:
    job = Job(side="tallyfy_async", url=targets["plain"].url, at_once=(1, 2), calls=2, backend="trio", without="orjson")
    one, two = job.cpu()
    assert one > 0
    assert two > 0
    assert "tallyfy_async" in sys.modules, "here it was imported for other tests"
    hidden = evolve(job, without="tallyfy_async")
    with pytest.raises(RowError, match=r"import of tallyfy_async\S* halted"):
        hidden.cpu()


@pytest.mark.anyio
@pytest.mark.parametrize("callers", [1, 4])
async def test_a_batch_makes_as_many_calls_as_it_says(callers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, times = 0, iter([10.0, 10.5])
    monkeypatch.setattr(sampling, "process_time", lambda: next(times))

    async def call() -> None:
        nonlocal made
        await anyio.lowlevel.checkpoint()
        made += 1

    assert await sampling._batch(call, callers, 10) == 0.05
    assert made == 10


@pytest.mark.anyio
async def test_a_rate_counts_what_ends_in_the_window(
    targets: dict[str, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_WINDOW", 0)
    with pytest.raises(RowError, match="httpx ended no call"):
        await sampling._rate(Job(side="httpx", url=f"{targets['plain'].url}/delay-50"), 2)
    monkeypatch.setattr(sampling, "_WINDOW", 1.0)
    assert await sampling._rate(Job(side="httpx", url=targets["plain"].url), 3) > 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_ends_a_job_is_told_without_its_groups(backend: str) -> None:
    job = Job(side="httpx", url="http://127.0.0.1:9")
    with pytest.raises(httpx.ConnectError):
        sampling._run(partial(sampling._rate, job, 3), backend)


@frozen
class Figures:
    """A job whose samples are known beforehand."""

    side: str
    samples: tuple[tuple[float, ...], ...]
    at_once: tuple[int, ...] = (1, 20)
    calls: list[str] = field(factory=list[str])

    def cpu(self) -> tuple[float, ...]:
        self.calls.append("cpu")
        return self.samples[len(self.calls) - 1]

    def rate(self) -> tuple[float, ...]:
        self.calls.append("rate")
        return self.samples[len(self.calls) - 1]


def test_there_is_a_line_for_each_peer_and_number_of_callers() -> None:
    ours = Figures("tallyfy_async", ((9, 9), (1, 10), (2, 20), (3, 30)))
    stock, other = (Figures(side, ((9, 9), (4, 20), (5, 25), (6, 30))) for side in ("httpx", "aiohttp"))
    jobs: Any = [ours, stock, other]
    measured = list(lines("row", "GET", 3, jobs, {20: Goal(0.6, stretch=0.5)}))
    assert [line.case.removeprefix("GET, ") for line in measured] == [
        "1 at once, against stock httpx",
        "20 at once, against stock httpx",
        "1 at once, against aiohttp",
        "20 at once, against aiohttp",
    ]
    assert [(line.ours, line.peer) for line in measured[:2]] == [((1, 2, 3), (4, 5, 6)), ((10, 20, 30), (20, 25, 30))]
    assert [line.verdict for line in measured[:2]] == ["info", "stretch"]


def test_information_takes_two_rounds_and_rates_count_by_their_largest() -> None:
    ours = Figures("tallyfy_async", ((9, 9), (1, 10), (2, 20)))
    peer = Figures("httpx", ((9, 9), (4, 20), (5, 25)))
    jobs: Any = [ours, peer]
    first, _ = lines("row", "GET", 5, jobs, rates=True, against="a friend")
    assert (first.case, first.unit, first.ratio) == ("GET, 1 at once, against a friend", "calls/s", 2 / 5)
    assert ours.calls == ["rate"] * 3


def test_a_job_survives_its_way_into_another_process() -> None:
    job = Job(side="httpx", at_once=(1, 20), connections=-1, ca="ca.pem", url="https://127.0.0.1:1")
    assert Job(**json.loads(json.dumps(asdict(job)))) == job
    assert (job.target(7).connections, evolve(job, connections=0).target(7).connections) == (7, 0)
    assert (job.batch(1), job.batch(100)) == (20, 150)
