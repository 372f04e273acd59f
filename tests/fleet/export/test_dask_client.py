"""A Dask client as exports and jobs use it: one that dies, and event loops that end before their tasks do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from distributed import Client, LocalCluster

from tallyfy_async import ConfigurationError, NotSentError, TransportError
from tallyfy_async.fleet.access import Access, Line
from tallyfy_async.fleet.dask_crew import Dask, DaskCrew
from tallyfy_async.fleet.dask_jobs import JobCrew
from tallyfy_async.fleet.destinations.base import Destination
from tallyfy_async.fleet.units import Unit
from tests.fleet.bulk import works

pytestmark = pytest.mark.once
GATE = threading.Event()
ORDER: list[tuple[str, int]] = []


async def noted(access: bytes, line: Line, destination: Destination, run: str, unit: Unit) -> None:
    ORDER.append((unit.organization, unit.first))


async def passed(word: str) -> str:
    while not GATE.is_set():  # noqa: ASYNC110 - it is opened by a thread
        await anyio.sleep(0.01)
    return word


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Give a cluster within this process."""
    GATE.clear()
    with LocalCluster(
        n_workers=1, threads_per_worker=4, processes=False, protocol="inproc://", dashboard_address=None
    ) as running:
        yield running
        GATE.set()


@pytest.fixture
def dask(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as client:
        yield client


def test_an_event_loop_that_stopped_does_not_stop_the_next(dask: Client) -> None:
    import asyncio

    crew = Dask.of(dask)
    stopped = asyncio.new_event_loop()
    try:
        with pytest.raises(TimeoutError):
            stopped.run_until_complete(asyncio.wait_for(crew.run("test", passed, "never"), 0.1))
        GATE.set()

        async def again() -> str:
            with anyio.fail_after(10):
                found: str = await crew.run("test", passed, "again")
            return found

        for backend in ("asyncio", "trio"):
            assert anyio.run(again, backend=backend) == "again"
    finally:
        stopped.close()


@pytest.mark.anyio
async def test_lists_keep_abreast(cluster: LocalCluster, dask: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ORDER.clear()
    monkeypatch.setattr("tallyfy_async.fleet.stations.read_unit", noted)
    crew = DaskCrew(Dask.of(dask), _no_access(), None, b"")  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        for _ in range(4):  # as many as the worker has threads
            group.start_soon(crew.dask.run, "test", passed, "first")
        await anyio.wait_all_tasks_blocked()
        for organization in "ab":
            for first in (1, 11, 21):
                unit = Unit(organization=organization, kind="tasks", round=0, first=first, last=first + 9)
                group.start_soon(crew.read, "run", unit)
        [worker] = cluster.workers.values()
        while len(worker.state.tasks) < 10:  # noqa: ASYNC110 - Dask tells of no such event
            await anyio.sleep(0.01)
        GATE.set()
    assert [first for _, first in ORDER] == [1, 1, 11, 11, 21, 21]


@pytest.mark.anyio
async def test_a_client_that_is_being_closed_lets_go_of_what_it_is_given(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: Any = Client(cluster)
    crew, closing, go_on = Dask.of(client), threading.Event(), threading.Event()
    close = client.rpc.close

    async def slowly() -> None:
        closing.set()
        await anyio.to_thread.run_sync(go_on.wait)
        await close()

    monkeypatch.setattr(client.rpc, "close", slowly)
    closer = threading.Thread(target=client.close)
    closer.start()
    try:
        await anyio.to_thread.run_sync(closing.wait)
        with anyio.fail_after(10), pytest.raises(TransportError, match="let go of a task"):
            await crew.run("test", passed, "never")
    finally:
        go_on.set()
        await anyio.to_thread.run_sync(closer.join)


@pytest.mark.anyio
async def test_a_client_that_was_closed_is_told_of(cluster: LocalCluster) -> None:
    client: Any = Client(cluster)
    crew = Dask.of(client)
    jobs = JobCrew.of(client, _no_access(), None)  # type: ignore[arg-type]
    jobs._ready = True
    await anyio.to_thread.run_sync(client.close)
    with pytest.raises(ConfigurationError, match="not one that is closed"):
        Dask.of(client)
    with pytest.raises(TransportError, match="let go of a task"):
        await crew.run("test", passed, "never")
    with pytest.raises(NotSentError, match="cannot be reached"):
        await jobs.run(works.missing)


@pytest.mark.anyio
async def test_a_task_that_dask_cannot_take_is_told_of(dask: Client) -> None:
    with pytest.raises(TransportError, match="could not have a task run"):
        await Dask.of(dask).run("test", passed, threading.Lock())


def _no_access() -> Access:
    line = Line(grant="login", identity=("42", "login", "ada", "", "*"), client_id="42")
    place = "https://go.tallyfy.com/api"
    return Access(base_url=place, token_url=place, refresh_url=place, line=line)
