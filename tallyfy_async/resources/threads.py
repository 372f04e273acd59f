"""Threads: comments and issues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from attrs import frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.processes import Task
from tallyfy_async.models.threads import Comment, CommentInput, ResolveInput
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id, with_of
from tallyfy_async.resources.bodies import text_of
from tallyfy_async.resources.tasks import GET as GET_TASK

_TASK = "/organizations/{org}/tasks/{task_id}"
_RUN = "/organizations/{org}/runs/{run_id}"
_CHECKLIST = "/organizations/{org}/checklists/{checklist_id}"

COMMENT_ON_TASK = Operation(
    id="create_task_comment",
    method="POST",
    path=f"{_TASK}/comment",
    scopes="process",
    call="org.threads.comment_on_task",
)
UPDATE_TASK_COMMENT = Operation(
    id="update_task_comment",
    method="PUT",
    path=f"{_TASK}/comment/{{comment_id}}",
    scopes="process",
    call="org.threads.update_task_comment",
)
DELETE_TASK_COMMENT = Operation(
    id="delete_task_comment",
    method="DELETE",
    path=f"{_TASK}/comment/{{comment_id}}",
    scopes="process",
    call="org.threads.delete_task_comment",
)
BOT_COMMENT_ON_TASK = Operation(
    id="create_task_bot_comment",
    method="POST",
    path=f"{_TASK}/bot-comment",
    scopes="process",
    call="org.threads.bot_comment_on_task",
    confidence="documented",
)
REPORT_TASK_PROBLEM = Operation(
    id="report_task_problem",
    method="POST",
    path=f"{_TASK}/problem",
    scopes="process",
    call="org.threads.report_task_problem",
)
RESOLVE_TASK_THREADS = Operation(
    id="resolve_task_threads",
    method="POST",
    path=f"{_TASK}/resolved-threads",
    scopes="process",
    call="org.threads.resolve_task_threads",
)
COMMENT_ON_RUN = Operation(
    id="create_run_comment",
    method="POST",
    path=f"{_RUN}/comment",
    scopes="process",
    call="org.threads.comment_on_run",
    confidence="documented",
)
REPORT_RUN_PROBLEM = Operation(
    id="report_run_problem",
    method="POST",
    path=f"{_RUN}/problem",
    scopes="process",
    call="org.threads.report_run_problem",
    confidence="documented",
)
RESOLVE_RUN_THREADS = Operation(
    id="resolve_run_threads",
    method="POST",
    path=f"{_RUN}/resolved-threads",
    scopes="process",
    call="org.threads.resolve_run_threads",
    confidence="documented",
)
COMMENT_ON_CHECKLIST = Operation(
    id="create_checklist_comment",
    method="POST",
    path=f"{_CHECKLIST}/comment",
    scopes="unknown",
    call="org.threads.comment_on_checklist",
    confidence="documented",
)
REPORT_CHECKLIST_PROBLEM = Operation(
    id="report_checklist_problem",
    method="POST",
    path=f"{_CHECKLIST}/problem",
    scopes="unknown",
    call="org.threads.report_checklist_problem",
    confidence="documented",
)
RESOLVE_CHECKLIST_THREADS = Operation(
    id="resolve_checklist_threads",
    method="POST",
    path=f"{_CHECKLIST}/resolved-threads",
    scopes="unknown",
    call="org.threads.resolve_checklist_threads",
    confidence="documented",
)


@frozen(eq=False)
class Threads(Resource):
    """Comments and issues of tasks, runs and templates.

    Guests see a comment only where its ``state`` is ``open``; without a state it is hidden from them. Members are
    notified by ``mention(user_id)`` in the text and in no other way, and may see the task from then on. An organization
    may post 120 comments an hour; more is a RateLimitError. Comments are sent once: IndeterminateError and ServerError
    mean that one may be there.
    """

    async def list_of_task(self, task_id: str, *, options: RequestOptions | None = None) -> tuple[Comment, ...]:
        """Read the comments and issues of a task, which come with the task alone (contract: get_task).

        ``comment.is_open_issue`` tells the issues that block its completion.
        """
        task = await self._item(GET_TASK, Task, {"task_id": task_id}, query=with_of(["threads"]), options=options)
        return tuple(task.threads or ())

    async def comment_on_task(
        self, task_id: str, content: str, *, options: RequestOptions | None = None, **fields: Unpack[CommentInput]
    ) -> Comment:
        """Comment on a task of a run or on a one-off task (contract: create_task_comment)."""
        body = _comment(content, fields, "threads.comment_on_task")
        return await self._item(COMMENT_ON_TASK, Comment, {"task_id": task_id}, payload=body, options=options)

    async def update_task_comment(
        self,
        task_id: str,
        comment_id: str,
        content: str,
        *,
        options: RequestOptions | None = None,
        **fields: Unpack[CommentInput],
    ) -> Comment:
        """Change the text of a comment, its state or its label (contract: update_task_comment)."""
        values = {"task_id": task_id, "comment_id": comment_id}
        body = _comment(content, fields, "threads.update_task_comment")
        return await self._item(UPDATE_TASK_COMMENT, Comment, values, payload=body, options=options)

    async def delete_task_comment(
        self, task_id: str, comment_id: str, *, options: RequestOptions | None = None
    ) -> None:
        """Delete a comment (contract: delete_task_comment)."""
        await self._call(DELETE_TASK_COMMENT, {"task_id": task_id, "comment_id": comment_id}, options=options)

    async def bot_comment_on_task(
        self, task_id: str, content: str, *, options: RequestOptions | None = None
    ) -> Comment:
        """Comment on a task and notify nobody (contract: create_task_bot_comment)."""
        body = _comment(content, {}, "threads.bot_comment_on_task")
        return await self._item(BOT_COMMENT_ON_TASK, Comment, {"task_id": task_id}, payload=body, options=options)

    async def report_task_problem(
        self, task_id: str, content: str, *, options: RequestOptions | None = None
    ) -> Comment:
        """Report an issue on a task, which nobody can complete until it is resolved (contract: report_task_problem).

        Its run gets the status ``problem``; a completed task is reopened. The returned ``comment.id`` is what
        ``resolve_task_threads`` takes.
        """
        body = _comment(content, {}, "threads.report_task_problem")
        return await self._item(REPORT_TASK_PROBLEM, Comment, {"task_id": task_id}, payload=body, options=options)

    async def resolve_task_threads(
        self,
        task_id: str,
        thread_id: str,
        content: str,
        *,
        options: RequestOptions | None = None,
        **fields: Unpack[ResolveInput],
    ) -> Comment:
        """Resolve an issue of a task; ``content`` is kept as the resolving comment (contract: resolve_task_threads).

        With the last open issue gone the run is active again.
        """
        body = _resolution(thread_id, content, fields, "threads.resolve_task_threads")
        return await self._item(RESOLVE_TASK_THREADS, Comment, {"task_id": task_id}, payload=body, options=options)

    async def comment_on_run(
        self, run_id: str, content: str, *, options: RequestOptions | None = None, **fields: Unpack[CommentInput]
    ) -> Comment:
        """Comment on a run (contract: create_run_comment)."""
        body = _comment(content, fields, "threads.comment_on_run")
        return await self._item(COMMENT_ON_RUN, Comment, {"run_id": run_id}, payload=body, options=options)

    async def report_run_problem(self, run_id: str, content: str, *, options: RequestOptions | None = None) -> Comment:
        """Report an issue on a run: its status is ``issue``, and its tasks take no change until it is resolved.

        The returned ``comment.id`` is what ``resolve_run_threads`` takes (contract: report_run_problem).
        """
        body = _comment(content, {}, "threads.report_run_problem")
        return await self._item(REPORT_RUN_PROBLEM, Comment, {"run_id": run_id}, payload=body, options=options)

    async def resolve_run_threads(
        self,
        run_id: str,
        thread_id: str,
        content: str,
        *,
        options: RequestOptions | None = None,
        **fields: Unpack[ResolveInput],
    ) -> Comment:
        """Resolve an issue of a run; ``content`` is kept as the resolving comment (contract: resolve_run_threads)."""
        body = _resolution(thread_id, content, fields, "threads.resolve_run_threads")
        return await self._item(RESOLVE_RUN_THREADS, Comment, {"run_id": run_id}, payload=body, options=options)

    async def comment_on_checklist(
        self, checklist_id: str, content: str, *, options: RequestOptions | None = None, **fields: Unpack[CommentInput]
    ) -> Comment:
        """Comment on a template (contract: create_checklist_comment)."""
        body = _comment(content, fields, "threads.comment_on_checklist")
        return await self._item(
            COMMENT_ON_CHECKLIST, Comment, {"checklist_id": checklist_id}, payload=body, options=options
        )

    async def report_checklist_problem(
        self, checklist_id: str, content: str, *, options: RequestOptions | None = None
    ) -> Comment:
        """Report an issue on a template (contract: report_checklist_problem)."""
        body = _comment(content, {}, "threads.report_checklist_problem")
        return await self._item(
            REPORT_CHECKLIST_PROBLEM, Comment, {"checklist_id": checklist_id}, payload=body, options=options
        )

    async def resolve_checklist_threads(
        self,
        checklist_id: str,
        thread_id: str,
        content: str,
        *,
        options: RequestOptions | None = None,
        **fields: Unpack[ResolveInput],
    ) -> Comment:
        """Resolve an issue of a template (contract: resolve_checklist_threads)."""
        values = {"checklist_id": checklist_id}
        body = _resolution(thread_id, content, fields, "threads.resolve_checklist_threads")
        return await self._item(RESOLVE_CHECKLIST_THREADS, Comment, values, payload=body, options=options)


def _comment(content: str, fields: Mapping[str, Any], what: str) -> dict[str, Any]:
    return {"content": text_of("content", content), **write(CommentInput, fields, what=what)}


def _resolution(thread_id: str, content: str, fields: Mapping[str, Any], what: str) -> dict[str, Any]:
    body = {"thread_id": body_id("thread_id", thread_id), "content": text_of("content", content)}
    return body | write(ResolveInput, fields, what=what)
