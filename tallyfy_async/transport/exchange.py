"""What an exchange is: the request, how far it got, and who performs it. It knows no HTTP library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.response import Reply


@frozen(kw_only=True)
class Timeouts:
    """Bounds of one attempt in seconds.

    Attributes:
        attempt: the whole exchange, body included.
        connect: opening the connection, TLS included.

    Raises ConfigurationError for what is no number above 0.
    """

    attempt: float = 30.0
    connect: float = 10.0

    def __attrs_post_init__(self) -> None:
        if not all(type(seconds) in {int, float} and seconds > 0 for seconds in (self.attempt, self.connect)):
            msg = "timeout must be a number of seconds above 0, or Timeouts of such numbers"
            raise ConfigurationError(msg)


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


class Transport(Protocol):
    """Performs exchanges."""

    async def exchange(self, request: Request, progress: Progress | None = None) -> Reply:
        """Send one request and return its reply, whatever its status."""
        ...

    def to_origins(self, origins: tuple[str, ...]) -> Transport:
        """Return a transport over the same connections that serves other origins."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@define(eq=False)
class DeferredTransport:
    """A transport that is opened when it is first needed: loading the HTTP library takes longer than all the rest."""

    _open: Callable[[], Transport]
    _opened: Transport | None = field(default=None, init=False)

    def opened(self) -> Transport:
        """Return the transport, opening it if nobody has yet."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def exchange(self, request: Request, progress: Progress | None = None) -> Reply:
        """Send one request and return its reply, whatever its status."""
        return await self.opened().exchange(request, progress)

    def to_origins(self, origins: tuple[str, ...]) -> DeferredTransport:
        """Return a transport over the same connections that serves other origins, opening neither."""
        return DeferredTransport(lambda: self.opened().to_origins(origins))

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        if self._opened is not None:
            await self._opened.aclose()
