"""Measure the rows and print the table: ``python -m benchmarks --help``.

Further commands: ``report`` merges the files of several runs, ``gate`` compares ratios with the committed baseline,
``anatomy`` tells where the time of a call goes, ``capacity`` simulates fleets of processes, ``chaos`` kills the workers
of an export, ``soak`` runs mixed traffic for minutes; each has its own ``--help``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

from benchmarks.chart import ChartError, draw
from benchmarks.harness import Line, Row, RowError
from benchmarks.report import document, entries_of, table
from benchmarks.rows import all_rows

COMMANDS = {
    "anatomy": "benchmarks.anatomy",
    "capacity": "benchmarks.capacity.command",
    "chaos": "benchmarks.fleet.chaos",
    "gate": "benchmarks.gate",
    "report": "benchmarks.report",
    "soak": "benchmarks.soak.command",
}


def main(arguments: Sequence[str] | None = None, rows: Mapping[str, Row] | None = None) -> int:
    """Measure the chosen rows, print their table, and return the exit status.

    It is 1 where a row could not be measured, and with ``--strict`` where a goal was missed.
    """
    given = sys.argv[1:] if arguments is None else [*arguments]
    if given and given[0] in COMMANDS:
        command = cast("Callable[[Sequence[str]], int]", import_module(COMMANDS[given[0]]).main)
        return command(given[1:])
    rows = all_rows() if rows is None else rows
    chosen = _parser(rows).parse_args(given)
    lines, failures = measure(rows, chosen.row or list(rows), chosen.rounds)
    print(table(lines))
    for name, why in failures.items():
        print(f"{name}: not measured: {why}", file=sys.stderr)
    found = document(lines, failures)
    if chosen.json:
        write(chosen.json, json.dumps(found, indent=2) + "\n")
    drawn = chosen.svg is None or _draw(chosen.svg, found)
    missed = any(line.verdict == "missed" for line in lines)
    return int(bool(failures) or not drawn or (chosen.strict and missed))


def measure(rows: Mapping[str, Row], names: Sequence[str], rounds: int) -> tuple[list[Line], dict[str, str]]:
    """Measure rows one after another; return their lines, and why some could not be measured."""
    lines: list[Line] = []
    failures: dict[str, str] = {}
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        try:
            lines += rows[name](rounds)
        except RowError as error:
            failures[name] = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rows are not lost with it
            failures[name] = f"{type(error).__name__}: {error}"
    return lines, failures


def write(file: Path, text: str) -> None:
    """Write a text, in a folder that is made where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def _draw(file: Path, found: Mapping[str, object]) -> bool:
    """Draw the chart; tell whether it could be drawn."""
    try:
        chart = draw(entries_of([found]))
    except ChartError as error:
        print(error, file=sys.stderr)
        return False
    write(file, chart)
    return True


def _parser(rows: Mapping[str, Row]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Measure the package beside its peers.",
        epilog=f"Further commands, each with its own --help: {', '.join(COMMANDS)}.",
    )
    parser.add_argument("--row", action="append", choices=sorted(rows), help="measure this row only; may be repeated")
    parser.add_argument("--rounds", type=_rounds, default=5, help="rounds of each figure (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart into FILE; needs matplotlib")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 when a goal is missed")
    return parser


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
