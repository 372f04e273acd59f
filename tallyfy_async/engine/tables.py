"""CSV files: rows of jobs in, reports out and in.

The files are read and written whole, in the calling thread; for a few thousand rows that takes no noticeable time.
"""

from __future__ import annotations

import csv
import os
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
    try:
        with Path(path).open(encoding=encoding, newline="") as file:
            return list(_rows(file, delimiter))
    except (UnicodeError, csv.Error) as error:
        msg = f"this is no CSV file in {encoding}: {type(error).__name__}"
        raise ConfigurationError(msg) from None


def _rows(file: TextIO, delimiter: str | None) -> Iterator[CSVRow]:
    heading = file.readline()
    file.seek(0)
    reader = csv.reader(file, delimiter=delimiter or _delimiter(heading), strict=True)
    columns = [name.strip() for name in next(reader, list[str]())]
    _check_columns(columns)
    number = 0
    for line in reader:
        if not any(cell.strip() for cell in line):
            continue
        number += 1
        if any(cell.strip() for cell in line[len(columns) :]):
            msg = f"line {reader.line_num} has more cells than the heading"
            raise ConfigurationError(msg)
        cells = [*line[: len(columns)], *[""] * (len(columns) - len(line))]
        yield CSVRow(number=number, cells=dict(zip(columns, cells, strict=True)))


def _delimiter(heading: str) -> str:
    return max(_DELIMITERS, key=heading.count)


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
    columns = dict.fromkeys(name for row in given.values() for name in row.cells)
    theirs = [name for name in columns if not name.startswith(OURS)]
    keys = [*given, *(row.key for row in report if row.key not in given)]
    with _replacing(Path(path)) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow([*theirs, *(OURS + name for name in _COLUMNS)])
        for key in keys:
            cells: Mapping[str, str] = given[key].cells if key in given else {}
            writer.writerow([*(cells.get(name, "") for name in theirs), *_told(key, report.get(key))])


def _told(key: str, row: Row[Any] | None) -> list[str]:
    row = row or Row(key=key)
    return [key, row.state.value, row.reference or "", row.mark or "", str(row.problem or "")]


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

    Raises ConfigurationError for a file that is no such report.
    """
    rows = read_csv(path, encoding=encoding, delimiter=delimiter)
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
