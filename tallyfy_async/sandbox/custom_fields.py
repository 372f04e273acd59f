"""Custom fields: metadata about a record, apart from form fields (templates.md section 12)."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from . import dates, people
from .problems import Invalid, forbidden, invalid
from .records import CustomField, JsonObject, is_list, is_object
from .world import Tenant

NOUNS: Mapping[str, str] = {
    "process": "run",
    "run": "run",
    "task": "task",
    "blueprint": "checklist",
    "template": "checklist",
    "checklist": "checklist",
    "step": "step",
    "capture": "capture",
    "form_field": "capture",
    "prerun": "prerun",
    "kickoff_field": "prerun",
    "member": "user",
    "user": "user",
    "guest": "guest",
    "tag": "tag",
    "folder": "folder",
}
"""Word of `applies_to` -> kind of record. Only `process` is confirmed; the others are the nouns of API and web app."""
SYSTEM_KEY = "System custom fields are read-only."
MAX_KEY = 100
_KEY = re.compile(r"[A-Za-z0-9_.-]+\Z")
_FLAGS = {"is_required": False, "is_active": True}
_OWN = {"id", "key", "applies_to", "field_type", "key_type", *_FLAGS}


def values_of(tenant: Tenant, noun: str, record_id: str) -> JsonObject:
    """Return the values of a record by key."""
    return tenant.custom_values.get((noun, record_id), {})


def inherit(tenant: Tenant, source: tuple[str, str], target: tuple[str, str]) -> None:
    """Copy values once, at creation: a run has its template's, a task its step's."""
    values = values_of(tenant, *source)
    if values:
        tenant.custom_values[target] = dict(values)


def define(tenant: Tenant, body: JsonObject) -> CustomField:
    """Define a field. Key, record type and field type are fixed for life."""
    errors = _definition_errors(tenant, body)
    if errors:
        raise Invalid(errors)
    row = CustomField(
        id=1 + max(tenant.custom_fields, default=0),
        key=body["key"],
        applies_to=body["applies_to"],
        field_type=body["field_type"],
        is_required=body.get("is_required", False),
        is_active=body.get("is_active", True),
        more={name: value for name, value in body.items() if name not in _OWN},
    )
    tenant.custom_fields[row.id] = row
    tenant.changed()
    return row


def _definition_errors(tenant: Tenant, body: JsonObject) -> people.Errors:
    errors: people.Errors = {}
    for name, known in (("key", None), ("applies_to", NOUNS), ("field_type", _CHECKS)):
        value = body.get(name)
        if value is None or value == "":
            errors[name] = [f"The {name.replace('_', ' ')} field is required."]
        elif not isinstance(value, str) or (known is not None and value not in known):
            errors[name] = [f"The selected {name.replace('_', ' ')} is invalid."]
    for name in _FLAGS:
        if not isinstance(body.get(name, False), bool):
            errors[name] = [f"The {name.replace('_', ' ')} field must be true or false."]
    if not errors and (len(body["key"]) > MAX_KEY or not _KEY.match(body["key"])):
        errors["key"] = ["The key format is invalid."]
    if not errors and any(row.key == body["key"] for row in _keys(tenant, NOUNS[body["applies_to"]])):
        errors["key"] = ["The key has already been taken."]
    return errors


def _keys(tenant: Tenant, noun: str) -> list[CustomField]:
    return [row for row in tenant.custom_fields.values() if NOUNS[row.applies_to] == noun]


def replace(tenant: Tenant, noun: str, record_id: str, sent: object) -> JsonObject:
    """Replace every organization value of a record; system values stay.

    Raise Invalid when a required key is missing, and on unknown and system keys.
    """
    values: object = {} if sent == [] else sent
    if not is_object(values):
        raise invalid("custom_fields", "The custom fields field is required and must be an object.")
    keys = {row.key: row for row in _keys(tenant, noun)}
    errors = {f"custom_fields.{key}": [problem] for key in values if (problem := _refusal(keys.get(key), values[key]))}
    for key, row in keys.items():
        if row.is_required and row.is_active and row.key_type == "org" and _is_empty(values.get(key)):
            errors.setdefault(f"custom_fields.{key}", [f"The {key} field is required."])
    if errors:
        raise Invalid(errors)
    old = values_of(tenant, noun, record_id)
    kept = {key: value for key, value in old.items() if key in keys and keys[key].key_type != "org"}
    return _store(tenant, noun, record_id, kept | values)


def put(tenant: Tenant, noun: str, record_id: str, key: str, body: JsonObject) -> JsonObject:
    """Set one value; required keys are not asked for, and an empty value clears."""
    row = next((row for row in _keys(tenant, noun) if row.key == key), None)
    value = body.get("value")
    problem = _refusal(row, value)
    if problem:
        raise invalid("value", problem)
    return _store(tenant, noun, record_id, values_of(tenant, noun, record_id) | {key: value})


def clear(tenant: Tenant, noun: str, record_id: str, key: str) -> None:
    """Remove one value. A system key is a 403; a key without a value changes nothing."""
    row = next((row for row in _keys(tenant, noun) if row.key == key), None)
    if row is not None and row.key_type != "org":
        raise forbidden(SYSTEM_KEY)
    values = values_of(tenant, noun, record_id)
    _store(tenant, noun, record_id, {name: value for name, value in values.items() if name != key})


def _store(tenant: Tenant, noun: str, record_id: str, values: JsonObject) -> JsonObject:
    tenant.custom_values[noun, record_id] = {key: value for key, value in values.items() if not _is_empty(value)}
    tenant.changed()
    return tenant.custom_values[noun, record_id]


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def _refusal(row: CustomField | None, value: object) -> str | None:
    """Say why a value is not taken; None when it is."""
    if row is None or not row.is_active:
        return "The selected custom field is invalid."
    if row.key_type != "org":
        return SYSTEM_KEY
    return None if _is_empty(value) or _CHECKS[row.field_type](row, value) else f"The {row.key} is invalid."


def _options(row: CustomField) -> list[object] | None:
    """Return the choices of a field: texts, or what the entries call their text; None when it has none."""
    options: object = row.more.get("options")
    if not is_list(options) or not options:
        return None
    return [entry.get("text") if is_object(entry) else entry for entry in options]


def _text(_: CustomField, value: object) -> bool:
    return isinstance(value, str)


def _number(_: CustomField, value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _choice(row: CustomField, value: object) -> bool:
    options = _options(row)
    return isinstance(value, (str, int, float)) and (options is None or value in options)


def _choices(row: CustomField, value: object) -> bool:
    return is_list(value) and all(_choice(row, entry) for entry in value)


_CHECKS: dict[str, Callable[[CustomField, Any], bool]] = {
    "text": _text,
    "textarea": _text,
    "number": _number,
    "boolean": lambda _, value: isinstance(value, bool),
    "date": lambda _, value: dates.read(value) is not None,
    "email": lambda _, value: isinstance(value, str) and "@" in value,
    "url": lambda _, value: people.host_of(value) is not None,
    "radio": _choice,
    "dropdown": _choice,
    "multiselect": _choices,
    "table": lambda _, value: is_list(value),
}
