"""The sandbox's world in a SQLite file: what was acknowledged is there after the next start.

One transaction per request that may have written, committed and flushed to the disk before the reply leaves. Only rows
that changed are written; to find them, every row of the organization that was written to is compared with its mark,
which takes about 5 microseconds a row (30 ms for 6000 rows) and 0.1 ms for each row that is then written; the commit
adds one flush of the disk. Requests that only read compare a few numbers for each organization.

The file is locked while it is open: one process, one sandbox. It holds passwords and tokens in the clear, and nobody
but its owner can read it.
"""

import contextlib
import json
import os
import sqlite3
import stat
import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any

from attrs import frozen

from .marks import Memo, kept_fields
from .records import JsonObject
from .storage_changes import Changes, Kept
from .storage_rows import Cell, Codec
from .world import Tenant, World

APPLICATION = 0x54414C59
"""Tells a file of the sandbox from other SQLite files ("TALY")."""
SCHEMA = 1
"""Raise it when rows of an older program cannot be read any more: a field without default, another meaning."""
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_TABLES = (
    "CREATE TABLE origin(facts TEXT NOT NULL)",
    """
    CREATE TABLE rows(
        place INTEGER PRIMARY KEY, holder TEXT NOT NULL, field TEXT NOT NULL, key TEXT NOT NULL, cell NOT NULL,
        UNIQUE(holder, field, key))
    """,
)
_PUT = (
    "INSERT INTO rows(holder, field, key, cell) VALUES(?, ?, ?, ?)"
    " ON CONFLICT(holder, field, key) DO UPDATE SET cell = excluded.cell"
)
_DROP = "DELETE FROM rows WHERE holder = ? AND field = ? AND key = ?"
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_open: set[tuple[int, int]] = set()
"""Device and inode of the files that this process has open: reading such a file would release SQLite's lock on it."""
_opening = threading.Lock()


class StorageError(Exception):
    """The file cannot be used, or could not be written; the message names it and says why."""


@frozen(kw_only=True)
class _Batch:
    """What one transaction writes."""

    tables: list[tuple[str, Kept, Changes]]
    plain: dict[str, str]
    """Holder -> row of its plain fields, where that changed."""
    gone: list[str]

    def __bool__(self) -> bool:
        return bool(self.plain or self.gone or any(changes for _, _, changes in self.tables))


