"""The table and the JSON of one run, and of several runs merged: ``python -m benchmarks report --help``."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.harness import Goal, Line

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
"""What the table of several runs is written between."""

_HEADER = ("row", "case", "ours", "peer", "ratio", "round by round", "must", "stretch", "")
_VERSIONS = (
    "aiohttp",
    "anyio",
    "attrs",
    "authlib",
    "cattrs",
    "cryptography",
    "httpcore",
    "httpx",
    "httpx-aiohttp",
    "httpx-auth",
    "msgspec",
    "openai",
    "orjson",
    "pydantic",
    "redis",
    "requests",
    "tallyfy",
    "tenacity",
    "trio",
    "uvloop",
)
_WORST_FIRST = ("missed", "info", "ok", "stretch")


def table(lines: Sequence[Line]) -> str:
    """Return the lines as aligned text: best figures, their ratio and its range round by round, goals and verdict."""
    cells = [_HEADER, *map(_cells, lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    aligned = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in aligned)


def _cells(line: Line) -> tuple[str, ...]:
    unit = line.unit if line.alone else "x"
    lowest, highest = line.range
    goal = line.goal
    return (
        line.row,
        line.case,
        f"{line.best(line.ours):.3g} {line.unit}",
        f"{line.best(line.peer):.3g} {line.unit}" if line.peer else "-",
        f"{line.ratio:.3g}x" if line.ratio is not None else "-",
        f"{lowest:.3g} to {highest:.3g}",
        f"{goal.sense} {goal.bound:g} {unit}" if goal is not None else "-",
        f"{goal.sense} {goal.stretch:g} {unit}" if goal is not None and goal.stretch is not None else "-",
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
    of, goal = "ours" if line.alone else "ratio", None
    if line.goal is not None:
        bounds = {"bound": line.goal.bound, "stretch": line.goal.stretch}
        goal = {"of": of, "sense": line.goal.sense, **bounds}
    return {
        "row": line.row,
        "case": line.case,
        "unit": line.unit,
        "ours": line.ours,
        "peer": line.peer,
        "ratio": line.ratio,
        "judged": line.judged if math.isfinite(line.judged) else None,
        "goal": goal,
        "verdict": line.verdict,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@frozen(kw_only=True)
class Entry:
    """One line of the table over several runs.

    Attributes:
        row: name of the row's module.
        case: what is measured, against what.
        unit: of the judged figures; ``x`` for ratios.
        goal: bound of the judged figures, None for information.
        figures: the judged figure of each run; infinite for a ratio to nothing, None where the line was not measured.

    """

    row: str
    case: str
    unit: str
    goal: Goal | None
    figures: tuple[float | None, ...]

    @property
    def verdict(self) -> str:
        """The worst of the runs' verdicts; ``missed`` where a run lacks the line."""
        if self.goal is None:
            return "info"
        return min((_verdict(self.goal, figure) for figure in self.figures), key=_WORST_FIRST.index)

    @property
    def headroom(self) -> float | None:
        """How many times better than its goal the worst run was, None without a goal and where a bound is 0.

        It is 0 for a ratio to nothing and for nothing of what there should be more of, infinite for nothing of what
        there should be less of.
        """
        if self.goal is None or not self.goal.bound:
            return None
        return min(_headroom(self.goal, figure) for figure in self.figures if figure is not None)


def _verdict(goal: Goal, figure: float | None) -> str:
    if figure is None or not goal.met_by(figure):
        return "missed"
    return "stretch" if goal.stretched_by(figure) else "ok"


def _headroom(goal: Goal, figure: float) -> float:
    if goal.sense == ">=":
        return figure / goal.bound
    return goal.bound / figure if figure else math.inf


