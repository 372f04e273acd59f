"""Files of any format: workers leave pieces in a folder that all share, and who exports puts them together.

A piece holds one unit and is put in its place in one step, so that it is the unit's checkpoint. None replaces another:
where two workers read the same unit, because one was taken for dead, there are two. The pieces of a list that is whole
go through a target of :mod:`tallyfy_async.export`, one an organization, with a single writer: whoever exports.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from attrs import asdict, define, evolve, field, frozen

from tallyfy_async.errors import ConfigurationError, ExportError
from tallyfy_async.export.folder import hold, replace
from tallyfy_async.export.kinds import Kind, Row, row_of
from tallyfy_async.export.report import ExportReport, KindReport
from tallyfy_async.export.target import Mark, Plan, Target, taken, text_of
from tallyfy_async.fleet.destinations.base import FORMAT, Batch, Begun, FleetPlan, gone, late, report_of
from tallyfy_async.fleet.units import ListState, Unit, UnitMark

FOLDER = ".tallyfy-fleet"
_STATE = "state.json"
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Targets(Protocol):
    """Gives the target of an organization."""

    def __call__(self, organization: str) -> Target:
        """Return it, not open yet."""
        ...


@frozen(kw_only=True)
class _State:
    """What is known of the last export into a directory."""

    run: str
    owner: str
    identity: str
    started: datetime
    complete: bool

    @classmethod
    def at(cls, path: Path) -> _State | None:
        """Return it, None where there was none; raise ConfigurationError for what this package does not write."""
        place = path / FOLDER / _STATE
        try:
            found = json.loads(place.read_bytes())
            if found.pop("format") == FORMAT:
                return cls(started=datetime.fromisoformat(found.pop("started")), **found)
        except FileNotFoundError:
            return None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass  # raised below, because its words may repeat what is there
        msg = f"{place} is not what this package writes (format {FORMAT}): export into a new directory"
        raise ConfigurationError(msg)

    def keep(self, path: Path) -> None:
        """Write it."""
        whole = {**asdict(self), "format": FORMAT, "started": self.started.isoformat()}
        replace(path / FOLDER / _STATE, [json.dumps(whole).encode()])


def _round_folder(path: Path, run: str, organization: str, kind: str, number: int) -> Path:
    return path / FOLDER / run / organization / kind / str(number)


@frozen
class _Piece:
    """A file: its unit's mark on the first line, the ids of all rows that were read on the second, rows that count."""

    file: Path
    mark: UnitMark

    @classmethod
    def of(cls, file: Path) -> _Piece:
        """Return the piece in a file."""
        return cls(file, UnitMark.of(json.loads(next(_lines(file)))))

    def ids(self) -> list[str]:
        """Return the ids of all rows that were read."""
        found: list[str] = json.loads(next(_lines(self.file, 1)))
        return found

    def rows(self, kind: Kind) -> list[Row]:
        """Return the rows that count."""
        return [row_of(kind, json.loads(line), self.file.name) for line in _lines(self.file, 2)]


def _lines(file: Path, first: int = 0) -> Iterator[bytes]:
    with file.open("rb") as opened:
        yield from islice(opened, first, None)


def _text(batch: Batch, mark: UnitMark) -> Iterator[bytes]:
    """Give the lines of a piece."""
    for line in (json.dumps(mark.to_dict()), json.dumps(batch.ids), *map(text_of, batch.rows)):
        yield line.encode() + b"\n"


def _pieces(folder: Path) -> list[_Piece]:
    """Return the pieces of a round in the order of their pages, those of one unit in the order of their writing."""

    def order(file: Path) -> tuple[int, int]:
        return int(file.name.partition(".")[0]), file.stat().st_mtime_ns

    return [_Piece.of(file) for file in sorted(folder.glob("*.ndjson"), key=order)]


def _lacking(marks: Iterable[UnitMark]) -> int | None:
    """Return the first page that no unit has, None where they reach from the first one to the end."""
    reached, ended = 0, False
    for mark in marks:
        if mark.first > reached + 1 and not ended:
            break
        reached, ended = max(reached, mark.reached), ended or mark.ended or mark.stopped
    return None if ended else reached + 1


