"""Time, sleep, timeouts and randomness, so that tests can replace them."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint
from attrs import define, field


class Clock(Protocol):
    """What the package asks of time and chance."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...

    def time(self) -> float:
        """Return the wall clock in epoch seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
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

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
    sleep = staticmethod(anyio.sleep)
    random = staticmethod(random.random)

    def timeout(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a cancel scope that ends after ``seconds`` of real time."""
        return anyio.move_on_after(seconds)


@define(order=True)
class Timer:
    """Something that happens when a manual clock reaches ``due``."""

    due: float
    number: int
    fire: Callable[[], None] = field(eq=False, order=False)


class ManualClock:
    """A clock that moves only when told, or by itself while somebody sleeps.

    With ``autojump`` every sleeper moves the clock to its own waking time at once, so that waiting costs no real time;
    without it :meth:`advance` is the only thing that moves. Timeouts fire when the clock passes them.
    """

    def __init__(self, *, autojump: bool = True, wall: float = 1_780_000_000.0, seed: int = 0) -> None:
        self.autojump = autojump
        self.skew = wall
        self.slept: list[float] = []
        self._now = 0.0
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._random = random.Random(seed)  # noqa: S311 - jitter, no secret

    def monotonic(self) -> float:
        """Return the seconds since this clock was made."""
        return self._now

    def time(self) -> float:
        """Return the wall clock: ``skew`` plus the monotonic seconds."""
        return self.skew + self._now

    def random(self) -> float:
        """Return the next number of the seeded sequence."""
        return self._random.random()

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds`` and fire what falls due on the way, in order."""
        target = self._now + seconds
        while self._timers and self._timers[0].due <= target:
            timer = heapq.heappop(self._timers)
            self._now = max(self._now, timer.due)
            timer.fire()
        self._now = max(self._now, target)

    async def sleep(self, seconds: float) -> None:
        """Sleep until the clock has moved on by ``seconds``."""
        self.slept.append(seconds)
        woken = anyio.Event()
        timer = self.set_timer(seconds, woken.set)
        try:
            await checkpoint()
            if self.autojump and not woken.is_set():
                self.advance(timer.due - self._now)
            await woken.wait()
        finally:
            self.drop_timer(timer)

    def timeout(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a cancel scope that ends when the clock has moved on by ``seconds``."""
        return _ManualTimeout(self, seconds)

    def set_timer(self, seconds: float, fire: Callable[[], None]) -> Timer:
        """Call ``fire`` when the clock has moved on by ``seconds``."""
        timer = Timer(self._now + max(0.0, seconds), next(self._numbers), fire)
        heapq.heappush(self._timers, timer)
        return timer

    def drop_timer(self, timer: Timer) -> None:
        """Forget a timer that has not fired."""
        if timer in self._timers:
            self._timers.remove(timer)
            heapq.heapify(self._timers)


class _ManualTimeout:
    def __init__(self, clock: ManualClock, seconds: float) -> None:
        self._clock = clock
        self._scope = anyio.CancelScope()
        self._seconds = seconds
        self._timer: Timer | None = None

    def __enter__(self) -> anyio.CancelScope:
        self._timer = self._clock.set_timer(self._seconds, self._scope.cancel)
        return self._scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._timer is not None:
            self._clock.drop_timer(self._timer)
        return bool(self._scope.__exit__(kind, error, traceback))
