"""Folders for templates and for processes."""

from collections.abc import Callable
from typing import Any

from tallyfy_async.sandbox import folders as machine
from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import everything, ordered, paged
from tallyfy_async.sandbox.records import Folder, whole
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views.files import folder as view

routes = Routes()


@routes.add("GET", "/organizations/{org}/folders", "list_folders", scope="unknown")
def list_folders(call: Call) -> Reply:
    """List the folders of one kind (templates unless told) by position; with=children lists the tops of the tree."""
    query, children = call.query, "children" in call.includes
    kind = "run" if query.get("folder_type") == "run" else "checklist"
    needle = query.get("q", "").casefold()
    rows = [row for row in call.tenant.folders.values() if row.folder_type == kind and needle in row.name.casefold()]
    if children and not needle:
        rows = [row for row in rows if row.parent_id is None]
    rows = ordered(rows, query.get("sort"), _SORTS, "position")
    lens = call.lens

    def render(row: Folder) -> bytes:
        return encode(view(lens, row, children=children))

    unpaged = query.get("pagination", "").lower() == "false"
    return everything(rows, render) if unpaged else paged(call, rows, render)


_SORTS: dict[str, Callable[[Folder], Any]] = {
    "position": lambda row: row.position,
    "name": lambda row: row.name.casefold(),
}


@routes.add("POST", "/organizations/{org}/folders", "create_folder", scope="unknown")
def create_folder(call: Call) -> Reply:
    """Make a folder; without a folder_type it is one for templates."""
    row = machine.create(call.world, call.tenant, call.member, call.body())
    return item(view(call.lens, row, children=True), 201)


@routes.add("GET", "/organizations/{org}/folders/{folder_id}", "get_folder", scope="unknown")
def get_folder(call: Call) -> Reply:
    """Read one folder."""
    row = machine.find(call.tenant, call.params["folder_id"])
    return item(view(call.lens, row, children="children" in call.includes))


@routes.add("PUT", "/organizations/{org}/folders/{folder_id}", "update_folder", scope="unknown")
def update_folder(call: Call) -> Reply:
    """Rename or move a folder; the name is needed each time."""
    row = machine.find(call.tenant, call.params["folder_id"])
    machine.update(call.tenant, call.member, row, call.body())
    return item(view(call.lens, row, children=True))


@routes.add("DELETE", "/organizations/{org}/folders/{folder_id}", "delete_folder", scope="unknown")
def delete_folder(call: Call) -> Reply:
    """Delete a folder; what lies in it moves to the root."""
    machine.delete(call.tenant, call.member, machine.find(call.tenant, call.params["folder_id"]))
    return Reply(status=204, content_type=None)


@routes.add("POST", "/organizations/{org}/folders/add-object", "add_folder_object", scope="unknown")
def add_folder_object(call: Call) -> Reply:
    """File a run or a task; templates are filed by their own PUT."""
    return item(machine.add(call.tenant, call.body()), 201)


@routes.add(
    "DELETE", "/organizations/{org}/folders-objects/{folder_object_id}", "remove_folder_object", scope="unknown"
)
def remove_folder_object(call: Call) -> Reply:
    """Take something out of its folder; the segment is cast to a number, and one that is none hits nothing."""
    machine.remove(call.tenant, whole(call.params["folder_object_id"]) or 0)
    return Reply(status=204, content_type=None)
