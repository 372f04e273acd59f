"""Hooks that read replies: decoded JSON into attrs classes and back. Used through :mod:`.converter`.

A hook takes a value and ``exact``. Without it models are read by compiled functions, which end at the first surprise
with an error that tells nothing; with it they are read key by key, and the error collects its way up. Only
:func:`.converter.structure` turns from one to the other, for the whole payload: a hook that tried both would make the
time for an error grow exponentially with its depth.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, get_args, get_origin, get_type_hints

import attrs

from tallyfy_async.protocol.dates import format_response
from tallyfy_async.protocol.kinds import (
    NO_EXTRA,
    Include,
    Quirk,
    bare_key,
    field_key,
    is_model,
    is_union,
    required_keys,
)
from tallyfy_async.protocol.scalars import (
    SCALARS,
    MismatchError,
    Reader,
    is_object,
    read_any,
    read_no_object,
    read_number_id,
    read_text_id,
)
from tallyfy_async.protocol.shapes import Part, Shapes

if TYPE_CHECKING:
    from cattrs import Converter

# type() itself, without the types that checkers conclude from it.
_json_type: Callable[[Any], Any] = type


def _is_array(kind: Any) -> bool:
    return get_origin(kind) in {tuple, list}


def _is_include(kind: Any) -> bool:
    return get_origin(kind) is Include


def _is_map(kind: Any) -> bool:
    return get_origin(kind) in {dict, Mapping}


def _has(quirk: Quirk) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) is Annotated and quirk in get_args(kind)[1:]


def register(converter: "Converter") -> None:
    """Give the converter of replies its hooks."""
    for kind, hook in SCALARS.items():
        converter.register_structure_hook(kind, hook)
    factories: tuple[tuple[Callable[[Any], bool], Callable[[Any], Reader]], ...] = (
        (lambda kind: kind is Any, lambda _: read_any),
        (_is_array, functools.partial(_array_reader, converter)),
        (_is_include, functools.partial(_include_reader, converter)),
        (_is_map, functools.partial(_map_reader, converter)),
        (is_union, functools.partial(_union_reader, converter)),
        (_has(Quirk.NUMBER_OR_STRING), lambda kind: read_text_id if get_args(kind)[0] is str else read_number_id),
        (_has(Quirk.INCLUDE), functools.partial(_item_reader, converter)),
        (is_model, functools.partial(_model_reader, converter)),
    )
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)
    converter.register_unstructure_hook(datetime, format_response)
    dump_list = functools.partial(_dump_list, converter)
    for kind in (tuple, list):
        converter.register_unstructure_hook(kind, dump_list)
    converter.register_unstructure_hook(dict, functools.partial(_dump_map, converter))
    converter.register_unstructure_hook(Include, functools.partial(_dump_include, converter))
    converter.register_unstructure_hook_factory(is_model, functools.partial(_model_dumper, converter))


def _reader(converter: "Converter", kind: Any) -> Reader:
    """Return the hook of a part; that of a class looks at its own parts when the first value comes: cycles end."""
    hook: Reader = converter.get_structure_hook(kind)
    return hook


def _items(read: Reader, values: Iterable[Any], exact: Any) -> list[Any]:
    return _items_until_failure(read, values) if exact else [read(value, None) for value in values]


def _items_until_failure(read: Reader, values: Iterable[Any]) -> list[Any]:
    items: list[Any] = []
    try:
        for value in values:
            items.append(read(value, True))  # noqa: PERF401 - the length tells where it failed
    except MismatchError as error:
        error.trail.append(f"[{len(items)}]")
        raise
    return items


def _is_array_value(value: Any) -> TypeGuard[list[Any]]:
    return type(value) is list


def _array_reader(converter: "Converter", kind: Any) -> Reader:
    as_list = get_origin(kind) is list
    read_item = _reader(converter, get_args(kind)[0])
    shapes = _shapes_of(read_item)
    read_items = functools.partial(_items, read_item) if shapes is None else _models_reader(shapes)

    def read(value: Any, exact: Any) -> Any:
        given = _json_type(value)
        if given is list or value == {}:
            items = read_items(value, exact) if value else []
            return items if as_list else tuple(items)
        expected = "list"
        raise MismatchError(expected, value)

    return read


def _shapes_of(read: Reader) -> Shapes | None:
    """Return the shapes behind the hook of a model; None behind any other, such as a hook of the user's own."""
    found: Shapes | None = getattr(read, "shapes", None)
    return found


