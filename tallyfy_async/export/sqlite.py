"""A SQLite file: one table a kind, with id, a few columns and the JSON.

Rows and the mark of how far their kind is go into one transaction, so a file that is opened after a kill holds both or
neither. Others may read while it is written (write-ahead log).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import asdict, define, evolve, field

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.export.kinds import Kind, Row
from tallyfy_async.export.target import (
    FORMAT,
    Mark,
    Opening,
    Plan,
    check_organization,
    encodable,
    mark_of,
    taken,
    text_of,
)

_APPLICATION = 0x54_41_4C_59
"""What the file's header says of whose it is: the letters TALY."""
_LARGEST = 2**63
_PATIENCE = 30.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS export_state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS export_marks (kind TEXT PRIMARY KEY, mark TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS export_seen (kind TEXT, id TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID",
)


@define(eq=False)
class SQLiteTarget:
    """Rows in a SQLite file."""

    path: Path
    _owner: str = field(default="", init=False)
    _database: sqlite3.Connection | None = field(default=None, init=False)

    def open(self, plan: Plan) -> Opening:
        """Make or open the file.

        Raises ConfigurationError for a file that is no export, or of another organization or version; OSError and
        sqlite3.Error where it cannot be written.
        """
        if self.path.is_dir():
            msg = f"{self.path} is a directory: name a file"
            raise ConfigurationError(msg)
        self._owner = plan.owner
        self._database = sqlite3.connect(
            self.path.absolute(), timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )  # one thread at a time, which the job sees to
        try:
            self._check()
            return self._begin(plan)
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        try:
            (application,) = self._one("PRAGMA application_id")
            (version,) = self._one("PRAGMA user_version")
            empty = self._one("SELECT NOT EXISTS (SELECT 1 FROM sqlite_master)") == (1,)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                raise
            msg = f"{self.path} is no SQLite file: name another one, or remove it"
            raise ConfigurationError(msg) from None
        if empty and application in {0, _APPLICATION}:
            return
        if application != _APPLICATION:
            msg = f"{self.path} is a SQLite file of something else: name another one"
            raise ConfigurationError(msg)
        if version != FORMAT:
            msg = f"{self.path} was written in format {version}, this package writes {FORMAT}: export into a new file"
            raise ConfigurationError(msg)

    def _begin(self, plan: Plan) -> Opening:
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = NORMAL")  # a loss of power takes rows and their mark alike
        with self._transaction(claimed=False):
            self._run(f"PRAGMA application_id = {_APPLICATION}")
            self._run(f"PRAGMA user_version = {FORMAT}")
            for statement in (*_TABLES, *map(_table, plan.kinds)):
                self._run(statement)
            before = self._states()
            if before:
                check_organization(self.path, before.get("organization"), plan.organization)
            resumed = self._resumes(plan, before)
            started = datetime.fromisoformat(before["started"]) if resumed else plan.started
            if not resumed:
                self._run("DELETE FROM export_marks")
                self._run("DELETE FROM export_seen")
            self._set({**plan.identity, "started": started.isoformat(), "complete": "", "owner": self._owner})
            found = self._database_of().execute("SELECT kind, mark FROM export_marks").fetchall()
        marks = {kind: mark_of(json.loads(mark)) for kind, mark in found}
        for kind in plan.kinds:
            marks.setdefault(kind.name, Mark(whole=self._one(f'SELECT count(*) FROM "{kind.name}"') == (0,)))  # noqa: S608 - our own names
        return Opening(resumed=resumed, started=started, marks=marks)

    def _resumes(self, plan: Plan, before: dict[str, str]) -> bool:
        interrupted = bool(before) and not before.get("complete")
        return plan.resume and interrupted and all(before.get(name) == value for name, value in plan.identity.items())

    def put(self, kind: Kind, rows: Sequence[Row], mark: Mark) -> Mark:
        """Write rows that are new or differ, and the mark, in one transaction."""
        database = self._database_of()
        values = [(row.id, *_columns(kind, row), text_of(row)) for row in rows]
        with self._transaction():
            if not mark.page:
                self._run("DELETE FROM export_seen WHERE kind = ?", kind.name)
            before = database.total_changes
            database.executemany(_upsert(kind), values)
            mark = evolve(mark, written=mark.written + database.total_changes - before)
            if not mark.whole:
                database.executemany(
                    "INSERT OR IGNORE INTO export_seen VALUES (?, ?)", [(kind.name, row.id) for row in rows]
                )
            self._mark(kind, mark)
        return mark

    def finish(self, kind: Kind, mark: Mark, *, prune: bool) -> Mark:
        """Close a kind in one transaction, with ``prune`` without the rows that did not come."""
        with self._transaction():
            removed = 0
            if prune and not mark.whole:
                gone = f'DELETE FROM "{kind.name}" WHERE id NOT IN (SELECT id FROM export_seen WHERE kind = ?)'  # noqa: S608 - our own names
                removed = self._database_of().execute(gone, (kind.name,)).rowcount
            self._run("DELETE FROM export_seen WHERE kind = ?", kind.name)
            (rows,) = self._one(f'SELECT count(*) FROM "{kind.name}"')  # noqa: S608 - our own names
            mark = evolve(mark, removed=removed, rows=rows)
            self._mark(kind, mark)
        return mark

    def complete(self) -> None:
        """Note that all kinds are done."""
        with self._transaction():
            self._set({"complete": "yes"})

    def close(self) -> None:
        """Close the file; what was not committed is undone."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    @contextmanager
    def _transaction(self, *, claimed: bool = True) -> Generator[None, None, None]:
        self._run("BEGIN IMMEDIATE")
        try:
            if claimed:
                self._check_owner()
            yield
            self._run("COMMIT")
        except BaseException:
            if self._database_of().in_transaction:
                self._run("ROLLBACK")
            raise

    def _check_owner(self) -> None:
        if self._states().get("owner") != self._owner:
            raise taken(self.path)

    def _database_of(self) -> sqlite3.Connection:
        if self._database is None:
            msg = f"{self.path} is not open"
            raise ConfigurationError(msg)
        return self._database

    def _run(self, statement: str, *values: object) -> None:
        self._database_of().execute(statement, values)

    def _one(self, statement: str) -> Any:
        return self._database_of().execute(statement).fetchone()

    def _states(self) -> dict[str, str]:
        return dict(self._database_of().execute("SELECT name, value FROM export_state").fetchall())

    def _set(self, values: dict[str, str]) -> None:
        self._database_of().executemany("INSERT OR REPLACE INTO export_state VALUES (?, ?)", values.items())

    def _mark(self, kind: Kind, mark: Mark) -> None:
        self._run("INSERT OR REPLACE INTO export_marks VALUES (?, ?)", kind.name, json.dumps(asdict(mark)))


def _table(kind: Kind) -> str:
    columns = ", ".join(f'"{name}"' for name in kind.columns)
    return f'CREATE TABLE IF NOT EXISTS "{kind.name}" (id TEXT PRIMARY KEY, {columns}, json TEXT NOT NULL)'


def _upsert(kind: Kind) -> str:
    names = ("id", *kind.columns, "json")
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in names[1:])
    marks = ", ".join("?" for _ in names)
    return (
        f'INSERT INTO "{kind.name}" ({", ".join(map(_quoted, names))}) VALUES ({marks}) '  # noqa: S608 - our own names
        f'ON CONFLICT (id) DO UPDATE SET {changes} WHERE "{kind.name}".json IS NOT excluded.json'
    )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _columns(kind: Kind, row: Row) -> Iterable[object]:
    return [_scalar(row.data.get(name)) for name in kind.columns]


def _scalar(value: object) -> object:
    """Return what SQLite can hold of a value; the JSON has it whole."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else str(value)
    return value if isinstance(value, float) else None
