"""Tags on the wire (templates.md section 9)."""

from tallyfy_async.sandbox.records import JsonObject, Tag

from .lens import Lens, wrap


def tag(lens: Lens, row: Tag, *, statistics: bool = False) -> JsonObject:
    """Render a tag, with the number of its templates and runs when asked for."""
    data: JsonObject = {
        "id": row.id,
        "title": row.title,
        "color": row.color,
        "type": "private",
        "auto_generated": row.is_auto_generated,
        "created_at": lens.date(row.created_at, "Z"),
        "deleted_at": None,
        "custom_fields": lens.metadata("tag", row.id),
    }
    return data | ({"statistics": wrap(_statistics(lens, row))} if statistics else {})


def _statistics(lens: Lens, row: Tag) -> JsonObject:
    templates = [c.archived_at is None for c in lens.tenant.checklists.values() if row.id in c.tags]
    runs = [r.archived_at is None for r in lens.tenant.runs.values() if row.id in r.tags]
    return {
        "active_template": templates.count(True),
        "archived_template": templates.count(False),
        "active_process": runs.count(True),
        "archived_process": runs.count(False),
    }
