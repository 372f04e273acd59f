"""A sandbox behind a socket, clients that share a store of tokens, and processes that a test may kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from attrs import frozen

from benchmarks.fleet.realm import environment, grants
from tallyfy_async import FileStore, TallyfyClient, fleet, generate_key
from tallyfy_async.fleet import Access
from tallyfy_async.sandbox import Sandbox
from tests.fleet.export.place import made, orgs_of

ROOT = Path(__file__).parents[3]


@frozen(kw_only=True)
class Rig:
    """What the tests of one module share.

    Attributes:
        sandbox: three organizations.
        folder: of the shared token store.
        key: of the store; the workers have it in their environment.

    """

    sandbox: Sandbox
    folder: Path
    key: str

    def client(self, **settings: Any) -> TallyfyClient:
        found = grants(self.sandbox)
        home = self.sandbox.credentials.organization
        store = FileStore(self.folder, keys=self.key)
        return TallyfyClient(
            found[home],
            base_url=self.sandbox.url,
            organization=home,
            organizations=found,
            token_store=store,
            **settings,
        )

    async def export(self, dask: Any, directory: Path, **wishes: Any) -> fleet.FleetReport:
        async with self.client() as tallyfy:
            orgs = orgs_of(self.sandbox, tallyfy)
            access = Access.of(tallyfy)
            return await fleet.export(
                orgs, to=fleet.NDJSON(directory), dask=dask, access=access, **{"pages": 2, **wishes}
            )

    def tasks(self, directory: Path) -> dict[str, list[str]]:
        """Return the ids of all tasks that were exported, by organization, in order, doubles included."""
        found = {}
        for organization in self.sandbox.credentials.organizations:
            lines = (directory / organization / "tasks.ndjson").read_bytes().splitlines()
            found[organization] = sorted(json.loads(line)["id"] for line in lines)
        return found

    def truth(self) -> dict[str, list[str]]:
        return {one: sorted(self.sandbox.truth(one)["tasks"]) for one in self.sandbox.credentials.organizations}

    def environment(self) -> dict[str, str]:
        return {"TALLYFY_TOKEN_KEYS": self.key, "TALLYFY_CLIENT_SECRET": self.sandbox.credentials.client_secret}


@contextmanager
def rigged(folder: Path, **settings: Any) -> Iterator[Rig]:
    sandbox = made(3, **settings)
    rig = Rig(sandbox=sandbox, folder=folder, key=generate_key())
    with environment(rig.environment()), sandbox.serve():
        yield rig


@contextmanager
def process(module: str, *words: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a module in a process group of its own, which is killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    ) as running:
        try:
            yield running
        finally:
            kill_group(running)


def kill_group(running: subprocess.Popen[str]) -> None:
    """Kill a process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait(30)


async def export_elsewhere(whole: list[Any]) -> None:
    """Export as a process of its own, which is killed while it does."""
    from distributed import Client

    from tallyfy_async import PasswordGrant

    url, folder, home, organizations, logins, scheduler, out = whole
    found = {one: PasswordGrant(**login) for one, login in zip(organizations, logins, strict=True)}
    async with TallyfyClient(
        found[home], base_url=url, organization=home, organizations=found, token_store=FileStore(folder)
    ) as tallyfy:
        with Client(scheduler) as dask:
            orgs = [tallyfy.organization(one) for one in organizations]
            await fleet.export(orgs, to=fleet.NDJSON(out), dask=dask, access=Access.of(tallyfy), pages=1)


def arguments(rig: Rig, scheduler: str, out: Path) -> str:
    """Return the arguments of :func:`export_elsewhere`, which go through a pipe."""
    login = rig.sandbox.credentials
    logins = [
        {
            "client_id": login.client_id,
            "client_secret": login.client_secret,
            "username": grant.username,
            "password": login.password,
        }
        for grant in grants(rig.sandbox).values()
    ]
    whole = [rig.sandbox.url, str(rig.folder), login.organization, [*grants(rig.sandbox)], logins, scheduler, str(out)]
    return json.dumps(whole) + "\n"


def cluster() -> None:
    """Run a small cluster until standard input ends."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as running:
        sys.stdout.write(f"{running.scheduler_address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:] == ["cluster"]:
        cluster()
    else:
        anyio.run(export_elsewhere, json.loads(sys.stdin.readline()))
