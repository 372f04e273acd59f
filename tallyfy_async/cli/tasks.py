"""``tasks``: what is to be done."""

from __future__ import annotations

from typing import Annotated

import typer

from tallyfy_async.cli.checklists import Limit
from tallyfy_async.cli.screen import Columns
from tallyfy_async.cli.session import Session, given
from tallyfy_async.engine.pager import Pager
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.processes import Task
from tallyfy_async.organization import Organization

_COLUMNS: Columns = (
    ("id", "id"),
    ("title", "title"),
    ("status", "status"),
    ("deadline", "deadline"),
    ("run", "run_id"),
)

RunOption = Annotated[
    str | None, typer.Option("--run", metavar="RUN_ID", help="Its run (default: the task is read to find out).")
]
TaskId = Annotated[str, typer.Argument(metavar="TASK_ID")]


async def list_tasks(
    session: Session,
    *,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN_ID", help="Only those of one run.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those assigned to you.")] = False,
    status: Annotated[
        str | None, typer.Option("--status", help="active, completed, overdue, due_soon, hasproblem and others.")
    ] = None,
    query: Annotated[str | None, typer.Option("--query", "-q", help="Part of a run's or step's name.")] = None,
    limit: Limit = None,
) -> None:
    """List tasks: of the organization, of one run, or your own."""
    if run is not None and (mine or query is not None):
        msg = "--run goes with neither --mine nor --query"
        raise ConfigurationError(msg)
    filters = given(status=status, q=query)

    def listed(org: Organization) -> Pager[Task]:
        if run is not None:
            return org.runs.tasks.list(run, **filters)
        return org.me.tasks.list(**filters) if mine else org.tasks.list(**filters)

    await session.show_list(listed, _COLUMNS, limit)


async def complete(
    session: Session,
    task_id: TaskId,
    *,
    run: RunOption = None,
    approve: Annotated[bool | None, typer.Option("--approve/--reject", help="The verdict of an approval task.")] = None,
) -> None:
    """Complete a task."""
    async with session.connect() as tallyfy:
        org = await session.organization(tallyfy)
        run_id = await _run_of(org, task_id, run)
        if run_id is None:
            task = await org.tasks.complete(task_id, is_approved=approve)
        else:
            task = await org.runs.tasks.complete(run_id, task_id, is_approved=approve)
    session.screen.item(task, _COLUMNS)


async def reopen(session: Session, task_id: TaskId, *, run: RunOption = None) -> None:
    """Reopen a task that is completed."""
    async with session.connect() as tallyfy:
        org = await session.organization(tallyfy)
        run_id = await _run_of(org, task_id, run)
        if run_id is None:
            task = await org.tasks.reopen(task_id)
        else:
            task = await org.runs.tasks.reopen(run_id, task_id)
    session.screen.item(task, _COLUMNS)


async def _run_of(org: Organization, task_id: str, named: str | None) -> str | None:
    """Return the run that a task belongs to, None for a one-off task."""
    return named or (await org.tasks.get(task_id)).run_id
