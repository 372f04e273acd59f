"""Automations as they are written: what a rule may say (templates.md section 8)."""

from typing import Any

from attrs import evolve

from . import checks
from .desk import Desk, refused
from .problems import Invalid, resource_not_found
from .records import Action, Checklist, Condition, JsonObject, Rule, is_list, is_object, whole

MAX_ALIAS = 300
STEP_OPERATIONS = ("completed", "reopened", "approved", "rejected", "acknowledged", "expired", "not_assigned")
FIELD_OPERATIONS = (
    "contains",
    "not_contains",
    "equals",
    "not_equals",
    "equals_any",
    "greater_than",
    "less_than",
    "is_empty",
    "is_not_empty",
)
VERBS = {
    "visibility": ("show", "hide"),
    "deadline": ("deadline",),
    "status": ("reopen",),
    "assignment": ("assign", "assign_only", "clear_assignees", "unassign"),
    "webhook": ("emit_webhook",),
}
_TYPES = ("Step", "Capture", "Prerun")
_OPERATIONS = {"Step": STEP_OPERATIONS, "Capture": FIELD_OPERATIONS, "Prerun": FIELD_OPERATIONS}
_NEEDS = {
    "approved": ("approval",),
    "rejected": ("approval",),
    "acknowledged": ("expiring", "expiring_email"),
    "expired": ("expiring", "expiring_email"),
}
_UNITS = ("minutes", "hours", "days", "weeks", "months")
_OPTIONS = ("before", "from")


def create(desk: Desk, body: JsonObject) -> Rule:
    """Add a rule at the end."""
    now = desk.world.now()
    rule = evolve(_read(desk.checklist, body), id=desk.world.new_id(), created_at=now, updated_at=now)
    desk.checklist.rules.append(rule)
    desk.touch("updated", f"the rule {rule.alias} was added")
    return rule


def find(checklist: Checklist, rule_id: str) -> Rule:
    """Find a rule of a template or raise a 404."""
    for rule in checklist.rules:
        if rule.id == rule_id:
            return rule
    raise resource_not_found()


def update(desk: Desk, rule: Rule, body: JsonObject) -> Rule:
    """Replace name, conditions and actions of a rule. Runs keep the rules that they were launched with."""
    fresh = _read(desk.checklist, body)
    fresh = evolve(fresh, id=rule.id, created_at=rule.created_at, updated_at=desk.world.now())
    desk.checklist.rules[desk.checklist.rules.index(rule)] = fresh
    desk.touch("updated", f"the rule {fresh.alias} was edited")
    return fresh


def delete(desk: Desk, rule: Rule) -> None:
    """Remove a rule."""
    desk.checklist.rules.remove(rule)
    desk.touch("updated", f"the rule {rule.alias} was deleted")


def guard_kickoff(checklist: Checklist, field_id: str) -> None:
    """Refuse to drop a kick-off field that a rule uses."""
    for rule in checklist.rules:
        if field_id in {c.subject_id for c in rule.conditions} | {a.source_id for a in rule.actions}:
            raise refused("Cannot delete a form field that is being used in a rule in other steps.")


def _read(checklist: Checklist, body: JsonObject) -> Rule:
    """Read a whole rule; raise Invalid with every error at once."""
    checks.demand(body, "automated_alias")
    alias: str = checks.read(body, {"automated_alias": checks.text(MAX_ALIAS, empty=False)})["automated_alias"]
    errors: JsonObject = {}
    conditions = [
        _condition(checklist, row, f"conditions.{n}", n, errors) for n, row in _rows(body, "conditions", errors)
    ]
    actions = [
        _action(checklist, row, f"then_actions.{n}", n, errors) for n, row in _rows(body, "then_actions", errors)
    ]
    if not errors:
        errors = _clashes(conditions, actions)
    if errors:
        raise Invalid(errors)
    return Rule(id="", alias=alias, conditions=tuple(conditions), actions=tuple(actions), created_at=0, updated_at=0)


