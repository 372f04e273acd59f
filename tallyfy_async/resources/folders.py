"""Folders of templates and of processes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, TypedDict, Unpack

from attrs import frozen

from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.filters import FolderFilters
from tallyfy_async.models.folders import Folder, FolderCreate, FolderObject, FolderUpdate
from tallyfy_async.protocol.converter import write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.resources.base import Resource, body_id, query_of, with_of
from tallyfy_async.resources.custom_fields import FolderCustomFields
from tallyfy_async.resources.merging import changes, relation_id

_LIST = "/organizations/{org}/folders"
_ONE = f"{_LIST}/{{folder_id}}"
_operation = partial(Operation, scopes="unknown")

LIST = _operation(id="list_folders", method="GET", path=_LIST, call="org.folders.list", max_per_page=100)
GET = _operation(id="get_folder", method="GET", path=_ONE, call="org.folders.get", confidence="documented")
CREATE = _operation(id="create_folder", method="POST", path=_LIST, call="org.folders.create")
UPDATE = _operation(id="update_folder", method="PUT", path=_ONE, call="org.folders.update")
DELETE = _operation(id="delete_folder", method="DELETE", path=_ONE, call="org.folders.delete")
ADD_OBJECT = _operation(
    id="add_folder_object", method="POST", path=f"{_LIST}/add-object", call="org.folders.add_object"
)
REMOVE_OBJECT = _operation(
    id="remove_folder_object",
    method="DELETE",
    path="/organizations/{org}/folders-objects/{folder_object_id}",
    call="org.folders.remove_object",
)

_TYPES = ("checklist", "run")


class _Membership(TypedDict):
    folder_id: str
    subject_id: str
    subject_type: str


@frozen(eq=False)
class Folders(Resource):
    """Two trees of folders: of templates (``checklist``) and of processes and tasks (``run``)."""

    @property
    def custom_fields(self) -> FolderCustomFields:
        """The custom field values of folders."""
        return FolderCustomFields(self._engine, self._values)

    def list(
        self, *, per_page: int | None = None, options: RequestOptions | None = None, **filters: Unpack[FolderFilters]
    ) -> Pager[Folder]:
        """List folders of both trees unless ``folder_type`` names one (contract: list_folders)."""
        query = query_of(FolderFilters, filters, "folders.list")
        _check_type(query.get("folder_type"), "folders.list")
        return self._list(LIST, Folder, query=query, per_page=per_page, options=options)

    async def find_by_name(
        self, name: str, *, folder_type: str = "checklist", options: RequestOptions | None = None
    ) -> Folder | None:
        """Return the folder with exactly this name in one tree, None where there is none; the first one of several.

        Folders inside others are looked at as well where the list shows them with ``children``.
        """
        async for one in self.list(q=name, folder_type=folder_type, with_=["children"], options=options):
            if found := _named(one, name):
                return found
        return None

    async def get(
        self, folder_id: str, *, with_: Iterable[str] | None = None, options: RequestOptions | None = None
    ) -> Folder:
        """Read one folder; ``with_=["children"]`` brings those inside it along (contract: get_folder)."""
        return await self._item(GET, Folder, {"folder_id": folder_id}, query=with_of(with_), options=options)

    async def create(self, *, options: RequestOptions | None = None, **fields: Unpack[FolderCreate]) -> Folder:
        """Create a folder; its ``folder_type`` is fixed for life (contract: create_folder).

        It is sent once. Raises ConfigurationError for a type that is neither checklist nor run, which the server would
        take for checklist; PermissionDeniedError for light members; ValidationError for a name over 32 characters.
        """
        body = write(FolderCreate, fields, what="folders.create")
        _check_type(body.get("folder_type"), "folders.create")
        return await self._item(CREATE, Folder, payload=body, options=options)

    async def update(
        self, folder_id: str, *, options: RequestOptions | None = None, **fields: Unpack[FolderUpdate]
    ) -> Folder:
        """Rename or move a folder; what is not given stays as it is (contract: update_folder).

        The server wants the name each time: where it is not given, the folder is read first.
        """
        body = changes(FolderUpdate, fields, "folders.update")
        if "name" not in body:
            body = {"name": (await self.get(folder_id, options=options)).name, **body}
        return await self._item(UPDATE, Folder, {"folder_id": folder_id}, payload=body, options=options)

    async def delete(self, folder_id: str, *, options: RequestOptions | None = None) -> None:
        """Delete a folder; what is in it moves to the root (contract: delete_folder)."""
        await self._call(DELETE, {"folder_id": folder_id}, options=options)

    async def add_object(
        self, folder_id: str, *, subject_id: str, subject_type: str, options: RequestOptions | None = None
    ) -> FolderObject:
        """File a run (``subject_type="Run"``) or a task (``"Task"``) in a folder of processes.

        Keep the ``id`` of the reply: it is the only handle for taking the object out again. Raises ConfigurationError
        for templates, which ``checklists.update(…, folder_id=…)`` files; ValidationError for a folder of templates
        (contract: add_folder_object).
        """
        if subject_type not in {"Run", "Task"}:
            msg = "folders.add_object: subject_type is 'Run' or 'Task'; for templates, checklists.update(folder_id=…)"
            raise ConfigurationError(msg)
        ids = {"folder_id": body_id("folder_id", folder_id), "subject_id": body_id("subject_id", subject_id)}
        body = write(_Membership, {**ids, "subject_type": subject_type}, what="folders.add_object")
        return await self._item(ADD_OBJECT, FolderObject, payload=body, options=options)

    async def remove_object(self, folder_object_id: int, *, options: RequestOptions | None = None) -> None:
        """Take a run or task out of its folder, by the integer id of the relation (contract: remove_folder_object).

        Raises ConfigurationError for the id of a folder or run: the server would take it for 0, remove nothing and say
        nothing.
        """
        number = relation_id("folder_object_id", folder_object_id, "as add_object returns it")
        await self._call(REMOVE_OBJECT, {"folder_object_id": number}, options=options)


def _check_type(folder_type: Any, what: str) -> None:
    if folder_type is not None and folder_type not in _TYPES:
        msg = f"{what}: folder_type must be 'checklist' (templates) or 'run' (processes and tasks)"
        raise ConfigurationError(msg)


def _named(folder: Folder, name: str) -> Folder | None:
    if folder.name == name:
        return folder
    return next((found for child in folder.children or () if (found := _named(child, name))), None)
