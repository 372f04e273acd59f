"""Kick-off fields of templates.

The API has no call that makes, changes or orders them: they travel with an update of their template (contract:
delete_prerun). So these methods read the template, edit its form and send it back; whoever edits the same template at
the same moment may lose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from attrs import field, frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.fields import PrerunCreate, PrerunInput, PrerunUpdate
from tallyfy_async.models.templates import Checklist
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id
from tallyfy_async.resources.merging import changes
from tallyfy_async.resources.template_custom_fields import PrerunCustomFields

if TYPE_CHECKING:
    from tallyfy_async.resources.checklists import Checklists

DELETE = Operation(
    id="delete_prerun",
    method="DELETE",
    path="/organizations/{org}/checklists/{checklist_id}/preruns/{prerun_id}",
    scopes="template",
    call="org.checklists.preruns.delete",
)


class _Form(TypedDict):
    prerun: Iterable[PrerunInput]


def numbered(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with the kick-off fields numbered as they stand: the server orders them by position alone."""
    if "prerun" not in body:
        return {**body}
    return {**body, "prerun": [{**one, "position": place} for place, one in enumerate(body["prerun"], 1)]}


@frozen(eq=False)
class Preruns(Resource):
    """The fields of kick-off forms; ``checklists.get(…).prerun`` reads them."""

    _checklists: Checklists = field(kw_only=True, alias="checklists")

    @property
    def custom_fields(self) -> PrerunCustomFields:
        """The custom field values of kick-off fields."""
        return PrerunCustomFields(self._engine, self._values)

    async def create(
        self, checklist_id: str, definition: PrerunCreate, *, options: RequestOptions | None = None
    ) -> Checklist:
        """Add a field at the end of the kick-off form; return the template.

        The definition is a mapping, because ``options`` are choices there and something else here. Raises
        ConfigurationError for unknown keys, and where a present field was read without what must be sent again
        (contract: update_checklist).
        """
        added = write(PrerunCreate, definition, what="checklists.preruns.create")
        return await self._edit(checklist_id, lambda form: [*form, added], options)

    async def update(
        self,
        checklist_id: str,
        prerun_id: str,
        definition: PrerunUpdate,
        *,
        options: RequestOptions | None = None,
    ) -> Checklist:
        """Change one field; what is not given stays as it is. Return the template.

        Lists of options and columns are replaced whole: keep the ids of those that stay, because runs store them.
        Raises ConfigurationError where the form has no such field (contract: update_checklist).
        """
        body = changes(PrerunUpdate, definition, "checklists.preruns.update")

        def edit(form: list[dict[str, Any]]) -> list[dict[str, Any]]:
            _check_ids([prerun_id], form, "checklists.preruns.update")
            return [{**one, **body} if one["id"] == prerun_id else one for one in form]

        return await self._edit(checklist_id, edit, options)

    async def reorder(
        self, checklist_id: str, prerun_ids: Iterable[str], *, options: RequestOptions | None = None
    ) -> Checklist:
        """Put the fields with these ids first, in this order; the others follow as they are. Return the template.

        Raises ConfigurationError where the form has no such field (contract: update_checklist).
        """
        wanted = [body_id("prerun_ids", one) for one in prerun_ids]

        def edit(form: list[dict[str, Any]]) -> list[dict[str, Any]]:
            _check_ids(wanted, form, "checklists.preruns.reorder")
            first = sorted((one for one in form if one["id"] in wanted), key=lambda one: wanted.index(one["id"]))
            return [*first, *(one for one in form if one["id"] not in wanted)]

        return await self._edit(checklist_id, edit, options)

    async def replace(
        self, checklist_id: str, fields: Iterable[PrerunInput], *, options: RequestOptions | None = None
    ) -> Checklist:
        """Make this the whole kick-off form, in this order; return the template.

        A field with an ``id`` is one that exists (``field.as_input()`` gives it), one without is new. Fields that are
        left out go, with what was collected in them. Raises ConfigurationError for an id that the form does not have
        (contract: update_checklist).
        """
        body: list[dict[str, Any]] = write(_Form, {"prerun": fields}, what="checklists.preruns.replace")["prerun"]

        def edit(form: list[dict[str, Any]]) -> list[dict[str, Any]]:
            _check_ids([one["id"] for one in body if "id" in one], form, "checklists.preruns.replace")
            return body

        return await self._edit(checklist_id, edit, options, echo=False)

    async def delete(self, checklist_id: str, prerun_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a field, with what was collected in it (contract: delete_prerun).

        Raises PermissionDeniedError while a rule uses the field.
        """
        await self._call(DELETE, {"checklist_id": checklist_id, "prerun_id": prerun_id}, options=options)

    async def _edit(
        self,
        checklist_id: str,
        edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
        options: RequestOptions | None,
        *,
        echo: bool = True,
    ) -> Checklist:
        """Read the template, edit the form, send it with all that the server would empty otherwise.

        With ``echo``, ``edit`` gets the whole fields, else their ids only.
        """
        now = await self._checklists.get(checklist_id, options=options)
        if now.prerun is None or now.users is None or now.groups is None:
            msg = "the template was read without prerun, users or groups, which an update would empty"
            raise ConfigurationError(msg)
        form = sorted(now.prerun, key=lambda one: one.position or 0)
        given: list[dict[str, Any]] = [{**one.as_input()} if echo else {"id": one.id} for one in form]
        whole: Any = edit(given)
        return await self._checklists.replace(
            checklist_id, title=now.title, users=now.users, groups=now.groups, prerun=whole, options=options
        )


def _check_ids(wanted: Iterable[str], form: Iterable[Mapping[str, Any]], what: str) -> None:
    known = {one["id"] for one in form}
    if strange := [one for one in wanted if one not in known]:
        msg = f"{what}: the kick-off form has no field {strange[0]!r}; the ids are in checklist.prerun"
        raise ConfigurationError(msg)
