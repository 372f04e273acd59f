"""Steps of templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.template_inputs import StepCreate, StepReplace, StepUpdate
from tallyfy_async.models.templates import Step
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id, with_of
from tallyfy_async.resources.captures import Captures
from tallyfy_async.resources.merging import changes, merged
from tallyfy_async.resources.template_custom_fields import StepCustomFields

_LIST = "/organizations/{org}/checklists/{checklist_id}/steps"
_ONE = f"{_LIST}/{{step_id}}"
_operation = partial(Operation, scopes="template")

LIST = _operation(id="list_steps", method="GET", path=_LIST, call="org.checklists.steps.list", max_per_page=100)
GET = _operation(id="get_step", method="GET", path=_ONE, call="org.checklists.steps.get")
CREATE = _operation(id="create_step", method="POST", path=_LIST, call="org.checklists.steps.create")
UPDATE = _operation(id="update_step", method="PUT", path=_ONE, call="org.checklists.steps.update")
DELETE = _operation(id="delete_step", method="DELETE", path=_ONE, call="org.checklists.steps.delete")
CLONE = _operation(id="clone_step", method="POST", path=f"{_ONE}/clone", call="org.checklists.steps.clone")
REORDER = _operation(id="reorder_step", method="PUT", path=f"{_ONE}/reorder", call="org.checklists.steps.reorder")

_UNITS = frozenset(f"{unit}{plural}" for unit in ("minute", "hour", "day", "week", "month") for plural in ("", "s"))
_OPTIONS = frozenset({"from", "prior_to"})


class _Place(TypedDict):
    position: int


@frozen(eq=False)
class Steps(Resource):
    """Steps of templates with their deadlines, assignees and form fields."""

    @property
    def captures(self) -> Captures:
        """The form fields of steps; also ``form_fields``."""
        return Captures(self._engine, self._values, steps=self)

    form_fields = captures

    @property
    def custom_fields(self) -> StepCustomFields:
        """The custom field values of steps."""
        return StepCustomFields(self._engine, self._values)

    def list(
        self,
        checklist_id: str,
        *,
        with_: Iterable[str] | None = None,
        per_page: int | None = None,
        options: RequestOptions | None = None,
    ) -> Pager[Step]:
        """List the steps of a template with their fields, by position (contract: list_steps)."""
        values = {"checklist_id": checklist_id}
        return self._list(LIST, Step, values, query=with_of(with_), per_page=per_page, options=options)

    async def get(
        self,
        checklist_id: str,
        step_id: str,
        *,
        with_: Iterable[str] | None = None,
        options: RequestOptions | None = None,
    ) -> Step:
        """Read one step with its form fields (contract: get_step)."""
        values = {"checklist_id": checklist_id, "step_id": step_id}
        return await self._item(GET, Step, values, query=with_of(with_), options=options)

    async def create(
        self, checklist_id: str, *, options: RequestOptions | None = None, **fields: Unpack[StepCreate]
    ) -> Step:
        """Append a step to a template; ``reorder`` moves it (contract: create_step).

        It is sent once: IndeterminateError and ServerError mean that the step may exist. Raises ConfigurationError for
        unknown arguments, and for units and options of a deadline that the server would store and never act on.
        """
        body = checked_times(write(StepCreate, fields, what="checklists.steps.create"), "checklists.steps.create")
        payload = {"checklist_id": body_id("checklist_id", checklist_id), **body}
        return await self._item(CREATE, Step, {"checklist_id": checklist_id}, payload=payload, options=options)

    async def update(
        self, checklist_id: str, step_id: str, *, options: RequestOptions | None = None, **fields: Unpack[StepUpdate]
    ) -> Step:
        """Change a step; what is not given stays as it is (contract: update_step).

        The server wants the title each time, and empties ``assignees``, ``guests`` and ``groups`` when a request lacks
        them, so the step is read first and the missing ones are sent again. Raises ConfigurationError where that read
        lacks them, and as ``create`` does.
        """
        body = changes(StepUpdate, fields, "checklists.steps.update")
        if not body.keys() >= {"title", "assignees", "guests", "groups"}:
            now = await self.get(checklist_id, step_id, options=options)
            body = merged(body, _kept(now), "checklists.steps.update")
        return await self._put(checklist_id, step_id, checked_times(body, "checklists.steps.update"), options)

    async def replace(
        self, checklist_id: str, step_id: str, *, options: RequestOptions | None = None, **fields: Unpack[StepReplace]
    ) -> Step:
        """Change a step without reading it first: title and all three lists of people become what is given.

        All other settings stay where they are not given (contract: update_step).
        """
        body = write(StepReplace, fields, what="checklists.steps.replace")
        return await self._put(checklist_id, step_id, checked_times(body, "checklists.steps.replace"), options)

    async def _put(
        self, checklist_id: str, step_id: str, body: Mapping[str, Any], options: RequestOptions | None
    ) -> Step:
        values = {"checklist_id": checklist_id, "step_id": step_id}
        return await self._item(UPDATE, Step, values, payload=body, options=options)

    async def delete(self, checklist_id: str, step_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a step for good (contract: delete_step).

        Raises PermissionDeniedError while a rule or the deadline of another step depends on it.
        """
        await self._call(DELETE, {"checklist_id": checklist_id, "step_id": step_id}, options=options)

    async def clone(self, checklist_id: str, step_id: str, *, options: RequestOptions | None = None) -> Step:
        """Duplicate a step inside its template, with fields and assignees; it is sent once (contract: clone_step)."""
        values = {"checklist_id": checklist_id, "step_id": step_id}
        return await self._item(CLONE, Step, values, options=options)

    async def reorder(
        self, checklist_id: str, step_id: str, *, position: int, options: RequestOptions | None = None
    ) -> Step:
        """Move a step to a position, from 1; the others make room (contract: reorder_step)."""
        body = write(_Place, {"position": position}, what="checklists.steps.reorder")
        values = {"checklist_id": checklist_id, "step_id": step_id}
        return await self._item(REORDER, Step, values, payload=body, options=options)


def checked_times(body: dict[str, Any], what: str) -> dict[str, Any]:
    """Return the body; raise ConfigurationError for times with words that the server stores and never acts on."""
    for name in ("deadline", "start_date"):
        time = body.get(name, {})
        if (unit := time.get("unit", "days")) not in _UNITS:
            msg = f"{what}: {name}.unit {unit!r} would never act: use minutes, hours, days, weeks or months"
            raise ConfigurationError(msg)
        if (option := time.get("option", "from")) not in _OPTIONS:
            msg = f"{what}: {name}.option {option!r} would never act: use 'from' or 'prior_to'"
            raise ConfigurationError(msg)
    return body


def _kept(step: Step) -> dict[str, Any]:
    people = {"assignees": step.assignees, "guests": step.guests, "groups": step.groups}
    return {"title": step.title, **{name: None if some is None else [*some] for name, some in people.items()}}
