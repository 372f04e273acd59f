"""A small HTTP/1.1 server that costs little: pre-encoded bodies, run in a process of its own.

``python -m benchmarks.server`` prints its URL once it accepts connections; with the path of a PEM file, which holds a
key and its certificates, it serves over TLS. It serves

* ``GET …?page=N``: page N of ``PAGES`` pages of 100 tasks, from :mod:`benchmarks.payload`;
* ``GET …/tasks/ID`` and ``GET …/task``: one task;
* ``GET …/me``, and every other path: one user;
* ``POST …/oauth/token``: the answer of an authority to a token request, after 50 ms;
* ``POST``, ``PUT`` and ``PATCH`` elsewhere: the same task with the title that the JSON body gives it.

A path may begin with settings, each of them optional, in this order:

* ``/delay-50`` answers so many milliseconds later;
* ``/gzip`` compresses what is read, and refuses clients that do not accept it;
* ``/pages-100`` makes it so many pages;
* ``/FIRST/THEN/NAME`` is an authority of its own (:mod:`benchmarks.authority`), made when it is first named, whose
  logins bring tokens of FIRST seconds and whose refreshes bring tokens of THEN. ``GET /FIRST/THEN/NAME/counts`` tells
  what it saw, and other requests below it need one of its tokens. Everywhere else no token is checked, a login brings a
  token that is expired already, and a refresh one of an hour.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import ssl
import sys
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl

from attrs import asdict, frozen

from benchmarks.authority import Authority
from benchmarks.cpu import pin
from benchmarks.payload import TASK, USER, Pages, titled

PAGES = 1_000
TOKEN_DELAY = 0.05

_PATH = re.compile(rb"(?:/delay-(\d+))?(/gzip)?(?:/pages-(\d+))?(/(\d+)/(\d+)/\w+)?([^?]*)\??(.*)")
_PAGE = re.compile(rb"(?:^|&)page=(\d+)")
_WRITES = {b"POST", b"PUT", b"PATCH"}
_ONE_TASK = re.compile(rb"/tasks?/[^/]+$|/task$")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BEARER = re.compile(rb"\r\nauthorization: *bearer +([^\r]*)", re.IGNORECASE)
_ACCEPTS_GZIP = re.compile(rb"\r\naccept-encoding:[^\r]*gzip", re.IGNORECASE)


@frozen(kw_only=True)
class Target:
    """What a request's target asks for.

    Attributes:
        delay: seconds to answer later.
        packed: compress the body.
        pages: how many pages there are.
        authority: the part of the path that names one; empty: none.
        lives: seconds that its tokens live, after a login and after a refresh.
        path: what is left of the path.
        page: number of the page; 0: no page.

    """

    delay: float
    packed: bool
    pages: int
    authority: bytes
    lives: tuple[int, int]
    path: bytes
    page: int


@lru_cache(4_096)
def target_of(text: bytes) -> Target:
    """Return what the target of a request line asks for."""
    found = _PATH.fullmatch(text)
    assert found is not None  # every part may be empty
    delay, packed, pages, authority, first, then, path, query = found.groups()
    page = _PAGE.search(query)
    return Target(
        delay=int(delay or 0) / 1_000,
        packed=packed is not None,
        pages=int(pages or PAGES),
        authority=authority or b"",
        lives=(int(first or 0), int(then or 0)),
        path=path,
        page=int(page[1]) if page else 0,
    )


@frozen
class Answer:
    """A reply to be made and sent so many seconds later."""

    delay: float
    make: Callable[[], bytes]


class Server:
    """Answers requests from what was encoded before."""

    def __init__(self) -> None:
        self.anybody = Authority()
        self.authorities: dict[bytes, Authority] = {}
        self._known: dict[tuple[bytes, bool], Answer] = {}

    def answer(self, head: bytes, body: bytes) -> Answer:
        """Return the reply to a request; ``head`` goes up to the empty line."""
        method, text, _ = head.split(b" ", 2)
        known = self._known.get((text, packs := b"/gzip/" in text and _ACCEPTS_GZIP.search(head) is not None))
        if known is not None and method == b"GET":
            return known
        target = target_of(text)
        authority = self._authority(target)
        if method == b"POST" and target.path.endswith(b"/oauth/token"):
            return token(authority or self.anybody, target.delay, body)
        if authority is not None:
            if target.path == b"/counts":
                return Answer(0.0, partial(reply, json.dumps(asdict(authority.counts)).encode()))
            bearer = _BEARER.search(head)
            if not authority.admits(bearer[1].decode("latin-1") if bearer else ""):
                return Answer(target.delay, partial(reply, b'{"message":"Unauthenticated."}', "401 Unauthorized"))
        if method in _WRITES:
            return Answer(target.delay, partial(written, method, body))
        answer = Answer(target.delay, partial(found if packs or not target.packed else refused, target))
        if method == b"GET" and authority is None and len(self._known) < 4_096:
            self._known[text, packs] = answer
        return answer

    def _authority(self, target: Target) -> Authority | None:
        """Return the authority that a path lies below, None where it lies below none."""
        if not target.authority:
            return None
        if target.authority not in self.authorities:
            self.authorities[target.authority] = Authority(*target.lives)
        return self.authorities[target.authority]


def token(authority: Authority, delay: float, body: bytes) -> Answer:
    """Return the authority's answer to a token request, made up when it is sent."""
    form = dict(parse_qsl(body.decode("latin-1")))
    authority.note(form)

    def make() -> bytes:
        status, content = authority.answer(form)
        return reply(json.dumps(content).encode(), "200 OK" if status == 200 else "400 Bad Request")

    return Answer(delay + TOKEN_DELAY, make)


