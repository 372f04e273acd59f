"""Runs, tasks and what is attached to them."""

from attrs import define, field

from .base import JsonObject
from .templates import Field


@define(kw_only=True)
class Tag:
    """A label of an organization."""

    id: str
    title: str
    color: str
    created_at: int


@define(kw_only=True)
class Run:
    """A process. `status` is the stored word; an archived run answers `archived` instead."""

    id: str
    increment_id: int
    checklist_id: str
    checklist_title: str
    name: str
    summary: str
    type: str
    status: str = "active"
    started_by: int
    owner_id: int
    prerun: JsonObject
    starred: bool = False
    is_public: bool = False
    can_add_oot: bool = True
    open_issue: bool = False
    """An open process-level issue: tasks refuse every change."""
    parent_id: str | None = None
    hidden_fields: list[str] = field(factory=list[str])
    users: list[int] = field(factory=list[int])
    groups: list[str] = field(factory=list[str])
    tags: list[str] = field(factory=list[str])
    folders: list[str] = field(factory=list[str])
    task_ids: list[str] = field(factory=list[str])
    created_at: int
    updated_at: int
    completed_at: int | None = None
    archived_at: int | None = None
    encoded: tuple[object, bytes] | None = field(default=None, eq=False, repr=False)


@define(kw_only=True)
class Task:
    """A task of a run, or a one-off task (`run_id` is None)."""

    id: str
    increment_id: int
    title: str
    original_title: str
    summary: str | None
    run_id: str | None
    checklist_id: str | None
    step_id: str | None
    alias: str | None
    task_type: str
    status: str
    """not-started, in-progress, completed or auto-skipped (hidden)."""
    position: int
    users: list[int]
    guests: list[str]
    groups: list[str]
    taskdata: JsonObject
    captures: list[Field]
    is_approved: bool | None = None
    problem: bool = False
    started_at: int | None
    deadline: int | None
    created_at: int
    updated_at: int
    completed_at: int | None = None
    archived_at: int | None = None
    starter_id: int
    completer_id: int | None = None
    completed_by: list[int] = field(factory=list[int])
    """Members who did their part of an everyone-must-complete task."""
    everyone_must_complete: bool = False
    can_complete_only_assignees: bool = False
    max_assignable: int = 0
    webhook: str | None = None
    prevent_guest_comment: bool = False
    top_secret: bool = False
    tags: list[str] = field(factory=list[str])
    threads: list[JsonObject] = field(factory=list[JsonObject])
    encoded: tuple[object, bytes] | None = field(default=None, eq=False, repr=False)

    @property
    def is_oneoff(self) -> bool:
        """Tell whether the task came from no step."""
        return self.step_id is None

    @property
    def is_open(self) -> bool:
        """Tell whether somebody can still work on it."""
        return self.status in {"not-started", "in-progress"}
