"""Files of any format: workers leave one piece a unit in a folder that all share, and who exports puts them together.

A piece is written aside and renamed, so its name is the unit's checkpoint. The pieces of a list that is whole go
through a target of :mod:`tallyfy_async.export`, one an organization, with a single writer: whoever exports.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from attrs import define, evolve, field

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.export.kinds import Kind, Row, row_of
from tallyfy_async.export.report import ExportReport, KindReport
from tallyfy_async.export.target import Mark, Plan, Target, taken, text_of
from tallyfy_async.fleet.destinations.base import FORMAT, Batch, Begun, FleetPlan, gone, report_of
from tallyfy_async.fleet.destinations.files import write_whole
from tallyfy_async.fleet.units import ListState, Unit, UnitMark

FOLDER = ".tallyfy-fleet"
_STATE = "state.json"
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Targets(Protocol):
    """Gives the target of an organization."""

    def __call__(self, organization: str) -> Target:
        """Return it, not open yet."""
        ...


def _state(path: Path) -> dict[str, Any]:
    """Return what is known of the last export; empty where there was none."""
    try:
        found: dict[str, Any] = json.loads((path / FOLDER / _STATE).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        found = {}
    if found.get("format") != FORMAT:
        msg = f"{path / FOLDER / _STATE} is not what this package writes: export into a new directory"
        raise ConfigurationError(msg)
    return found


def _round_folder(path: Path, run: str, organization: str, kind: str, number: int) -> Path:
    return path / FOLDER / run / organization / kind / str(number)


def _marks(folder: Path) -> dict[int, UnitMark]:
    return {int(piece.stem): UnitMark.of(head["mark"]) for piece, head in _heads(folder)}


def _heads(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Give each piece with its first line, which is written last of all."""
    for piece in sorted(folder.glob("*.ndjson"), key=lambda one: int(one.stem)):
        with piece.open("rb") as file:
            yield piece, json.loads(file.readline())


