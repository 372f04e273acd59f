"""Answers that have parts: tables, people and files."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import zip_longest
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.fields import Capture, FieldColumn, FormField, Prerun
from tallyfy_async.models.files import Asset
from tallyfy_async.models.form_names import UnfitError, advice, named
from tallyfy_async.models.form_scalars import is_list, is_map
from tallyfy_async.models.owners import GroupRef, GuestRef, Owners, UserRef
from tallyfy_async.protocol.writing import write_json, write_moment

Definition: TypeAlias = Capture | Prerun | FormField
"""A field of a form, whichever part of the API describes it."""

_BUCKETS = ("users", "guests", "groups")


def column_names(field: Definition) -> tuple[str, ...]:
    """Return one distinct name per column: its label or, where that is empty or not the only one, its place from 1."""
    labels = [column.label or "" for column in field.columns or ()]
    places = [str(place) for place in range(1, len(labels) + 1)]
    alone = [bool(label) and labels.count(label) == 1 and label not in places for label in labels]
    return tuple(label if only else place for label, only, place in zip(labels, alone, places, strict=True))


def table(field: Definition, value: Any) -> list[Any]:
    """Return one entry per column: its cell or, for several rows, the list of its cells.

    Rows are mappings of column names; a flat list is taken for the columns as they stand.
    """
    columns = field.columns or ()
    if not columns:
        raise UnfitError("has no columns in its definition")
    if is_map(value):
        return _row(field, columns, value)
    if not is_list(value):
        raise UnfitError('takes rows, such as [{"column": "cell"}], or one cell per column')
    entries = list(value)
    rows = [_row(field, columns, entry) for entry in entries if is_map(entry)]
    if not rows:
        return _columns(columns, entries)
    if len(rows) < len(entries):
        raise UnfitError("mixes rows that are mappings with other values")
    return rows[0] if len(rows) == 1 else [list(cells) for cells in zip(*rows, strict=True)]


def _columns(columns: Sequence[FieldColumn], entries: list[Any]) -> list[Any]:
    if len(entries) != len(columns):
        raise UnfitError(f"takes {len(columns)} columns, not {len(entries)}")
    return [[_cell(one) for one in entry] if is_list(entry) else _cell(entry) for entry in entries]


def _row(field: Definition, columns: Sequence[FieldColumn], row: Mapping[Any, Any]) -> list[Any]:
    names, cells, problems = column_names(field), [None] * len(columns), list[str]()
    given: set[int] = set()
    for key, cell in row.items():
        place = _place(str(key), names, columns)
        if place is None:
            problems.append(f"does not know the column {key!r}: {advice(str(key), names)}")
        elif place in given:
            problems.append(f"has the column {names[place]!r} twice in a row")
        else:
            given.add(place)
            cells[place] = _cell(cell)
    if problems:
        raise UnfitError("; ".join(problems))
    return cells


def _place(key: str, names: Sequence[str], columns: Sequence[FieldColumn]) -> int | None:
    """Find a column by its name or, where none has it, by its id."""
    found = named(key, range(len(names)), lambda place: (names[place],))
    found = found or [place for place, column in enumerate(columns) if str(column.id) == key]
    return found[0] if len(found) == 1 else None


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return write_json(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return write_moment(value)
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    raise UnfitError(f"has a cell that is no text or number but {type(value).__name__}")


def decode_table(field: Definition, value: Any) -> Any:
    """Return the rows, column name -> cell; a cell that a shorter column lacks is None."""
    names = column_names(field)
    if not is_list(value) or len(entries := list(value)) != len(names):
        return value
    columns = [list(entry) if is_list(entry) else [entry] for entry in entries]
    return [dict(zip(names, cells, strict=True)) for cells in zip_longest(*columns)]


def people(_field: Definition, value: Any) -> dict[str, list[Any]] | None:
    """Return the three buckets, None where nobody is in them.

    Takes owners, a mapping of buckets, or members' ids, guests' addresses and groups' ids in one list.
    """
    if isinstance(value, Owners):
        value = _as_input(value)
    found: dict[str, list[Any]] = {bucket: [] for bucket in _BUCKETS}
    for bucket, entry in _buckets(value) if is_map(value) else _guessed(value):
        name = _person(bucket, entry)
        found[bucket] += [name] if name not in found[bucket] else []
    return found if any(found.values()) else None


def _as_input(owners: Owners) -> Mapping[str, Any]:
    try:
        return {**owners.as_input()}
    except ConfigurationError as error:
        raise UnfitError(str(error)) from None


def _buckets(value: Mapping[Any, Any]) -> Iterable[tuple[str, Any]]:
    if unknown := [key for key in value if key not in _BUCKETS]:
        raise UnfitError(f"does not know {unknown[0]!r}: {advice(str(unknown[0]), _BUCKETS)}")
    for bucket in _BUCKETS:
        entries = value.get(bucket)
        if entries is not None and not is_list(entries):
            raise UnfitError(f"takes a list of {bucket}, not {type(entries).__name__}")
        yield from ((bucket, entry) for entry in entries or ())


def _guessed(value: Any) -> Iterable[tuple[str, Any]]:
    for entry in value if is_list(value) else (value,):
        if isinstance(entry, UserRef) or (isinstance(entry, int) and not isinstance(entry, bool)):
            yield "users", entry
        elif isinstance(entry, GuestRef) or (isinstance(entry, str) and "@" in entry):
            yield "guests", entry
        elif isinstance(entry, GroupRef):
            yield "groups", entry
        elif isinstance(entry, str):
            yield ("users" if entry.strip().isdecimal() else "groups"), entry.strip()
        else:
            raise UnfitError("takes members' ids, guests' e-mail addresses and groups' ids, or a mapping of the three")


def _person(bucket: str, entry: Any) -> int | str:
    if isinstance(entry, UserRef | GuestRef | GroupRef):
        entry = entry.email if isinstance(entry, GuestRef) else entry.id
    if bucket == "users":
        return _member(entry)
    if not isinstance(entry, str) or not entry:
        raise UnfitError(f"takes {bucket} as text, not {type(entry).__name__}")
    return str.__str__(entry)


def _member(entry: Any) -> int:
    if isinstance(entry, str) and entry.isdecimal() and len(entry) < 20:
        return int(entry)
    if isinstance(entry, int) and not isinstance(entry, bool) and entry > 0:
        return int(entry)
    raise UnfitError("takes members by their numeric ids: others are dropped by the server")


def decode_people(_field: Definition, value: Any) -> Any:
    """Return the three buckets of bare ids and addresses, as an answer takes them."""
    if not is_map(value) or not value.keys() & set(_BUCKETS):
        return value
    buckets = {bucket: value.get(bucket) or () for bucket in _BUCKETS}
    if not all(is_list(entries) for entries in buckets.values()):
        return value
    return {bucket: [_bare(entry) for entry in entries] for bucket, entries in buckets.items()}


def _bare(entry: Any) -> Any:
    return entry.get("id", entry.get("email", entry)) if is_map(entry) else entry


def files(_field: Definition, value: Any) -> list[dict[str, Any]]:
    """Return the list of file objects; one alone may stand for a list, a web address for a file elsewhere."""
    entries = list(value) if is_list(value) else [value]
    return [_file(entry) for entry in entries]


def _file(entry: Any) -> dict[str, Any]:
    if isinstance(entry, Asset):
        return {"source": "local", **entry.to_dict()}
    if isinstance(entry, str):
        return _linked(entry)
    if not is_map(entry):
        raise UnfitError(f"takes uploaded files or web addresses, not {type(entry).__name__}")
    if "name" in entry and "filename" not in entry:
        raise UnfitError("has a file with the key 'name', which is never read: did you mean 'filename'?")
    if not any(entry.get(key) for key in ("id", "url", "full_url")):
        raise UnfitError("has a file without id, url or full_url: upload it first")
    written: dict[str, Any] = write_json(entry)
    return written


def _linked(address: str) -> dict[str, Any]:
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise UnfitError("takes uploaded files or web addresses: upload a file of this machine first")
    filename = unquote(parts.path.rpartition("/")[2]) or parts.netloc
    return {"url": str.__str__(address), "filename": filename, "source": "url"}


def decode_files(_field: Definition, value: Any) -> Any:
    """Return the list of file objects as they are stored."""
    return [dict(value)] if is_map(value) else value
