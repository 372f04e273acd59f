"""The types that models and inputs are declared with, beside Python's own. Used through :mod:`.converter`."""

import enum
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, Self, TypeAlias, TypeVar, Union, get_origin

import attrs

T = TypeVar("T")


class Quirk(enum.Enum):
    """Marks a type that the converters treat in a way of its own."""

    NUMBER_OR_STRING = enum.auto()
    INCLUDE = enum.auto()
    MOMENT = enum.auto()


Id: TypeAlias = Annotated[str, Quirk.NUMBER_OR_STRING]
"""A str id; a number in a reply becomes its digits."""
MemberId: TypeAlias = Annotated[int, Quirk.NUMBER_OR_STRING]
"""An int id; a numeric string in a reply becomes the number."""
Item = Annotated[T | None, Quirk.INCLUDE]
"""An included object: bare, or inside ``{"data": …}``."""
Moment: TypeAlias = Annotated[datetime | date, Quirk.MOMENT]
"""An input: an aware datetime, or a date that stands for its first second in UTC."""


class _NoExtra(dict[str, Any]):
    """An empty dict that stays so."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        msg = "models are not changed: make another one with attrs.evolve"
        raise TypeError(msg)

    if not TYPE_CHECKING:
        __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> str:
        return "NO_EXTRA"


NO_EXTRA: Final[Mapping[str, Any]] = _NoExtra()
"""The ``extra`` of all models that have none: most objects of a page, which a dict each would make larger."""


class Include(tuple[T, ...]):  # noqa: SLOT001 - a tuple cannot have slots, and this one carries two attributes
    """Objects that came inside another one because of ``with=``.

    Attributes:
        wrapper: what stood beside the list in ``{"data": […], …}``; None where the list came bare.

    """

    wrapper: Mapping[str, Any] | None

    def __new__(cls, items: Iterable[T] = (), *, wrapper: Mapping[str, Any] | None = None) -> Self:
        """Make an include of these items."""
        self = super().__new__(cls, items)
        self.wrapper = wrapper
        return self

    @property
    def meta(self) -> Mapping[str, Any]:
        """Return the ``meta`` of the include, such as its pagination: an include may be cut after its first page."""
        meta: Mapping[str, Any] = (self.wrapper or {}).get("meta") or {}
        return meta


class Unset(enum.Enum):
    """Type of :data:`UNSET`; write ``x: str | Unset = UNSET`` and narrow with ``is UNSET``."""

    UNSET = "UNSET"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""An argument that was not given: the value on the server stays as it is. None, in contrast, is sent as null."""


@attrs.frozen
class Remedy:
    """What to do about a value that does not fit; written ``Annotated[Kind, Remedy("…")]`` in an input class."""

    text: str


def is_model(kind: Any) -> bool:
    """Tell whether this is an attrs class that keeps what it does not know."""
    return isinstance(kind, type) and attrs.has(kind) and "extra" in attrs.fields_dict(kind)


def is_union(kind: Any) -> bool:
    """Tell whether this is ``X | Y`` in one of its two spellings."""
    return get_origin(kind) in {Union, UnionType}


def field_key(attribute: "attrs.Attribute[Any]") -> str:
    """Return the API's name of a model's attribute: its own, unless that is no identifier."""
    return str(attribute.metadata.get("key", attribute.name))


def required_keys(kind: Any) -> dict[str, str]:
    """Return the attributes without which a model cannot be, with the API's names of them."""
    return {field.name: field_key(field) for field in attrs.fields(kind) if field.default is attrs.NOTHING}


def bare_key(kind: Any) -> str | None:
    """Return the key whose value alone stands for the whole object, None where there is none."""
    key: str | None = getattr(kind, "__bare__", None)
    return key
