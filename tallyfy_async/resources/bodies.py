"""Bodies that several resources send: checked changes, completions, texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.converter import write
from tallyfy_async.resources import merging
from tallyfy_async.resources.base import body_id, check_answers

_PLACES = {"prerun": "checklist.prerun", "taskdata": 'task.form_fields (with_=["form_fields"])'}


class _Completion(TypedDict, total=False):
    is_approved: bool
    override_user: int


class FieldValueBody(TypedDict):
    """The value of one form field under an id that is not the field's."""

    id: str | int
    form_value: Any


def given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}


def text_of(name: str, value: Any) -> str:
    """Return a text that must say something; raise ConfigurationError for what is no text or is blank."""
    if not isinstance(value, str) or not value.strip():
        msg = f"{name} must be a str that is not empty"
        raise ConfigurationError(msg)
    return str.__str__(value)


def changes(kind: type[Any], fields: Mapping[str, Any], what: str, *, more: bool = False) -> dict[str, Any]:
    """Return the checked body of an update with answers, which stand under field ids; raise ConfigurationError."""
    body = merging.changes(kind, fields, what, more=more)
    for name, place in _PLACES.items():
        check_answers(name, body.get(name), place)
    return body


def completion(task_id: str, is_approved: bool | None, override_user: int | None, what: str) -> dict[str, Any]:
    """Return the body of a completion."""
    checked = write(_Completion, given(is_approved=is_approved, override_user=override_user), what=what)
    return {"task_id": body_id("task_id", task_id), **checked}


def field_value(value_id: str | int, value: Any, what: str) -> dict[str, Any]:
    """Return the body that sets one stored value."""
    number = type(value_id) is int
    return write(
        FieldValueBody, {"id": value_id if number else body_id("value_id", value_id), "form_value": value}, what=what
    )
