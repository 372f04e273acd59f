"""Compiled readers give what the general reader gives, whatever comes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
import pytest
from cattrs import Converter
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import models
from tallyfy_async.errors import DecodeError
from tallyfy_async.models import Model
from tallyfy_async.protocol import reading, shapes
from tallyfy_async.protocol.converter import Id, structure
from tallyfy_async.protocol.scalars import MismatchError


@attrs.frozen(kw_only=True, repr=False)
class Leaf(Model):
    __bare__ = "id"
    id: Id
    note: str | None = None


@attrs.frozen(kw_only=True, repr=False)
class Tree(Model):
    id: Id
    count: int | None = None
    share: float | None = None
    open: bool | None = None
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] | None = None
    table: dict[str, Any] | None = None
    either: float | dict[str, Any] | None = None
    moment: datetime | None = None
    when: datetime | int | None = None
    odd: str | None = attrs.field(default=None, metadata={"key": "odd-key"})


def outcome(payload: Any, kind: Any) -> Any:
    try:
        return structure(payload, kind)
    except DecodeError as error:
        return error.path, str(error)


def general_reader() -> Callable[[Any], Any]:
    """Return a reader that has seen no shape yet, so that it compiles none."""
    converter = Converter(detailed_validation=False)
    reading.register(converter)
    hook = converter.get_structure_hook(Tree)

    def read(payload: Any) -> Any:
        try:
            return hook(payload, None)
        except MismatchError as error:
            where = "body" + "".join(reversed(error.trail))
            return where, f"{where}: expected {error.expected}, got {error.got}"

    return read


VALUES = st.sampled_from(
    [
        None,
        True,
        0,
        7,
        0.5,
        "",
        "text",
        "7",
        [],
        ["a"],
        {},
        {"id": "x"},
        {"id": None},
        [{"id": 1}, "y"],
        [[]],
        {"a": 1},
        "2026-11-02T09:30:00Z",
        "2026-11-02T09:30:00.123456Z",
        "2026-11-02T25:30:00Z",
        "2026-W45-1T09:30:00Z",
        "2026-11-02 09:30:00",
    ]
)
KEYS = st.sampled_from(
    [
        "id",
        "count",
        "share",
        "open",
        "leaf",
        "leaves",
        "table",
        "either",
        "moment",
        "when",
        "odd-key",
        "extra",
        "new",
        "a'\"\\",
    ]
)


@given(payload=st.dictionaries(KEYS, VALUES))
def test_the_compiled_reader_is_the_general_one(payload: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "_MOST_KEYS", -1)
        general = general_reader()(copy.copy(payload))
    for _ in range(2):
        outcome(copy.copy(payload), Tree)  # compiled at the second sight
    compiled = outcome(copy.copy(payload), Tree)
    assert compiled == general
    if isinstance(compiled, Tree):
        assert type(compiled) is Tree
        assert list(compiled.extra) == [key for key in payload if key in {"extra", "new", "a'\"\\"}]


def test_what_is_read_fast_is_frozen_and_whole() -> None:
    payload = {"id": "a", "leaf": "b", "leaves": ["c", {"id": "d", "note": "n"}], "new": 1}
    for _ in range(3):
        tree = structure(dict(payload), Tree)
        assert tree == Tree(id="a", leaf=Leaf(id="b"), leaves=(Leaf(id="c"), Leaf(id="d", note="n")), extra={"new": 1})
        assert hash(tree) == hash(tree)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            tree.count = 1
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            del tree.count


def test_errors_name_the_place_on_the_fast_path_too() -> None:
    good = {"id": "a", "leaves": [{"id": "c"}]}
    for _ in range(3):
        structure(good, Tree)
    with pytest.raises(DecodeError) as caught:
        structure({"id": "a", "leaves": [{"id": "c"}, {"id": []}]}, Tree)
    assert caught.value.path == "body.leaves[1].id"
    with pytest.raises(DecodeError) as caught:
        structure({"id": None, "leaves": []}, Tree)
    assert caught.value.path == "body.id"


def test_the_memory_for_shapes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_MOST_SHAPES", 4)
    parts = {"id": shapes.Part(name="id", own=frozenset({str}), hook=lambda value, _: value, required=True)}
    known = shapes.Shapes(Leaf, lambda: parts)
    for turn in range(40):
        for _ in range(2):
            known.met(("id", f"new{turn}"))
        assert len(known._seen) <= 4
        assert 0 < len(known.readers) <= 4
    monkeypatch.setattr(shapes, "_MOST_KEYS", 2)
    for _ in range(3):
        assert known.met(("id", "a", "b")) is None


def test_tasks_of_a_page_share_one_reader() -> None:
    payload = {"id": "a", "title": "t", "owners": {"users": [1, 2], "guests": [], "groups": []}}
    tasks = structure([dict(payload) for _ in range(5)], tuple[models.Task, ...])
    assert {type(task) for task in tasks} == {models.Task}
    assert len(set(map(repr, tasks))) == 1