class Storage:
    """A SQLite file that holds one world. Raise StorageError for a file that is not, or cannot be used.

    A missing or an empty file is a new one: `create` fills it. No other file is written to before it was recognized.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._codec = Codec()
        self._kept: dict[tuple[str, str], Kept] = {}
        self._plain: dict[str, str] = {}
        self._stamps: dict[str, Any] = {}
        self.closed = False
        self._claim = _claim(self.path)
        try:
            with _explained(self.path):
                self._connection = _connect(self.path)
        except BaseException:
            _open.discard(self._claim)
            raise
        self.origin: JsonObject | None = None
        """What was noted when the file was made; None for a new file."""
        try:
            with _explained(self.path):
                self.origin = self._recognized()
        except BaseException:
            self.close()
            raise

    def create(self, world: World, origin: JsonObject) -> None:
        """Write a world to a new file, together with a note for those who open it next."""
        batch = self._batch(world, lambda _: True)
        with _explained(self.path):
            with self._transaction():
                for statement in _TABLES:
                    self._connection.execute(statement)
                self._connection.execute("INSERT INTO origin VALUES(?)", (json.dumps(origin),))
                self._write(batch)
            # Only now: the header that tells what the file is must lie in the file itself, not in a log beside it.
            self._connection.execute("PRAGMA journal_mode=WAL")
        self._settle(world, batch)

    def load(self, world: World) -> None:
        """Fill a new world from the file."""
        with _explained(self.path):
            self._connection.execute("PRAGMA journal_mode=WAL")
            rows = self._rows()
        try:
            self._codec.restore(world, rows)
            self._adopt(world, rows)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise StorageError(f"{self.path} is damaged, or of another version of the sandbox ({reason})") from error

    def save(self, world: World, *, organization: str | None = None, reading: bool = False) -> None:
        """Write what has changed: in the world, its tokens, `organization`, and every other that noted a write.

        `reading`: the request was a safe one, which writes no more than the counters of an organization tell.
        """
        moved = {one.id for one in world.tenants.values() if self._stamps.get(one.id) != _stamp(one)}
        if reading and not moved:
            return
        self._save(world, lambda holder: not isinstance(holder, Tenant) or holder.id in {*moved, organization})

    def save_all(self, world: World) -> None:
        """Write everything that has changed, whether anybody noted it or not."""
        self._save(world, lambda _: True)

    def close(self) -> None:
        """Release the file. Nothing can be saved afterwards."""
        if not self.closed:
            self.closed = True
            self._connection.close()
            _open.discard(self._claim)

    def _save(self, world: World, wanted: Callable[[Any], bool]) -> None:
        batch = self._batch(world, wanted)
        if batch:
            with _explained(self.path), self._transaction():
                self._write(batch)
        self._settle(world, batch)

    def _batch(self, world: World, wanted: Callable[[Any], bool]) -> _Batch:
        memo: Memo = {}
        tables: list[tuple[str, Kept, Changes]] = []
        plain: dict[str, str] = {}
        names: set[str] = set()
        for name, holder in self._codec.holders(world):
            names.add(name)
            if wanted(holder):
                tables += self._compared(name, holder, memo)
                facts = self._codec.plain(holder)
                if self._plain.get(name) != facts:
                    plain[name] = facts
        return _Batch(tables=tables, plain=plain, gone=[name for name in self._plain if name not in names])

    def _compared(self, name: str, holder: Any, memo: Memo) -> list[tuple[str, Kept, Changes]]:
        found: list[tuple[str, Kept, Changes]] = []
        for table in self._codec.tables(holder):
            kept = self._kept.setdefault((name, table.name), Kept(table=table))
            found.append((name, kept, kept.changes(getattr(holder, table.name), memo)))
        return found

    def _write(self, batch: _Batch) -> None:
        run = self._connection
        run.executemany("DELETE FROM rows WHERE holder = ?", [(name,) for name in batch.gone])
        for name, kept, changes in batch.tables:
            field = kept.table.name
            run.executemany(_DROP, [(name, field, key) for key in changes.drops])
            run.executemany(_PUT, [(name, field, key, cell) for key, cell in changes.puts])
        run.executemany(_PUT, [(name, "", "", facts) for name, facts in batch.plain.items()])

    def _settle(self, world: World, batch: _Batch) -> None:
        """Note that the file has what was written."""
        for _, kept, changes in batch.tables:
            kept.marks = changes.marks
        self._plain |= batch.plain
        for name in batch.gone:
            del self._plain[name]
            self._kept = {key: kept for key, kept in self._kept.items() if key[0] != name}
        self._stamps = {one.id: _stamp(one) for one in world.tenants.values()}

    def _adopt(self, world: World, rows: dict[str, dict[str, dict[str, Cell]]]) -> None:
        for name, holder in self._codec.holders(world):
            self._plain[name] = str(rows[name][""][""])
            for table in self._codec.tables(holder):
                kept = self._kept[name, table.name] = Kept(table=table)
                kept.adopt(getattr(holder, table.name), rows[name].get(table.name, {}))
        self._stamps = {one.id: _stamp(one) for one in world.tenants.values()}

    def _rows(self) -> dict[str, dict[str, dict[str, Cell]]]:
        rows: dict[str, dict[str, dict[str, Cell]]] = defaultdict(lambda: defaultdict(dict))
        for holder, field, key, cell in self._connection.execute(
            "SELECT holder, field, key, cell FROM rows ORDER BY place"
        ):
            rows[holder][field][key] = cell
        return rows

    def _recognized(self) -> JsonObject | None:
        """Lock the file and look into it: None for a new one."""
        run = self._connection
        for statement in ("PRAGMA locking_mode=EXCLUSIVE", "PRAGMA synchronous=FULL", "BEGIN EXCLUSIVE"):
            run.execute(statement)
        new = run.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if new:  # From its first page on: whoever is interrupted here leaves a file that the next one recognizes.
            run.execute(f"PRAGMA application_id={APPLICATION}")
            run.execute(f"PRAGMA user_version={SCHEMA}")
        run.execute("COMMIT")
        if new:
            return None
        (verdict,) = run.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StorageError(f"{self.path} is damaged: {verdict}")
        try:
            (facts,) = run.execute("SELECT facts FROM origin").fetchone()
            origin: JsonObject = json.loads(facts)
        except (TypeError, ValueError) as error:
            raise StorageError(f"{self.path} is damaged: nothing tells where its world came from") from error
        return origin

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None, None, None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


_numbers = attrgetter(*(name for name, hint in kept_fields(Tenant).items() if hint is int))


def _stamp(tenant: Tenant) -> Any:
    """Return the version of an organization and its counters.

    A reading request moves a counter when it adds a row: the entry that tells of a download, the number of a relation
    that nobody had asked for.
    """
    return _numbers(tenant)


def _connect(path: Path) -> sqlite3.Connection:
    # The server writes from its own thread; never from two at once.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None, check_same_thread=False
    )


def _claim(path: Path) -> tuple[int, int]:
    """Make the file if there is none, look at its header, and note that this process has it open."""
    with _opening:
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise StorageError(f"{path} is no file")
            claim = found.st_dev, found.st_ino
            if claim in _open:
                raise StorageError(f"{path} is in use by another sandbox of this process")
            with path.open("rb") as file:
                _check_header(path, file.read(_HEADER))
            path.chmod(0o600)
        except OSError as error:
            raise StorageError(f"{path} cannot be opened: {error.strerror or error}") from error
        _open.add(claim)
        return claim


def _check_header(path: Path, header: bytes) -> None:
    """Refuse a file that is none of the sandbox's. Its header says so, without SQLite, which might repair it."""
    if not header:
        return
    application, schema = int.from_bytes(header[68:72]), int.from_bytes(header[60:64])
    if not header.startswith(_MAGIC) or application != APPLICATION:
        raise StorageError(f"{path} is no file of the sandbox; nothing was changed")
    if schema != SCHEMA:
        raise StorageError(
            f"{path} was written by another version of the sandbox (schema {schema}, this one reads {SCHEMA});"
            " nothing was changed"
        )


@contextlib.contextmanager
def _explained(path: Path) -> Generator[None, None, None]:
    """Say which file, and why, in the words of people."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            raise StorageError(f"{path} is in use by another sandbox") from error
        if code in _DAMAGED:
            raise StorageError(f"{path} is damaged: {error}") from error
        raise StorageError(f"{path} cannot be used: {error}") from error