def _rows(kind: Kind, piece: Path) -> list[Row]:
    with piece.open("rb") as file:
        file.readline()
        return [row_of(kind, json.loads(line), piece.name) for line in file]


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
        before = _state(self.path)
        if not before and self.path.exists() and any(one.name != FOLDER for one in self.path.iterdir()):
            msg = f"{self.path} holds something else: name an empty or a new directory"
            raise ConfigurationError(msg)
        resumed = bool(before) and plan.resume and not before["complete"] and before["identity"] == plan.identity
        run = before["run"] if resumed else plan.owner
        started = datetime.fromisoformat(before["started"]) if resumed else plan.started
        (self.path / FOLDER / run).mkdir(parents=True, exist_ok=True)
        self._plan = plan
        self._begun = Begun(run=run, started=started, resumed=resumed, done=dict(self._done(run)))
        self._write_state(complete=False)
        for other in (self.path / FOLDER).iterdir():
            if other.is_dir() and other.name != run:
                shutil.rmtree(other, ignore_errors=True)
        return self._begun

    def _done(self, run: str) -> Iterator[tuple[str, ExportReport]]:
        file = self.path / FOLDER / run / "done.ndjson"
        for line in file.read_bytes().splitlines(keepends=True) if file.exists() else ():
            if line.endswith(b"\n"):  # the last one may be cut
                report = report_of(json.loads(line))
                yield report.organization, report

    def open(self, organization: str) -> Mapping[str, ListState]:
        """Open the target of an organization and return how far each kind is."""
        plan, begun = self._known()
        if not _NAME.fullmatch(organization):
            msg = f"{organization!r} is no id of an organization that a file can be named after"
            raise ConfigurationError(msg)
        folder = self.path / FOLDER / begun.run / organization
        target = self._targets(organization)
        opening = target.open(
            Plan(
                organization=organization,
                kinds=plan.kinds,
                since=plan.since,
                started=begun.started,
                resume=begun.resumed and folder.exists(),
                owner=plan.owner,
            )
        )
        self._open[organization] = target
        folder.mkdir(exist_ok=True)
        self._marks[organization] = {kind.name: opening.marks[kind.name] for kind in plan.kinds}
        return {kind.name: self._list_state(organization, kind) for kind in plan.kinds}

    def _list_state(self, organization: str, kind: Kind) -> ListState:
        if self._marks[organization][kind.name].status == "done":
            return ListState(status="done")
        number = self._round(organization, kind)
        if number is None:
            return ListState()
        return ListState(round=number, marks=_marks(self._folder(organization, kind, number)))

    def _round(self, organization: str, kind: Kind) -> int | None:
        parent = self._folder(organization, kind, 0).parent
        numbers = [int(one.name) for one in parent.iterdir()] if parent.exists() else []
        return max(numbers, default=None)

    def start_round(self, organization: str, kind: Kind, number: int) -> None:
        """Make the folder of a round and remove those of the rounds before it."""
        self._check_owner()
        folder = self._folder(organization, kind, number)
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.parent.iterdir():
            if other.name != folder.name:
                shutil.rmtree(other, ignore_errors=True)

    def count(self, organization: str, kind: Kind) -> int:
        """Return how many different rows the pieces name."""
        seen: set[str] = set()
        for _, head in _heads(self._current(organization, kind)):
            seen.update(head["ids"])
        return len(seen)

    def finish(self, organization: str, kind: Kind, *, settled: bool) -> KindReport:
        """Put the pieces into the target; remove what did not come where the list settled and all was asked for."""
        self._check_owner()
        plan, _ = self._known()
        target, before = self._open[organization], self._marks[organization][kind.name]
        pieces = self._current(organization, kind)
        # What an attempt that was killed wrote counts as written, and then there are rows: its rounds tell.
        mark = Mark(whole=before.whole and not before.rounds, written=before.written, rounds=1, shrank=not settled)
        for number, (piece, _) in enumerate(_heads(pieces)):
            mark = target.put(kind, _rows(kind, piece), evolve(mark, page=number))  # page 0 empties what was put before
        mark = target.finish(kind, evolve(mark, status="done"), prune=settled and plan.since is None)
        self._marks[organization][kind.name] = mark
        shutil.rmtree(pieces.parent, ignore_errors=True)
        return _report(mark)

    def refuse(self, organization: str, kind: Kind, why: str) -> None:
        """Note that the server does not give a kind."""
        self._check_owner()
        mark = self._open[organization].put(kind, [], Mark(status="refused", message=why))
        self._marks[organization][kind.name] = mark

    def report(self, organization: str) -> tuple[Mapping[str, KindReport], Mapping[str, str]]:
        """Return what became of the kinds of an organization."""
        marks = self._marks[organization]
        done = {name: _report(mark) for name, mark in marks.items() if mark.status == "done"}
        return done, {name: mark.message for name, mark in marks.items() if mark.status == "refused"}

    def end(self, report: ExportReport) -> None:
        """Complete the target of an organization, then note that it is."""
        self._check_owner()
        _, begun = self._known()
        target = self._open.pop(report.organization)
        target.complete()
        target.close()
        with (self.path / FOLDER / begun.run / "done.ndjson").open("ab") as file:
            file.write(json.dumps(report.to_dict()).encode() + b"\n")
        del self._marks[report.organization]
        shutil.rmtree(self.path / FOLDER / begun.run / report.organization, ignore_errors=True)

    def complete(self) -> None:
        """Note that everything is done, and remove what was only needed on the way."""
        self._check_owner()
        _, begun = self._known()
        self._write_state(complete=True)
        shutil.rmtree(self.path / FOLDER / begun.run, ignore_errors=True)

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

    def _current(self, organization: str, kind: Kind) -> Path:
        return self._folder(organization, kind, self._round(organization, kind) or 0)

    def _check_owner(self) -> None:
        plan, _ = self._known()
        if _state(self.path).get("owner") != plan.owner:
            raise taken(self.path)

    def _write_state(self, *, complete: bool) -> None:
        plan, begun = self._known()
        state = {
            "format": FORMAT,
            "run": begun.run,
            "owner": plan.owner,
            "identity": plan.identity,
            "started": begun.started.isoformat(),
            "complete": complete,
        }
        write_whole(self.path / FOLDER / _STATE, [json.dumps(state).encode()])


def _report(mark: Mark) -> KindReport:
    return KindReport(rows=mark.rows, written=mark.written, removed=mark.removed, unsettled=mark.shrank)


@define(eq=False)
class PieceWriter:
    """Writes pieces."""

    path: Path

    def put(self, run: str, unit: Unit, batch: Batch, mark: UnitMark) -> None:
        """Leave the piece of a unit, in the place of an earlier one."""
        if _state(self.path).get("run") != run:
            raise gone(self.path)
        folder = _round_folder(self.path, run, unit.organization, unit.kind, unit.round)
        if folder.exists():
            try:
                write_whole(folder / f"{unit.first}.ndjson", _lines(batch, mark), named=False)
            except FileNotFoundError:  # the round ended meanwhile
                if folder.exists():
                    raise

    def close(self) -> None:
        """Do nothing: no file stays open."""


def _lines(batch: Batch, mark: UnitMark) -> Iterable[bytes]:
    yield json.dumps({"mark": mark.to_dict(), "ids": batch.ids}).encode() + b"\n"
    for row in batch.rows:
        yield text_of(row).encode() + b"\n"
