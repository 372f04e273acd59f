"""Routes that only older documents name: use them where a newer one fails on an old server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.fields import Capture, CaptureCreate
from tallyfy_async.models.files import Asset
from tallyfy_async.models.template_inputs import StepCreate, StepReplace
from tallyfy_async.models.templates import Step
from tallyfy_async.models.threads import Comment
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id
from tallyfy_async.resources.steps import checked_times

if TYPE_CHECKING:
    from tallyfy_async.engine.download import Download
    from tallyfy_async.transport.upload import FileSource

_ORG = "/organizations/{org}"
_STEPS = f"{_ORG}/steps"
_STEP = f"{_STEPS}/{{step_id}}"
_CAPTURE = f"{_STEP}/captures/{{capture_id}}"
_template = partial(Operation, scopes="template", confidence="inferred")
_unscoped = partial(Operation, scopes="unknown", confidence="inferred")

CREATE_STEP = _template(id="create_step_legacy", method="POST", path=_STEPS, call="org.legacy.create_step")
GET_STEP = _template(id="get_step_legacy", method="GET", path=_STEP, call="org.legacy.get_step")
UPDATE_STEP = _template(id="update_step_legacy", method="PUT", path=_STEP, call="org.legacy.update_step")
DELETE_STEP = _template(id="delete_step_legacy", method="DELETE", path=_STEP, call="org.legacy.delete_step")
CREATE_CAPTURE = _template(
    id="create_capture_legacy", method="POST", path=f"{_STEP}/captures", call="org.legacy.create_capture"
)
UPDATE_CAPTURE = _template(id="update_capture_legacy", method="PUT", path=_CAPTURE, call="org.legacy.update_capture")
DELETE_CAPTURE = _template(id="delete_capture_legacy", method="DELETE", path=_CAPTURE, call="org.legacy.delete_capture")
COMMENT = _unscoped(
    id="comment_step_legacy", method="POST", path=f"{_STEP}/comments", call="org.legacy.comment_on_step"
)
REPORT = _unscoped(
    id="report_step_issue_legacy", method="POST", path=f"{_STEP}/issues", call="org.legacy.report_step_issue"
)
RESOLVE = _unscoped(
    id="resolve_step_issue_legacy",
    method="POST",
    path=f"{_STEP}/resolved-issues",
    call="org.legacy.resolve_step_issue",
)
REOPEN = Operation(
    id="reopen_run_task_legacy",
    method="POST",
    path=f"{_ORG}/runs/{{run_id}}/completed-tasks/{{task_id}}",
    scopes="process",
    call="org.legacy.reopen_run_task",
    confidence="inferred",
)
UPLOAD = _unscoped(id="upload_file_legacy", method="POST", path=f"{_ORG}/upload", call="org.legacy.upload_file")
DOWNLOAD = _unscoped(
    id="download_files", method="GET", path=f"{_ORG}/download-files/{{file_id}}", call="org.legacy.download_files"
)


class _Remark(TypedDict, total=False):
    content: str
    state: str


@frozen(eq=False)
class Legacy(Resource):
    """Routes that only older documents name. All are inferred: no official document shows how they are called."""

    async def create_step(
        self, checklist_id: str, *, options: RequestOptions | None = None, **fields: Unpack[StepCreate]
    ) -> Step:
        """Append a step to a template; prefer ``checklists.steps.create`` (contract: create_step_legacy).

        Inferred: no official document shows it.
        """
        body = checked_times(write(StepCreate, fields, what="legacy.create_step"), "legacy.create_step")
        payload = {"checklist_id": body_id("checklist_id", checklist_id), **body}
        return await self._item(CREATE_STEP, Step, payload=payload, options=options)

    async def get_step(self, step_id: str, *, options: RequestOptions | None = None) -> Step:
        """Read a step by its id alone; prefer ``checklists.steps.get`` (contract: get_step_legacy).

        Inferred: no official document shows it.
        """
        return await self._item(GET_STEP, Step, {"step_id": step_id}, options=options)

    async def update_step(
        self, step_id: str, *, options: RequestOptions | None = None, **fields: Unpack[StepReplace]
    ) -> Step:
        """Change a step; prefer ``checklists.steps.update`` (contract: update_step_legacy).

        Title and all three lists of people are needed each time, because the server empties a list that is left out.
        Inferred: no official document shows it.
        """
        body = checked_times(write(StepReplace, fields, what="legacy.update_step"), "legacy.update_step")
        return await self._item(UPDATE_STEP, Step, {"step_id": step_id}, payload=body, options=options)

    async def delete_step(self, step_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a step for good; prefer ``checklists.steps.delete`` (contract: delete_step_legacy).

        Inferred: no official document shows it.
        """
        await self._call(DELETE_STEP, {"step_id": step_id}, options=options)

    async def create_capture(
        self, step_id: str, definition: CaptureCreate, *, options: RequestOptions | None = None
    ) -> Capture:
        """Add a field to a step; prefer ``checklists.steps.captures.create`` (contract: create_capture_legacy).

        Inferred: no official document shows it.
        """
        body = write(CaptureCreate, definition, what="legacy.create_capture")
        return await self._item(CREATE_CAPTURE, Capture, {"step_id": step_id}, payload=body, options=options)

    async def update_capture(
        self, step_id: str, capture_id: str, definition: CaptureCreate, *, options: RequestOptions | None = None
    ) -> Capture:
        """Make this the whole definition of a field; prefer ``checklists.steps.captures.update``.

        Inferred: no official document shows it (contract: update_capture_legacy).
        """
        body = write(CaptureCreate, definition, what="legacy.update_capture")
        values = {"step_id": step_id, "capture_id": capture_id}
        return await self._item(UPDATE_CAPTURE, Capture, values, payload=body, options=options)

    async def delete_capture(self, step_id: str, capture_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a field; prefer ``checklists.steps.captures.delete`` (contract: delete_capture_legacy).

        Inferred: no official document shows it.
        """
        await self._call(DELETE_CAPTURE, {"step_id": step_id, "capture_id": capture_id}, options=options)

    async def comment_on_step(
        self, step_id: str, *, content: str, state: str | None = None, options: RequestOptions | None = None
    ) -> Comment:
        """Comment on a step of a template; prefer ``threads.comment_on_checklist`` (contract: comment_step_legacy).

        ``state`` is open, hide-for-guests or collapsed. Inferred: no official document shows it.
        """
        body = _remark(content, state, "legacy.comment_on_step")
        return await self._item(COMMENT, Comment, {"step_id": step_id}, payload=body, options=options)

    async def report_step_issue(
        self, step_id: str, *, content: str, state: str | None = None, options: RequestOptions | None = None
    ) -> Comment:
        """Report a problem of a step; prefer ``threads.report_checklist_problem`` (contract: report_step_issue_legacy).

        Inferred: no official document shows it.
        """
        body = _remark(content, state, "legacy.report_step_issue")
        return await self._item(REPORT, Comment, {"step_id": step_id}, payload=body, options=options)

    async def resolve_step_issue(
        self,
        step_id: str,
        *,
        thread_id: str | int,
        content: str,
        state: str | None = None,
        options: RequestOptions | None = None,
    ) -> Comment:
        """Resolve a problem of a step; prefer ``threads.resolve_checklist_threads``.

        Inferred: no official document shows it (contract: resolve_step_issue_legacy).
        """
        thread = body_id("thread_id", str(thread_id) if type(thread_id) is int else thread_id)
        body = {"thread_id": thread, **_remark(content, state, "legacy.resolve_step_issue")}
        return await self._item(RESOLVE, Comment, {"step_id": step_id}, payload=body, options=options)

    async def reopen_run_task(
        self, run_id: str, task_id: str, *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Reopen a task of a run by POST, as one old connector does; return the reply's JSON.

        Prefer ``runs.tasks.reopen``. Inferred: no official document shows it (contract: reopen_run_task_legacy).
        """
        data = (await self._call(REOPEN, {"run_id": run_id, "task_id": task_id}, options=options)).data
        return structure({} if data is None else data, dict[str, Any], path="data")

    async def upload_file(
        self,
        source: FileSource,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        fields: dict[str, str] | None = None,
        options: RequestOptions | None = None,
    ) -> Asset:
        """Upload a file with whatever form fields the server wants; prefer ``files.upload``.

        Raises as that one does. Inferred: no official document shows it (contract: upload_file_legacy).
        """
        return await self._upload(
            UPLOAD,
            Asset,
            part="name",
            source=source,
            filename=filename,
            content_type=content_type,
            fields=fields,
            options=options,
        )

    def download_files(
        self, file_id: str, *, max_bytes: int | None = None, options: RequestOptions | None = None
    ) -> Download:
        """Return a file as a download; prefer ``files.download`` (contract: download_files).

        Inferred: no official document shows it.
        """
        return self._download(DOWNLOAD, {"file_id": file_id}, max_bytes=max_bytes, options=options)


def _remark(content: str, state: str | None, what: str) -> dict[str, Any]:
    return write(_Remark, {"content": content, **({} if state is None else {"state": state})}, what=what)
