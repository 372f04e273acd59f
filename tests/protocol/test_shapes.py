"""Compiled readers give what the general reader gives, whatever comes."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import attrs
import pytest
from cattrs import Converter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallyfy_async import models
from tallyfy_async.errors import DecodeError
from tallyfy_async.models import Model
from tallyfy_async.protocol import reading, shapes
from tallyfy_async.protocol.converter import Id, Include, Item, responses, structure
from tallyfy_async.protocol.scalars import MismatchError
from tests.models.test_payloads import ODD, READ, places, replaced


@attrs.frozen(kw_only=True, repr=False)
class Leaf(Model):
    __bare__ = "id"
    id: Id
    note: str | None = None


@attrs.frozen(kw_only=True, repr=False)
class Branch(Model):
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] | None = None
    moment: datetime | None = None
    tree: Item[Tree] = None
    trees: Include[Tree] | None = None


@attrs.frozen(kw_only=True, repr=False)
class Tree(Model):
    id: Id
    count: int | None = None
    share: float | None = None
    open: bool | None = None
    leaf: Leaf | None = None
    branch: Branch | None = None
    leaves: tuple[Leaf, ...] | None = None
    table: dict[str, Any] | None = None
    either: float | dict[str, Any] | None = None
    moment: datetime | None = None
    when: datetime | int | None = None
    odd: str | None = attrs.field(default=None, metadata={"key": "odd-key"})


@pytest.fixture(autouse=True, scope="module")
def soon() -> Iterator[None]:
    """Compile at the second sight of a shape."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "_SIGHTS", 2)
        yield


def outcome(payload: Any, kind: Any) -> Any:
    try:
        return structure(payload, kind)
    except DecodeError as error:
        return error.path, str(error)


def reader(kind: Any) -> Callable[[Any, Any], Any]:
    """Return the hook of a converter that has seen no shape yet."""
    converter = Converter(detailed_validation=False)
    reading.register(converter)
    hook: Callable[[Any, Any], Any] = converter.get_structure_hook(kind)
    return hook


def exactly(payload: Any, kind: Any) -> Any:
    """Read as the general reader does, which compiles nothing."""
    try:
        return responses().get_structure_hook(kind)(payload, True)
    except MismatchError as error:
        where = "body" + "".join(reversed(error.trail))
        return where, f"{where}: expected {error.expected}, got {error.got}"


