"""Templates with their steps, fields and rules."""

from typing import Any

from attrs import define, field, frozen

from .base import JsonObject


@frozen(kw_only=True)
class Field:
    """A form field: a capture of a step, or a prerun of a checklist. The id is the timeline id.

    Steps and tasks share it: a changed field is another one.
    """

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
    default_value_enabled: bool = False
    default_value: Any = None
    collect_time: bool | None = None
    """None: as the type has it, which is True for dates."""
    use_wysiwyg_editor: bool = False
    field_validation: list[str] = field(factory=list[str])
    prefix: str | None = None
    suffix: str | None = None
    source_list: Any = None
    """Reference to an organization list that feeds the choices."""
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
    webhook: str | None = None
    allow_guest_owners: bool = True
    skip_start_process: bool = False
    is_soft_start_date: bool = False
    role_changes_every_time: bool = False
    top_secret: bool = False
    send_chromeless: bool = False
    tags: list[str] = field(factory=list[str])
    created_at: int
    updated_at: int


@frozen(kw_only=True)
class Condition:
    """What a rule asks of a step, a field of a step (Capture) or a kick-off field (Prerun)."""

    id: str
    subject_type: str
    subject_id: str
    operation: str
    statement: Any
    """What a field is compared with; on steps a time clause."""
    logic: str
    position: int
    column: str | None = None
    """Label of the column of a table that is looked at."""


@frozen(kw_only=True)
class Action:
    """What a rule does to one step."""

    id: str
    type: str
    verb: str
    target: str
    position: int
    source_type: str | None = None
    source_id: str | None = None
    """The field or step that the action reads: a picker for people, a date or a step for deadlines."""
    deadline: JsonObject | None = None
    assignees: JsonObject | None = None
    webhook_url: str | None = None
    webhook_name: str | None = None


@frozen(kw_only=True)
class Rule:
    """An automation of a template. Runs keep the rules that they were launched with."""

    id: str
    alias: str
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]
    created_at: int
    updated_at: int


@define(kw_only=True)
class Checklist:
    """A template."""

    id: str
    increment_id: int
    alias: str
    title: str
    summary: str | None
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
    created_by: int | None = None
    """None: the owner."""
    last_updated_by: int | None = None
    rules: list[Rule] = field(factory=list[Rule])
    folder_id: str | None = None
    guidance: str | None = None
    webhook: str | None = None
    explanation_video: str | None = None
    kickoff_title: str | None = None
    kickoff_description: str | None = None
    public_cover: str | None = None
    default_process_name_format: str | None = None
    default_folder: str | None = None
    is_public: bool = False
    is_public_kickoff: bool = False
    is_featured: bool = False
    is_published_state: bool = False
    auto_naming: bool = False
    dual_version_enabled: bool = False
    folderize_process: bool = False
    tag_process: bool = False
    allow_launcher_change_name: bool = False
    folder_changeable_by_launcher: bool = False
    created_at: int
    updated_at: int
    archived_at: int | None = None
