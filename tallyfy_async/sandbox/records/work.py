"""Runs, tasks and what is attached to them."""

from attrs import define, field, frozen

from .base import JsonObject
from .templates import Field, Rule


@define(kw_only=True)
class Tag:
    """A label of an organization."""

    id: str
    title: str
    color: str | None
    created_at: int

    @property
    def is_auto_generated(self) -> bool:
        """Tell whether the machine made it: lists hide such a tag (templates.md section 9)."""
        return self.title.startswith(("from:", "task:", "step:"))


@define(kw_only=True)
class Folder:
    """A place for templates (`checklist`) or for runs and tasks (`run`); the kind is fixed for life."""

    id: str
    name: str
    folder_type: str
    parent_id: str | None = None
    position: int
    created_at: int


@define(kw_only=True)
class Thread:
    """A comment on a run, a task or a template; with the label `problem` an issue."""

    id: str
    content: str
    """As written: a mention is `@[member id]`."""
    label: str = "comment"
    state: str = "hide-for-guests"
    author_id: int
    is_bot: bool = False
    task_id: str | None = None
    mentions: list[int] = field(factory=list[int])
    resolve_id: str | None = None
    """On an issue: the comment that resolved it."""
    created_at: int
    updated_at: int
    archived_at: int | None = None

    @property
    def is_open_issue(self) -> bool:
        """Tell whether it is a problem that nobody has resolved."""
        return self.label == "problem" and self.resolve_id is None


@define(kw_only=True)
class Asset:
    """A stored file. Its bytes lie beside it, see blobs.py."""

    id: str
    filename: str
    content_type: str
    size: int
    version: int
    uploaded_from: str
    """Id of a field, or `ko_field`."""
    uploaded_at: int
    uploaded_by: int
    subject_type: str
    subject_id: str
    step_id: str | None = None
    checklist_id: str | None = None
    source: str = "local"
    system: str | None = None
    archived_at: int | None = None


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
    assign_someone_else: bool = False
    prerun_completed_at: int | None = None
    """None while the kick-off form is open again."""
    prerun_completed_by: int | None = None
    parent_id: str | None = None
    hidden_fields: list[str] = field(factory=list[str])
    users: list[int] = field(factory=list[int])
    groups: list[str] = field(factory=list[str])
    tags: list[str] = field(factory=list[str])
    folders: list[str] = field(factory=list[str])
    task_ids: list[str] = field(factory=list[str])
    rules: list[Rule] = field(factory=list[Rule])
    """The automations of the template at the launch."""
    fired: list[str] = field(factory=list[str])
    """Ids of the rules whose conditions hold; they act again only after they did not hold."""
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
    is_soft_start_date: bool = False
    reopened: bool = False
    """Reopened and not completed since."""
    tags: list[str] = field(factory=list[str])
    folders: list[str] = field(factory=list[str])
    encoded: tuple[object, bytes] | None = field(default=None, eq=False, repr=False)

    @property
    def is_oneoff(self) -> bool:
        """Tell whether the task came from no step."""
        return self.step_id is None

    @property
    def is_open(self) -> bool:
        """Tell whether somebody can still work on it."""
        return self.status in {"not-started", "in-progress"}


@frozen(kw_only=True, eq=False)
class Event:
    """Something that webhooks tell of: a run launched or completed, a task completed, assigned, talked about.

    `name` is the word of the subscriptions (`process.launched`, …), or `rule.emitted` for the action of an automation,
    which brings its own `url`.
    """

    name: str
    record: Run | Task
    thread: Thread | None = None
    url: str | None = None
