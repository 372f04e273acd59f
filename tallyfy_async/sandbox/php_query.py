"""Queries with brackets, as PHP reads them: filter[0][type]=boolean becomes {"filter": {"0": {"type": "boolean"}}}."""

import re
from urllib.parse import parse_qsl

from .records import JsonObject, is_object

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_KEY = re.compile(r"\[([^\[\]]*)\]")
_DEEPEST = 32


def parse(query_string: str) -> JsonObject:
    """Read a query into nested objects; an empty bracket counts up, a later plain value replaces what was there."""
    found: JsonObject = {}
    for name, value in parse_qsl(query_string.replace("+", "%2B"), keep_blank_values=True):
        match = _NAME.match(name)
        keys = [match[1], *_KEY.findall(match[2])] if match else [name]
        if len(keys) <= _DEEPEST:
            _put(found, keys, value)
    return found


def _put(place: JsonObject, keys: list[str], value: str) -> None:
    for key in keys[:-1]:
        inner = place.setdefault(key or str(len(place)), {})
        if not is_object(inner):
            inner = place[key] = {}
        place = inner
    place[keys[-1] or str(len(place))] = value
