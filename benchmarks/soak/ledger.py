"""What was written and what the client said of it, one byte a write, and the comparison with what the server holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Self

from attrs import define, field, frozen

from tallyfy_async.errors import Outcome, TallyfyError

SENT, LANDED, REFUSED, UPDATED, COMPLETED = 1, 2, 4, 8, 16
"""What the client said: nothing yet, success, that nothing happened; and success of two later writes to the same row.

A write that stays at SENT was cancelled or has an unknown outcome: it may be on the server once, or not at all.
"""

_PREFIX = "soak-"
_CHANGED = " changed"
_UNTOUCHED = frozenset({Outcome.NOT_SENT, Outcome.REFUSED})


@frozen
class Found:
    """A row of the server that a soak wrote: its mark, and whether the later writes took effect."""

    mark: int
    updated: bool = False
    completed: bool = False

    @classmethod
    def of(cls, title: str, status: str = "") -> Self | None:
        """Read a title, name or file name that carries a mark; None for others."""
        if not title.startswith(_PREFIX):
            return None
        number = title.removeprefix(_PREFIX).removesuffix(_CHANGED).removesuffix(".txt")
        return cls(int(number), title.endswith(_CHANGED), status == "completed")


@frozen(kw_only=True)
class Audit:
    """How the ledger and the server differ.

    Attributes:
        lost: success was told, and the server does not have it.
        doubled: rows that the server has more than once.
        ghosts: the client told that nothing happened, and the server has it; or nobody ever sent it.
        open: writes with an unknown outcome.

    """

    lost: int = 0
    doubled: int = 0
    ghosts: int = 0
    open: int = 0

    def __add__(self, other: Audit) -> Audit:
        return Audit(
            lost=self.lost + other.lost,
            doubled=self.doubled + other.doubled,
            ghosts=self.ghosts + other.ghosts,
            open=self.open + other.open,
        )


@define(eq=False)
class Ledger:
    """The writes of one kind. A mark is the number of a write and is part of what it writes."""

    states: bytearray = field(factory=bytearray, init=False)

    def begin(self) -> int:
        """Note a write that is about to be sent, and return its mark."""
        self.states.append(SENT)
        return len(self.states) - 1

    def note(self, mark: int, state: int) -> None:
        """Note what the client said."""
        self.states[mark] |= state

    def told(self, mark: int, error: TallyfyError) -> None:
        """Note what an error says of a write: that it took effect, that nothing happened, or neither."""
        if error.outcome is Outcome.DONE:
            self.note(mark, LANDED)
        elif error.outcome in _UNTOUCHED:
            self.note(mark, REFUSED)

    def audit(self, found: Iterable[Found | None]) -> Audit:
        """Compare with the rows that the server holds."""
        times: Counter[int] = Counter()
        reached = bytearray(len(self.states))
        strangers = 0
        for row in found:
            if row is None:
                continue
            times[row.mark] += 1
            if row.mark >= len(self.states):
                strangers += 1
                continue
            reached[row.mark] |= LANDED | UPDATED * row.updated | COMPLETED * row.completed
        pairs = list(zip(self.states, reached, strict=True))
        claims = LANDED | UPDATED | COMPLETED
        return Audit(
            lost=sum(bool(said & claims & ~there) for said, there in pairs),
            doubled=sum(count - 1 for count in times.values()),
            ghosts=strangers + sum(bool(said & REFUSED and there) for said, there in pairs),
            open=sum(said == SENT for said, _ in pairs),
        )


def title(mark: int, *, changed: bool = False) -> str:
    """Return the title of a row with this mark."""
    return f"{_PREFIX}{mark}{_CHANGED if changed else ''}"
