"""Units: what one worker reads at a time, and when the units of a list add up to the list. Nothing here does I/O.

A unit is a range of pages of one list of one organization. Units of a list are read in any order and by anybody, so
rows that are removed meanwhile may slip from a page that is yet to be read onto one that was. What tells is arithmetic:
a round is good where as many different rows came as the server ever said that there are. And as rows may be added while
others are removed, the last full page must hold the same rows when the round ends as when it began. Rows that were
added at the end only need the end again; anything else needs a new round.

A list that comes newest change first is read only as far as needed, one unit after the other, so its rows cannot be
counted. What is added or changed comes to the front there and pushes rows onto later pages; one slips onto an earlier
page only where more were removed than added. So such a round is good where the total never went down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal

from attrs import asdict, define, field, frozen

from tallyfy_async.export.kinds import KINDS, Kind

ROUNDS = 4
"""How often a list is read at most that changes each time."""
PAGES = 10
"""Pages of a unit, if not told."""

Status = Literal["reading", "done", "refused"]
_KINDS = {kind.name: kind for kind in KINDS}


@frozen(kw_only=True)
class Unit:
    """A range of pages.

    Attributes:
        organization: its id.
        kind: name of the kind.
        round: how often the list was begun again before.
        first: number of its first page, from 1.
        last: number of its last page; the list may end before.
        since: ISO 8601; rows that were changed before are passed over, None for none.
        probe: read the first page only and keep nothing, to see whether the list is still as it was.

    """

    organization: str
    kind: str
    round: int
    first: int
    last: int
    since: str | None = None
    probe: bool = False

    @property
    def what(self) -> Kind:
        """The kind."""
        return _KINDS[self.kind]


@frozen(kw_only=True)
class UnitMark:
    """What was found in a unit; kept with its rows, so it is the unit's checkpoint.

    Attributes:
        first: number of its first page.
        reached: number of the last page that was read.
        rows: rows that were read, those passed over included.
        most: the largest total of the list that the server told, 0 where it told none.
        fewest: the smallest one.
        pages: the largest number of pages that the server told.
        ended: whether the last page read was the list's last.
        stopped: whether all that follows was changed before ``since``.
        shrank: whether the total went down from one of its pages to the next.
        ids: digest of the ids of the last page that was read.
        witness: in the mark of the first unit, number of the last page that was full when the round began, 0 for none.
        witnessed: digest of the ids of that page then.

    """

    first: int
    reached: int
    rows: int = 0
    most: int = 0
    fewest: int = 0
    pages: int = 0
    ended: bool = False
    stopped: bool = False
    shrank: bool = False
    ids: str = ""
    witness: int = 0
    witnessed: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the mark as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> UnitMark:
        """Return a mark as it was kept."""
        return cls(**values)


@frozen(kw_only=True)
class ListState:
    """What a destination holds of one list.

    Attributes:
        status: ``reading`` until it is complete.
        round: the round under way.
        marks: number of a first page -> the unit's mark, of this round.

    """

    status: Status = "reading"
    round: int = 0
    marks: Mapping[int, UnitMark] = field(factory=dict[int, UnitMark])


@define
class Round:
    """The units of one list that were read so far, and those that are due.

    Attributes:
        organization: its id.
        kind: the kind.
        number: of the round.
        pages: pages of a unit.
        since: ISO 8601, None for none.
        marks: number of a first page -> mark.

    """

    organization: str
    kind: Kind
    number: int
    pages: int
    since: str | None
    marks: dict[int, UnitMark]

    def unit(self, first: int, *, probe: bool = False) -> Unit:
        """Return the unit that begins with a page."""
        last = first if probe else first + self.pages - 1
        return Unit(
            organization=self.organization,
            kind=self.kind.name,
            round=self.number,
            first=first,
            last=last,
            since=self.since,
            probe=probe,
        )

    def probe(self) -> tuple[Unit, str] | None:
        """Return what to read before an interrupted round is gone on with, and the digest that it has to have."""
        if not self.marks:
            return None
        mark = self.marks[max(self.marks)]
        return self.unit(mark.reached, probe=True), mark.ids

    def witness(self) -> tuple[Unit, str] | None:
        """Return what to read when all else was read, and the digest that it has to have; None for a single page."""
        mark = self.marks[1]
        return (self.unit(mark.witness, probe=True), mark.witnessed) if mark.witness else None

    def due(self) -> list[Unit]:
        """Return the units to be read now: the first one, then all; one at a time where the order tells the end."""
        if 1 not in self.marks:
            return [self.unit(1)]
        units = [] if self._stopped else [self.unit(first) for first in self._unread()]
        return units[:1] if is_newest_first(self.kind, self.since) else units

    def _unread(self) -> Iterator[int]:
        """Give the first pages of what was not read; units that were read before a kill may have had other sizes."""
        page, last = 1, self.last_page
        while page <= last:
            mark = self.marks.get(page)
            if mark is None:
                yield page
            page = page + self.pages if mark is None or mark.ended else mark.reached + 1

    @property
    def _stopped(self) -> bool:
        """Whether all that is wanted was read, because the list comes newest change first."""
        return any(mark.stopped for mark in self.marks.values())

    @property
    def last_page(self) -> int:
        """The last page that the server told of."""
        return max((max(mark.pages, 1) for mark in self.marks.values()), default=1)

    @property
    def most(self) -> int:
        """The largest total that the server told."""
        return max((mark.most for mark in self.marks.values()), default=0)

    @property
    def fewest(self) -> int:
        """The smallest total that the server told."""
        return min((mark.fewest for mark in self.marks.values()), default=0)

    @property
    def rows(self) -> int:
        """Rows that were read, doubles included."""
        return sum(mark.rows for mark in self.marks.values())

    def is_whole(self, count: int) -> bool:
        """Whether so many different rows are the whole list, or all of it that is wanted."""
        if is_newest_first(self.kind, self.since):
            return not self._shrank() and (self._stopped or count >= self.fewest)
        return count >= self.most

    def lacks(self, count: int) -> bool:
        """Whether so many different rows are fewer than there were all the time, as far as the total tells."""
        return not is_newest_first(self.kind, self.since) and count < self.most == self.fewest

    def _shrank(self) -> bool:
        """Whether the total went down while units were read one after the other."""
        marks = [self.marks[first] for first in sorted(self.marks)]
        return any(mark.shrank for mark in marks) or any(two.fewest < one.most for one, two in pairwise(marks))

    def tail(self) -> list[Unit]:
        """Return the units at the end that were read before rows were added there."""
        if is_newest_first(self.kind, self.since):
            return []
        grown = (mark for mark in self.marks.values() if mark.ended and mark.most < self.most)
        return [self.unit(mark.first) for mark in grown]


def is_newest_first(kind: Kind, since: object) -> bool:
    """Whether a list comes in the order of changes, so that its rows move while it is read."""
    return since is not None and bool(kind.newest_first)
