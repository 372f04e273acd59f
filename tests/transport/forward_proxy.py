"""A forward proxy, as companies have them: tunnels for https, whole URLs in the request line for http."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.from_thread import start_blocking_portal
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define

from tallyfy_async.sandbox.wire import Head, MalformedMessageError, buffered, read_body, read_head, read_reply

_GONE = (
    OSError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    MalformedMessageError,
)


@define(eq=False)
class ForwardProxy:
    """Counts what it lets through."""

    url: str = ""
    requests: int = 0
    tunnels: int = 0
    open: int = 0

    async def run(self, *, task_status: TaskStatus[int]) -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            task_status.started(listener.extra(SocketAttribute.local_port))
            await listener.serve(self._serve)

    async def _serve(self, client: SocketStream) -> None:
        self.open += 1
        try:
            async with client:
                with contextlib.suppress(*_GONE):
                    await self._begin(client)
        finally:
            self.open -= 1

    async def _begin(self, client: SocketStream) -> None:
        requests = buffered(client)
        head = await read_head(requests)
        if head is None:
            return
        target = head.words[1] if head.words[0] == "CONNECT" else urlsplit(head.words[1]).netloc
        host, _, port = target.rpartition(":")
        async with await anyio.connect_tcp(host, int(port)) as server:
            if head.words[0] == "CONNECT":
                self.tunnels += 1
                await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _tunnel(client, server)
            else:
                await self._forward(client, server, requests, head)

    async def _forward(
        self, client: SocketStream, server: SocketStream, requests: BufferedByteReceiveStream, head: Head | None
    ) -> None:
        replies = buffered(server)
        while head is not None:
            self.requests += 1
            url = urlsplit(head.words[1])
            raw = head.raw.replace(f"{url.scheme}://{url.netloc}".encode(), b"", 1)
            await server.send(raw + await read_body(requests, head))
            reply = await read_reply(replies, head.words[0])
            if reply is None:
                return
            await client.send(reply[0].raw + reply[1])
            head = await read_head(requests)


async def _tunnel(client: SocketStream, server: SocketStream) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_pass, client, server, group.cancel_scope)
        group.start_soon(_pass, server, client, group.cancel_scope)


async def _pass(source: SocketStream, sink: SocketStream, scope: anyio.CancelScope) -> None:
    with contextlib.suppress(*_GONE):
        async for data in source:
            await sink.send(data)
    scope.cancel()


@contextlib.contextmanager
def forward_proxy() -> Iterator[ForwardProxy]:
    """Run a proxy in a thread of its own."""
    proxy = ForwardProxy()
    with start_blocking_portal("asyncio") as portal:
        running, port = portal.start_task(proxy.run)
        proxy.url = f"http://127.0.0.1:{port}"
        try:
            yield proxy
        finally:
            running.cancel()
