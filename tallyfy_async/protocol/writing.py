"""Hooks that write requests: keyword arguments into the JSON to send. Used through :mod:`.converter`."""

import difflib
import functools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    NotRequired,
    Required,
    TypeAlias,
    TypeGuard,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.dates import format_date, format_moment, format_request
from tallyfy_async.protocol.kinds import UNSET, Quirk, Remedy, is_union

if TYPE_CHECKING:
    from cattrs import Converter

Writer: TypeAlias = Callable[[Any], Any]


class RefusedError(Exception):
    """An argument cannot be sent: what is wrong and the way to it, never the value."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message
        self.trail: list[str] = []


WRONG_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "phone": ("phone_1",),
    "description": ("summary", "guidance"),
    "help_text": ("guidance", "summary"),
    "instructions": ("guidance", "summary"),
    "name": ("label", "title"),
    "title": ("label", "name"),
    "type": ("field_type", "step_type", "task_type"),
    "alias": ("automated_alias",),
    "actions": ("then_actions",),
    "prerun_data": ("prerun",),
    "form_values": ("taskdata", "prerun"),
    "due_date": ("deadline",),
    "due": ("deadline",),
    "assignees": ("owners", "users"),
    "members": ("users",),
    "tenant": ("organization",),
}
"""Names that clients use by mistake and the server drops without a word, with the right ones (template notes of the
contract, section 1); the first that the input knows is meant."""


def register(converter: "Converter") -> None:
    """Give the converter of requests its hooks."""
    factories: tuple[tuple[Callable[[Any], bool], Callable[[Any], Writer]], ...] = (
        (lambda kind: kind is Any, lambda _: write_json),
        (lambda kind: get_origin(kind) in {Required, NotRequired}, lambda kind: _writer(converter, get_args(kind)[0])),
        (_is_iterable, functools.partial(_list_writer, converter)),
        (lambda kind: get_origin(kind) in {dict, Mapping}, functools.partial(_map_writer, converter)),
        (is_union, functools.partial(_union_writer, converter)),
        (lambda kind: get_origin(kind) is Annotated, functools.partial(_annotated_writer, converter)),
        (is_typeddict, functools.partial(_typeddict_writer, converter)),
    )
    for kind, hook in _SCALARS.items():
        converter.register_unstructure_hook(kind, hook)
    for predicate, factory in factories:
        converter.register_unstructure_hook_factory(predicate, factory)


def _refuse(expected: str, value: object, remedy: str = "") -> RefusedError:
    return RefusedError(f"must be {expected}, not {type(value).__name__}{remedy and ': '}{remedy}")


def write_str(value: Any) -> str:
    """Take a str; a member of a str enum becomes its plain text."""
    if isinstance(value, str):
        return str.__str__(value)
    raise _refuse("str", value)


def write_int(value: Any) -> int:
    """Take an int that is no boolean."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise _refuse("int", value, "pass int(…)" if isinstance(value, str | float) else "")


def write_float(value: Any) -> float:
    """Take a finite number."""
    if isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise _refuse("a finite number", value)


def write_bool(value: Any) -> bool:
    """Take a bool and nothing that only counts as one."""
    if isinstance(value, bool):
        return value
    raise _refuse("bool", value, "pass bool(…)")


def write_none(value: Any) -> None:
    """Take None, which is sent as null."""
    if value is not None:
        expected = "None"
        raise _refuse(expected, value)


def write_datetime(value: Any) -> str:
    """Take an aware datetime."""
    if not isinstance(value, datetime):
        raise _refuse("datetime", value, _REMEDY_DATE)
    return _formatted(format_request, value)


def write_date(value: Any) -> str:
    """Take a date that is no datetime."""
    if not isinstance(value, date):
        raise _refuse("date", value, "pass datetime.date(2026, 12, 1)")
    return _formatted(format_date, value)


def write_moment(value: Any) -> str:
    """Take an aware datetime, or a date for its first second in UTC."""
    if not isinstance(value, date):
        raise _refuse("datetime or date", value, _REMEDY_DATE)
    return _formatted(format_moment, value)


_REMEDY_DATE: Final = "pass an aware datetime, such as datetime(2026, 12, 1, tzinfo=UTC)"


def _formatted(form: Callable[[Any], str], value: date) -> str:
    try:
        return form(value)
    except ConfigurationError as error:
        message = f"cannot be sent: {error}"
    raise RefusedError(message)


def write_json(value: Any) -> Any:
    """Take any JSON value, with moments, days, sets and tuples inside it."""
    if value is None or isinstance(value, bool):
        return value
    for kinds, hook in _JSON:
        if isinstance(value, kinds):
            return hook(value)
    raise _refuse("a JSON value", value, "pass str, int, float, bool, None, datetime, date, a list or a mapping")


