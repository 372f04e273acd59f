"""Where the time of a call goes: ``python -m benchmarks anatomy --help``.

One GET of a small task is made by the socket alone, then with one layer more each time, up to the whole method
(:mod:`benchmarks.layers`); what a layer takes is what it adds to the ones below it. The layers take turns in short
batches in a process on one core, with the server on the other; the best batch of each counts, over several processes.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio

from benchmarks.chart import INK, ChartError, svg
from benchmarks.cpu import pin
from benchmarks.harness import Line, RowError, in_fresh, server
from benchmarks.layers import LAYERS, MakeCall
from benchmarks.report import document, placed
from benchmarks.sampling import _batch

CALLERS = (1, 20)
HEADING = "## Where the time of a call goes"

_BATCHES = 50
_CALLS = {1: 20, 20: 60}

Figures = Mapping[int, Sequence[float]]
"""Number of callers -> microseconds of a call up to each layer, in their order."""


def samples(url: str, batches: str) -> list[list[float]]:
    """Return, for each number of callers, the least microseconds of a call up to each layer, on this process's core."""
    pin(0)
    return anyio.run(_samples, url, int(batches))


async def _samples(url: str, batches: int) -> list[list[float]]:
    async with AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(layer.opened(url)) for layer in LAYERS]
        return [await _in_turns(calls, callers, batches) for callers in CALLERS]


async def _in_turns(calls: Sequence[MakeCall], callers: int, batches: int) -> list[float]:
    for call in calls:
        await _batch(call, callers, callers + 5)  # opens the connections
    gc.freeze()
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(batches):
        for at in range(len(calls)) if number % 2 else reversed(range(len(calls))):
            gc.collect()  # no layer pays for what another left behind
            taken[at].append(await _batch(calls[at], callers, _CALLS[callers]))
    gc.unfreeze()
    return [min(one) * 1e6 for one in taken]


def measure(rounds: int, batches: int = _BATCHES) -> list[Line]:
    """Return a line for each number of callers and layer, with a figure from each of so many processes."""
    with server() as url:
        taken = [in_fresh(samples, url, str(batches)) for _ in range(rounds)]
    return [
        Line(
            row="anatomy",
            case=f"up to {layer.name}, {callers} at once",
            unit="us CPU",
            ours=tuple(one[place][at] for one in taken),
        )
        for place, callers in enumerate(CALLERS)
        for at, layer in enumerate(LAYERS)
    ]


def figures_of(lines: Sequence[Line]) -> Figures:
    """Return the best figures of what :func:`measure` returned."""
    best, size = [min(line.ours) for line in lines], len(LAYERS)
    return {callers: best[size * place : size * (place + 1)] for place, callers in enumerate(CALLERS)}


def peeled(figures: Sequence[float]) -> list[float]:
    """Return what each layer adds to those below it; noise may make little of it less than nothing."""
    return [upper - lower for lower, upper in pairwise([0.0, *figures])]


def table(figures: Figures) -> str:
    """Return microseconds and shares of each layer as a table in Markdown, aligned for the eye."""
    head, rule = ["layer", "what it adds"], ["---", "---"]
    rows = [[layer.name, layer.adds] for layer in LAYERS] + [["whole call", ""]]
    for callers, upto in figures.items():
        head += [f"{callers} at once", "share"]
        rule += ["---:", "---:"]
        for row, took in zip(rows, [*peeled(upto), upto[-1]], strict=True):
            row += [f"{round(took)} us", f"{round(100 * took / upto[-1])} %"]
    cells = [head, rule, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    )


def draw(figures: Figures) -> str:
    """Return an SVG with a bar for each number of callers, stacked by layer; the same figures give the same text.

    What is less than nothing has no length. Raises ChartError without matplotlib.
    """
    return svg((11, 0.9 + 0.55 * len(figures)), lambda panels: _fill(panels[0, 0], figures))


def _fill(axes: Any, figures: Figures) -> None:
    longest = max(upto[-1] for upto in figures.values())
    for at, upto in enumerate(figures.values()):
        left = 0.0
        for layer, took in zip(LAYERS, peeled(upto), strict=True):
            length = max(took, 0.0)
            axes.barh(at, length, left=left, height=0.62, color=layer.colour, label=None if at else layer.name)
            if length > longest / 40:
                axes.text(left + length / 2, at, f"{took:.0f}", ha="center", va="center", color="white")
            left += length
        axes.text(left + longest / 100, at, f"{upto[-1]:.0f} us", va="center")
    axes.set_yticks(range(len(figures)), [f"{callers} at once" for callers in figures])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, longest * 1.09)
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("microseconds of processor time of one call")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(LAYERS), frameon=False)


def markdown(figures: Figures, found: Mapping[str, Any]) -> str:
    """Return the table, and what it was measured on."""
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ("anyio", "httpcore", "httpx"))
    return f"{table(figures)}\n\nMeasured on {found['machine']}, Python {found['python']}, with {versions}."


def _page(page: str, text: str) -> str:
    before, heading, rest = page.partition(HEADING)
    return before + heading + placed(rest, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; return 0, 1 where it could not be measured, 2 for files that do not do."""
    chosen = _parser().parse_args(arguments)
    try:
        lines = measure(chosen.rounds)
    except RowError as error:
        print(f"anatomy: not measured: {error}", file=sys.stderr)
        return 1
    figures, found = figures_of(lines), document(lines, {})
    print(table(figures))
    try:
        if chosen.json:
            chosen.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        if chosen.svg:
            chosen.svg.write_text(draw(figures), "utf-8")
        if chosen.markdown:
            chosen.markdown.write_text(_page(chosen.markdown.read_text("utf-8"), markdown(figures, found)), "utf-8")
    except (ChartError, OSError, ValueError) as error:
        print(f"anatomy: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks anatomy", description="Tell where the time of a call goes.")
    parser.add_argument("--rounds", type=_rounds, default=3, help="processes that are measured (default 3)")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart into FILE; needs matplotlib")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help=f"write the table between the markers below '{HEADING}' of FILE"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every process's figures to FILE")
    return parser


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1")
    return int(text)
