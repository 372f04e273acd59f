"""Rules of a template: when conditions hold, actions follow."""

from datetime import datetime
from typing import Any

from attrs import frozen

from tallyfy_async.models.base import Model
from tallyfy_async.protocol.converter import Id, MemberId


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