_SCALARS: dict[Any, Writer] = {
    str: write_str,
    int: write_int,
    float: write_float,
    bool: write_bool,
    NoneType: write_none,
    datetime: write_datetime,
    date: write_date,
}


_JSON: tuple[tuple[Any, Writer], ...] = (
    (str, write_str),
    (int, write_int),
    (float, write_float),
    (date, write_moment),
    (Mapping, lambda value: _write_map(write_json, value)),
    ((list, tuple, AbstractSet), lambda value: _write_list(write_json, value)),
)


def _is_iterable(kind: Any) -> bool:
    return get_origin(kind) in {list, Iterable, Sequence, Collection}


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_listable(value: Any) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping)


def _writer(converter: "Converter", kind: Any) -> Writer:
    hook: Writer = converter.get_unstructure_hook(kind)
    return hook


def _write_list(write: Writer, values: Iterable[Any]) -> list[Any]:
    # A set has no order: sorted, the same call always sends the same body.
    ordered = (
        sorted(values, key=lambda value: (type(value).__name__, value)) if isinstance(values, AbstractSet) else values
    )
    items: list[Any] = []
    try:
        for value in ordered:
            items.append(write(value))  # noqa: PERF401 - the length tells where it failed
    except RefusedError as error:
        error.trail.append(f"[{len(items)}]")
        raise
    return items


def _list_writer(converter: "Converter", kind: Any) -> Writer:
    write_item = _writer(converter, get_args(kind)[0])

    def write(value: Any) -> list[Any]:
        if not _is_listable(value):
            raise _refuse("a list", value, "pass [value]" if isinstance(value, str | int) else "")
        return _write_list(write_item, value)

    return write


def _write_map(write: Writer, values: Mapping[Any, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            message = f"must have str keys, not {type(key).__name__}"
            raise RefusedError(message)
        if value is not UNSET:
            body[key] = _within(f"[{key!r}]", write, value)
    return body


def _within(step: str, write: Writer, value: Any) -> Any:
    try:
        return write(value)
    except RefusedError as error:
        error.trail.append(step)
        raise


def _map_writer(converter: "Converter", kind: Any) -> Writer:
    write_item = _writer(converter, get_args(kind)[1])

    def write(value: Any) -> dict[str, Any]:
        if not _is_mapping(value):
            raise _refuse("a mapping", value)
        return _write_map(write_item, value)

    return write


def _union_writer(converter: "Converter", kind: Any) -> Writer:
    members = [(member, _writer(converter, member)) for member in get_args(kind)]
    names = " or ".join(
        "None" if member is NoneType else getattr(member, "__name__", str(member)) for member, _ in members
    )

    def write(value: Any) -> Any:
        deepest: RefusedError | None = None
        for _, hook in members:
            try:
                return hook(value)
            except RefusedError as error:
                deepest = error if error.trail or not error.message.startswith("must be ") else deepest
        raise deepest or _refuse(names, value)

    return write


def _annotated_writer(converter: "Converter", kind: Any) -> Writer:
    inner, *marks = get_args(kind)
    if Quirk.MOMENT in marks:
        return write_moment
    hook = _writer(converter, inner)
    remedies = "; ".join(mark.text for mark in marks if isinstance(mark, Remedy))

    def write(value: Any) -> Any:
        try:
            return hook(value)
        except RefusedError as error:
            error.message += f": {remedies}" if remedies and not error.trail else ""
            raise

    return write


def _typeddict_writer(converter: "Converter", kind: Any) -> Writer:
    hints = get_type_hints(kind, include_extras=True)
    hooks = {key: _writer(converter, hint) for key, hint in hints.items()}
    # Where annotations are texts (PEP 563), the class itself does not see Required and NotRequired.
    marked = {
        mark: {key for key, hint in hints.items() if get_origin(hint) is mark} for mark in (Required, NotRequired)
    }
    required: frozenset[str] = (kind.__required_keys__ | marked[Required]) - marked[NotRequired]

    def write(value: Any) -> dict[str, Any]:
        if not _is_mapping(value):
            raise _refuse("a mapping", value)
        given = {key: item for key, item in value.items() if item is not UNSET}
        unknown = [_unknown(key, hooks) for key in given if key not in hooks]
        if unknown:
            raise RefusedError("; ".join(unknown))
        if missing := sorted(required - given.keys()):
            message = f"lacks {', '.join(missing)}"
            raise RefusedError(message)
        return {key: _within(f".{key}", hooks[key], item) for key, item in given.items()}

    return write


def _unknown(key: Any, known: Collection[str]) -> str:
    name = str(key)
    close = [right for right in WRONG_NAMES.get(name, ()) if right in known] or difflib.get_close_matches(name, known)
    tail = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
    return f"does not know {name!r}: {tail}"
