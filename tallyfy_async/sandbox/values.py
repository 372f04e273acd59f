"""The one validator of form answers: kick-off values, task data (templates.md section 7, processes.md section 5)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import dates
from .records import Field, JsonObject, is_list, is_object, whole
from .world import Tenant, World

MAX_TEXT = 200
MAX_TEXTAREA = 30_000
_PATTERNS = {
    "numeric": re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"),
    "email": re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+"),
    "url": re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#]+\S*", re.IGNORECASE),
    "alpha": re.compile(r"[^\W\d_]+"),
    "alpha_num": re.compile(r"[^\W_]+"),
    "alpha_dash": re.compile(r"[\w-]+"),
}


class Refused(Exception):  # noqa: N818 - it carries a message for a 422
    """A value that its field does not take."""


def is_empty(value: object) -> bool:
    """Tell whether a value clears a field: null, false, 0, "", [] and {}; the text "0" is an answer."""
    return not value


def check(
    world: World, tenant: Tenant, fields: Sequence[Field], answers: Mapping[str, Any]
) -> tuple[JsonObject, set[str], JsonObject]:
    """Check answers against field definitions.

    Return what to store, the ids that an empty value clears, and errors by field id. Keys that are no field id (an
    alias, a label) are dropped in silence.
    """
    kept: JsonObject = {}
    cleared: set[str] = set()
    errors: JsonObject = {}
    for field in fields:
        if field.id not in answers:
            continue
        value = answers[field.id]
        if is_empty(value) and field.field_type != "table":
            cleared.add(field.id)
            continue
        try:
            kept[field.id] = _CHECKS[field.field_type](world, tenant, field, value)
        except Refused as refused:
            errors[field.id] = [str(refused)]
    return kept, cleared, errors


def missing(fields: Sequence[Field], answers: Mapping[str, Any]) -> JsonObject:
    """Return one "<label> is required" per required field without an answer."""
    return {f.id: [f"{f.label} is required"] for f in fields if f.required and is_empty(answers.get(f.id))}


def unchecked(fields: Sequence[Field], answers: Mapping[str, Any]) -> JsonObject:
    """Return an error for each multiselect that demands every option and has not got it."""
    demanding = [f for f in fields if f.field_type == "multiselect" and f.settings.get("must_all_checked")]
    return {f.id: [f"All options of {f.label} must be checked"] for f in demanding if not _all_checked(f, answers)}


def _all_checked(field: Field, answers: Mapping[str, Any]) -> bool:
    entries: list[JsonObject] = answers.get(field.id) or []
    chosen = {entry["id"] for entry in entries if entry.get("selected")}
    return chosen >= {option["id"] for option in field.options}


def _text(_world: World, _tenant: Tenant, field: Field, value: Any) -> Any:
    if isinstance(value, (dict, list)):
        raise Refused(f"{field.label} must be a string")
    if len(str(value)) > MAX_TEXT:
        raise Refused(f"{field.label} may not be greater than {MAX_TEXT} characters")
    for rule in field.field_validation:
        _obey(field, rule, str(value))
    return value


def _obey(field: Field, rule: str, text: str) -> None:
    """Check a text against one validation rule of its field; unknown rules never act.

    No source shows how the length rules are spelled: `min:N` and `max:N` are Laravel's way.
    """
    name, _, bound = rule.partition(":")
    length, limit = len(text), whole(bound)
    if name in _PATTERNS and not _PATTERNS[name].fullmatch(text):
        raise Refused(f"{field.label} format is invalid")
    if name == "min" and limit is not None and length < limit:
        raise Refused(f"{field.label} must be at least {limit} characters")
    if name == "max" and limit is not None and length > limit:
        raise Refused(f"{field.label} may not be greater than {limit} characters")


def _textarea(_world: World, _tenant: Tenant, field: Field, value: Any) -> Any:
    if not isinstance(value, str):
        raise Refused(f"{field.label} must be a string")
    if len(value) > MAX_TEXTAREA:
        raise Refused(f"{field.label} may not be greater than {MAX_TEXTAREA} characters")
    return value


def _anything(_world: World, _tenant: Tenant, _field: Field, value: Any) -> Any:
    return value


def _date(_world: World, _tenant: Tenant, field: Field, value: Any) -> Any:
    if dates.read(value) is None:
        raise Refused(f"{field.label} is not a valid date")
    return value


def _radio(_world: World, _tenant: Tenant, field: Field, value: Any) -> Any:
    if not any(value == option["text"] for option in field.options):
        raise Refused("Invalid radio choice selected")
    return value


def _option(field: Field, value: Any) -> JsonObject | None:
    """Find the option that id and text name together; text is compared byte for byte."""
    if not is_object(value):
        return None
    named = [o for o in field.options if (o["id"], o["text"]) == (value.get("id"), value.get("text"))]
    return named[0] if named else None


def _dropdown(_world: World, _tenant: Tenant, field: Field, value: Any) -> Any:
    if _option(field, value) is None:
        raise Refused("Invalid dropdown choice selected.")
    return value


def _multiselect(_world: World, _tenant: Tenant, field: Field, value: Any) -> Any:
    """Take any entries that name options; without `selected` they are stored and render empty."""
    if not is_list(value) or any(_option(field, entry) is None for entry in value):
        raise Refused("Invalid multiselect choice selected.")
    return value


def _table(_world: World, _tenant: Tenant, field: Field, value: Any) -> Any:
    if not is_list(value) or not value:
        raise Refused("Invalid table field")
    if len(value) != len(field.columns):
        raise Refused("Number of columns does not match required columns")
    return value


def _assignees(_world: World, tenant: Tenant, field: Field, value: Any) -> Any:
    """Store who was picked; users that are no member ids are filtered out, groups must be text."""
    if not is_object(value):
        raise Refused(f"{field.label} must be an array")
    groups = _bucket(field, value, "groups")
    if any(not isinstance(group, str) for group in groups):
        raise Refused(f"The groups of {field.label} must be strings")
    named = [whole(user) for user in _bucket(field, value, "users")]
    users = [user for user in named if user is not None and user in tenant.members]
    return {"users": users, "guests": _bucket(field, value, "guests"), "groups": groups}


def _bucket(field: Field, picked: JsonObject, name: str) -> list[Any]:
    bucket: object = picked.get(name) or []
    if not is_list(bucket):
        raise Refused(f"The {name} of {field.label} must be an array")
    return bucket


def _file(world: World, tenant: Tenant, field: Field, value: Any) -> Any:
    """Take a list of objects that name a file each; the server adds full_url and uploaded_at."""
    if not is_list(value):
        raise Refused(f"{field.label} must be an array")
    entries = [entry for entry in value if is_object(entry) and _names_file(entry)]
    if len(entries) < len(value):
        raise Refused(f"Invalid file in {field.label}")
    moment = dates.spell(world.now(), "millis")
    return [{"full_url": _full_url(tenant, entry), "uploaded_at": moment, **entry} for entry in entries]


def _names_file(entry: JsonObject) -> bool:
    return any(entry.get(name) for name in ("id", "url", "full_url"))


def _full_url(tenant: Tenant, entry: JsonObject) -> str:
    return str(entry.get("url") or f"organizations/{tenant.id}/file/{entry.get('id')}/dl")


_Check = Callable[[World, Tenant, Field, Any], Any]
_CHECKS: dict[str, _Check] = {
    "text": _text,
    "textarea": _textarea,
    "email": _anything,
    "date": _date,
    "radio": _radio,
    "dropdown": _dropdown,
    "multiselect": _multiselect,
    "table": _table,
    "assignees_form": _assignees,
    "file": _file,
}
