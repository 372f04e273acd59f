"""Fast readers of models, one for each order of keys that replies repeat.

The server writes the objects of a list with the same keys in the same order. For such a shape a function is compiled
that walks a list of them: it takes the values in that order, looks at their types and sets the attributes, with no
lookup of a key and no call for an object, nor for the objects and references that lie one step inside it. Values that
it does not expect go through their hooks; what fits nowhere ends it with any of :data:`SURPRISES`, and the general
reader, which goes by the keys, words the error.
"""

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from typing import Any, Final, TypeGuard

from attrs import define, field, frozen

from tallyfy_async.protocol.kinds import NO_EXTRA
from tallyfy_async.protocol.scalars import MismatchError, Reader, is_object

_MOST_SHAPES: Final = 256
"""Of one class. A server that orders its keys at random would otherwise fill the memory with functions."""
_SIGHTS: Final = 16
"""Of a shape before it is compiled, which costs as much as reading some 60 objects key by key: rare ones never are."""
_MOST_KEYS: Final = 512
_MOST_KEYS_INSIDE: Final = 32
"""Of an object that is read in the function of the object around it."""
_DEEPEST: Final = 2
"""So many objects inside each other are read in one function."""

ManyReader = Callable[[list[Any]], list[Any]]


class UnexpectedError(Exception):
    """A value that the compiled function leaves to the general reader."""


SURPRISES: Final = (MismatchError, UnexpectedError, TypeError, ValueError, LookupError)
"""What ends a compiled function; the last three come of values that are no text of a moment."""

_ZULU: Final = '{0}[-1] == "Z" and {0}[7] == "-" and {0}[10] == "T" and {0}[16] == ":"'
"""Of such texts fromisoformat takes none that is no moment in UTC. The other spellings go through the hook."""

_HOT: Final = ("type", "str", "int", "bool", "list", "dict", "moment")
_HEAD: Final = f"def read(values, {', '.join(f'{name}={name}' for name in _HOT)}):"
"""What nearly every line needs is a variable, which is found faster than a global name."""


@frozen(kw_only=True)
class Part:
    """How one key of a payload is read.

    Attributes:
        name: the model's attribute.
        own: the JSON types that are taken as they are; none where every value goes through ``hook``, datetime for a
            moment.
        hook: reads any other value but null; raises what the general reader raises.
        required: whether the attribute has no default.
        inside: the shapes of the class whose object this is, or whose objects in a tuple; None for anything else.
        many: whether it is a tuple of them.

    """

    name: str
    own: frozenset[type]
    hook: Reader
    required: bool
    inside: "Shapes | None" = None
    many: bool = False


