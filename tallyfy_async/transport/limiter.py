"""How many exchanges at once, and how fast: slots, the shared pause after a 429, a rate cap."""

from __future__ import annotations

import anyio
from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.transport.clock import Clock

_SPREAD_SHARE = 0.1
_SPREAD_FLOOR = 0.25


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


@define(eq=False)
class Limiter:
    """Slots for exchanges, first come, first served, shared by everything that uses one connection pool.

    A slot is held while paused, so that order is kept; at most ``slots`` callers ever sleep here, the others queue.
    """

    slots: int
    clock: Clock
    rate: RateLimit | None = None
    _semaphore: anyio.Semaphore = field(init=False)
    _resume_at: float = field(default=float("-inf"), init=False)
    _due: float = field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        if self.slots < 1:
            msg = "max_connections must be at least 1"
            raise ConfigurationError(msg)
        self._semaphore = anyio.Semaphore(self.slots, max_value=self.slots, fast_acquire=True)

    async def acquire(self) -> None:
        """Wait for a slot, the end of a pause and the turn that the rate cap gives."""
        await self._semaphore.acquire()
        try:
            if self.rate is not None:
                await self._take_turn(self.rate)
            while (rest := self._resume_at - self.clock.monotonic()) > 0:
                await self.clock.sleep(rest + self._spread(rest))
        except BaseException:
            self._semaphore.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        self._semaphore.release()

    def pause(self, seconds: float) -> None:
        """Hold back every exchange that has not begun for ``seconds`` from now; a longer pause stays."""
        self._resume_at = max(self._resume_at, self.clock.monotonic() + seconds)

    @property
    def free(self) -> int:
        """Slots that nobody holds."""
        return self._semaphore.value

    def __repr__(self) -> str:
        rest = max(0.0, self._resume_at - self.clock.monotonic())
        return f"<Limiter {self.slots - self.free} of {self.slots} slots taken, paused for {rest:.1f} s>"

    def _spread(self, rest: float) -> float:
        """Return an extra wait, so that callers held back together do not come back together."""
        return self.clock.random() * (_SPREAD_FLOOR + _SPREAD_SHARE * rest)

    async def _take_turn(self, rate: RateLimit) -> None:
        """Wait by the generic cell rate algorithm; a turn whose waiter is cancelled is lost, never doubled."""
        now = self.clock.monotonic()
        due = max(now, self._due)
        self._due = due + rate.interval
        wait = due - now - rate.interval * (rate.burst - 1)
        if wait > 0:
            await self.clock.sleep(wait)
