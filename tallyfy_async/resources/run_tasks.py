"""Tasks of runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.filters import RunTaskFilters
from tallyfy_async.models.forms import TaskForm
from tallyfy_async.models.processes import Task, TaskUpdate
from tallyfy_async.resources.base import Resource, query_of, with_of
from tallyfy_async.resources.bodies import changes, completion
from tallyfy_async.resources.custom_fields import TaskCustomFields
from tallyfy_async.resources.forms import Values, check_once, needs_form, taskdata
from tallyfy_async.resources.tasks import (
    COMPLETE_OF_RUN,
    EMAIL_OF_RUN,
    GET_OF_RUN,
    LIST_OF_RUN,
    REOPEN_OF_RUN,
    UPDATE_OF_RUN,
)


@frozen(eq=False)
class RunTasks(Resource):
    """Tasks of runs. One-off tasks that belong to a run are among them."""

    @property
    def custom_fields(self) -> TaskCustomFields:
        """The custom field values of tasks."""
        return TaskCustomFields(self._engine, self._values)

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
        """Read one task; ``with_=["form_fields", "threads"]`` brings fields and comments (contract: get_run_task).

        ``with_`` takes the words of ``tasks.get`` and comments. Raises NotFoundError also for a task of another run.
        """
        values = {"run_id": run_id, "task_id": task_id}
        return await self._item(GET_OF_RUN, Task, values, query=with_of(with_), options=options)

    async def form(self, run_id: str, task_id: str, *, options: RequestOptions | None = None) -> TaskForm:
        """Read a task's form with the answers that it holds (contract: get_run_task)."""
        return TaskForm.of(await self.get(run_id, task_id, with_=["form_fields"], options=options))

    async def update(
        self,
        run_id: str,
        task_id: str,
        *,
        values: Values | None = None,
        options: RequestOptions | None = None,
        **fields: Unpack[TaskUpdate],
    ) -> Task:
        """Change a task: text, deadline, assignees, answers; what is not given stays (contract: update_run_task).

        ``values={label: value}`` are answers by label, alias or id: the task is read first, to check and encode them,
        unless they come from ``form(run_id, task_id)`` as ``form.fill({…})``; ``taskdata`` are answers by field id.
        Answers that are not given stay. ``owners`` replaces all assignees and must name all three buckets. Raises
        KickoffError, which names every unknown and wrong answer, before anything is sent; ValidationError for a
        completed task.
        """
        body = changes(TaskUpdate, fields, "runs.tasks.update", more=bool(values))
        check_once(body, "taskdata", "values", values)
        read = await self.get(run_id, task_id, with_=["form_fields"], options=options) if needs_form(values) else None
        body |= taskdata(task_id, values, read)
        place = {"run_id": run_id, "task_id": task_id}
        return await self._item(UPDATE_OF_RUN, Task, place, payload=body, options=options)

    async def complete(
        self,
        run_id: str,
        task_id: str,
        *,
        is_approved: bool | None = None,
        override_user: int | None = None,
        options: RequestOptions | None = None,
    ) -> Task:
        """Complete a task, and with the last one its run (contract: complete_run_task).

        Approvals need ``is_approved``: True approves, False rejects. Leave it out otherwise: an expiring task would be
        recorded as expired with False, the others ignore it. ``override_user`` is the member to record as completer.
        Answers do not travel with the completion: update ``taskdata`` first. Raises ValidationError where a required
        answer or the verdict is missing, where an issue is open, and for hidden tasks; PermissionDeniedError where only
        assignees may complete. Do not repeat it: completing again may be an error, or change nothing and send webhooks
        and mails once more. Where everyone must complete, the task stays open until the last one has.
        ``task.tasks_changed_by_rules`` holds the tasks that automations changed.
        """
        body = completion(task_id, is_approved, override_user, "runs.tasks.complete")
        return await self._item(COMPLETE_OF_RUN, Task, {"run_id": run_id}, payload=body, options=options)

    async def reopen(self, run_id: str, task_id: str, *, options: RequestOptions | None = None) -> Task:
        """Reopen a completed task; a run that was complete is active again (contract: reopen_run_task).

        The verdict of an approval is gone. Tallyfy's web app asks for a reason and posts it as a comment:
        ``org.threads.comment_on_task`` does that.
        """
        return await self._item(REOPEN_OF_RUN, Task, {"run_id": run_id, "task_id": task_id}, options=options)

    async def email(self, run_id: str, task_id: str, *, options: RequestOptions | None = None) -> None:
        """Send the mail of an e-mail task, or a reminder (contract: email_run_task).

        Inferred: no official document shows it; only the path is known.
        """
        await self._call(EMAIL_OF_RUN, {"run_id": run_id, "task_id": task_id}, options=options)
