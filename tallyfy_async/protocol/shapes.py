"""Fast readers of models, one for each order of keys that replies repeat.

The server writes the objects of a list with the same keys in the same order. For such a shape a function is compiled
that takes the values in that order, looks at their types and sets the attributes, with no lookup of a key. Whatever it
does not expect it leaves to the general reader, which also words the errors.
"""

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from typing import Any, Final

from attrs import define, field, frozen

_MOST_SHAPES: Final = 256
"""Of one class. A server that orders its keys at random would otherwise fill the memory with functions."""
_MOST_KEYS: Final = 512
_ZULU = 'type({0}) is str and len({0}) > 19 and {0}[-1] == "Z" and {0}[7] == "-" and {0}[10] == "T" and {0}[16] == ":"'
"""Of such texts fromisoformat takes none that is no moment in UTC. The other spellings go through the hook."""


class UnexpectedError(Exception):
    """A value that the compiled function leaves to the general reader."""


@frozen(kw_only=True)
class Part:
    """How one key of a payload is read.

    Attributes:
        name: the model's attribute.
        own: the JSON types that are taken as they are; none where every value goes through ``hook``, datetime for a
            moment.
        hook: reads any other value but null; raises what the general reader raises.
        required: whether the attribute has no default.

    """

    name: str
    own: frozenset[type]
    hook: Callable[[Any, Any], Any]
    required: bool


@define(eq=False)
class Shapes:
    """The compiled readers of one class, by the keys of a payload in their order."""

    kind: type
    _find_parts: Callable[[], Mapping[str, Part]]
    readers: dict[Hashable, Callable[..., Any]] = field(factory=dict[Hashable, Any], init=False)
    """Keys of a payload in their order -> function of its values."""
    _seen: set[tuple[str, ...]] = field(factory=set[tuple[str, ...]], init=False)
    _parts: Mapping[str, Part] | None = field(default=None, init=False)
    _twin: type | None = field(default=None, init=False)

    @property
    def parts(self) -> Mapping[str, Part]:
        """How each key is read. They are looked up late, because classes hold each other."""
        if self._parts is None:
            self._parts = self._find_parts()
        return self._parts

    def met(self, keys: tuple[str, ...]) -> Callable[..., Any] | None:
        """Return the function for keys that came a second time: compiling costs as much as reading some ten objects."""
        if keys not in self._seen:
            if len(self._seen) >= _MOST_SHAPES:
                self._seen.clear()
                self.readers.clear()
            self._seen.add(keys)
            return None
        if len(keys) > _MOST_KEYS or {key for key, part in self.parts.items() if part.required} - set(keys):
            return None  # too long to compile, or the general reader says what is missing
        return self.of(keys, keys)

    def of(self, keys: tuple[str, ...], name: Hashable) -> Callable[..., Any]:
        """Compile the function for the values of these keys, which hold every required one, and keep it as ``name``."""
        self.readers[name] = made = self._compile(keys)
        return made

    def each(self, key: str) -> Callable[[list[Any]], tuple[Any, ...]]:
        """Compile a function for lists of bare values of one key, such as member ids."""
        lines = [
            "def read(values):",
            " models = []",
            " for v0 in values:",
            "  if v0 is None: raise unexpected",
            *self._body((key,)),
            "  models.append(model)",
        ]
        return self._built([*lines, " return tuple(models)"], (key,))

    def _compile(self, keys: tuple[str, ...]) -> Callable[..., Any]:
        head = f"def read({', '.join(f'v{at}' for at in range(len(keys)))}):"
        return self._built([head, " if True:", *self._body(keys), "  return model"], keys)

    def _body(self, keys: tuple[str, ...]) -> list[str]:
        """Return the lines that make a model of the variables v0, v1 and so on."""
        lines = ["  model = new(twin)"]
        for at, key in enumerate(keys):
            if (part := self.parts.get(key)) is not None:
                lines += _assignment(part, at)
        rest = ", ".join(f"{key!r}: v{at}" for at, key in enumerate(keys) if key not in self.parts)
        absent = [part.name for key, part in self.parts.items() if key not in keys]
        lines += [f"  {''.join(f'model.{name} = ' for name in absent)}None"] if absent else []
        return [*lines, f"  model.extra = {{{rest}}}", "  model.__class__ = kind"]

    def _built(self, lines: list[str], keys: tuple[str, ...]) -> Callable[..., Any]:
        if self._twin is None:
            self._twin = _mutable_twin(self.kind)
        names: dict[str, Any] = {"twin": self._twin, "kind": self.kind, "new": object.__new__}
        names |= {"unexpected": UnexpectedError, "moment": datetime.fromisoformat}
        for at, key in enumerate(keys):
            if (part := self.parts.get(key)) is not None:
                (own,) = part.own if len(part.own) == 1 else (part.own,)
                names |= {f"hook{at}": part.hook, f"own{at}": own}
        exec("\n".join(lines), names)  # noqa: S102 - names are identifiers of our models, keys are written by repr
        compiled: Callable[..., Any] = names["read"]
        return compiled


def _assignment(part: Part, at: int) -> list[str]:
    value, other = f"v{at}", f"None if v{at} is None else hook{at}(v{at}, None)"
    lines = [f"  if {value} is None: raise unexpected"] if part.required else []
    if datetime in part.own:
        return [*lines, f"  model.{part.name} = moment({value}) if {_ZULU.format(value)} else {other}"]
    if part.own:
        test = f"type({value}) {'is' if len(part.own) == 1 else 'in'} own{at}"
        other = f"{value} if {test} else {other}"
    return [*lines, f"  model.{part.name} = {other}"]


def _mutable_twin(kind: type) -> type:
    """Return a subclass whose new objects take attributes before they become objects of ``kind``, which is frozen."""
    plain = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(f"_Unfinished{kind.__name__}", (kind,), {"__slots__": (), "__module__": kind.__module__, **plain})
