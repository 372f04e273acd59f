"""Updates that send again what the server would empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.converter import write


def changes(kind: type[Any], fields: Mapping[str, Any], what: str, *, more: bool = False) -> dict[str, Any]:
    """Return checked fields of an update; raise ConfigurationError where they are wrong, or none here nor ``more``."""
    body = write(kind, fields, what=what)
    if not body and not more:
        msg = f"{what} needs something to change"
        raise ConfigurationError(msg)
    return body


def merged(body: Mapping[str, Any], current: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the body with what is there now for the rest; raise ConfigurationError where that was not read."""
    if lacking := sorted(name for name, value in current.items() if value is None and name not in body):
        msg = f"{what}: it was read without {', '.join(lacking)}, which the server would empty: pass them too"
        raise ConfigurationError(msg)
    return {**current, **body}


def relation_id(name: str, value: Any, place: str) -> int:
    """Return the integer id of a relation; raise ConfigurationError for anything else.

    The server casts this part of the path to a number, so that an id of 32 hex characters would hit nothing and the
    call would look successful.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        msg = f"{name} must be the integer id of the relation, {place}: the server takes any other id for 0"
        raise ConfigurationError(msg)
    return value
