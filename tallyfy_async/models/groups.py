"""Groups of members and guests."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NotRequired, Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.models.owners import GuestRef
from tallyfy_async.protocol.converter import Id, Include, MemberId


@frozen(kw_only=True, repr=False)
class Group(Model):
    """Describe a group (contract: Group)."""

    id: Id
    name: str
    """Unique in its organization."""
    description: str | None = None
    logo: str | None = None
    members: tuple[MemberId, ...] | None = None
    """Member ids."""
    guests: Include[GuestRef] | None = None
    """E-mail addresses alone unless ``with=guests`` brings more; ``guest_emails`` has them."""
    created_at: datetime | None = None
    last_updated: datetime | None = None
    updated_at: datetime | None = None
    """Another name of last_updated."""
    deleted_at: datetime | None = None
    assets: Any = None
    """Only with ``with=assets``; its shape is not published."""
    users: Any = None
    """Only with ``with=users``; its shape is not published."""

    @property
    def guest_emails(self) -> tuple[str, ...] | None:
        """Return the e-mail addresses of the guests, None where the reply lacks one of them."""
        emails = [guest.email for guest in self.guests or () if guest.email]
        return None if self.guests is None or len(emails) < len(self.guests) else tuple(emails)


class GroupCreate(TypedDict, total=False):
    """A group to create (contract: GroupCreate)."""

    name: Required[str]
    """Unique in the organization, at most 200 characters."""
    description: Required[str]
    """Not empty."""
    members: Iterable[int]
    """Member ids."""
    guests: Iterable[str]
    """E-mail addresses."""


class GroupUpdate(TypedDict, total=False):
    """Arguments of a group's update (contract: GroupUpdate); what is absent stays."""

    name: str
    description: str
    """Not empty: the server reads an empty text as null and refuses it."""
    members: Iterable[int]
    """The whole list of member ids."""
    guests: Iterable[str]
    """The whole list of e-mail addresses."""


class GroupReplace(TypedDict):
    """A group as it shall be; only the description stays where it is absent."""

    name: str
    members: Iterable[int]
    """The whole list of member ids."""
    guests: Iterable[str]
    """The whole list of e-mail addresses."""
    description: NotRequired[str]
    """Not empty."""
