"""Who an object is assigned to."""

from collections.abc import Iterable
from typing import Annotated, TypedDict

from attrs import field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, MemberId, Remedy


class OwnersInput(TypedDict):
    """The assignees of a task, whole: a bucket that is left out would be emptied by the server."""

    users: Iterable[int]
    """Member ids."""
    guests: Iterable[str]
    """Guest e-mail addresses, never guest ids."""
    groups: Iterable[str]
    """Group ids."""


WholeOwners = Annotated[
    OwnersInput,
    Remedy(
        "the server empties a bucket that is left out: pass users, guests and groups, as task.owners.as_input() does"
    ),
]


@frozen(kw_only=True, repr=False)
class UserRef(Model):
    """Refer to a member: replies give the bare id, or an object with some of the member's keys (contract: UserRef)."""

    __bare__ = "id"
    id: MemberId
    full_name: str | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    profile_pic: str | None = None


@frozen(kw_only=True, repr=False)
class GuestRef(Model):
    """Refer to a guest: replies give the bare e-mail address, or an object."""

    __bare__ = "email"
    email: str | None = None


@frozen(kw_only=True, repr=False)
class GroupRef(Model):
    """Refer to a group: replies give the bare id, or an object."""

    __bare__ = "id"
    id: Id
    name: str | None = None


@frozen(kw_only=True, repr=False)
class Owners(Model):
    """List whom a task is assigned to (contract: OwnersOut); a bucket is None where the reply lacks it."""

    users: tuple[UserRef, ...] | None = None
    guests: tuple[GuestRef, ...] | None = None
    groups: tuple[GroupRef, ...] | None = None
    task_urls: tuple[str, ...] | None = field(default=None, metadata={"key": "taskUrls"})

    def as_input(self) -> OwnersInput:
        """Return all three buckets as an update takes them.

        Raises ConfigurationError where the reply lacked a bucket, because sending the others would empty it.
        """
        guests = None if self.guests is None else [guest.email for guest in self.guests if guest.email]
        if self.users is None or self.groups is None or guests is None or len(guests) < len(self.guests or ()):
            msg = "these owners were read without users, guests' e-mail addresses or groups: read the task alone first"
            raise ConfigurationError(msg)
        users = [user.id for user in self.users]
        return OwnersInput(users=users, guests=guests, groups=[group.id for group in self.groups])
