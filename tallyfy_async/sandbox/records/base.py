"""JSON values, and what tells them apart."""

from typing import Any, TypeGuard

JsonObject = dict[str, Any]


def is_object(value: object) -> TypeGuard[JsonObject]:
    """Tell whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a decoded JSON value is an array."""
    return isinstance(value, list)


def whole(text: object) -> int | None:
    """Read a non-negative number or its decimal spelling, of at most 18 digits; None for anything else."""
    spelled = "" if isinstance(text, bool) else str(text)
    return int(spelled) if spelled.isascii() and spelled.isdigit() and len(spelled) <= 18 else None
