"""Guests: people outside of the organization who take part in its tasks."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.models.processes import Answers
from tallyfy_async.protocol.converter import Id, Item, MemberId, Moment


@frozen(kw_only=True, repr=False)
class GuestDetails(Model):
    """Describe what one organization knows of a guest (contract: GuestDetails)."""

    first_name: str | None = None
    last_name: str | None = None
    status: str | None = None
    phone_1: str | None = None
    phone_2: str | None = None
    timezone: str | None = None
    image_url: str | None = None
    contact_url: str | None = None
    company_url: str | None = None
    company_name: str | None = None
    opportunity_url: str | None = None
    opportunity_name: str | None = None
    external_sync_source: str | None = None
    external_date_creation: str | None = None
    cadence_days: tuple[str, ...] | None = None
    associated_members: tuple[MemberId, ...] | None = None
    last_city: str | None = None
    last_country: str | None = None
    last_accessed_at: datetime | None = None
    disabled_at: datetime | None = None
    """When the guest was disabled; there is no ``disabled_on``."""
    disabled_by: MemberId | None = None
    reactivated_at: datetime | None = None
    """Whether ``disabled_at`` stays beside it is not published."""
    reactivated_by: MemberId | None = None


@frozen(kw_only=True, repr=False)
class GuestStats(Model):
    """Count what a guest did (with=stats)."""

    assigned_tasks: int | None = None
    tasks_completed: int | None = None
    last_task_completed_at: datetime | None = None
    one_off_tasks_completed: int | None = None
    last_one_off_task_completed_at: datetime | None = None


def _code(link: str | None) -> str | None:
    path = (link or "").partition("/guest/")[2]
    return path.partition("?")[0].partition("#")[0].strip("/") or None


@frozen(kw_only=True, repr=False)
class Guest(Model):
    """Describe a guest, whose key is the e-mail address (contract: Guest)."""

    email: str
    id: MemberId | None = None
    first_name: str | None = None
    last_name: str | None = None
    link: str | None = None
    """The guest's own link, which does not expire: whoever has it acts as the guest."""
    details: GuestDetails | None = None
    stats: Item[GuestStats] = None
    """Only with ``with=stats``."""
    last_accessed_at: datetime | None = None
    last_known_ip: str | None = None
    last_known_country: str | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def code(self) -> str | None:
        """Return the code of the guest's link, by which its tasks and custom fields are found; None if absent."""
        return _code(self.link)


@frozen(kw_only=True, repr=False)
class GuestSummary(Model):
    """Describe a guest in few words (contract: GuestSummary)."""

    email: str
    id: MemberId | None = None
    first_name: str | None = None
    last_name: str | None = None
    link: str | None = None

    @property
    def code(self) -> str | None:
        """Return the code of the guest's link, None where the reply lacks it."""
        return _code(self.link)


class GuestCreate(TypedDict, total=False):
    """A guest to add (contract: GuestCreate); the server would drop other keys, ``phone`` for one, without a word."""

    email: Required[str]
    """Of a domain that takes mail, not the organization's own, and no member's."""
    first_name: str | None
    """At most 200 characters, as the other names."""
    last_name: str | None
    phone_1: str
    """At most 20 characters, as ``phone_2``."""
    phone_2: str
    company_name: str
    company_url: str
    contact_url: str
    image_url: str
    opportunity_url: str
    opportunity_name: str
    timezone: str
    """Such as ``America/Chicago``."""
    status: str
    external_sync_source: str
    """``salesforce``."""
    external_date_creation: Moment


class GuestUpdate(TypedDict):
    """What a guest's update can change (contract: GuestUpdate); everything else the server would drop."""

    associated_members: Iterable[int]
    """The whole list of member ids; an empty one clears it."""


@frozen(kw_only=True, repr=False)
class ThreadCounts(Model):
    """Count the comments of a task and the open issues among them."""

    total: int | None = None
    problems: int | None = None


@frozen(kw_only=True, repr=False)
class GuestTask(Model):
    """Describe a task as the page behind a guest's link shows it (contract: TaskGuestView)."""

    alias: str | None = None
    organization: dict[str, Any] | None = None
    taskdata: dict[str, Any] | None = None
    """Answers by field id."""
    threads: ThreadCounts | None = None
    status: str | None = None
    is_completable: bool | None = None
    deadline: datetime | None = None
    created_at: datetime | None = None
    last_updated: datetime | None = None
    completed_at: datetime | None = None
    step: dict[str, Any] | None = None
    step_id: Id | None = None
    guest_email: str | None = None


class GuestTaskUpdate(TypedDict, total=False):
    """What a guest changes through the link of a task (contract: GuestTaskUpdate)."""

    taskdata: Answers
    status: str
    """``completed`` completes the task."""
