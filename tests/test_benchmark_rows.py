"""What the rows of lists, growth and throttling are made of, without a clock and without another process."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from benchmarks import reading, throttled
from benchmarks.harness import Goal, RowError
from benchmarks.payload import PER_PAGE, Pages, task_id
from benchmarks.rows import growth, throttle
from benchmarks.simulated import SimulatedClock, simulate
from benchmarks.throttled import Figures, Throttle, figures_of
from tallyfy_async import TallyfyClient


def pages_of(pages: Pages) -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=pages.encode(int(request.url.params.get("page", "1"))))

    return httpx.MockTransport(answer)


@pytest.mark.anyio
@pytest.mark.parametrize("window", [0, 3])
async def test_a_walk_takes_every_task(window: int) -> None:
    async with TallyfyClient("token", transport=pages_of(Pages(4))) as client:
        assert await reading.walk(client, window) == 4 * PER_PAGE


@pytest.mark.anyio
async def test_a_walk_over_other_tasks_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "task_id", lambda index: task_id(index if index != 150 else 151))
    async with TallyfyClient("token", transport=pages_of(Pages(2))) as client:
        with pytest.raises(RowError, match="task 150 is not the one"):
            await reading.walk(client, 0)


def test_a_short_walk_fails() -> None:
    reading.check_all(200, 2)
    with pytest.raises(RowError, match="199 tasks of 200"):
        reading.check_all(199, 2)


@pytest.mark.parametrize("told", [1, 3])
def test_the_official_sdk_is_asked_for_the_pages_that_there_are(told: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Tasks:
        def get_my_tasks(self, _organization: str, *, page: int, per_page: int) -> Any:
            asked.append(page)
            return SimpleNamespace(data=[page] * per_page, meta=SimpleNamespace(total_pages=told))

    closed = Counter[str]()
    session = SimpleNamespace(close=lambda: closed.update(["session"]))
    sdk = SimpleNamespace(TallyfySDK=lambda **_: SimpleNamespace(session=session, tasks=Tasks()))
    monkeypatch.setattr(reading, "peer", lambda _name: sdk)
    assert [page[0] for page in reading.official_pages("http://x")] == asked == list(range(1, told + 1))
    assert closed["session"] == 1


async def ask(server: Throttle, task: str) -> httpx.Response:
    return await server.handle_async_request(httpx.Request("GET", "http://x/me", headers={"X-Task": task}))


def test_the_throttle_lets_in_60_in_any_minute_and_says_when_in_whole_seconds() -> None:
    async def visit() -> Throttle:
        server = Throttle(SimulatedClock(0))
        replies = [await ask(server, str(number)) for number in range(61)]  # one each 50 ms
        assert [reply.status_code for reply in replies] == [200] * 60 + [429]
        assert replies[-1].headers["Retry-After"] == "57"
        await anyio.sleep(56.89)
        assert (await ask(server, "early")).headers["Retry-After"] == "1"
        await anyio.sleep(0.02)
        assert [(await ask(server, name)).status_code for name in ("first", "second")] == [200, 200]
        return server

    server = simulate(visit)
    assert (server.requests, server.refused, server.done.total()) == (64, 2, 62)


def test_simulated_time_passes_only_when_nothing_is_left_to_run() -> None:
    async def busy(seconds: float, seen: list[tuple[float, int]]) -> None:
        clock = SimulatedClock(0)
        for turn in range(3):
            await clock.sleep(seconds)
            for _ in range(100):
                await clock.sleep(0)
            seen.append((clock.monotonic(), turn))
        with clock.timeout(seconds) as scope:
            await clock.sleep(2 * seconds)
        assert scope.cancelled_caught
        assert clock.time() - 1_780_000_000 == pytest.approx(4 * seconds)

    async def both() -> list[tuple[float, int]]:
        seen: list[tuple[float, int]] = []
        async with anyio.create_task_group() as group:
            group.start_soon(busy, 100.0, seen)
            group.start_soon(busy, 150.0, seen)
        return seen

    assert simulate(both) == [(100, 0), (150, 0), (200, 1), (300, 1), (300, 2), (450, 2)]


def test_simulated_time_does_not_wait_for_what_never_comes() -> None:
    with pytest.raises(RowError, match="no time will bring"):
        simulate(anyio.sleep_forever)


@pytest.mark.parametrize("side", [throttled.ours, throttled.backing_off, throttled.obeying])
def test_a_simulation_is_the_same_every_time(side: throttled.Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttled, "TASKS", 130)
    figures = figures_of(side, 1)
    assert figures == figures_of(side, 1)
    assert figures.seconds > 120, "three minutes' worth of tasks need two pauses"
    assert figures.requests == pytest.approx(1 + figures.refused)


def test_the_shared_pause_spares_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttled, "TASKS", 200)
    mine, peers = figures_of(throttled.ours, 0), figures_of(throttled.obeying, 0)
    assert mine.refused < 0.25 * peers.refused


def test_a_simulation_leaves_the_chance_of_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttled, "TASKS", 2)
    before = random.getstate()
    figures_of(throttled.backing_off, 1)
    assert random.getstate() == before


@pytest.mark.parametrize("often", [0, 2])
def test_a_side_that_loses_or_doubles_a_task_fails(often: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttled, "TASKS", 2)

    async def side(server: Throttle) -> None:
        for task in ["0", *["1"] * often]:
            await ask(server, task)

    with pytest.raises(RowError, match="of 2 tasks were done"):
        figures_of(side, 0)


def test_the_storm_is_simulated_once_a_side(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def simulated(side: throttled.Side, _seed: int) -> Figures:
        asked.append(side.__name__)
        return Figures(seconds=100.0 * len(asked), requests=1.5, refused=0.5 * len(asked))

    monkeypatch.setattr(throttle, "figures_of", simulated)
    lines = list(throttle.measure(5))
    assert asked == ["ours", "backing_off", "obeying"]
    assert [(line.ours, line.peer) for line in lines[::3]] == [((100.0,), (200.0,)), ((100.0,), (300.0,))]
    assert [line.verdict for line in lines[:3]] == ["stretch", "missed", "info"]


def test_growth_sets_every_size_beside_a_hundred() -> None:
    taken = {1: [(3.0, 9.0)], 100: [(2.0, 8.0), (4.0, 6.0)], 1_000: [(3.0, 12.0)]}
    taken = {size: samples * (2 // len(samples)) for size, samples in taken.items()}
    lines = list(growth._lines("pages", "page", taken, Goal(1.4)))
    assert [(line.case, line.ratio, line.verdict) for line in lines] == [
        ("1 pages, against 100: CPU", 1.5, "info"),
        ("1,000 pages, against 100: CPU", 1.5, "missed"),
        ("1,000 pages, against 100: time", 2.0, "info"),
    ]


@pytest.mark.anyio
async def test_a_cost_is_that_of_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, time = iter([1.0, 3.0]), iter([10.0, 50.0])
    monkeypatch.setattr(growth, "process_time", lambda: next(cpu))
    monkeypatch.setattr(growth, "perf_counter", lambda: next(time))
    done: list[int] = []

    async def work() -> None:
        done.append(1)

    assert await growth._cost(work, units=10, times=4) == (50.0, 1_000.0)
    assert len(done) == 4
