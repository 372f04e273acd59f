"""The world as rows: what it consists of, how a row becomes JSON and comes back. No SQL, no files.

Everything is read off the attrs fields. A *holder* is a thing that has tables: the world, its tokens, its directory,
each organization. Of its fields, dicts are tables, lists of records are tables in order, and all others make one row.
Callables belong to the process and are not kept.
"""

import json
import marshal
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, get_args, get_origin

import attrs
from attrs import frozen
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.json import JsonConverter, make_converter

from .directory import Directory
from .marks import REFERENCES, Plan, is_frozen, kept_fields, marker
from .tokens import Vault
from .world import Tenant, World

HOLDERS: tuple[type, ...] = (World, Vault, Directory, Tenant)
_CALLABLE: Any = get_origin(Callable[[], None])

Cell = str | bytes
"""How a value lies in the file: JSON text, or the bytes of an uploaded file."""
Rows = Mapping[str, Mapping[str, Mapping[str, Cell]]]
"""Holder -> field -> key -> cell, in the order of the tables. Field and key of the row of plain fields are empty."""


@frozen(kw_only=True)
class Table:
    """One table of a holder: how its keys and values are written, read and compared."""

    name: str
    key: Any
    """Type of the keys; None: a list of records, whose keys are serial numbers."""
    write: Callable[[Any], Cell]
    read: Callable[[Cell], Any]
    mark: Plan


@frozen(kw_only=True)
class Layout:
    """What a class of holders consists of."""

    tables: tuple[Table, ...]
    plain: Mapping[str, Any]
    """Field -> type."""
    parts: Mapping[str, Any]
    """Field -> class of the one holder in it."""
    families: Mapping[str, Any]
    """Field -> class of the holders that it has by key."""


class Codec:
    """Write rows, and read a world back. What a row points at must have been read before it."""

    def __init__(self) -> None:
        self._converter = _converter()
        self._known: dict[type, dict[Any, Any]] = {kind: {} for kind in REFERENCES}
        for kind, name in REFERENCES.items():
            self._converter.register_unstructure_hook(kind, attrgetter(name))
            self._converter.register_structure_hook(kind, lambda key, kind: self._known[kind][key])
        self._layouts = {kind: self._layout(kind) for kind in HOLDERS}

    def holders(self, world: World) -> Iterator[tuple[str, Any]]:
        """Yield everything that has tables, by name: the world itself first, its organizations last."""
        yield "", world
        layout = self._layouts[World]
        for name in layout.parts:
            yield name, getattr(world, name)
        for name in layout.families:
            for key, holder in getattr(world, name).items():
                yield f"{name}/{key}", holder

    def tables(self, holder: Any) -> tuple[Table, ...]:
        """Return the tables of a holder."""
        return self._layouts[type(holder)].tables

    def plain(self, holder: Any) -> str:
        """Write the row of the fields that are no tables."""
        hints = self._layouts[type(holder)].plain
        values = {name: self._converter.unstructure(getattr(holder, name), hint) for name, hint in hints.items()}
        return json.dumps(values)

    def restore(self, world: World, rows: Rows) -> None:
        """Fill a new world. Raise ValueError, LookupError, TypeError or AttributeError for rows that do not fit."""
        layout = self._layouts[World]
        for name in ("", *layout.parts):
            holder = getattr(world, name) if name else world
            for field, value in self._values(layout.parts.get(name, World), rows.get(name, {})).items():
                setattr(holder, field, value)
        for name, kind in layout.families.items():
            shared = {field: self._shared(world, part) for field, part in self._layouts[kind].parts.items()}
            for holder in (holder for holder in rows if holder.startswith(f"{name}/")):
                key = holder.partition("/")[2]
                getattr(world, name)[key] = kind(**self._values(kind, rows[holder]), **shared)

    def _shared(self, world: World, kind: type) -> Any:
        """Find the one holder of a class, which organizations share."""
        parts = self._layouts[World].parts
        return getattr(world, next(name for name, part in parts.items() if part is kind))

    def _values(self, kind: type, fields: Mapping[str, Mapping[str, Cell]]) -> dict[str, Any]:
        layout = self._layouts[kind]
        plain = json.loads(fields[""][""])
        read = self._converter.structure
        values = {name: read(plain[name], hint) for name, hint in layout.plain.items() if name in plain}
        for table in layout.tables:
            values[table.name] = self._table(kind, table, fields.get(table.name, {}))
        return values

    def _table(self, kind: type, table: Table, cells: Mapping[str, Cell]) -> Any:
        values = [table.read(cell) for cell in cells.values()]
        for value in values:
            if type(value) in REFERENCES:
                self._known[type(value)][getattr(value, REFERENCES[type(value)])] = value
        default: Any = attrs.fields_dict(kind)[table.name].default
        container = default.factory()
        if table.key is None:
            container.extend(values)
        else:
            keys = (self._converter.structure(json.loads(text), table.key) for text in cells)
            container.update(zip(keys, values, strict=True))
        return container

    def _layout(self, kind: type) -> Layout:
        tables: list[Table] = []
        plain: dict[str, Any] = {}
        parts: dict[str, Any] = {}
        families: dict[str, Any] = {}
        for name, hint in kept_fields(kind).items():
            origin, inner = get_origin(hint), get_args(hint)
            if hint in HOLDERS:
                parts[name] = hint
            elif origin is dict and inner[1] in HOLDERS:
                families[name] = inner[1]
            elif origin is dict:
                tables.append(self._of(name, *inner))
            elif origin in {list, deque} and attrs.has(inner[0]):
                tables.append(self._of(name, None, *inner))
            elif origin is not _CALLABLE:
                plain[name] = hint
        return Layout(tables=tuple(tables), plain=plain, parts=parts, families=families)

    def _of(self, name: str, key: Any, row: Any) -> Table:
        if row is bytes:
            return Table(name=name, key=key, write=bytes, read=_bytes, mark=marker(row))
        if row in REFERENCES:
            out, into = _record_hooks(row, self._converter)
        else:
            out, into = self._converter.get_unstructure_hook(row), self._converter.get_structure_hook(row)
        return Table(
            name=name,
            key=key,
            write=lambda value: json.dumps(out(value)),
            read=lambda cell: into(json.loads(cell), row),
            mark=marker(row),
        )


