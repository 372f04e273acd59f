"""One request as it came in and one reply as it goes out."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from attrs import evolve, field, frozen
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from .records import JsonObject, is_object

BASE = "api"


@frozen(kw_only=True)
class Incoming:
    """A request, read whole.

    `segments` are the percent-decoded parts of the path below the base; `/api` in front is optional, as the sources
    print both styles. `query` keeps the last value of a repeated name; a + is a plus sign, never a blank.
    """

    method: str
    path: str
    segments: tuple[str, ...]
    prefixed: bool
    query_string: str
    """The query as it came, for readers with other rules."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    client: str
    origin: str
    oversize: bool = False
    """The body was longer than the server reads; `body` is empty then."""
    afterwards: list[Callable[[], None]] = field(factory=list[Callable[[], None]], eq=False, repr=False)
    """What is done once the answer has left, or cannot leave any more."""

    def answered(self) -> None:
        """Do what was left for afterwards, once."""
        while self.afterwards:
            self.afterwards.pop(0)()

    @property
    def below_base(self) -> str:
        """Return the path without the base, for matching."""
        return "/" + "/".join(self.segments)

    def json_object(self) -> JsonObject:
        """Read the body as a JSON object. PHP reads anything else, an empty or broken body too, as no input at all."""
        try:
            data: Any = json.loads(self.body, parse_constant=_finite, parse_float=_finite)
            if b"\\u" in self.body:
                json.dumps(data, ensure_ascii=False).encode()  # PHP refuses half of a surrogate pair
        except (ValueError, RecursionError):
            return {}
        return data if is_object(data) else {}

    def link(self, changes: Mapping[str, str]) -> str:
        """Return this request's URL with other query values, blanks as %20."""
        query = {**self.query, **changes}
        text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query.items())
        return f"{self.origin}{self.path}?{text}"


def _finite(text: str) -> float:
    """Read a number; NaN, Infinity and numbers too large for a float make the body unreadable."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no JSON number")
    return number


async def _body(request: Request, most: int) -> bytes | None:
    """Read a body of at most `most` bytes; None for a longer one, which is read to its end but not kept."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
        else:
            parts.clear()
    return b"".join(parts) if size <= most else None


async def read(scope: Scope, receive: Receive, most: int) -> Incoming | None:
    """Read a request with at most `most` bytes of body; None when the client went away before it was complete."""
    request = Request(scope, receive)
    try:
        body = await _body(request, most)
    except ClientDisconnect:
        return None
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.partition(b"?")[0].decode("ascii", "replace")
    segments = tuple(unquote(part) for part in path.strip("/").split("/")) if path.strip("/") else ()
    prefixed = segments[:1] == (BASE,)
    text = scope.get("query_string", b"").decode("ascii", "replace")
    client = scope.get("client")
    return Incoming(
        method=scope["method"],
        path=path,
        segments=segments[1:] if prefixed else segments,
        prefixed=prefixed,
        query_string=text,
        query=dict(parse_qsl(text.replace("+", "%2B"), keep_blank_values=True)),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body or b"",
        oversize=body is None,
        client=client[0] if client else "in-process",
        origin=f"{scope.get('scheme', 'http')}://{request.headers.get('host', 'sandbox.localhost')}",
    )


@frozen(kw_only=True)
class Reply:
    """What goes back: status, body bytes, headers; and for the statistics, what came of a request in one word."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = field(factory=dict[str, str])
    outcome: str | None = None

    def adding(self, headers: Mapping[str, str]) -> "Reply":
        """Return this reply with more headers; its own win."""
        return evolve(self, headers={**headers, **self.headers})

    def json(self) -> Any:
        """Return the decoded body, None when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    async def send(self, send: Send) -> None:
        """Send it over ASGI, with a Content-Length."""
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.content_type is not None:
            headers.append((b"content-type", self.content_type.encode("latin-1")))
        if self.status not in {204, 304}:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def encode(data: object) -> bytes:
    """Encode JSON the way PHP does: no blanks, non-ASCII escaped."""
    return json.dumps(data, separators=(",", ":")).encode()


def json_reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer with JSON."""
    return Reply(status=status, body=encode(data), headers=dict(headers or {}))


def item(data: object, status: int = 200) -> Reply:
    """Answer with one record in its `data` envelope."""
    return json_reply({"data": data}, status)
