"""Form fields of steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

from attrs import field, frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.fields import Capture, CaptureCreate, CaptureUpdate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id
from tallyfy_async.resources.merging import changes
from tallyfy_async.resources.template_custom_fields import CaptureCustomFields

if TYPE_CHECKING:
    from tallyfy_async.resources.steps import Steps

_LIST = "/organizations/{org}/checklists/{checklist_id}/steps/{step_id}/captures"
_ONE = f"{_LIST}/{{capture_id}}"
_operation = partial(Operation, scopes="template")

CREATE = _operation(id="create_capture", method="POST", path=_LIST, call="org.checklists.steps.captures.create")
UPDATE = _operation(id="update_capture", method="PUT", path=_ONE, call="org.checklists.steps.captures.update")
DELETE = _operation(id="delete_capture", method="DELETE", path=_ONE, call="org.checklists.steps.captures.delete")
REORDER = _operation(id="reorder_capture", method="PUT", path=_LIST, call="org.checklists.steps.captures.reorder")
MOVE = _operation(id="move_capture", method="PUT", path=f"{_ONE}/move-out", call="org.checklists.steps.captures.move")


class _Place(TypedDict):
    position: int


@frozen(eq=False)
class Captures(Resource):
    """Form fields of steps; they are read with their step."""

    _steps: Steps = field(kw_only=True, alias="steps")

    @property
    def custom_fields(self) -> CaptureCustomFields:
        """The custom field values of form fields."""
        return CaptureCustomFields(self._engine, self._values)

    async def create(
        self,
        checklist_id: str,
        step_id: str,
        definition: CaptureCreate,
        *,
        options: RequestOptions | None = None,
    ) -> Capture:
        """Add a field to a step: ``{"label": …, "field_type": …, "required": …}`` (contract: create_capture).

        The definition is a mapping, because ``options`` are choices there and something else here. ``required`` has no
        default. It is sent once: IndeterminateError and ServerError mean that the field may exist. Raises
        ConfigurationError for unknown keys, ValidationError where options of a choice or columns of a table lack.
        """
        body = write(CaptureCreate, definition, what="checklists.steps.captures.create")
        values = {"checklist_id": checklist_id, "step_id": step_id}
        return await self._item(CREATE, Capture, values, payload=body, options=options)

    async def update(
        self,
        checklist_id: str,
        step_id: str,
        capture_id: str,
        definition: CaptureUpdate,
        *,
        options: RequestOptions | None = None,
    ) -> Capture:
        """Change a field; what is not given stays as it is (contract: update_capture).

        The server wants the whole definition each time, so the step is read first and the rest is sent again. Options
        and columns are replaced whole: keep the ids of those that stay, because runs store them. Raises
        ConfigurationError where the step has no such field.
        """
        body = changes(CaptureUpdate, definition, "checklists.steps.captures.update")
        self._check_ids(UPDATE, {"checklist_id": checklist_id, "step_id": step_id, "capture_id": capture_id})
        step = await self._steps.get(checklist_id, step_id, options=options)
        for one in step.captures or ():
            if one.id == capture_id:
                return await self._put(checklist_id, step_id, capture_id, {**one.as_input(), **body}, options)
        msg = f"checklists.steps.captures.update: the step has no field {capture_id!r}; the ids are in step.captures"
        raise ConfigurationError(msg)

    async def replace(
        self,
        checklist_id: str,
        step_id: str,
        capture_id: str,
        definition: CaptureCreate,
        *,
        options: RequestOptions | None = None,
    ) -> Capture:
        """Make this the whole definition of a field, without reading it first; id and alias stay.

        ``capture.as_input()`` gives the present one (contract: update_capture).
        """
        body = write(CaptureCreate, definition, what="checklists.steps.captures.replace")
        return await self._put(checklist_id, step_id, capture_id, body, options)

    async def _put(
        self,
        checklist_id: str,
        step_id: str,
        capture_id: str,
        body: Mapping[str, Any],
        options: RequestOptions | None,
    ) -> Capture:
        values = {"checklist_id": checklist_id, "step_id": step_id, "capture_id": capture_id}
        return await self._item(UPDATE, Capture, values, payload=body, options=options)

    async def delete(
        self, checklist_id: str, step_id: str, capture_id: str, *, options: RequestOptions | None = None
    ) -> None:
        """Delete a field, with what was collected in it (contract: delete_capture).

        Raises PermissionDeniedError while a rule of another step uses it.
        """
        values = {"checklist_id": checklist_id, "step_id": step_id, "capture_id": capture_id}
        await self._call(DELETE, values, options=options)

    async def reorder(
        self,
        checklist_id: str,
        step_id: str,
        *,
        capture_id: str,
        position: int,
        options: RequestOptions | None = None,
    ) -> None:
        """Move a field to a position inside its step, from 1; one field a call (contract: reorder_capture)."""
        body = write(_Place, {"position": position}, what="checklists.steps.captures.reorder")
        payload = {"capture_id": body_id("capture_id", capture_id), **body}
        values = {"checklist_id": checklist_id, "step_id": step_id}
        await self._call(REORDER, values, payload=payload, options=options)

    async def move(
        self,
        checklist_id: str,
        step_id: str,
        capture_id: str,
        *,
        target_step_id: str,
        position: int = 1,
        options: RequestOptions | None = None,
    ) -> Capture:
        """Move a field to another step of the same template (contract: move_capture).

        The reply may still name the old step; reading the target step makes sure.
        """
        body = write(_Place, {"position": position}, what="checklists.steps.captures.move")
        payload = {"target_step_id": body_id("target_step_id", target_step_id), **body}
        values = {"checklist_id": checklist_id, "step_id": step_id, "capture_id": capture_id}
        return await self._item(MOVE, Capture, values, payload=payload, options=options)
