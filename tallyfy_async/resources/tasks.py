"""Operations of tasks, and the organization's own one-off tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.filters import TaskFilters
from tallyfy_async.models.forms import TaskForm
from tallyfy_async.models.processes import OneOffTaskReplace, OneOffTaskUpdate, Task
from tallyfy_async.models.task_inputs import TaskCreate
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.protocol.response import item
from tallyfy_async.resources.base import Resource, body_id, query_of, with_of
from tallyfy_async.resources.bodies import changes, completion, field_value
from tallyfy_async.resources.forms import Values, check_once, needs_form, taskdata

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
EMAIL_OF_RUN = Operation(
    id="email_run_task",
    method="POST",
    path=f"{_RUN}/tasks/{{task_id}}/email",
    scopes="process",
    call="org.runs.tasks.email",
    confidence="inferred",
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
CREATE = Operation(id="create_task", method="POST", path=f"{_ORG}/tasks", scopes="process", call="org.tasks.create")
ARCHIVE = Operation(
    id="archive_task", method="DELETE", path=f"{_ORG}/tasks/{{task_id}}", scopes="process", call="org.tasks.archive"
)
RESTORE = Operation(
    id="restore_task",
    method="PUT",
    path=f"{_ORG}/tasks/{{task_id}}/restore",
    scopes="process",
    call="org.tasks.restore",
    confidence="documented",
)
DELETE = Operation(
    id="delete_task",
    method="DELETE",
    path=f"{_ORG}/tasks/{{task_id}}/delete",
    scopes="process",
    call="org.tasks.delete",
    confidence="documented",
)
CLONE = Operation(
    id="clone_task",
    method="POST",
    path=f"{_ORG}/tasks/{{task_id}}/clone",
    scopes="process",
    call="org.tasks.clone",
    confidence="documented",
)
EMAIL = Operation(
    id="email_task",
    method="POST",
    path=f"{_ORG}/tasks/{{task_id}}/email",
    scopes="process",
    call="org.tasks.email",
    confidence="inferred",
)
SAVE_CAPTURE = Operation(
    id="save_task_capture",
    method="POST",
    path=f"{_ORG}/tasks/{{task_id}}/captures",
    scopes="process",
    call="org.tasks.save_capture",
    confidence="inferred",
)
SET_FIELD_VALUE = Operation(
    id="update_form_field_value",
    method="PUT",
    path=f"{_ORG}/form-field/value",
    scopes="process",
    call="org.tasks.set_field_value",
)
SET_FIELD_VALUE_AS_GUEST = Operation(
    id="update_form_field_value_as_guest",
    method="POST",
    path=f"{_ORG}/guests/{{guest_email}}/form-field/value",
    scopes="process",
    call="org.tasks.set_field_value_as_guest",
    confidence="documented",
)


class _CaptureValue(TypedDict):
    id: str | int
    value: Any


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
        """Read any task, which also tells its ``run_id`` (contract: get_task).

        ``with_`` takes run, step, form_fields, tags, threads, issues, assets, folders, roles, activities,
        ko-form-fields, summary, member_watchers, guest_watchers, threads_count.
        """
        return await self._item(GET, Task, {"task_id": task_id}, query=with_of(with_), options=options)

    async def create(self, *, options: RequestOptions | None = None, **fields: Unpack[TaskCreate]) -> Task:
        """Create a one-off task; ``title``, ``owners`` and ``deadline`` are needed (contract: create_task).

        It is sent once: IndeterminateError and ServerError mean that the task may exist. With
        ``separate_task_for_each_assignee`` the server makes a run of one task for each assignee and answers with one of
        them: ``org.runs.tasks.list(task.run.id)`` gives the rest, perhaps a moment later, and they are completed
        through ``org.runs.tasks``. With ``run_id`` the task is added to that run. Raises ConfigurationError for choice
        fields without options, which nobody could answer, ValidationError where the run takes no tasks.
        """
        body = {"task_type": "task", **write(TaskCreate, fields, what="tasks.create")}
        _check_choices(body.get("form_fields", ()))
        found: Any = (await self._call(CREATE, payload=body, options=options)).data
        match found:
            case [first, *_]:  # some answers hold a list, as the official SDK knows
                return structure(item(first), Task, path="data[0]")
            case _:
                return structure(item(found), Task, path="data")

    async def form(self, task_id: str, *, options: RequestOptions | None = None) -> TaskForm:
        """Read the form of any task with the answers that it holds (contract: get_task)."""
        return TaskForm.of(await self.get(task_id, with_=["form_fields"], options=options))

    async def update(
        self,
        task_id: str,
        *,
        values: Values | None = None,
        options: RequestOptions | None = None,
        **fields: Unpack[OneOffTaskUpdate],
    ) -> Task:
        """Change a one-off task; what is not given stays as it is (contract: update_task).

        The server wants title, deadline and owners each time, so the task is read first and the missing ones are sent
        again; ``replace`` does without the read. ``values={label: value}`` are answers by label, alias or id, or a
        filled ``form(task_id)``, as for ``runs.tasks.update``. ``owners`` replaces all assignees and must name all
        three buckets. Raises ConfigurationError where the read lacks one of the three or shows a task of a run, which
        ``runs.tasks.update`` changes, KickoffError for answers that do not fit, ValidationError for a completed task.
        """
        body = changes(OneOffTaskUpdate, fields, "tasks.update", more=bool(values))
        check_once(body, "taskdata", "values", values)
        task, with_form = None, needs_form(values)
        if with_form or not body.keys() >= {"title", "deadline", "owners"}:
            task = await self.get(task_id, with_=["form_fields"] if with_form else None, options=options)
            body = {**_present(task, body), **body}
        body |= taskdata(task_id, values, task)
        return await self._item(UPDATE, Task, {"task_id": task_id}, payload=body, options=options)

    async def replace(
        self, task_id: str, *, options: RequestOptions | None = None, **fields: Unpack[OneOffTaskReplace]
    ) -> Task:
        """Change a one-off task in one request; ``title``, ``deadline`` and ``owners`` are needed each time.

        ``owners`` replaces all assignees and must name all three buckets. The other fields stay unless they are given.
        Raises ValidationError for a completed task (contract: update_task).
        """
        body = changes(OneOffTaskReplace, fields, "tasks.replace")
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

        The rules of ``runs.tasks.complete`` hold. Tasks of runs are a NotFoundError here, those that
        ``separate_task_for_each_assignee`` made and those that were added to a run included.
        """
        body = completion(task_id, is_approved, override_user, "tasks.complete")
        return await self._item(COMPLETE, Task, payload=body, options=options)

    async def reopen(self, task_id: str, *, options: RequestOptions | None = None) -> Task:
        """Reopen a completed one-off task (contract: reopen_task)."""
        return await self._item(REOPEN, Task, {"task_id": task_id}, options=options)

    async def archive(self, task_id: str, *, options: RequestOptions | None = None) -> None:
        """Archive a one-off task; ``restore`` brings it back (contract: archive_task)."""
        await self._call(ARCHIVE, {"task_id": task_id}, options=options)

    async def restore(self, task_id: str, *, options: RequestOptions | None = None) -> Task:
        """Bring an archived one-off task back (contract: restore_task)."""
        return await self._item(RESTORE, Task, {"task_id": task_id}, options=options)

    async def delete(self, task_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a one-off task for good, with its fields and values (contract: delete_task).

        Whether it must be archived before is not documented; runs must.
        """
        await self._call(DELETE, {"task_id": task_id}, options=options)

    async def clone(self, task_id: str, *, options: RequestOptions | None = None) -> Task:
        """Duplicate a task and return the copy; sent twice, it makes two (contract: clone_task)."""
        return await self._item(CLONE, Task, {"task_id": task_id}, options=options)

    async def email(self, task_id: str, *, options: RequestOptions | None = None) -> None:
        """Send the mail of a one-off e-mail task, or a reminder (contract: email_task).

        Inferred: no official document shows it; only the path is known.
        """
        await self._call(EMAIL, {"task_id": task_id}, options=options)

    async def save_capture(
        self, task_id: str, capture_id: str | int, value: Any, *, options: RequestOptions | None = None
    ) -> None:
        """Store the answer to one field of a task; prefer ``taskdata`` of an update (contract: save_task_capture).

        Inferred: no official document shows it; sources differ on whether ``capture_id`` is a number or a text.
        """
        number = type(capture_id) is int
        fields = {"id": capture_id if number else body_id("capture_id", capture_id), "value": value}
        body = write(_CaptureValue, fields, what="tasks.save_capture")
        await self._call(SAVE_CAPTURE, {"task_id": task_id}, payload=body, options=options)

    async def set_field_value(self, value_id: str | int, value: Any, *, options: RequestOptions | None = None) -> None:
        """Overwrite one stored answer by the id of its own row; prefer ``taskdata`` of an update.

        No reply of the API tells that id: it is neither the field's nor the task's. An id of no stored answer is a
        ServerError (contract: update_form_field_value).
        """
        body = field_value(value_id, value, "tasks.set_field_value")
        await self._call(SET_FIELD_VALUE, payload=body, options=options)

    async def set_field_value_as_guest(
        self, guest_email: str, value_id: str | int, value: Any, *, options: RequestOptions | None = None
    ) -> None:
        """Set one answer on behalf of a guest, stored before or not (contract: update_form_field_value_as_guest)."""
        body = field_value(value_id, value, "tasks.set_field_value_as_guest")
        await self._call(SET_FIELD_VALUE_AS_GUEST, {"guest_email": guest_email}, payload=body, options=options)


def _present(task: Task, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a one-off task has of the three fields that each update needs, but for what changes anyway."""
    if task.run_id is not None:
        msg = f'this task belongs to a run: use org.runs.tasks.update("{task.run_id}", "{task.id}", …)'
        raise ConfigurationError(msg)
    owners = None if task.owners is None or "owners" in changed else task.owners.as_input()
    present = {"title": task.title, "deadline": task.deadline, "owners": owners}
    wanted = {name: value for name, value in present.items() if name not in changed}
    if missing := [name for name, value in wanted.items() if value is None]:
        msg = f"the task was read without {', '.join(missing)}, which each update needs: pass it to tasks.update"
        raise ConfigurationError(msg)
    return write(OneOffTaskUpdate, wanted, what="tasks.update")


def _check_choices(fields: Iterable[Mapping[str, Any]]) -> None:
    for at, one in enumerate(fields):
        if one["field_type"] in {"radio", "dropdown", "multiselect"} and not one.get("options"):
            msg = f"tasks.create: form_fields[{at}] lacks options: the server would make a field that takes no answer"
            raise ConfigurationError(msg)
