"""The catalogue and the tests agree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tallyfy_async
from tests.faults.catalogue import NUMBERED, ROWS, Row, functions


def test_rows_are_numbered_from_1_to_116() -> None:
    assert [row.number for row in ROWS] == list(range(1, 117))
    assert len({row.fault for row in ROWS}) == 116


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number:02}")
def test_every_row_has_a_test_or_a_reason(row: Row) -> None:
    assert bool(row.tests) != bool(row.untested)
    assert [functions()[name] for name in row.also] == [1] * len(row.also)


def test_every_numbered_test_belongs_to_a_row() -> None:
    numbers = {int(found[1]) for name in functions() if (found := NUMBERED.fullmatch(name))}
    assert numbers <= {row.number for row in ROWS}
    assert all(found for name in functions() if name.startswith("test_row_") for found in [NUMBERED.fullmatch(name)])


def test_the_aim_is_kept() -> None:
    assert sum(bool(row.tests) for row in ROWS) >= 110


def test_row_25_no_room_imports_an_event_loop() -> None:
    package = Path(tallyfy_async.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"asyncio", "sniffio", "trio"}, path
