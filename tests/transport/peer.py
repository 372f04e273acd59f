"""A server whose every step a test decides: it reads as much of a request as it likes and answers when it likes."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream
from attrs import define, field

_GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, h11.RemoteProtocolError)
TOKEN = {"access_token": "secret-1", "token_type": "Bearer", "expires_in": 3600}


@define(eq=False)
class Peer:
    """The server's end of one connection."""

    stream: ByteStream
    server: PeerServer
    _state: h11.Connection = field(factory=lambda: h11.Connection(h11.SERVER))

    async def event(self) -> Any:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            try:
                self._state.receive_data(await self.stream.receive())
            except anyio.EndOfStream:
                self._state.receive_data(b"")
        return event

    async def head(self) -> h11.Request | None:
        """Return the next request without its body, None where the client has gone."""
        if self._state.our_state is h11.DONE:
            await self.body()
            if self._state.their_state is not h11.DONE:
                return None
            self._state.start_next_cycle()
        event = await self.event()
        return event if isinstance(event, h11.Request) else None

    async def body(self, at_least: int | None = None) -> bytes:
        """Read the rest of the body, or as much as is wanted."""
        pieces: list[bytes] = []
        while self._state.their_state is h11.SEND_BODY and (at_least is None or sum(map(len, pieces)) < at_least):
            event = await self.event()
            if not isinstance(event, h11.Data):
                break
            pieces.append(bytes(event.data))
        return b"".join(pieces)

    async def answer(self, status: int, content: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> None:
        """Send a whole reply."""
        await self.begin(status, [("Content-Length", str(len(content))), *headers])
        await self.send(content)
        await self.raw(self._state.send(h11.EndOfMessage()))

    async def tell(self, payload: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Send a whole reply in JSON."""
        await self.answer(status, json.dumps(payload).encode(), [("Content-Type", "application/json"), *headers])

    async def begin(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        await self.raw(self._state.send(h11.Response(status_code=status, headers=list(headers))))

    async def send(self, content: bytes) -> None:
        await self.raw(self._state.send(h11.Data(data=content)))

    async def raw(self, data: bytes | None) -> None:
        if data:
            await self.stream.send(data)


Handler = Callable[[Peer, h11.Request], Awaitable[None]]


@define(eq=False)
class PeerServer:
    """Hands every request to ``handler`` but those for tokens; a handler that returns leaves the connection open."""

    handler: Handler
    tls: ssl.SSLContext | None = None
    url: str = ""
    connections: int = 0
    open: int = 0
    heads: list[h11.Request] = field(factory=list[h11.Request])
    problems: list[BaseException] = field(factory=list[BaseException])
    started: threading.Event = field(factory=threading.Event)
    stopped: threading.Event = field(factory=threading.Event)

    def seen(self, method: str) -> list[dict[str, str]]:
        """Return the headers of the requests with a method that came in, tokens apart."""
        return [
            {name.decode(): value.decode() for name, value in head.headers}
            for head in self.heads
            if head.method == method.encode()
        ]

    async def run(self) -> None:
        """Serve until ``stopped``. Run by trio, which reads when it is told to, and not ahead."""
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            # A server far away does not swallow megabytes that nobody reads.
            listener.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
            scheme = "http" if self.tls is None else "https"
            self.url = f"{scheme}://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/api"
            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, self._serve)
                self.started.set()
                while not self.stopped.is_set():  # noqa: ASYNC110 - the other side is a thread
                    await anyio.sleep(0.01)
                group.cancel_scope.cancel()

    async def _serve(self, client: SocketStream) -> None:
        self.connections += 1
        self.open += 1
        try:
            async with client:
                stream: ByteStream = client
                if self.tls is not None:
                    stream = await TLSStream.wrap(
                        client, ssl_context=self.tls, server_side=True, standard_compatible=False
                    )
                await self._talk(Peer(stream, self))
        except (
            OSError,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            anyio.EndOfStream,
            h11.RemoteProtocolError,
        ):
            pass  # the client has gone, as many tests want it to
        except Exception as error:  # noqa: BLE001 - told to the test
            self.problems.append(error)
        finally:
            self.open -= 1

    async def _talk(self, peer: Peer) -> None:
        while (head := await peer.head()) is not None:
            if head.target.endswith(b"/oauth/token"):
                await peer.body()
                await peer.tell({**TOKEN, "access_token": f"secret-{self.connections}-{len(self.heads)}"})
                continue
            self.heads.append(head)
            await self.handler(peer, head)


@contextmanager
def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[PeerServer]:
    """Run a server in a thread of its own."""
    server = PeerServer(handler, tls)
    thread = threading.Thread(target=partial(anyio.run, server.run, backend="trio"), daemon=True)
    thread.start()
    assert server.started.wait(10)
    try:
        yield server
    finally:
        server.stopped.set()
        thread.join(10)
    assert not server.problems, server.problems
