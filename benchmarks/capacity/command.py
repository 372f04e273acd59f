"""Simulate fleets against the published limits: ``python -m benchmarks capacity --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.capacity import chart, pages
from benchmarks.capacity.closed import checks
from benchmarks.capacity.experiments import (
    ahead,
    bursting,
    crowds,
    dying,
    everywhere,
    failing,
    gap,
    hourly,
    invitations,
    simulated,
)
from benchmarks.capacity.measured import measure
from benchmarks.capacity.real import compare
from benchmarks.chart import ChartError
from benchmarks.harness import RowError
from benchmarks.report import placed
from tallyfy_async.protocol.limits import HOUR

SIMULATED = (
    *("numbers", "fleets", "ahead", "bursts", "hourly", "failover", "deaths"),
    *("limits", "plan", "room", "formulas"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print and write; return 0, 1 where something could not be run, 2 for files that do not do."""
    chosen = _parser().parse_args(arguments)
    others = {"measured": chosen.measure, "reality": chosen.check}
    names = [name for name, wanted in others.items() if wanted] or SIMULATED
    try:
        _write(chosen.markdown, dict.fromkeys(names, "simulating"), dry=True)  # better told now than in minutes
        if chosen.svg and not any(others.values()):
            chart.limits()
            chosen.svg.mkdir(parents=True, exist_ok=True)
        tables, drawings = _other(chosen) if any(others.values()) else _simulated()
        for name, text in tables.items():
            print(f"{name}\n\n{text}\n")
        _write(chosen.markdown, tables)
        for name, draw in drawings.items() if chosen.svg else ():
            (chosen.svg / f"{name}.svg").write_text(draw(), "utf-8")
    except RowError as error:
        print(f"capacity: {error}", file=sys.stderr)
        return 1
    except (ChartError, OSError, ValueError) as error:
        print(f"capacity: {error}", file=sys.stderr)
        return 2
    return 0


Drawings = dict[str, Callable[[], str]]


def _write(file: Path | None, tables: Mapping[str, str], *, dry: bool = False) -> None:
    """Put the tables between their markers; raise OSError or ValueError where that cannot be, also in a dry run."""
    if file is None:
        return
    page = file.read_text("utf-8")
    for name, text in tables.items():
        page = placed(page, text, name)
    if not dry:
        file.write_text(page, "utf-8")


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
    crowd, many, bursts, away, doomed = crowds(), ahead(), bursting(), failing(), dying()
    figures = everywhere(simulated, [*crowd.values(), *many.values(), *bursts.values()])
    gaps = everywhere(gap, [*away.values(), *doomed.values()])
    recovered = [gaps[one] for one in away.values()]
    tables = {
        "numbers": pages.numbers(),
        "fleets": pages.fleets((one, figures[one]) for one in crowd.values()),
        "ahead": pages.fleets((one, figures[one]) for one in many.values()),
        "bursts": pages.fleets((one, figures[one]) for one in bursts.values()),
        "hourly": pages.hourly(everywhere(invitations, [*hourly().values()]).values()),
        "failover": pages.failovers(recovered),
        "deaths": pages.deaths({name: gaps[one] for name, one in doomed.items()}),
        "limits": pages.limits(),
        "plan": pages.plan(),
        "room": pages.room(),
        "formulas": pages.formulas(checks()),
    }
    drawings: Drawings = {
        "scale": lambda: chart.fleets({key: figures[one] for key, one in crowd.items()}),
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
        "--seconds", type=_seconds, default=120.0, help="that the comparison counts, after 60 (default 120)"
    )
    other.add_argument("--measure", action="store_true", help="measure what it takes from measurements")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= HOUR:
        raise argparse.ArgumentTypeError(f"seconds between 1 and {HOUR:.0f}")
    return seconds
