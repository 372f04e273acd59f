"""One attempt over HTTP: a prebuilt request in, a reply read to its end out."""

from __future__ import annotations

import ssl
import warnings
from functools import cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

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
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.shelter import run_in_child

# Below the 5 s after which common servers close an idle connection: a write on a connection that the server is just
# closing has an unknown outcome.
_KEEPALIVE_EXPIRY = 4.0

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_UNUSABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol)


@frozen(kw_only=True)
class Timeouts:
    """Bounds of one attempt in seconds.

    Attributes:
        attempt: the whole exchange, body included.
        connect: opening the connection, TLS included.

    """

    attempt: float = 30.0
    connect: float = 10.0


@frozen(kw_only=True)
class Request:
    """One request, ready to be sent. ``url`` is absolute; ``headers`` carry the token and stay out of the repr."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    timeouts: Timeouts
    max_bytes: int = 256 * 2**20


@define
class Progress:
    """How far an exchange got. Watched for writes only, by httpcore's trace events.

    Attributes:
        begun: the request was handed to the HTTP client.
        traced: the transport reports its steps, so that ``sent`` can be believed when it is False.
        sent: bytes of the request may have left.

    """

    begun: bool = False
    traced: bool = False
    sent: bool = False

    async def trace(self, event: str, _info: Any) -> None:
        """Note one event of httpcore."""
        self.traced = True
        self.sent = self.sent or event.endswith("send_request_headers.started")

    @property
    def may_have_landed(self) -> bool:
        """Whether the server may have seen the request."""
        return self.begun and (self.sent or not self.traced)


@cache
def shared_ssl_context() -> ssl.SSLContext:
    """Return the verifying TLS context that all clients of this process share."""
    return httpx.create_ssl_context(trust_env=False)


def _checked_context(context: ssl.SSLContext | None) -> ssl.SSLContext:
    if context is None:
        return shared_ssl_context()
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        warnings.warn(
            "ssl_context does not verify the server: anybody on the way can read the tokens", UserWarning, stacklevel=2
        )
    return context


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

    The environment (proxy variables) counts only with ``trust_env``. Raises ConfigurationError for an unusable proxy.
    """
    try:
        return httpx.AsyncClient(
            transport=transport,
            verify=_checked_context(ssl_context) if transport is None else True,
            proxy=proxy,
            trust_env=trust_env,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_KEEPALIVE_EXPIRY
            ),
        )
    except (httpx.InvalidURL, ValueError, ImportError):
        msg = "proxy must be a URL such as http://proxy.example:3128 (socks5 needs the package socksio)"
        raise ConfigurationError(msg) from None


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

    async def exchange(self, request: Request, progress: Progress | None = None) -> Reply:
        """Send one request and read its reply to the end, all in a child task; return the reply, whatever its status.

        Raises NotSentError (safe to send again), RequestTimeoutError, another TransportError (the reply was lost),
        DecodeError (a body above ``max_bytes``), ConfigurationError (a URL outside the origins, an illegal header).
        """
        if not request.url.startswith(self.origins):
            msg = "refused: the URL lies outside the configured base_url, token_url and refresh_url"
            raise ConfigurationError(msg)
        started = self.clock.monotonic()
        with self.clock.timeout(request.timeouts.attempt) as scope:
            reply = await run_in_child(partial(self._send, request, progress))
            return evolve(reply, elapsed=self.clock.monotonic() - started)
        if scope.cancelled_caught:
            raise _timed_out(request, progress)
        raise AssertionError  # pragma: no cover - a scope swallows nothing but its own cancellation

    async def aclose(self) -> None:
        """Close the connections, if they are ours."""
        if self.owned:
            await run_in_child(self.client.aclose, shield=True)

    async def _send(self, request: Request, progress: Progress | None) -> Reply:
        try:
            raw = self._prepare(request, progress)
            response = await self.client.send(raw, stream=True, auth=None, follow_redirects=False)
            try:
                content = await _read(response, request.max_bytes)
            finally:
                await response.aclose()
        except (httpx.HTTPError, *_UNUSABLE, httpx.StreamError, OSError, anyio.BrokenResourceError) as error:
            raise _translate(error, progress) from quiet(error)
        except RuntimeError as error:
            if self.client.is_closed:
                msg = "the underlying HTTP client is closed"
                raise ClientClosedError(msg) from None
            raise _translate(error, progress) from quiet(error)
        headers = Headers(response.headers.multi_items())
        return Reply(status=response.status_code, headers=headers, content=content)

    def _prepare(self, request: Request, progress: Progress | None) -> httpx.Request:
        connect = request.timeouts.connect
        extensions: dict[str, Any] = {"timeout": {"connect": connect, "read": None, "write": None, "pool": None}}
        if progress is not None:
            progress.begun = True
            extensions["trace"] = progress.trace
        return httpx.Request(
            request.method, request.url, headers=request.headers, content=request.content, extensions=extensions
        )


async def _read(response: httpx.Response, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    with anyio.CancelScope() as scope:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > limit:
                scope.cancel()  # ends httpx's nested generators from within; leaving the loop would abandon them
            else:
                chunks.append(chunk)
    if size > limit:
        msg = f"the reply is larger than {limit} bytes"
        raise DecodeError(msg)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _timed_out(request: Request, progress: Progress | None) -> TransportError:
    if progress is not None and not progress.may_have_landed:
        msg = f"no connection within {request.timeouts.attempt:g} s; nothing was sent"
        return NotSentError(msg)
    msg = f"no whole reply within {request.timeouts.attempt:g} s"
    return RequestTimeoutError(msg)


def _translate(error: Exception, progress: Progress | None) -> TransportError | ConfigurationError:
    name = type(error).__name__
    if isinstance(error, _UNUSABLE):
        return ConfigurationError(f"the URL cannot be used: {name}")
    if isinstance(error, _UNSENT) or (progress is not None and not progress.may_have_landed):
        return NotSentError(f"nothing was sent: {name}")
    if isinstance(error, httpx.TimeoutException):
        return RequestTimeoutError(f"no reply in time: {name}")
    return TransportError(f"the exchange broke: {name}")


def quiet(error: BaseException) -> BaseException:
    """Strip a foreign error and its chain of tracebacks and requests, whose locals and headers hold the token."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        if isinstance(link, httpx.RequestError):
            link._request = None  # noqa: SLF001 - its public setter takes no None
        link = link.__cause__ or link.__context__
    return error
