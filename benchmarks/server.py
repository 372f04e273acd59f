"""A small HTTP/1.1 server that costs little: pre-encoded pages and tokens, run in a process of its own.

``python -m benchmarks.server`` prints its URL once it accepts connections. It serves

* ``GET …?page=N``: page N of ``PAGES`` pages of 100 tasks, from :mod:`benchmarks.payload`;
* ``GET …/me``: one user;
* ``POST …``: the answer of an authority to a token request, after 50 ms.

Below ``/FIRST/THEN/NAME`` lives an authority of its own (:mod:`benchmarks.authority`), made when it is first named,
whose logins bring tokens of FIRST seconds and whose refreshes bring tokens of THEN. ``GET /FIRST/THEN/NAME/counts``
tells what it saw, and other requests below it need one of its tokens. Everywhere else no token is checked, a login
brings a token that is expired already, and a refresh one of an hour.
"""

from __future__ import annotations

import json
import re
import socket
from urllib.parse import parse_qsl

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import asdict

from benchmarks.authority import Authority
from benchmarks.payload import USER, Pages

PAGES = 1_000
TOKEN_DELAY = 0.05

_PAGE = re.compile(rb"[?&]page=(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BEARER = re.compile(rb"\r\nauthorization: *bearer +([^\r]*)", re.IGNORECASE)
_AUTHORITY = re.compile(rb"/(\d+)/(\d+)/\w+")


class Server:
    """Answers requests from what was encoded before."""

    def __init__(self) -> None:
        self.pages = Pages(PAGES)
        self.anybody = Authority()
        self.authorities: dict[bytes, Authority] = {}

    async def serve(self, stream: SocketStream) -> None:
        """Answer the requests of one connection, one after another, until the client leaves."""
        stream.extra(SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming = BufferedByteReceiveStream(stream)
        try:
            async with stream:
                while True:
                    head = await incoming.receive_until(b"\r\n\r\n", 65_536)
                    length = _LENGTH.search(head)
                    body = await incoming.receive_exactly(int(length[1])) if length else b""
                    await stream.send(await self.answer(head, body))
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def answer(self, head: bytes, body: bytes) -> bytes:
        """Return the whole reply to a request."""
        method, target, _ = head.split(b" ", 2)
        authority = self.authority(target)
        if method == b"POST":
            return await token(authority or self.anybody, body)
        if authority is not None:
            if target.endswith(b"/counts"):
                return reply(json.dumps(asdict(authority.counts)).encode())
            bearer = _BEARER.search(head)
            if not authority.admits(bearer[1].decode("latin-1") if bearer else ""):
                return reply(b'{"message":"Unauthenticated."}', "401 Unauthorized")
        if page := _PAGE.search(target):
            return reply(self.pages.encode(int(page[1])))
        return reply(USER)

    def authority(self, target: bytes) -> Authority | None:
        """Return the authority that a path lies below, None where it lies below none."""
        named = _AUTHORITY.match(target)
        if named is None:
            return None
        if named[0] not in self.authorities:
            self.authorities[named[0]] = Authority(int(named[1]), int(named[2]))
        return self.authorities[named[0]]


async def token(authority: Authority, body: bytes) -> bytes:
    """Return the authority's answer to a token request, after a while."""
    form = dict(parse_qsl(body.decode("latin-1")))
    authority.note(form)
    await anyio.sleep(TOKEN_DELAY)
    status, content = authority.answer(form)
    return reply(json.dumps(content).encode(), "200 OK" if status == 200 else "400 Bad Request")


def reply(body: bytes, status: str = "200 OK") -> bytes:
    """Return an HTTP/1.1 reply with a JSON body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def main() -> None:
    """Serve on a free port of the loopback interface."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    print(f"http://127.0.0.1:{port}", flush=True)
    await listener.serve(Server().serve)


if __name__ == "__main__":
    try:
        anyio.run(main)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
