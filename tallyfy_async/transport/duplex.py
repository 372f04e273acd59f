"""A connection that is heard while it is written to.

httpcore writes a whole request before it reads the first byte of the answer. A server that refuses a large upload at
once, and then reads no more of it, would be waited for until the time is up.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

import anyio
import h11
import httpcore
from attrs import define, field

# A request of at least so many bytes is written with an ear for the answer; smaller ones fit into the kernel's buffers.
_LARGE = 2**15
_LONGEST = 2**20


class DuplexStream(httpcore.AsyncNetworkStream):
    """A TCP or TLS stream.

    A whole answer that comes while a large request is being written ends the writing, with the error that httpcore
    takes for a request that the server did not want to the end: it reads the answer, then closes the connection.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._written = 0
        self._early: _EarlyAnswer | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's name
        """Return what has come, at most so many bytes; nothing at the end."""
        self._written = 0
        given = b"" if self._early is None else self._early.give(max_bytes)
        if self._early is not None and self._early.used_up:
            self._early = None  # the next request on this connection has an answer of its own
        if given or self._early is not None:
            return given
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write; raise WriteError also where a whole answer comes first."""
        self._written += len(buffer)
        if self._written < _LARGE:
            await self._inner.write(buffer, timeout)
            return
        if self._early is None:
            self._early = _EarlyAnswer()
        failure: Exception | None = None
        if not self._early.whole:
            async with anyio.create_task_group() as group:
                group.start_soon(self._listen, self._early, group.cancel_scope)
                failure = await self._write(buffer, timeout)
                group.cancel_scope.cancel()
                buffer = b""
        if buffer:
            failure = httpcore.WriteError("the server answered before it had the whole request")
        if failure is not None:
            raise failure

    async def _write(self, buffer: bytes, seconds: float | None) -> Exception | None:
        try:
            await self._inner.write(buffer, seconds)
        except Exception as error:  # noqa: BLE001 - raised outside of the group, which would wrap it
            return error
        return None

    async def _listen(self, early: _EarlyAnswer, scope: anyio.CancelScope) -> None:
        # A stream that breaks here breaks for the writing too, which tells of it.
        with suppress(Exception):
            while not early.whole:
                early.take(await self._inner.read(_LARGE))
            scope.cancel()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Return the stream with TLS."""
        return DuplexStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return a detail of the connection by its name."""
        return self._inner.get_extra_info(info)


def _after_a_request() -> h11.Connection:
    state = h11.Connection(h11.CLIENT)
    state.send(h11.Request(method="POST", target="/", headers=[("Host", "-")]))
    state.send(h11.EndOfMessage())
    return state


@define(eq=False)
class _EarlyAnswer:
    """What came while a request was written.

    It must be whole before the writing is ended: a TLS stream whose writing is cut can be read no more.
    """

    data: bytes = b""
    whole: bool = False
    ended: bool = False
    _state: h11.Connection = field(factory=_after_a_request, init=False)

    def take(self, data: bytes) -> None:
        self.data += data
        self.ended = not data
        try:
            self._state.receive_data(data)
            self.whole = self.ended or self._is_whole() or len(self.data) > _LONGEST
        except h11.RemoteProtocolError:
            self.whole = True  # httpcore will find the same

    def _is_whole(self) -> bool:
        while (event := self._state.next_event()) is not h11.NEED_DATA:
            if event is h11.PAUSED or isinstance(event, h11.EndOfMessage):
                return True
        return False

    @property
    def used_up(self) -> bool:
        """Whether the connection itself is to be read now."""
        return not self.data and not self.ended

    def give(self, size: int) -> bytes:
        given, self.data = self.data[:size], self.data[size:]
        return given
