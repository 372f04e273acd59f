"""A directory of NDJSON files: one a kind, one JSON object a line.

While a list is read its rows are appended to ``<kind>.ndjson.part``; the file of the state says how much of that
counts, and is replaced after the rows were written. A kind that is complete replaces ``<kind>.ndjson``, so the files of
an earlier export stay whole until then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from attrs import asdict, define, evolve, field

from tallyfy_async.errors import ConfigurationError, DecodeError
from tallyfy_async.export.kinds import Kind, Row, row_of
from tallyfy_async.export.target import FORMAT, Mark, Opening, Plan, check_organization, mark_of, taken, text_of

STATE = ".tallyfy-export.json"
_NEW = f"{STATE}.new"


@define(eq=False)
class NDJSONTarget:
    """Rows in a directory of NDJSON files."""

    path: Path
    _state: dict[str, Any] = field(factory=dict[str, Any], init=False)

    def open(self, plan: Plan) -> Opening:
        """Make or open the directory.

        Raises ConfigurationError for a file, for a directory that holds something else, and for an export of another
        organization or version; OSError where it cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            msg = f"{self.path} is a file: name a directory"
            raise ConfigurationError(msg)
        self.path.mkdir(parents=True, exist_ok=True)
        before = self._before(plan)
        resumed = bool(before) and plan.resume and not before["complete"] and before["plan"] == plan.identity
        started = datetime.fromisoformat(before["started"]) if resumed else plan.started
        self._state = {
            "format": FORMAT,
            "plan": plan.identity,
            "started": started.isoformat(),
            "complete": False,
            "owner": plan.owner,
            "kinds": before["kinds"] if resumed else {},
        }
        self._write_state()
        marks = {kind.name: self._mark_at_hand(kind) for kind in plan.kinds}
        return Opening(resumed=resumed, started=started, marks=marks)

    def _before(self, plan: Plan) -> dict[str, Any]:
        """Return the state of an earlier export, empty where there was none."""
        try:
            found: Any = json.loads((self.path / STATE).read_bytes())
        except FileNotFoundError:
            if any(one.name != _NEW for one in self.path.iterdir()):
                msg = f"{self.path} holds something else: name an empty or a new directory"
                raise ConfigurationError(msg) from None
            return {}
        except ValueError:
            found = None
        state = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        if state.get("format") != FORMAT:
            msg = f"{self.path / STATE} is not what this package writes (format {FORMAT}): export into a new directory"
            raise ConfigurationError(msg)
        check_organization(self.path, state["plan"]["organization"], plan.organization)
        return state

    def _mark_at_hand(self, kind: Kind) -> Mark:
        """Return a kind's mark, its part cut to what was committed; a new mark where the part holds less than that."""
        entry = self._state["kinds"].get(kind.name)
        part, whole = self._part(kind), not self._file(kind).exists()
        size = entry["size"] if entry is not None else 0
        if entry is not None and entry["mark"]["status"] == "done":
            return mark_of(entry["mark"])
        if entry is None or not part.exists() or part.stat().st_size < size:
            part.unlink(missing_ok=True)
            return Mark(whole=whole)
        os.truncate(part, size)
        return mark_of(entry["mark"])

    def put(self, kind: Kind, rows: Sequence[Row], mark: Mark) -> Mark:
        """Append rows to the kind's part, then write the mark with the part's new size."""
        self._check_owner()
        if mark.status == "refused":
            self._part(kind).unlink(missing_ok=True)
            self._keep(kind, mark, 0)
            return mark
        with self._part(kind).open("ab" if mark.page else "wb") as file:
            file.writelines(text_of(row).encode() + b"\n" for row in rows)
            _flush(file)
            size = file.tell()
        self._keep(kind, mark, size)
        return mark

    def finish(self, kind: Kind, mark: Mark, *, prune: bool) -> Mark:
        """Put the rows of the part in the place of the kind's file, each once; without ``prune`` keep older rows."""
        self._check_owner()
        part, file = self._part(kind), self._file(kind)
        new, old = _index(kind, part), _index(kind, file)
        kept = {} if prune else {key: place for key, place in old.items() if key not in new}
        if kept or len(new) != _count(part):
            _rewrite(part, [(part, new), (file, kept)])
        _sync_and_replace(part, file)
        mark = evolve(
            mark,
            rows=len(new) + len(kept),
            written=sum(1 for key, (_, text) in new.items() if key not in old or old[key][1] != text),
            removed=len(old.keys() - new.keys() - kept.keys()),
        )
        self._keep(kind, mark, 0)
        return mark

    def complete(self) -> None:
        """Note that all kinds are done."""
        self._check_owner()
        self._state["complete"] = True
        self._write_state()

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _part(self, kind: Kind) -> Path:
        return self.path / f"{kind.name}.ndjson.part"

    def _file(self, kind: Kind) -> Path:
        return self.path / f"{kind.name}.ndjson"

    def _keep(self, kind: Kind, mark: Mark, size: int) -> None:
        self._state["kinds"][kind.name] = {"mark": asdict(mark), "size": size}
        self._write_state()

    def _check_owner(self) -> None:
        if json.loads((self.path / STATE).read_bytes())["owner"] != self._state["owner"]:
            raise taken(self.path)

    def _write_state(self) -> None:
        new = self.path / _NEW
        with new.open("wb") as file:
            file.write(json.dumps(self._state, indent=1).encode())
            _flush(file)
        new.replace(self.path / STATE)
        _sync_directory(self.path)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    if os.name == "nt":  # pragma: no cover - Windows opens no directories
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_and_replace(part: Path, file: Path) -> None:
    with part.open("ab") as opened:
        _flush(opened)
    part.replace(file)
    _sync_directory(file.parent)


def _lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        yield from file


def _count(path: Path) -> int:
    return sum(1 for _ in _lines(path))


_Index = dict[str, tuple[int, int]]
"""Id -> number of its last line, and the hash of that line."""


def _index(kind: Kind, path: Path) -> _Index:
    try:
        return {
            row_of(kind, json.loads(line), f"{path.name}[{number}]").id: (number, hash(line))
            for number, line in enumerate(_lines(path))
        }
    except (ValueError, DecodeError):
        msg = f"{path} was changed by somebody else and is no NDJSON of {kind.name} any more: remove it"
        raise ConfigurationError(msg) from None


def _rewrite(place: Path, sources: Sequence[tuple[Path, _Index]]) -> None:
    """Write the lines that the indexes name to a file, which may be one of those that they come from."""
    new = place.with_name(f"{place.name}.new")
    with new.open("wb") as file:
        for path, index in sources:
            file.writelines(_named(path, {number for number, _ in index.values()}.__contains__))
        _flush(file)
    new.replace(place)


def _named(path: Path, wanted: Callable[[int], bool]) -> Iterator[bytes]:
    return (line for number, line in enumerate(_lines(path)) if wanted(number))
