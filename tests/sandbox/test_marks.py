"""Marks of rows: equal as long as nothing changed, another as soon as anything did, however deep it lies."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, evolve, field, frozen

from tallyfy_async.sandbox.marks import is_frozen, kept_fields, marker
from tallyfy_async.sandbox.records import Field, Member, Task, User
from tallyfy_async.sandbox.tokens import AccessToken


@frozen(kw_only=True)
class Leaf:
    word: str


@define(kw_only=True)
class Branch:
    leaves: dict[str, Leaf]
    best: Leaf | None = None
    pair: tuple[Leaf, ...] = ()
    cache: int = field(default=0, eq=False)


@define(kw_only=True)
class Odd:
    either: Leaf | Branch


@define(kw_only=True)
class Set:
    leaves: set[Leaf]


def test_changes_at_any_depth_are_seen_and_caches_are_not() -> None:
    mark = marker(Branch)
    row = Branch(leaves={"a": Leaf(word="x")}, best=Leaf(word="y"), pair=(Leaf(word="z"),))
    before = mark(row, {})
    assert mark(evolve(row, cache=7, leaves={"a": Leaf(word="x")}), {}) == before
    changes: list[dict[str, Any]] = [
        {"leaves": {"a": Leaf(word="X")}},
        {"leaves": {"b": Leaf(word="x")}},
        {"best": None},
        {"pair": ()},
        {"pair": (Leaf(word="z"), Leaf(word="z"))},
    ]
    marks = [before, *(mark(evolve(row, **change), {}) for change in changes)]
    assert len(set(marks)) == len(marks)


def test_a_record_of_one_field() -> None:
    mark = marker(list[Leaf])
    assert mark([Leaf(word="a")], {}) != mark([Leaf(word="b")], {})


@pytest.mark.parametrize("kind", [Odd, Set])
def test_types_that_cannot_be_told_apart_are_refused_at_once(kind: type) -> None:
    with pytest.raises(TypeError, match="cannot"):
        marker(kind)


@pytest.mark.parametrize(
    ("hint", "frozen_"),
    [(int, True), (bytes, True), (Leaf, True), (Field, True), (Task, False), (dict[str, Any], False)],
)
def test_what_never_changes(hint: Any, frozen_: bool) -> None:
    assert is_frozen(hint) == frozen_


def test_rows_point_at_users_and_tokens_by_their_keys() -> None:
    assert "encoded" not in kept_fields(Task)
    user = User.__new__(User)
    user.id = 7
    member = Member(user=user, role="Admin", status="active", joined_at=1)
    assert marker(Member)(member, {}) == marker(Member)(evolve(member), {})
    user.id = 8
    assert marker(Member)(member, {}) != marker(Member)(evolve(member, role="Light"), {})
    assert not is_frozen(AccessToken)
