"""A small HTTP/1.1 server that costs little: pre-encoded pages and tokens, run in a process of its own.

``python -m benchmarks.server`` prints its URL once it accepts connections. It serves

* ``GET …?page=N``: page N of ``PAGES`` pages of 100 tasks, from :mod:`benchmarks.payload`;
* ``GET …/me``: one user;
* ``POST …``: a token after 50 ms: one that is expired already for a login, one that lives an hour for a refresh.
  ``GET …/refreshes`` returns how many refreshes there were.
"""

from __future__ import annotations

import json
import re
import socket

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from benchmarks.payload import USER, Pages

PAGES = 1_000
TOKEN_DELAY = 0.05

_PAGE = re.compile(rb"[?&]page=(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Server:
    """Answers requests from what was encoded before."""

    def __init__(self) -> None:
        self.pages = Pages(PAGES)
        self.refreshes = 0

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
        if method == b"POST":
            return await self.token(body)
        if target.endswith(b"/refreshes"):
            return reply(json.dumps(self.refreshes).encode())
        if page := _PAGE.search(target):
            return reply(self.pages.encode(int(page[1])))
        return reply(USER)

    async def token(self, body: bytes) -> bytes:
        """Return a token, after a while."""
        await anyio.sleep(TOKEN_DELAY)
        refreshing = b"grant_type=refresh_token" in body
        self.refreshes += refreshing
        life = 3_600 if refreshing else 0
        token = {"access_token": "a" * 900, "refresh_token": "r" * 600, "token_type": "Bearer", "expires_in": life}
        return reply(json.dumps(token).encode())


def reply(body: bytes) -> bytes:
    """Return an HTTP/1.1 reply with a JSON body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
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
