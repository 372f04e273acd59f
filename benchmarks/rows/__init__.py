"""The rows: every module here has a ``measure(rounds)`` that yields lines of the table."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from benchmarks.harness import Row


def all_rows() -> dict[str, Row]:
    """Return every row by its module's name."""
    return {found.name: import_module(f"{__name__}.{found.name}").measure for found in iter_modules(__path__)}
