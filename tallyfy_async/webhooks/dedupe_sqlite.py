"""Which events were handled, in an SQLite file that processes of one machine may share."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from os import PathLike, fspath
from typing import Any, Final, Self, TypeVar

from anyio import CapacityLimiter, to_thread

from tallyfy_async.errors import ClientClosedError, StoreCorruptError, StoreError, StoreLockTimeoutError
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.shelter import run_in_child
from tallyfy_async.webhooks.dedupe import KEEP, NOTHING, Record, Verdict, check_keep

T = TypeVar("T")

_PATIENCE: Final = 5.0
"""Seconds to wait for another process's transaction, each of which takes a millisecond."""
_CLOCK: Final = SystemClock()
_PURGE_EACH: Final = 500
"""Claims after which keys that are over are deleted."""
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS tallyfy_events (
    key TEXT PRIMARY KEY, done INTEGER, owner TEXT, claimed INTEGER NOT NULL, until REAL NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID
"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS tallyfy_events_expires ON tallyfy_events (expires)"
_READ: Final = "SELECT done, owner, claimed, until, expires FROM tallyfy_events WHERE key = ?"
_WRITE: Final = "INSERT OR REPLACE INTO tallyfy_events VALUES (?, ?, ?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM tallyfy_events WHERE key = ?"
_PURGE: Final = "DELETE FROM tallyfy_events WHERE expires <= ?"


class SQLiteDedupe:
    """Remembers in an SQLite file, across restarts and for all processes of one machine that use the file.

    It is opened when it is first used, and closed by :meth:`aclose` or ``async with``. Every transaction runs in a
    worker thread. Not on a network file system, where SQLite's locks do not hold.

    Args:
        path: the file, which is made where it is missing; the table is ``tallyfy_events``.
        keep: seconds for which a key is remembered.
        clock: time.

    Its methods raise StoreError, StoreCorruptError for a file that is no database, and StoreLockTimeoutError where
    another process holds the file for longer than 5 s.

    """

    def __init__(self, path: str | PathLike[str], *, keep: float = KEEP, clock: Clock = _CLOCK) -> None:
        self._path, self._keep, self._clock = fspath(path), check_keep(keep), clock
        self._turn = threading.Lock()
        # Not anyio's own threads: a file that is locked for a while must not hold up all that a program does in them.
        self._threads = CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._claims = 0

    def __repr__(self) -> str:
        return f"<SQLiteDedupe {self._path!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the file and refuse further use."""
        await run_in_child(partial(to_thread.run_sync, self._close, limiter=self._threads), shield=True)

    async def claim(self, key: str, owner: str, *, order: int, lease: float) -> Verdict:
        """Take a key; see DedupeStore."""

        def work(database: sqlite3.Connection) -> Verdict:
            now = self._clock.time()
            self._claims += 1
            if self._claims % _PURGE_EACH == 1:
                database.execute(_PURGE, [now])
            record = _read(database, key)
            record = NOTHING if record is None or record.expires <= now else record
            verdict = record.verdict(owner, order, now)
            if verdict is Verdict.CLAIMED:
                _write(database, key, record.claimed(owner, order, now + lease))
            return verdict

        return await self._in_thread(work)

    async def done(self, key: str, owner: str, *, order: int) -> None:
        """Remember that the event was handled; see DedupeStore."""

        def work(database: sqlite3.Connection) -> None:
            record = _read(database, key) or NOTHING
            _write(database, key, record.handled(owner, order, self._clock.time() + self._keep))

        await self._in_thread(work)

    async def release(self, key: str, owner: str) -> None:
        """End the claim; see DedupeStore."""

        def work(database: sqlite3.Connection) -> None:
            record = _read(database, key)
            if record is not None and record.owner == owner:
                if record.done is None:
                    database.execute(_DELETE, [key])
                else:
                    _write(database, key, record.released())

        await self._in_thread(work)

    async def forget(self, key: str) -> None:
        """Forget a key; see DedupeStore."""
        await self._in_thread(lambda database: database.execute(_DELETE, [key]))

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # In a child, because a native cancellation would leave the thread to itself and its result would be lost.
        done = partial(self._transaction, work)
        return await run_in_child(partial(to_thread.run_sync, done, limiter=self._threads))

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._turn, _told(self._path):
            database = self._opened()
            database.execute("BEGIN IMMEDIATE")
            try:
                result = work(database)
                database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
                raise
            return result

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            msg = "this store is closed: make a new one"
            raise ClientClosedError(msg)
        if self._connection is None:
            self._connection = _connect(self._path)
        return self._connection

    def _close(self) -> None:
        with self._turn, _told(self._path):
            self._closed, connection, self._connection = True, self._connection, None
            if connection is not None:
                connection.close()


def _connect(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        # Write-ahead logging lets others read meanwhile; a crash of the machine may lose the last records, which costs
        # a repetition at the most.
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", _TABLE, _INDEX):
            database.execute(statement)
    except BaseException:
        database.close()
        raise
    return database


def _read(database: sqlite3.Connection, key: str) -> Record | None:
    row: Any = database.execute(_READ, [key]).fetchone()
    return None if row is None else Record(*row)


def _write(database: sqlite3.Connection, key: str, record: Record) -> None:
    database.execute(_WRITE, [key, record.done, record.owner, record.order, record.until, record.expires])


@contextmanager
def _told(path: str) -> Generator[None]:
    """Turn SQLite's errors into ours; they show statements and no keys."""
    try:
        yield
    except sqlite3.OperationalError as error:
        kind = StoreLockTimeoutError if "locked" in str(error) or "busy" in str(error) else StoreError
        msg = f"the events of {path!r} cannot be read or written: {error}"
    except sqlite3.DatabaseError as error:
        kind, msg = StoreCorruptError, f"{path!r} is no database of events: {error}"
    else:
        return
    raise kind(msg)
