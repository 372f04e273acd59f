"""Measure the rows and print the table: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.harness import Line, Row, RowError
from benchmarks.rows import all_rows

_HEADER = ("row", "case", "ours", "peer", "ratio", "round by round", "goal", "")
_VERSIONS = (
    "anyio",
    "attrs",
    "authlib",
    "cattrs",
    "cryptography",
    "httpcore",
    "httpx",
    "httpx-auth",
    "redis",
    "tallyfy",
    "tenacity",
    "trio",
)


def main(arguments: Sequence[str] | None = None, rows: Mapping[str, Row] | None = None) -> int:
    """Measure the chosen rows, print their table, and return the exit status.

    It is 1 where a row could not be measured, and with ``--strict`` where a goal was missed.
    """
    rows = all_rows() if rows is None else rows
    chosen = _parser(rows).parse_args(arguments)
    lines: list[Line] = []
    failures: dict[str, str] = {}
    for name in chosen.row or rows:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        try:
            lines += rows[name](chosen.rounds)
        except RowError as error:
            failures[name] = str(error)
    print(table(lines))
    for name, why in failures.items():
        print(f"{name}: not measured: {why}", file=sys.stderr)
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(document(lines, failures), indent=2) + "\n", "utf-8")
    missed = any(line.verdict == "missed" for line in lines)
    return int(bool(failures) or (chosen.strict and missed))


def _parser(rows: Mapping[str, Row]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure the package beside its peers.")
    parser.add_argument("--row", action="append", choices=sorted(rows), help="measure this row only; may be repeated")
    parser.add_argument("--rounds", type=_rounds, default=5, help="rounds of each figure (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 when a goal is missed")
    return parser


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1")
    return int(text)


def table(lines: Sequence[Line]) -> str:
    """Return the lines as aligned text: best figures, their ratio and its range round by round, goal and verdict."""
    cells = [_HEADER, *map(_cells, lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in aligned)


def _cells(line: Line) -> tuple[str, ...]:
    unit = line.unit if line.alone else "x"
    lowest, highest = line.range
    return (
        line.row,
        line.case,
        f"{line.best(line.ours):.3g} {line.unit}",
        f"{line.best(line.peer):.3g} {line.unit}" if line.peer else "-",
        f"{line.ratio:.3g}x" if line.ratio is not None else "-",
        f"{lowest:.3g} to {highest:.3g}",
        f"{line.goal.sense} {line.goal.bound:g} {unit}" if line.goal is not None else "-",
        line.verdict,
    )


def document(lines: Sequence[Line], failures: Mapping[str, str]) -> dict[str, Any]:
    """Return every sample with what it was measured on, for JSON."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {name: _version(name) for name in _VERSIONS},
        "lines": [_entry(line) for line in lines],
        "failures": dict(failures),
    }


def _entry(line: Line) -> dict[str, Any]:
    of = "ours" if line.alone else "ratio"
    goal = None if line.goal is None else {"of": of, "sense": line.goal.sense, "bound": line.goal.bound}
    return {
        "row": line.row,
        "case": line.case,
        "unit": line.unit,
        "ours": line.ours,
        "peer": line.peer,
        "ratio": line.ratio,
        "goal": goal,
        "verdict": line.verdict,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    raise SystemExit(main())
