"""The chart: how far every line is from its goal, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.report import Entry

# Middle tones, which stand out from a white and from a black page alike; no background is drawn.
INK = "#808890"
_COLOURS = {"missed": "#d9602b", "ok": "#3b86c8", "stretch": "#2a9d6f"}
_WORDS = {"missed": "goal missed", "ok": "goal kept", "stretch": "stretch goal kept"}
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "benchmarks",
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000, 100_000)


class ChartError(Exception):
    """No chart can be drawn."""


def svg(size: tuple[float, float], fill: Callable[[Any], None], grid: tuple[int, int] = (1, 1)) -> str:
    """Return an SVG of so many inches whose panels a function fills; the same panels give the same text.

    The function gets the axes as an array of rows and columns. Raises ChartError without matplotlib.
    """
    try:
        # Any: its own types name every key of a style, and less than that of a figure.
        mpl: Any = import_module("matplotlib")
        figures: Any = import_module("matplotlib.figure")
    except ImportError as error:
        msg = f"a chart needs matplotlib, which the group bench brings: {error}"
        raise ChartError(msg) from error
    with mpl.rc_context(_STYLE):
        figure = figures.Figure(figsize=size, layout="constrained")
        fill(figure.subplots(*grid, squeeze=False))
        written = StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def draw(entries: Sequence[Entry]) -> str:
    """Return an SVG with a bar for each entry that has a goal other than 0; the same entries give the same text.

    A bar tells how many times better than its goal the worst run was, on a logarithmic scale: to the right of the line
    the goal is kept. A bar without an end stops at the edge. A diamond is the stretch goal. Raises ChartError without
    matplotlib, and where nothing has a goal.
    """
    shown = [(entry, room) for entry in entries if (room := entry.headroom) is not None]
    if not shown:
        msg = "no line has a goal that a chart could show"
        raise ChartError(msg)
    size = (11, 1.2 + 0.24 * len(shown))
    return svg(size, lambda panels: _fill(panels[0, 0], shown[::-1]))


def _fill(axes: Any, shown: Sequence[tuple[Entry, float]]) -> None:
    axes.set_xscale("log")
    farthest = [room for _, room in shown if 0 < room < math.inf]
    farthest += [far for entry, _ in shown if (far := _stretch(entry)) is not None]
    low, high = min([0.5, *farthest]) / 1.3, max([2.0, *farthest])
    axes.set_xlim(low, high * 2.2)
    for at, (entry, endless) in enumerate(shown):
        room = min(max(endless, low), high)
        axes.barh(at, room - 1, left=1, height=0.62, color=_COLOURS[entry.verdict])
        axes.text(max(room, 1) * 1.06, at, _said(entry), va="center", fontsize=7.5)
        if (far := _stretch(entry)) is not None:
            axes.plot(far, at, marker="D", markersize=3.5, color=INK)
    axes.axvline(1, color=INK, linewidth=1.2)
    axes.set_ylim(-0.8, len(shown) - 0.2)
    axes.set_yticks(range(len(shown)), [f"{entry.row}: {entry.case}" for entry, _ in shown])
    axes.tick_params(axis="y", length=0)
    _scale(axes)
    _explain(axes)


def _scale(axes: Any) -> None:
    low, high = axes.get_xlim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(ticks, ["goal" if tick == 1 else f"{tick:g}x" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("times better than the goal, worst run (right of the line: kept; diamond: stretch goal)")


def _explain(axes: Any) -> None:
    patches: Any = import_module("matplotlib.patches")
    handles = [patches.Patch(color=_COLOURS[verdict], label=word) for verdict, word in _WORDS.items()]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(handles), frameon=False)


def _stretch(entry: Entry) -> float | None:
    """Return where on the scale the stretch goal lies, None without one."""
    goal = entry.goal
    if goal is None or not goal.stretch:
        return None
    return goal.bound / goal.stretch if goal.sense == "<=" else goal.stretch / goal.bound


def _said(entry: Entry) -> str:
    known = [figure for figure in entry.figures if figure is not None]
    assert entry.goal is not None
    worst = max(known) if entry.goal.sense == "<=" else min(known)
    unit = "x" if entry.unit == "x" else f" {entry.unit}"
    return f"{worst:.3g}{unit}"
