"""What the values of forms are made of."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from math import isfinite
from typing import Any, Final, TypeGuard

_TOO_LONG: Final = 10**300  # beyond what any text takes, and before Python refuses to spell it


def is_map(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Tell whether a value is a mapping."""
    return isinstance(value, Mapping)


def is_list(value: Any) -> TypeGuard[Iterable[Any]]:
    """Tell whether a value is a list, a tuple or a set."""
    return isinstance(value, list | tuple | AbstractSet)


def scalar_text(value: Any) -> str | None:
    """Return text, number or boolean as text, None for anything else.

    Numbers become text because the server takes a bare 0 or false for an empty answer.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value) if abs(value) < _TOO_LONG else None
    if isinstance(value, float | Decimal) and isfinite(value):
        return str(value)
    return None
