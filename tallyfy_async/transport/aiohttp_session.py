"""The connections of an aiohttp session as an httpx transport, by way of httpx-aiohttp.

What stands between the two is what a client of writes cannot do without. aiohttp sends a PUT or a DELETE again where
the connection broke, and httpx-aiohttp calls a lost reply a connection that was never made: either would make a write
land twice.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import anyio
import httpx
from httpx_aiohttp import AiohttpTransport

from tallyfy_async.errors import ClientLoopError
from tallyfy_async.transport.exchange import BrokenSourceError
from tallyfy_async.transport.pool import KEEPALIVE_EXPIRY, shared_ssl_context
from tallyfy_async.transport.shelter import LoopGuard, run_in_child

Trace = Callable[[str, Any], Awaitable[None]]

_NEVER_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
)
# What h11 takes, which reads for the other transports.
_LONGEST_LINE = 2**16
# A body up to so many bytes is sent in one piece.
_SHORT = 2**16
# aiohttp would ask for codings that our reader does not know, and name itself.
_OUR_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_watcher: ContextVar[Trace | None] = ContextVar("_watcher", default=None)


class AiohttpPool(httpx.AsyncBaseTransport):
    """Sends requests through an aiohttp session of its own, which is opened by the first one.

    Args:
        ssl_context: for https; the shared verifying one if not given.

    Requests raise httpx's errors, ClientLoopError under trio and in a second event loop, ClientClosedError at the end.

    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context or shared_ssl_context()
        self._guard = LoopGuard()
        self._inner: AiohttpTransport | None = None

    def __repr__(self) -> str:
        return f"<AiohttpPool {'closed' if self._guard.closed else 'open'}>"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on an idle connection, or on a new one; see httpx.AsyncBaseTransport."""
        self._guard.check()
        if self._inner is None:
            self._inner = AiohttpTransport(verify=self._ssl_context, trust_env=False, client=self._open())
        _watcher.set(request.extensions.get("trace"))
        if _is_short(request):
            held = b"".join([piece async for piece in _stream_of(request)])
            response = await self._inner.handle_async_request(_rebuilt(request, content=held))
            response.stream = _Body(_stream_of(response))
            return response
        feed = _Feed(_stream_of(request), request.extensions.get("timeout", {}).get("write"))
        try:
            response = await feed.send(self._inner, _rebuilt(request, stream=feed))
        except BaseException:
            await feed.aclose()
            raise
        response.stream = _Body(_stream_of(response), feed)
        return response

    async def aclose(self) -> None:
        """Close the session with all its connections."""
        self._guard.closed = True
        if self._inner is not None:
            await self._inner.aclose()

    def _open(self) -> aiohttp.ClientSession:
        try:
            # No limit: whoever sends has a slot of the limiter. One more queue would only be one more place to wait.
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_EXPIRY, ssl=self._ssl_context)
        except RuntimeError:  # there is no running event loop of asyncio
            msg = "aiohttp runs on asyncio only: under trio make the client without transport=aiohttp_transport()"
            raise ClientLoopError(msg) from None
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_OUR_HEADERS,
            trust_env=False,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            middlewares=(_sent_once,),
            trace_configs=[_told_to_watcher()],
        )


async def _sent_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request; raise httpx's errors, of which aiohttp knows none that it would try again after."""
    try:
        return await send(request)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = _translated(error)
    raise failure  # out of the reach of aiohttp's own error, which holds the request's headers


def _translated(error: Exception) -> httpx.TransportError:
    name = type(error).__name__
    if isinstance(error, _NEVER_CONNECTED):
        kind = httpx.ConnectTimeout if isinstance(error, TimeoutError) else httpx.ConnectError
        return kind(name)
    if isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientResponseError)):
        return httpx.RemoteProtocolError(name)
    return httpx.ReadError(name)


def _told_to_watcher() -> aiohttp.TraceConfig:
    """Return what tells the trace of a request, in httpcore's words, whether bytes of it may have left."""
    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(_connecting)
    config.on_connection_create_end.append(_connected)
    config.on_connection_reuseconn.append(_connected)
    return config


async def _connecting(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: Any) -> None:
    if (tell := _watcher.get()) is not None:
        await tell("connection.connect_tcp.started", None)


async def _connected(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: Any) -> None:
    if (tell := _watcher.get()) is not None:
        await tell("http11.send_request_headers.started", None)


def _is_short(request: httpx.Request) -> bool:
    """Tell whether the body is announced to be short, or none at all."""
    headers = request.headers
    return "Transfer-Encoding" not in headers and int(headers.get("Content-Length", "0")) <= _SHORT


def _rebuilt(request: httpx.Request, **body: Any) -> httpx.Request:
    """Return a request that httpx-aiohttp understands, and whose headers it may change."""
    return httpx.Request(request.method, request.url, headers=request.headers, extensions=request.extensions, **body)


def _stream_of(message: httpx.Request | httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(message.stream, httpx.AsyncByteStream):
        msg = "a request for an asynchronous transport needs an asynchronous stream"
        raise TypeError(msg)
    return message.stream


class _Feed(httpx.AsyncByteStream):
    """A request body that aiohttp reads in a task of its own.

    Each piece is made in a child of that task, so that a cancellation of it waits for files and generators; a server
    that takes no piece for ``stall`` seconds ends the sending.
    """

    def __init__(self, stream: httpx.AsyncByteStream, stall: float | None) -> None:
        self._pieces: AsyncIterator[bytes] = aiter(stream)
        self._stall = math.inf if stall is None else stall
        self._sending = anyio.CancelScope()
        self._making = anyio.CancelScope()
        self._made = anyio.Event()
        self._made.set()
        self._failure: BrokenSourceError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._sending.deadline = math.inf  # the source takes its time
        self._made = anyio.Event()
        try:
            piece = await run_in_child(self._make)
        except BrokenSourceError as error:
            self._failure = error
            raise
        finally:
            self._made.set()
        if piece is None:
            raise StopAsyncIteration
        self._sending.deadline = anyio.current_time() + self._stall
        return piece

    async def _make(self) -> bytes | None:
        with self._making:
            return await anext(self._pieces, None)
        raise anyio.ClosedResourceError  # not the end: a server must not take half a body for a whole one

    async def send(self, transport: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
        """Send a request with this body; raise WriteTimeout where the server takes no more of it."""
        try:
            with self._sending:
                return await transport.handle_async_request(request)
        except httpx.TransportError:
            if self._failure is None:
                raise
        raise self._failure or httpx.WriteTimeout("the server takes no more of the request")

    async def aclose(self) -> None:
        """Make no more pieces; whoever gave the source may close it now."""
        self._making.cancel()
        with anyio.CancelScope(shield=True):
            await self._made.wait()


class _Body(httpx.AsyncByteStream):
    """A reply's body; a body that is cut raises ReadError, and no other error of httpx's."""

    def __init__(self, stream: httpx.AsyncByteStream, feed: _Feed | None = None) -> None:
        self._stream = stream
        self._chunks: Any = aiter(stream)  # an asynchronous generator, which httpx-aiohttp calls an iterator
        self._feed = feed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await anext(self._chunks)
        except (httpx.TransportError, aiohttp.ClientError, OSError) as error:
            failure = httpx.ReadError(type(error.__cause__ or error).__name__)
        else:
            return chunk
        raise failure

    async def aclose(self) -> None:
        """Give the connection back, or drop it where the body was not read to its end."""
        try:
            try:
                await self._chunks.aclose()
            finally:
                await self._stream.aclose()
        finally:
            if self._feed is not None:
                await self._feed.aclose()
