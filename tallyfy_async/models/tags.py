"""Tags: of the organization, and as other objects show them."""

from datetime import datetime
from typing import Any, Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, Item


class TagCreate(TypedDict, total=False):
    """A new tag (contract: TagCreate)."""

    title: Required[str]
    """Unique in the organization, at most 30 characters."""
    color: str
    """Hash and six hex digits."""


class TagUpdate(TypedDict, total=False):
    """What an update changes on a tag (contract: TagUpdate)."""

    title: str
    color: str
    """Hash and six hex digits."""


@frozen(kw_only=True, repr=False)
class TagStatistics(Model):
    """Count what carries a tag (with=statistics)."""

    active_template: int | None = None
    archived_template: int | None = None
    active_process: int | None = None
    archived_process: int | None = None


@frozen(kw_only=True, repr=False)
class Tag(Model):
    """Describe a tag of the organization (contract: Tag)."""

    id: Id
    title: str
    color: str | None = None
    type: str | None = None
    auto_generated: bool | None = None
    """Made by the machine: its title starts with from:, task: or step:."""
    created_at: datetime | None = None
    deleted_at: datetime | None = None
    statistics: Item[TagStatistics] = None
    """Only with ``with=statistics``."""
    custom_fields: dict[str, Any] | None = None


@frozen(kw_only=True, repr=False)
class TagRef(Model):
    """Describe a tag that the server always writes bare, such as an industry tag."""

    id: Id | None = None
    title: str | None = None
    color: str | None = None
    type: str | None = None


@frozen(kw_only=True, repr=False)
class TagAssociation(Model):
    """Describe a tag on an object (with=tags).

    ``id`` is the association, which a detach call takes; ``tag_id`` is the tag (contract: TagAssociation).
    """

    id: int | str | None = None
    """Pivot row id, numeric: what the detach call takes."""
    tag_id: Id | None = None
    title: str | None = None
    color: str | None = None
    subject_id: Id | None = None
    subject_type: str | None = None
