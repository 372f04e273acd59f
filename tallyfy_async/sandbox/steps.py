"""Steps of templates and their form fields (templates.md sections 5 and 6)."""

from typing import Any

from attrs import evolve

from . import checks, fields, owners
from .deadlines import UNITS
from .desk import Desk, refused
from .problems import Invalid, invalid, resource_not_found
from .records import Checklist, Field, JsonObject, Rule, Step, is_object, whole
from .world import Tenant, World

MAX_TITLE = 600
IN_USE = "Cannot delete a form field that is being used in a rule in other steps."
STEP_TYPES = ("task", "approval", "expiring", "email", "expiring_email")
_BUCKETS = {"users": "assignees", "guests": "guests", "groups": "groups"}
_UNIT_WORDS = tuple(word + end for word in UNITS for end in ("", "s"))


def find_capture(step: Step, capture_id: object) -> Field:
    """Find a form field of a step or raise a 404."""
    for field in step.captures:
        if field.id == capture_id:
            return field
    raise resource_not_found()


def _deadline(name: str, value: Any) -> JsonObject:
    """Take the four keys of a deadline. Only their presence is checked: wrong words are stored and never act."""
    found = _span(name, value, ("value", "unit", "option", "step"))
    if found and (not isinstance(found["option"], str) or not isinstance(found["step"], (str, type(None)))):
        raise checks.Wrong(f"The {name} must be made of words.")
    return found


def _start_date(name: str, value: Any) -> JsonObject:
    found = _span(name, value, ("value", "unit"))
    if found and found["unit"] not in _UNIT_WORDS:
        raise checks.Wrong(f"The selected {name}.unit is invalid.")
    return found


def _span(name: str, value: Any, keys: tuple[str, ...]) -> JsonObject:
    if value is None or value == []:
        return {}
    if not is_object(value):
        raise checks.Wrong(f"The {name} must be an array.")
    absent = [key for key in keys if key not in value]
    if absent:
        raise checks.Wrong(f"The {name}.{absent[0]} field is required.")
    amount = whole(value["value"])
    if amount is None:
        raise checks.Wrong(f"The {name}.value must be an integer.")
    if not isinstance(value["unit"], str):
        raise checks.Wrong(f"The {name}.unit must be a string.")
    return {key: value[key] for key in keys} | {"value": amount}


_KNOWN: dict[str, checks.Check] = {
    "title": checks.text(MAX_TITLE, empty=False),
    "summary": checks.text(),
    "step_type": checks.one_of(STEP_TYPES),
    "max_assignable": checks.number(1, empty=0),
    "webhook": checks.url,
    "allow_guest_owners": checks.flag,
    "skip_start_process": checks.flag,
    "can_complete_only_assignees": checks.flag,
    "everyone_must_complete": checks.flag,
    "prevent_guest_comment": checks.flag,
    "is_soft_start_date": checks.flag,
    "role_changes_every_time": checks.flag,
    "assign_run_starter": checks.flag,
    "top_secret": checks.flag,
    "send_chromeless": checks.flag,
    "tags": checks.texts,
    "deadline": _deadline,
    "start_date": _start_date,
}


def _read(tenant: Tenant, body: JsonObject) -> JsonObject:
    """Read a body: the title is needed each time, and the three owner buckets are one set."""
    checks.demand(body, "title")
    found = checks.read(body, _KNOWN)
    if "tags" in found:
        found["tags"] = [tag for tag in found["tags"] if tag in tenant.tags]
    own = _owners(tenant, body)
    return found | {"users": own.users, "guests": own.guests, "groups": own.groups}


def _owners(tenant: Tenant, body: JsonObject) -> owners.Owners:
    try:
        return owners.read(tenant, {bucket: body.get(key) for bucket, key in _BUCKETS.items()}, "step")
    except Invalid as failure:
        raise Invalid({_key(name): messages for name, messages in failure.errors.items()}) from None


def _key(name: str) -> str:
    """Spell `step.users.0` as the request does: `assignees.0`."""
    bucket, _, rest = name.removeprefix("step.").partition(".")
    return ".".join(part for part in (_BUCKETS.get(bucket, bucket), rest) if part)


def create(desk: Desk, body: JsonObject) -> Step:
    """Append a step. A position in the body is dropped, and so are alias, roles and every unknown key."""
    found = _read(desk.tenant, body)
    now, place = desk.world.now(), len(desk.checklist.steps) + 1
    empty: JsonObject = {}
    values: JsonObject = {"summary": None, "step_type": "task", "deadline": empty, "start_date": empty} | found
    step = Step(
        **values,
        id=desk.world.new_id(),
        checklist_id=desk.checklist.id,
        alias=_alias(desk.world, found["title"]),
        position=place,
        created_at=now,
        updated_at=now,
    )
    desk.checklist.steps.append(step)
    desk.touch("created", f"{step.title} was added", step)
    return step


def _alias(world: World, title: str) -> str:
    return f"{fields.slug(title).replace('-', '_')}_{world.rng.randrange(10**6, 10**7)}"


def update(desk: Desk, step: Step, body: JsonObject) -> None:
    """Change a step. Plain keys that are absent stay; an absent bucket of owners is emptied, without a word.

    The echo of a whole read step is refused.
    """
    if {"id", "created_at", "captures"} <= body.keys():
        raise Invalid({name: [f"The {name} field is prohibited."] for name in ("id", "captures")})
    for name, value in _read(desk.tenant, body).items():
        setattr(step, name, value)
    _edited(desk, step, f"{step.title} was edited")


