"""What has changed in one table since it was last written. Pure: the file is storage.py's."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field, frozen

from .marks import Memo
from .storage_rows import Cell, Table

_ABSENT = object()


@frozen(kw_only=True)
class Changes:
    """Rows to delete, then rows to write; a row that is new to the file goes behind all others."""

    drops: list[str]
    puts: list[tuple[str, Cell]]
    marks: dict[Any, Any]
    """Key -> mark of every row once this is written."""

    def __bool__(self) -> bool:
        return bool(self.drops or self.puts)


@define(kw_only=True, eq=False)
class Kept:
    """One table as the file has it."""

    table: Table
    marks: dict[Any, Any] = field(factory=dict[Any, Any])
    _serials: dict[int, int] = field(factory=dict[int, int], init=False)
    """id() of a record of a list -> its number. `_records` holds the records, so that no id() comes again."""
    _records: list[Any] = field(factory=list[Any], init=False)
    _last: int = field(default=0, init=False)

    def changes(self, values: Any, memo: Memo) -> Changes:
        """Compare the table with the file."""
        rows = self._rows(values)
        mark = self.table.mark
        now = {key: mark(row, memo) for key, row in rows.items()}
        drops, puts = _difference(self.marks, now)
        write = self.table.write
        return Changes(
            drops=[json.dumps(key) for key in drops],
            puts=[(json.dumps(key), write(rows[key])) for key in puts],
            marks=now,
        )

    def adopt(self, values: Any, keys: Iterable[str]) -> None:
        """Take over what was read from the file; `keys` are those of a list of records, in its order."""
        if self.table.key is None:
            numbers = [int(key) for key in keys]
            self._number(dict(zip(numbers, values, strict=True)))
            self._last = max(numbers, default=0)
        memo: Memo = {}
        self.marks = {key: self.table.mark(row, memo) for key, row in self._rows(values).items()}

    def _rows(self, values: Any) -> Mapping[Any, Any]:
        """Return the rows by key. Records of a list get numbers of their own, since their places move."""
        if self.table.key is not None:
            return values  # type: ignore[no-any-return]
        rows: dict[int, Any] = {}
        for record in values:
            number = self._serials.get(id(record))
            if number is None:
                self._last = number = self._last + 1
            rows[number] = record
        self._number(rows)
        return rows

    def _number(self, rows: Mapping[int, Any]) -> None:
        self._serials = {id(record): number for number, record in rows.items()}
        self._records = list(rows.values())


def _difference(old: Mapping[Any, Any], now: Mapping[Any, Any]) -> tuple[list[Any], list[Any]]:
    """Return the keys to delete and those to write. A table whose order has changed is written anew."""
    drops = [key for key in old if key not in now]
    order = [key for key in old if key in now] if drops else [*old]
    fresh = [key for key in now if key not in old]
    if [*order, *fresh] != [*now]:
        return [*old], [*now]
    puts = [key for key, mark in now.items() if (was := old.get(key, _ABSENT)) is not mark and was != mark]
    return drops, puts
