"""Hooks that read the single values of replies. Used through :mod:`.converter`."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias, TypeGuard

from tallyfy_async.protocol.dates import try_response

Reader: TypeAlias = Callable[[Any, Any], Any]
"""Takes a value and whether to go by the keys, slower, so that the error tells where the value stands.

Anything true asks for that, so that cattrs, which hands a type over, gets the errors that can be explained.
"""


class MismatchError(Exception):
    """A value does not fit: what was expected, its type and the way to it, never the value."""

    def __init__(self, expected: str, value: object) -> None:
        super().__init__()
        self.expected = expected
        self.got = type(value).__name__
        self.trail: list[str] = []


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Tell whether this is a JSON object."""
    return type(value) is dict


def read_any(value: Any, _: Any) -> Any:
    """Pass a value through whose shape is not published."""
    return value


def read_str(value: Any, _: Any) -> str:
    """Take a str and nothing else: a number in its place would hide a change of the API."""
    if type(value) is str:
        return value
    raise MismatchError("str", value)


def read_int(value: Any, _: Any) -> int:
    """Take an int that is no boolean."""
    if type(value) is int:
        return value
    raise MismatchError("int", value)


def read_float(value: Any, _: Any) -> float:
    """Take any number as it is."""
    if type(value) is float or type(value) is int:
        return value
    raise MismatchError("float", value)


_LOOSE_BOOLEANS: dict[Any, bool] = {1: True, "1": True, "true": True, 0: False, "0": False, "false": False}


def read_loose_bool(value: Any, _: Any) -> bool:
    """Take ``true``, ``1``, ``"1"``, ``"true"`` and their opposites (contract: User.is_active)."""
    if type(value) is bool:
        return value
    if type(value) in {int, str} and value in _LOOSE_BOOLEANS:
        return _LOOSE_BOOLEANS[value]
    raise MismatchError("bool", value)


def read_text_id(value: Any, _: Any) -> str:
    """Take a str id, or a number as its digits (contract: Comment, TagAssociation)."""
    if type(value) is str:
        return value
    if type(value) is int and -(10**18) < value < 10**18:
        return str(value)
    raise MismatchError("str or int", value)


def read_number_id(value: Any, _: Any) -> int:
    """Take an int id, or a numeric string (contract: Run.owner_id, Checklist.created_by)."""
    if type(value) is int:
        return value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    raise MismatchError("int or numeric str", value)


def read_date(value: Any, _: Any) -> datetime:
    """Take a moment in any of its spellings."""
    moment = try_response(value)
    if moment is None:
        expected = "an ISO 8601 date and time"
        raise MismatchError(expected, value)
    return moment


def read_no_object(value: Any, _: Any) -> None:
    """Take the empty list that PHP writes where there is no object."""
    if value != []:
        expected = "dict"
        raise MismatchError(expected, value)


SCALARS: dict[Any, Reader] = {
    str: read_str,
    int: read_int,
    float: read_float,
    bool: read_loose_bool,
    datetime: read_date,
}
