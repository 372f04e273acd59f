"""The cattrs converters: lossless reads, strict writes, and a named hook for every PHP-ism.

Reads (:func:`structure`, :func:`unstructure`) turn decoded JSON into attrs classes and back. What a class does not know
goes to its ``extra``; the payload comes back whole up to these hooks:

* *dates*: every spelling of a moment becomes an aware datetime; it is written back in one spelling;
* *null is absent*: ``null`` under a known key reads as None, and None is not written;
* *empty list is map*: ``[]`` where an object is expected is PHP's empty map, and ``{}`` where a list is expected its
  empty list; where an object with required keys may be absent, ``[]`` is no object;
* *loose booleans*: ``1``, ``"1"``, ``"true"`` and their opposites;
* *number or string ids*: ``Id`` takes a number, ``MemberId`` a numeric string;
* *bare references*: a class with ``__bare__`` takes the value of that key alone, such as ``1001`` for a member;
* *includes*: ``{"data": …}`` around an object is taken off; around a list, ``Include`` keeps it and its ``meta``.

Words of closed lists are plain strings, so that a new word of the server is no error.

Writes (:func:`write`) check keyword arguments against a TypedDict and encode them; they refuse what they do not know.
Both converters are built on first use and compile a class when it is first met. A faster hook for a class takes the
place of the compiled one through ``responses().register_structure_hook(cls, hook)``; what it raises for a value that
does not fit ends in DecodeError. The package's readers call it with a flag of their own in place of the class.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tallyfy_async.errors import ConfigurationError, DecodeError
from tallyfy_async.protocol import reading, scalars, writing
from tallyfy_async.protocol.kinds import UNSET, Id, Include, Item, MemberId, Moment, Remedy, Unset
from tallyfy_async.protocol.shapes import SURPRISES

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "UNSET",
    "Id",
    "Include",
    "Item",
    "MemberId",
    "Moment",
    "Remedy",
    "Unset",
    "requests",
    "responses",
    "structure",
    "unstructure",
    "write",
]

T = TypeVar("T")


@overload
def structure(payload: Any, kind: type[T], *, path: str = ...) -> T: ...
@overload
def structure(payload: Any, kind: Any, *, path: str = ...) -> Any: ...
def structure(payload: Any, kind: Any, *, path: str = "body") -> Any:
    """Turn decoded JSON into ``kind``: a model class, ``tuple[Model, ...]``, or any type that a model's field may have.

    ``path`` is where the payload stands in the reply. Raises DecodeError, and nothing else, for whatever does not
    fit; its path goes on from ``path`` (``data[3].progress.percent``), its message names types only.
    """
    read = responses().get_structure_hook(kind)
    try:
        return read(payload, None)
    except (*SURPRISES, RecursionError):
        pass  # read again, in the way that tells where the payload does not fit
    try:
        return read(payload, True)
    except scalars.MismatchError as error:
        where, expected, got = path + "".join(reversed(error.trail)), error.expected, error.got
    except RecursionError:
        where, expected, got = path, "less nesting", type(payload).__name__
    except SURPRISES:  # of a hook of the user's own, whose words may show the value
        where, expected, got = path, "what its structure hook takes", type(payload).__name__
    # Raised outside the handlers, so that no context keeps the payload alive or shows it.
    msg = f"{where}: expected {expected}, got {got}"
    raise DecodeError(msg, path=where)


def unstructure(value: Any) -> Any:
    """Turn a model, or a list or mapping of models, into plain JSON values that share nothing with it."""
    return responses().unstructure(value)


def write(kind: type[Any], fields: Mapping[str, Any], *, what: str = "") -> dict[str, Any]:
    """Check arguments against the TypedDict ``kind`` and return the JSON object to send.

    Absent keys and those that are UNSET are left out, None is sent as null, datetimes take the request format, sets,
    tuples and other iterables become lists. ``what`` is the call, for messages. Raises ConfigurationError for unknown
    keys (with "did you mean"), missing required ones, wrong types and naive datetimes.
    """
    try:
        body: dict[str, Any] = requests().get_unstructure_hook(kind)(fields)
    except writing.RefusedError as error:
        where, problem = "".join(reversed(error.trail)).removeprefix("."), error.message
    except RecursionError:
        where, problem = "", "the arguments are nested too deeply, or contain themselves"
    else:
        return body
    raise ConfigurationError(": ".join(part for part in (what, f"{where} {problem}".strip()) if part))


@functools.cache
def responses() -> "Converter":
    """Return the package's converter of replies; always the same one, never cattrs' global one."""
    converter = _new_converter()
    reading.register(converter)
    return converter


@functools.cache
def requests() -> "Converter":
    """Return the package's converter of requests; always the same one, never cattrs' global one."""
    converter = _new_converter()
    writing.register(converter)
    return converter


def _new_converter() -> "Converter":
    # Lazy, because loading cattrs takes longer than the rest of this room, and building a client does not need it.
    from cattrs import Converter  # noqa: PLC0415

    return Converter(detailed_validation=False)
