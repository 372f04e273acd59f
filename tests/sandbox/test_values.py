from __future__ import annotations

import random
from typing import Any

import pytest
from attrs import evolve

from tallyfy_async.sandbox import Sandbox, Settings, values
from tallyfy_async.sandbox.records import Field
from tallyfy_async.sandbox.seed_templates import make_field

SANDBOX = Sandbox(Settings(runs=0, tasks=0))
TENANT = SANDBOX.world.tenants[SANDBOX.credentials.organization]


def check(kind: str, value: Any) -> Any:
    """Return what is stored: the value, "cleared", or the message of the refusal in a tuple."""
    field: Field = make_field(random.Random(1), kind, 1, 0)
    kept, cleared, errors = values.check(SANDBOX.world, TENANT, [field], {field.id: value, "alias": 1})
    assert len(kept) + len(cleared) + len(errors) == 1
    if errors:
        return tuple(errors[field.id])
    return "cleared" if cleared else kept[field.id]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "hello"),
        ("text", 12),
        ("text", True),
        ("text", "x" * 200),
        ("textarea", "x" * 30_000),
        ("email", "not an address"),
        ("email", {"value": "kept as it is"}),
        ("date", "2026-01-31 10:00:00"),
        ("date", "2026-01-31T10:00:00.000Z"),
        ("date", "2026-01-31"),
        ("radio", "High"),
        ("dropdown", {"id": 1, "text": "EMEA"}),
        ("dropdown", {"id": 1, "text": "EMEA", "value": None}),
        ("multiselect", [{"id": 1, "text": "Slack", "selected": True}]),
        ("multiselect", [{"id": 1, "text": "Slack"}]),
        ("table", ["a", "", None]),
        ("assignees_form", {"users": [1001], "guests": ["a@b.org"], "groups": ["g"]}),
    ],
)
def test_stored_as_sent(kind: str, value: Any) -> None:
    assert check(kind, value) == value


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("text", {"value": "x"}, "must be a string"),
        ("text", "x" * 201, "200 characters"),
        ("textarea", 12345, "must be a string"),
        ("textarea", "x" * 30_001, "30000 characters"),
        ("date", 1733700000, "not a valid date"),
        ("date", "31.01.2026", "not a valid date"),
        ("date", "2026-02-31 10:00:00", "not a valid date"),
        ("radio", "Nope", "Invalid radio choice selected"),
        ("radio", {"id": 1, "text": "High"}, "Invalid radio choice selected"),
        ("radio", 1, "Invalid radio choice selected"),
        ("dropdown", "EMEA", "Invalid dropdown choice selected."),
        ("dropdown", {"id": 2, "text": "EMEA"}, "Invalid dropdown choice selected."),
        ("dropdown", {"id": 1, "text": "emea"}, "Invalid dropdown choice selected."),
        ("multiselect", {"id": 1, "text": "Slack"}, "Invalid multiselect choice selected."),
        ("multiselect", [{"id": 9, "text": "Slack"}], "Invalid multiselect choice selected."),
        ("table", "", "Invalid table field"),
        ("table", [], "Invalid table field"),
        ("table", None, "Invalid table field"),
        ("table", ["a", "b"], "Number of columns does not match required columns"),
        ("assignees_form", [1001], "must be an array"),
        ("assignees_form", {"groups": [7]}, "must be strings"),
        ("assignees_form", {"users": 1001}, "must be an array"),
        ("file", {"url": "x"}, "must be an array"),
        ("file", "x", "must be an array"),
        ("file", [{"name": "no reference"}], "Invalid file"),
    ],
)
def test_refused(kind: str, value: Any, message: str) -> None:
    (text,) = check(kind, value)
    assert message in text


@pytest.mark.parametrize("kind", sorted({"text", "textarea", "radio", "dropdown", "multiselect", "date", "file"}))
@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_empty_values_clear(kind: str, value: Any) -> None:
    assert check(kind, value) == "cleared"


def test_radio_zero_is_an_answer() -> None:
    field = make_field(random.Random(1), "radio", 1, 0)
    field.options.append({"id": 9, "text": "0"})
    kept, cleared, errors = values.check(SANDBOX.world, TENANT, [field], {field.id: "0"})
    assert (kept, cleared, errors) == ({field.id: "0"}, set(), {})


def test_assignees_who_are_no_members_are_filtered_out() -> None:
    assert check("assignees_form", {"users": [1001, 7, "1002", "Ada"]})["users"] == [1001, 1002]


def test_files_get_their_url_and_moment() -> None:
    (entry,) = check("file", [{"id": "abc", "filename": "a.pdf"}])
    assert entry["full_url"].endswith("/file/abc/dl")
    assert entry["uploaded_at"].endswith("Z")
    assert check("file", [{"full_url": "https://x/y", "uploaded_at": "kept"}])[0]["uploaded_at"] == "kept"


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("numeric", [12, "12.5", "-3", "1e3"], ["twelve", "1,5"]),
        ("email", ["a@b.org"], ["a@b", "nobody"]),
        ("url", ["https://a.org/x"], ["a.org", "https://"]),
        ("alpha", ["Zoë"], ["a1", "a b"]),
        ("alpha_num", ["a1"], ["a_1"]),
        ("alpha_dash", ["a_1-b"], ["a b"]),
        ("min:3", ["abc"], ["ab"]),
        ("max:3", ["abc"], ["abcd"]),
        ("min:few", ["a"], []),
        ("shout", ["quiet"], []),
    ],
)
def test_validation_rules_of_text_fields(rule: str, good: list[Any], bad: list[Any]) -> None:
    field = evolve(make_field(random.Random(1), "text", 1, 0), field_validation=[rule])
    for text in good:
        assert values.check(SANDBOX.world, TENANT, [field], {field.id: text})[0] == {field.id: text}
    for text in bad:
        [message] = values.check(SANDBOX.world, TENANT, [field], {field.id: text})[2][field.id]
        assert message.startswith(field.label)
