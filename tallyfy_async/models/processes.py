"""Processes (runs) and their tasks."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Required, TypedDict

from attrs import field, frozen

from tallyfy_async.models.base import Model
from tallyfy_async.models.fields import FormField
from tallyfy_async.models.files import Asset
from tallyfy_async.models.folders import Folder
from tallyfy_async.models.owners import GroupRef, Owners, UserRef, WholeOwners
from tallyfy_async.models.tags import TagAssociation
from tallyfy_async.models.templates import Checklist, Stage, Step
from tallyfy_async.models.threads import Comment
from tallyfy_async.protocol.converter import Id, Include, Item, MemberId, Moment, Remedy


@frozen(kw_only=True, repr=False)
class Progress(Model):
    """Count the tasks of a run that are done; some replies give ``percent`` alone (contract: RunProgressOut)."""

    __bare__ = "percent"

    complete: int | None = None
    total: int | None = None
    percent: float | None = None


@frozen(kw_only=True, repr=False)
class NextTask(Model):
    """Describe the first incomplete task of a run by deadline (with=next_task)."""

    id: Id | None = None
    increment_id: MemberId | None = None
    title: str | None = None
    alias: str | None = None
    owners: Owners | None = None
    deadline: datetime | None = None


@frozen(kw_only=True, repr=False)
class RunAlerts(Model):
    """List the open issues of a run."""

    issues: tuple[Comment, ...] | None = None


@frozen(kw_only=True, repr=False)
class Run(Model):
    """Describe a process (contract: Run)."""

    id: Id
    name: str
    increment_id: MemberId | None = None
    checklist_id: Id | None = None
    """Timeline id of the template."""
    checklist_title: str | None = None
    assign_someone_else: bool | None = None
    summary: str | None = None
    status: str | None = None
    """Active, complete, problem, issue, archived, … in lower case; a new word is no error."""
    has_open_issue: bool | None = None
    """An open process-level issue exists."""
    progress: Progress | None = None
    whole_progress: Progress | None = None
    started_by: MemberId | None = None
    owner_id: MemberId | None = None
    prerun: dict[str, Any] | tuple[FormField, ...] | None = None
    """Kick-off answers, field timeline id -> value; a list of fields in replies of 2020."""
    prerun_status: str | None = None
    prerun_completed_at: datetime | None = None
    prerun_completed_by: int | str | None = None
    prerun_submitted_by: int | str | dict[str, Any] | None = None
    prerun_length: int | None = None
    starred: bool | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    last_updated: datetime | None = None
    last_synced: datetime | None = None
    completed_at: datetime | None = None
    archived_at: datetime | None = None
    due_date: datetime | None = None
    max_task_deadline: datetime | None = None
    due_date_passed: bool | None = None
    due_soon: bool | None = None
    late_tasks: int | None = None
    collaborators: tuple[MemberId, ...] | None = None
    type: str | None = None
    is_public: bool | None = None
    publicly_hidden_fields: tuple[str, ...] | None = None
    users: tuple[UserRef, ...] | None = None
    groups: tuple[GroupRef, ...] | None = None
    parent_id: Id | None = None
    can_add_oot: bool | None = None
    """Whether ad-hoc tasks may be added to this run."""
    custom_fields: dict[str, Any] | None = None
    alerts: RunAlerts | None = None
    checklist: Item[Checklist] = None
    """Only with ``with=checklist``."""
    tasks: Include["Task"] | None = None
    """Only with ``with=tasks``."""
    tags: Include[TagAssociation] | None = None
    """Only with ``with=tags``."""
    assets: Include[Asset] | None = None
    """Only with ``with=assets``."""
    next_task: Include[NextTask] | None = None
    """Only with ``with=next_task``."""
    permissions: Any = None
    """Only with ``with=permissions``; its shape is not published."""
    tasks_meta: Any = None
    """Only with ``with=tasks_meta``; its shape is not published."""
    ko_form_fields: Include[FormField] | None = None
    """Only with ``with=ko_form_fields``."""
    form_fields: Include[FormField] | None = None
    """Only with ``with=form_fields``."""
    stages: Include[Stage] | None = None
    """Only with ``with=stages``."""
    folders: Include[Folder] | None = None
    """Only with ``with=folders``."""
    member_watchers: Any = None
    """Only with ``with=member_watchers``; its shape is not published."""
    guest_watchers: Any = None
    """Only with ``with=guest_watchers``; its shape is not published."""
    selected_text_comment: Any = None
    """Only with ``with=selected_text_comment``; its shape is not published."""

    @property
    def user_ids(self) -> tuple[int, ...] | None:
        """Return the ids of the members, None where the reply lacks them.

        An update of a run empties a list that is left out, so the present ids are sent along.
        """
        return None if self.users is None else tuple(user.id for user in self.users)

    @property
    def group_ids(self) -> tuple[str, ...] | None:
        """Return the ids of the groups, None where the reply lacks them."""
        return None if self.groups is None else tuple(group.id for group in self.groups)


@frozen(kw_only=True, repr=False)
class RunFormFields(Model):
    """List the fields of a run with the ids that writing them takes (contract: RunFormFields)."""

    id: Id | None = None
    """The run."""
    form_fields: tuple[FormField, ...] | None = None
    """Fields of the tasks; ``task_id`` is the task whose update takes the answer."""
    ko_form_fields: tuple[FormField, ...] | None = None
    """Fields of the kick-off form; the run's update takes the answer."""


