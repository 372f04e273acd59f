"""Every method of the registry, called wrongly: it is refused by name before anything is sent.

The calls are made outside of any event loop: whoever looks at the arguments only after the first suspension fails here.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import pytest
from anyio import NoEventLoopError
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyfy_async import ClientCredentials, ConfigurationError, Operation, Outcome, TallyfyClient, operations
from tests.contract.scripted import BASE, Scripted

pytestmark = pytest.mark.once

CALLED = [one for one in operations() if not one.call.startswith("tallyfy_async.")]
SERVER = Scripted()
CLIENT = TallyfyClient("token", organization="o" * 32, base_url=BASE, transport=SERVER)
APPLICATION = CLIENT.with_options(auth=ClientCredentials(client_id="1", client_secret="s"))
MOMENT = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
HEX = "a" * 32
SOME = settings(max_examples=4, deadline=None)
MORE = settings(max_examples=12, deadline=None)

no_texts = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.binary(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.builds(object),
)
blanks = st.text(alphabet=" \t\n\r\x0b\x0c\xa0\u2003", max_size=4)
no_ids = st.one_of(no_texts, blanks, st.sampled_from([".", "..", " .. ", "a\ud800b", "\udfff"]))
no_sizes = st.one_of(no_texts.filter(lambda value: value is not None), st.text(max_size=3), st.integers(max_value=0))
no_options = st.one_of(no_texts.filter(lambda value: value is not None), st.text(max_size=3), st.integers())
no_words = st.from_regex(r"zz_[a-z]{1,8}", fullmatch=True)


@frozen
class Method:
    """What performs an operation, and how it is called rightly."""

    operation: Operation
    call: Callable[..., Any]
    parameters: Mapping[str, inspect.Parameter]
    hints: Mapping[str, Any]

    @property
    def ids(self) -> list[str]:
        """Return the arguments that stand in the path."""
        return [part[1:-1] for part in self.operation.path.split("/") if part.startswith("{") and part != "{org}"]

    @property
    def fields(self) -> Any:
        """Return the TypedDict of the further keywords, None where there is none."""
        rest = [name for name, one in self.parameters.items() if one.kind is inspect.Parameter.VAR_KEYWORD]
        return get_args(self.hints[rest[0]])[0] if rest else None

    def keywords(self) -> dict[str, Any]:
        """Return the kinds of all keywords but for options."""
        named = {
            name: self.hints[name]
            for name, one in self.parameters.items()
            if one.kind is not inspect.Parameter.VAR_KEYWORD and name != "options" and name not in self.ids
        }
        return named | (keys(self.fields) if self.fields else {})

    def arguments(self, **wrong: Any) -> dict[str, Any]:
        """Return arguments that would do, apart from the given ones."""
        empty = inspect.Parameter.empty
        right = {
            name: right_value(self.hints[name])
            for name, one in self.parameters.items()
            if one.default is empty and one.kind is not inspect.Parameter.VAR_KEYWORD
        }
        if self.fields and self.operation.method != "GET":
            right |= right_value(self.fields)
        known = {name: value for name, value in KNOWN.items() if name in self.parameters or name in right}
        return right | known | WHOLE.get(self.operation.id, {}) | wrong


@cache
def method(operation: Operation) -> Method:
    """Return the method of an operation."""
    root, *names = operation.call.split(".")
    client = APPLICATION if operation.resource == "client.applications" else CLIENT
    found: Any = {"client": client, "org": client.organization()}[root]
    for name in names:
        found = getattr(found, name)
    return Method(operation, found, inspect.signature(found).parameters, hints_of(found.__func__))


def hints_of(function: types.FunctionType) -> dict[str, Any]:
    """Return the kinds of a function's arguments; some names are known to type checkers alone."""
    arguments = types.SimpleNamespace()
    arguments.__annotations__ = {name: kind for name, kind in function.__annotations__.items() if name != "return"}
    return get_type_hints(arguments, function.__globals__, {"FileSource": bytes}, include_extras=True)


def bare(kind: Any) -> Any:
    """Take the marks off a kind."""
    while get_origin(kind) in {Required, NotRequired, Annotated}:
        if any(getattr(mark, "name", "") == "MOMENT" for mark in get_args(kind)[1:]):
            return datetime
        kind = get_args(kind)[0]
    return kind


def keys(kind: Any) -> dict[str, Any]:
    """Return the kinds of a TypedDict's keys."""
    return get_type_hints(kind, include_extras=True)


def needed(kind: Any) -> set[str]:
    """Return the keys that a TypedDict demands."""
    hints = keys(kind)
    marked = {name for name, hint in hints.items() if get_origin(hint) is Required}
    return (kind.__required_keys__ | marked) - {name for name, hint in hints.items() if get_origin(hint) is NotRequired}


