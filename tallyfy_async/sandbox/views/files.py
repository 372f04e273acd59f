"""Files and folders on the wire (templates.md sections 10 and 11)."""

from tallyfy_async.sandbox.records import Asset, Folder, JsonObject

from .lens import Lens, wrap


def asset(lens: Lens, row: Asset) -> JsonObject:
    """Render a file; inside a list this is what a file field takes as its answer."""
    return {
        "id": row.id,
        "filename": row.filename,
        "version": row.version,
        "uploaded_from": row.uploaded_from,
        "uploaded_at": lens.date(row.uploaded_at, "Z"),
        "step_id": row.step_id,
        "source": row.source,
        "system": row.system,
        "uploaded_to_s3": True,
        "subject": {"id": row.subject_id, "type": row.subject_type},
        "url": f"organizations/{lens.tenant.id}/file/{row.id}/dl",
    }


def assets(lens: Lens, subject_id: str) -> JsonObject:
    """Render the files of a run, task or template as an include."""
    rows = lens.tenant.assets.values()
    return wrap([asset(lens, row) for row in rows if row.subject_id == subject_id and row.archived_at is None])


def folder(lens: Lens, row: Folder, *, children: bool = False) -> JsonObject:
    """Render a folder, with its subfolders when asked for."""
    data: JsonObject = {
        "id": row.id,
        "name": row.name,
        "parent_id": row.parent_id,
        "parent": None,
        "total": _total(lens, row),
        "position": row.position,
        "folder_type": row.folder_type,
        "custom_fields": lens.metadata("folder", row.id),
        "created_at": lens.date(row.created_at, "millis"),
    }
    if children:
        below = [other for other in lens.tenant.folders.values() if other.parent_id == row.id]
        rows = sorted(below, key=lambda other: other.position)
        data["children"] = wrap([folder(lens, other, children=True) for other in rows])
    return data


def _total(lens: Lens, row: Folder) -> int:
    """Count what lies in a folder: live templates, or live runs and tasks."""
    tenant = lens.tenant
    if row.folder_type == "checklist":
        return sum(1 for c in tenant.checklists.values() if c.folder_id == row.id and c.archived_at is None)
    runs = sum(1 for run in tenant.runs.values() if row.id in run.folders and run.archived_at is None)
    return runs + sum(1 for task in tenant.tasks.values() if row.id in task.folders and task.archived_at is None)


def folders(lens: Lens, ids: list[str]) -> JsonObject:
    """Render where a run or task lies as an include; the relation's own id is told on filing alone."""
    known = [lens.tenant.folders[ident] for ident in ids if ident in lens.tenant.folders]
    return wrap([{"id": f.id, "name": f.name, "parent_id": f.parent_id, "folder_type": f.folder_type} for f in known])
