"""Every row of every part."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.contract.row import Row

ROWS: list[Row] = [
    row
    for path in sorted(Path(__file__).parent.glob("rows_*.py"))
    for row in import_module(f"tests.contract.{path.stem}").ROWS
]


def row_id(row: Row) -> str:
    """Name a row by its operation and its place among the rows of it."""
    return f"{row.operation}-{[one for one in ROWS if one.operation == row.operation].index(row)}"
