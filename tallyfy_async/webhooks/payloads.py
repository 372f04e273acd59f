"""The bodies of webhooks as models: lossless, with ``.extra`` and ``.to_dict()`` like those of replies.

Date values of form fields stay the text that they are, ISO 8601 or ``d/m/Y h:i A T`` in the organization's zone, by
its setting; the moments of runs and tasks themselves are aware datetimes (contract: webhooks).
"""

from datetime import datetime
from typing import Any

from attrs import evolve, field, frozen

from tallyfy_async.models.base import Model
from tallyfy_async.models.processes import Progress
from tallyfy_async.protocol.converter import Id
from tallyfy_async.protocol.redaction import MASK


@frozen(kw_only=True, repr=False)
class EventPerson(Model):
    """Describe who launched or completed something, or who has to do it (contract: WebhookPerson)."""

    __bare__ = "id"

    id: Id | None = None
    email: str | None = None
    full_name: str | None = None


@frozen(kw_only=True, repr=False)
class EventOwners(Model):
    """List whom a task is assigned to; groups are not told (contract: WebhookOwners)."""

    users: tuple[EventPerson, ...] | None = None
    guests: tuple[str, ...] | None = None
    """E-mail addresses."""


@frozen(kw_only=True, repr=False)
class EventField(Model):
    """Describe a form field and its answer (contract: WebhookCapture)."""

    alias: str | None = None
    label: str | None = None
    value: Any = None


@frozen(kw_only=True, repr=False)
class EventAsset(Model):
    """Describe a file of a task (contract: WebhookAsset)."""

    id: Id | None = None
    filename: str | None = None
    version: Id | None = None
    public_link: str | None = None


@frozen(kw_only=True, repr=False)
class EventTask(Model):
    """Describe the task that was completed (contract: WebhookTask)."""

    id: Id
    title: str | None = None
    alias: str | None = None
    status: str | None = None
    summary: str | None = None
    deadline: datetime | None = None
    position: int | None = None
    completed_at: datetime | None = None
    """Of a resolution of one second."""
    completed_by: EventPerson | None = None
    owners: EventOwners | None = None
    captures: dict[str, EventField] | None = None
    """Field timeline id -> field."""
    assets: tuple[EventAsset, ...] | None = None


@frozen(kw_only=True, repr=False)
class EventNextTask(Model):
    """Describe the first visible incomplete task by position (contract: WebhookNextTask)."""

    id: Id
    title: str | None = None
    alias: str | None = None
    status: str | None = None
    summary: str | None = None
    position: int | None = None
    deadline: datetime | None = None
    owners: EventOwners | None = None
    captures: dict[str, EventField] | None = None
    """Usually empty."""


@frozen(kw_only=True, repr=False)
class EventTemplate(Model):
    """Describe the template of a run; its version is not told."""

    id: Id | None = None
    title: str | None = None
    alias: str | None = None
    summary: str | None = None


@frozen(kw_only=True, repr=False)
class EventTag(Model):
    """Describe a tag of a run."""

    id: Id | None = None
    name: str | None = None
    color: str | None = None


@frozen(kw_only=True, repr=False)
class EventProcess(Model):
    """Describe the run that a task belongs to."""

    id: Id | None = None
    organization_id: Id | None = None
    name: str | None = None
    summary: str | None = None
    status: str | None = None
    """An open word: webhooks print ``in-progress`` where the API prints ``active``."""
    progress: Progress | None = None
    created_at: datetime | None = None
    client_url: str | None = field(default=None, metadata={"key": "ClientURL"})
    """Address of the run in the web app."""
    prerun: dict[str, Any] | None = None
    """Kick-off answers, field timeline id -> value."""
    process_forms: dict[str, dict[str, EventField]] | None = None
    """Step id -> field timeline id -> field."""
    tags: tuple[EventTag, ...] | None = None


@frozen(kw_only=True, repr=False)
class _Linked(Model):
    guest_links: dict[str, Any] | None = field(default=None, metadata={"key": "guest-links"})
    """E-mail address -> ``{"link_for_guest": …}``; not shown, because whoever has one may act as that guest."""

    def __repr__(self) -> str:
        shown = evolve(self, guest_links=self.guest_links and dict.fromkeys(self.guest_links, MASK))
        return Model.__repr__(shown)


@frozen(kw_only=True, repr=False)
class TaskPayload(_Linked):
    """What is delivered when a task is completed (contract: WebhookTaskPayload)."""

    this_task: EventTask
    launcher: EventPerson | None = None
    completer: EventPerson | None = None
    process_tasks: dict[str, Any] | None = field(default=None, metadata={"key": "process-tasks"})
    """Task alias, or the id of a task without one -> task id."""
    form_fields: dict[str, Any] | None = field(default=None, metadata={"key": "form-fields"})
    """Field alias -> value, of all tasks and of the kick-off form."""
    template: EventTemplate | None = None
    process: EventProcess | None = None
    next_task: EventNextTask | None = None


@frozen(kw_only=True, repr=False)
class EventMember(Model):
    """Refer to a member of a run."""

    user_id: Id | None = None
    full_name: str | None = None


@frozen(kw_only=True, repr=False)
class EventGroup(Model):
    """Refer to a group of a run."""

    group_id: Id | None = None
    name: str | None = None


@frozen(kw_only=True, repr=False)
class ProcessPayload(_Linked):
    """What is delivered when a run is launched or completed: its members, flat (contract: WebhookProcessPayload)."""

    id: Id
    name: str | None = None
    increment_id: Id | None = None
    checklist_id: Id | None = None
    checklist_title: str | None = None
    summary: str | None = None
    status: str | None = None
    """An open word: webhooks print ``in-progress`` where the API prints ``active``."""
    progress: Progress | None = None
    whole_progress: Progress | None = None
    started_by: Id | None = None
    owner_id: Id | None = None
    prerun: dict[str, Any] | None = None
    """Kick-off answers, field timeline id -> value."""
    prerun_status: str | None = None
    prerun_completed_at: datetime | None = None
    prerun_completed_by: Id | None = None
    prerun_submitted_by: Any = None
    prerun_length: int | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    last_updated: datetime | None = None
    completed_at: datetime | None = None
    """None at the launch; of a resolution of one second."""
    collaborators: tuple[Id, ...] | None = None
    late_tasks: int | None = None
    due_soon: bool | None = None
    due_date: datetime | None = None
    users: tuple[EventMember, ...] | None = None
    groups: tuple[EventGroup, ...] | None = None
    process_tasks: dict[str, Any] | None = field(default=None, metadata={"key": "process-tasks"})
    """Task alias, or the id of a task without one -> task id."""
    ko_form_fields: dict[str, Any] | None = field(default=None, metadata={"key": "ko-form-fields"})
    """Kick-off field alias -> value; a launch takes no aliases under ``prerun``."""
    launcher: EventPerson | None = None


@frozen(kw_only=True, repr=False)
class OrganizationPayload(Model):
    """What an organization-wide subscription delivers; only ``event`` is certain (contract: WebhookOrganizationEvent).

    The rest is in ``extra``.
    """

    event: str
    """process.launched, process.completed, task.completed, task.assigned, task.comment_added, task.issue_raised or
    task.issue_resolved; a new word is no error."""
    task: dict[str, Any] | None = None
    process: dict[str, Any] | None = None
