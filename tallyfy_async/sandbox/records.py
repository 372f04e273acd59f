"""The rows of the sandbox's world. Moments are whole seconds since 1970 in UTC."""

from typing import Any, TypeGuard

from attrs import define, field

JsonObject = dict[str, Any]


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Tell whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a decoded JSON value is an array."""
    return isinstance(value, list)


@define(kw_only=True)
class User:
    """A person, whatever the organization."""

    id: int
    email: str
    first_name: str
    last_name: str
    password: str = field(repr=False)
    job_title: str
    timezone: str
    utc_offset: str
    phone: str
    created_at: int
    updated_at: int
    home: str
    """Organization that this user's tokens are tied to: the one they are logged in to."""

    @property
    def full_name(self) -> str:
        """Return first and last name."""
        return f"{self.first_name} {self.last_name}"


@define(kw_only=True)
class Member:
    """A user's place in one organization."""

    user: User
    role: str
    """Admin, Standard or Light."""
    status: str
    """active, invited or disabled."""
    default_admin: bool = False
    joined_at: int
    last_login_at: int | None = None
    disabled_at: int | None = None

    @property
    def is_admin(self) -> bool:
        """Tell whether business rules for administrators apply."""
        return self.role == "Admin"

    @property
    def is_light(self) -> bool:
        """Tell whether this member may not change templates or archive runs."""
        return self.role == "Light"


@define(kw_only=True)
class Group:
    """A named set of members and guests."""

    id: str
    name: str
    description: str
    members: list[int]
    guests: list[str]
    created_at: int
    updated_at: int


@define(kw_only=True)
class Tag:
    """A label of an organization."""

    id: str
    title: str
    color: str
    created_at: int


@define(kw_only=True)
class Field:
    """A form field: a capture of a step, or a prerun of a checklist. The id is the timeline id."""

    id: str
    alias: str
    label: str
    field_type: str
    position: int
    required: bool = False
    guidance: str | None = None
    options: list[JsonObject] = field(factory=list[JsonObject])
    columns: list[JsonObject] = field(factory=list[JsonObject])
    settings: JsonObject = field(factory=dict[str, Any])
    created_at: int
    updated_at: int


@define(kw_only=True)
class Step:
    """A step of a checklist."""

    id: str
    checklist_id: str
    alias: str
    title: str
    summary: str | None
    step_type: str
    position: int
    deadline: JsonObject
    start_date: JsonObject
    users: list[int] = field(factory=list[int])
    guests: list[str] = field(factory=list[str])
    groups: list[str] = field(factory=list[str])
    captures: list[Field] = field(factory=list[Field])
    max_assignable: int = 0
    assign_run_starter: bool = True
    everyone_must_complete: bool = False
    can_complete_only_assignees: bool = False
    prevent_guest_comment: bool = False
    created_at: int
    updated_at: int


@define(kw_only=True)
class Checklist:
    """A template."""

    id: str
    increment_id: int
    alias: str
    title: str
    summary: str
    type: str
    status: str | None
    icon: str
    owner_id: int
    starred: bool
    pinned: bool
    can_add_oot: bool
    steps: list[Step]
    prerun: list[Field]
    users: list[int]
    groups: list[str]
    tags: list[str]
    started_processes: int = 0
    created_at: int
    updated_at: int
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
