"""Simulated time: an asyncio event loop that jumps to its next timer when nothing is left to run, and a clock of it.

Nothing waits really, everything happens in the order and at the moments of real time with processing for nothing, and
the same seed gives the same figures. There is no I/O: a simulation that waits for that, or a day for anything, fails.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import anyio
from anyio import CancelScope

from benchmarks.harness import RowError

T = TypeVar("T")

_FOR_EVER = 86_400.0
"""Seconds; asyncio asks for no longer wait, however far its next timer is."""


class _Jumps(selectors.DefaultSelector):
    """Lets time pass by as long as it was to wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout >= _FOR_EVER:
            msg = "everybody waits for something that no time will bring"
            raise RowError(msg)
        self.now += max(0.0, timeout)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumps = _Jumps()
        super().__init__(self._jumps)

    def time(self) -> float:
        return self._jumps.now


class SimulatedClock:
    """The clock of a simulation, for the client and its server."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def monotonic(self) -> float:
        """Return the seconds since the simulation began."""
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        """Return epoch seconds."""
        return 1_780_000_000.0 + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep that long."""
        await anyio.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractContextManager[CancelScope, bool]:
        """Return a cancel scope that ends after that long."""
        return anyio.move_on_after(seconds)


def simulate(function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Run an asynchronous function in simulated time that begins at 0."""
    return anyio.run(function, *arguments, backend="asyncio", backend_options={"loop_factory": _Loop})