def _models_reader(shapes: Shapes) -> Callable[[list[Any], Any], list[Any]]:
    """Return what reads a list of models at a stroke, once its first one's shape is known."""
    readers, bare = shapes.readers, shapes.bare

    def read(values: list[Any], exact: Any) -> list[Any]:
        if not exact:
            first = values[0]
            reader = readers.get(tuple(first) if is_object(first) else bare)
            if reader is not None:
                return reader(values)
        return _items(shapes.one, values, exact)

    return read


def _include_reader(converter: "Converter", kind: Any) -> Reader:
    read_array = _array_reader(converter, kind)

    def read(value: Any, exact: Any) -> Any:
        if _is_array_value(value) or value == {}:
            return Include(read_array(value, exact))
        if not is_object(value) or "data" not in value:
            expected = "list"
            raise MismatchError(expected, value)
        wrapper = {key: rest for key, rest in value.items() if key != "data"}
        return Include(() if value["data"] is None else _within_data(read_array, value, exact), wrapper=wrapper)

    return read


def _within_data(read: Reader, wrapper: dict[str, Any], exact: Any) -> Any:
    try:
        return read(wrapper["data"], exact)
    except MismatchError as error:
        error.trail.append(".data")
        raise


def _item_reader(converter: "Converter", kind: Any) -> Reader:
    inner = _reader(converter, get_args(kind)[0])

    def read(value: Any, exact: Any) -> Any:
        if is_object(value) and "data" in value and value.keys() <= {"data", "meta"}:
            return _within_data(inner, value, exact)
        return inner(value, exact)

    return read


def _map_reader(converter: "Converter", kind: Any) -> Reader:
    of_any = get_args(kind)[1] is Any
    read_item = _reader(converter, get_args(kind)[1])

    def read(value: Any, exact: Any) -> Any:
        if value == [] and type(value) is list:
            return {}
        if not is_object(value):
            expected = "dict"
            raise MismatchError(expected, value)
        # The keys of a map may be data, so a path does not name them.
        return value if of_any else dict(zip(value, _items(read_item, value.values(), exact), strict=True))

    return read


_OTHERS: tuple[Any, ...] = (str, int, float, bool, list, dict)