def calls(action: Callable[[], Any]) -> int:
    """Count the calls of the readers' functions."""
    count = 0

    def note(frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        ours = frame.f_code.co_filename == "<string>" or frame.f_globals.get("__name__") == reading.__name__
        count += event == "call" and ours

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count


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
        "2026-11-02T09:30:00+02:00",
        "2026-11-02x09:30:00Z",
        "2026-11-02T093000.1Z",
        "20261102T09:30:00.1Z",
        "Z",
        {"leaf": "c", "leaves": [1, {"id": "d"}, 2], "moment": "2026-11-02T09:30:00.000Z"},
        {"leaves": [1, None], "new": 3},
        {"tree": {"data": {"id": 4}}, "trees": [{"id": 5}, {"id": 6}, {"id": 7, "count": 1}, {"id": 8}]},
        {"trees": [{"id": 5}, {"id": 6, "share": ""}]},
    ]
)
KEYS = st.sampled_from(
    [
        "id",
        "count",
        "share",
        "open",
        "leaf",
        "branch",
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


MOMENTS = ["2026-11-02T09:30:00Z", "2026-11-02T09:30:00.5Z", "2026-11-02T09:30:00+02:00", "Z"]
MOMENTS += ["2026-11-02x09:30:00Z", "2026-11-02T093000.1Z", "20261102T09:30:00.1Z", "2026-W45-1T09:30:00Z"]
OBJECTS = st.dictionaries(KEYS, VALUES)


@given(payload=OBJECTS)
def test_the_compiled_reader_is_the_general_one(payload: dict[str, Any]) -> None:
    general = exactly(copy.copy(payload), Tree)
    for _ in range(2):
        outcome(copy.copy(payload), Tree)  # compiled at the second sight
    compiled = outcome(copy.copy(payload), Tree)
    assert compiled == general
    if isinstance(compiled, Tree):
        assert type(compiled) is Tree
        assert list(compiled.extra) == [key for key in payload if key in {"extra", "new", "a'\"\\"}]


@given(first=OBJECTS, second=OBJECTS, order=st.lists(st.booleans(), min_size=1))
def test_lists_are_read_at_a_stroke_as_one_by_one(
    first: dict[str, Any], second: dict[str, Any], order: list[bool]
) -> None:
    payload = [{"id": "a"} | (first if one else second) for one in order]
    general = exactly(payload, tuple[Tree, ...])
    for _ in range(3):
        assert outcome(payload, tuple[Tree, ...]) == general


@given(payload=OBJECTS)
def test_no_good_value_is_a_surprise(payload: dict[str, Any]) -> None:
    general = exactly(payload, Tree)
    read = reader(Tree)
    for _ in range(3):
        if isinstance(general, Tree):
            assert read(payload, None) == general
        else:
            with pytest.raises(shapes.SURPRISES):
                read(payload, None)


@pytest.mark.parametrize("text", MOMENTS)
def test_moments_are_read_as_the_general_reader_does(text: str) -> None:
    payload = [{"id": "a", "moment": text}] * 3
    assert [outcome(payload, tuple[Tree, ...]) for _ in range(3)] == [exactly(payload, tuple[Tree, ...])] * 3


def test_other_keys_in_a_list_are_seen() -> None:
    usual = {"id": "a", "odd-key": "b", "branch": {"leaf": "c", "leaves": None}}
    others = [
        {"odd-key": "b", "id": "a", "branch": {"leaf": "c", "leaves": None}},
        {"id": "a", "new": "b", "branch": {"leaf": "c", "leaves": None}},
        {"id": "a", "odd-key": "b", "branch": {"leaf": "c", "new": None}},
        ["id", "odd-key", "branch"],
    ]
    for other in others:
        payload = [usual, usual, other, usual]
        for _ in range(3):
            assert outcome(payload, tuple[Tree, ...]) == exactly(payload, tuple[Tree, ...])


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_payloads_of_the_contract_are_read_as_the_general_reader_does(data: st.DataObject) -> None:
    payload, kind = data.draw(st.sampled_from(READ))
    place, value = data.draw(st.sampled_from(places(payload))), data.draw(st.sampled_from([*ODD, *MOMENTS]))
    whole = tuple[kind, ...]
    page = [payload, payload, replaced(payload, place, value), payload]
    general = exactly(page, whole)
    for _ in range(3):
        assert outcome(page, whole) == general


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


def test_equal_references_of_a_list_are_one_object() -> None:
    payloads = [{"id": str(number), "leaves": ["a", str(number), "a"]} for number in range(4)]
    read = reader(tuple[Tree, ...])
    for _ in range(3):
        trees, again = read(payloads, None), read(payloads, None)
        assert [[leaf.id for leaf in tree.leaves] for tree in trees] == [one["leaves"] for one in payloads]
    assert len({id(leaf) for tree in trees for leaf in tree.leaves}) == 5
    assert again[0].leaves[0] == trees[0].leaves[0]
    assert again[0].leaves[0] is not trees[0].leaves[0]


@pytest.mark.parametrize("odd", [True, 1001.0])
def test_a_value_that_equals_a_reference_is_not_taken_for_it(odd: Any) -> None:
    read = reader(tuple[models.Owners, ...])
    for _ in range(3):
        assert read([{"users": [1001]}, {"users": [1001]}], None)[1].users == (models.UserRef(id=1001),)
    assert read([{"users": [1]}, {"users": [1]}], None)[1].users == (models.UserRef(id=1),)
    with pytest.raises(MismatchError):
        read([{"users": [1, 1001]}, {"users": [odd]}], None)


def test_a_reference_of_another_class_is_not_taken_for_it() -> None:
    read = reader(tuple[models.Owners, ...])
    for _ in range(3):
        (owners, _) = read([{"guests": ["a@b.c"], "groups": ["a@b.c"]}] * 2, None)
        assert owners.guests == (models.GuestRef(email="a@b.c"),)
        assert owners.groups == (models.GroupRef(id="a@b.c"),)


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
    known = shapes.Shapes(Leaf, lambda value, _: value, "id", lambda: parts)
    for turn in range(40):
        for _ in range(2):
            known.met({"id": "a", f"new{turn}": 1})
        assert len(known._seen) <= 4
        assert 0 < len(known.readers) <= 4
    monkeypatch.setattr(shapes, "_MOST_KEYS", 2)
    for _ in range(3):
        assert known.met({"id": "a", "a": 1, "b": 2}) is None


def test_a_rare_shape_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_SIGHTS", 5)
    parts = {"id": shapes.Part(name="id", own=frozenset({str}), hook=lambda value, _: value, required=True)}
    known = shapes.Shapes(Leaf, lambda value, _: value, "id", lambda: parts)
    assert [known.met({"id": "a"}) is None for _ in range(5)] == [True] * 4 + [False]
    assert [known.met({"id": "a", "new": 1}) for _ in range(4)] == [None] * 4
    assert list(known.readers) == [("id",)]


def tasks(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{number}",
            "title": "t",
            "owners": {"users": [number, 2], "guests": ["a@example.com"], "groups": []},
            "created_at": f"2026-11-02T09:30:{number % 60:02}.000Z",
            "deadline": None,
            "position": number,
            "new": number,
        }
        for number in range(count)
    ]


def test_tasks_of_a_page_share_one_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = list[tuple[Any, ...]]()
    before = shapes._compiled

    def note(found: shapes.Shapes, sample: dict[str, Any] | None) -> Any:
        compiled.append((found.kind, sample and tuple(sample)))
        return before(found, sample)

    monkeypatch.setattr(shapes, "_compiled", note)
    read = reader(tuple[models.Task, ...])
    for _ in range(3):
        found = read(tasks(100), None)
    assert [task.id for task in found] == [f"{number}" for number in range(100)]
    assert {type(task) for task in found} == {models.Task}
    assert {type(task.owners) for task in found} == {models.Owners}
    assert [kind for kind, _ in compiled].count(models.Task) == 1
    assert len(set(compiled)) == len(compiled)


def test_a_page_costs_no_call_for_a_task() -> None:
    read = reader(tuple[models.Task, ...])
    for _ in range(2):
        read(tasks(10), None)
    few, many = tasks(10), tasks(100)
    assert calls(lambda: read(few, None)) == calls(lambda: read(many, None)) < 10


def test_the_cost_of_an_error_grows_with_its_depth_and_no_faster() -> None:
    def nested(depth: int, note: object) -> dict[str, Any]:
        payload: dict[str, Any] = {"id": "a", "leaf": {"id": "b", "note": note}}
        for _ in range(depth):
            payload = {"id": "a", "branch": {"trees": [{"id": "a"}, payload]}}
        return payload

    for _ in range(3):
        structure(nested(20, "n"), Tree)
    found = list[int]()
    for depth in (10, 20):
        payload = nested(depth, 1)
        with pytest.raises(DecodeError) as caught:
            structure(payload, Tree)
        assert caught.value.path == f"body{'.branch.trees[1]' * depth}.leaf.note"
        found.append(calls(lambda payload=payload: outcome(payload, Tree)))  # type: ignore[misc]
    assert found[1] < 3 * found[0]


def test_a_hook_of_ones_own_is_called_inside_of_compiled_readers() -> None:
    converter = Converter(detailed_validation=False)
    reading.register(converter)
    converter.register_structure_hook(Leaf, lambda value, _: Leaf(id=f"own {value}"))
    read = converter.get_structure_hook(Tree)
    for _ in range(3):
        tree = read({"id": "a", "leaf": "b", "leaves": ["c"], "branch": {"leaf": "d", "leaves": []}}, None)
        assert tree.leaf == Leaf(id="own b")
        assert tree.leaves == (Leaf(id="own c"),)
        assert tree.branch.leaf == Leaf(id="own d")
