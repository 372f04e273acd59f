"""How handlers fared, one by one and in numbers."""

from __future__ import annotations

import enum

from attrs import fields, frozen


class Result(enum.Enum):
    """How a handler fared with an event."""

    HANDLED = "handled"
    DUPLICATE = "duplicates"
    """It was handled before."""
    BUSY = "busy"
    """It, or a newer one, is being handled: here, in another process, or in one that died a moment ago."""
    STALE = "stale"
    """A newer one was handled before."""
    FAILED = "failed"
    """There is a dead letter."""


@frozen
class Handled:
    """How one handler fared with an event."""

    handler: str
    result: Result


@frozen(kw_only=True)
class Statistics:
    """What a dispatcher did so far.

    Attributes:
        offered: events that were taken into the queue.
        full: events refused because the queue was full.
        closed: events refused because the dispatcher did not run.
        unmatched: events that no handler wanted.
        handled, duplicates, busy, stale, failed: handlings, each of one event by one handler.
        store_failures: ends of handlings that the dedupe store did not take.
        queued, in_hand: events that wait, and that are being handled, at this moment.
        dead_letters: dead letters so far.

    """

    offered: int
    full: int
    closed: int
    unmatched: int
    handled: int
    duplicates: int
    busy: int
    stale: int
    failed: int
    store_failures: int
    queued: int
    in_hand: int
    dead_letters: int

    @classmethod
    def counted(cls) -> tuple[str, ...]:
        """Return the names of those that only grow and that the dispatcher counts."""
        present = {"queued", "in_hand", "dead_letters"}
        return tuple(one.name for one in fields(cls) if one.name not in present)
