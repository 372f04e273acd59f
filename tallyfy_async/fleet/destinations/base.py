"""What every destination is: a value that workers can be handed, a ledger for whoever exports, a writer for workers.

The methods of ledgers and writers block and are called from worker threads; those of one ledger one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import uuid4

from attrs import field, frozen

from tallyfy_async.errors import ExportError
from tallyfy_async.export.kinds import Kind, Row
from tallyfy_async.export.report import ExportReport, KindReport
from tallyfy_async.fleet.units import ListState, Unit, UnitMark

FORMAT = 1


@frozen(kw_only=True)
class FleetPlan:
    """What is to be exported.

    Attributes:
        kinds: the kinds.
        since: in UTC; rows that were changed before are passed over. None for everything.
        started: now, in UTC.
        resume: whether to go on with an export that was interrupted.
        owner: tells this export from another one into the same destination.

    """

    kinds: Sequence[Kind]
    since: datetime | None
    started: datetime
    resume: bool
    owner: str = field(factory=lambda: uuid4().hex)

    @property
    def identity(self) -> str:
        """What an interrupted export must have been for, to be gone on with."""
        return "" if self.since is None else self.since.isoformat()


@frozen(kw_only=True)
class Begun:
    """What a destination held when it was opened.

    Attributes:
        run: names the export; one that is gone on with keeps its name.
        started: when it first began.
        resumed: whether an interrupted export is gone on with.
        done: id of an organization that is complete -> its report.

    """

    run: str
    started: datetime
    resumed: bool
    done: Mapping[str, ExportReport]


def _latest(rows: Iterable[Row]) -> Sequence[Row]:
    return list({row.id: row for row in rows}.values())


@frozen(kw_only=True)
class Batch:
    """The rows of a unit that are wanted, of each the one that came last, and the ids of all rows that were read."""

    rows: Sequence[Row] = field(converter=_latest)
    ids: Sequence[str]


class Ledger(Protocol):
    """The side of a destination that knows how far everything is."""

    def begin(self, plan: FleetPlan) -> Begun:
        """Make or open the destination; raise ConfigurationError for something else."""
        ...

    def open(self, organization: str) -> Mapping[str, ListState]:
        """Return how far each kind of an organization is."""
        ...

    def start_round(self, organization: str, kind: Kind, number: int) -> None:
        """Make room for the units of a round, and forget those of the one before."""
        ...

    def count(self, organization: str, kind: Kind) -> int:
        """Return how many different rows came in the round under way."""
        ...

    def finish(self, organization: str, kind: Kind, *, settled: bool) -> KindReport:
        """Close a list; where it is ``settled`` and all was asked for, without the rows that did not come."""
        ...

    def refuse(self, organization: str, kind: Kind, why: str) -> None:
        """Note that the server does not give a kind."""
        ...

    def report(self, organization: str) -> tuple[Mapping[str, KindReport], Mapping[str, str]]:
        """Return what became of the kinds of an organization: those that are done, and those refused."""
        ...

    def end(self, report: ExportReport) -> None:
        """Note that all kinds of an organization are done."""
        ...

    def leave(self, organization: str) -> None:
        """Release what is held for an organization that does not end; what was committed stays."""
        ...

    def complete(self) -> None:
        """Note that all organizations are done."""
        ...

    def close(self) -> None:
        """Release the destination; what was committed stays."""
        ...


class Writer(Protocol):
    """The side of a destination that rows go to; it may be used by several threads at once."""

    def put(self, run: str, unit: Unit, batch: Batch, mark: UnitMark) -> None:
        """Commit the rows of a unit and its mark, both or neither.

        The same unit may come twice, from two workers at once too: then the rows of both count, and nothing that one
        committed is lost. Raises ExportError, and changes nothing, where the unit's round has ended and where the
        export that it belongs to has ended or cannot be found.
        """
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class Destination(Protocol):
    """Where rows go to: a value without secrets, which is sent to the workers."""

    def ledger(self) -> Ledger:
        """Return the ledger, for the process that exports."""
        ...

    def writer(self) -> Writer:
        """Return a writer, for a process that reads."""
        ...


def report_of(values: Mapping[str, Any]) -> ExportReport:
    """Return a report as it was kept."""
    return ExportReport(
        organization=values["organization"],
        kinds={name: KindReport(**one) for name, one in values["kinds"].items()},
        refused=values["refused"],
        started=datetime.fromisoformat(values["started"]),
        seconds=values["seconds"],
        resumed=values["resumed"],
    )


def gone(place: object) -> ExportError:
    """Return the error of a worker that does not find the export that it reads for."""
    msg = (
        f"{place} does not hold the export that this worker reads for: either another export began there, "
        "or the worker does not share the directory with the process that exports (then use PostgreSQL)"
    )
    return ExportError(msg)


def late(place: object, kind: str) -> ExportError:
    """Return the error of a worker whose unit belongs to a round that has ended; as a rule nobody waits for it."""
    msg = f"{place}: the round of {kind} that was read for has ended: another export took it over, or it was removed"
    return ExportError(msg)
