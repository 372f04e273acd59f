"""An export by hand: what the job and its workers do to a destination, a step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from tallyfy_async.export.kinds import KINDS, Kind, Row
from tallyfy_async.export.report import ExportReport, KindReport
from tallyfy_async.fleet.destinations.base import Batch, Begun, FleetPlan
from tallyfy_async.fleet.units import ListState, Unit, UnitMark

TASKS = next(kind for kind in KINDS if kind.name == "tasks")
TAGS = next(kind for kind in KINDS if kind.name == "tags")
STARTED = datetime(2026, 2, 1, tzinfo=UTC)


def row(key: str, text: str = "") -> Row:
    return Row(key, {"id": key, "title": text or "ä\u2028\n"})


@define
class ByHand:
    """One export of one organization's tasks into a destination."""

    to: Any
    kinds: tuple[Kind, ...] = (TASKS,)
    resume: bool = True
    organization: str = "o"
    ledger: Any = field(init=False)
    begun: Begun = field(init=False)
    states: dict[str, ListState] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.ledger = self.to.ledger()

    def begin(self) -> ByHand:
        self.begun = self.ledger.begin(FleetPlan(kinds=self.kinds, since=None, started=STARTED, resume=self.resume))
        self.states = dict(self.ledger.open(self.organization))
        return self

    def round(self, number: int = 0) -> None:
        self.ledger.start_round(self.organization, TASKS, number)

    def put(self, first: int, ids: Iterable[str], text: str = "", *, end: bool = False, number: int = 0) -> None:
        """Commit a unit of one page."""
        self.put_rows(*(row(key, text) for key in ids), first=first, end=end, number=number)

    def put_rows(self, *rows: Row, first: int = 1, end: bool = True, number: int = 0) -> None:
        unit = Unit(organization=self.organization, kind="tasks", round=number, first=first, last=first)
        mark = UnitMark(first=first, reached=first, rows=len(rows), pages=first if end else first + 1, ended=end)
        self.to.writer().put(self.begun.run, unit, Batch(rows=rows, ids=[one.id for one in rows]), mark)

    def count(self) -> int:
        return int(self.ledger.count(self.organization, TASKS))

    def finish(self) -> KindReport:
        found: KindReport = self.ledger.finish(self.organization, TASKS, settled=True)
        return found

    def end(self) -> None:
        done, refused = self.ledger.report(self.organization)
        report = ExportReport(
            organization=self.organization, kinds=done, refused=refused, started=STARTED, seconds=1.0, resumed=False
        )
        self.ledger.end(report)

    def complete(self) -> None:
        self.ledger.complete()

    def close(self) -> None:
        self.ledger.close()

    def steps(self, pages: Sequence[Sequence[str]], text: str = "") -> list[Callable[[], object]]:
        """Return what is yet to be done, as the job would after it opened the organization."""
        state = self.states["tasks"]
        todo: list[Callable[[], object]] = []
        if self.organization not in self.begun.done:
            if state.status != "done":
                todo += [] if state.marks else [self.round]
                for first, ids in enumerate(pages, 1):
                    if first not in state.marks:
                        todo.append(lambda first=first, ids=ids: self.put(first, ids, text, end=first == len(pages)))
                todo += [self.count, self.finish]
            todo.append(self.end)
        return [*todo, self.complete]

    def whole(self, pages: Sequence[Sequence[str]], text: str = "") -> None:
        """Do all of an export."""
        try:
            for step in self.begin().steps(pages, text):
                step()
        finally:
            self.close()
