"""One attempt over HTTP: a prebuilt request in, a reply read to its end out."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, NoReturn, cast

import anyio
import httpx
from attrs import define, evolve, field, frozen

from tallyfy_async.errors import (
    ClientClosedError,
    ConfigurationError,
    DecodeError,
    NotSentError,
    RequestTimeoutError,
    TransportError,
)
from tallyfy_async.protocol.response import Headers, Reply
from tallyfy_async.transport.body import Body
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.exchange import BrokenSourceError, Content, Incoming, Pieces, Progress, Request
from tallyfy_async.transport.foreign import FOREIGN, quiet, translate
from tallyfy_async.transport.hold import keep_hold
from tallyfy_async.transport.incoming import HTTPIncoming, note_reply
from tallyfy_async.transport.pool import KEEPALIVE_EXPIRY, ConnectionPool, shared_ssl_context
from tallyfy_async.transport.shelter import SelfCancelledError, run_in_child

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods that announce also a body that is empty (RFC 9110, section 8.6)."""


def warn_unless_verifying(context: ssl.SSLContext) -> None:
    """Warn of a TLS context that accepts any server."""
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        warnings.warn(
            "ssl_context does not verify the server: anybody on the way can read the tokens", UserWarning, stacklevel=2
        )


def _checked_proxy(proxy: str) -> httpx.Proxy:
    checked = httpx.Proxy(proxy)
    if not checked.url.host:
        raise ValueError
    return checked


