"""The connection pool: a free list of connections for each origin, last used first.

httpx's own pool walks all connections whenever a request comes or goes, and loses slots and descriptors for good where
a request is cancelled while its connection is made. This one keeps hold of every connection from before it is made
until it is closed, takes constant time a request, and leaves the number of connections to the limiter in front of it:
there are never more than exchanges were under way at once.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from functools import cache
from types import TracebackType
from typing import Any, Self, cast

import anyio
import httpcore
import httpx
from anyio.lowlevel import checkpoint_if_cancelled
from attrs import define, field

from tallyfy_async.transport.duplex import DuplexStream

# Below the 5 s after which common servers close an idle connection: a write on a connection that the server is just
# closing has an unknown outcome.
KEEPALIVE_EXPIRY = 4.0

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


class ConnectionPool(httpx.AsyncBaseTransport):
    """Keeps HTTP/1.1 connections for reuse.

    Args:
        ssl_context: for https; the shared verifying one if not given.

    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._backend = _Backend()
        self._idle: dict[str, list[httpcore.AsyncHTTPConnection]] = {}
        self._busy: set[httpcore.AsyncHTTPConnection] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<ConnectionPool {self.busy} connections busy, {self.idle} idle>"

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return sum(map(len, self._idle.values()))

    @property
    def busy(self) -> int:
        """Connections with an exchange under way."""
        return len(self._busy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on an idle connection, or on a new one; see httpx.AsyncBaseTransport."""
        with _mapped:
            core = _core_request(request)
            while True:
                connection = await self._take(core.url.origin)
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
                        stream=_Body(self, connection, core.url.origin, response.stream),
                        extensions=cast("Any", response).extensions,  # httpcore types it as half unknown
                    )

    async def aclose(self) -> None:
        """Close all idle connections; busy ones are closed when their exchange ends."""
        self._closed = True
        connections = [connection for idle in self._idle.values() for connection in idle]
        self._idle.clear()
        for connection in connections:
            await _close(connection)

    async def release(self, connection: httpcore.AsyncHTTPConnection, origin: httpcore.Origin) -> None:
        """Take a connection back whose exchange has ended, and close one that nobody has used for long."""
        if self._closed or not connection.is_idle():
            await self._drop(connection)
            return
        self._busy.discard(connection)
        idle = self._idle.setdefault(str(origin), [])
        idle.append(connection)
        if idle[0].has_expired():
            await _close(idle.pop(0))

    async def _take(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        idle = self._idle.get(str(origin))
        while idle:
            connection = idle.pop()
            if not connection.has_expired():
                self._busy.add(connection)
                return connection
            await _close(connection)
        connection = httpcore.AsyncHTTPConnection(
            origin,
            ssl_context=self._ssl_context or (shared_ssl_context() if origin.scheme == b"https" else None),
            keepalive_expiry=KEEPALIVE_EXPIRY,
            network_backend=self._backend,
        )
        self._busy.add(connection)
        return connection

    async def _drop(self, connection: httpcore.AsyncHTTPConnection) -> None:
        self._busy.discard(connection)
        await _close(connection)


def _core_request(request: httpx.Request) -> httpcore.Request:
    url = request.url
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    return httpcore.Request(
        request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions
    )


async def _close(connection: httpcore.AsyncHTTPConnection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.aclose()


@define(eq=False)
class _Body(httpx.AsyncByteStream):
    """A reply's body; closing it gives the connection back."""

    _pool: ConnectionPool
    _connection: httpcore.AsyncHTTPConnection
    _origin: httpcore.Origin
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
        with anyio.CancelScope(shield=True):
            try:
                await self._stream.aclose()
            finally:
                await self._pool.release(self._connection, self._origin)


class _Backend(httpcore.AsyncNetworkBackend):
    """anyio's sockets, for asyncio and trio; unlike httpcore's, they are not forgotten when a cancellation strikes."""

    def __init__(self) -> None:
        # httpcore names the class under a condition that type checkers cannot see through.
        self._inner: httpcore.AsyncNetworkBackend = cast("Any", httpcore).AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = DuplexStream(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options))
        try:
            await checkpoint_if_cancelled()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise
        return stream

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def keep_hold(client: httpx.AsyncClient) -> None:
    """Give httpx's own pools, which serve where proxies may be in between, the sockets of ours.

    httpcore 1.0.9 forgets a connection, and its slot in the pool for good, where a request is cancelled between the end
    of connecting and its first step, and leaves the descriptor open where a TLS handshake is cancelled. Our sockets let
    a cancellation strike before they are handed over, and are closed then. httpx has no seam for this, so it reaches
    into its transports; what is none of httpx's is left alone.
    """
    for transport in (vars(client)["_transport"], *vars(client)["_mounts"].values()):
        pool = vars(transport).get("_pool") if isinstance(transport, httpx.AsyncHTTPTransport) else None
        if isinstance(pool, httpcore.AsyncConnectionPool):
            vars(pool)["_network_backend"] = _Backend()
