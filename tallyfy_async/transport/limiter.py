"""How many exchanges at once, and how fast: slots, the shared pause after a 429, a rate cap."""

from __future__ import annotations

from collections import OrderedDict

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from attrs import Factory, define, field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.transport.aimd import ControlLaw
from tallyfy_async.transport.budget import RetryBudget
from tallyfy_async.transport.caps import HourlyCaps
from tallyfy_async.transport.clock import Clock

_SPREAD_SHARE = 0.1
_SPREAD_FLOOR = 0.25
_CEILING_LIFE = 60.0
"""Seconds for which the server's word on the remaining calls holds: its window is a rolling minute."""
_LONG_AGO = float("-inf")


@frozen(kw_only=True)
class RateLimit:
    """A cap on the rate of calls.

    Attributes:
        per_minute: calls per minute, more than 0.
        burst: calls that may start at once after a quiet time.

    Raises ConfigurationError for numbers that allow no call.
    """

    per_minute: float
    burst: int = 1

    def __attrs_post_init__(self) -> None:
        if not self.per_minute > 0 or self.burst < 1:
            msg = "RateLimit needs per_minute > 0 and burst >= 1"
            raise ConfigurationError(msg)

    @property
    def interval(self) -> float:
        """Seconds from one call to the next at the full rate."""
        return 60.0 / self.per_minute


@define
class _Ceiling:
    """How many exchanges the server still allows, by a reply to one that began then, and until when that holds."""

    count: int
    began: float
    until: float


@define(eq=False)
class Limiter:
    """Slots for exchanges, first come, first served, shared by everything that uses one connection pool.

    At most ``width`` slots are given out; the width adapts to the server. A slot is held while paused, so that order is
    kept; at most ``slots`` callers ever sleep here, the others queue.
    """

    slots: int
    clock: Clock
    rate: RateLimit | None = None
    budget: RetryBudget = field(init=False, default=Factory(lambda self: RetryBudget(self.slots), takes_self=True))
    caps: HourlyCaps = field(init=False, default=Factory(lambda self: HourlyCaps(self.clock), takes_self=True))
    _law: ControlLaw = field(init=False, default=Factory(lambda self: ControlLaw(self.slots), takes_self=True))
    _width: int = field(init=False, default=Factory(lambda self: self.slots, takes_self=True))
    _taken: int = field(default=0, init=False)
    _waiters: OrderedDict[anyio.Event, None] = field(factory=OrderedDict[anyio.Event, None], init=False)
    _ceiling: _Ceiling | None = field(default=None, init=False)
    _resume_at: float = field(default=_LONG_AGO, init=False)
    _due: float = field(default=_LONG_AGO, init=False)
    _begun_due: float = field(default=_LONG_AGO, init=False)
    _pauses: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        if self.slots < 1:
            msg = "max_connections must be at least 1"
            raise ConfigurationError(msg)

    async def acquire(self) -> None:
        """Wait for a slot, the end of a pause and the turn that the rate cap gives."""
        if self._taken < self._width:  # then nobody waits: a free slot goes to them at once
            await checkpoint_if_cancelled()
            self._taken += 1
        else:
            await self._queue()
        if self.rate is not None or self._resume_at > self.clock.monotonic():
            try:
                await self._hold_on()
            except BaseException:
                self.release()
                raise

    def release(self) -> None:
        """Give a slot back."""
        if self._taken < 1:
            msg = "a slot was given back twice"
            raise RuntimeError(msg)
        self._taken -= 1
        if self._waiters:
            self._hand_over()

    def pause(self, seconds: float) -> None:
        """Hold back every exchange that has not begun for ``seconds`` from now; a longer pause stays.

        The turns of those who have not begun are theirs again to take, so that the rate cap holds after the pause too.
        """
        self._resume_at = max(self._resume_at, self.clock.monotonic() + seconds)
        self._due = min(self._due, max(self._begun_due, self._resume_at))
        self._pauses += 1

    def succeeded(self, key: str | None, began: float, latency: float) -> None:
        """Learn that an exchange which began then succeeded after ``latency`` seconds; see Pace."""
        self._law.succeeded(key, began, latency, self._taken)
        if self._law.width != self._width or self._ceiling is not None:
            self._set_width()

    def refused(self, began: float) -> None:
        """Learn that the server refused an exchange which began then for being one too many."""
        self._law.refused(began, self.clock.monotonic())
        self._set_width()

    def remain(self, count: int, began: float) -> None:
        """Let no more exchanges run than the server says remain, at least one, for a minute or until it says more.

        Replies may overtake each other: one to an older exchange can lower the number, not raise it.
        """
        ceiling = self._ceiling
        if ceiling is None and count >= self.slots:
            return
        if ceiling is None or began >= ceiling.began or count < ceiling.count:
            self._ceiling = _Ceiling(count, began, self.clock.monotonic() + _CEILING_LIFE)
            self._set_width()

    @property
    def width(self) -> int:
        """How many exchanges may run at once now, between 1 and ``slots``."""
        if self._ceiling is not None:
            self._set_width()
        return self._width

    @property
    def free(self) -> int:
        """Slots that nobody holds."""
        return self.slots - self._taken

    def __repr__(self) -> str:
        rest = max(0.0, self._resume_at - self.clock.monotonic())
        return f"<Limiter {self._taken} of {self.slots} slots taken, paused for {rest:.1f} s>"

    async def _queue(self) -> None:
        """Wait for a slot behind those who came before."""
        event = anyio.Event()
        self._waiters[event] = None
        if self._ceiling is not None:
            self._set_width()
        try:
            await event.wait()
        except BaseException:
            if event in self._waiters:
                del self._waiters[event]
            else:
                self.release()
            raise

    def _hand_over(self) -> None:
        """Give free slots to those who wait longest; a slot counts as taken from here on."""
        while self._waiters and self._taken < self._width:
            event, _ = self._waiters.popitem(last=False)
            self._taken += 1
            event.set()

    def _set_width(self) -> None:
        ceiling = self._ceiling
        if ceiling is not None and (self.clock.monotonic() >= ceiling.until or ceiling.count >= self.slots):
            ceiling = self._ceiling = None
        self._width = self._law.width if ceiling is None else max(1, min(self._law.width, ceiling.count))
        self._hand_over()

    async def _hold_on(self) -> None:
        """Wait for the end of the pause, then for a turn; a pause that begins meanwhile takes the turn away again."""
        while True:
            while (rest := self._resume_at - self.clock.monotonic()) > 0:
                await self.clock.sleep(rest + self._spread(rest))
            if self.rate is None:
                return
            pauses, due = self._pauses, await self._take_turn(self.rate)
            if pauses == self._pauses:
                self._begun_due = max(self._begun_due, due)
                return

    def _spread(self, rest: float) -> float:
        """Return an extra wait, so that callers held back together do not come back together."""
        return self.clock.random() * (_SPREAD_FLOOR + _SPREAD_SHARE * rest)

    async def _take_turn(self, rate: RateLimit) -> float:
        """Wait by the generic cell rate algorithm and return when the next one is due.

        A turn whose waiter is cancelled is lost, never doubled.
        """
        now = self.clock.monotonic()
        due = max(now, self._due)
        self._due = due + rate.interval
        wait = due - now - rate.interval * (rate.burst - 1)
        if wait > 0:
            await self.clock.sleep(wait)
        return due + rate.interval
