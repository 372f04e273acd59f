"""The plots of docs/scale.md, as SVG: the same figures give the same text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.capacity import published as p
from benchmarks.capacity.ceilings import ORGANIZATIONS, ceilings, older
from benchmarks.capacity.experiments import AWAY, BIN, Gap
from benchmarks.capacity.fleet import Figures, Mode
from benchmarks.chart import INK, svg

Fleets = Mapping[tuple[int, Mode], Figures]

_COLOURS = {Mode.ALONE: "#d9602b", Mode.PAUSE: "#c99a2e", Mode.DIVIDED: "#3b86c8", Mode.BUCKETS: "#2a9d6f"}
_MANY = ("#d9602b", "#c99a2e", "#3b86c8", "#2a9d6f", "#8b6cc0", "#b05a7a")
_DASHES = {Mode.ALONE: "-", Mode.PAUSE: "--", Mode.DIVIDED: ":", Mode.BUCKETS: "-"}
_LIMIT = p.USER_PER_MINUTE / 60


def _drawn(size: tuple[float, float], grid: tuple[int, int], fill: Callable[[Any], None]) -> str:
    """Return an SVG of axes that a function fills; raise ChartError without matplotlib."""

    def fill_all(panels: Any) -> None:
        for one in panels.flat:
            one.grid(color=INK, alpha=0.25, linewidth=0.6)
            one.set_axisbelow(True)
            one.spines[["top", "right"]].set_visible(False)
        fill(panels)

    return svg(size, fill_all, grid)


def fleets(found: Fleets) -> str:
    """Draw goodput, refusals and times of calls against the number of processes."""

    def fill(axes: Any) -> None:
        panels: list[tuple[str, Callable[[Figures], float | None]]] = [
            ("calls a second that succeed", lambda one: one.rate),
            ("requests refused with 429, %", lambda one: 100 * one.refused),
            ("median call, seconds", lambda one: one.median),
            ("99 % of calls within, seconds", lambda one: one.slowest),
        ]
        for panel, (title, figure) in zip(axes.flat, panels, strict=True):
            for mode in Mode:
                _line(panel, found, mode, figure)
            panel.set_title(title, fontsize=9)
            _by_processes(panel)
        _limit(axes.flat[0], 1.15)
        for panel in axes.flat[2:]:
            _logarithmic(panel, (0.1, 1, 10, 100))
        axes.flat[1].legend(frameon=False, loc="upper left", title="they share")

    return _drawn((11, 6.6), (2, 2), fill)


def _line(panel: Any, found: Fleets, mode: Mode, figure: Callable[[Figures], float | None]) -> None:
    points = [(number, figure(one)) for (number, of), one in found.items() if of is mode]
    known = [(number, value) for number, value in points if value is not None]
    above = 2 + (mode is Mode.DIVIDED)  # its dots are seen on the line of the pace, which hides them otherwise
    style = {"color": _COLOURS[mode], "linestyle": _DASHES[mode], "marker": "o", "markersize": 3, "zorder": above}
    panel.plot([number for number, _ in known], [value for _, value in known], label=mode.value, **style)


def _by_processes(panel: Any) -> None:
    panel.set_xscale("log")
    panel.set_xticks([1, 10, 100, 1_000], ["1", "10", "100", "1,000"])
    panel.minorticks_off()
    panel.set_xlabel("processes")


def _limit(panel: Any, room: float) -> None:
    """Show the user's limit, and so much of the panel above 0."""
    panel.axhline(_LIMIT, color=INK, linewidth=0.8, linestyle=(0, (1, 3)))
    panel.text(0.01, _LIMIT / (room * _LIMIT) + 0.015, "the user's limit", transform=panel.transAxes, fontsize=7.5)
    panel.set_ylim(0, room * _LIMIT)


def _logarithmic(panel: Any, ticks: Sequence[float]) -> None:
    """Scale the figures, and write them as one reads them."""
    panel.set_yscale("log")
    panel.set_ylim(ticks[0], 2 * ticks[-1])
    panel.set_yticks(ticks, [f"{tick:,g}" if tick < 1 else f"{tick:,.0f}" for tick in ticks])
    panel.minorticks_off()


def failovers(found: Sequence[Gap]) -> str:
    """Draw the rate over time, with the time that Redis is away."""

    def fill(axes: Any) -> None:
        panel = axes.flat[0]
        panel.axvspan(*AWAY, color=INK, alpha=0.18, linewidth=0)
        panel.text(sum(AWAY) / 2, 1.13 * _LIMIT, "Redis is away", ha="center")
        for one, colour in zip(found, _MANY, strict=False):
            edges = [BIN * number for number in range(len(one.rates) + 1)]
            style = {"color": colour, "linewidth": 1.4, "label": f"{one.processes:,} processes"}
            panel.stairs(one.rates, edges, baseline=None, **style)
            panel.set_xlim(0, edges[-1])
        _limit(panel, 1.25)
        panel.set_xlabel("seconds")
        panel.set_title(f"calls a second that the server lets in, by {BIN:.0f} seconds", fontsize=9)
        panel.legend(frameon=False, loc="lower right")

    return _drawn((11, 3.2), (1, 1), fill)


def limits() -> str:
    """Draw what each of the ceilings allows against the number of processes."""

    def fill(axes: Any) -> None:
        panel, numbers = axes.flat[0], [round(10 ** (tenth / 10)) for tenth in range(31)]
        every = [[*ceilings(number, ORGANIZATIONS), *older(ORGANIZATIONS)] for number in numbers]
        for at, colour in enumerate(_MANY):
            rates = [found[at].rate for found in every]
            panel.plot(numbers, rates, color=colour, linewidth=1.4, label=every[0][at].name)
        _logarithmic(panel, (10, 100, 1_000, 10_000, 100_000))
        _by_processes(panel)
        panel.set_title(f"calls a second that each allows, {ORGANIZATIONS:,} organizations", fontsize=9)
        panel.legend(frameon=False, loc="lower right", ncols=2)

    return _drawn((11, 3.6), (1, 1), fill)
