"""Which events were handled: the interface of the stores, the rules, and the store in memory.

A record is claimed for the time of the handling and marked as done after it. A claim is a lease: the event of a process
that died is free again when the lease ends, and one whose handler failed at once, so that a repetition, or
:func:`catch_up`, can have it handled after all.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import Final, Protocol

from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.transport.clock import Clock, SystemClock

KEEP: Final = 30 * 86_400.0
"""Seconds for which it is remembered that an event was handled."""
_CLOCK: Final = SystemClock()


class Verdict(enum.Enum):
    """What a store says to a claim."""

    CLAIMED = "claimed"
    """It is yours to handle."""
    DUPLICATE = "duplicate"
    """It was handled."""
    STALE = "stale"
    """A newer one was handled."""
    BUSY = "busy"
    """It, or a newer one, is being handled."""
    WAIT = "wait"
    """An older one is being handled."""


class DedupeStore(Protocol):
    """Remembers which events were handled. Every method is atomic, and may be called again after an error.

    ``order`` orders the events under one key; where a key names one event only, it is 0. ``owner`` is a random text
    that names the claim. What cannot be stored raises StoreError.
    """

    async def claim(self, key: str, owner: str, *, order: int, lease: float) -> Verdict:
        """Take a key for ``lease`` seconds, unless the same or a newer event under it was handled, or is being."""
        ...

    async def done(self, key: str, owner: str, *, order: int) -> None:
        """Remember that the event was handled, and end the claim."""
        ...

    async def release(self, key: str, owner: str) -> None:
        """End the claim without that; do nothing where another has it by now."""
        ...

    async def forget(self, key: str) -> None:
        """Forget all that is known of a key, so that its event is handled when it comes again."""
        ...


@frozen
class Record:
    """What is known of a key.

    Attributes:
        done: order of the newest event that was handled, None for none.
        owner: who claims it, None for nobody.
        order: of the event that is claimed.
        until: when the claim ends, in epoch seconds.
        expires: when all this is forgotten, in epoch seconds.

    """

    done: int | None = None
    owner: str | None = None
    order: int = 0
    until: float = 0.0
    expires: float = 0.0

    def verdict(self, owner: str, order: int, now: float) -> Verdict:
        """Judge a claim by this record."""
        if self.done is not None and order <= self.done:
            return Verdict.DUPLICATE if order == self.done else Verdict.STALE
        if self.owner in {None, owner} or self.until <= now:
            return Verdict.CLAIMED
        return Verdict.WAIT if self.order < order else Verdict.BUSY

    def claimed(self, owner: str, order: int, until: float) -> Record:
        """Return the record with a claim."""
        return Record(self.done, owner, order, until, max(self.expires, until))

    def handled(self, owner: str, order: int, expires: float) -> Record:
        """Return the record with an event handled."""
        done = order if self.done is None else max(order, self.done)
        if self.owner == owner:
            return Record(done=done, expires=expires)
        return Record(done, self.owner, self.order, self.until, max(expires, self.until))

    def released(self) -> Record:
        """Return the record without its claim."""
        return Record(done=self.done, expires=self.expires)


NOTHING: Final = Record()


def check_keep(keep: float) -> float:
    """Return the seconds; raise ConfigurationError where they make no sense."""
    if not 0 < keep < float("inf"):
        msg = "keep must be a number of seconds above 0"
        raise ConfigurationError(msg)
    return keep


@define(eq=False)
class MemoryDedupe:
    """Remembers in this process, and forgets when it ends; the default.

    Attributes:
        most: keys that are remembered; beyond that, those handled longest ago are forgotten.
        keep: seconds for which a key is remembered.

    """

    most: int = 100_000
    keep: float = KEEP
    clock: Clock = _CLOCK
    _records: OrderedDict[str, Record] = field(factory=OrderedDict[str, Record], init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Raise ConfigurationError for arguments that make no sense."""
        check_keep(self.keep)
        if self.most < 1:
            msg = "most must be 1 or more"
            raise ConfigurationError(msg)

    def __len__(self) -> int:
        return len(self._records)

    async def claim(self, key: str, owner: str, *, order: int, lease: float) -> Verdict:
        """Take a key; see DedupeStore."""
        now = self.clock.time()
        self._trim(now)
        record = self._records.get(key, NOTHING)
        if record.expires <= now:
            record = NOTHING
        verdict = record.verdict(owner, order, now)
        if verdict is Verdict.CLAIMED:
            self._records[key] = record.claimed(owner, order, now + lease)
        return verdict

    async def done(self, key: str, owner: str, *, order: int) -> None:
        """Remember that the event was handled; see DedupeStore."""
        record = self._records.get(key, NOTHING)
        self._records[key] = record.handled(owner, order, self.clock.time() + self.keep)
        self._records.move_to_end(key)

    async def release(self, key: str, owner: str) -> None:
        """End the claim; see DedupeStore."""
        record = self._records.get(key)
        if record is None or record.owner != owner:
            return
        if record.done is None:
            del self._records[key]
        else:
            self._records[key] = record.released()

    async def forget(self, key: str) -> None:
        """Forget a key; see DedupeStore."""
        self._records.pop(key, None)

    def _trim(self, now: float) -> None:
        """Drop what is over, from the front, where the oldest are; claims that hold stay, as they are few."""
        for _ in range(len(self._records)):
            key, record = next(iter(self._records.items()))
            held = record.owner is not None and record.until > now
            if not held and (record.expires <= now or len(self._records) > self.most):
                del self._records[key]
            elif held and len(self._records) > self.most:
                self._records.move_to_end(key)
            else:
                return
