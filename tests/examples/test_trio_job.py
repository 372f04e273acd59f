"""The job in trio: it reminds of late tasks, of no more than it is told to, and ends in time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from tallyfy_async.sandbox import Fault, Sandbox
from tests.examples.rig import EXAMPLES, enter, environment, example, variables
from tests.helpers import small_sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.once]


@pytest.fixture
def anyio_backend() -> str:
    """Return the event loop that the job is written for."""
    return "trio"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with small_sandbox().serve() as made:
        yield made


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Iterator[ModuleType]:
    enter(monkeypatch, sandbox)
    with example("trio_job.py") as module:
        yield module


def comments(sandbox: Sandbox) -> list[str]:
    """Return the texts of the reminders that are there."""
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    return [one.content for thread in tenant.threads.values() for one in thread if "This task is late" in one.content]


async def test_it_reminds_of_no_more_than_it_is_told_to(job: ModuleType, sandbox: Sandbox) -> None:
    assert await job.main(7, 60) == {"reminded": 7, "failed": 0, "cut": 0}
    assert len(comments(sandbox)) == 7


async def test_a_refused_reminder_does_not_end_the_others(
    job: ModuleType, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.faults.add(Fault(operation="create_task_comment", status=422, after=2))
    assert await job.main(7, 60) == {"reminded": 6, "failed": 1, "cut": 0}
    assert len(comments(sandbox)) == 6
    assert "-> 422" in capsys.readouterr().err


async def test_it_ends_in_time(job: ModuleType, sandbox: Sandbox) -> None:
    sandbox.configure(latency=600)
    assert await job.main(7, 0.2) == {"reminded": 0, "failed": 0, "cut": 1}


def test_it_is_a_program(sandbox: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "trio_job.py"), "--most", "3"],
        env={**environment(), **variables(sandbox)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "reminded: 3\nfailed: 0\ncut: 0\n", "")
