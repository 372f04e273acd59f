"""Definitions of form fields: captures of steps and kick-off fields of templates (templates.md section 6)."""

import re
from typing import Any

from attrs import evolve

from . import checks
from .problems import Invalid
from .records import Field, JsonObject, is_list, is_object
from .world import World

TYPES = (
    "text",
    "textarea",
    "radio",
    "dropdown",
    "multiselect",
    "date",
    "email",
    "file",
    "table",
    "assignees_form",
)
CHOICES = ("radio", "dropdown", "multiselect")
_MAX_POSITION = 9999
_DEMANDED = ("field_type", "label", "required")


def position(name: str, value: Any) -> int:
    """Check a 1-based place."""
    found: int = checks.number(1, _MAX_POSITION)(name, value)
    return found


def _anything(_: str, value: Any) -> Any:
    return value


def _settings(name: str, value: Any) -> JsonObject:
    """Take an object; null and [] are an empty one."""
    if value is None or value == []:
        return {}
    if not is_object(value):
        raise checks.Wrong(f"The {name} must be an array.")
    return value


def _list(name: str, value: Any) -> Any:
    """Take a reference to an organization list, whatever its shape."""
    if isinstance(value, (bool, float)):
        raise checks.Wrong(f"The {name} is invalid.")
    return value


_KNOWN: dict[str, checks.Check] = {
    "field_type": checks.one_of(TYPES),
    "label": checks.text(empty=False),
    "required": checks.flag,
    "guidance": checks.text(),
    "position": position,
    "default_value_enabled": checks.flag,
    "default_value": _anything,
    "collect_time": checks.flag,
    "use_wysiwyg_editor": checks.flag,
    "field_validation": checks.texts,
    "prefix": checks.text(),
    "suffix": checks.text(),
    "settings": _settings,
    "list": _list,
}


def read(body: JsonObject, prefix: str = "", *, options: bool = True) -> JsonObject:
    """Read a whole definition. Keys that the API does not know are dropped; raise Invalid with every error.

    `options=False` lets a choice have none, as the rule does not act on fields of a new one-off task.
    """
    errors: JsonObject = {}
    found: JsonObject = {}
    for part in (_absent, _plain, _options if options or body.get("options") else _no_options, _columns):
        try:
            found |= part(body, prefix)
        except Invalid as invalid:
            errors = invalid.errors | errors
    if errors:
        raise Invalid(errors)
    return found


def _absent(body: JsonObject, prefix: str) -> JsonObject:
    checks.demand(body, *_DEMANDED, prefix=prefix)
    return {}


def _plain(body: JsonObject, prefix: str) -> JsonObject:
    found = checks.read(body, _KNOWN, prefix)
    if "list" in found:
        found["source_list"] = found.pop("list")
    return found


def _options(body: JsonObject, prefix: str) -> JsonObject:
    """Read the options of a choice; other types have none. A list that feeds the choices stands in for them."""
    kind = body.get("field_type")
    if kind not in CHOICES:
        return {"options": []}
    rows = body.get("options")
    if not rows and body.get("list"):
        return {"options": []}
    found = _rows(rows, f"{prefix}options", "text")
    if kind == "radio" and len(found) < len(("yes", "no")):
        raise Invalid({f"{prefix}options": [f"The {prefix}options must have at least 2 items."]})
    return {"options": [{"value": None} | row for row in found]}


def _no_options(_body: JsonObject, _prefix: str) -> JsonObject:
    return {"options": []}


def _columns(body: JsonObject, prefix: str) -> JsonObject:
    if body.get("field_type") != "table":
        return {"columns": []}
    return {"columns": _rows(body.get("columns"), f"{prefix}columns", "label")}


def _rows(rows: object, name: str, word: str) -> list[JsonObject]:
    """Read options (`text`) or columns (`label`): each needs an integer id, a decimal text is none."""
    if not rows:
        raise Invalid({name: [f"The {name} field is required."]})
    if not is_list(rows):
        raise Invalid({name: [f"The {name} must be an array."]})
    errors: JsonObject = {}
    for place, row in enumerate(rows):
        errors |= _row_errors(row, f"{name}.{place}", word)
    if errors:
        raise Invalid(errors)
    return [{key: value for key, value in row.items() if key in _KEPT} for row in rows]


