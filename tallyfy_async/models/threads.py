"""Comments, problems and their answers."""

from datetime import datetime
from typing import Any

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, MemberId


@frozen(kw_only=True, repr=False)
class Comment(Model):
    """Describe one entry of a thread; a problem is open while ``resolve_id`` is None (contract: Comment)."""

    id: Id
    content: str | None = None
    label: str | None = None
    state: str | None = None
    author_id: MemberId | None = None
    author_type: str | None = None
    author: dict[str, Any] | None = None
    sent_by: MemberId | None = None
    task_id: Id | None = None
    resolve_id: Id | None = None
    """On a problem: the comment that resolved it; null while open."""
    sent_to: tuple[int | dict[str, Any], ...] | None = None
    """Derived from the thread's participants; response only."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    last_updated_at: datetime | None = None
    recent_updated_at: datetime | None = None
    archived_at: datetime | None = None
    created_ago: str | None = None
