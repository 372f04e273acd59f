"""All old endpoints are found and no current one is, in every language and style."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import tallyfy_async
from tallyfy_async.protocol.migration import MIGRATIONS, Kind, Migration, find
from tallyfy_async.scan import RULES, Finding, scan
from tallyfy_async.scan.source import Source
from tallyfy_async.scan.tree import findings_of
from tests.scan.languages import STYLES, notebook, openapi_json, openapi_yaml, postman

CONTRACT = json.loads(Path(tallyfy_async.__file__).with_name("sandbox").joinpath("openapi.json").read_text("utf-8"))
VERBS = ("GET", "POST", "PUT", "DELETE")
OLD = [(row, method) for row in MIGRATIONS for method in row.methods or VERBS]
CURRENT = [
    (method.upper(), path)
    for path, operations in CONTRACT["paths"].items()
    for method in operations
    if method.upper() in {*VERBS, "PATCH"}
]


def rule(row: Migration) -> str:
    return f"TFY{row.row:03}"


def found(name: str, text: str) -> list[Finding]:
    return findings_of(f"src/{name}", Source(text=text))


def test_the_contract_has_its_238_operations() -> None:
    assert len(CURRENT) == 238
    assert not [one for one in CURRENT if find(*one)]


def test_only_billing_info_needs_its_method_to_be_told() -> None:
    rows = [find(verb, path) for _, path in CURRENT for verb in VERBS]
    shared = {row.row for row in rows if row is not None}
    assert shared == {19}


@pytest.mark.parametrize("name", STYLES)
def test_every_old_endpoint_is_found(name: str) -> None:
    for row, method in OLD:
        text = STYLES[name](method, row.path)
        findings = found(name, text)
        assert [one.rule for one in findings] == [rule(row)], (method, row.path, text)
        assert findings[0].old == f"{method} {row.path}"
        assert findings[0].new == row.replacement(method if row.methods else None)
        assert findings[0].fixable is (row.kind is Kind.RENAMED), (method, row.path, text)
        line = text.splitlines()[findings[0].line - 1]
        assert findings[0].column <= len(line)


@pytest.mark.parametrize("name", STYLES)
def test_no_current_endpoint_is_found(name: str) -> None:
    for method, path in CURRENT:
        text = STYLES[name](method, path)
        assert found(name, text) == [], text


@pytest.mark.parametrize("name", STYLES)
def test_methods_that_stay_are_not_found(name: str) -> None:
    for method, path in (("POST", "/organizations"), ("PUT", "/organizations/{org}/billing-info"), ("POST", "/token")):
        assert found(name, STYLES[name](method, path)) == []


def tree(folder: Path) -> Iterator[tuple[str, Migration]]:
    for row, method in OLD:
        for name, style in STYLES.items():
            file = folder / name.rpartition(".")[2] / f"{row.row:02}_{method.lower()}_{name}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(style(method, row.path), "utf-8")
            yield str(file), row


def test_a_tree_in_many_languages(tmp_path: Path) -> None:
    expected = dict(tree(tmp_path))
    findings = {one.path: one for one in scan([tmp_path])}
    assert findings.keys() == expected.keys()
    assert all(findings[path].rule == rule(row) for path, row in expected.items())
    assert {path.rpartition(".")[2] for path in findings} >= {
        "py",
        "js",
        "ts",
        "php",
        "rb",
        "go",
        "sh",
        "cs",
        "java",
        "md",
    }


CALLS = [(method, row.path) for row, method in OLD]


def test_postman_collection() -> None:
    findings = found("calls.json", postman(*CALLS))
    assert sorted(one.rule for one in findings) == sorted(rule(row) for row, _ in OLD)
    assert found("calls.json", postman(*CURRENT)) == []


def test_openapi_json() -> None:
    findings = found("openapi.json", openapi_json(*CALLS))
    assert {(one.rule, one.old) for one in findings} >= {
        (rule(row), f"{method} {row.path}") for row, method in OLD if row.methods
    }
    assert {one.rule for one in findings} == {rule(row) for row in MIGRATIONS}
    assert found("openapi.json", openapi_json(*CURRENT)) == []


def test_a_path_of_which_one_method_stays_is_no_pure_rename() -> None:
    path = "/organizations/{org}/users/me"
    for name, make in (("openapi.json", openapi_json), ("openapi.yaml", openapi_yaml)):
        assert [one.fixable for one in found(name, make(("GET", path), ("PUT", path)))] == [True, True]
        assert [one.fixable for one in found(name, make(("GET", path), ("DELETE", path)))] == [False]


def test_openapi_yaml() -> None:
    same = {(one.rule, one.old) for one in found("openapi.json", openapi_json(*CALLS))}
    assert {(one.rule, one.old) for one in found("openapi.yaml", openapi_yaml(*CALLS))} == same
    assert found("openapi.yaml", openapi_yaml(*CURRENT)) == []


def test_the_contract_itself_has_no_old_endpoint() -> None:
    text = json.dumps(CONTRACT)
    assert [one for one in found("openapi.json", text) if one.rule <= "TFY040"] == []


def test_notebook_tells_cell_and_line() -> None:
    cells = [
        ("markdown", "# Tallyfy\n"),
        ("code", '%matplotlib inline\n!pip install x\nBASE = "https://go.tallyfy.com/api"\n'),
        ("code", 'import requests\n\nrequests.get(\n    f"{BASE}/countries"\n)\n'),
        ("code", "this is = no python\nclient.get(BASE + '/organizations/' + org + '/role')\n"),
        ("markdown", '`PUT /organizations/{org}/accounts` \u2013 with "quotes"\n'),
    ]
    text = notebook(*cells)
    findings = found("work.ipynb", text)
    assert [(one.cell, one.rule) for one in findings] == [(3, "TFY002"), (4, "TFY009"), (5, "TFY010")]
    lines = text.splitlines()
    assert all(
        word in lines[one.line - 1] for one, word in zip(findings, ("countries", "role", "accounts"), strict=True)
    )
    for one in findings:
        (edit,) = one.edits
        assert text[edit.start : edit.end] in {"countries", "role", "accounts"}


def test_every_rule_is_described() -> None:
    assert [f"TFY{number:03}" for number in (*range(1, 41), 101, 102, 103)] == list(RULES)
    assert all(one.text and one.name for one in RULES.values())