_KEPT = ("id", "text", "label", "value", "description", "required")


def _row_errors(row: object, name: str, word: str) -> JsonObject:
    if not is_object(row):
        return {name: [f"The {name} must be an array."]}
    errors: JsonObject = {}
    if row.get("id") is None:
        errors[f"{name}.id"] = [f"The {name}.id field is required."]
    elif not isinstance(row["id"], int) or isinstance(row["id"], bool):
        errors[f"{name}.id"] = [f"The {name}.id must be an integer."]
    if row.get(word) in (None, ""):
        errors[f"{name}.{word}"] = [f"The {name}.{word} field is required."]
    elif not isinstance(row[word], str):
        errors[f"{name}.{word}"] = [f"The {name}.{word} must be a string."]
    for key in {"text", "label", "description"} & row.keys() - {word}:
        if row[key] is not None and not isinstance(row[key], str):
            errors[f"{name}.{key}"] = [f"The {name}.{key} must be a string."]
    if not isinstance(row.get("value"), (str, dict, type(None))):
        errors[f"{name}.value"] = [f"The {name}.value must be a string."]
    return errors


def make(world: World, definition: JsonObject, place: int) -> Field:
    """Make a field. Its alias is minted from this first label and never changes."""
    values: JsonObject = {"position": place} | definition
    now, alias = world.now(), _alias(world, definition["label"])
    return Field(**values, id=world.new_id(), alias=alias, created_at=now, updated_at=now)


def _alias(world: World, label: str) -> str:
    return f"{slug(label)}-{world.rng.randrange(10**6, 10**7)}"


def copied(world: World, field: Field, ids: dict[str, str]) -> Field:
    """Copy a field with a fresh id and alias; note what became of the id in `ids`."""
    now, alias = world.now(), _alias(world, field.label)
    copy = evolve(field, id=world.new_id(), alias=alias, created_at=now, updated_at=now)
    ids[field.id] = copy.id
    return copy


def changed(world: World, field: Field, definition: JsonObject) -> Field:
    """Return the field with another definition; id and alias stay. Runs keep the field that they have."""
    return evolve(field, **definition, updated_at=world.now())


def slug(text: str) -> str:
    """Make an alias out of a title."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "field"


def replaced(world: World, old: list[Field], entries: object) -> list[Field]:
    """Read the `prerun` of a template: the whole kick-off form. Entries with a known id stay what they were.

    The order is that of the positions.
    """
    if not is_list(entries):
        raise Invalid({"prerun": ["The prerun must be an array."]})
    known = {field.id: field for field in old}
    fields = [_entry(world, known, entry, place) for place, entry in enumerate(entries, 1)]
    return sorted(fields, key=lambda field: field.position)


def _entry(world: World, known: dict[str, Field], entry: object, place: int) -> Field:
    prefix = f"prerun.{place - 1}."
    if not is_object(entry):
        raise Invalid({prefix[:-1]: [f"The {prefix[:-1]} must be an array."]})
    definition = read(entry, prefix)
    ident = entry.get("id")
    mine = known.pop(ident, None) if isinstance(ident, str) else None
    if mine is None:
        return make(world, definition, place)
    return changed(world, mine, {"position": place} | definition)


def placed(fields: list[Field], field: Field, place: int | None) -> list[Field]:
    """Return the fields with one of them at a 1-based place, renumbered; None puts a new one last."""
    others = [other for other in fields if other.id != field.id]
    index = len(others) if place is None else min(place - 1, len(others))
    return _numbered([*others[:index], field, *others[index:]])


def without(fields: list[Field], field: Field) -> list[Field]:
    """Return the other fields, renumbered."""
    return _numbered([other for other in fields if other.id != field.id])


def _numbered(fields: list[Field]) -> list[Field]:
    return [field if field.position == n else evolve(field, position=n) for n, field in enumerate(fields, 1)]
