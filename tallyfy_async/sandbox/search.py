"""Search over one or several kinds of records, and the grammar of its filter (processes.md section 9)."""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attrs import frozen

from . import dates
from .problems import invalid
from .records import Checklist, Field, JsonObject, Run, Step, Task, is_object
from .world import Tenant

Hit = Checklist | Run | Task | Step | Field
Test = Callable[[Any], bool]
_Reader = Callable[[Any], str | int | None]


@frozen(kw_only=True)
class Kind:
    """One kind of records: which there are, the text that is searched, and the fields that a filter may name."""

    rows: Callable[[Tenant], Iterable[Hit]]
    text: Callable[[Any], str]
    fields: dict[str, _Reader]


def _nothing(_: Tenant) -> Iterable[Hit]:
    return ()


def _live(rows: Iterable[Any]) -> list[Any]:
    return [row for row in rows if row.archived_at is None]


def _steps(tenant: Tenant) -> list[Step]:
    return [step for checklist in _live(tenant.checklists.values()) for step in checklist.steps]


def _captures(tenant: Tenant) -> list[Field]:
    return [capture for step in _steps(tenant) for capture in step.captures]


KINDS: dict[str, Kind] = {
    "blueprint": Kind(
        rows=lambda tenant: _live(tenant.checklists.values()),
        text=lambda row: row.title,
        fields={
            "starter": lambda row: str(row.owner_id),
            "date": lambda row: row.created_at,
            "title": lambda row: row.title,
            "description": lambda row: row.summary or "",
        },
    ),
    "process": Kind(
        rows=lambda tenant: _live(tenant.runs.values()),
        text=lambda row: row.name,
        fields={
            "starter": lambda row: str(row.started_by),
            "date": lambda row: row.created_at,
            "title": lambda row: row.name,
            "description": lambda row: row.summary or "",
        },
    ),
    "task": Kind(
        rows=lambda tenant: _live(tenant.tasks.values()),
        text=lambda row: row.title,
        fields={"starter": lambda row: str(row.starter_id), "title": lambda row: row.title},
    ),
    "snippet": Kind(rows=_nothing, text=str, fields={}),
    "capture": Kind(rows=_captures, text=lambda row: row.label, fields={"title": lambda row: row.label}),
    "step": Kind(rows=_steps, text=lambda row: row.title, fields={"title": lambda row: row.title}),
}
_OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def find(tenant: Tenant, kind: Kind, words: str, wanted: Test) -> Sequence[Hit]:
    """Find the live records whose text holds every word, and which a filter lets through."""
    parts = words.casefold().split()
    return [row for row in kind.rows(tenant) if _holds(kind.text(row), parts) and wanted(row)]


def _holds(text: str, parts: list[str]) -> bool:
    folded = text.casefold()
    return all(part in folded for part in parts)


def read_filter(kind: Kind, found: object) -> Test:
    """Read a filter: a condition, or a group that begins with AND or OR. Raise Invalid, naming the allowed fields.

    Without that first entry a group is its first condition alone.
    """
    if found is None:
        return lambda _: True
    if not is_object(found):
        raise invalid("filter", "The filter must be an array.")
    return _entry(kind, found)


def _entry(kind: Kind, found: JsonObject) -> Test:
    if "type" in found or "field" in found:
        return _condition(kind, found)
    entries = [found[key] for key in sorted(found, key=_order)]
    if any(not is_object(entry) for entry in entries):
        raise invalid("filter", "Each entry of the filter must be an array.")
    if not entries:
        return lambda _: True
    word = str(entries[0].get("value", "")).upper() if entries[0].get("type") == "boolean" else None
    if word is None:
        return _entry(kind, entries[0])
    if word not in {"AND", "OR"}:
        raise invalid("filter", "The boolean operator must be AND or OR.")
    tests, join = [_entry(kind, entry) for entry in entries[1:]], all if word == "AND" else any
    return lambda row: join(test(row) for test in tests) if tests else True


def _order(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isascii() and key.isdigit() and len(key) < 9 else (1 << 30, key)


def _condition(kind: Kind, found: JsonObject) -> Test:
    if found.get("type", "field") != "field":
        raise invalid("filter", "The type of a condition must be field.")
    name, sign, value = found.get("field"), found.get("operation", "="), found.get("value", "")
    reader = kind.fields.get(name) if isinstance(name, str) else None
    if reader is None:
        raise invalid("filter", f"The field is invalid. Allowed fields: {', '.join(kind.fields) or 'none'}.")
    test = _OPERATIONS.get(sign) if isinstance(sign, str) else None
    if test is None:
        raise invalid("filter", f"The operation is invalid. Allowed operations: {', '.join(_OPERATIONS)}.")
    if not isinstance(value, str):
        raise invalid("filter", "The value of a condition must be a string.")
    return _compare(reader, test, _date(value) if name == "date" else value.casefold())


def _date(text: str) -> int:
    moment = dates.read(text)
    if moment is None:
        raise invalid("filter", "The value is not a valid date.")
    return moment


def _compare(reader: _Reader, test: Callable[[Any, Any], bool], wanted: str | int) -> Test:
    def passes(row: Any) -> bool:
        value = reader(row)
        return test(value.casefold() if isinstance(value, str) else value, wanted)

    return passes