def _rows(body: JsonObject, name: str, errors: JsonObject) -> list[tuple[int, JsonObject]]:
    rows = body.get(name)
    if not rows:
        errors[name] = [f"The {name.replace('_', ' ')} field is required."]
        return []
    if not is_list(rows) or any(not is_object(row) for row in rows):
        errors[name] = [f"The {name.replace('_', ' ')} must be an array."]
        return []
    return list(enumerate(rows))


def _condition(checklist: Checklist, row: JsonObject, name: str, place: int, errors: JsonObject) -> Condition:
    kind, operation = row.get("conditionable_type"), row.get("operation")
    allowed = _OPERATIONS[kind] if kind in _TYPES else STEP_OPERATIONS + FIELD_OPERATIONS
    if kind not in _TYPES:
        errors[f"{name}.conditionable_type"] = [f"The selected {name}.conditionable_type is invalid."]
    elif str(row.get("conditionable_id")) not in _subjects(checklist)[kind]:
        errors[f"{name}.conditionable_id"] = [f"The selected {name}.conditionable_id is invalid."]
    if operation not in allowed or not _fits(checklist, row):
        errors[f"{name}.operation"] = [f"The selected {name}.operation is invalid."]
    if "statement" not in row:
        errors[f"{name}.statement"] = [f"The {name}.statement field must be present."]
    logic, column = row.get("logic"), row.get("column_contains_name")
    if logic not in (None, "and", "or"):
        errors[f"{name}.logic"] = [f"The selected {name}.logic is invalid."]
    if not isinstance(column, (str, type(None))):
        errors[f"{name}.column_contains_name"] = [f"The {name}.column_contains_name must be a string."]
    return Condition(
        id=str(place + 1),
        subject_type=str(kind),
        subject_id=str(row.get("conditionable_id")),
        operation=str(operation),
        statement=row.get("statement"),
        logic=str(logic or "and"),
        position=whole(row.get("position")) or place + 1,
        column=column,
    )


def _subjects(checklist: Checklist) -> dict[str, dict[Any, str]]:
    """Return the ids that a rule may name by type; of steps and fields with their own types."""
    return {
        "Step": {step.id: step.step_type for step in checklist.steps},
        "Capture": {field.id: field.field_type for step in checklist.steps for field in step.captures},
        "Prerun": {field.id: field.field_type for field in checklist.prerun},
    }


def _fits(checklist: Checklist, row: JsonObject) -> bool:
    """Tell whether a verdict is asked of a step that can give it."""
    needed = _NEEDS.get(str(row.get("operation")))
    kind = _subjects(checklist)["Step"].get(str(row.get("conditionable_id")))
    return needed is None or kind is None or kind in needed


def _action(checklist: Checklist, row: JsonObject, name: str, place: int, errors: JsonObject) -> Action:
    kind, verb, source = row.get("action_type"), row.get("action_verb"), row.get("actionable_type")
    if not isinstance(kind, str) or kind not in VERBS:
        errors[f"{name}.action_type"] = [f"The selected {name}.action_type is invalid."]
        kind = ""
    elif verb not in VERBS[kind]:
        errors[f"{name}.action_verb"] = [f"The action verb only accepts {_either(VERBS[kind])}."]
    subjects = _subjects(checklist)
    if not isinstance(row.get("target_step_id"), str) or row["target_step_id"] not in subjects["Step"]:
        errors[f"{name}.target_step_id"] = [f"The selected {name}.target_step_id is invalid."]
    if row.get("actionable_id") is not None and not _source(subjects, row):
        errors[f"{name}.actionable_id"] = [f"The selected {name}.actionable_id is invalid."]
    people = _assignees(row.get("assignees"))
    if kind in _DEMANDS:
        errors |= _DEMANDS[kind](row, name, people)
    return Action(
        id=str(place + 1),
        type=kind,
        verb=str(verb),
        target=str(row.get("target_step_id")),
        position=whole(row.get("position")) or place + 1,
        source_type=source if row.get("actionable_id") is not None else None,
        source_id=row.get("actionable_id"),
        deadline=_deadline(row["deadline"]) if kind == "deadline" and is_object(row.get("deadline")) else None,
        assignees=people if kind == "assignment" and people else None,
        webhook_url=row.get("webhook_url") if kind == "webhook" else None,
        webhook_name=row.get("alias_name") if kind == "webhook" else None,
    )