SCALARS: dict[Any, Any] = {
    str: HEX,
    int: 7,
    bool: True,
    float: 0.5,
    Any: "x",
    bytes: b"x",
    datetime: MOMENT,
    date: MOMENT,
}

CONDITION = {"conditionable_id": HEX, "conditionable_type": "Step", "operation": "completed"}
KNOWN: dict[str, Any] = {"subject_type": "Run", "filename": "a.png", "content_type": "image/png"}
"""Arguments of which not every value will do."""
WHOLE: dict[str, dict[str, Any]] = {
    "create_automated_action": {"conditions": [CONDITION]},
    "upload_asset": {"checklist_id": HEX, "step_id": HEX},
    "upload_file": {"checklist_id": HEX, "step_id": HEX},
}
"""Arguments that are needed together."""
SAID: dict[str, str] = {
    "definition": "must be a mapping",
    "organization_id": "org must be",
    "source": "what is uploaded",
    "text": "search must be",
    "values": "custom_fields must be",
}
"""Arguments that go by another name in the refusal."""


def right_value(kind: Any) -> Any:
    """Return a value of a kind."""
    kind = bare(kind)
    if kind in SCALARS:
        return SCALARS[kind]
    if is_typeddict(kind):
        hints = keys(kind)
        return {name: right_value(hints[name]) for name in sorted(needed(kind)) or list(hints)[:1]}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return inner[0]
    if origin in {Union, types.UnionType}:
        return b"x" if bytes in inner else right_value(next(one for one in inner if one is not types.NoneType))
    if origin is not None and issubclass(origin, Mapping):
        return {HEX: right_value(inner[1])}
    if origin is not None and issubclass(origin, Iterable):
        return [right_value(inner[0])]
    pytest.fail(f"no value of {kind} is known")


def refusal(operation: Operation, **wrong: Any) -> str:
    """Call a method wrongly, outside of any event loop, and return what the refusal says."""
    one = method(operation)
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        begin(one.call(**one.arguments(**wrong)))
    assert not isinstance(caught.value, ConfigurationError) or caught.value.outcome is Outcome.NOT_SENT
    assert SERVER.requests == []
    return str(caught.value)


def begin(made: Any) -> None:
    """Run a coroutine up to its first suspension, where it would have sent something."""
    if inspect.iscoroutine(made):
        try:
            made.send(None)
        finally:
            made.close()


def of(test: Callable[[Method], object]) -> Any:
    """Parametrize a test by the operations whose method passes."""
    found = [one for one in CALLED if test(method(one))]
    assert found
    return pytest.mark.parametrize("operation", found, ids=lambda one: one.id)


@of(lambda one: one.ids)
@MORE
@given(data=st.data())
def test_what_cannot_be_an_id_is_refused_by_name(operation: Operation, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(method(operation).ids))
    assert name in refusal(operation, **{name: data.draw(no_ids)})


@of(lambda _: True)
@SOME
@given(word=no_words, value=st.one_of(st.none(), st.text(), st.integers()))
def test_an_unknown_word_is_refused_by_name(operation: Operation, word: str, value: Any) -> None:
    assert word in refusal(operation, **{word: value})


@of(lambda _: True)
@SOME
@given(options=no_options)
def test_options_are_options(operation: Operation, options: Any) -> None:
    assert "options must be RequestOptions" in refusal(operation, options=options)


@of(lambda one: "per_page" in one.parameters)
@SOME
@given(size=no_sizes)
def test_a_page_has_a_size(operation: Operation, size: Any) -> None:
    assert "per_page must be" in refusal(operation, per_page=size)


@of(lambda one: one.keywords())
def test_what_no_request_can_carry_is_refused_by_name(operation: Operation) -> None:
    for name in method(operation).keywords():
        said = refusal(operation, **{name: object()})
        assert name in said or SAID.get(name, name) in said, name


@of(lambda one: one.fields and needed(one.fields))
def test_a_needed_field_that_is_missing_is_named(operation: Operation) -> None:
    one = method(operation)
    for name in needed(one.fields):
        with pytest.raises(ConfigurationError, match=f"lacks .*{name}"):
            begin(one.call(**{key: value for key, value in one.arguments().items() if key != name}))
    assert SERVER.requests == []


@pytest.mark.parametrize("operation", CALLED, ids=lambda one: one.id)
def test_the_values_that_are_not_wrong_are_right(operation: Operation) -> None:
    made = method(operation).call(**method(operation).arguments())
    if inspect.iscoroutine(made):
        with pytest.raises(NoEventLoopError):
            begin(made)
