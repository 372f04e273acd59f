"""The activity feed."""

from datetime import datetime
from typing import Any

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, MemberId


@frozen(kw_only=True, repr=False)
class ActivityActor(Model):
    """Describe who did something."""

    email: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    full_name: str | None = None
    profile_pic: str | None = None
    resize_profile_pic: str | None = None


@frozen(kw_only=True, repr=False)
class ActivityFeedItem(Model):
    """Describe what happened; events are grouped, so most attributes are lists (contract: ActivityFeedItem)."""

    id: MemberId
    organization_id: Id | None = None
    verb: tuple[str, ...] | None = None
    source: tuple[str, ...] | None = None
    """Member, Guest or Webhook."""
    actor_type: tuple[str, ...] | None = None
    """Class names with backslashes."""
    actor_id: tuple[int | str, ...] | None = None
    actor: tuple[ActivityActor, ...] | None = None
    auditable_type: str | None = None
    auditable_id: Id | None = None
    parentable_type: str | None = None
    parentable_id: Id | None = None
    type: tuple[str, ...] | None = None
    """Comment, Task, Step, Process, Blueprint, User, Organization, Tag or Group."""
    description: tuple[str, ...] | None = None
    field: Any = None
    old_value: Any = None
    text: Any = None
    references: Any = None
    """Its shape is not published."""
    created_at: datetime | None = None
    undoable: bool | None = None
    audit: Any = None
    parent: Any = None
    origin: Any = None
    audit_state: Any = None
    parent_state: Any = None
