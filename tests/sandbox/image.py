"""A picture of a whole world, drawn from nothing but its attributes: equal pictures are equal worlds."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import attrs

SHARED = {"User", "AccessToken", "Directory"}
"""Records that others point at: the second time only where they were seen first is drawn."""


def image(value: Any, seen: dict[int, str] | None = None, path: str = "") -> Any:
    """Draw types, values, order, and who shares a record with whom; left out are caches and functions."""
    seen = {} if seen is None else seen
    kind = type(value).__name__
    if attrs.has(type(value)):
        if kind in SHARED and id(value) in seen:
            return f"the one of {seen[id(value)]}"
        seen[id(value)] = path
        return kind, [
            (one.name, image(getattr(value, one.name), seen, f"{path}.{one.name}"))
            for one in attrs.fields(type(value))
            if one.eq is not False and not callable(getattr(value, one.name))
        ]
    if isinstance(value, dict):
        return kind, [(key, image(row, seen, f"{path}[{key!r}]")) for key, row in value.items()]
    if isinstance(value, (list, tuple, deque)):
        bound = value.maxlen if isinstance(value, deque) else None
        return kind, bound, [image(row, seen, f"{path}[{place}]") for place, row in enumerate(value)]
    return (kind, value.getstate()) if isinstance(value, random.Random) else (kind, value)


def containers(holder: Any) -> dict[str, Any]:
    """Return the dicts and lists of a world or an organization by name, those that are not kept left out."""
    found = {one.name: getattr(holder, one.name) for one in attrs.fields(type(holder)) if one.eq is not False}
    return {name: value for name, value in found.items() if isinstance(value, (dict, list, deque))}
