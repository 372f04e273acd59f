"""What lists can be narrowed and sorted by; lists of ids go out joined by commas."""

from collections.abc import Iterable
from datetime import date
from typing import TypedDict


class UserFilters(TypedDict, total=False):
    """Arguments of the list of members (contract: list_users)."""

    q: str
    """Part of a first name, last name or e-mail address."""
    sort: str
    """Field name, a leading ``-`` reverses it."""
    with_: Iterable[str]
    """Includes: groups, stats, organizations, preferences, assets, country, member_watchers, guest_watchers,
    auth_methods."""


class ChecklistFilters(TypedDict, total=False):
    """Arguments of the list of templates (contract: list_checklists)."""

    q: str
    """Part of the title, in any case."""
    status: str
    type: str
    """procedure, form or document."""
    starred: bool
    folder: Iterable[str]
    tag: str
    owner_id: int
    archived: str
    """``only`` for archived templates, ``true`` for both."""
    sort_by: str
    """Field name, a leading ``-`` reverses it; pinned templates come first anyway."""
    with_: Iterable[str]
    """Includes: steps, tags, folder, permissions, stages, linked_tasks, assets and others."""


class RunFilters(TypedDict, total=False):
    """Arguments of the list of runs (contract: list_runs)."""

    q: str
    """Part of the name, in any case."""
    status: str
    """active, complete, problem (with issue), issue, improvement, delayed or starred.

    For archived runs use ``archived``: this word finds none.
    """
    owners: Iterable[int]
    """Members that own the run or one of its tasks; who started it does not count."""
    checklist_id: str
    """Template that the run came from."""
    folder: Iterable[str]
    """Folder ids."""
    tag: str
    """One tag id."""
    tag_ids: Iterable[str]
    untagged: bool
    starred: bool
    type: str
    """procedure, form or document."""
    groups: Iterable[str]
    """Group ids."""
    task_status: str
    """all, in-progress or completed."""
    archived: str
    """``only`` for archived runs, ``true`` for both."""
    form_fields_values: bool
    """Bring the answers of all task fields along."""
    sort: str
    """created_at, updated_at or name, a leading ``-`` reverses it."""
    with_: Iterable[str]
    """Includes: checklist, tasks, tags, assets, next_task, permissions, tasks_meta, ko_form_fields, form_fields,
    stages, folders."""


class _Assigned(TypedDict, total=False):
    owners: Iterable[int]
    """Member ids; any of them."""
    guests: Iterable[str]
    """Guest e-mail addresses."""
    groups: Iterable[str]
    """Group ids."""
    unassigned: bool
    """Only tasks that nobody has to do."""
    deadline_start_range: date | str
    """From this day on."""
    deadline_end_range: date | str
    """Up to this day."""
    deadline_on: date | str
    """Exact day; wins over the other deadline filters."""
    deadline_before: date | str
    """Exclusive."""
    deadline_after: date | str
    """Exclusive."""


class RunTaskFilters(_Assigned, total=False):
    """Arguments of the list of a run's tasks (contract: list_run_tasks). Hidden tasks come as ``auto-skipped``."""

    status: str
    """complete, active, active_visible, incomplete, inprogress, not-started, hasproblem, overdue or due_soon."""
    sort: str
    """position or deadline, a leading ``-`` reverses it."""
    with_: Iterable[str]
    """Includes: step, threads, comments, assets, form_fields, activities, run, run.checklist, summary."""


class TaskFilters(_Assigned, total=False):
    """Arguments of the list of all tasks (contract: list_tasks)."""

    q: str
    """Part of a process or step name."""
    status: str
    """active, complete, completed, incomplete, inprogress, overdue, due_soon or hasproblem."""
    assignee: str
    """``me`` for the caller's own."""
    roles: Iterable[str]
    """Role ids."""
    tag: str
    """Name of a tag of the task or its run."""
    folder: str
    """Folder id."""
    created: str
    """A day, or two joined by a colon, each YYYY-MM-DD."""
    is_oneoff: bool
    archived: str
    """``only`` for archived tasks, ``true`` for both."""
    custom_field_key: str
    """Together with ``custom_field_value``."""
    custom_field_value: str
    sort: str
    """deadline, newest, problems or completed_newest, a leading ``-`` reverses it; completed tasks come in an order
    that cannot be relied on."""
    with_: Iterable[str]
    """Includes: run, run.checklist, step, threads, assets, form_fields, tags, summary, selected_text_comment."""


