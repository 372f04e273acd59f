"""What micro-functions take and answer."""

from collections.abc import Iterable
from datetime import datetime
from typing import Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, MemberId, Moment


@frozen(kw_only=True, repr=False)
class MicroTask(Model):
    """Describe a one-off task in the words of a connector (contract: MicroTask)."""

    id: Id
    title: str | None = None
    alias: str | None = None
    deadline: datetime | None = None
    description: str | None = None
    owner_id: MemberId | None = None


class MicroOwners(TypedDict, total=False):
    """The assignees of a new task; groups are not taken here."""

    users: Iterable[int]
    guests: Iterable[str]
    """Guest e-mail addresses."""


class MicroTaskCreate(TypedDict, total=False):
    """Arguments of a one-off task made by a connector (contract: MicroTaskCreate). Sent twice, it makes two."""

    name: Required[str]
    """The title."""
    deadline: Required[Moment]
    task_type: str
    """task (sent unless given), approval, email or expiring."""
    description: str
    """The instructions."""
    owners: MicroOwners
