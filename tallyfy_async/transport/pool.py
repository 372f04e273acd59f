"""The connection pool: a free list of connections for each origin, last used first.

httpx's own pool walks all connections whenever a request comes or goes, and loses slots and descriptors for good where
a request is cancelled while its connection is made. This one keeps hold of every connection from before it is made
until it is closed, takes constant time a request, and leaves the number of connections to the limiter in front of it:
there are never more than exchanges were under way at once.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator
from functools import cache
from types import TracebackType
from typing import Any, Self, cast

import anyio
import httpcore
import httpx
from attrs import define, field

from tallyfy_async.transport.sockets import SocketBackend

# Below the 5 s after which common servers close an idle connection: a write on a connection that the server is just
# closing has an unknown outcome.
KEEPALIVE_EXPIRY = 4.0

_Place = tuple[bytes, bytes, int | None]
"""Scheme, host and port of a server."""

_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
}


@cache
def shared_ssl_context() -> ssl.SSLContext:
    """Return the verifying TLS context that all clients of this process share."""
    return httpx.create_ssl_context(trust_env=False)


class _Mapped:
    """Raises httpcore's errors as httpx's, which is what every httpx transport promises."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        known = _ERRORS.get(kind) if kind is not None else None  # type: ignore[arg-type]  # a lookup, whatever the kind
        if known is not None:
            raise known(str(error)) from error


_mapped = _Mapped()


class _Connection(httpcore.AsyncHTTP11Connection):
    READ_NUM_BYTES = 2**18
    """A page of 100 tasks in one read, where asyncio has it all; httpcore's own 64 KiB cut it in three."""


class ConnectionPool(httpx.AsyncBaseTransport):
    """Keeps HTTP/1.1 connections for reuse.

    Args:
        ssl_context: for https; the shared verifying one if not given.

    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._backend = SocketBackend()
        self._idle: dict[_Place, deque[_Connection]] = {}
        self._busy = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<ConnectionPool {self.busy} connections busy, {self.idle} idle>"

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return sum(map(len, self._idle.values()))

    @property
    def busy(self) -> int:
        """Connections with an exchange under way, those that are being made included."""
        return self._busy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on an idle connection, or on a new one; see httpx.AsyncBaseTransport."""
        with _mapped:
            core = _core_request(request)
            place = core.url.scheme, core.url.host, core.url.port
            while True:
                connection = await self._take(place, core)
                try:
                    response = await connection.handle_async_request(core)
                except httpcore.ConnectionNotAvailable:  # closed by the server between the look and the use
                    await self._drop(connection)
                except BaseException:
                    await self._drop(connection)
                    raise
                else:
                    return httpx.Response(
                        status_code=response.status,
                        headers=response.headers,
                        stream=_Body(self, connection, place, response.stream),
                        extensions=cast("Any", response).extensions,  # half unknown, too
                    )

    async def aclose(self) -> None:
        """Close all idle connections; busy ones are closed when their exchange ends."""
        self._closed = True
        connections = [connection for idle in self._idle.values() for connection in idle]
        self._idle.clear()
        for connection in connections:
            await _close(connection)

    async def release(self, connection: _Connection, place: _Place) -> None:
        """Take a connection back whose exchange has ended, and close one that nobody has used for long."""
        if self._closed or not connection.is_idle():
            await self._drop(connection)
            return
        self._busy -= 1
        idle = self._idle.setdefault(place, deque())
        idle.append(connection)
        if len(idle) > 1 and idle[0].has_expired():
            await _close(idle.popleft())

    async def _take(self, place: _Place, request: httpcore.Request) -> _Connection:
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop()
            if not connection.has_expired():
                self._busy += 1
                return connection
            await _close(connection)
        self._busy += 1
        try:
            return await self._connect(request)
        except BaseException:
            self._busy -= 1
            raise

    async def _connect(self, request: httpcore.Request) -> _Connection:
        """Make a connection that is ready for a request.

        httpcore's own AsyncHTTPConnection does so, too, and takes a lock and compares origins at every request.
        """
        origin = request.url.origin
        told: dict[str, Any] = cast("Any", request).extensions  # httpcore types it as half unknown
        if (trace := told.get("trace")) is not None:
            await trace("connection.connect_tcp.started", {})  # whoever watches learns that nothing was sent yet
        host, seconds = origin.host.decode("ascii"), told["timeout"]["connect"]
        stream = await self._backend.connect_tcp(host, origin.port, seconds)
        if origin.scheme == b"https":
            stream = await stream.start_tls(self._context, told.get("sni_hostname") or host, seconds)
        return _Connection(origin, stream, KEEPALIVE_EXPIRY)

    @property
    def _context(self) -> ssl.SSLContext:
        context = self._ssl_context or shared_ssl_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def _drop(self, connection: _Connection) -> None:
        self._busy -= 1
        await _close(connection)


def _core_request(request: httpx.Request) -> httpcore.Request:
    url = request.url
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    return httpcore.Request(
        request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions
    )


async def _close(connection: _Connection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.aclose()


@define(eq=False)
class _Body(httpx.AsyncByteStream):
    """A reply's body; closing it gives the connection back."""

    _pool: ConnectionPool
    _connection: _Connection
    _place: _Place
    _stream: Any  # httpcore names its type in no public place
    _chunks: AsyncIterator[bytes] | None = field(default=None, init=False)
    _released: bool = field(default=False, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with _mapped:
            if self._chunks is None:
                self._chunks = aiter(self._stream)
            return await anext(self._chunks)

    async def aclose(self) -> None:
        if self._released:
            return
        self._released = True
        try:
            await self._stream.aclose()
        finally:
            await self._pool.release(self._connection, self._place)
