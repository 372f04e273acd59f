"""Plain keys of request bodies: what each must be, and Laravel's words when it is not.

A check takes the name and the value and returns what to store, or raises Wrong.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from .problems import Invalid
from .records import JsonObject, is_list, whole

Check = Callable[[str, Any], Any]
_URL = re.compile(r"https?://[^\s/?#]+\S*\Z")
_FLAGS = {"0": False, "1": True}


class Wrong(Exception):  # noqa: N818 - it carries a message for a 422
    """A value that its key does not take."""


def read(body: JsonObject, known: Mapping[str, Check], prefix: str = "") -> JsonObject:
    """Read the known keys that a body has; the others are dropped. Raise Invalid with every error at once."""
    found: JsonObject = {}
    errors: JsonObject = {}
    for name, check in known.items():
        if name in body:
            try:
                found[name] = check(name.replace("_", " "), body[name])
            except Wrong as wrong:
                errors[prefix + name] = [str(wrong)]
    if errors:
        raise Invalid(errors)
    return found


def demand(body: JsonObject, *names: str, prefix: str = "") -> None:
    """Raise Invalid for every key that is absent, null or empty; false and 0 are values."""
    absent = [name for name in names if body.get(name) in (None, "", [], {})]
    if absent:
        raise Invalid({prefix + n: [f"The {prefix}{n.replace('_', ' ')} field is required."] for n in absent})


def text(most: int | None = None, *, empty: bool = True) -> Check:
    """Take a string of at most `most` characters; null, too, unless it must not be `empty`."""

    def check(name: str, value: Any) -> Any:
        if value is None and empty:
            return None
        if not isinstance(value, str):
            raise Wrong(f"The {name} must be a string.")
        if not empty and not value.strip():
            raise Wrong(f"The {name} field is required.")
        if most is not None and len(value) > most:
            raise Wrong(f"The {name} may not be greater than {most} characters.")
        return value

    return check


def url(name: str, value: Any) -> str | None:
    """Take an address, or null."""
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not _URL.match(value):
        raise Wrong(f"The {name} format is invalid.")
    return value


def flag(name: str, value: Any) -> bool:
    """Take true, false, and the numbers and texts that PHP reads as such."""
    found = _FLAGS.get(str(value)) if isinstance(value, (int, str)) and not isinstance(value, bool) else value
    if not isinstance(found, bool):
        raise Wrong(f"The {name} field must be true or false.")
    return found


def number(least: int = 0, most: int | None = None, *, empty: Any = ...) -> Check:
    """Take a whole number or its decimal spelling; null becomes `empty` where that is given."""

    def check(name: str, value: Any) -> Any:
        if value is None and empty is not ...:
            return empty
        found = whole(value)
        if found is None:
            raise Wrong(f"The {name} must be an integer.")
        if found < least:
            raise Wrong(f"The {name} must be at least {least}.")
        if most is not None and found > most:
            raise Wrong(f"The {name} may not be greater than {most}.")
        return found

    return check


def one_of(words: Collection[str]) -> Check:
    """Take one of some words."""

    def check(name: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise Wrong(f"The selected {name} is invalid.")
        return value

    return check


def texts(name: str, value: Any) -> list[str]:
    """Take a list of strings; null is an empty one."""
    if value is None:
        return []
    if not is_list(value) or any(not isinstance(entry, str) for entry in value):
        raise Wrong(f"The {name} must be an array of strings.")
    return value