class MyTaskFilters(TypedDict, total=False):
    """Arguments of the list of the caller's tasks (contract: list_my_tasks)."""

    q: str
    status: str
    """all (sent unless given), active, completed, incomplete, inprogress, overdue, due_soon or hasproblem."""
    sort: str
    """deadline, newest or problems, a leading ``-`` reverses it."""
    sort_by: str
    """``newest``, which Tallyfy's web app sends."""
    with_: Iterable[str]
    """Includes: run, run.checklist, step, threads, comments, assets, tags, folders, threads_count and others."""


class UserTaskFilters(MyTaskFilters, total=False):
    """Arguments of the list of a member's tasks (contract: list_user_tasks)."""

    tag: str
    """Name of a tag."""


class GuestTaskFilters(TypedDict, total=False):
    """Arguments of the list of a guest's tasks (contract: list_guest_tasks)."""

    status: str
    """all (sent unless given), active, completed and others."""
    sort: str
    """deadline, newest or problems, a leading ``-`` reverses it."""
    sort_by: str
    """``newest``, which Tallyfy's web app sends."""
    with_: Iterable[str]
    """Includes: run, run.checklist, step, threads, comments, assets, tags, folders, threads_count and others."""


class GuestFilters(TypedDict, total=False):
    """Arguments of the list of guests (contract: list_guests)."""

    q: str
    """Part of an e-mail address."""
    sort: str
    """Field name, ``created_at`` if not given."""
    with_: Iterable[str]
    """Includes: stats."""


class GroupFilters(TypedDict, total=False):
    """Arguments of the list of groups (contract: list_groups)."""

    q: str
    """Part of a name or description."""
    sort_by: str
    """name, created_at (if not given) or updated_at."""
    sort: str
    """Direction."""
    with_: Iterable[str]
    """Includes: assets, users, guests."""


class CustomFieldKeyFilters(TypedDict, total=False):
    """Arguments of the list of custom field definitions (contract: list_custom_field_keys)."""

    applies_to: str
    """A kind of record, such as ``process``."""
    key_type: str
    """org or system."""
    field_type: str
    is_required: bool
    is_active: bool
    q: str
    sort_by: str
    """Field name."""
    sort_direction: str
    """asc or desc."""


class TagFilters(TypedDict, total=False):
    """Arguments of the list of tags (contract: list_tags)."""

    q: str
    """Part of the title."""
    sort: str
    """Field name, a leading ``-`` reverses it."""
    all: bool
    """Also machine-made tags, whose titles start with from:, task: or step:."""
    auto_generated: bool
    """True: machine-made tags only (``all`` is sent along, without which there would be none)."""
    status: str
    with_: Iterable[str]
    """Includes: statistics."""


class FolderFilters(TypedDict, total=False):
    """Arguments of the list of folders (contract: list_folders)."""

    folder_type: str
    """checklist for folders of templates, run for folders of processes and tasks."""
    q: str
    """Part of the name."""
    sort: str
    """position."""
    with_: Iterable[str]
    """Includes: children."""


class ActivityFilters(TypedDict, total=False):
    """Arguments of the activity feed (contract: list_activity_feeds)."""

    entity_type: str
    """checklist, run, step, task or thread; goes with ``entity_id``."""
    entity_id: str
    type: str
    """Comment, Task, Step, Process, Blueprint, User, Organization, Tag or Group."""
    verb: str
    """created, updated, owners-updated, uploaded, completed, uncompleted, deleted, re-ordered, commented,
    issue-reported, issue-resolved, archived, unarchived, re-opened, emitted, enabled, disabled, comment-deleted,
    invited, invite-accepted, linked or unlinked."""
    actor_type: str
    """user or guest."""
    actor_id: int
    actor_email: str
    """In place of ``actor_type`` and ``actor_id``."""
    source: str
    """Member, Guest or Webhook."""
    created_after: date | str
    """Day, inclusive."""
    created_before: date | str
    """Day, inclusive."""
    search: str
    """From 2 to 100 characters."""
    field: str
    origin_type: str
    """checklist, run, step or task."""
    origin_id: str
    """Goes with ``origin_type``."""
    sort: str
    """-created_at for the newest first."""
