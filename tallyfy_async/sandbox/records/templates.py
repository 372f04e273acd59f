"""Templates with their steps and fields."""

from typing import Any

from attrs import define, field

from .base import JsonObject


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
