"""Comments and issues on the wire (processes.md section 6)."""

import re
from typing import Any

from tallyfy_async.sandbox.records import JsonObject, Thread, whole

from .lens import Lens

MENTION = re.compile(r"@\[([^\[\]\s]+)\]")


def thread(lens: Lens, row: Thread) -> JsonObject:
    """Render a comment. `@[member id]` shows as the member's name in bold; strangers stay as they were written."""
    return {
        "id": row.id,
        "content": MENTION.sub(lambda match: _name(lens, match), row.content),
        "label": row.label,
        "state": row.state,
        "author_id": row.author_id,
        "author_type": "bot" if row.is_bot else "user",
        "task_id": row.task_id,
        "resolve_id": row.resolve_id,
        "sent_to": list(row.mentions),
        "created_at": lens.date(row.created_at, "millis"),
        "last_updated_at": lens.date(row.updated_at, "millis"),
        "archived_at": lens.date(row.archived_at, "millis"),
    }


def _name(lens: Lens, match: re.Match[str]) -> str:
    member = lens.tenant.members.get(whole(match[1]) or 0)
    return f"<strong>{member.user.full_name}</strong>" if member else match[0]


def threads(lens: Lens, subject_id: str, *, issues: bool = False) -> list[Any]:
    """Render what was said about a run, task or template; a lens for guests leaves out what is hidden from them."""
    rows = [row for row in lens.tenant.threads_of(subject_id) if not issues or row.label == "problem"]
    return [thread(lens, row) for row in rows if not (lens.for_guests and row.state == "hide-for-guests")]
