"""The migration guide: both sides of its table are calls that exist, and no call of the official SDK is forgotten."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any, get_args

import pytest
from tallyfy import TallyfySDK

from tallyfy_async import TallyfyClient
from tallyfy_async.protocol.migration import ADDED, MIGRATIONS, find
from tests.docs_rig import DOCS

pytestmark = pytest.mark.once

PAGE = (DOCS / "migration/official-sdk.md").read_text("utf-8")
ROWS = re.findall(r"^\| `(sdk\.[^|]+)` \| `([^|]+)` \|$", PAGE, re.MULTILINE)
ENDPOINTS = (DOCS / "migration/endpoints.md").read_text("utf-8")


def parsed(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return dotted name, positional and keyword arguments of a call; ``**rule`` counts as the keyword ``rule``."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    named = {word.arg or "": word.value for word in call.keywords}
    return ast.unparse(call.func), list(call.args), named


def resolved(root: Any, dotted: str) -> Any:
    for name in dotted.split(".")[1:]:
        root = getattr(root, name)
    return root


@pytest.fixture(scope="module")
def sdk() -> TallyfySDK:
    with TallyfySDK(api_key="token") as one:
        return one


@pytest.mark.parametrize("old", [old for old, _ in ROWS])
def test_the_left_side_is_a_call_of_the_official_sdk(old: str, sdk: TallyfySDK) -> None:
    dotted, given, named = parsed(old)
    inspect.signature(resolved(sdk, dotted)).bind(*given, **named)


@pytest.mark.parametrize("new", sorted({new for _, new in ROWS}))
def test_the_right_side_is_a_call_of_this_package(new: str) -> None:
    dotted, given, named = parsed(new)
    client = TallyfyClient("token", organization="o" * 32)
    root = {"org": client.organization(), "tallyfy": client}[dotted.partition(".")[0]]
    call = resolved(root, dotted)
    named.pop("", None)  # **rule
    signature = inspect.signature(call)
    signature.bind(*given, **named)
    rest = next((one for one in signature.parameters.values() if one.kind is one.VAR_KEYWORD), None)
    if rest is not None:
        (fields,) = get_args(eval(rest.annotation, inspect.unwrap(call).__globals__))
        assert named.keys() - signature.parameters.keys() <= fields.__annotations__.keys(), new


def test_no_call_of_the_official_sdk_is_forgotten() -> None:
    told = {name.rpartition(".")[2] for name, _, _ in map(parsed, [old for old, _ in ROWS])}
    told |= set(re.findall(r"^- `(\w+)\(", PAGE, re.MULTILINE))
    public = {name for name, _ in inspect.getmembers(TallyfySDK, inspect.isfunction) if not name.startswith("_")}
    assert public - told == set()


def test_the_page_of_endpoints_has_all_forty() -> None:
    rows = re.findall(r"^\| (\d+) \| `([^`]+)` \| (.+) \|$", ENDPOINTS, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == [one.row for one in MIGRATIONS]
    for one, (_, old, instead) in zip(MIGRATIONS, rows, strict=True):
        methods, _, path = old.rpartition(" ")
        assert (methods, path) == (" ".join(one.methods), one.path)
        named = one.replacement() or one.hint
        assert instead == ("nothing" if named is None else f"`{named}`")
        assert find(one.methods[0] if one.methods else "GET", one.path) is one
    for added in ADDED:
        assert f"`{added.method} {added.path}`" in ENDPOINTS