@define(eq=False)
class PieceLedger:
    """Knows how far an export into files is."""

    path: Path
    _targets: Targets
    _plan: FleetPlan | None = field(default=None, init=False)
    _begun: Begun | None = field(default=None, init=False)
    _open: dict[str, Target] = field(factory=dict[str, Target], init=False)
    _marks: dict[str, dict[str, Mark]] = field(factory=dict[str, dict[str, Mark]], init=False)

    def begin(self, plan: FleetPlan) -> Begun:
        """Make or open the directory.

        Raises ConfigurationError for a file and for a directory that holds something else; OSError.
        """
        if self.path.exists() and not self.path.is_dir():
            msg = f"{self.path} is a file: name a directory"
            raise ConfigurationError(msg)
        others = (one for one in self.path.iterdir() if one.name != FOLDER) if self.path.exists() else ()
        if _State.at(self.path) is None and any(others):
            msg = f"{self.path} holds something else: name an empty or a new directory"
            raise ConfigurationError(msg)
        (self.path / FOLDER).mkdir(parents=True, exist_ok=True)
        with hold(self.path / FOLDER):
            return self._begin(plan)

    def _begin(self, plan: FleetPlan) -> Begun:
        before = _State.at(self.path)
        resumed = before is not None and plan.resume and not before.complete and before.identity == plan.identity
        run, started = (before.run, before.started) if before is not None and resumed else (plan.owner, plan.started)
        folder = self.path / FOLDER / run
        folder.mkdir(exist_ok=True)
        state = _State(run=run, owner=plan.owner, identity=plan.identity, started=started, complete=False)
        state.keep(self.path)
        for other in folder.parent.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other, ignore_errors=True)
        reports = [report_of(json.loads(one.read_bytes())) for one in folder.glob("*.json")]
        self._plan = plan
        self._begun = Begun(
            run=run, started=started, resumed=resumed, done={report.organization: report for report in reports}
        )
        return self._begun

    def open(self, organization: str) -> Mapping[str, ListState]:
        """Open the target of an organization and return how far each kind is."""
        plan, begun = self._known()
        if not _NAME.fullmatch(organization):
            msg = f"{organization!r} is no id of an organization that a file can be named after"
            raise ConfigurationError(msg)
        folder = self.path / FOLDER / begun.run / organization
        wanted = Plan(
            organization=organization,
            kinds=plan.kinds,
            since=plan.since,
            started=begun.started,
            resume=begun.resumed and folder.exists(),
            owner=plan.owner,
        )
        with self._claimed():
            self._open[organization] = target = self._targets(organization)
            opening = target.open(wanted)
            folder.mkdir(exist_ok=True)
            self._marks[organization] = {kind.name: opening.marks[kind.name] for kind in plan.kinds}
            return {kind.name: self._list_state(organization, kind) for kind in plan.kinds}

    def _list_state(self, organization: str, kind: Kind) -> ListState:
        if self._marks[organization][kind.name].status == "done":
            return ListState(status="done")
        number = self._round(organization, kind)
        if number is None:
            return ListState()
        pieces = _pieces(self._folder(organization, kind, number))
        return ListState(round=number, marks={piece.mark.first: piece.mark for piece in pieces})

    def _round(self, organization: str, kind: Kind) -> int | None:
        parent = self._folder(organization, kind, 0).parent
        numbers = [int(one.name) for one in parent.iterdir()] if parent.exists() else []
        return max(numbers, default=None)

    def start_round(self, organization: str, kind: Kind, number: int) -> None:
        """Make the folder of a round and remove those of the rounds before it."""
        folder = self._folder(organization, kind, number)
        with self._claimed():
            folder.mkdir(parents=True, exist_ok=True)
            for other in folder.parent.iterdir():
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)

    def count(self, organization: str, kind: Kind) -> int:
        """Return how many different rows the pieces name."""
        with self._claimed():
            return len({one for piece in self._whole(organization, kind) for one in piece.ids()})

    def finish(self, organization: str, kind: Kind, *, settled: bool) -> KindReport:
        """Put the pieces into the target; remove what did not come where the list settled and all was asked for."""
        plan, _ = self._known()
        target, before = self._open[organization], self._marks[organization][kind.name]
        # What an attempt that was killed wrote counts as written, and then there are rows: its rounds tell.
        mark = Mark(whole=before.whole and not before.rounds, written=before.written, rounds=1, shrank=not settled)
        with self._claimed():
            for number, piece in enumerate(self._whole(organization, kind)):
                # Page 0 empties what was put before.
                mark = target.put(kind, piece.rows(kind), evolve(mark, page=number))
            mark = target.finish(kind, evolve(mark, status="done"), prune=settled and plan.since is None)
            self._marks[organization][kind.name] = mark
            shutil.rmtree(self._folder(organization, kind, 0).parent, ignore_errors=True)
        return _report(mark)

    def refuse(self, organization: str, kind: Kind, why: str) -> None:
        """Note that the server does not give a kind; rows of it may be there from before."""
        with self._claimed():
            mark = self._open[organization].put(kind, [], Mark(status="refused", message=why, whole=False))
            self._marks[organization][kind.name] = mark

    def report(self, organization: str) -> tuple[Mapping[str, KindReport], Mapping[str, str]]:
        """Return what became of the kinds of an organization."""
        marks = self._marks[organization]
        done = {name: _report(mark) for name, mark in marks.items() if mark.status == "done"}
        return done, {name: mark.message for name, mark in marks.items() if mark.status == "refused"}

    def end(self, report: ExportReport) -> None:
        """Complete the target of an organization, then note that it is."""
        folder = self.path / FOLDER / self._known()[1].run
        with self._claimed():
            self._open[report.organization].complete()
            self.leave(report.organization)
            replace(folder / f"{report.organization}.json", [json.dumps(report.to_dict()).encode()])
            shutil.rmtree(folder / report.organization, ignore_errors=True)

    def leave(self, organization: str) -> None:
        """Close the target of an organization, where it is open."""
        self._marks.pop(organization, None)
        if (target := self._open.pop(organization, None)) is not None:
            target.close()

    def complete(self) -> None:
        """Note that everything is done, and remove what was only needed on the way."""
        with self._claimed() as state:
            evolve(state, complete=True).keep(self.path)
            shutil.rmtree(self.path / FOLDER / state.run, ignore_errors=True)

    def close(self) -> None:
        """Close the targets that are open."""
        while self._open:
            self._open.popitem()[1].close()

    def _known(self) -> tuple[FleetPlan, Begun]:
        if self._plan is None or self._begun is None:
            msg = f"{self.path} is not open"
            raise ConfigurationError(msg)
        return self._plan, self._begun

    def _folder(self, organization: str, kind: Kind, number: int) -> Path:
        _, begun = self._known()
        return _round_folder(self.path, begun.run, organization, kind.name, number)

    def _whole(self, organization: str, kind: Kind) -> list[_Piece]:
        """Return the pieces of a list of which all units were read; raise ExportError where some are not there."""
        pieces = _pieces(self._folder(organization, kind, self._round(organization, kind) or 0))
        if (page := _lacking(piece.mark for piece in pieces)) is not None:
            msg = f"{self.path} lacks page {page} of {kind.name}, which was written: do all share this directory?"
            raise ExportError(msg)
        return pieces

    @contextmanager
    def _claimed(self) -> Generator[_State, None, None]:
        """Keep other exports out while the context lasts; raise ExportError where one has taken over before."""
        plan, _ = self._known()
        with hold(self.path / FOLDER):
            state = _State.at(self.path)
            if state is None or state.owner != plan.owner:
                raise taken(self.path)
            yield state


def _report(mark: Mark) -> KindReport:
    return KindReport(rows=mark.rows, written=mark.written, removed=mark.removed, unsettled=mark.shrank)


@define(eq=False)
class PieceWriter:
    """Writes pieces."""

    path: Path

    def put(self, run: str, unit: Unit, batch: Batch, mark: UnitMark) -> None:
        """Leave a piece."""
        state = _State.at(self.path)
        if state is None or state.run != run:
            raise gone(self.path)
        folder = _round_folder(self.path, run, unit.organization, unit.kind, unit.round)
        try:
            replace(folder / f"{unit.first}.{uuid4().hex}.ndjson", _text(batch, mark))
        except FileNotFoundError:
            raise late(self.path, unit.kind) from None

    def close(self) -> None:
        """Do nothing: no file stays open."""
