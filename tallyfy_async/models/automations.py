"""Rules of a template: when conditions hold, actions follow."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Required, TypedDict

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, MemberId


class AutomationDeadlineInput(TypedDict):
    """When a task becomes due."""

    value: int
    unit: str
    """minutes, hours, days, weeks or months: unlike a step's deadline, plural only."""
    option: str
    """before or from: unlike a step's deadline."""


class AutomationAssigneesInput(TypedDict, total=False):
    """The people whom an assignment action is about."""

    users: Iterable[int]
    guests: Iterable[str]
    """E-mail addresses."""
    groups: Iterable[str]


class AutomationConditionInput(TypedDict, total=False):
    """One condition; conditions are evaluated left to right, without precedence."""

    conditionable_id: Required[str]
    """Id of the step, form field or kick-off field."""
    conditionable_type: Required[str]
    """Step, Capture or Prerun."""
    operation: Required[str]
    """Of steps completed, reopened, approved, rejected, acknowledged, expired, not_assigned; of fields contains,
    not_contains, equals, not_equals, equals_any, greater_than, less_than, is_empty, is_not_empty."""
    statement: Any
    """What a field is compared with, a list for equals_any. Of steps any_time (sent unless given), on-time, early_24 or
    late_24."""
    logic: str
    """and, or: how this condition joins the ones before it."""
    column_contains_name: str | None
    position: int


class AutomationActionInput(TypedDict, total=False):
    """One action of a rule."""

    action_type: Required[str]
    """visibility, deadline, assignment, status or webhook."""
    action_verb: Required[str]
    """show, hide; deadline; assign, assign_only, unassign, clear_assignees; reopen; emit_webhook."""
    target_step_id: Required[str]
    position: int
    actionable_id: str | None
    """Field or step that the action reads."""
    actionable_type: str | None
    """Capture, Prerun or Step."""
    deadline: AutomationDeadlineInput | None
    assignees: AutomationAssigneesInput | None
    webhook_url: str | None
    alias_name: str | None
    """Name of the webhook, needed next to its URL."""


class AutomatedActionCreate(TypedDict):
    """A whole rule (contract: AutomatedActionCreate, AutomatedActionUpdate)."""

    automated_alias: str
    """Its name, at most 300 characters."""
    conditions: Iterable[AutomationConditionInput]
    then_actions: Iterable[AutomationActionInput]


class AutomatedActionUpdate(TypedDict, total=False):
    """What an update changes on a rule; the rest is read first and sent again. A list is replaced whole."""

    automated_alias: str
    conditions: Iterable[AutomationConditionInput]
    then_actions: Iterable[AutomationActionInput]


@frozen(kw_only=True, repr=False)
class AutomationDeadline(Model):
    """Say when a task becomes due: ``value`` ``unit`` before or from now."""

    value: int | None = None
    unit: str | None = None
    option: str | None = None


@frozen(kw_only=True, repr=False)
class AutomationAssignees(Model):
    """Name the people whom an assignment action is about."""

    users: tuple[MemberId, ...] | None = None
    guests: tuple[str, ...] | None = None
    groups: tuple[Id, ...] | None = None


@frozen(kw_only=True, repr=False)
class AutomationCondition(Model):
    """Describe one condition; conditions are evaluated left to right (contract: AutomationCondition)."""

    id: Id | None = None
    conditionable_id: Id | None = None
    """id of the step, capture or kick-off field, per conditionable_type."""
    conditionable_type: str | None = None
    operation: str | None = None
    statement: Any = None
    """Comparison value for field operations (a list for equals_any). For step operations a time clause: any_time,
    on-time, early_24, late_24."""
    logic: str | None = None
    """how this condition joins the running result; evaluated strictly left to right."""
    column_contains_name: str | None = None
    """Table fields: label of the column that contains must look at."""
    position: int | None = None


@frozen(kw_only=True, repr=False)
class AutomationAction(Model):
    """Describe one action of a rule (contract: AutomationAction)."""

    id: Id | None = None
    action_type: str | None = None
    action_verb: str | None = None
    target_step_id: Id | None = None
    """Step the action applies to; must exist."""
    position: int | None = None
    actionable_id: Id | None = None
    """Form field the action reads: an assignee picker for assignment, a date field or another step for
    deadline."""
    actionable_type: str | None = None
    """Capture, Prerun or Step."""
    deadline: AutomationDeadline | None = None
    assignees: AutomationAssignees | None = None
    webhook_url: str | None = None
    alias_name: str | None = None
    """Name of the webhook; required next to webhook_url."""


@frozen(kw_only=True, repr=False)
class AutomatedAction(Model):
    """Describe a rule of a template (contract: AutomatedAction)."""

    id: Id
    automated_alias: str | None = None
    conditions: tuple[AutomationCondition, ...] | None = None
    then_actions: tuple[AutomationAction, ...] | None = None
    created_at: datetime | None = None
    last_updated: datetime | None = None
    archived_at: datetime | None = None

    def as_input(self) -> AutomatedActionCreate:
        """Return the whole rule as ``automations.replace`` and ``create`` take it."""
        read = self.to_dict()
        return AutomatedActionCreate(
            automated_alias=read.get("automated_alias", ""),
            conditions=[_known(one, AutomationConditionInput) for one in read.get("conditions", ())],
            then_actions=[_known(one, AutomationActionInput) for one in read.get("then_actions", ())],
        )


def _known(read: dict[str, Any], kind: Any) -> Any:
    """Keep what a write knows. A condition always has a statement, if only null; empty maps are left out."""
    kept = {key: read[key] for key in kind.__annotations__ if key in read and read[key] not in ([], {})}
    for name, inner in (("deadline", AutomationDeadlineInput), ("assignees", AutomationAssigneesInput)):
        if name in kept:
            kept[name] = {key: value for key, value in kept[name].items() if key in inner.__annotations__}
    return {**kept, "statement": read.get("statement")} if kind is AutomationConditionInput else kept
