"""The little HTTP that the loopback receiver speaks: what it reads, and the pages that it answers. No I/O.

Nothing of a request ever reaches a page, and nothing here raises where a local variable holds an answer in the clear.
"""

from __future__ import annotations

import html
import re
import secrets
from http import HTTPStatus
from urllib.parse import parse_qsl

from attrs import field, frozen

from tallyfy_async.protocol.redaction import Secret

MAX_HEAD = 2**15
"""Bytes of request line and headers: browsers send every cookie of 127.0.0.1, whatever its port."""
MAX_BODY = 2**15
_MAX_FIELDS = 64
_REQUEST_LINE = re.compile(r"([A-Z]{3,10}) (/[!-~]*) HTTP/1\.[01]")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_ANSWERS = frozenset({"code", "access_token", "error"})
# Two readers may read two of these in two ways.
_SINGLE = frozenset({"host", "origin", "content-length"})
_LENGTH = re.compile(r"[0-9]{1,9}")

RECEIVED = "Tallyfy's answer has arrived. You can close this window."
REFUSED = "Tallyfy did not let you in. You can close this window; the program that started the login tells more."
FOREIGN = "This answer does not belong to the login that is waiting here. Start the login again."
EMPTY = "Nothing was handed over. Start the login again."
_RELAYING = "Handing Tallyfy's answer over to the program on your computer…"

_CLEAR = 'history.replaceState(null, "", location.pathname);'
# The fragment of an address stays in the browser, so a script has to bring it (seed 003).
_RELAY = (
    "const answer = location.hash.slice(1), here = location.pathname + location.search;\n"
    f"{_CLEAR}\n"
    'const tell = text => { document.querySelector("p").textContent = text; };\n'
    'const headers = {"Content-Type": "application/x-www-form-urlencoded"};\n'
    'fetch(here, {method: "POST", headers: headers, body: answer}).then(reply => reply.text())\n'
    '  .then(tell, () => tell("The program on your computer does not listen any more. Start the login again."));'
)


@frozen(kw_only=True)
class Request:
    """A request without its body.

    Attributes:
        method: as sent.
        path: of the address, without the query.
        query: what follows the question mark; it may hold a code.
        host: the Host header.
        origin: the Origin header, None where there is none.
        length: bytes of the body, None where the request does not tell or tells nonsense.

    """

    method: str
    path: str
    query: Secret
    host: str
    origin: str | None
    length: int | None


@frozen(kw_only=True)
class Page:
    """An answer.

    Attributes:
        status: HTTP status code.
        text: the one sentence of the page.
        script: what the page does beside.
        plain: send the sentence alone, for a script to show.

    """

    status: int
    text: str
    script: str = _CLEAR
    plain: bool = False

    def encode(self) -> bytes:
        """Return the whole reply. The script carries a nonce; nothing else runs, loads, frames or is kept."""
        nonce = secrets.token_urlsafe(16)
        body = (self.text if self.plain else self._html(nonce)).encode()
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        head = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Content-Type: text/{'plain' if self.plain else 'html'}; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",
            f"Content-Security-Policy: {policy}",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
            *(["Allow: GET, POST"] if self.status == HTTPStatus.METHOD_NOT_ALLOWED else []),
        ]
        return "\r\n".join([*head, "", ""]).encode("ascii") + body

    def _html(self, nonce: str) -> str:
        return (
            '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Tallyfy login</title>'
            '<link rel="icon" href="data:,"></head>\n'
            f"<body>\n<h1>Tallyfy login</h1>\n<p>{html.escape(self.text)}</p>\n"
            f'<script nonce="{nonce}">\n{self.script}\n</script>\n</body>\n</html>\n'
        )


RELAY = Page(status=200, text=_RELAYING, script=_RELAY)


@frozen(kw_only=True)
class Desk:
    """The place where the answer is handed in.

    Attributes:
        base: ``http://host:port``, as browsers write it.
        path: of the redirect URI.
        relays: whether the answer may stand in the fragment (implicit flow).

    """

    base: str
    path: str
    relays: bool = field(default=False)

    def judge(self, request: Request) -> Secret | Page | None:
        """Return the redirect that a request brings, the page that it gets instead, or None to go on with its body."""
        if f"http://{request.host}" != self.base:  # a page that rebound its own name to 127.0.0.1
            return refuse(421)
        if request.path != self.path:
            return refuse(404)
        if request.method == "POST" and self.relays:
            return self._judge_relay(request)
        if request.method != "GET":
            return refuse(405)
        if _brings_answer(request.query):
            return Secret(f"{self.base}{self.path}?{request.query.reveal()}")
        return RELAY if self.relays else Page(status=400, text=EMPTY)

    def _judge_relay(self, request: Request) -> Page | None:
        if request.origin != self.base:
            return refuse(403)
        if request.length is None:
            return refuse(411)
        return None if request.length <= MAX_BODY else refuse(413)

    def judge_body(self, request: Request, body: bytes) -> Secret | Page:
        """Return the redirect whose fragment a relaying page has posted, or the page that it gets instead."""
        fragment = Secret(body.decode("latin-1"))
        if not _brings_answer(fragment):
            return Page(status=400, text=EMPTY, plain=True)
        query = f"?{request.query.reveal()}" if request.query.reveal() else ""
        return Secret(f"{self.base}{self.path}{query}#{fragment.reveal()}")


def refuse(status: int) -> Page:
    """Return the page of a plain refusal."""
    return Page(status=status, text=HTTPStatus(status).phrase)


def thank(redirect: Secret, *, plain: bool) -> Page:
    """Return the page for an answer that is accepted, be it a refusal by the server or the user."""
    denied = "error" in _names("&".join(re.split("[?#]", redirect.reveal())[1:]))
    return Page(status=200, text=REFUSED if denied else RECEIVED, plain=plain)


def read_head(head: bytes) -> Request | None:
    """Return the request that request line and headers make, None for anything that is not plain HTTP/1."""
    first, *lines = head.decode("latin-1").split("\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    fields = [_HEADER.fullmatch(text) for text in lines]
    if line is None or len(fields) > _MAX_FIELDS:
        return None
    headers: dict[str, str] = {}
    for match in fields:
        if match is None or (match[1].lower() in headers and match[1].lower() in _SINGLE):
            return None
        headers[match[1].lower()] = match[2]
    if "host" not in headers or "transfer-encoding" in headers:
        return None
    path, _, query = line[2].partition("?")
    length = headers.get("content-length", "")
    return Request(
        method=line[1],
        path=path,
        query=Secret(query),
        host=headers["host"].lower(),
        origin=headers.get("origin"),
        length=int(length) if _LENGTH.fullmatch(length) else None,
    )


def _brings_answer(parameters: Secret) -> bool:
    return not _ANSWERS.isdisjoint(_names(parameters.reveal()))


def _names(parameters: str) -> set[str]:
    try:
        return {name for name, _ in parse_qsl(parameters, keep_blank_values=True, max_num_fields=_MAX_FIELDS)}
    except ValueError:
        return set()