def _bytes(cell: Cell) -> bytes:
    if isinstance(cell, bytes):
        return cell
    raise TypeError("a file is text")


def _converter() -> JsonConverter:
    """Make a converter that changes no number, text or truth value, and shares equal frozen records."""
    converter = make_converter(detailed_validation=False)
    for kind in (int, float, str, bool):
        converter.register_structure_hook(kind, lambda value, _: value)
    converter.register_structure_hook_func(lambda hint: hint is object, lambda value, _: value)

    def writer(kind: Any) -> Callable[[Any], Any]:
        return _record_hooks(kind, converter)[0]

    def reader(kind: Any) -> Callable[[Any, Any], Any]:
        return _shared(kind, _record_hooks(kind, converter)[1])

    converter.register_unstructure_hook_factory(attrs.has, writer)
    converter.register_structure_hook_factory(attrs.has, reader)
    converter.register_unstructure_hook(random.Random, lambda rng: rng.getstate())
    converter.register_structure_hook(random.Random, lambda state, _: _random(state))
    return converter


def _record_hooks(kind: Any, converter: JsonConverter) -> tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]:
    """Return how records of a class are written and read, caches left out."""
    kept = kept_fields(kind)
    caches: dict[str, Any] = {one.name: override(omit=True) for one in attrs.fields(kind) if one.name not in kept}
    return make_dict_unstructure_fn(kind, converter, **caches), make_dict_structure_fn(kind, converter, **caches)


def _shared(kind: type, read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Read equal frozen records as one: thousands of tasks share the form fields of a few steps."""
    if not is_frozen(kind):
        return read
    seen: dict[bytes, Any] = {}

    def once(value: Any, hint: Any) -> Any:
        key = marshal.dumps(value, 2)
        if key not in seen:
            seen[key] = read(value, hint)
        return seen[key]

    return once


def _random(state: Any) -> random.Random:
    version, numbers, gauss = state
    rng = random.Random()  # noqa: S311 - ids are no secrets
    rng.setstate((version, tuple(numbers), gauss))
    return rng
