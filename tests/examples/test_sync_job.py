"""The sync job: what a call brings, what it remembers, and that it runs on every event loop."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from tallyfy_async import TallyfyClient
from tallyfy_async.sandbox import Fault, Sandbox
from tests.examples.rig import EXAMPLES, enter, environment, example, variables
from tests.helpers import small_sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.once]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with small_sandbox(seed_epoch=int(datetime.now(UTC).timestamp())).serve() as made:
        yield made


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Iterator[ModuleType]:
    enter(monkeypatch, sandbox)
    with example("sync_job/sync.py") as module:
        yield module


def run(sandbox: Sandbox, database: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the job as cron does."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / "sync_job" / "sync.py"), str(database), *words],
        env={**environment(), **variables(sandbox), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def ids(database: Path, table: str) -> set[str]:
    with closing(sqlite3.connect(database)) as copy:
        return {row[0] for row in copy.execute(f"SELECT id FROM {table}")}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_it_runs_on_every_loop(loop: str, sandbox: Sandbox, tmp_path: Path) -> None:
    database = tmp_path / "organization.db"
    done = run(sandbox, database, "--loop", loop)
    assert done.returncode == 0, done.stderr
    rows, *late = done.stdout.splitlines()
    counts = rows.replace(",", "").split()
    assert counts[0] == counts[2]  # everything was new
    assert 0 < len(late) <= 10
    assert all(" late: " in line for line in late)
    assert ids(database, "tasks") == set(sandbox.truth()["tasks"])
    assert ids(database, "runs") == set(sandbox.truth()["runs"])
    assert "tasks: 250" in done.stderr.splitlines()


async def test_the_second_call_asks_for_what_changed(job: ModuleType, sandbox: Sandbox, tmp_path: Path) -> None:
    database = tmp_path / "organization.db"
    first = await job.sync(database)
    noted = job.noted(database)
    assert noted == {"since": first.started, "whole": first.started}
    async with TallyfyClient.from_env() as tallyfy:
        org = tallyfy.organization()
        run_id = sandbox.truth()["runs"][0]
        await org.runs.update(run_id, name="Renamed")
    sandbox.stats.reset()
    second = await job.sync(database)
    assert sandbox.stats.by_operation["list_runs"] == 1  # not every page
    assert second.kinds["runs"].written >= 1
    assert job.noted(database) == {"since": second.started, "whole": first.started}
    with closing(sqlite3.connect(database)) as copy:
        assert copy.execute("SELECT name FROM runs WHERE id = ?", [run_id]).fetchall() == [("Renamed",)]


async def test_what_was_deleted_goes_with_the_day(job: ModuleType, sandbox: Sandbox, tmp_path: Path) -> None:
    database = tmp_path / "organization.db"
    await job.sync(database)
    gone = sandbox.truth()["archived_runs"][0]
    async with TallyfyClient.from_env() as tallyfy:
        await tallyfy.organization().runs.delete(gone)
    await job.sync(database)
    assert gone in ids(database, "runs")
    yesterday = datetime.now(UTC) - timedelta(days=1, minutes=1)
    job.note(database, since=yesterday, whole=yesterday)
    report = await job.sync(database)
    assert report.kinds["runs"].removed == 1
    assert gone not in ids(database, "runs")
    assert job.noted(database) == {"since": report.started, "whole": report.started}


async def test_notes_without_a_copy_are_none(job: ModuleType, sandbox: Sandbox, tmp_path: Path) -> None:
    database = tmp_path / "organization.db"
    await job.sync(database)
    database.unlink()
    report = await job.sync(database)
    assert report.kinds["tasks"].rows == len(sandbox.truth()["tasks"])


async def test_a_call_that_fails_notes_nothing(job: ModuleType, sandbox: Sandbox, tmp_path: Path) -> None:
    database = tmp_path / "organization.db"
    sandbox.faults.add(Fault(operation="list_tasks", status=400))
    with pytest.raises(Exception, match="400"):
        await job.sync(database)
    assert job.noted(database) is None
    report = await job.sync(database)
    assert report.resumed
    assert ids(database, "tasks") == set(sandbox.truth()["tasks"])


def test_cron_hears_what_went_wrong(sandbox: Sandbox, tmp_path: Path) -> None:
    refused = run(sandbox, tmp_path / "a.db", TALLYFY_ACCESS_TOKEN="wrong")
    assert (refused.returncode, refused.stdout) == (77, "")
    assert refused.stderr.startswith("not synced: ")
    sandbox.faults.add(Fault(operation="list_tasks", status=429, headers={"Retry-After": "70"}))
    busy = run(sandbox, tmp_path / "b.db")
    assert (busy.returncode, busy.stdout) == (75, "")
