"""Exports by Dask's workers: real processes, some of which are killed."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import quote_plus

import anyio
import pytest
from distributed import Client, LocalCluster

from tallyfy_async import ConfigurationError, MemoryStore, TransportError, fleet
from tallyfy_async.fleet import Access, FleetProgress
from tallyfy_async.sandbox import Fault
from tests.fleet.export.dask_rig import Rig, arguments, kill_group, process, rigged

pytestmark = [pytest.mark.anyio, pytest.mark.once]
MODULE = "tests.fleet.export.dask_rig"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rigged(tmp_path_factory.mktemp("dask") / "tokens", latency=0.01) as found:
        yield found


@pytest.fixture(scope="module")
def dask(rig: Rig) -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


async def test_workers_read_and_share_the_tokens(rig: Rig, dask: Client, tmp_path: Path) -> None:
    lives = rig.sandbox.token_lives
    heard: list[FleetProgress] = []
    report = await rig.export(dask, tmp_path / "out", progress=heard.append)
    assert rig.tasks(tmp_path / "out") == rig.truth()
    assert report.rows == report.written
    assert {one.organization for one in heard} == {*rig.truth()}
    assert rig.sandbox.token_lives - lives in {0, 3}  # one for each organization, whoever asks first
    again = await rig.export(dask, tmp_path / "out")
    assert (again.written, again.removed) == (0, 0)
    assert rig.sandbox.token_lives - lives in {0, 3}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_asynchronous_client_will_do(rig: Rig, dask: Client, tmp_path: Path) -> None:
    async with Client(dask.scheduler.address, asynchronous=True) as client:
        await rig.export(client, tmp_path / "out", kinds=["tasks"])
    assert rig.tasks(tmp_path / "out") == rig.truth()


def _secrets(rig: Rig) -> list[str]:
    login, vault = rig.sandbox.credentials, rig.sandbox.world.vault
    found = [login.client_secret, login.password, login.personal_token, rig.key, *vault.access, *vault.refresh]
    return [*found, *map(quote_plus, found)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_secret_is_in_the_graph_or_in_a_log(
    rig: Rig, dask: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    send = dask._send_to_scheduler

    def keep(message: Any) -> None:
        sent.append(pickle.dumps(message))
        send(message)

    monkeypatch.setattr(dask, "_send_to_scheduler", keep)
    specs: list[bytes] = []

    async def dump(_: FleetProgress) -> None:
        specs.append(await anyio.to_thread.run_sync(dask.run_on_scheduler, _graph))

    rig.sandbox.faults.add(Fault(operation="list_tags", status=500, body={"message": "Oops."}, times=9))
    with pytest.raises(Exception, match="500"):
        await rig.export(dask, tmp_path / "out", kinds=["tags"], pages=1)
    rig.sandbox.faults.clear()
    await rig.export(dask, tmp_path / "out", kinds=["tasks"], pages=1, progress=dump)
    logs = repr([dask.get_worker_logs(), dask.get_scheduler_logs()]).encode()
    await anyio.to_thread.run_sync(partial(dask.dump_cluster_state, str(tmp_path / "state"), format="yaml"))
    state = (tmp_path / "state.yaml").read_bytes()
    assert b"tallyfy-tags-" in state
    assert b"Starting Worker plugin tallyfy-" in logs
    seen = [*sent, *specs, logs, state]
    home = rig.sandbox.credentials.organization.encode()
    assert any(home in one for one in sent)
    assert any(home in one for one in specs)
    for secret in _secrets(rig):
        assert not any(secret.encode() in one for one in seen)


def _graph(dask_scheduler: Any) -> bytes:
    return pickle.dumps([repr(task.run_spec) + repr(_plain(task.run_spec)) for task in dask_scheduler.tasks.values()])


def _plain(spec: Any) -> Any:
    return getattr(spec, "args", None), getattr(spec, "kwargs", None), getattr(spec, "data", None)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_worker_that_is_killed_loses_and_doubles_nothing(rig: Rig, dask: Client, tmp_path: Path) -> None:
    doomed = list(dask.run(os.getpid).values())

    def kill(_: FleetProgress) -> None:
        if doomed:
            os.kill(doomed.pop(), signal.SIGKILL)

    await rig.export(dask, tmp_path / "out", pages=1, progress=kill)
    assert not doomed
    assert rig.tasks(tmp_path / "out") == rig.truth()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_after_a_killed_scheduler_another_goes_on(rig: Rig, dask: Client, tmp_path: Path) -> None:
    with process(MODULE, "cluster", environment=rig.environment()) as other:
        assert other.stdout is not None
        address = other.stdout.readline().strip()
        with Client(address, timeout=30) as client:
            asked = len(rig.sandbox.stats.received)

            def kill(_: FleetProgress) -> None:
                if len(rig.sandbox.stats.received) > asked + 12:
                    kill_group(other)

            with pytest.raises(TransportError, match="scheduler"):
                await rig.export(client, tmp_path / "out", pages=1, progress=kill)
    report = await rig.export(dask, tmp_path / "out", pages=1)
    assert report.resumed
    assert rig.tasks(tmp_path / "out") == rig.truth()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_after_a_killed_client_another_goes_on(rig: Rig, dask: Client, tmp_path: Path) -> None:
    with process(MODULE, environment=rig.environment()) as client:
        assert client.stdin is not None
        asked = len(rig.sandbox.stats.received)
        client.stdin.write(arguments(rig, dask.scheduler.address, tmp_path / "out"))
        client.stdin.flush()
        await anyio.to_thread.run_sync(_wait_for, rig, asked + 15, client)
        client.kill()
        assert client.wait(30) != 0
    report = await rig.export(dask, tmp_path / "out", pages=1)
    assert report.resumed
    assert rig.tasks(tmp_path / "out") == rig.truth()


def _wait_for(rig: Rig, requests: int, client: Popen[str]) -> None:
    while client.poll() is None and len(rig.sandbox.stats.received) < requests:
        time.sleep(0.002)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_cannot_be_shared_is_refused(rig: Rig, tmp_path: Path) -> None:
    async with rig.client() as tallyfy:
        for store in (None, MemoryStore()):
            other = tallyfy.with_options(token_store=store)
            with pytest.raises(ConfigurationError, match="share the token store"):
                Access.of(other)
        with pytest.raises(ConfigurationError, match=r"distributed\.Client"):
            await fleet.export(
                [tallyfy.organization()],
                to=fleet.NDJSON(tmp_path / "out"),
                dask=object(),
                access=Access.of(tallyfy),  # type: ignore[arg-type]
            )
