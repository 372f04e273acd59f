"""Entries of the audit trail on the wire (templates.md section 12)."""

from tallyfy_async.sandbox.records import Activity, JsonObject

from .lens import Lens, wrap

TYPES = {
    "thread": "Comment",
    "task": "Task",
    "step": "Step",
    "run": "Process",
    "checklist": "Blueprint",
    "user": "User",
    "tag": "Tag",
    "group": "Group",
}
"""Kind of a record -> word of the feed; everything else happens to the organization."""


def type_of(entry: Activity) -> str:
    """Return the word under which the feed files an entry."""
    return TYPES.get(entry.record[0], "Organization")


def source_of(entry: Activity) -> str:
    """Return who acted: Member, Guest, or Webhook for the machine."""
    return "Guest" if isinstance(entry.actor, str) else "Webhook" if entry.actor is None else "Member"


def activity(lens: Lens, entry: Activity) -> JsonObject:
    """Render an entry; verb, type, source, actor and description are lists, as entries may be grouped."""
    kind, record_id = entry.record
    parent_kind, parent_id = entry.parent or (None, None)
    return {
        "id": entry.id,
        "organization_id": lens.tenant.id,
        "verb": [entry.verb],
        "source": [source_of(entry)],
        "actor_type": [] if entry.actor is None else [_class("guest" if isinstance(entry.actor, str) else "user")],
        "actor_id": [] if entry.actor is None else [entry.actor],
        "actor": _actors(lens, entry),
        "auditable_type": _class(kind),
        "auditable_id": record_id,
        "parentable_type": _class(parent_kind) if parent_kind else None,
        "parentable_id": parent_id,
        "type": [type_of(entry)],
        "description": [entry.text],
        "field": None if entry.field is None else [entry.field],
        "old_value": None if entry.old is None else [entry.old],
        "text": None,
        "references": None,
        "created_at": lens.date(entry.created_at, "Z"),
        "undoable": False,
        "audit": wrap({}),
        "parent": wrap({}),
        "origin": None,
    }


def _class(kind: str) -> str:
    return f"App\\Models\\{kind.capitalize()}"


def _actors(lens: Lens, entry: Activity) -> list[JsonObject]:
    row = lens.tenant.guests.get(entry.actor) if isinstance(entry.actor, str) else None
    member = lens.tenant.members.get(entry.actor) if isinstance(entry.actor, int) else None
    who = member.user if member else row
    if who is None:
        return []
    names = [name for name in (who.first_name, who.last_name) if name]
    return [
        {
            "email": who.email,
            "username": who.email.partition("@")[0],
            "first_name": who.first_name or "",
            "last_name": who.last_name or "",
            "full_name": " ".join(names),
            "profile_pic": None,
            "resize_profile_pic": None,
        }
    ]
