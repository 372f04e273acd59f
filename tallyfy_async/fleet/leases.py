"""Slots that a fleet shares: a process uses as many as the server lets it, for as long as it tells that it lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from attrs import define, field

from tallyfy_async.transport.clock import Clock

_FIRST_POLL = 0.05
_LONGEST_POLL = 0.25
_CROWD = 50
"""Processes that may ask that often; more of them ask less often, as each question looks at all of them."""
_LONG_AGO = float("-inf")


@define(eq=False)
class Leases:
    """The slots of this process. Without a number of slots for the fleet there is nothing to wait for.

    What a process tells is how many exchanges it runs, and not by how many they changed: an answer that is lost leaves
    nothing wrong, and a process that died holds nothing when its lease is over.

    Attributes:
        most: the slots of the whole fleet, None for no end.
        clock: time and chance.
        tell: asks the server for slots, or decides alone where it is away; calls ``granted`` with the answer.
        running: exchanges that use a slot.
        waiting: calls that wait for one.
        usable: how many may run.

    """

    most: int | None
    clock: Clock
    tell: Callable[[], Awaitable[None]]
    running: int = field(default=0, init=False)
    waiting: int = field(default=0, init=False)
    usable: int = field(default=0, init=False)
    _crowd: float = field(default=1.0, init=False)
    _ends: float = field(default=_LONG_AGO, init=False)
    _had: bool = field(default=False, init=False)
    _lock: anyio.Lock = field(factory=partial(anyio.Lock, fast_acquire=True), init=False)
    _changed: anyio.Event = field(factory=anyio.Event, init=False)

    async def take(self) -> None:
        """Wait for a slot, first come, first served; cancelled, it leaves nothing taken."""
        if self.most is None:
            return
        self.waiting += 1
        try:
            async with self._lock:
                await self._free()
                self.running += 1
        finally:
            self.waiting -= 1

    def give(self) -> None:
        """Give a slot back."""
        if self.most is not None:
            self.running -= 1
            self._changed.set()

    def report(self) -> tuple[int, int, int, bool]:
        """Return what to tell the server; no further slot is used until it has answered."""
        self._had, self.usable = self._had or self.running > 0, min(self.usable, self.running)
        return self.most or 0, self.running, self.running + self.waiting, self._had

    def granted(self, slots: int, ends: float, fleet: int) -> None:
        """Use so many slots until then, on the monotonic clock; so many processes share them."""
        self._crowd = max(1.0, fleet / _CROWD)
        self.usable, self._ends, self._had = slots, ends, slots > 0
        self._changed.set()

    def part(self, fleet: int) -> int:
        """Return how many slots each of so many processes uses without the server."""
        return max(1, (self.most or 0) // fleet)

    @property
    def longest_poll(self) -> float:
        """Seconds after which the server is asked again, and told what is used no more."""
        return _LONGEST_POLL * self._crowd

    def _is_free(self) -> bool:
        return self.running < self.usable and self.clock.monotonic() < self._ends

    async def _free(self) -> None:
        """Wait until a slot is free, and ask for it."""
        pause = _FIRST_POLL * self._crowd
        while not self._is_free():
            await self.tell()
            if self._is_free():
                return
            with self.clock.timeout(pause * (0.5 + self.clock.random())):
                while not self._is_free():
                    self._changed = anyio.Event()
                    await self._changed.wait()
            pause = min(2 * pause, self.longest_poll)
