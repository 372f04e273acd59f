"""A clock for tests, which moves when it is told to."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint
from attrs import define


@define(eq=False)
class Timer:
    """Something that happens when a manual clock reaches ``due``; of those due at once, the lower number is first."""

    due: float
    number: int
    fire: Callable[[], None]


@define(eq=False)
class _Sleeper:
    timer: Timer
    called: anyio.Event
    """Set when the timer fires, and when the sleeper before this one leaves."""


Item = TypeVar("Item")


class _Queue(Generic[Item]):
    """Items by due time and number. Plain tuples are compared, which is what keeps thousands of timers cheap."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Item]] = []

    def add(self, timer: Timer, item: Item) -> None:
        heapq.heappush(self._heap, (timer.due, timer.number, item))

    def drop(self, timer: Timer, item: Item) -> None:
        entry = (timer.due, timer.number, item)
        if entry in self._heap:
            self._heap.remove(entry)
            heapq.heapify(self._heap)

    @property
    def first(self) -> Item | None:
        return self._heap[0][2] if self._heap else None


class ManualClock:
    """A clock that moves only when told, or by itself while somebody sleeps.

    With ``autojump`` the sleeper that is due first moves the clock from timer to timer up to its own time, so that
    waiting costs no real time and everybody wakes in order and at the right moment; without it :meth:`advance` is the
    only thing that moves. Timeouts fire when the clock passes them.
    """

    def __init__(self, *, autojump: bool = True, wall: float = 1_780_000_000.0, seed: int = 0) -> None:
        self.autojump = autojump
        self.skew = wall
        self.slept: list[float] = []
        self._now = 0.0
        self._timers: _Queue[Timer] = _Queue()
        self._sleepers: _Queue[_Sleeper] = _Queue()
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
        self._move_to(self._now + seconds)

    def _move_to(self, target: float) -> None:
        while (timer := self._timers.first) is not None and timer.due <= target:
            self._timers.drop(timer, timer)
            self._now = max(self._now, timer.due)
            timer.fire()
        self._now = max(self._now, target)

    async def sleep(self, seconds: float) -> None:
        """Sleep until the clock has moved on by ``seconds``."""
        self.slept.append(seconds)
        called = anyio.Event()
        timer = self.set_timer(seconds, called.set)
        sleeper = _Sleeper(timer, called)
        self._sleepers.add(timer, sleeper)
        try:
            await checkpoint()
            while self._now < timer.due:
                await self._nap(sleeper)
        finally:
            self.drop_timer(timer)
            self._sleepers.drop(timer, sleeper)
            if (following := self._sleepers.first) is not None:
                following.called.set()

    async def _nap(self, sleeper: _Sleeper) -> None:
        """Move the clock to its next timer if this is the sleeper whose turn it is, else wait to be called."""
        timer = self._timers.first
        if self.autojump and self._sleepers.first is sleeper and timer is not None:
            self._move_to(timer.due)
            await checkpoint()
        else:
            await sleeper.called.wait()
            sleeper.called = anyio.Event()
            sleeper.timer.fire = sleeper.called.set

    def timeout(self, seconds: float) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a cancel scope that ends when the clock has moved on by ``seconds``."""
        return _ManualTimeout(self, seconds)

    def set_timer(self, seconds: float, fire: Callable[[], None]) -> Timer:
        """Call ``fire`` when the clock has moved on by ``seconds``."""
        timer = Timer(self._now + max(0.0, seconds), next(self._numbers), fire)
        self._timers.add(timer, timer)
        return timer

    def drop_timer(self, timer: Timer) -> None:
        """Forget a timer that has not fired."""
        self._timers.drop(timer, timer)


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
