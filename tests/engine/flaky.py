"""A transport that fails by plan, in front of a sandbox in the same process."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import httpx

from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.manual_clock import ManualClock

Accident = Callable[[httpx.Request], httpx.Response | None]


def refused(request: httpx.Request) -> None:
    """Fail before anything is sent."""
    raise httpx.ConnectError("refused", request=request)


def lost(request: httpx.Request) -> None:
    """Fail as if the reply never came."""
    raise httpx.ReadError("lost", request=request)


class Flaky(httpx.AsyncBaseTransport):
    """Meets the accidents in turn, then serves; counts what was sent."""

    def __init__(self, sandbox: Sandbox, accidents: Iterable[Accident] = ()) -> None:
        self._inner = httpx.ASGITransport(app=sandbox.app)
        self._accidents = list(accidents)
        self.sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        if self._accidents and (response := self._accidents.pop(0)(request)) is not None:
            return response
        return await self._inner.handle_async_request(request)


class Slow(httpx.AsyncBaseTransport):
    """Takes its time, by the manual clock, before it serves."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock, *seconds: float) -> None:
        self._inner = httpx.ASGITransport(app=sandbox.app)
        self._clock = clock
        self._seconds = list(seconds)
        self.sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        if self._seconds:
            await self._clock.sleep(self._seconds.pop(0))
        return await self._inner.handle_async_request(request)
