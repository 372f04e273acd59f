"""Simulate fleets against the published limits: ``python -m benchmarks capacity --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.capacity import chart, pages
from benchmarks.capacity.closed import checks
from benchmarks.capacity.experiments import ahead, crowds, everywhere, failing, failover, simulated
from benchmarks.capacity.measured import measure
from benchmarks.capacity.real import compare
from benchmarks.chart import ChartError
from benchmarks.harness import RowError

SIMULATED = ("numbers", "fleets", "ahead", "failover", "limits", "plan", "formulas")


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print and write; return 0, 1 where something could not be run, 2 for files that do not do."""
    chosen = _parser().parse_args(arguments)
    try:
        tables, drawings = _other(chosen) if chosen.check or chosen.measure else _simulated()
    except RowError as error:
        print(f"capacity: {error}", file=sys.stderr)
        return 1
    for name, text in tables.items():
        print(f"{name}\n\n{text}\n")
    try:
        if chosen.markdown:
            page = chosen.markdown.read_text("utf-8")
            for name, text in tables.items():
                page = pages.placed(page, name, text)
            chosen.markdown.write_text(page, "utf-8")
        for name, draw in drawings.items() if chosen.svg else ():
            (chosen.svg / f"{name}.svg").write_text(draw(), "utf-8")
    except (ChartError, OSError, ValueError) as error:
        print(f"capacity: {error}", file=sys.stderr)
        return 2
    return 0


Drawings = dict[str, Callable[[], str]]


def _other(chosen: argparse.Namespace) -> tuple[dict[str, str], Drawings]:
    """Run what takes real time."""
    tables: dict[str, str] = {}
    if chosen.measure:
        tables["measured"] = pages.measurements(measure())
    if chosen.check:
        tables["reality"] = pages.reality(compare(chosen.seconds))
    return tables, {}


def _simulated() -> tuple[dict[str, str], Drawings]:
    """Simulate everything."""
    one, many, away = crowds(), ahead(), failing()
    figures = everywhere(simulated, [*one.values(), *many.values()])
    alone, crowded = figures[: len(one)], figures[len(one) :]
    recovered = everywhere(failover, [*away.values()])
    tables = {
        "numbers": pages.numbers(),
        "fleets": pages.fleets(zip(one.values(), alone, strict=True)),
        "ahead": pages.fleets(zip(many.values(), crowded, strict=True)),
        "failover": pages.failovers(recovered),
        "limits": pages.limits(),
        "plan": pages.plan(),
        "formulas": pages.formulas(checks()),
    }
    found = dict(zip(one, alone, strict=True))
    drawings: Drawings = {
        "scale": lambda: chart.fleets(found),
        "scale-failover": lambda: chart.failovers(recovered),
        "scale-limits": chart.limits,
    }
    return tables, drawings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks capacity",
        description="Simulate 1 to 1,000 processes against the published limits; print the tables of docs/scale.md.",
    )
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="draw the plots into FOLDER; needs matplotlib")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables between their markers in FILE")
    other = parser.add_argument_group("instead of the simulation")
    other.add_argument("--check", action="store_true", help="compare it with real clients, a sandbox and Redis")
    other.add_argument(
        "--seconds", type=float, default=120.0, help="that the comparison counts, after 60 (default 120)"
    )
    other.add_argument("--measure", action="store_true", help="measure what it takes from measurements")
    return parser