@define(eq=False)
class Shapes:
    """The compiled readers of one class, by the keys of a payload in their order.

    Attributes:
        kind: the class.
        one: reads a value of any shape; the compiled functions call it where a list changes its shape.
        bare: the key whose value alone stands for the object.
        readers: keys of a payload in their order, or ``bare`` -> function of a list of such payloads.

    """

    kind: type
    one: Reader
    bare: str | None
    _find_parts: Callable[[], Mapping[str, Part]]
    readers: dict[Hashable, ManyReader] = field(factory=dict[Hashable, ManyReader], init=False)
    _seen: dict[tuple[str, ...], int] = field(factory=dict[tuple[str, ...], int], init=False)
    _parts: Mapping[str, Part] | None = field(default=None, init=False)
    _twin: type | None = field(default=None, init=False)

    @property
    def parts(self) -> Mapping[str, Part]:
        """How each key is read. They are looked up late, because classes hold each other."""
        if self._parts is None:
            self._parts = self._find_parts()
        return self._parts

    @property
    def twin(self) -> type:
        """A subclass whose new objects take attributes before they become objects of ``kind``, which is frozen."""
        if self._twin is None:
            plain = {name: getattr(object, name) for name in ("__init__", "__setattr__", "__delattr__")}
            members = {"__slots__": (), "__module__": self.kind.__module__, **plain}
            self._twin = type(f"_Unfinished{self.kind.__name__}", (self.kind,), members)
        return self._twin

    @property
    def bare_types(self) -> frozenset[type]:
        """The JSON type of values that alone stand for an object; none where they may have several."""
        own = frozenset[type]() if self.bare is None else self.parts[self.bare].own
        return own if len(own) == 1 else frozenset()

    def met(self, payload: dict[str, Any]) -> ManyReader | None:
        """Return the function for the keys of an object that has none yet; None where they did not come often."""
        if len(payload) > _MOST_KEYS:
            return None
        keys = tuple(payload)
        if keys not in self._seen and len(self._seen) >= _MOST_SHAPES:
            self._seen.clear()
            self.readers.clear()
        self._seen[keys] = sights = self._seen.get(keys, 0) + 1
        if sights < _SIGHTS or not self.compilable(payload, _MOST_KEYS):
            return None  # rare, too long to compile, or the general reader says what is missing
        self.readers[keys] = made = _compiled(self, payload)
        return made

    def of_bare(self) -> ManyReader:
        """Return the function for lists of bare values, such as member ids."""
        made = self.readers.get(self.bare)
        if made is None:
            self.readers[self.bare] = made = _compiled(self, None)
        return made

    def compilable(self, payload: Any, most: int) -> TypeGuard[dict[str, Any]]:
        """Tell whether this is an object of at most so many keys, and with those without which there is no model."""
        if not is_object(payload) or len(payload) > most:
            return False
        return all(key in payload for key, part in self.parts.items() if part.required)


def _compiled(shapes: Shapes, sample: dict[str, Any] | None) -> ManyReader:
    """Compile the function for lists whose first is an object like ``sample``, or for lists of bare values."""
    source = _Source()
    found = source.walk_bare(1, shapes, "values", 0) if sample is None else source.walk(1, shapes, "values", sample)
    source.put(1, f"return {found}")
    text = "\n".join([_HEAD, *source.memos, *source.lines])
    exec(text, source.names)  # noqa: S102 - names are of our models, keys are written by repr
    compiled: ManyReader = source.names["read"]
    return compiled


