"""Tasks: those of runs, and the organization's own one-off tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.filters import RunTaskFilters, TaskFilters
from tallyfy_async.models.processes import OneOffTaskUpdate, Task, TaskUpdate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id, check_answers, query_of, with_of

_RUN = "/organizations/{org}/runs/{run_id}"
_ORG = "/organizations/{org}"

LIST_OF_RUN = Operation(
    id="list_run_tasks",
    method="GET",
    path=f"{_RUN}/tasks",
    scopes="process",
    call="org.runs.tasks.list",
    max_per_page=100,
)
GET_OF_RUN = Operation(
    id="get_run_task", method="GET", path=f"{_RUN}/tasks/{{task_id}}", scopes="process", call="org.runs.tasks.get"
)
UPDATE_OF_RUN = Operation(
    id="update_run_task", method="PUT", path=f"{_RUN}/tasks/{{task_id}}", scopes="process", call="org.runs.tasks.update"
)
COMPLETE_OF_RUN = Operation(
    id="complete_run_task",
    method="POST",
    path=f"{_RUN}/completed-tasks",
    scopes="process",
    call="org.runs.tasks.complete",
)
REOPEN_OF_RUN = Operation(
    id="reopen_run_task",
    method="DELETE",
    path=f"{_RUN}/completed-tasks/{{task_id}}",
    scopes="process",
    call="org.runs.tasks.reopen",
)
LIST = Operation(
    id="list_tasks",
    method="GET",
    path=f"{_ORG}/tasks",
    scopes="process",
    call="org.tasks.list",
    max_per_page=100,
)
GET = Operation(id="get_task", method="GET", path=f"{_ORG}/tasks/{{task_id}}", scopes="process", call="org.tasks.get")
UPDATE = Operation(
    id="update_task", method="PUT", path=f"{_ORG}/tasks/{{task_id}}", scopes="process", call="org.tasks.update"
)
COMPLETE = Operation(
    id="complete_task", method="POST", path=f"{_ORG}/completed-tasks", scopes="process", call="org.tasks.complete"
)
REOPEN = Operation(
    id="reopen_task",
    method="DELETE",
    path=f"{_ORG}/completed-tasks/{{task_id}}",
    scopes="process",
    call="org.tasks.reopen",
)


class _Completion(TypedDict, total=False):
    is_approved: bool
    override_user: int


def _completion(task_id: str, is_approved: bool | None, override_user: int | None, what: str) -> dict[str, Any]:
    given = {"is_approved": is_approved, "override_user": override_user}
    checked = write(_Completion, {name: value for name, value in given.items() if value is not None}, what=what)
    return {"task_id": body_id("task_id", task_id), **checked}


def _changes(kind: type[Any], fields: Mapping[str, Any], what: str) -> dict[str, Any]:
    body = write(kind, fields, what=what)
    if not body:
        msg = f"{what} needs something to change"
        raise ConfigurationError(msg)
    check_answers("taskdata", body.get("taskdata"), 'task.form_fields (with_=["form_fields"])')
    return body


@frozen(eq=False)
class RunTasks(Resource):
    """Tasks of runs. One-off tasks that belong to a run are among them."""

    def list(
        self,
        run_id: str,
        *,
        per_page: int | None = None,
        options: RequestOptions | None = None,
        **filters: Unpack[RunTaskFilters],
    ) -> Pager[Task]:
        """List the tasks of a run, hidden ones too, with the status ``auto-skipped`` (contract: list_run_tasks).

        The server may answer from a replica that lags behind a launch by a moment.
        """
        query = query_of(RunTaskFilters, filters, "runs.tasks.list")
        return self._list(LIST_OF_RUN, Task, {"run_id": run_id}, query=query, per_page=per_page, options=options)

    async def get(
        self, run_id: str, task_id: str, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> Task:
        """Read one task; ``with_=["form_fields", "threads"]`` brings answers and comments (contract: get_run_task)."""
        values = {"run_id": run_id, "task_id": task_id}
        return await self._item(GET_OF_RUN, Task, values, query=with_of(with_), options=options)

    async def update(
        self, run_id: str, task_id: str, *, options: RequestOptions | None = None, **fields: Unpack[TaskUpdate]
    ) -> Task:
        """Change a task: text, deadline, assignees, answers; what is not given stays (contract: update_run_task).

        ``owners`` replaces all assignees and must name all three buckets. Raises ValidationError for a completed task.
        """
        body = _changes(TaskUpdate, fields, "runs.tasks.update")
        values = {"run_id": run_id, "task_id": task_id}
        return await self._item(UPDATE_OF_RUN, Task, values, payload=body, options=options)

    async def complete(
        self,
        run_id: str,
        task_id: str,
        *,
        is_approved: bool | None = None,
        override_user: int | None = None,
        options: RequestOptions | None = None,
    ) -> Task:
        """Complete a task; ``is_approved`` is mandatory for approvals (contract: complete_run_task).

        Answers do not travel with the completion: update ``taskdata`` first. ``override_user`` is the member to record
        as completer. Raises ValidationError where a required answer is missing.
        """
        body = _completion(task_id, is_approved, override_user, "runs.tasks.complete")
        return await self._item(COMPLETE_OF_RUN, Task, {"run_id": run_id}, payload=body, options=options)

    async def reopen(self, run_id: str, task_id: str, *, options: RequestOptions | None = None) -> Task:
        """Reopen a completed task; a run that was complete is active again (contract: reopen_run_task)."""
        return await self._item(REOPEN_OF_RUN, Task, {"run_id": run_id, "task_id": task_id}, options=options)


@frozen(eq=False)
class Tasks(Resource):
    """All tasks of an organization for reading; for writing, one-off tasks outside of runs."""

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[TaskFilters]
    ) -> Pager[Task]:
        """List tasks of runs and one-off tasks (contract: list_tasks)."""
        query = query_of(TaskFilters, filters, "tasks.list")
        return self._list(LIST, Task, query=query, per_page=per_page, options=options)

    async def get(
        self, task_id: str, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> Task:
        """Read any task, which also tells its ``run_id`` (contract: get_task)."""
        return await self._item(GET, Task, {"task_id": task_id}, query=with_of(with_), options=options)

    async def update(
        self, task_id: str, *, options: RequestOptions | None = None, **fields: Unpack[OneOffTaskUpdate]
    ) -> Task:
        """Change a one-off task; ``title``, ``deadline`` and ``owners`` are needed each time (contract: update_task).

        ``owners`` replaces all assignees and must name all three buckets. Raises ValidationError for a completed task.
        """
        body = _changes(OneOffTaskUpdate, fields, "tasks.update")
        return await self._item(UPDATE, Task, {"task_id": task_id}, payload=body, options=options)

    async def complete(
        self,
        task_id: str,
        *,
        is_approved: bool | None = None,
        override_user: int | None = None,
        options: RequestOptions | None = None,
    ) -> Task:
        """Complete a one-off task whose ``run_id`` is None (contract: complete_task).

        Tasks of runs belong to ``runs.tasks``: here they are a NotFoundError.
        """
        body = _completion(task_id, is_approved, override_user, "tasks.complete")
        return await self._item(COMPLETE, Task, payload=body, options=options)

    async def reopen(self, task_id: str, *, options: RequestOptions | None = None) -> Task:
        """Reopen a completed one-off task (contract: reopen_task)."""
        return await self._item(REOPEN, Task, {"task_id": task_id}, options=options)