class _NoCookies(httpx.Cookies):
    """Keeps none, and looks for none in each reply: one pool serves many users."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


class _CookielessClient(httpx.AsyncClient):
    @property
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: Any) -> None:
        del cookies
        msg = "this client keeps no cookies"
        raise AttributeError(msg)


_NO_COOKIES = _NoCookies()


def asgi_transport(app: Any) -> httpx.AsyncBaseTransport:
    """Return a transport that calls an ASGI application in this process, for tests."""
    return httpx.ASGITransport(app=app)


def build_client(
    *,
    connections: int,
    proxy: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    trust_env: bool = False,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """Return an httpx client that keeps no cookie, follows no redirect and adds no credentials of its own.

    Connections are our own pool's; behind a proxy they are httpx's, with at most ``connections`` of them. The
    environment (proxy variables) counts only with ``trust_env``. Raises ConfigurationError for an unusable proxy.
    """
    if ssl_context is not None:
        warn_unless_verifying(ssl_context)
    own_pool = transport is None and proxy is None and not trust_env
    try:
        client = _CookielessClient(
            transport=ConnectionPool(ssl_context) if own_pool else transport,
            verify=(ssl_context or shared_ssl_context()) if transport is None and not own_pool else True,
            proxy=None if proxy is None else _checked_proxy(proxy),
            trust_env=trust_env,
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEEPALIVE_EXPIRY
            ),
        )
    except (httpx.InvalidURL, ValueError, ImportError):
        msg = "proxy must be a URL such as http://proxy.example:3128 (socks5 needs the package socksio)"
        raise ConfigurationError(msg) from None
    keep_hold(client)
    return client


@define(eq=False)
class _Heads:
    """The headers that were sent last, ready to be sent again: most calls have the same as the one before."""

    _given: tuple[bytes, tuple[tuple[str, str], ...]] = field(default=(b"", ()), init=False, repr=False)
    _made: httpx.Headers = field(factory=httpx.Headers, init=False, repr=False)

    def of(self, headers: tuple[tuple[str, str], ...], url: httpx.URL) -> httpx.Headers:
        host = url.netloc
        if self._given != (host, headers):
            self._made = httpx.Headers([("Host", host.decode("ascii")), *headers])
            self._given = host, headers
        return self._made


def _framing(request: Request) -> tuple[str, str] | None:
    content = request.content
    if content is None:
        return ("Content-Length", "0") if request.method in _WITH_BODY else None
    length = len(content) if isinstance(content, bytes) else content.length
    return ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))


@frozen(kw_only=True)
class HTTPTransport:
    """Performs exchanges through an ``httpx.AsyncClient``, to the configured origins only.

    Attributes:
        client: the httpx client.
        clock: bounds the attempt.
        origins: ``scheme://host[:port]/`` of every server that may see a token.
        owned: whether closing this closes the client.

    """

    client: httpx.AsyncClient = field(repr=False)
    clock: Clock = field(repr=False)
    origins: tuple[str, ...]
    owned: bool = True
    _heads: _Heads = field(factory=_Heads, init=False, repr=False, eq=False)

    async def exchange(self, request: Request, progress: Progress | None = None) -> Reply:
        """Send one request and read its reply to the end, all in a child task; return the reply, whatever its status.

        Raises NotSentError (safe to send again), RequestTimeoutError, another TransportError (the reply was lost),
        DecodeError (a body above ``max_bytes``), ConfigurationError (a URL outside the origins, an illegal header),
        and whatever the source of an upload raises.
        """
        self._check_origin(request)
        with self.clock.timeout(request.timeouts.attempt) as scope:
            try:
                return await run_in_child(partial(self._send, request, progress))
            except SelfCancelledError as error:
                self._told(error, progress)
        if scope.cancelled_caught:
            raise _timed_out(request, progress)
        raise AssertionError  # pragma: no cover - a scope swallows nothing but its own cancellation

    async def open(self, request: Request) -> tuple[Reply, Incoming | None]:
        """Send a request and return its reply without the body, which is still to be read.

        A reply with a status that is no success is read to its end, and nothing is left to read. Raises what
        ``exchange`` raises; DecodeError at once where the body is announced to be above ``max_bytes``.
        """
        self._check_origin(request)
        with self.clock.timeout(request.timeouts.attempt) as scope:
            opened: list[HTTPIncoming] = []
            try:
                reply = await run_in_child(partial(self._open, request, opened))
            except BaseException as error:
                # A native cancellation may strike when the child has done its work: what it opened would be lost.
                for incoming in opened:
                    await incoming.aclose()
                if isinstance(error, SelfCancelledError):
                    self._told(error, None)
                raise
            return reply, opened[0] if opened else None
        if scope.cancelled_caught:
            raise _timed_out(request, None)
        raise AssertionError  # pragma: no cover - as above

    def to_origins(self, origins: tuple[str, ...]) -> HTTPTransport:
        """Return a transport over the same connections that serves other origins."""
        return evolve(self, origins=origins)

    async def aclose(self) -> None:
        """Close the connections, if they are ours."""
        if self.owned:
            await run_in_child(self.client.aclose, shield=True)

    def _check_origin(self, request: Request) -> None:
        if not request.url.startswith(self.origins):
            msg = "refused: the URL lies outside the configured base_url, token_url and refresh_url"
            raise ConfigurationError(msg)

    async def _send(self, request: Request, progress: Progress | None) -> Reply:
        body, started = _Body(request.content), self.clock.monotonic()
        try:
            response = await self.client.send(
                self._prepare(request, body, progress), stream=True, auth=None, follow_redirects=False
            )
            try:
                return self._reply(response, await _read(response, request.max_bytes), started)
            except DecodeError as error:
                note_reply(error, response)
                raise
            finally:
                await response.aclose()
        except FOREIGN as error:
            self._told(error, progress)
        except BrokenSourceError as error:
            failure = error.error
        finally:
            await body.aclose()
        raise failure

    async def _open(self, request: Request, opened: list[HTTPIncoming]) -> Reply:
        started = self.clock.monotonic()
        try:
            raw = self._prepare(request, _Body(request.content), None)
            response = await self.client.send(raw, stream=True, auth=None, follow_redirects=False)
            if response.is_success:
                opened.append(incoming := HTTPIncoming(self, response, request))
                incoming.check_size()
                return self._reply(response, b"", started)
            try:
                return self._reply(response, await _read(response, request.max_bytes), started)
            except DecodeError as error:
                note_reply(error, response)
                raise
            finally:
                await response.aclose()
        except FOREIGN as error:
            self._told(error, None)

    def _told(self, error: Exception, progress: Progress | None) -> NoReturn:
        """Raise our error for a foreign one."""
        if isinstance(error, RuntimeError) and self.client.is_closed:
            msg = "the underlying HTTP client is closed"
            raise ClientClosedError(msg) from None
        raise translate(error, progress) from quiet(error)

    def _prepare(self, request: Request, body: _Body, progress: Progress | None) -> httpx.Request:
        connect = request.timeouts.connect
        timeout = {"connect": connect, "read": None, "write": request.stall, "pool": None}
        extensions: dict[str, Any] = {"timeout": timeout}
        if progress is not None:
            progress.begun = True
            extensions["trace"] = progress.trace
        url, content = httpx.URL(request.url), request.content
        framing = _framing(request)
        headers = self._heads.of(request.headers if framing is None else (*request.headers, framing), url)
        # With its stream and its Host given, httpx has nothing to find out by itself, which would take long.
        if content is None or isinstance(content, bytes):
            stream: httpx.AsyncByteStream = httpx.ByteStream(content or b"")
        else:
            stream = body
        raw = httpx.Request(request.method, url, headers=headers, stream=stream, extensions=extensions)
        if stream is not body:
            raw.read()  # for transports and hooks of the user that look at the content
            raw.stream = body
        return raw

    def _reply(self, response: httpx.Response, content: bytes, started: float) -> Reply:
        return Reply(
            status=response.status_code,
            headers=Headers.of_raw(response.headers.raw),
            content=content,
            elapsed=self.clock.monotonic() - started,
        )


class _Body(httpx.AsyncByteStream):
    """A request body read without a generator, which a cancellation in the middle would leave to the collector."""

    def __init__(self, content: bytes | Content | None) -> None:
        self._content = content
        self._pieces: Pieces | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._content is None or isinstance(self._content, bytes):
            return _Once(self._content)
        self._pieces = self._content.pieces()
        return self._pieces

    async def aclose(self) -> None:
        if self._pieces is not None:
            await self._pieces.aclose()


@define(eq=False)
class _Once(AsyncIterator[bytes]):
    _content: bytes | None

    async def __anext__(self) -> bytes:
        content, self._content = self._content, None
        if content is None:
            raise StopAsyncIteration
        return content


async def _read(response: httpx.Response, limit: int) -> bytes:
    if response.is_stream_consumed:  # a transport of tests answered with a body that httpx has read already
        body = Body(limit, "")
        body.take(response.content)
        return body.whole()
    coding = response.headers.get("Content-Encoding", "")
    length = response.headers.get("Content-Length", "")
    body, stream = Body(limit, coding), cast("httpx.AsyncByteStream", response.stream)
    # Not aiter_bytes, which unpacks a small piece into whatever it likes.
    if not coding and length.isascii() and length.isdigit() and int(length) <= limit:
        async for piece in stream:
            body.take(piece)
    else:
        with anyio.CancelScope() as scope:
            async for piece in stream:
                if not body.take(piece):
                    scope.cancel()  # ends nested generators from within; leaving the loop would abandon them
    piece = b""
    return body.whole()


def _timed_out(request: Request, progress: Progress | None) -> TransportError:
    if progress is not None and not progress.may_have_landed:
        msg = f"no connection within {request.timeouts.attempt:g} s; nothing was sent"
        return NotSentError(msg)
    msg = f"no whole reply within {request.timeouts.attempt:g} s"
    return RequestTimeoutError(msg)
