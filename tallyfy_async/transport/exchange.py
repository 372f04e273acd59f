"""What an exchange is: the request, how far it got, and who performs it. It knows no HTTP library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.response import Reply


@frozen(kw_only=True)
class Timeouts:
    """Bounds of one attempt in seconds.

    Attributes:
        attempt: the whole exchange, body included; where files go up or down, each piece of them.
        connect: each step of opening a connection, which are TCP and TLS: both together may take twice as long.

    Raises ConfigurationError for what is no number above 0.
    """

    attempt: float = 30.0
    connect: float = 10.0

    def __attrs_post_init__(self) -> None:
        if not all(type(seconds) in {int, float} and seconds > 0 for seconds in (self.attempt, self.connect)):
            msg = "timeout must be a number of seconds above 0, or Timeouts of such numbers"
            raise ConfigurationError(msg)


class BrokenSourceError(Exception):
    """What gave the pieces of a request body failed with ``error``. It never leaves this room."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Pieces(Protocol):
    """One reading of a request body."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself."""
        ...

    async def __anext__(self) -> bytes:
        """Return the next piece."""
        ...

    async def aclose(self) -> None:
        """Let go of files and generators."""
        ...


class Content(Protocol):
    """A request body that is made while it is sent, and made anew each time that it is sent."""

    @property
    def content_type(self) -> str:
        """Value of the header Content-Type."""
        ...

    @property
    def length(self) -> int | None:
        """Bytes in all, None where nobody knows before the end."""
        ...

    @property
    def most(self) -> int:
        """Bytes that it has at most."""
        ...

    @property
    def spent(self) -> bool:
        """Whether it cannot be sent again, because a source that can be read only once has been read."""
        ...

    def pieces(self) -> Pieces:
        """Begin a reading; it raises BrokenSourceError where a source fails."""
        ...


@frozen(kw_only=True)
class Request:
    """One request, ready to be sent. ``url`` is absolute; ``headers`` carry the token and stay out of the repr.

    ``stall`` is how many seconds one piece of a body that is made while it is sent may take on its way.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    content: bytes | Content | None = field(default=None, repr=False)
    timeouts: Timeouts
    stall: float | None = None
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


class Incoming(Protocol):
    """The body of a reply that is read piece by piece. It holds a connection until it is closed."""

    async def read(self) -> bytes:
        """Return the next piece, nothing at the end of the whole body; raise TransportError where it is cut."""
        ...

    async def aclose(self) -> None:
        """Give the connection back, or drop it where the body was not read to its end."""
        ...


class Transport(Protocol):
    """Performs exchanges."""

    async def exchange(self, request: Request, progress: Progress | None = None) -> Reply:
        """Send one request and return its reply, whatever its status."""
        ...

    async def open(self, request: Request) -> tuple[Reply, Incoming | None]:
        """Send a request and return its reply without the body, which is still to be read.

        A reply with a status that is no success is read to its end, and nothing is left to read.
        """
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

    async def open(self, request: Request) -> tuple[Reply, Incoming | None]:
        """Send a request and return its reply without the body, which is still to be read."""
        return await self.opened().open(request)

    def to_origins(self, origins: tuple[str, ...]) -> DeferredTransport:
        """Return a transport over the same connections that serves other origins, opening neither."""
        return DeferredTransport(lambda: self.opened().to_origins(origins))

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        if self._opened is not None:
            await self._opened.aclose()
