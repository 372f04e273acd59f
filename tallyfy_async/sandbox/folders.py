"""Folders and what lies in them: two trees, for templates and for processes (templates.md section 10)."""

from . import checks
from .problems import Invalid, forbidden, invalid, resource_not_found
from .records import Folder, JsonObject, Member, Run, Task
from .world import Tenant, World

MAX_NAME = 32
KIND = "folder"
"""Kind of the relation between what is filed and its folder."""
_NAME = {"name": checks.text(MAX_NAME, empty=False)}


def _allow(me: Member) -> None:
    if me.is_light:
        raise forbidden("You do not have permission to manage folders.")


def find(tenant: Tenant, folder_id: object) -> Folder:
    """Find a folder or raise a 404."""
    found = tenant.folders.get(folder_id) if isinstance(folder_id, str) else None
    if found is None:
        raise resource_not_found()
    return found


def create(world: World, tenant: Tenant, me: Member, body: JsonObject) -> Folder:
    """Make a folder, for processes where `folder_type` is the word `run`, else for templates."""
    _allow(me)
    name = _name(body)
    kind = "run" if body.get("folder_type") == "run" else "checklist"
    parent = _parent(tenant, body.get("parent_id"), kind)
    folder = Folder(
        id=world.new_id(),
        name=name,
        folder_type=kind,
        parent_id=parent,
        position=_next(tenant, kind, parent),
        created_at=world.now(),
    )
    tenant.folders[folder.id] = folder
    tenant.changed()
    return folder


def _name(body: JsonObject) -> str:
    checks.demand(body, "name")
    name: str = checks.read(body, _NAME)["name"]
    return name


def _next(tenant: Tenant, kind: str, parent: str | None) -> int:
    siblings = [f.position for f in tenant.folders.values() if (f.folder_type, f.parent_id) == (kind, parent)]
    return max(siblings, default=0) + 1


def _parent(tenant: Tenant, parent_id: object, kind: str) -> str | None:
    """Read the folder that another goes into; it must be of the same kind."""
    if parent_id is None:
        return None
    parent = tenant.folders.get(parent_id) if isinstance(parent_id, str) else None
    if parent is None or parent.folder_type != kind:
        raise invalid("parent_id", "The selected parent id is invalid.")
    return parent.id


def update(tenant: Tenant, me: Member, folder: Folder, body: JsonObject) -> None:
    """Rename a folder, and move it where `parent_id` is sent. Its kind stays what it is."""
    _allow(me)
    name = _name(body)
    if "parent_id" in body:
        parent = _parent(tenant, body["parent_id"], folder.folder_type)
        if folder.id in _line(tenant, parent):
            raise invalid("parent_id", "A folder cannot be moved into itself.")
        if parent != folder.parent_id:
            folder.parent_id, folder.position = parent, _next(tenant, folder.folder_type, parent)
    folder.name = name
    tenant.changed()


def _line(tenant: Tenant, folder_id: str | None) -> list[str]:
    """List a folder and those it lies in."""
    found: list[str] = []
    while folder_id is not None:
        found.append(folder_id)
        folder_id = tenant.folders[folder_id].parent_id
    return found


def delete(tenant: Tenant, me: Member, folder: Folder) -> None:
    """Delete a folder. What lay in it, subfolders too, lies at the root then."""
    _allow(me)
    del tenant.folders[folder.id]
    for other in tenant.folders.values():
        other.parent_id = None if other.parent_id == folder.id else other.parent_id
    for checklist in tenant.checklists.values():
        checklist.folder_id = None if checklist.folder_id == folder.id else checklist.folder_id
    for run in tenant.runs.values():
        _take_out(tenant, run, folder.id)
    for task in tenant.tasks.values():
        _take_out(tenant, task, folder.id)
    tenant.changed()


def _take_out(tenant: Tenant, row: Run | Task, folder_id: str) -> None:
    if folder_id in row.folders:
        row.folders.remove(folder_id)
    tenant.pivots.pop((KIND, row.id, folder_id), None)


def add(tenant: Tenant, body: JsonObject) -> JsonObject:
    """File a run or a task in a folder for processes. Return the relation, whose number takes it out again."""
    checks.demand(body, "folder_id", "subject_id", "subject_type")
    folder = tenant.folders.get(str(body["folder_id"]))
    if folder is None or folder.folder_type != "run":
        raise invalid("folder_id", "No such a folder exists in Processes.")
    row = _subject(tenant, body["subject_type"], str(body["subject_id"]))
    if folder.id not in row.folders:
        row.folders.append(folder.id)
    tenant.changed()
    return {
        "id": tenant.pivot(KIND, row.id, folder.id),
        "folder_id": folder.id,
        "subject_id": row.id,
        "subject_type": body["subject_type"],
    }


def _subject(tenant: Tenant, kind: object, subject_id: str) -> Run | Task:
    if kind not in {"Run", "Task"}:
        raise invalid("subject_type", "The selected subject type is invalid.")
    row = tenant.runs.get(subject_id) if kind == "Run" else tenant.tasks.get(subject_id)
    if row is None or row.archived_at is not None:
        raise Invalid({"subject_id": ["Subject not found"]})
    return row


def remove(tenant: Tenant, number: int) -> None:
    """Take something out of a folder by the number of the relation; an unknown one changes nothing."""
    found = tenant.related(KIND, number)
    if found is None:
        return
    row = tenant.runs.get(found[0]) or tenant.tasks.get(found[0])
    if row is not None:
        _take_out(tenant, row, found[1])
    tenant.changed()
