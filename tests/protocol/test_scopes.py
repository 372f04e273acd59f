from __future__ import annotations

import itertools

import pytest

from tallyfy_async.protocol.scopes import CAPABILITIES, Scope, allows, parse_scope


def test_the_scopes_are_those_of_the_seed() -> None:
    assert {scope.value for scope in Scope} == {"organization", "account", "template", "process", "*"}
    assert str(Scope.ALL) == "*"


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("", set()),
        ("*", {"*"}),
        ("process template", {"process", "template"}),
        ("  process\t mcp.users.write\n", {"process", "mcp.users.write"}),
    ],
)
def test_parse_scope(text: str, scopes: set[str]) -> None:
    assert parse_scope(text) == scopes


def test_every_capability_belongs_to_one_scope_and_no_other() -> None:
    counts = {scope: list(CAPABILITIES.values()).count(scope) for scope in Scope}
    assert counts == {Scope.PROCESS: 4, Scope.TEMPLATE: 5, Scope.ACCOUNT: 4, Scope.ORGANIZATION: 6, Scope.ALL: 0}
    for scope, other in itertools.product(CAPABILITIES.values(), Scope):
        granted = frozenset({other.value})
        assert allows(granted, frozenset({scope})) is (other in {scope, Scope.ALL})


def test_one_of_several_scopes_suffices() -> None:
    needed = frozenset({"process", "template"})
    assert allows(frozenset({"template", "account"}), needed)
    assert not allows(frozenset({"account"}), needed)
    assert not allows(frozenset(), needed)


@pytest.mark.parametrize("needed", [frozenset({"none"}), frozenset({"unknown"}), frozenset[str]()])
def test_an_undecided_operation_is_left_to_the_server(needed: frozenset[str]) -> None:
    assert allows(frozenset(), needed)
    assert allows(frozenset({"account"}), needed)


def test_a_token_of_unknown_scopes_is_left_to_the_server() -> None:
    assert allows(None, frozenset({"process"}))


def test_needing_everything_is_granted_by_everything_only() -> None:
    assert allows(frozenset({"*"}), frozenset({"*"}))
    assert not allows(frozenset({"process"}), frozenset({"*"}))
