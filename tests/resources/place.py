"""A client, the sandbox that it talks to, and rows to work on."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from attrs import evolve, frozen

from tallyfy_async import Organization, TallyfyClient
from tallyfy_async.sandbox import Received, Sandbox
from tallyfy_async.sandbox.records import Checklist, Run, Task
from tallyfy_async.sandbox.world import Tenant
from tests.helpers import connect, small_sandbox


@frozen(kw_only=True)
class Place:
    """Where a test happens."""

    sandbox: Sandbox
    tallyfy: TallyfyClient
    org: Organization
    arranged: Any = None
    """What the arrangement of a row of tests/contract made."""

    @property
    def tenant(self) -> Tenant:
        """Return the seeded organization as the sandbox holds it."""
        return self.sandbox.world.tenants[self.sandbox.credentials.organization]

    @property
    def received(self) -> list[Received]:
        """Return the requests that came in."""
        return self.sandbox.stats.received

    def bodies(self) -> list[Any]:
        """Return the decoded bodies of the requests that came in, None where there was none."""
        return [json.loads(one.body) if one.body else None for one in self.received]

    def run(self, test: Callable[[Run], bool] = lambda _: True) -> Run:
        """Return a live run without an issue."""
        return next(
            run for run in self.tenant.runs.values() if not run.archived_at and not run.open_issue and test(run)
        )

    def archived_run(self) -> Run:
        """Return an archived run."""
        return next(run for run in self.tenant.runs.values() if run.archived_at)

    def task(self, status: str = "in-progress", test: Callable[[Task], bool] = lambda _: True) -> Task:
        """Return a plain live task of a run that can be worked on."""
        return next(
            task
            for task in self.tenant.tasks.values()
            if task.run_id and task.task_type == "task" and not task.archived_at and not task.problem
            if task.status == status and not any(field.required for field in task.captures) and test(task)
        )

    def oneoff(self, status: str = "in-progress") -> Task:
        """Return a plain one-off task that can be worked on."""
        return next(
            task
            for task in self.tenant.tasks.values()
            if not task.run_id and task.task_type == "task" and task.status == status and not task.problem
        )

    def checklist(self, title: str = "Invoice Approval") -> Checklist:
        """Return a template; this one has no required kick-off field."""
        return next(row for row in self.tenant.checklists.values() if row.title == title)

    def field(self, label: str) -> str:
        """Return the id of a kick-off field of that template."""
        return next(field.id for field in self.checklist().prerun if field.label == label)


@asynccontextmanager
async def place(**settings: Any) -> AsyncIterator[Place]:
    """Connect to a fresh small sandbox with these settings."""
    sandbox = small_sandbox(**settings)
    async with connect(sandbox) as tallyfy:
        yield Place(sandbox=sandbox, tallyfy=tallyfy, org=tallyfy.organization())


async def arranged(at: Place, arrange: Callable[[Place], Any] | None) -> Place:
    """Arrange the sandbox for a call; what the arrangement returns is at hand as ``at.arranged``."""
    if arrange is None:
        return at
    made = arrange(at)
    return evolve(at, arranged=await made if inspect.isawaitable(made) else made)
