"""Micro-functions: what connectors call to do one small thing."""

from __future__ import annotations

from typing import Literal, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.models.micro import MicroTask, MicroTaskCreate
from tallyfy_async.protocol.converter import Moment, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource
from tallyfy_async.resources.bodies import text_of

_ORG = "/processes/micro-functions/organizations/{org}"

EDIT_STEP_TYPE = Operation(
    id="micro_edit_step_type",
    method="PUT",
    path=f"{_ORG}/blueprints/{{blueprint}}/steps/{{step}}/edit-step-type",
    scopes="template",
    call="org.micro.edit_step_type",
    confidence="documented",
)
CREATE_TASK = Operation(
    id="micro_create_task",
    method="POST",
    path=f"{_ORG}/tasks",
    scopes="process",
    call="org.micro.create_task",
    confidence="documented",
)
EDIT_TASK_DEADLINE = Operation(
    id="micro_edit_task_deadline",
    method="PUT",
    path=f"{_ORG}/tasks/{{task}}/edit-deadline",
    scopes="process",
    call="org.micro.edit_task_deadline",
    confidence="documented",
)
REMOVE_ASSIGNEE = Operation(
    id="micro_remove_assignee",
    method="PUT",
    path=f"{_ORG}/tasks/{{task}}/remove-assignee/{{member}}",
    scopes="process",
    call="org.micro.remove_assignee",
    confidence="documented",
)
REMOVE_GUEST = Operation(
    id="micro_remove_guest",
    method="PUT",
    path=f"{_ORG}/tasks/{{task}}/remove-guest/{{guest}}",
    scopes="process",
    call="org.micro.remove_guest",
    confidence="documented",
)


class _Deadline(TypedDict):
    Deadline: Moment


@frozen(eq=False)
class Micro(Resource):
    """Small single-purpose calls that Microsoft's connector is documented with."""

    async def edit_step_type(
        self, blueprint: str, step: str, step_type: Literal["all", "any"], *, options: RequestOptions | None = None
    ) -> None:
        """Say whether ``all`` assignees of a step must complete it or ``any`` one may (contract: micro_edit_step_type).

        This is no task type: ``checklists.steps`` changes that one.
        """
        body = {"stepType": text_of("step_type", step_type)}
        await self._call(EDIT_STEP_TYPE, {"blueprint": blueprint, "step": step}, payload=body, options=options)

    async def create_task(
        self, *, options: RequestOptions | None = None, **fields: Unpack[MicroTaskCreate]
    ) -> MicroTask:
        """Create a one-off task by ``name``, ``deadline`` and ``description`` (contract: micro_create_task).

        ``tasks.create`` does the same with all that a task can have. It is sent once: IndeterminateError and
        ServerError mean that the task may exist.
        """
        body = {"task_type": "task", **write(MicroTaskCreate, fields, what="micro.create_task")}
        return await self._item(CREATE_TASK, MicroTask, payload=body, options=options)

    async def edit_task_deadline(self, task: str, deadline: Moment, *, options: RequestOptions | None = None) -> None:
        """Move a task's deadline and nothing else (contract: micro_edit_task_deadline)."""
        body = write(_Deadline, {"Deadline": deadline}, what="micro.edit_task_deadline")
        await self._call(EDIT_TASK_DEADLINE, {"task": task}, payload=body, options=options)

    async def remove_assignee(self, task: str, member: int, *, options: RequestOptions | None = None) -> None:
        """Take one member off a task; the others stay (contract: micro_remove_assignee)."""
        await self._call(REMOVE_ASSIGNEE, {"task": task, "member": member}, options=options)

    async def remove_guest(self, task: str, guest: str, *, options: RequestOptions | None = None) -> None:
        """Take one guest off a task; the others stay (contract: micro_remove_guest)."""
        await self._call(REMOVE_GUEST, {"task": task, "guest": guest}, options=options)
