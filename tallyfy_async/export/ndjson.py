"""A directory of NDJSON files: one a kind, one JSON object a line.

While a list is read its rows are appended to ``<kind>.ndjson.part``; the file of the state says how much of that
counts, and is replaced after the rows were written. A kind that is complete replaces ``<kind>.ndjson``, so the files of
an earlier export stay whole until then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from attrs import asdict, define, evolve, field, frozen

from tallyfy_async.errors import ConfigurationError, DecodeError, ExportError
from tallyfy_async.export.folder import flush, hold, replace
from tallyfy_async.export.kinds import Kind, Row, row_of
from tallyfy_async.export.target import FORMAT, Mark, Opening, Plan, check_organization, mark_of, taken, text_of

STATE = ".tallyfy-export.json"
_NEW = f"{STATE}.new"


@frozen(kw_only=True)
class _Known:
    """How far a kind is, and how many bytes of its part count."""

    mark: Mark
    size: int


@define(kw_only=True)
class _State:
    """What the file of the state holds."""

    plan: dict[str, str]
    started: datetime
    owner: str
    kinds: dict[str, _Known]
    complete: bool = False

    @classmethod
    def of(cls, found: Any) -> _State:
        """Return a state as it was stored; raise what stands in the way where it is not one of ours."""
        if found["format"] != FORMAT:
            raise ValueError
        return cls(
            plan=dict(found["plan"]),
            started=datetime.fromisoformat(found["started"]),
            owner=found["owner"],
            kinds={
                name: _Known(mark=mark_of(one["mark"]), size=int(one["size"])) for name, one in found["kinds"].items()
            },
            complete=found["complete"],
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        kinds = {name: {"mark": asdict(one.mark), "size": one.size} for name, one in self.kinds.items()}
        return {**asdict(self, recurse=False), "format": FORMAT, "started": self.started.isoformat(), "kinds": kinds}


@define(eq=False)
class NDJSONTarget:
    """Rows in a directory of NDJSON files."""

    path: Path
    _state: _State = field(init=False)

    def open(self, plan: Plan) -> Opening:
        """Make or open the directory.

        Raises ConfigurationError for a file, for a directory that holds something else, and for an export of another
        organization or version; OSError where it cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            msg = f"{self.path} is a file: name a directory"
            raise ConfigurationError(msg)
        self.path.mkdir(parents=True, exist_ok=True)
        with hold(self.path):
            return self._open(plan)

    def _open(self, plan: Plan) -> Opening:
        before = self._before()
        if before is not None:
            check_organization(self.path, before.plan["organization"], plan.organization)
        resumed = before is not None and plan.resume and not before.complete and before.plan == plan.identity
        known = before if before is not None and resumed else None
        started = plan.started if known is None else known.started
        self._state = _State(
            plan=plan.identity, started=started, owner=plan.owner, kinds={} if known is None else known.kinds
        )
        self._write_state()
        marks = {kind.name: self._mark_at_hand(kind) for kind in plan.kinds}
        return Opening(resumed=resumed, started=started, marks=marks)

    def _before(self) -> _State | None:
        """Return the state of an earlier export, None where there was none."""
        try:
            return _State.of(json.loads((self.path / STATE).read_bytes()))
        except FileNotFoundError:
            if any(one.name != _NEW for one in self.path.iterdir()):
                msg = f"{self.path} holds something else: name an empty or a new directory"
                raise ConfigurationError(msg) from None
            return None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            msg = f"{self.path / STATE} is not what this package writes (format {FORMAT}): export into a new directory"
            raise ConfigurationError(msg) from None

    def _mark_at_hand(self, kind: Kind) -> Mark:
        """Return a kind's mark, its part cut to what was committed; a new mark where the part holds less than that."""
        known, part = self._state.kinds.get(kind.name), self._part(kind)
        if known is not None and known.mark.status == "done":
            part.unlink(missing_ok=True)  # left behind by a kill
            return known.mark
        if known is None or not part.exists() or part.stat().st_size < known.size:
            part.unlink(missing_ok=True)
            return Mark(whole=not self._file(kind).exists())
        os.truncate(part, known.size)
        return known.mark

    def put(self, kind: Kind, rows: Sequence[Row], mark: Mark) -> Mark:
        """Append rows to the kind's part, then write the mark with the part's new size."""
        with self._claimed():
            if mark.status == "refused":
                self._part(kind).unlink(missing_ok=True)
                self._keep(kind, mark, 0)
                return mark
            with self._part(kind).open("ab" if mark.page else "wb") as file:
                file.writelines(text_of(row).encode() + b"\n" for row in rows)
                flush(file)
                size = file.tell()
            self._keep(kind, mark, size)
        return mark

    def finish(self, kind: Kind, mark: Mark, *, prune: bool) -> Mark:
        """Put the rows of the part in the place of the kind's file, each once; without ``prune`` keep older rows.

        The part stays until the mark says that the kind is done, so a kill at any moment leaves one or the other.
        """
        part = self._part(kind)
        with self._claimed():
            new = _index(kind, part, _lines(part))
            old = _index(kind, self._file(kind), self._lines_of(kind))
            kept = {} if prune else {key: place for key, place in old.items() if key not in new}
            self._put_in_place(kind, chain(_named(_lines(part), new), _named(self._lines_of(kind), kept)))
            mark = evolve(
                mark,
                rows=len(new) + len(kept),
                written=sum(1 for key, (_, text) in new.items() if key not in old or old[key][1] != text),
                removed=len(old.keys() - new.keys() - kept.keys()),
            )
            self._keep(kind, mark, 0)
            part.unlink(missing_ok=True)
        return mark

    def complete(self) -> None:
        """Note that all kinds are done."""
        with self._claimed():
            self._state.complete = True
            self._write_state()

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _part(self, kind: Kind) -> Path:
        return self.path / f"{kind.name}.ndjson.part"

    def _file(self, kind: Kind) -> Path:
        return self.path / f"{kind.name}.ndjson"

    def _lines_of(self, kind: Kind) -> Iterator[bytes]:
        """Give the rows of a kind that is complete, as lines."""
        return _lines(self._file(kind))

    def _put_in_place(self, kind: Kind, lines: Iterable[bytes]) -> None:
        """Put rows in the place of a kind's file, in one step."""
        replace(self._file(kind), lines)

    def _keep(self, kind: Kind, mark: Mark, size: int) -> None:
        self._state.kinds[kind.name] = _Known(mark=mark, size=size)
        self._write_state()

    @contextmanager
    def _claimed(self) -> Generator[None, None, None]:
        """Keep other exports out while the context lasts; raise ExportError where one has taken over before."""
        with hold(self.path):
            try:
                found = _State.of(json.loads((self.path / STATE).read_bytes()))
            except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):
                raise _changed(self.path / STATE) from None
            if found.owner != self._state.owner:
                raise taken(self.path)
            yield

    def _write_state(self) -> None:
        replace(self.path / STATE, [json.dumps(self._state.to_dict(), indent=1).encode()])


def _changed(place: Path) -> ExportError:
    return ExportError(f"{place} was changed by somebody else while the export ran")


def _lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        yield from file


_Index = dict[str, tuple[int, int]]
"""Id -> number of its last line, and the hash of that line."""


def _index(kind: Kind, path: Path, lines: Iterable[bytes]) -> _Index:
    try:
        return {
            row_of(kind, json.loads(line), f"{path.name}[{number}]").id: (number, hash(line))
            for number, line in enumerate(lines)
        }
    except (ValueError, LookupError, DecodeError):
        msg = f"{path} was changed by somebody else and does not hold {kind.name} any more: remove it"
        raise ExportError(msg) from None


def _named(lines: Iterable[bytes], index: _Index) -> Iterator[bytes]:
    """Give the lines that an index names."""
    wanted = {number for number, _ in index.values()}
    return (line for number, line in enumerate(lines) if number in wanted) if wanted else iter(())
