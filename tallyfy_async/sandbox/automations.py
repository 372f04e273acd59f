"""Automations at work: the rules of a run are evaluated on launch, completion, reopening and every answer.

Source: templates.md section 8. Visibility follows from the state of the run each time: a step that some rule shows is
hidden until one of those rules holds, any other step is visible until a rule hides it; of several rules the last one
wins, and completed tasks stay as they are. Every other action happens once, when its rule begins to hold.
"""

from collections.abc import Iterable
from typing import TypeVar

from . import answers, dates, deadlines
from .records import Action, Condition, JsonObject, Rule, Run, Task, is_object
from .world import Tenant, World

Person = TypeVar("Person", int, str)
_DAY = 24 * 3600
_DIRECTIONS = {"from": 1, "before": -1}
_ROUNDS = 25
"""Rules may wake each other; after this many rounds the run stays as it is."""


def apply(world: World, tenant: Tenant, run: Run, *, launching: bool = False) -> list[Task]:
    """Bring the tasks of a run in line with its rules. Return those that changed, by position.

    The caller settles the state of the run afterwards; one that launches it tells who was assigned.
    """
    if not run.rules:
        return []
    tasks = tenant.tasks_of(run)
    before = {task.id: _state(task) for task in tasks}
    assigned = {task.id: people(task) for task in tasks}
    for _ in range(_ROUNDS):
        state = [_state(task) for task in tasks], list(run.fired)
        _round(tenant, run, tasks, world.now())
        if state == ([_state(task) for task in tasks], run.fired):
            break
    changed = [task for task in tasks if _state(task) != before[task.id]]
    for task in changed:
        task.updated_at = world.now()
        if not launching and people(task) - assigned[task.id]:
            tenant.happened("task.assigned", task)
    return changed


def people(task: Task) -> set[int | str]:
    """Return who works on a task: members, guests and groups."""
    return {*task.users, *task.guests, *task.groups}


def _state(task: Task) -> tuple[object, ...]:
    return (task.status, task.deadline, tuple(task.users), tuple(task.guests), tuple(task.groups))


def _round(tenant: Tenant, run: Run, tasks: list[Task], now: int) -> None:
    holding = [rule for rule in run.rules if _holds(tenant, run, rule, now)]
    begun = [rule for rule in holding if rule.id not in run.fired]
    run.fired = [rule.id for rule in holding]
    _show_and_hide(run.rules, holding, tasks)
    by_step = {task.step_id: task for task in tasks}
    for rule in begun:
        for action in rule.actions:
            task = by_step.get(action.target)
            if task is not None and action.type in _ACTS:
                _ACTS[action.type](tenant, run, action, task, now)


def _show_and_hide(rules: Iterable[Rule], holding: Iterable[Rule], tasks: Iterable[Task]) -> None:
    hidden = {a.target for rule in rules for a in rule.actions if a.verb == "show"}
    for action in (a for rule in holding for a in rule.actions if a.type == "visibility"):
        (hidden.discard if action.verb == "show" else hidden.add)(action.target)
    for task in tasks:
        if task.is_open and task.step_id in hidden:
            task.status = "auto-skipped"
        elif task.status == "auto-skipped" and task.step_id not in hidden and _ruled(rules, task):
            task.status = "not-started"


def _ruled(rules: Iterable[Rule], task: Task) -> bool:
    """Tell whether rules decide on a task: one that something else hid is left alone."""
    return any(a.type == "visibility" and a.target == task.step_id for rule in rules for a in rule.actions)


def _holds(tenant: Tenant, run: Run, rule: Rule, now: int) -> bool:
    """Join the conditions from left to right, without precedence."""
    first, *rest = (_is_true(tenant, run, condition, now) for condition in rule.conditions)
    for condition, true in zip(rule.conditions[1:], rest, strict=True):
        first = first or true if condition.logic == "or" else first and true
    return first


def _is_true(tenant: Tenant, run: Run, condition: Condition, now: int) -> bool:
    if condition.subject_type == "Step":
        task = next((t for t in tenant.tasks_of(run) if t.step_id == condition.subject_id), None)
        return task is not None and _step_is(task, condition.operation) and _in_time(task, condition.statement, now)
    return answers.compare(condition, *answers.find(tenant, run, condition.subject_type, condition.subject_id))


