"""From status, headers and bytes to a payload or an error."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from functools import cache
from typing import Any, TypeGuard

from attrs import field, frozen

from tallyfy_async import errors
from tallyfy_async.errors import APIError, DecodeError
from tallyfy_async.protocol import limits
from tallyfy_async.protocol.redaction import redact

_MESSAGE_LIMIT = 500
_BODY_LIMIT = 2000
_ERROR_LIMIT = 2**14
_INTERNALS = re.compile(r"SQLSTATE|Illuminate|Stack trace|\.php\b")


class Headers(Mapping[str, str]):
    """Reply headers: names in any case, repeated ones joined by a comma."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    @classmethod
    def of_raw(cls, pairs: Sequence[tuple[bytes, bytes]]) -> Headers:
        """Return headers of names and values as they came."""
        made = cls()
        made._values = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        return made if len(made) == len(pairs) else cls((str(n, "latin-1"), str(v, "latin-1")) for n, v in pairs)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self._values)}>"


@frozen(kw_only=True)
class Reply:
    """What one attempt brought back, read to its end."""

    status: int
    headers: Headers = field(factory=Headers)
    content: bytes = field(default=b"", repr=False)
    elapsed: float = 0.0

    @property
    def request_id(self) -> str | None:
        """The server's name for this request, where it gave one."""
        return self.headers.get("x-request-id")


@frozen(kw_only=True)
class Pagination:
    """``meta.pagination`` of a list; None for what the server left out."""

    total: int | None = None
    count: int | None = None
    per_page: int | None = None
    current_page: int | None = None
    total_pages: int | None = None
    next_link: str | None = None

    @property
    def has_next(self) -> bool:
        """Whether another page follows: by page numbers, else by the ``next`` link."""
        if self.total_pages is None or self.current_page is None:
            return bool(self.next_link)
        return self.current_page < self.total_pages


@frozen(kw_only=True)
class Listing:
    """The raw items of one page and what the server says of the whole; no pagination means that this page is all."""

    items: list[Any]
    pagination: Pagination | None = None


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def loads(content: bytes) -> Any:
    """Decode JSON, with orjson where it is installed; what that refuses, such as a byte order mark, goes to json.

    Raises ValueError or RecursionError.
    """
    fast = fast_loads()
    if fast is not None:
        try:
            return fast(content)
        except ValueError:
            pass
    return json.loads(content)


@cache
def fast_loads() -> Callable[[bytes], Any] | None:
    """Return orjson's decoder, None where the extra "speed" is not installed."""
    try:
        from orjson import loads as fast  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return fast


def decode(reply: Reply) -> Any:
    """Return the JSON value of a reply, None where the body is empty; raise DecodeError for anything else."""
    if not reply.content.strip():
        return None
    try:
        return loads(reply.content)
    except (ValueError, RecursionError):
        kind = reply.headers.get("content-type", "no content type").partition(";")[0]
        msg = f"the reply is no JSON: {len(reply.content)} bytes of {kind}, status {reply.status}"
    error = DecodeError(msg)
    error.status, error.request_id = reply.status, reply.request_id
    raise error  # outside of the handler: json's own error holds the whole body


