"""Operations of the API and the URLs that they have."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, cast
from urllib.parse import quote

from attrs import Factory, field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.dates import format_date, format_request

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Safety(enum.Enum):
    """Whether sending an operation twice can harm."""

    SAFE = "safe"
    """Reads only, a search by POST included: may be sent again."""
    WRITE = "write"
    """Changes something: sent again only when nothing was sent or the server refused it."""
    ANSWERED = "answered"
    """Sent again after any answer, a 5xx included, but never when the answer was lost: a token refresh."""


def _scopes(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset((value,) if isinstance(value, str) else value)


def _safety_of_method(operation: Operation) -> Safety:
    return Safety.SAFE if operation.method in {"GET", "HEAD", "OPTIONS"} else Safety.WRITE


@frozen(kw_only=True)
class Operation:
    """One operation of the contract.

    Attributes:
        id: operationId of the contract.
        method: HTTP method.
        path: path template below the base URL, such as ``/organizations/{org}/runs/{run_id}``.
        scopes: scopes any one of which suffices; ``none`` or ``unknown`` where the contract says so.
        safety: whether it may be sent again.
        confidence: ``verified``, ``documented`` or ``inferred``.
        call: the dotted Python call that performs it, such as ``org.runs.launch``.
        max_per_page: largest page that the list serves, None where it is no list or the contract names none.

    """

    id: str
    method: str
    path: str
    scopes: frozenset[str] = field(converter=_scopes)
    call: str
    safety: Safety = field(default=Factory(_safety_of_method, takes_self=True))
    confidence: str = "verified"
    max_per_page: int | None = None

    @property
    def resource(self) -> str:
        """The Python place of the operation without its last word, such as ``org.runs``."""
        return self.call.rpartition(".")[0]

    def url(self, values: Mapping[str, Any], query: Mapping[str, Any] | None = None) -> str:
        """Return path and query below the base URL, every segment and value percent-encoded.

        Raises ConfigurationError where a path value is missing, empty or would leave its segment.
        """
        path = _PLACEHOLDER.sub(lambda match: _segment(match[1], values.get(match[1])), self.path)
        encoded = encode_query(query) if query else ""
        return f"{path}?{encoded}" if encoded else path


def _segment(name: str, value: Any) -> str:
    if type(value) is str and value.isalnum() and value.isascii():  # an id, as nearly always
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        msg = f"{name} must be a str or an int, not {type(value).__name__}"
        raise ConfigurationError(msg)
    text = str.__str__(value) if isinstance(value, str) else str(int(value))
    if text.strip() in {"", ".", ".."}:
        msg = f"{name} must not be empty or a dot segment: pass the id as the API gives it"
        raise ConfigurationError(msg)
    return _quoted(name, text)


def _quoted(name: str, text: str) -> str:
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        msg = f"{name} holds half a surrogate pair, which no URL can carry"
        raise ConfigurationError(msg) from None


def encode_query(query: Mapping[str, Any]) -> str:
    """Encode a query string the way Tallyfy's PHP server reads it.

    A space becomes ``%20`` (the server takes ``+`` for a plus), nested mappings and lists become bracket keys
    (``filter[name][value]``, ``ids[]``), booleans the words ``true`` and ``false``, aware datetimes the request format
    in UTC. None is left out. Source: identity notes of the contract, "Requests".

    Raises ConfigurationError for values of another type.
    """
    parts: list[str] = []
    for key, text in _flatten(query):
        name = f"query parameter {key!r}"
        parts.append(f"{_quoted(name, key)}={_quoted(name, text)}")
    return "&".join(parts)


def _flatten(query: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in query.items():
        yield from _pairs(str(name), value)


def _pairs(key: str, value: Any) -> Iterable[tuple[str, str]]:
    if value is None:
        return
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[object, Any]", value).items():
            yield from _pairs(f"{key}[{name}]", inner)
    elif isinstance(value, list | tuple | set | frozenset):
        several = cast("Iterable[Any]", value)
        for position, inner in enumerate(sorted(several, key=str) if isinstance(value, set | frozenset) else several):
            nested = isinstance(inner, Mapping | list | tuple)
            yield from _pairs(f"{key}[{position}]" if nested else f"{key}[]", inner)
    else:
        yield key, _text(key, value)


def _text(key: str, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return str.__str__(value)  # of a member of an enum, the value
        case int():
            return str(int(value))
        case float() if math.isfinite(value):
            return repr(value)
        case datetime():
            return format_request(value)
        case date():
            return format_date(value)
        case _:
            msg = f"query parameter {key!r} cannot carry a {type(value).__name__}"
            raise ConfigurationError(msg)