def _edited(desk: Desk, step: Step, text: str) -> None:
    step.updated_at = desk.world.now()
    desk.touch("updated", text, step)


def delete(desk: Desk, step: Step) -> None:
    """Delete a step for good, unless a rule or another step's deadline hangs on it."""
    checklist = desk.checklist
    if any(step.id in _named(rule, checklist) for rule in checklist.rules):
        raise refused("Cannot delete this step because there are rules dependent on it.")
    others = [other for other in checklist.steps if other is not step]
    if any(other.deadline.get("step") == step.id for other in others):
        raise refused("Cannot delete this step because other steps have deadlines that depend on it.")
    _order(desk, others)
    desk.touch("deleted", f"{step.title} was deleted", step)


def _named(rule: Rule, checklist: Checklist) -> set[str | None]:
    """Return the ids of the steps that a rule names, itself or by one of their fields."""
    ids = {c.subject_id for c in rule.conditions} | {i for a in rule.actions for i in (a.target, a.source_id)}
    return ids | {step.id for step in checklist.steps for field in step.captures if field.id in ids}


def _order(desk: Desk, steps: list[Step]) -> None:
    desk.checklist.steps = steps
    for place, step in enumerate(steps, 1):
        step.position = place


def reorder(desk: Desk, step: Step, body: JsonObject) -> None:
    """Move a step to a 1-based place; the others shift."""
    place = _place(body, checks.number(1))
    others = [other for other in desk.checklist.steps if other is not step]
    _order(desk, [*others[: place - 1], step, *others[place - 1 :]])
    desk.touch("re-ordered", f"{step.title} was moved to position {step.position}", step)


def _place(body: JsonObject, check: checks.Check = fields.position) -> int:
    checks.demand(body, "position")
    place: int = checks.read(body, {"position": check})["position"]
    return place


def clone(desk: Desk, step: Step) -> Step:
    """Put a copy with its fields and assignees behind a step. No rule knows the copy."""
    steps = desk.checklist.steps
    copy = copied(desk.world, desk.checklist.id, step, {})
    place = steps.index(step) + 1
    _order(desk, [*steps[:place], copy, *steps[place:]])
    desk.touch("created", f"{step.title} was duplicated", copy)
    return copy


def copied(world: World, checklist_id: str, step: Step, ids: dict[str, str]) -> Step:
    """Copy a step with fresh ids and aliases; note what became of the ids in `ids`."""
    now = world.now()
    copy = evolve(
        step,
        id=world.new_id(),
        checklist_id=checklist_id,
        alias=_alias(world, step.title),
        users=list(step.users),
        guests=list(step.guests),
        groups=list(step.groups),
        tags=list(step.tags),
        captures=[fields.copied(world, field, ids) for field in step.captures],
        created_at=now,
        updated_at=now,
    )
    ids[step.id] = copy.id
    return copy


def create_capture(desk: Desk, step: Step, body: JsonObject) -> Field:
    """Add a form field at its position, or at the end."""
    definition = fields.read(body)
    field = fields.make(desk.world, definition, len(step.captures) + 1)
    return _put(desk, step, field, definition.get("position"))


def _put(desk: Desk, step: Step, field: Field, place: int | None) -> Field:
    """Place a field in a step. The list is a new one: running tasks keep the form that they were launched with."""
    step.captures = fields.placed(step.captures, field, place)
    _edited(desk, step, f"the form field {field.label} was saved")
    return find_capture(step, field.id)


def update_capture(desk: Desk, step: Step, field: Field, body: JsonObject, *, frozen: bool) -> Field:
    """Replace a definition: the whole one is needed, options replace the list; id and alias stay.

    `frozen` is the setting that refuses another type.
    """
    definition = fields.read(body)
    if frozen and definition["field_type"] != field.field_type:
        raise invalid("field_type", "The field type cannot be changed.")
    place = definition.pop("position", field.position)
    return _put(desk, step, fields.changed(desk.world, field, definition), place)


def reorder_capture(desk: Desk, step: Step, body: JsonObject) -> None:
    """Move one form field inside its step."""
    checks.demand(body, "capture_id", "position")
    _put(desk, step, find_capture(step, body["capture_id"]), _place(body))


def move_capture(desk: Desk, step: Step, field: Field, body: JsonObject) -> tuple[Step, Field]:
    """Move a form field to another step of the template; return where it is now."""
    checks.demand(body, "target_step_id", "position")
    target = next((other for other in desk.checklist.steps if other.id == body["target_step_id"]), None)
    if target is None:
        raise invalid("target_step_id", "The selected target step id is invalid.")
    place = _place(body)
    step.captures = fields.without(step.captures, field)
    _edited(desk, step, f"the form field {field.label} was moved to {target.title}")
    return target, _put(desk, target, field, place)


def delete_capture(desk: Desk, step: Step, field: Field) -> None:
    """Delete a form field with every collected answer, unless a rule of another step uses it."""
    if any(_used_elsewhere(rule, field, step) for rule in desk.checklist.rules):
        raise refused(IN_USE)
    step.captures = fields.without(step.captures, field)
    for task in desk.tenant.tasks.values():
        if task.step_id == step.id and any(mine.id == field.id for mine in task.captures):
            task.captures = fields.without(task.captures, field)
            task.taskdata.pop(field.id, None)
    _edited(desk, step, f"the form field {field.label} was deleted")


def _used_elsewhere(rule: Rule, field: Field, step: Step) -> bool:
    asked = any(condition.subject_id == field.id for condition in rule.conditions)
    return any(action.target != step.id and (asked or action.source_id == field.id) for action in rule.actions)
