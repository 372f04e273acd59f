"""How many exchanges at once, and how fast: slots, the shared pause after a 429, a rate cap."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

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


@define
class _Word:
    """Whose the last reply was that told what remains, until when another one's makes two, and until when they do."""

    whose: str | None = None
    until: float = _LONG_AGO
    mixed_until: float = _LONG_AGO

    def mixed(self, whose: str | None, now: float) -> bool:
        """Whether users differ by what was told within a minute, this time included."""
        if whose != self.whose:
            self.mixed_until = max(self.mixed_until, self.until)
        self.whose, self.until = whose, now + _CEILING_LIFE
        return now < self.mixed_until


@define(eq=False)
class _Waiter:
    called: anyio.Event = field(factory=anyio.Event)
    served: bool = False


@define(eq=False)
class Limiter:
    """Slots for exchanges, first come, first served, shared by everything that uses one connection pool.

    At most ``width`` exchanges run; the width adapts to the server. A parked slot, whose body is still to be read, does
    not count among them, but among the ``slots``, which are as many as there are connections.

    Slots are given in the order of coming, and so are the turns of a rate cap. A slot is kept while paused: at most
    ``width`` callers sleep in a pause. Without a rate cap these, who came first, come back spread and so in any order
    among themselves; all others queue behind them in their order.
    """

    slots: int
    clock: Clock
    rate: RateLimit | None = None
    budget: RetryBudget = field(init=False, default=Factory(lambda self: RetryBudget(self.slots), takes_self=True))
    caps: HourlyCaps = field(init=False, default=Factory(lambda self: HourlyCaps(self.clock), takes_self=True))
    _law: ControlLaw = field(init=False, default=Factory(lambda self: ControlLaw(self.slots), takes_self=True))
    _width: int = field(init=False, default=Factory(lambda self: self.slots, takes_self=True))
    _taken: int = field(default=0, init=False)
    _parked: int = field(default=0, init=False)
    _asleep: int = field(default=0, init=False)
    _most: int = field(init=False, default=Factory(lambda self: self.slots, takes_self=True))
    _waiters: OrderedDict[_Waiter, None] = field(factory=OrderedDict[_Waiter, None], init=False)
    _word: _Word = field(factory=_Word, init=False)
    _ceiling: _Ceiling | None = field(default=None, init=False)
    _resume_at: float = field(default=_LONG_AGO, init=False)
    _due: float = field(default=_LONG_AGO, init=False)
    _turn: anyio.Lock = field(factory=partial(anyio.Lock, fast_acquire=True), init=False)

    def __attrs_post_init__(self) -> None:
        if self.slots < 1:
            msg = "max_connections must be at least 1"
            raise ConfigurationError(msg)

    async def acquire(self, whose: str | None = None, organization: str | None = None) -> None:  # noqa: ARG002
        """Wait for a slot, the end of a pause and the turn that the rate cap gives; see Pace."""
        if self._taken < self._most:  # then nobody waits: a free slot goes to them at once
            await checkpoint_if_cancelled()
            self._taken += 1
        else:
            await self._queue()
        if self.rate is not None or self._resume_at > self.clock.monotonic():
            self._asleep += 1
            try:
                await self._hold_on()
            except BaseException:
                self.release()
                raise
            finally:
                self._asleep -= 1

    def park(self) -> None:
        """Keep a slot for a body that is still to be read: its connection stays taken, but loads the server no more."""
        if self._taken < 1:
            msg = "no slot is taken that could be parked"
            raise RuntimeError(msg)
        self._taken -= 1
        self._parked += 1
        self._set_width()

    def release(self, *, parked: bool = False) -> None:
        """Give a slot back, or one that was parked."""
        if (self._parked if parked else self._taken) < 1:
            msg = "a slot was given back twice"
            raise RuntimeError(msg)
        if parked:
            self._parked -= 1
        else:
            self._taken -= 1
        if parked or (self._waiters and self._ceiling is not None):
            self._set_width()
        elif self._waiters:
            self._hand_over()

    def pause(self, seconds: float, whose: str | None = None) -> None:  # noqa: ARG002
        """Hold back every exchange that has not begun for ``seconds`` from now, whoever's; a longer pause stays."""
        self._resume_at = max(self._resume_at, self.clock.monotonic() + seconds)

    def succeeded(self, key: str | None, began: float, latency: float) -> None:
        """Learn that an exchange which began then succeeded after ``latency`` seconds; see Pace."""
        self._law.succeeded(key, began, latency, self._taken - self._asleep)
        if self._law.width != self._width or self._ceiling is not None:
            self._set_width()

    def refused(self, began: float) -> None:
        """Learn that the server refused an exchange which began then for being one too many."""
        self._law.refused(began, self.clock.monotonic())
        self._set_width()

    def remain(self, count: int, began: float, whose: str | None = None) -> None:
        """Let no more exchanges run than the server says remain, at least one, for a minute or until it says more.

        Replies may overtake each other: one to an older exchange can lower the number, not raise it. The number is that
        of one user. Where two are heard of within a minute it narrows nobody: the one must not wait for the other, and
        a 429 still holds everybody back.
        """
        mixed, ceiling = self._word.mixed(whose, self.clock.monotonic()), self._ceiling
        if mixed:
            if ceiling is not None:
                self._ceiling = None
                self._set_width()
        elif ceiling is None and count >= self.slots:
            return
        elif ceiling is None or began >= ceiling.began or count < ceiling.count:
            newest = began if ceiling is None else max(began, ceiling.began)
            self._ceiling = _Ceiling(count, newest, self.clock.monotonic() + _CEILING_LIFE)
            self._set_width()
            if ceiling is None:
                self._call_first()

    @property
    def width(self) -> int:
        """How many exchanges may run at once now, between 1 and ``slots``."""
        if self._ceiling is not None:
            self._set_width()
        return self._width

    @property
    def free(self) -> int:
        """Slots that nobody holds."""
        return self.slots - self._taken - self._parked

    def __repr__(self) -> str:
        rest = max(0.0, self._resume_at - self.clock.monotonic())
        return f"<Limiter {self.slots - self.free} of {self.slots} slots taken, paused for {rest:.1f} s>"

    async def _queue(self) -> None:
        """Wait for a slot behind those who came before."""
        waiter = _Waiter()
        self._waiters[waiter] = None
        if self._ceiling is not None:
            self._set_width()
        try:
            while not waiter.served:
                await self._wait(waiter)
        except BaseException:
            if waiter.served:
                self.release()
            else:
                del self._waiters[waiter]
                self._call_first()
            raise

    async def _wait(self, waiter: _Waiter) -> None:
        """Wait to be called; the first of the queue also sees to it that a ceiling ends in time."""
        if self._ceiling is None or next(iter(self._waiters)) is not waiter:
            await waiter.called.wait()
        else:
            with self.clock.timeout(self._ceiling.until - self.clock.monotonic()):
                await waiter.called.wait()
            self._set_width()
        if not waiter.served:
            waiter.called = anyio.Event()

    def _call_first(self) -> None:
        """Let the first of the queue look again, because it is new there or the ceiling is."""
        if self._ceiling is not None and self._waiters:
            next(iter(self._waiters)).called.set()

    def _hand_over(self) -> None:
        """Give free slots to those who wait longest; a slot counts as taken from here on."""
        served = False
        while self._waiters and self._taken < self._most:
            waiter, _ = self._waiters.popitem(last=False)
            self._taken += 1
            served = waiter.served = True
            waiter.called.set()
        if served:
            self._call_first()

    def _set_width(self) -> None:
        """Set what may run from what is known now, and let in whom that lets in."""
        ceiling = self._ceiling
        if ceiling is not None and (self.clock.monotonic() >= ceiling.until or ceiling.count >= self.slots):
            ceiling = self._ceiling = None
        self._width = self._law.width if ceiling is None else max(1, min(self._law.width, ceiling.count))
        self._most = min(self._width, self.slots - self._parked)
        self._hand_over()

    async def _hold_on(self) -> None:
        """Wait for the end of the pause and for a turn, if there is a rate cap."""
        if self.rate is None:
            await self._sit_out_pause()
            return
        async with self._turn:
            while (due := await self._wait_for_turn(self.rate)) is None:
                pass
            self._due = due

    async def _sit_out_pause(self) -> None:
        while (rest := self._resume_at - self.clock.monotonic()) > 0:
            await self.clock.sleep(rest + self._spread(rest))

    def _spread(self, rest: float) -> float:
        """Return an extra wait, so that callers held back together do not come back together."""
        return self.clock.random() * (_SPREAD_FLOOR + _SPREAD_SHARE * rest)

    async def _wait_for_turn(self, rate: RateLimit) -> float | None:
        """Wait by the generic cell rate algorithm; return when the next turn is due, None where a pause began.

        A turn is taken when it has come, never before: whoever is cancelled while waiting takes none.
        """
        await self._sit_out_pause()
        now = self.clock.monotonic()
        due = max(now, self._due)
        wait = due - now - rate.interval * (rate.burst - 1)
        if wait > 0:
            await self.clock.sleep(wait)
        return None if self._resume_at > self.clock.monotonic() else due + rate.interval
