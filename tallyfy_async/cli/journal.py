"""The report of launches on disk, ahead of what happens: a launch is written down as unknown before it is sent.

Whoever kills the process, no run is launched twice by going on. While rows are launched, lines are appended to the
report, so that ten thousand rows do not cost ten thousand files; at its end it is written anew. Where the system has
``flock``, nobody else can write the same report meanwhile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import anyio
from anyio import to_thread
from attrs import define, field

from tallyfy_async.engine.report import Report, Row
from tallyfy_async.engine.tables import CSVRow, columns_beside, read_report, update_lines, write_csv
from tallyfy_async.errors import Outcome, TallyfyError

if sys.platform != "win32":
    import fcntl

    _LOCKS = True

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

else:
    _LOCKS = False

    def _lock(descriptor: int) -> None:
        """There is no such lock."""


_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class ReportError(TallyfyError):
    """The report could not be written, so that nothing more is sent."""

    outcome = Outcome.NOT_SENT


@define(eq=False, repr=False)
class WatchedReport(Report[Any]):
    """A report that knows which of its rows were written since it was asked last."""

    changed: dict[str, Row[Any]] = field(factory=dict[str, Row[Any]], init=False)

    def put(self, row: Row[Any]) -> None:
        """Write a row in place of the one of the same key."""
        super().put(row)
        self.changed[row.key] = row


@define(eq=False, kw_only=True)
class Journal:
    """Keeps a report in its file. Writers that wait share the next write.

    Attributes:
        place: the file.
        rows: what the report is about.
        report: what is kept.
        found: the file as it was when it was read, None for none.
        failure: why it cannot be written, None where it can.

    """

    place: Path
    rows: Sequence[CSVRow]
    report: WatchedReport
    found: tuple[int, ...] | None
    failure: str | None = field(default=None, init=False)
    _held: list[int] = field(factory=list[int], init=False)
    _columns: int | None = field(default=None, init=False)
    _asked: int = field(default=0, init=False)
    _written: int = field(default=0, init=False)
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)

    @classmethod
    def of(cls, place: Path, rows: Sequence[CSVRow]) -> Self:
        """Return the journal of a file, with what an earlier one left there.

        Raises ConfigurationError for a file that is no report, OSError where it cannot be read.
        """
        found = _state_of(place)
        report = WatchedReport() if found is None else WatchedReport.of(read_report(place))
        return cls(place=place, rows=rows, report=report, found=found)

    @property
    def begun(self) -> bool:
        """Whether the file was written: before that, nothing is sent."""
        return self._columns is not None

    async def save(self) -> None:
        """Return when all that is in the report is in the file too; raise ReportError where that cannot be."""
        self._asked += 1
        mine = self._asked
        async with self._turn:
            if self.failure is None and self._written < mine:
                asked, rows = self._asked, self.report.changed
                self.report.changed = {}
                await to_thread.run_sync(self._write, rows)
                self._written = asked
        if self.failure is not None:
            msg = f"the report {self.place} cannot be written: {self.failure}"
            raise ReportError(msg)

    def close(self) -> None:
        """Write the report anew if it was written at all, and let go of the file. Raises OSError."""
        try:
            if not _LOCKS:
                self._release()  # a file that is open is not replaced there
            if self.begun:
                write_csv(self.place, self.report, beside=self.rows)
            elif self._held and _state_of(self.place) is None:
                self.place.unlink(missing_ok=True)  # it is ours, and empty
        finally:
            self._release()

    def _release(self) -> None:
        while self._held:
            os.close(self._held.pop())

    def _write(self, rows: dict[str, Row[Any]]) -> None:
        try:
            if self._columns is None:
                self._begin()
            else:
                self._append(update_lines(rows.values(), self._columns))
        except BlockingIOError:
            self.failure = "another process is writing it"
        except OSError as error:
            self.failure = error.strerror or str(error)

    def _begin(self) -> None:
        if _LOCKS:
            self._hold(os.O_CREAT)
        if _state_of(self.place) != self.found:
            self.failure = "it has changed since it was read"
            return
        write_csv(self.place, self.report, beside=self.rows)
        self._hold(0)
        self._columns = len(columns_beside(self.rows))

    def _hold(self, flags: int) -> None:
        """Open the file and keep others from writing it, as far as its file system can."""
        self._held.append(os.open(self.place, _FLAGS | flags, 0o600))
        try:
            _lock(self._held[-1])
        except BlockingIOError:
            raise
        except OSError:
            return

    def _append(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._held[-1], data) :]
        os.fsync(self._held[-1])


def _state_of(place: Path) -> tuple[int, ...] | None:
    """Return what tells a file from a later one in its place, None for none and for an empty one."""
    try:
        found = place.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found.st_size else None
