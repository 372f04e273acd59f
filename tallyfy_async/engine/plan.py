"""What a call is before it is sent, and what it has brought back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from attrs import field, frozen

from tallyfy_async.engine.policy import RetryPolicy
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.operation import Operation, Safety
from tallyfy_async.protocol.response import Headers, Reply
from tallyfy_async.transport.exchange import Content, Timeouts

_OWN_HEADERS = frozenset(
    [
        "authorization",
        "x-tallyfy-client",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "transfer-encoding",
        "cookie",
        "host",
    ]
)
_MAX_BYTES = 256 * 2**20
_SLOW = 2**17
"""Bytes in a second on the slowest line that an upload must get through: one megabit."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _fits_header(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip()


def _checked_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return headers a user may add; the ones that make a call a Tallyfy call are not among them."""
    for name, value in headers.items():
        if name.lower() in _OWN_HEADERS:
            msg = f"header {name!r} is set by the client and cannot be given"
            raise ConfigurationError(msg)
        if not _HEADER_NAME.fullmatch(name) or not _fits_header(value):
            msg = f"header {name!r} must have a token for a name and one line of printable ASCII for a value"
            raise ConfigurationError(msg)
    return tuple(headers.items())


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _check_kind(kind: type[Any], name: str, value: Any) -> None:
    if not isinstance(value, kind):
        what = "a mapping of names to values" if kind is Mapping else f"{kind.__name__}(…)"
        msg = f"{name} must be {what}, not {type(value).__name__}"
        raise ConfigurationError(msg)


@frozen(kw_only=True)
class RequestOptions:
    """What one call does differently; None keeps the client's setting.

    Attributes:
        timeout: seconds for one attempt, body included, or Timeouts.
        deadline: seconds for the whole call, retries included.
        retry: a RetryPolicy, or a number of retries by what else the client's policy says.
        headers: headers to add.
        query: query parameters to add; they win over the call's own.

    Raises ConfigurationError for values out of range and for headers that the client sets itself.
    """

    timeout: float | Timeouts | None = None
    deadline: float | None = None
    retry: RetryPolicy | int | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str])
    query: Mapping[str, Any] = field(factory=dict[str, Any])

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.timeout, Timeouts | None):
            Timeouts(attempt=self.timeout)
        if self.deadline is not None and not _is_time(self.deadline):
            msg = "deadline must be a number of seconds, more than 0"
            raise ConfigurationError(msg)
        if self.retry is not None:
            RetryPolicy.of(self.retry)
        _check_kind(Mapping, "headers", self.headers)
        _check_kind(Mapping, "query", self.query)
        _checked_headers(self.headers)


_NO_OPTIONS = RequestOptions()


def _checked_size(size: int | None) -> int:
    if size is not None and (type(size) is not int or size < 0):
        msg = "max_bytes must be a whole number of bytes"
        raise ConfigurationError(msg)
    return _MAX_BYTES if size is None else size


@frozen(kw_only=True)
class Call:
    """One call, ready for the pipeline.

    Attributes:
        operation: what is called.
        url: path and query below the base URL.
        organization: its id, for messages.
        headers: extra headers.
        content: the encoded body, or one that is made while it is sent; None for none.
        content_type: how it is encoded.
        max_bytes: a larger reply is refused.
        options: what this call does differently.

    """

    operation: Operation
    url: str
    organization: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    content: bytes | Content | None = field(default=None, repr=False)
    content_type: str | None = None
    max_bytes: int = _MAX_BYTES
    options: RequestOptions = _NO_OPTIONS

    @classmethod
    def plan(
        cls,
        operation: Operation,
        values: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        payload: Any = None,
        content: Content | None = None,
        max_bytes: int | None = None,
        options: RequestOptions | None = None,
    ) -> Call:
        """Return a call of ``operation`` with path values, query and a JSON body or ``content``.

        Raises ConfigurationError for what is wrong.
        """
        values, options = values or {}, _NO_OPTIONS if options is None else options
        _check_kind(RequestOptions, "options", options)
        if query is not None:
            _check_kind(Mapping, "params", query)
        merged = {**(query or {}), **options.query} if options.query else query
        has_type = payload is not None or operation.safety is not Safety.SAFE
        kind = content.content_type if content is not None else "application/json" if has_type else None
        return cls(
            operation=operation,
            url=operation.url(values, merged),
            organization=values.get("org"),
            headers=tuple(options.headers.items()),
            content=content if payload is None else encode_json(payload),
            content_type=kind,
            max_bytes=_checked_size(max_bytes),
            options=options,
        )

    @property
    def streamed(self) -> Content | None:
        """The body that is made while it is sent, if it is such."""
        return None if isinstance(self.content, bytes) else self.content

    @property
    def allowance(self) -> float:
        """Seconds that the size of an upload adds to the time that a call may take: slow lines have their right."""
        return 0.0 if self.streamed is None else self.streamed.most / _SLOW


def encode_json(payload: Any) -> bytes:
    """Return compact JSON; raise ConfigurationError for what JSON cannot carry."""
    try:
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        msg = "the body cannot be written as JSON: use dicts with text keys, lists, texts, numbers, booleans and None"
        raise ConfigurationError(msg) from None


@frozen(kw_only=True)
class Response:
    """The successful end of a call.

    Attributes:
        reply: what the last attempt brought back.
        payload: its decoded JSON, None for an empty body.
        attempts: how often the call was sent.

    """

    reply: Reply
    payload: Any = field(repr=False)
    attempts: int

    @property
    def status(self) -> int:
        """HTTP status code."""
        return self.reply.status

    @property
    def headers(self) -> Headers:
        """Reply headers."""
        return self.reply.headers

    @property
    def content(self) -> bytes:
        """The body as it came."""
        return self.reply.content

    @property
    def data(self) -> Any:
        """What stands under ``data``; the whole payload where there is no such key."""
        return self._members().get("data", self.payload)

    @property
    def meta(self) -> Any:
        """What stands under ``meta``, None where there is none."""
        return self._members().get("meta")

    @property
    def request_id(self) -> str | None:
        """The server's name for this request, where it gave one."""
        return self.reply.request_id

    @property
    def elapsed(self) -> float:
        """Seconds from the last send to the end of the reply."""
        return self.reply.elapsed

    def _members(self) -> dict[str, Any]:
        payload = self.payload
        return cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
