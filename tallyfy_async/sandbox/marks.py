"""Marks of rows: a row whose mark is equal has not changed. Taking one is some ten times as cheap as writing the row.

Marks are compared within one process only and are never stored. They are read off the type hints of the records.
"""

import marshal
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import attrs
from attrs.exceptions import FrozenInstanceError

from .records import User
from .tokens import AccessToken

Memo = dict[int, Any]
"""id() of a record -> its plain form, during one pass in which nothing changes."""
Plan = Callable[[Any, Memo], Any]

REFERENCES: Mapping[type, str] = {User: "id", AccessToken: "value"}
"""Records that others point at, and their keys: the user of a member, the access token of a refresh token."""
_SCALARS = (int, str, bytes, float, bool)
_FORMAT = 2
"""Of marshal: the last one without back references, which depend on reference counts."""


def kept_fields(kind: type) -> dict[str, Any]:
    """Return name -> type of the fields that make a record up; those with `eq=False` are caches."""
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in attrs.fields(kind) if one.eq is not False}


def is_frozen(hint: Any) -> bool:
    """Tell whether values of a type never change: numbers, text, bytes, frozen records."""
    if not attrs.has(hint):
        return hint in _SCALARS
    try:
        setattr(object.__new__(hint), next(iter(kept_fields(hint))), None)
    except FrozenInstanceError:
        return True
    return False


def marker(hint: Any) -> Plan:
    """Return the function that takes the marks of values of a type: what never changes is its own mark."""
    if is_frozen(hint):
        return _itself
    plan = record_plan(hint) if attrs.has(hint) else _plan(hint)
    if plan is None:
        return lambda value, _: marshal.dumps(value, _FORMAT)
    return lambda value, memo: marshal.dumps(plan(value, memo), _FORMAT)


def _itself(value: Any, _: Memo) -> Any:
    return value


def record_plan(kind: type) -> Plan:
    """Return the function that makes a record a list of plain values."""
    hints = kept_fields(kind)
    read = attrgetter(*hints, *([next(iter(hints))] if len(hints) == 1 else []))
    inner = [(place, plan) for place, plan in enumerate(map(_plan, hints.values())) if plan is not None]

    def plain(row: Any, memo: Memo) -> Any:
        values: Any = read(row)
        if inner:
            values = [*values]
            for place, plan in inner:
                values[place] = plan(values[place], memo)
        return values

    return plain


def _plan(hint: Any) -> Plan | None:
    """Return the function that makes values of a type plain; None where they are."""
    if attrs.has(hint):
        return _reference(REFERENCES[hint]) if hint in REFERENCES else _once(record_plan(hint))
    plans = [plan for plan in map(_plan, get_args(hint)) if plan is not None]
    if not plans:
        return None
    plan, origin = plans[0], get_origin(hint)
    if len(plans) > 1:
        raise TypeError(f"cannot tell what a value of {hint} is")
    if origin in {list, tuple}:
        return lambda values, memo: [plan(value, memo) for value in values]
    if origin is dict:
        return lambda values, memo: {key: plan(value, memo) for key, value in values.items()}
    if NoneType in get_args(hint):
        return lambda value, memo: None if value is None else plan(value, memo)
    raise TypeError(f"cannot mark a value of {hint}")


def _reference(name: str) -> Plan:
    read = attrgetter(name)
    return lambda value, _: read(value)


def _once(plan: Plan) -> Plan:
    """Make a record plain once a pass, however many rows share it."""

    def remembered(value: Any, memo: Memo) -> Any:
        key = id(value)
        if key not in memo:
            memo[key] = plan(value, memo)
        return memo[key]

    return remembered
