"""The catalogue and the tests agree."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import tallyfy_async
from tests.faults.catalogue import ROWS, Row

TESTS = Path(__file__).parent.parent
NUMBER = re.compile(r"test_row_(\d\d+)_\w+")
FOUNDATION = {*range(1, 16), 38, 39, 40, 45, 48, *range(53, 67), 68, 69, 70, 71, 75, 76, 77, 78}


def functions() -> Counter[str]:
    """Return how often the name of a test function occurs in tests/faults and tests/auth."""
    names: Counter[str] = Counter()
    for folder in ("auth", "faults"):
        for path in (TESTS / folder).glob("test_*.py"):
            nodes = ast.parse(path.read_text("utf-8")).body
            names.update(node.name for node in nodes if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef))
    return names


NAMES = functions()


def test_rows_are_numbered_from_1_to_116() -> None:
    assert [row.number for row in ROWS] == list(range(1, 117))
    assert len({row.fault for row in ROWS}) == 116


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number:02}")
def test_every_row_names_tests_that_exist_or_a_reason(row: Row) -> None:
    assert bool(row.tests) != bool(row.pending)
    assert [NAMES[name] for name in row.tests] == [1] * len(row.tests)


def test_every_row_of_the_foundation_has_a_test_with_its_number() -> None:
    for row in ROWS:
        if row.number in FOUNDATION:
            assert any(name.startswith(f"test_row_{row.number:02}_") for name in row.tests), row


def test_every_numbered_test_stands_in_its_row() -> None:
    rows = {row.number: row.tests for row in ROWS}
    numbered = [(int(found[1]), name) for name in NAMES if (found := NUMBER.fullmatch(name))]
    assert len(numbered) > len(FOUNDATION)
    for number, name in numbered:
        assert name in rows[number]


def test_row_25_no_room_imports_an_event_loop() -> None:
    package = Path(tallyfy_async.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"asyncio", "sniffio", "trio"}, path
