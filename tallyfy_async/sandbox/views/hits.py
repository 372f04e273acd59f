"""Search hits: a few members of each record (processes.md section 9)."""

from collections.abc import Callable
from typing import Any

from tallyfy_async.sandbox.records import Checklist, Field, JsonObject, Run, Step, Task

from .files import folders
from .lens import Lens, wrap
from .templates import tag_links
from .work import owners, run


def _blueprint(lens: Lens, row: Checklist) -> JsonObject:
    return {
        "id": row.id,
        "increment_id": row.increment_id,
        "title": row.title,
        "type": row.type,
        "steps_count": len(row.steps),
        "icon": row.icon,
        "is_public": row.is_public,
        "is_featured": row.is_featured,
        "organization_id": lens.tenant.id,
        "folders": folders(lens, [row.folder_id] if row.folder_id else [])["data"],
    } | ({"status": row.status} if row.status else {})


def _process(lens: Lens, row: Run) -> JsonObject:
    whole = run(lens, row)
    names = ("id", "increment_id", "name", "status", "type", "is_public", "due_date_passed", "due_soon", "created_at")
    return {name: whole[name] for name in names} | {
        "organization_id": lens.tenant.id,
        "folders": folders(lens, row.folders)["data"],
    }


def _task(lens: Lens, row: Task) -> JsonObject:
    """Render a task; the run that it lies in is not told."""
    return {
        "id": row.id,
        "increment_id": row.increment_id,
        "title": row.title,
        "status": row.status,
        "status_label": row.status,
        "position": row.position,
        "deadline": lens.date(row.deadline, "Z"),
        "created_at": lens.date(row.created_at, "Z"),
        "starter_id": row.starter_id,
        "is_oneoff_task": row.is_oneoff,
        "owners": owners(lens, row),
    }


def _step(_: Lens, row: Step) -> JsonObject:
    return {"id": row.id, "title": row.title, "type": row.step_type, "position": row.position}


def _capture(_: Lens, row: Field) -> JsonObject:
    return {"id": row.id, "title": row.label, "type": row.field_type, "position": row.position}


_VIEWS: dict[str, Callable[[Lens, Any], JsonObject]] = {
    "blueprint": _blueprint,
    "process": _process,
    "task": _task,
    "step": _step,
    "capture": _capture,
}


def hit(lens: Lens, kind: str, row: Any, *, tags: bool = False) -> JsonObject:
    """Render one record that was found, with its tags when asked for."""
    data = _VIEWS[kind](lens, row)
    return data | ({"tags": wrap(tag_links(lens, row.id, row.tags))} if tags and hasattr(row, "tags") else {})
