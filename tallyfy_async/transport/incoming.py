"""The body of a reply that is read piece by piece.

Each step, also the last, runs in a child task of its own: a native cancellation of whoever reads never reaches the
HTTP library, and no task group and no cancel scope outlives a step.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol

import anyio
import httpx
from attrs import define, field

from tallyfy_async.errors import DecodeError, RequestTimeoutError, TransportError
from tallyfy_async.transport.body import PieceBody
from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.exchange import Request
from tallyfy_async.transport.foreign import FOREIGN, quiet, translate
from tallyfy_async.transport.shelter import SelfCancelledError, run_in_child


class _HasClock(Protocol):
    @property
    def clock(self) -> Clock: ...


def note_reply(error: DecodeError, response: httpx.Response) -> None:
    """Note in an error which reply it is about."""
    error.status, error.request_id = response.status_code, response.headers.get("X-Request-Id")


@define(eq=False)
class HTTPIncoming:
    """What is still to come of a reply. It holds a connection until it is closed.

    ``read`` waits for each piece at most as long as the request's attempt may take.
    """

    _transport: _HasClock
    _response: httpx.Response
    _request: Request
    _body: PieceBody = field(init=False)
    _pieces: AsyncIterator[bytes] = field(init=False)
    _expected: int | None = field(default=None, init=False)
    _received: int = field(default=0, init=False)
    _in_order: bool = field(default=True, init=False)
    _ended: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        headers, coding = self._response.headers, ""
        if self._response.is_stream_consumed:  # a transport of tests answered with a body that httpx has read already
            self._pieces = _Held(self._response.content)
        else:
            self._pieces = self._response.aiter_raw()
            coding = headers.get("Content-Encoding", "")
            length = headers.get("Content-Length", "")
            self._expected = int(length) if length.isascii() and length.isdigit() else None
        self._body = PieceBody(self._request.max_bytes, coding)

    def check_size(self) -> None:
        """Raise DecodeError where the body is announced to be larger than it may be."""
        try:
            self._body.check(self._expected or 0)
        except DecodeError as error:
            note_reply(error, self._response)
            raise

    async def read(self) -> bytes:
        """Return the next piece, nothing at the end of the whole body.

        Raises TransportError where the body is cut, also by an earlier cancellation, RequestTimeoutError,
        DecodeError (a body above ``max_bytes``, or packed in an unknown way).
        """
        if self._ended:
            return b""
        if self._closed or not self._in_order:
            msg = "the reply cannot be read on: it is closed, broken off, or being read by another task"
            raise TransportError(msg)
        self._in_order = False  # until this step is done: what a cut step would have brought is lost
        seconds = self._request.timeouts.attempt
        with self._transport.clock.timeout(seconds):
            try:
                piece = await run_in_child(self._step)
            except SelfCancelledError as error:
                raise translate(error, None) from quiet(error)
            self._in_order, self._ended = True, not piece
            return piece
        msg = f"nothing more of the reply within {seconds:g} s"
        raise RequestTimeoutError(msg)

    async def aclose(self) -> None:
        """Give the connection back, or drop it where the body was not read to its end."""
        if not self._closed:
            self._closed = True
            await run_in_child(self._close, shield=True)

    async def _step(self) -> bytes:
        try:
            while not (piece := self._body.take()):
                raw = await anext(self._pieces, None)
                if raw is None:
                    self._check_end()
                    return b""
                self._received += len(raw)
                self._body.feed(raw)
                raw = b""  # a traceback that shows variables would show what the file holds
        except FOREIGN as error:
            raise translate(error, None) from quiet(error)
        return piece

    def _check_end(self) -> None:
        if self._expected is not None and self._received != self._expected:
            msg = f"the reply was cut: {self._received} of {self._expected} bytes came"
            raise TransportError(msg)
        self._body.end()

    async def _close(self) -> None:
        if not self._ended:
            with anyio.CancelScope() as scope, suppress(*FOREIGN):
                scope.cancel()  # ends httpx's nested generators from within: nobody else would
                async for _ in self._pieces:
                    pass
        with suppress(*FOREIGN):
            await self._response.aclose()


@define(eq=False)
class _Held(AsyncIterator[bytes]):
    _content: bytes = field(repr=False)

    async def __anext__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise StopAsyncIteration
        return content
