"""Exports that are killed, cancelled, or in bad weather: in the end everything is there, once."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from tallyfy_async import RetryPolicy, ServerError, TallyfyClient
from tallyfy_async.export import ExportReport, Progress
from tallyfy_async.sandbox import Fault, Sandbox
from tests.export.place import Place, made, world_of
from tests.helpers import connect

ROOT = Path(__file__).parents[2]
_STUBBORN = RetryPolicy(attempts=12, initial=0.01, maximum=0.05)


def _client(sandbox: Sandbox, url: str, **more: object) -> TallyfyClient:
    login = sandbox.credentials
    return TallyfyClient(login.personal_token, base_url=url, organization=login.organization, **more)  # type: ignore[arg-type]


async def _world(sandbox: Sandbox) -> dict[str, dict[str, object]]:
    async with connect(sandbox) as tallyfy:
        return await world_of(tallyfy)


# Killed.


def _start(sandbox: Sandbox, place: Place) -> subprocess.Popen[str]:
    login = sandbox.credentials
    words = [sandbox.url, login.personal_token, login.organization, str(place.path)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.export.killed", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def _kill_after(process: subprocess.Popen[str], sandbox: Sandbox, requests: int) -> bool:
    """Kill a process once the server has had so many more requests; tell whether it was still running."""
    enough = len(sandbox.stats.received) + requests
    while process.poll() is None and len(sandbox.stats.received) < enough:
        time.sleep(0.002)
    process.kill()
    return process.wait(30) != 0


@pytest.mark.once
def test_killed_at_random_moments_it_goes_on_without_loss_or_doubles(place: Place) -> None:
    chance = random.Random(1 if place.is_file else 2)
    sandbox = made(latency=0.01)
    kills = 0
    with sandbox.serve():
        for _ in range(3):
            with _start(sandbox, place) as process:
                kills += _kill_after(process, sandbox, chance.randint(1, 14))
                time.sleep(chance.random() / 50)
        with _start(sandbox, place) as process:
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert kills == 3
    assert said.strip() in {"0", "1"}
    assert place.world() == anyio.run(_world, sandbox)


@pytest.mark.once
def test_a_finished_export_that_is_killed_while_it_is_repeated_stays_whole(place: Place) -> None:
    sandbox = made(latency=0.01)
    with sandbox.serve():
        with _start(sandbox, place) as process:
            process.communicate(timeout=60)
        before = place.world()
        with _start(sandbox, place) as process:
            assert _kill_after(process, sandbox, 12)
        assert place.world() == before
        with _start(sandbox, place) as process:
            said, _ = process.communicate(timeout=60)
    assert said.strip() == "1"
    assert place.world() == before == anyio.run(_world, sandbox)


# Cancelled.


class _Stop:
    """Cancels a scope after so many pages."""

    def __init__(self, scope: anyio.CancelScope, most: int) -> None:
        self._scope, self._left = scope, most

    def hear(self, told: Progress) -> None:
        self._left -= not told.done
        if self._left <= 0:
            self._scope.cancel()


@pytest.mark.anyio
async def test_cancelled_at_any_page_it_goes_on(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        for most in (1, 5, 9):
            scope = anyio.CancelScope()
            with scope:
                await place.export(org, progress=_Stop(scope, most).hear)
            assert scope.cancelled_caught
        report = await place.export(org)
        assert report.resumed
        assert place.world() == await world_of(tallyfy)


def test_a_task_that_is_cancelled_natively_leaves_a_good_target(place: Place) -> None:
    chance = random.Random(7)

    async def storm() -> None:
        sandbox = made()
        async with connect(sandbox) as tallyfy:
            org = tallyfy.organization()
            for _ in range(8):
                task = asyncio.ensure_future(place.export(org))
                await asyncio.sleep(chance.random() / 3)
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    continue
            await place.export(org)
            assert place.world() == await world_of(tallyfy)

    asyncio.run(storm())


# Bad weather.


@pytest.mark.anyio
async def test_throttled_failing_and_cut_replies(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(
        Fault(status=429, headers={"Retry-After": "0"}, body={"message": "Slow down."}, times=8, probability=0.3),
        Fault(status=503, body={"message": "Later."}, times=8, probability=0.3),
        Fault(operation="list_tasks", after=4, status=500, body={"message": "Oops."}),
    )
    with sandbox.serve(), sandbox.proxy() as proxy:
        proxy.profile("many")
        async with _client(sandbox, proxy.url, retry=_STUBBORN) as tallyfy:
            report = await _in_the_end(tallyfy, place)
    assert report.refused == {}
    sandbox.faults.clear()
    assert place.world() == await _world(sandbox)


async def _in_the_end(tallyfy: TallyfyClient, place: Place) -> ExportReport:
    """Export, and again where a call was given up, which a 500 after other failures is."""
    for _ in range(5):
        try:
            return await place.export(tallyfy.organization())
        except ServerError:
            continue
    return await place.export(tallyfy.organization())