def kind_of(value: Any) -> str:
    """Name the JSON type of a value, for messages that must not show the value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _wrong(path: str, expected: str, value: Any) -> DecodeError:
    return DecodeError(f"{path}: expected {expected}, got {kind_of(value)}", path=path)


def item(payload: Any) -> Any:
    """Return the object of ``{"data": X}``; an object without that wrapper is taken as it is.

    Raises DecodeError where no object is to be found.
    """
    if not _is_object(payload):
        raise _wrong("body", "object", payload)
    value = payload["data"] if "data" in payload and not payload.keys() - {"data", "meta"} else payload
    if not _is_object(value):
        raise _wrong("data", "object", value)
    return value


def listing(payload: Any, path: str = "body") -> Listing:
    """Return the items and the pagination of ``{"data": [X], "meta": …}``; raise DecodeError for another shape."""
    if not _is_object(payload):
        raise _wrong(path, "object", payload)
    where = "data" if path == "body" else f"{path}.data"
    items = payload.get("data")
    if not _is_array(items):
        raise _wrong(where, "array", items)
    return Listing(items=items, pagination=_pagination(payload.get("meta"), where.replace("data", "meta")))


def buckets(payload: Any) -> dict[str, Listing]:
    """Return the lists of a search reply by their names; raise DecodeError for another shape."""
    if not _is_object(payload):
        raise _wrong("body", "object", payload)
    return {name: listing(value, name) for name, value in payload.items()}


def _pagination(meta: Any, path: str) -> Pagination | None:
    if not meta:  # PHP writes an empty map as []
        return None
    if not _is_object(meta):
        raise _wrong(path, "object", meta)
    values = meta.get("pagination")
    if not values:
        return None
    if not _is_object(values):
        raise _wrong(f"{path}.pagination", "object", values)
    names = ("total", "count", "per_page", "current_page", "total_pages")
    numbers = {name: _count(values.get(name), f"{path}.pagination.{name}") for name in names}
    links = values.get("links")
    following = links.get("next") if _is_object(links) else None
    return Pagination(**numbers, next_link=following if isinstance(following, str) else None)


def _count(value: Any, path: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(path, "count", value)
    return value


def retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, given as seconds or as an HTTP date; None where it is absent.

    ``wall`` is the current time in epoch seconds. Source: identity notes of the contract, "Rate limits".
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text, wall)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(text: str, wall: float) -> float:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - lazy: few replies need it, and it loads a lot

    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return math.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - wall


_BY_STATUS: dict[int, type[APIError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.ValidationError,
    429: errors.RateLimitError,
}


def failure(method: str, path: str, reply: Reply, wall: float) -> APIError:
    """Return the error that a reply with an error status stands for.

    ``path`` is the path template; ``wall`` the current time in epoch seconds. Source: identity notes of the contract,
    "Error bodies".
    """
    body = _error_body(reply)
    code = _code(body)
    message = _message(body) or _default_message(reply)
    kind = _kind(reply.status, code, message)
    details: dict[str, Any] = {
        "status": reply.status,
        "code": code,
        "request_id": reply.request_id,
        "method": method,
        "path": path,
        "body": body,
    }
    if issubclass(kind, errors.ValidationError):
        details["fields"] = dict(_fields(body))
    elif issubclass(kind, errors.RateLimitError):
        details |= limits.refusal(code, message, retry_after(reply.headers, wall), wall)
    elif issubclass(kind, errors.ServerError):
        details["retry_after"] = retry_after(reply.headers, wall)
    elif issubclass(kind, errors.SeatPoolExhaustedError):
        details["pool_type"] = _pool_type(body)
    error = kind(_presentable(message), **details)
    if kind is errors.EndpointNotFoundError:
        error.add_note(
            "Tallyfy answers so for an unknown path, a wrong organization or a missing X-Tallyfy-Client header."
        )
    return error


def _kind(status: int, code: str | None, message: str) -> type[APIError]:
    if status >= 500:
        return errors.ServerError
    if status == 404 and (code == "ENDPOINT_NOT_FOUND" or (code is None and "endpoint not found" in message.lower())):
        return errors.EndpointNotFoundError
    if status == 409 and code == "SEAT_POOL_EXHAUSTED":
        return errors.SeatPoolExhaustedError
    return _BY_STATUS.get(status, APIError)


def _error_body(reply: Reply) -> Any:
    """Return an error's body with what it echoes of the request masked, as JSON where it is such."""
    if not reply.content.strip():
        return None
    text = redact(reply.content[:_ERROR_LIMIT].decode("utf-8", "replace"))
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text[:_BODY_LIMIT]


def _code(body: Any) -> str | None:
    if not _is_object(body):
        return None
    inner = body.get("error")
    code = inner.get("code") if _is_object(inner) else body.get("code")
    return code if isinstance(code, str) else None


def _message(body: Any) -> str | None:
    if isinstance(body, str):
        return None if not body.strip() or body.lstrip().startswith("<") else body  # a page of HTML says nothing
    if not _is_object(body):
        return None
    inner = body.get("error")
    candidates = [
        inner.get("message") if _is_object(inner) else None,
        body.get("message"),
        inner,
        next((text for _, texts in _fields(body) for text in texts), None),
    ]
    return next((text for text in candidates if isinstance(text, str) and text.strip()), None)


def _default_message(reply: Reply) -> str:
    if 300 <= reply.status < 400:
        return "the server redirected the call; redirects are not followed, check base_url"
    return "the server gave no message"


def _presentable(message: str) -> str:
    if _INTERNALS.search(message):
        return "internal server error (the server's own text is in .body)"
    text = redact(" ".join(message.split()))
    return text if len(text) <= _MESSAGE_LIMIT else f"{text[:_MESSAGE_LIMIT]}…"


def _pool_type(body: Any) -> str | None:
    details = body["error"].get("details") if _is_object(body.get("error")) else None
    pool = details.get("pool_type") if _is_object(details) else None
    return pool if isinstance(pool, str) else None


def _fields(body: Any) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    problems = body.get("errors") if _is_object(body) else None
    _collect("", problems, found)
    return list(found.items())


def _collect(path: str, value: Any, found: dict[str, list[str]]) -> None:
    if isinstance(value, str):
        found.setdefault(path, []).append(redact(value))
    elif _is_object(value):
        for name, inner in value.items():
            _collect(f"{path}.{name}" if path else name, inner, found)
    elif _is_array(value):
        for position, inner in enumerate(value):
            nested = _is_object(inner) or _is_array(inner)
            _collect(f"{path}.{position}" if nested and path else path, inner, found)
