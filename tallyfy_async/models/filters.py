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
    """Includes: groups, stats, organizations, preferences, country and others."""


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
    status: str
    """active, complete, problem (with issue), improvement, delayed, starred. For archived runs use ``archived``."""
    owners: Iterable[int]
    """Members that own the run or one of its tasks."""
    checklist_id: str
    folder: Iterable[str]
    tag: str
    tag_ids: Iterable[str]
    untagged: bool
    starred: bool
    type: str
    groups: Iterable[str]
    task_status: str
    """all, in-progress or completed."""
    archived: str
    """``only`` for archived runs, ``true`` for both."""
    form_fields_values: bool
    """Bring the answers of all task fields along."""
    sort: str
    """created_at, updated_at or name, a leading ``-`` reverses it."""
    with_: Iterable[str]
    """Includes, such as checklist, tasks, tags, folder, next_task."""


class _Assigned(TypedDict, total=False):
    owners: Iterable[int]
    """Member ids; any of them."""
    guests: Iterable[str]
    """Guest e-mail addresses."""
    groups: Iterable[str]
    unassigned: bool
    deadline_start_range: date | str
    deadline_end_range: date | str
    deadline_on: date | str
    """Exact day; wins over the other deadline filters."""
    deadline_before: date | str
    """Exclusive."""
    deadline_after: date | str
    """Exclusive."""
    sort: str
    with_: Iterable[str]
    """Includes, such as form_fields, step, run, threads, tags."""


class RunTaskFilters(_Assigned, total=False):
    """Arguments of the list of a run's tasks (contract: list_run_tasks). Hidden tasks come as ``auto-skipped``."""

    status: str
    """complete, active, active_visible, incomplete, inprogress, not-started, hasproblem, overdue or due_soon."""


class TaskFilters(_Assigned, total=False):
    """Arguments of the list of all tasks (contract: list_tasks)."""

    q: str
    """Part of a process or step name."""
    status: str
    """active, complete, completed, incomplete, inprogress, overdue, due_soon or hasproblem."""
    roles: Iterable[str]
    tag: str
    """Name of a tag of the task or its run."""
    folder: str
    created: str
    """A day, or two joined by a colon, each YYYY-MM-DD."""
    is_oneoff: bool
    archived: str
    """``only`` for archived tasks, ``true`` for both."""
    custom_field_key: str
    custom_field_value: str


class MyTaskFilters(TypedDict, total=False):
    """Arguments of the list of the caller's tasks (contract: list_my_tasks)."""

    q: str
    status: str
    """all (sent unless given), active, completed, incomplete, inprogress, overdue, due_soon or hasproblem."""
    sort: str
    """deadline, newest or problems, a leading ``-`` reverses it."""
    with_: Iterable[str]
