"""Every example of the contract, and made-up PHP-isms, through the models and back."""

from __future__ import annotations

import copy
import json
import pathlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallyfy_async import models
from tallyfy_async.errors import DecodeError
from tallyfy_async.protocol.converter import structure, unstructure
from tallyfy_async.protocol.dates import parse_response

PAYLOADS = pathlib.Path(__file__).parents[1] / "payloads"

KINDS: dict[str, Any] = {
    "get_me": models.User,
    "list_my_organizations": models.Organization,
    "list_users": models.User,
    "get_user": models.User,
    "list_checklists": models.Checklist,
    "get_checklist": models.Checklist,
    "list_runs": models.Run,
    "get_run": models.Run,
    "launch_run": models.Run,
    "update_run": models.Run,
    "archive_run": models.Run,
    "activate_run": models.Run,
    "list_run_tasks": models.Task,
    "get_run_task": models.Task,
    "update_run_task": models.Task,
    "complete_run_task": models.Task,
    "reopen_run_task": models.Task,
    "list_tasks": models.Task,
    "get_task": models.Task,
    "update_task": models.Task,
    "complete_task": models.Task,
    "list_my_tasks": models.Task,
}


def load(path: pathlib.Path) -> tuple[Any, Any]:
    """Return what to structure, and into what."""
    payload = json.loads(path.read_text("utf-8"))
    name = path.stem
    if name.startswith("schema_"):
        return payload, getattr(models, name.split("_")[1])
    operation = name.rstrip("0123456789").rstrip("_").removesuffix("_php")
    kind = KINDS[operation]
    return payload["data"], tuple[kind, ...] if isinstance(payload["data"], list) else kind


FILES = sorted(PAYLOADS.glob("*.json"))
READ = [load(path) for path in FILES]


def same(sent: Any, back: Any) -> bool:
    """Compare up to the converter's named hooks and nothing else."""
    if isinstance(sent, dict) and isinstance(back, dict):
        if "data" in sent and sent["data"] is None and back.get("data") == []:  # an include that is null is empty
            sent = {**sent, "data": []}
        return back.keys() <= sent.keys() and all(same_item(sent, back, key) for key in sent)
    if isinstance(sent, list) and isinstance(back, list):
        return len(sent) == len(back) and all(map(same, sent, back))
    if type(sent) is type(back) and sent == back:
        return True
    return any(hook(sent, back) for hook in (empties, booleans, ids, dates, bare_references))


def same_item(sent: dict[str, Any], back: dict[str, Any], key: str) -> bool:
    if key not in back:
        return absent(sent[key])
    return same(sent[key], back[key]) or unwrapped(sent[key], back[key])


def absent(sent: Any) -> bool:
    """Null is absent, and [] is no object; both also inside an include."""
    if isinstance(sent, dict) and "data" in sent and sent.keys() <= {"data", "meta"}:
        return absent(sent["data"])
    return sent is None or sent == []


def unwrapped(sent: Any, back: Any) -> bool:
    return isinstance(sent, dict) and sent.keys() <= {"data", "meta"} and "data" in sent and same(sent["data"], back)


def empties(sent: Any, back: Any) -> bool:
    return (sent, back) in [([], {}), ({}, [])]


def booleans(sent: Any, back: Any) -> bool:
    return isinstance(back, bool) and sent in ([1, "1", "true"] if back else [0, "0", "false"])


def ids(sent: Any, back: Any) -> bool:
    return {type(sent), type(back)} == {int, str} and str(sent) == str(back)


def dates(sent: Any, back: Any) -> bool:
    try:
        return parse_response(sent) == parse_response(back)
    except DecodeError:
        return False


def bare_references(sent: Any, back: Any) -> bool:
    if not isinstance(sent, dict) or isinstance(back, dict | list):
        return False
    given_keys = [key for key, value in sent.items() if value is not None]
    return len(given_keys) == 1 and given_keys[0] in {"id", "email", "percent"} and same(sent[given_keys[0]], back)


def test_the_comparison_sees_differences() -> None:
    assert not same({"a": 1}, {})
    assert not same({"a": 1}, {"a": 1, "b": 2})
    assert not same({"a": "2025-01-15T10:00:00Z"}, {"a": "2025-01-15T10:00:01Z"})
    assert not same({"a": {"data": [1]}}, {"a": [2]})
    assert not same([1], [])
    assert not same({"a": 1}, {"a": False})
    assert not same({"a": {"id": 1, "x": 2}}, {"a": 1})


def test_every_operation_has_a_payload() -> None:
    assert {name for name in KINDS if not list(PAYLOADS.glob(f"{name}_[0-9].json"))} == set()


@pytest.mark.parametrize(("payload", "kind"), READ, ids=[path.stem for path in FILES])
def test_nothing_of_a_payload_is_lost(payload: Any, kind: Any) -> None:
    before = copy.deepcopy(payload)
    read = structure(payload, kind)
    back = unstructure(read)
    assert same(payload, back), back
    assert structure(back, kind) == read
    assert payload == before
    json.dumps(back, allow_nan=False)


@pytest.mark.parametrize(("payload", "kind"), READ, ids=[path.stem for path in FILES])
def test_what_the_server_adds_later_is_kept(payload: Any, kind: Any) -> None:
    added = {"added_in_2027": {"deep": [None, 1]}}
    items = payload if isinstance(payload, list) else [payload]
    read = structure([{**item, **added} for item in items], tuple[getattr(kind, "__args__", (kind,))[0], ...])
    assert len(read) == len(items)
    for model in read:
        assert added.items() <= model.extra.items()
        assert added.items() <= model.to_dict().items()


SCALARS: list[Any] = [None, True, False, 0, 1, -1, 10**30, 0.5, float("inf"), "", "0", "1", "x"]
DATES: list[Any] = ["2025-01-15 10:30:00", "0000-00-00 00:00:00"]
ARRAYS: list[Any] = [[], [[]], [None], [1, "a", {}]]
OBJECTS: list[Any] = [
    {},
    {"data": []},
    {"data": {}},
    {"data": None},
    {"data": "x", "meta": 1},
    {"0": "a"},
    {"id": None},
]
ODD = SCALARS + DATES + ARRAYS + OBJECTS


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        found += places(value, (*path, key))
    return found


def replaced(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    twin = copy.copy(node)
    twin[path[0]] = replaced(node[path[0]], path[1:], value)
    return twin


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mutated_payload_is_a_model_or_a_decode_error(data: st.DataObject) -> None:
    payload, kind = data.draw(st.sampled_from(READ))
    for _ in range(data.draw(st.integers(1, 3))):
        payload = replaced(payload, data.draw(st.sampled_from(places(payload))), data.draw(st.sampled_from(ODD)))
    try:
        read = structure(payload, kind, path="data")
    except DecodeError as error:
        assert error.path.startswith("data")  # noqa: PT017
        assert error.__context__ is None  # noqa: PT017
    else:
        assert same(payload, unstructure(read)) or payload == []
