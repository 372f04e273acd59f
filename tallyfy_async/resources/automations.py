"""Automations of templates: when conditions hold, actions follow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from attrs import field, frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.automations import AutomatedAction, AutomatedActionCreate, AutomatedActionUpdate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource
from tallyfy_async.resources.merging import changes

if TYPE_CHECKING:
    from tallyfy_async.resources.checklists import Checklists

_LIST = "/organizations/{org}/checklists/{checklist_id}/automated-actions"
_ONE = f"{_LIST}/{{automated_id}}"
_operation = partial(Operation, scopes="template")

CREATE = _operation(id="create_automated_action", method="POST", path=_LIST, call="org.checklists.automations.create")
UPDATE = _operation(id="update_automated_action", method="PUT", path=_ONE, call="org.checklists.automations.update")
DELETE = _operation(id="delete_automated_action", method="DELETE", path=_ONE, call="org.checklists.automations.delete")

_CLAUSES = ("any_time", "on-time", "early_24", "late_24")
_WITHOUT_STATEMENT = frozenset({"is_empty", "is_not_empty"})


@frozen(eq=False)
class Automations(Resource):
    """Rules of templates; ``checklists.get(…).automated_actions`` reads them. Runs keep those of their launch."""

    _checklists: Checklists = field(kw_only=True, alias="checklists")

    async def create(
        self, checklist_id: str, *, options: RequestOptions | None = None, **fields: Unpack[AutomatedActionCreate]
    ) -> AutomatedAction:
        """Add a rule to a template (contract: create_automated_action).

        It is sent once. Raises ConfigurationError for unknown arguments and for conditions that the server would store
        and that would never hold; ValidationError for verbs that do not fit their action, incomplete deadlines and
        assignments to nobody.
        """
        body = _checked(write(AutomatedActionCreate, fields, what=f"{_NAME}.create"), "create")
        values = {"checklist_id": checklist_id}
        return await self._item(CREATE, AutomatedAction, values, payload=body, options=options)

    async def update(
        self,
        checklist_id: str,
        automated_id: str,
        *,
        options: RequestOptions | None = None,
        **fields: Unpack[AutomatedActionUpdate],
    ) -> AutomatedAction:
        """Change a rule; a part that is not given stays as it is (contract: update_automated_action).

        The server wants the whole rule each time, so the template is read first unless name, conditions and actions are
        all given. Raises ConfigurationError where the template has no such rule, and as ``create`` does.
        """
        body = _checked(changes(AutomatedActionUpdate, fields, f"{_NAME}.update"), "update")
        self._check_ids(UPDATE, {"checklist_id": checklist_id, "automated_id": automated_id})
        if not body.keys() >= AutomatedActionCreate.__annotations__.keys():
            now = await self._read(checklist_id, automated_id, options)
            body = {**write(AutomatedActionCreate, now.as_input(), what=f"{_NAME}.update"), **body}
        return await self._put(checklist_id, automated_id, body, options)

    async def replace(
        self,
        checklist_id: str,
        automated_id: str,
        *,
        options: RequestOptions | None = None,
        **fields: Unpack[AutomatedActionCreate],
    ) -> AutomatedAction:
        """Make this the whole rule, without reading it first (contract: update_automated_action)."""
        body = _checked(write(AutomatedActionCreate, fields, what=f"{_NAME}.replace"), "replace")
        return await self._put(checklist_id, automated_id, body, options)

    async def _put(
        self, checklist_id: str, automated_id: str, body: Mapping[str, Any], options: RequestOptions | None
    ) -> AutomatedAction:
        values = {"checklist_id": checklist_id, "automated_id": automated_id}
        return await self._item(UPDATE, AutomatedAction, values, payload=body, options=options)

    async def _read(self, checklist_id: str, automated_id: str, options: RequestOptions | None) -> AutomatedAction:
        checklist = await self._checklists.get(checklist_id, options=options)
        for one in checklist.automated_actions or ():
            if one.id == automated_id:
                return one
        msg = f"{_NAME}.update: the template has no rule {automated_id!r}; the ids are in checklist.automated_actions"
        raise ConfigurationError(msg)

    async def delete(self, checklist_id: str, automated_id: str, *, options: RequestOptions | None = None) -> None:
        """Remove a rule from a template (contract: delete_automated_action)."""
        await self._call(DELETE, {"checklist_id": checklist_id, "automated_id": automated_id}, options=options)


_NAME = "checklists.automations"


def _checked(body: dict[str, Any], verb: str) -> dict[str, Any]:
    """Return the body with the statements that may be left out; raise ConfigurationError for those that never hold."""
    if "conditions" not in body:
        return body
    conditions = [
        {**one, "statement": _statement(one, f"{_NAME}.{verb}: conditions[{at}]")}
        for at, one in enumerate(body["conditions"])
    ]
    return {**body, "conditions": conditions}


def _statement(condition: Mapping[str, Any], where: str) -> Any:
    if condition["conditionable_type"] == "Step":
        if (clause := condition.get("statement", "any_time")) not in _CLAUSES:
            msg = f"{where}.statement {clause!r} would never hold for a step: use {', '.join(_CLAUSES)}"
            raise ConfigurationError(msg)
        return clause
    if "statement" not in condition and condition["operation"] not in _WITHOUT_STATEMENT:
        msg = f"{where} lacks statement: what is the field compared with?"
        raise ConfigurationError(msg)
    return condition.get("statement")