def written(method: bytes, body: bytes) -> bytes:
    """Return the reply to a write: the task with the title that it was given, 422 without a JSON object."""
    try:
        title = json.loads(body)["title"]
    except (ValueError, KeyError, TypeError):
        return reply(b'{"message":"The given data was invalid."}', "422 Unprocessable Entity")
    return reply(titled(title), "201 Created" if method == b"POST" else "200 OK")


@lru_cache(256)
def found(target: Target) -> bytes:
    """Return the whole reply to a read."""
    if target.page:
        body = pages_of(target.pages).encode(target.page)
    else:
        body = TASK if _ONE_TASK.search(target.path) else USER
    return reply(gzip.compress(body, 6), more="Content-Encoding: gzip\r\n") if target.packed else reply(body)


def refused(_target: Target) -> bytes:
    """Return the reply to who does not accept what would be sent."""
    return reply(b'{"message":"Not Acceptable."}', "406 Not Acceptable")


@cache
def pages_of(total: int) -> Pages:
    """Return the pages of a list that has so many."""
    return Pages(total)


def reply(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    """Return an HTTP/1.1 reply with a JSON body; each of the further header lines ends as all do."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection: requests are answered one after another, in the order in which they came."""

    def __init__(self, server: Server) -> None:
        self._answer = server.answer
        self._later = asyncio.get_running_loop().call_later
        self._transport: Any = None
        self._buffer = b""
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; see asyncio.BaseProtocol."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete; see asyncio.Protocol."""
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        while not self._waits and (end := self._buffer.find(b"\r\n\r\n") + 4) >= 4:
            head, length = self._buffer[:end], 0
            if not head.startswith(b"GET ") and (given := _LENGTH.search(head)):
                length = int(given[1])
            if len(self._buffer) < end + length:
                return
            body, self._buffer = self._buffer[end : end + length], self._buffer[end + length :]
            answer = self._answer(head, body)
            if answer.delay:
                self._waits = True
                self._later(answer.delay, self._send, answer)
            else:
                self._transport.write(answer.make())

    def _send(self, answer: Answer) -> None:
        self._waits = False
        content = answer.make()
        if not self._transport.is_closing():
            self._transport.write(content)
            self._go_on()


async def main(certificate: str | None = None) -> None:
    """Serve on a free port of the loopback interface, over TLS where a certificate is given, until it is ended."""
    pin(-1)
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    # asyncio turns Nagle's algorithm off on sockets that name their protocol only.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = Server()
    serving = await asyncio.get_running_loop().create_server(
        lambda: Connection(server), sock=listener, ssl=context, backlog=4_096
    )
    print(f"http{'s' if context else ''}://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await serving.serve_forever()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a uvloop, where that is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


if __name__ == "__main__":
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
