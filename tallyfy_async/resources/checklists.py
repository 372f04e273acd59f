"""Checklists: the templates of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions, Response
from tallyfy_async.models.filters import ChecklistFilters
from tallyfy_async.models.forms import KickoffForm
from tallyfy_async.models.template_inputs import ChecklistCreate, ChecklistReplace, ChecklistUpdate
from tallyfy_async.models.templates import Checklist, ChecklistArchived, ChecklistFormFields
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.automations import Automations
from tallyfy_async.resources.base import Resource, query_of, with_of
from tallyfy_async.resources.merging import changes, merged
from tallyfy_async.resources.preruns import Preruns, numbered
from tallyfy_async.resources.steps import Steps
from tallyfy_async.resources.template_custom_fields import ChecklistCustomFields

if TYPE_CHECKING:
    from tallyfy_async.engine.download import Download

_LIST = "/organizations/{org}/checklists"
_ONE = f"{_LIST}/{{checklist_id}}"
_operation = partial(Operation, scopes="template")

LIST = _operation(id="list_checklists", method="GET", path=_LIST, call="org.checklists.list", max_per_page=100)
GET = _operation(id="get_checklist", method="GET", path=_ONE, call="org.checklists.get")
CREATE = _operation(id="create_checklist", method="POST", path=_LIST, call="org.checklists.create")
UPDATE = _operation(id="update_checklist", method="PUT", path=_ONE, call="org.checklists.update")
ARCHIVE = _operation(id="archive_checklist", method="DELETE", path=_ONE, call="org.checklists.archive")
RESTORE = _operation(id="restore_checklist", method="PUT", path=f"{_ONE}/restore", call="org.checklists.restore")
CLONE = _operation(id="clone_checklist", method="POST", path=f"{_ONE}/clone", call="org.checklists.clone")
DELETE = _operation(
    id="delete_checklist",
    method="DELETE",
    path=f"{_ONE}/delete",
    call="org.checklists.delete",
    confidence="documented",
)
PUBLISH = _operation(
    id="publish_checklist",
    method="PUT",
    path=f"{_ONE}/publish",
    call="org.checklists.publish",
    confidence="documented",
)
FORM_FIELDS = _operation(
    id="get_checklist_form_fields", method="GET", path=f"{_ONE}/form-fields", call="org.checklists.form_fields"
)
STEPS_DEADLINES = _operation(
    id="get_checklist_steps_deadlines",
    method="GET",
    path=f"{_ONE}/steps-deadlines",
    call="org.checklists.steps_deadlines",
    confidence="documented",
)
EXPORT = _operation(
    id="export_checklist",
    method="GET",
    path=f"{_ONE}/export",
    call="org.checklists.export",
    confidence="inferred",
)
DOWNLOAD_EXPORT = _operation(
    id="download_checklist_export",
    method="GET",
    path=f"{_ONE}/export-download",
    call="org.checklists.download_export",
    confidence="inferred",
)


class _Clone(TypedDict, total=False):
    tenant: str
    title: str


class _Reading(TypedDict, total=False):
    entire_folder_tree: bool
    version: int


@frozen(eq=False)
class Checklists(Resource):
    """Templates with their steps, fields, rules and kick-off form."""

    @property
    def steps(self) -> Steps:
        """The steps of templates."""
        return Steps(self._engine, self._values)

    @property
    def preruns(self) -> Preruns:
        """The fields of kick-off forms; also ``kickoff_fields``."""
        return Preruns(self._engine, self._values, checklists=self)

    kickoff_fields = preruns

    @property
    def automations(self) -> Automations:
        """The rules of templates."""
        return Automations(self._engine, self._values, checklists=self)

    @property
    def custom_fields(self) -> ChecklistCustomFields:
        """The custom field values of templates."""
        return ChecklistCustomFields(self._engine, self._values)

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[ChecklistFilters]
    ) -> Pager[Checklist]:
        """List templates, pinned ones first; archived ones only with ``archived`` (contract: list_checklists)."""
        query = query_of(ChecklistFilters, filters, "checklists.list")
        return self._list(LIST, Checklist, query=query, per_page=per_page, options=options)

    async def find_by_name(self, title: str, *, options: RequestOptions | None = None) -> Checklist | None:
        """Return the live template with exactly this title, None where there is none; the first one of several."""
        async for one in self.list(q=title, options=options):
            if one.title == title:
                return one
        return None

    async def get(
        self,
        checklist_id: str,
        *,
        with_: Iterable[str] | None = None,
        entire_folder_tree: bool | None = None,
        version: int | None = None,
        options: RequestOptions | None = None,
    ) -> Checklist:
        """Read one template; ``with_=["steps"]`` brings steps and their fields along.

        Raises NotFoundError also for an archived template and for one that the caller may not see
        (contract: get_checklist).
        """
        given = {"entire_folder_tree": entire_folder_tree, "version": version}
        query = write(
            _Reading, {key: value for key, value in given.items() if value is not None}, what="checklists.get"
        )
        if "entire_folder_tree" in query:
            query["entire_folder_tree"] = int(query["entire_folder_tree"])
        values = {"checklist_id": checklist_id}
        return await self._item(GET, Checklist, values, query={**with_of(with_), **query}, options=options)

    async def kickoff_form(self, checklist_id: str, *, options: RequestOptions | None = None) -> KickoffForm:
        """Read a template's kick-off form, to be filled in for any number of launches.

        ``await org.runs.launch(checklist_id, kickoff=form.fill({label: value}))`` then reads no template any more
        (contract: get_checklist).
        """
        return KickoffForm.of(await self.get(checklist_id, options=options))

    async def create(self, *, options: RequestOptions | None = None, **fields: Unpack[ChecklistCreate]) -> Checklist:
        """Create a template, with its kick-off form; steps and rules are added by their own calls.

        It is sent once: IndeterminateError and ServerError mean that the template may exist. Raises ConfigurationError
        for unknown arguments, ValidationError for a title over 250 characters, an owner who is no member and the like,
        PermissionDeniedError for light members (contract: create_checklist).
        """
        body = write(ChecklistCreate, fields, what="checklists.create")
        return await self._item(CREATE, Checklist, payload=numbered(body), options=options)

    async def update(
        self, checklist_id: str, *, options: RequestOptions | None = None, **fields: Unpack[ChecklistUpdate]
    ) -> Checklist:
        """Change a template; what is not given stays as it is (contract: update_checklist).

        The server wants the title each time, and empties ``users`` and ``groups`` when a request lacks them, so the
        template is read first and the missing ones are sent again. Filing it in a folder is ``folder_id=…``. The
        kick-off form has its own methods under ``preruns``. Raises NotFoundError for an archived template,
        ConfigurationError where that read lacks what must be sent.
        """
        body = changes(ChecklistUpdate, fields, "checklists.update")
        if not body.keys() >= {"title", "users", "groups"}:
            body = merged(body, kept(await self.get(checklist_id, options=options)), "checklists.update")
        return await self._put(checklist_id, body, options)

    async def replace(
        self, checklist_id: str, *, options: RequestOptions | None = None, **fields: Unpack[ChecklistReplace]
    ) -> Checklist:
        """Change a template without reading it first: title, users and groups become what is given.

        With ``prerun``, the whole kick-off form becomes what is given; fields that are left out go, with what was
        collected in them. All other settings stay where they are not given (contract: update_checklist).
        """
        body = write(ChecklistReplace, fields, what="checklists.replace")
        return await self._put(checklist_id, numbered(body), options)

    async def _put(self, checklist_id: str, body: Mapping[str, Any], options: RequestOptions | None) -> Checklist:
        return await self._item(UPDATE, Checklist, {"checklist_id": checklist_id}, payload=body, options=options)

    async def archive(self, checklist_id: str, *, options: RequestOptions | None = None) -> ChecklistArchived:
        """Archive a template; ``restore`` brings it back (contract: archive_checklist).

        Its running processes go on. Blocks of it that other templates embed are gone for good: the reply lists where.
        """
        return _archived(await self._call(ARCHIVE, {"checklist_id": checklist_id}, options=options))

    async def restore(self, checklist_id: str, *, options: RequestOptions | None = None) -> Checklist:
        """Bring an archived template back, into its folder if that still exists (contract: restore_checklist)."""
        response = await self._call(RESTORE, {"checklist_id": checklist_id}, options=options)
        return await self._told(response, checklist_id, options)

    async def clone(
        self,
        checklist_id: str,
        *,
        tenant: str | None = None,
        title: str | None = None,
        options: RequestOptions | None = None,
    ) -> Checklist:
        """Copy a template into this organization; ``tenant`` is the organization that it comes from, if another one.

        Ids and aliases of template, steps and fields are new ones. Between organizations, tags are made again by name
        and assignments are left out. Without a title the copy is called ``COPY OF - …``. It is sent once. Raises
        PermissionDeniedError for light members (contract: clone_checklist).
        """
        given = {"tenant": self._values["org"] if tenant is None else tenant, "title": title}
        body = write(_Clone, {key: value for key, value in given.items() if value is not None}, what="checklists.clone")
        return await self._item(CLONE, Checklist, {"checklist_id": checklist_id}, payload=body, options=options)

    async def delete(self, checklist_id: str, *, options: RequestOptions | None = None) -> ChecklistArchived:
        """Delete an archived template for good; administrators only (contract: delete_checklist).

        Raises ValidationError or PermissionDeniedError for a template that is not archived.
        """
        return _archived(await self._call(DELETE, {"checklist_id": checklist_id}, options=options))

    async def publish(self, checklist_id: str, *, options: RequestOptions | None = None) -> Checklist:
        """Publish the draft of a template with ``dual_version_enabled`` (contract: publish_checklist)."""
        response = await self._call(PUBLISH, {"checklist_id": checklist_id}, options=options)
        return await self._told(response, checklist_id, options)

    async def form_fields(self, checklist_id: str, *, options: RequestOptions | None = None) -> ChecklistFormFields:
        """Read all fields of a template, of steps and kick-off form (contract: get_checklist_form_fields)."""
        return await self._item(FORM_FIELDS, ChecklistFormFields, {"checklist_id": checklist_id}, options=options)

    async def steps_deadlines(self, checklist_id: str, *, options: RequestOptions | None = None) -> Any:
        """Read the deadlines of all steps as the API gives them, an object or a list; its shape is not published.

        The deadlines of ``steps.list`` are typed (contract: get_checklist_steps_deadlines).
        """
        return (await self._call(STEPS_DEADLINES, {"checklist_id": checklist_id}, options=options)).data

    async def export(self, checklist_id: str, *, options: RequestOptions | None = None) -> Any:
        """Read the export of a template, in whatever JSON the API gives (contract: export_checklist).

        Inferred: no official document shows it. ``get`` with ``with_=["steps"]`` is what official clients export.
        """
        return (await self._call(EXPORT, {"checklist_id": checklist_id}, options=options)).payload

    def download_export(
        self, checklist_id: str, *, max_bytes: int | None = None, options: RequestOptions | None = None
    ) -> Download:
        """Return the export of a template as a download (contract: download_checklist_export).

        It is sent when it is entered: ``async with org.checklists.download_export(…) as file: await file.save(path)``.
        Inferred: no official document shows it.
        """
        return self._download(DOWNLOAD_EXPORT, {"checklist_id": checklist_id}, max_bytes=max_bytes, options=options)

    async def _told(self, response: Response, checklist_id: str, options: RequestOptions | None) -> Checklist:
        """Return the template of a reply whose body is not published, reading it where the reply does not hold it."""
        data = response.data
        if isinstance(data, dict) and {"id", "title"} <= data.keys():
            return structure(data, Checklist, path="data")
        return await self.get(checklist_id, options=options)


def kept(checklist: Checklist) -> dict[str, Any]:
    """Return what each update of a template has to send again."""
    users, groups = checklist.users, checklist.groups
    return {
        "title": checklist.title,
        "users": None if users is None else [*users],
        "groups": None if groups is None else [*groups],
    }


def _archived(response: Response) -> ChecklistArchived:
    data = response.data  # some servers answer without a body
    return structure({} if data is None else data, ChecklistArchived, path="body")