@frozen(kw_only=True, repr=False)
class Task(Model):
    """Describe a task of a run, or a one-off task (contract: Task)."""

    id: Id
    title: str
    increment_id: MemberId | None = None
    original_title: str | None = None
    summary: str | None = None
    """Only in single-task answers, or with=summary."""
    original_summary: str | None = None
    allow_guest_owners: bool | None = None
    run_id: Id | None = None
    """Null on a one-off task outside any run."""
    checklist_id: Id | None = None
    step_id: Id | None = None
    linked_step_id: Id | None = None
    alias: str | None = None
    taskdata: dict[str, Any] | None = None
    """Answers, field timeline id -> value."""
    owners: Owners | None = None
    is_completable: bool | None = None
    status: str | None = None
    """Not-started, in-progress, completed or auto-skipped (hidden), in lower case; older: skipped."""
    status_label: str | None = None
    task_type: str | None = None
    is_approved: bool | None = None
    position: int | None = None
    blueprint_position: int | None = None
    started_at: datetime | None = None
    deadline: datetime | None = None
    created_at: datetime | None = None
    last_updated: datetime | None = None
    archived_at: datetime | None = None
    completed_at: datetime | None = None
    starter_id: MemberId | None = None
    completer_id: MemberId | None = None
    completer_guest_id: Id | None = None
    completer_guest: str | dict[str, Any] | None = None
    is_oneoff_task: bool | None = None
    everyone_must_complete: bool | None = None
    completion_progress: float | dict[str, Any] | None = None
    has_deadline_dependent_child_tasks: bool | None = None
    can_complete_only_assignees: bool | None = None
    max_assignable: int | None = None
    """0 = unlimited."""
    webhook: str | None = None
    prevent_guest_comment: bool | None = None
    is_soft_start_date: bool | None = None
    send_chromeless: bool | None = None
    stage_id: Id | None = None
    problem: bool | None = None
    """Has an unresolved issue; blocks completion."""
    run_status: str | None = None
    top_secret: bool | None = None
    tasks_changed_by_rules: Any = None
    """Complete/reopen of run tasks only: sibling tasks that automations changed; {} or [] when none."""
    custom_fields: dict[str, Any] | None = None
    run: Item[Run] = None
    """Only with ``with=run``."""
    step: Item[Step] = None
    """Only with ``with=step``."""
    form_fields: Include[FormField] | None = None
    """Only with ``with=form_fields``."""
    ko_form_fields: Include[FormField] | None = field(default=None, metadata={"key": "ko-form-fields"})
    """Only with ``with=ko-form-fields``."""
    threads: Include[Comment] | None = None
    """Only with ``with=threads``."""
    comments: Include[Comment] | None = None
    """Only with ``with=comments``."""
    issues: Include[Comment] | None = None
    """Only with ``with=issues``."""
    threads_count: int | dict[str, Any] | None = None
    tags: Include[TagAssociation] | None = None
    """Only with ``with=tags``."""
    assets: Include[Asset] | None = None
    """Only with ``with=assets``."""
    folders: Include[Folder] | None = None
    """Only with ``with=folders``."""
    roles: Any = None
    """Only with ``with=roles``; its shape is not published."""
    activities: Any = None
    """Only with ``with=activities``; its shape is not published."""
    member_watchers: Any = None
    """Only with ``with=member_watchers``; its shape is not published."""
    guest_watchers: Any = None
    """Only with ``with=guest_watchers``; its shape is not published."""