def entries_of(documents: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Merge the documents of several runs: a line for each row and case, in the order in which they first occur."""
    lines = [{(line["row"], line["case"]): line for line in found["lines"]} for found in documents]
    names = dict.fromkeys(name for run in lines for name in run)
    return [_merged([run.get(name) for run in lines]) for name in names]


def _merged(lines: Sequence[Mapping[str, Any] | None]) -> Entry:
    newest = next(line for line in reversed(lines) if line is not None)
    goal = newest["goal"]
    alone = goal["of"] == "ours" if goal else not newest["peer"]
    return Entry(
        row=newest["row"],
        case=newest["case"],
        unit=newest["unit"] if alone else "x",
        goal=Goal(goal["bound"], goal["sense"], alone=alone, stretch=goal["stretch"]) if goal else None,
        figures=tuple(None if line is None else _figure(line) for line in lines),
    )


def _figure(line: Mapping[str, Any]) -> float:
    return math.inf if line["judged"] is None else float(line["judged"])


def markdown(entries: Sequence[Entry], documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the entries as a table in Markdown, and what they were measured on."""
    runs = [f"run {number}" for number in range(1, len(documents) + 1)]
    rows = [["row", "case", *runs, "must", "stretch", "verdict"]]
    rows += [[entry.row, entry.case, *_figures(entry), *_bounds(entry), entry.verdict] for entry in entries]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    missing = [f"Not measured: {text}." for text in not_measured(documents)]
    return "\n".join([*lines, "", *_measured_on(documents), *([""] if missing else []), *missing])


def not_measured(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the rows that could not be measured in a run, and why, each different reason once."""
    failures = (dict(found["failures"]) for found in documents)
    return [*dict.fromkeys(f"{name}: {why}" for found in failures for name, why in found.items())]


def _figures(entry: Entry) -> list[str]:
    return ["-" if figure is None else _with_unit(figure, entry.unit) for figure in entry.figures]


def _bounds(entry: Entry) -> tuple[str, str]:
    if entry.goal is None:
        return "", ""
    bounds = (entry.goal.bound, entry.goal.stretch)
    must, stretch = ("" if one is None else f"{entry.goal.sense} {_with_unit(one, entry.unit)}" for one in bounds)
    return must, stretch


def _with_unit(figure: float, unit: str) -> str:
    return f"{figure:.3g}x" if unit == "x" else f"{figure:.3g} {unit}"


def _measured_on(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name machine, interpreter and versions, each different set once."""
    notes: dict[str, None] = {}
    for found in documents:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(found["versions"].items()) if version)
        notes[f"Measured on {found['machine']}, Python {found['python']}, with {versions}."] = None
    return [*notes]


def placed(page: str, text: str, name: str = "table") -> str:
    """Return a page with the text between the markers of that name; raise ValueError where it lacks them."""
    begin, end = BEGIN.replace("table", name), END.replace("table", name)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        msg = f"the page lacks the lines {begin} and {end}"
        raise ValueError(msg)
    return f"{before}{begin}\n{text}\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Merge runs and write chart and table; return the exit status.

    It is 1 where a run missed a goal or could not measure a row, 2 for files that do not do.
    """
    from benchmarks.chart import ChartError, draw

    chosen = _parser().parse_args(arguments)
    try:
        documents = [json.loads(file.read_text("utf-8")) for file in chosen.run]
        entries = entries_of(documents)
        text = markdown(entries, documents)
        if chosen.svg:
            chart = draw(entries)
            chosen.svg.parent.mkdir(parents=True, exist_ok=True)
            chosen.svg.write_text(chart, "utf-8")
        if chosen.markdown:
            chosen.markdown.write_text(placed(chosen.markdown.read_text("utf-8"), text), "utf-8")
        else:
            print(text)
    except (ChartError, OSError, ValueError, KeyError, TypeError) as error:
        print(f"report: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    wrong = [f"missed: {entry.row}, {entry.case}" for entry in entries if entry.verdict == "missed"]
    wrong += [f"not measured: {text}" for text in not_measured(documents)]
    for text in wrong:
        print(text, file=sys.stderr)
    return int(bool(wrong))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks report", description="Merge runs into one table.")
    parser.add_argument("run", type=Path, nargs="+", metavar="RUN.json", help="what --json wrote, one file a run")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart into FILE; needs matplotlib")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table between the markers of FILE, not to the screen"
    )
    return parser