def _either(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return " or ".join(part for part in (", ".join(quoted[:-1]), quoted[-1]) if part)


def _source(subjects: dict[str, dict[Any, str]], row: JsonObject) -> bool:
    """Tell whether the field or step that an action reads is there and has the type that the action needs."""
    kind, ident = row.get("actionable_type"), row["actionable_id"]
    if kind not in _TYPES or not isinstance(ident, str) or ident not in subjects[kind]:
        return False
    found = subjects[kind][ident]
    wanted = {"assignment": ("assignees_form",), "deadline": ("date",)}.get(str(row.get("action_type")))
    return wanted is None or found in wanted or (kind == "Step" and wanted == ("date",))


def _assignees(value: object) -> JsonObject:
    """Read people: `assignees` is another name of `users`, users that are no numbers are filtered out."""
    if not is_object(value):
        return {}
    users = [whole(user) for user in _list(value.get("users") or value.get("assignees"))]
    people: JsonObject = {
        "users": [user for user in users if user is not None],
        "guests": [guest for guest in _list(value.get("guests")) if isinstance(guest, str) and "@" in guest],
        "groups": [group for group in _list(value.get("groups")) if isinstance(group, str)],
    }
    return people if any(people.values()) else {}


def _list(value: object) -> list[Any]:
    return value if is_list(value) else []


def _demand_people(row: JsonObject, name: str, people: JsonObject) -> JsonObject:
    if people or row.get("actionable_id") is not None or row.get("action_verb") == "clear_assignees":
        return {}
    return {f"{name}.assignees": ["Please fill a list of assignees for the assignment action."]}


def _demand_deadline(row: JsonObject, name: str, _: JsonObject) -> JsonObject:
    deadline = row.get("deadline")
    if not is_object(deadline):
        return {f"{name}.deadline": [f"The {name}.deadline field is required."]}
    valid = {
        "value": whole(deadline.get("value")) is not None,
        "unit": deadline.get("unit") in _UNITS,
        "option": deadline.get("option") in _OPTIONS,
    }
    return {f"{name}.deadline.{key}": [f"The {name}.deadline.{key} is invalid."] for key, ok in valid.items() if not ok}


def _demand_webhook(row: JsonObject, name: str, _: JsonObject) -> JsonObject:
    try:
        named = checks.url("webhook_url", row.get("webhook_url")) and isinstance(row.get("alias_name"), str)
    except checks.Wrong as wrong:
        return {f"{name}.webhook_url": [str(wrong)]}
    return {} if named else {f"{name}.webhook_url": ["Please provide a webhook URL for the webhook action."]}


_DEMANDS = {"assignment": _demand_people, "deadline": _demand_deadline, "webhook": _demand_webhook}


def _deadline(deadline: JsonObject) -> JsonObject:
    return {"value": whole(deadline.get("value")), "unit": deadline.get("unit"), "option": deadline.get("option")}


def _clashes(conditions: list[Condition], actions: list[Action]) -> JsonObject:
    """Find actions that one rule may not hold together, or may not do to the step that triggers it."""
    triggers = {condition.subject_id for condition in conditions if condition.subject_type == "Step"}
    seen: set[tuple[str, str]] = set()
    errors: JsonObject = {}
    for number, action in enumerate(actions):
        name, pair = f"then_actions.{number}.target_step_id", (action.type, action.target)
        if action.type in {"visibility", "deadline"} and pair in seen:
            errors[name] = [f"A rule may have one {action.type} action per step."]
        if action.type == "status" and action.target in triggers:
            errors[name] = ["A rule cannot reopen the step that triggers it."]
        seen.add(pair)
    return errors