Answers = Annotated[
    Mapping[str, Any],
    Remedy(
        'key the answers by field id, such as {"a1b2…": "Acme"}; the server refuses lists and drops aliases and labels'
    ),
]
"""Field timeline id -> value; the value's shape follows the field's type, moments become ``YYYY-MM-DD HH:MM:SS``."""


class TaskOverride(TypedDict, total=False):
    """What a launch changes on the task of one step."""

    owners: WholeOwners
    deadline: Moment
    position: int
    max_assignable: int
    """Members plus guests; 0 is unlimited."""


class RunLaunch(TypedDict, total=False):
    """Arguments of a launch beside the template (contract: RunCreate). Sent twice, it launches twice."""

    name: str
    """Up to 550 characters; by default ``{template title} - {date}``."""
    summary: str
    owner_id: int
    user_id: int
    """Member to record as starter."""
    starred: bool
    is_public: bool
    assign_someone_else: bool
    publicly_hidden_fields: Iterable[str]
    parent_id: str
    """Run that this one is a sub-process of."""
    prerun: Answers
    """Kick-off answers. Leave a table without value out: an empty one is refused."""
    tasks: Mapping[str, TaskOverride]
    """Step timeline id -> what differs from the template."""
    tags: Iterable[str]
    users: Iterable[int]
    groups: Iterable[str]
    roles: Mapping[str, WholeOwners]
    """Role id -> who fills it."""
    folders: Iterable[str]
    trackers: WholeOwners
    metadata: Mapping[str, Any]
    """Deprecated by the API."""
    checklist_public_name: str
    """Deprecated by the API."""


class _RunFields(TypedDict, total=False):
    name: str
    """Up to 550 characters."""
    summary: str
    owner_id: int
    starred: bool
    is_public: bool
    publicly_hidden_fields: Iterable[str]
    prerun: Answers


class RunUpdate(_RunFields, total=False):
    """Arguments of a run's update (contract: RunUpdate); what is absent stays."""

    users: Iterable[int]
    """The server empties this list when a request lacks it: the update reads and sends the present ones."""
    groups: Iterable[str]
    """The server empties this list when a request lacks it: the update reads and sends the present ones."""


class RunReplace(_RunFields, total=False):
    """Arguments of a run's replacement (contract: RunUpdate): what the server would empty is needed each time."""

    users: Required[Iterable[int]]
    groups: Required[Iterable[str]]


class _TaskFields(TypedDict, total=False):
    summary: str
    started_at: Moment
    taskdata: Answers
    """A completed task takes no answers."""
    webhook: str | None
    prevent_guest_comment: bool
    position: int
    """From 1."""
    max_assignable: int
    """Members plus guests; 0 is unlimited."""
    status: str
    task_type: str
    """task, approval, expiring, email or expiring_email."""
    top_secret: bool


class TaskUpdate(_TaskFields, total=False):
    """Arguments of an update of a run's task (contract: TaskUpdate); what is absent stays."""

    title: str
    """Up to 600 characters."""
    deadline: Moment
    """The server moves it to a working day."""
    owners: WholeOwners
    """Replaced whole."""


class OneOffTaskUpdate(TaskUpdate, total=False):
    """Arguments of an update of a one-off task (contract: OneOffTaskUpdate); what is absent stays.

    The server wants title, deadline and owners each time: the update reads and sends the present ones.
    """


class OneOffTaskReplace(_TaskFields, total=False):
    """Arguments of a one-off task's replacement (contract: OneOffTaskUpdate): three are needed each time."""

    title: Required[str]
    deadline: Required[Moment]
    """The server moves it to a working day."""
    owners: Required[WholeOwners]
    """Replaced whole."""
