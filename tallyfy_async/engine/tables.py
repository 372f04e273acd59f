"""CSV files: rows of jobs in, reports out and in.

The files are read and written whole, in the calling thread; for a few thousand rows that takes no noticeable time.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeAlias, TypeVar

from attrs import frozen

from tallyfy_async.engine.report import Problem, Report, Row, State
from tallyfy_async.errors import ConfigurationError

T = TypeVar("T")
PathLike: TypeAlias = str | os.PathLike[str]
OURS = "tallyfy_"
"""How the columns of a report begin; as input they are passed over."""
_COLUMNS = ("key", "state", "id", "mark", "error")
_DELIMITERS = ",;\t|"
_UTF8 = "utf-8-sig"  # spreadsheets begin a file with a mark of its encoding, and know UTF-8 by that


@frozen(kw_only=True)
class CSVRow:
    """One line of a CSV file.

    Attributes:
        number: which of the lines below the heading it is, from 1, empty ones not counted.
        cells: column -> text, in the order of the columns; empty where nothing stands.

    """

    number: int
    cells: Mapping[str, str]

    @property
    def key(self) -> str:
        """What the row is called in a report: its cell ``key``, or its number."""
        return self.cells.get("key", "").strip() or self.cells.get(f"{OURS}key", "").strip() or str(self.number)


def read_csv(path: PathLike, *, encoding: str = _UTF8, delimiter: str | None = None) -> list[CSVRow]:
    """Return the lines below the heading of a CSV file; lines with nothing in them are passed over.

    Without ``delimiter`` the heading tells which of comma, semicolon, tab and bar it is. Raises ConfigurationError for
    a file without heading, with a column that is named twice or not at all, with a line longer than the heading, or
    in another encoding; OSError where it cannot be read.
    """
    return _read(Path(path).read_bytes(), encoding, delimiter)


def _read(data: bytes, encoding: str, delimiter: str | None, *, to_the_end: bool = False) -> list[CSVRow]:
    try:
        return list(_rows(io.StringIO(data.decode(encoding), newline=""), delimiter, to_the_end=to_the_end))
    except (UnicodeError, csv.Error) as error:
        msg = f"this is no CSV file in {encoding}: {type(error).__name__}"
        raise ConfigurationError(msg) from None


def _rows(file: TextIO, delimiter: str | None, *, to_the_end: bool) -> Iterator[CSVRow]:
    """Give the lines below the heading; ``to_the_end`` refuses a last one with fewer cells than that."""
    heading = file.readline()
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter or _delimiter(heading), strict=True)
    columns = [name.strip() for name in next(reader, list[str]())]
    _check_columns(columns)
    number, line = 0, columns
    for line in reader:
        if not any(cell.strip() for cell in line):
            continue
        number += 1
        if any(cell.strip() for cell in line[len(columns) :]):
            msg = f"line {reader.line_num} has more cells than the heading"
            raise ConfigurationError(msg)
        cells = [*line[: len(columns)], *[""] * (len(columns) - len(line))]
        yield CSVRow(number=number, cells=dict(zip(columns, cells, strict=True)))
    if to_the_end and len(line) < len(columns):
        msg = "the last line is cut off"
        raise ConfigurationError(msg)


def _delimiter(heading: str) -> str:
    """Return what separates the names of a heading; what stands in quotes is part of a name."""
    return max(_DELIMITERS, key=re.sub(r'"[^"]*("|$)', "", heading).count)


def _check_columns(columns: list[str]) -> None:
    if not columns or not all(columns):
        msg = "the first line must name every column"
        raise ConfigurationError(msg)
    if doubled := [name for name in dict.fromkeys(columns) if columns.count(name) > 1]:
        msg = f"the column {doubled[0]!r} is there twice"
        raise ConfigurationError(msg)


def write_csv(path: PathLike, report: Report[Any], beside: Iterable[CSVRow] = (), *, delimiter: str = ",") -> None:
    """Write a report as CSV, its columns beside those of the rows that it came from.

    A row gives ``tallyfy_key``, ``_state``, ``_id``, ``_mark`` and ``_error``; results are not in it. The file is
    there whole or not at all. Raises OSError where it cannot be written.
    """
    given = {row.key: row for row in beside}
    theirs = columns_beside(given.values())
    keys = [*given, *(row.key for row in report if row.key not in given)]
    with _replacing(Path(path)) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow([*theirs, *(OURS + name for name in _COLUMNS)])
        for key in keys:
            cells: Mapping[str, str] = given[key].cells if key in given else {}
            writer.writerow([*(cells.get(name, "") for name in theirs), *_told(report.get(key) or Row(key=key))])


def columns_beside(rows: Iterable[CSVRow]) -> list[str]:
    """Return the columns that :func:`write_csv` puts beside those of a report."""
    return [name for name in dict.fromkeys(name for row in rows for name in row.cells) if not name.startswith(OURS)]


def update_lines(rows: Iterable[Row[Any]], columns: int) -> bytes:
    """Return lines that bring a written report up to date where they are appended to its file.

    ``columns`` is how many stand beside those of the report. The last line of a key is the one that counts. Of a
    problem only the kind is told, so that a line is one of the file too.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    for row in rows:
        *cells, _ = _told(row)
        writer.writerow([*[""] * columns, *cells, row.problem.kind if row.problem else ""])
    return file.getvalue().encode()


def _told(row: Row[Any]) -> list[str]:
    return [row.key, row.state.value, row.reference or "", row.mark or "", str(row.problem or "")]


@contextmanager
def _replacing(path: Path) -> Generator[TextIO, None, None]:
    """Write a text file beside its place and put it there when all is written."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding=_UTF8, newline="") as file:  # noqa: PTH123 - a handle, not a path
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_report(path: PathLike, *, encoding: str = _UTF8, delimiter: str | None = None) -> Report[Any]:
    """Return the report that :func:`write_csv` wrote, without the results, which such a file does not hold.

    Lines that were appended later count for those above them; a last one that was cut off is passed over. Raises
    ConfigurationError for a file that is no such report, OSError where it cannot be read.
    """
    data = Path(path).read_bytes()
    head, end, cut_off = data.rpartition(b"\n")
    try:
        return _report(_read(data, encoding, delimiter, to_the_end=bool(cut_off)))
    except ConfigurationError:
        if not cut_off:
            raise
        return _report(_read(head + end, encoding, delimiter))


def _report(rows: Iterable[CSVRow]) -> Report[Any]:
    return Report[Any].of(_read_row(row.cells) for row in rows)


def _read_row(cells: Mapping[str, str]) -> Row[Any]:
    try:
        key, state, reference, mark, error = (cells[OURS + name] for name in _COLUMNS)
        found = State(state)
    except (LookupError, ValueError):
        msg = "this is no report that write_csv wrote"
        raise ConfigurationError(msg) from None
    kind, _, message = error.partition(": ")
    problem = Problem(kind=kind, message=message) if error else None
    return Row(key=key, state=found, reference=reference or None, mark=mark or None, problem=problem)