@define(eq=False)
class _Source:
    """The text of a function in the making.

    ``depth`` is an indentation, ``inside`` how many objects there are around.

    Attributes:
        lines: of Python.
        memos: the lines before them, which make the dicts of references met in this list, bare value -> model.
        names: what the text calls things by.

    """

    lines: list[str] = field(factory=list[str])
    memos: list[str] = field(factory=list[str])
    names: dict[str, Any] = field(
        factory=lambda: dict[str, Any](moment=datetime.fromisoformat, unexpected=UnexpectedError)
    )
    _variables: int = 0

    def put(self, depth: int, *lines: str) -> None:
        """Write lines at an indentation."""
        self.lines += [" " * depth + line for line in lines]

    def variable(self) -> str:
        """Return a variable that the text does not have yet."""
        self._variables += 1
        return f"v{self._variables}"

    def name(self, thing: object) -> str:
        """Return what the text calls a thing by."""
        name = f"t{len(self.names)}"
        self.names[name] = thing
        return name

    def is_one_of(self, value: str, types: frozenset[type], negation: str = "") -> str:
        """Return the expression whether a value is, or with " not" is not, of these types."""
        if len(types) > 1:
            return f"type({value}){negation} in {self.name(types)}"
        (only,) = types
        return f"type({value}) is{negation} {only.__name__}"

    def walk(self, depth: int, shapes: Shapes, values: str, sample: dict[str, Any]) -> str:
        """Write what makes a list of models of a list of objects; return its variable."""
        models, value, keys = self.variable(), self.variable(), self.variable()
        # Compared with the first object's keys, because the decoder gave both the same texts; lists are made faster
        # than tuples.
        self.put(depth, f"{keys} = [*values[0]]", f"{models} = []", f"for {value} in {values}:")
        self.put(depth + 1, f"if type({value}) is dict and [*{value}] == {keys}:")
        model = self.model(depth + 2, shapes, value, sample, 0)
        self.put(depth + 2, f"{models}.append({model})")
        self.put(depth + 1, f"else: {models}.append({self.name(shapes.one)}({value}, None))")
        return models

    def walk_bare(self, depth: int, shapes: Shapes, values: str, inside: int) -> str:
        """Write what makes a list of models of a list of bare values; return its variable.

        The objects of a list refer to the same few members and groups: equal values share one model, which is frozen.
        """
        models, value, shared, met = (self.variable() for _ in range(4))
        self.memos.append(f" {met} = {{}}")
        self.put(depth, f"{models} = []", f"for {value} in {values}:")
        self.put(depth + 1, f"if {self.is_one_of(value, shapes.bare_types)}:")
        self.put(depth + 2, f"{shared} = {met}.get({value})", f"if {shared} is None:")
        model = self.made(depth + 3, shapes, {str(shapes.bare): value}, {}, inside)
        self.put(depth + 3, f"{met}[{value}] = {shared} = {model}")
        self.put(depth + 2, f"{models}.append({shared})")
        self.put(depth + 1, f"else: {models}.append({self.name(shapes.one)}({value}, None))")
        return models

    def model(self, depth: int, shapes: Shapes, value: str, sample: dict[str, Any], inside: int) -> str:
        """Write what makes a model of an object with the keys of the sample; return its variable."""
        values = {key: self.variable() for key in sample}
        if values:
            self.put(depth, f"{', '.join(values.values())}, = {value}.values()")
        return self.made(depth, shapes, values, sample, inside)

    def made(self, depth: int, shapes: Shapes, values: dict[str, str], sample: dict[str, Any], inside: int) -> str:
        """Write what makes a model of variables by key; return its variable."""
        parts, model = shapes.parts, self.variable()
        self.put(depth, f"{model} = {self.name(shapes.twin)}()")
        for key, value in values.items():
            if key in parts:
                self.fit(depth, parts[key], value, sample.get(key), inside)
                self.put(depth, f"{model}.{parts[key].name} = {value}")
        absent = [f"{model}.{part.name} = " for key, part in parts.items() if key not in values]
        self.put(depth, *([f"{''.join(absent)}None"] if absent else []))
        extra = ", ".join(f"{key!r}: {value}" for key, value in values.items() if key not in parts)
        extra = f"{{{extra}}}" if extra else self.name(NO_EXTRA)
        self.put(depth, f"{model}.extra = {extra}", f"{model}.__class__ = {self.name(shapes.kind)}")
        return model

    def fit(self, depth: int, part: Part, value: str, sample: Any, inside: int) -> None:
        """Write what turns a variable into what the attribute takes."""
        if part.required:
            self.put(depth, f"if {value} is None: raise unexpected")
        hooked = f"{self.name(part.hook)}({value}, None)"
        if datetime in part.own:
            hooked = f"moment({value}) if {_ZULU.format(value)} else {hooked}"
        elif part.own:
            self.put(depth, f"if {self.is_one_of(value, part.own, ' not')} and {value} is not None: {value} = {hooked}")
            return
        other = "elif" if self.opened(depth, part, value, sample, inside) else "if"
        self.put(depth, f"{other} {value} is not None: {value} = {hooked}")

    def opened(self, depth: int, part: Part, value: str, sample: Any, inside: int) -> bool:
        """Write what reads an object, or references, without a call; return whether there is such a way."""
        shapes = part.inside
        if shapes is None or inside >= _DEEPEST:
            return False
        if part.many and shapes.bare_types:
            self.put(depth, f"if type({value}) is list:")
            self.put(depth + 1, f"{value} = tuple({self.walk_bare(depth + 1, shapes, value, inside + 1)})")
            return True
        if part.many or not shapes.compilable(sample, _MOST_KEYS_INSIDE):
            return False
        self.put(depth, f"if type({value}) is dict and [*{value}] == {self.name([*sample])}:")
        self.put(depth + 1, f"{value} = {self.model(depth + 1, shapes, value, sample, inside + 1)}")
        return True
