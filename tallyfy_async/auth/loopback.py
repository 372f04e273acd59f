"""The receiver of the redirect on one's own machine, for desktop programs and the command line (RFC 8252)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, cast

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import Attribute, define, field

from tallyfy_async.auth.authorize import Flow, is_flow
from tallyfy_async.auth.loopback_http import (
    FOREIGN,
    MAX_HEAD,
    Desk,
    Page,
    Request,
    read_head,
    refuse,
    thank,
)
from tallyfy_async.auth.redirect import LOOPBACK_HOSTS
from tallyfy_async.errors import ConfigurationError, RedirectError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.shelter import Children

_PATIENCE = 10.0
"""Seconds that one connection may take."""
_CONNECTIONS = 64
"""Connections at once; one more, and the oldest has to go."""
_PAUSE = 0.1
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")

Recognizes = Callable[[Secret], bool]


def _loopback(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value not in LOOPBACK_HOSTS:
        msg = f"{attribute.name} must be 127.0.0.1 or ::1: the receiver is for this machine only"
        raise ConfigurationError(msg)


def _port(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if type(value) is not int or not 0 <= value <= 65535:
        msg = f"{attribute.name} must be 0 for any, or the number of a port"
        raise ConfigurationError(msg)


def _plain_path(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or _PATH.fullmatch(value) is None:
        msg = f"{attribute.name} must be a path such as /callback, of letters, digits and ._~-/"
        raise ConfigurationError(msg)


def _positive(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if type(value) not in {int, float} or not value > 0:
        msg = f"{attribute.name} must be a number of more than 0"
        raise ConfigurationError(msg)


@define(kw_only=True, eq=False)
class LoopbackReceiver:
    """Listens on the loopback interface for the one redirect that ends a login.

    ::

        async with LoopbackReceiver() as receiver:
            request = AuthorizationRequest.code(client_id="42", redirect_uri=receiver.redirect_uri)
            …                                   # open request.url in a browser
            grant = request.redeem(await receiver.receive(request.recognizes))

    Slow, wrong and curious clients get a refusal, or nothing; they neither hold up nor end the wait. In the implicit
    flow the answer stands in the fragment, which browsers keep to themselves: a page with a few lines of script hands
    it over.

    Attributes:
        host: ``127.0.0.1`` or ``::1``.
        port: 0 for any that is free.
        path: of the redirect URI.
        flow: ``code`` or ``implicit``.
        timeout: seconds to wait in all.
        clock: time, for tests.

    """

    host: str = field(default="127.0.0.1", validator=_loopback)
    port: int = field(default=0, validator=_port)
    path: str = field(default="/callback", validator=_plain_path)
    flow: Flow = field(default="code", validator=is_flow)
    timeout: float = field(default=300.0, validator=_positive)
    clock: Clock = field(factory=SystemClock, repr=False)
    _listener: SocketListener | None = field(default=None, init=False, repr=False)
    _desk: Desk | None = field(default=None, init=False, repr=False)
    _recognizes: Recognizes | None = field(default=None, init=False, repr=False)
    _answer: Secret | None = field(default=None, init=False, repr=False)
    _failure: Exception | None = field(default=None, init=False, repr=False)
    _delivered: anyio.Event = field(factory=anyio.Event, init=False, repr=False)
    _talks: deque[anyio.CancelScope] = field(factory=deque[anyio.CancelScope], init=False, repr=False)

    async def __aenter__(self) -> Self:
        """Listen. Raises ConfigurationError where the port cannot be had, or for a second time."""
        if self._desk is not None:
            msg = "a LoopbackReceiver listens once: make a new one"
            raise ConfigurationError(msg)
        try:
            bound = await anyio.create_tcp_listener(local_host=self.host, local_port=self.port)
        except OSError as error:
            msg = f"port {self.port} of {self.host} cannot be listened on: {error.strerror or type(error).__name__}"
            raise ConfigurationError(msg) from None
        self._listener = listener = cast("SocketListener", bound.listeners[0])  # one address, one listener
        name = f"[{self.host}]" if ":" in self.host else self.host
        port = listener.extra(SocketAttribute.local_port)
        base = f"http://{name}" if port == 80 else f"http://{name}:{port}"
        self._desk = Desk(base=base, path=self.path, relays=self.flow == "implicit")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop listening; the port is free again."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.aclose()

    @property
    def redirect_uri(self) -> str:
        """The address to register with Tallyfy and to ask for: the port may vary where the server follows RFC 8252."""
        desk = self._entered()
        return desk.base + desk.path

    async def receive(self, recognizes: Recognizes | None = None) -> Secret:
        """Wait for the redirect and return its address, for :meth:`AuthorizationRequest.redeem`.

        ``recognizes`` tells whether a redirect belongs to this login: pass ``request.recognizes``, and what other
        programs and pages send does not end the wait. Listening ends with it. Raises RedirectError when none came in
        time, ConfigurationError when called a second time.
        """
        desk, listener = self._entered(), self._listener
        if listener is None:
            msg = "the receiver has stopped listening: make a new one"
            raise ConfigurationError(msg)
        self._recognizes = recognizes
        try:
            with self.clock.timeout(self.timeout):
                async with Children() as children:
                    children.start(self._listen, listener, desk)
                    await self._delivered.wait()
        finally:
            await self.aclose()
        if self._failure is not None:
            raise self._failure
        if self._answer is None:
            msg = f"no answer came from the browser within {self.timeout:g} s: start the login again"
            raise RedirectError(msg)
        return self._answer

    def _entered(self) -> Desk:
        if self._desk is None:
            msg = "enter the receiver first: async with LoopbackReceiver() as receiver"
            raise ConfigurationError(msg)
        return self._desk

    async def _listen(self, listener: SocketListener, desk: Desk) -> None:
        async with anyio.create_task_group() as talks:  # of its own: a client may come while everything ends
            while True:
                try:
                    stream = await listener.accept()
                except OSError:  # a client that left before it was heard, or no file descriptor free
                    await self.clock.sleep(_PAUSE)
                else:
                    talks.start_soon(self._talk, stream, desk)

    async def _talk(self, stream: SocketStream, desk: Desk) -> None:
        """Hear one client out, within its time; whatever it does, the others do not notice."""
        with self.clock.timeout(_PATIENCE) as scope:
            if len(self._talks) >= _CONNECTIONS:
                self._talks.popleft().cancel()
            self._talks.append(scope)
            try:
                async with stream:
                    await self._hear(stream, desk)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError):
                pass
            except Exception as error:  # noqa: BLE001 - what ``recognizes`` raises is for the one who waits
                self._failure = error
                self._delivered.set()
            finally:
                if scope in self._talks:
                    self._talks.remove(scope)

    async def _hear(self, stream: SocketStream, desk: Desk) -> None:
        found, relayed = await _read(stream, desk)
        if isinstance(found, Page):
            await _dismiss(stream, found)
            return
        if self._answer is not None or not (self._recognizes is None or self._recognizes(found)):
            await _dismiss(stream, Page(status=400, text=FOREIGN, plain=relayed))
            return
        self._answer = found
        try:
            await stream.send(thank(found, plain=relayed).encode())
            await stream.aclose()
        finally:
            self._delivered.set()


async def _dismiss(stream: ByteStream, page: Page) -> None:
    """Send a page and hear the client out: closing on unread bytes would reset the connection and lose the page."""
    await stream.send(page.encode())
    await stream.send_eof()
    async for _ in stream:
        pass


async def _read(stream: ByteStream, desk: Desk) -> tuple[Secret | Page, bool]:
    """Return the redirect that a client brings or the page that it gets, and whether a script is waiting for it."""
    buffered = BufferedByteReceiveStream(stream)
    try:
        request = read_head(await buffered.receive_until(b"\r\n\r\n", MAX_HEAD))
        if not isinstance(request, Request):
            return refuse(400), False
        found = desk.judge(request)
        if found is not None:
            return found, False
        return desk.judge_body(request, await buffered.receive_exactly(request.length or 0)), True
    except anyio.DelimiterNotFound:
        return refuse(431), False
    except anyio.IncompleteRead:
        raise anyio.EndOfStream from None
