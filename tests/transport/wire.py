"""Servers that speak raw bytes, or TLS, each in a thread of its own."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import trustme
import uvicorn
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.from_thread import start_blocking_portal

from tallyfy_async.sandbox import Sandbox
from tallyfy_async.sandbox.server import listening_socket


class RawServer:
    """Answers every request with the same bytes and keeps what it received."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.received: list[bytes] = []
        self.url = ""

    async def run(self, *, task_status: TaskStatus[int]) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listener:
            task_status.started(listener.extra(SocketAttribute.local_port))
            await listener.serve(self._serve)

    async def _serve(self, client: SocketStream) -> None:
        async with client:
            request = b""
            while not _is_whole(request):
                try:
                    request += await client.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
            self.received.append(request)
            await client.send(self.answer)


def _is_whole(request: bytes) -> bool:
    """Tell whether the body has come too: closing a connection with something unread on it would reset it."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


@contextmanager
def raw_server(answer: bytes) -> Iterator[RawServer]:
    """Run a server that answers with these bytes and closes the connection."""
    server = RawServer(answer)
    with start_blocking_portal("asyncio") as portal:
        running, port = portal.start_task(server.run)
        server.url = f"http://127.0.0.1:{port}"
        try:
            yield server
        finally:
            running.cancel()


@contextmanager
def tls_server(sandbox: Sandbox, authority: trustme.CA, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve the sandbox over TLS with a certificate for ``host``; yield the base URL."""
    listener = listening_socket("127.0.0.1", 0)
    config = uvicorn.Config(sandbox.app, lifespan="off", ws="none", log_config=None, log_level="critical")
    config.load()
    config.ssl = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.002)
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/api"
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()
