"""Time, sleep, timeouts and randomness, so that tests can replace them."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Protocol

import anyio


class Clock(Protocol):
    """What the package asks of time and chance."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...

    def time(self) -> float:
        """Return the wall clock in epoch seconds."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Sleep at least one scheduling point."""
        ...

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...

    def timeout(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a cancel scope that ends after ``seconds``; its ``cancelled_caught`` tells whether it did."""
        ...


class SystemClock:
    """The real clock."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
    sleep = staticmethod(anyio.sleep)

    def random(self) -> float:
        """Return a number in [0, 1)."""
        import random  # noqa: PLC0415 - lazy: only waits are jittered

        return random.random()  # noqa: S311 - jitter, no secret

    def timeout(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a cancel scope that ends after ``seconds`` of real time."""
        return anyio.move_on_after(seconds)