def _json_types(kind: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the JSON types that are a kind's own, and those that it takes through a hook."""
    if get_origin(kind) is Annotated:
        return ((str,), (int,)) if get_args(kind)[0] is str else ((int,), (str,))
    if is_model(kind):
        return (dict,), (list, *((int, float, str) if bare_key(kind) else ()))
    if _is_map(kind):
        return (dict,), (list,)
    if _is_array(kind) or _is_include(kind):
        return (list,), (dict,)
    known = {bool: ((bool,), (int, str)), float: ((float, int), ()), datetime: ((str,), ()), Any: (_OTHERS, ())}
    return known.get(kind, ((kind,), ()))


def _union_reader(converter: "Converter", kind: Any) -> Reader:
    optional = NoneType in get_args(kind)
    members = [(member, _json_types(member)) for member in _members(kind)]
    table: dict[Any, Reader] = {NoneType: read_any} if optional else {}
    for turn in (0, 1):
        for member, shapes in members:
            hook = _reader(converter, member)
            for shape in shapes[turn]:
                no_object = shape is list and optional and is_model(member) and required_keys(member)
                table.setdefault(shape, read_no_object if no_object else hook)
    expected = " or ".join(sorted({shape.__name__ for _, shapes in members for shape in shapes[0]}))

    def read(value: Any, exact: Any) -> Any:
        hook = table.get(type(value))
        if hook is None:
            raise MismatchError(expected, value)
        return hook(value, exact)

    return read


def _field_reader(converter: "Converter", kind: Any) -> Reader:
    """Return the hook of a field whose null is handled already."""
    members = _members(kind)
    plain = len(members) == 1 and not is_model(members[0])
    return _reader(converter, members[0] if plain else kind)


def _members(kind: Any) -> list[Any]:
    """Return what a union has beside None; another kind alone."""
    return [member for member in get_args(kind) if member is not NoneType] if is_union(kind) else [kind]


def _inside(converter: "Converter", kind: Any) -> tuple[Shapes | None, bool]:
    """Return the shapes of the models that a field holds, and whether as a tuple of them."""
    (only, *others) = _members(kind)
    many = get_origin(only) is tuple
    item = get_args(only)[0] if many else only
    return (None if others or not is_model(item) else _shapes_of(_reader(converter, item))), many


def _own_types(kind: Any) -> frozenset[Any]:
    """Return the JSON types that a field takes as they are, so that most values need no call; datetime for a moment."""
    members = _members(kind)
    owned = [_owned(member) for member in members]
    several = len(owned) > 1 and any(datetime in one for one in owned)  # a text would be taken for no moment
    return frozenset[Any]() if several or not all(owned) else frozenset[Any]().union(*owned)


def _owned(kind: Any) -> frozenset[Any]:
    if get_origin(kind) is Annotated and Quirk.NUMBER_OR_STRING in get_args(kind):
        return frozenset({get_args(kind)[0]})
    if _is_map(kind):
        return frozenset({dict} if get_args(kind)[1] is Any else ())
    if kind is float:
        return frozenset({float, int})
    return frozenset({kind} if kind in {str, int, bool, datetime} else ())


def _as_object(value: Any, kind: Any) -> dict[str, Any]:
    """Make the object that a value of another JSON type stands for: an empty map, or a bare reference."""
    if value == [] and type(value) is list:
        return {}
    bare = bare_key(kind)
    if bare is None or type(value) not in {int, float, str}:
        expected = f"dict ({kind.__name__})"
        raise MismatchError(expected, value)
    return {bare: value}


def _model_reader(converter: "Converter", kind: Any) -> Reader:
    def read(value: Any, exact: Any) -> Any:
        if not exact:
            given = _json_type(value)
            if given is dict:
                reader = readers.get(tuple(value)) or shapes.met(value)
            else:
                reader = shapes.of_bare() if given in shapes.bare_types else None
            if reader is not None:
                return reader([value])[0]
        payload: dict[str, Any] = value if is_object(value) else _as_object(value, kind)
        return _read_model(kind, shapes.parts, payload, exact)

    shapes = Shapes(kind, read, bare_key(kind), functools.partial(_parts, converter, kind))
    readers = shapes.readers
    read.shapes = shapes  # type: ignore[attr-defined]  # so that the hooks around it find them
    return read


def _parts(converter: "Converter", kind: Any) -> dict[str, Part]:
    hints = get_type_hints(kind, include_extras=True)
    required = required_keys(kind)
    return {
        field_key(field): _part(converter, field.name, hints[field.name], required=field.name in required)
        for field in attrs.fields(kind)
        if field.name != "extra"
    }


def _part(converter: "Converter", name: str, kind: Any, *, required: bool) -> Part:
    inside, many = _inside(converter, kind)
    hook = _field_reader(converter, kind)
    return Part(name=name, own=_own_types(kind), hook=hook, required=required, inside=inside, many=many)


def _read_model(kind: Any, parts: Mapping[str, Part], payload: dict[str, Any], exact: Any) -> Any:
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    key = ""
    try:
        for key, given in payload.items():
            part = parts.get(key)
            if part is None:
                extra[key] = given
            elif given is not None:
                values[part.name] = given if type(given) in part.own else part.hook(given, exact)
    except MismatchError as error:
        error.trail.append(f".{key}")
        raise
    for key, part in parts.items():
        if part.required and part.name not in values:
            raise _missing(key, payload)
    return kind(extra=extra or NO_EXTRA, **values)


def _missing(key: str, payload: dict[str, Any]) -> MismatchError:
    error = MismatchError("a value", payload.get(key))
    if key not in payload:
        error.got = "nothing"
    error.trail.append(f".{key}")
    return error


_PLAIN: frozenset[Any] = frozenset({str, int, float, bool})


def _dump_list(converter: "Converter", values: Iterable[Any]) -> list[Any]:
    return [converter.unstructure(value) for value in values]


def _dump_map(converter: "Converter", values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: converter.unstructure(value) for key, value in values.items()}


def _dump_include(converter: "Converter", values: Include[Any]) -> Any:
    items = _dump_list(converter, values)
    return items if values.wrapper is None else {"data": items, **_dump_map(converter, values.wrapper)}


def _model_dumper(converter: "Converter", kind: Any) -> Callable[[Any], Any]:
    keys = [(field.name, field_key(field)) for field in attrs.fields(kind) if field.name != "extra"]
    bare = bare_key(kind)

    def dump(model: Any) -> Any:
        known = [(key, getattr(model, name)) for name, key in keys]
        payload: dict[str, Any] = {
            key: value if type(value) in _PLAIN else converter.unstructure(value)
            for key, value in known
            if value is not None
        }
        payload |= {key: rest for key, rest in _dump_map(converter, model.extra).items() if key not in payload}
        return payload[bare] if bare is not None and payload.keys() == {bare} else payload

    return dump