def _step_is(task: Task, operation: str) -> bool:
    """Tell whether a task is what the condition says; verdicts count only on tasks of their type."""
    done, expiring = task.status == "completed", task.task_type in {"expiring", "expiring_email"}
    verdicts = {
        "completed": done,
        "reopened": task.reopened and not done,
        "approved": done and task.task_type == "approval" and task.is_approved is True,
        "rejected": done and task.task_type == "approval" and task.is_approved is False,
        "acknowledged": done and expiring and task.is_approved is True,
        "expired": done and expiring and task.is_approved is False,
        "not_assigned": not done and not (task.users or task.guests or task.groups),
    }
    return verdicts.get(operation, False)


def _in_time(task: Task, clause: object, now: int) -> bool:
    """Read the time clause of a step condition; null and unknown words are never true."""
    moment = now if task.completed_at is None else task.completed_at
    late = None if task.deadline is None else moment - task.deadline
    clauses = {
        "any_time": True,
        "on-time": late is None or late <= 0,
        "early_24": late is not None and late <= -_DAY,
        "late_24": late is not None and late >= _DAY,
    }
    return isinstance(clause, str) and clauses.get(clause, False)


def _assign(tenant: Tenant, run: Run, action: Action, task: Task, now: int) -> None:
    """Change who works on a task; completed ones keep their people."""
    del now
    if task.status == "completed":
        return
    named = _named(tenant, run, action)
    users = [user for user in named.get("users", ()) if user in tenant.members]
    guests = [guest for guest in named.get("guests", ()) if isinstance(guest, str)]
    groups = [group for group in named.get("groups", ()) if group in tenant.groups]
    task.users = _merge(action.verb, task.users, users)
    task.guests = _merge(action.verb, task.guests, guests)
    task.groups = _merge(action.verb, task.groups, groups)


def _merge(verb: str, old: list[Person], named: list[Person]) -> list[Person]:
    if verb == "unassign":
        return [one for one in old if one not in named]
    both = old + named if verb == "assign" else named
    return list(dict.fromkeys(both))


def _named(tenant: Tenant, run: Run, action: Action) -> JsonObject:
    """Return who is meant: the pick of a form field, or the listed people where nobody was picked."""
    if action.verb == "clear_assignees":
        return {}
    listed: JsonObject = action.assignees or {}
    if action.source_type not in {"Capture", "Prerun"}:
        return listed
    _, picked = answers.find(tenant, run, action.source_type, action.source_id)
    return picked if is_object(picked) and any(picked.values()) else listed


def _set_deadline(tenant: Tenant, run: Run, action: Action, task: Task, now: int) -> None:
    """Count from the moment, from a date that was filled in, or from the end of another step's task."""
    seconds = deadlines.span(action.deadline or {}, _DIRECTIONS)
    base = _base(tenant, run, action, now)
    if seconds is not None and base is not None and task.status != "completed":
        task.deadline = deadlines.moved(base, seconds)


def _base(tenant: Tenant, run: Run, action: Action, now: int) -> int | None:
    if action.source_type in {"Capture", "Prerun"}:
        return dates.read(answers.find(tenant, run, action.source_type, action.source_id)[1])
    if action.source_type == "Step":
        task = next((t for t in tenant.tasks_of(run) if t.step_id == action.source_id), None)
        return None if task is None else task.completed_at or task.deadline
    return now


def _reopen(tenant: Tenant, run: Run, action: Action, task: Task, now: int) -> None:
    """Reopen a completed task; others are left alone."""
    del tenant, run, action, now
    if task.status == "completed":
        reopen(task)


def reopen(task: Task) -> None:
    """Take a completion back."""
    task.status, task.reopened = "in-progress", True
    task.completed_at = task.completer_id = task.is_approved = None
    task.completed_by = []


def _emit(tenant: Tenant, run: Run, action: Action, task: Task, now: int) -> None:
    """Tell a URL of the task of the step that the action names."""
    del run, now
    if action.webhook_url:
        tenant.happened("rule.emitted", task, url=action.webhook_url)


_ACTS = {"assignment": _assign, "deadline": _set_deadline, "status": _reopen, "webhook": _emit}
