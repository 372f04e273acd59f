"""The gate: compare the ratios of quick rows with the committed baseline: ``python -m benchmarks gate --help``.

Ratios to peers in the same run are compared, never times. A ratio is too bad where it is worse than the baseline's by
its factor, or beyond its goal where the baseline keeps that with room to spare; a count, whose goal stands alone or is
0, where it misses its goal. What is bad is measured once more, up to three times in all, and fails where it is bad
twice; a ratio that was good once passes. ``--write`` makes the baseline anew from what is measured, and keeps the rows,
rounds and factors that were set in it by hand; it writes nothing where a goal is missed, unless there is ``--force``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from attrs import evolve, field, frozen
from attrs.validators import in_

from benchmarks.harness import Goal, Line, Row
from benchmarks.rows import all_rows

FILE = Path(__file__).with_name("baseline.json")
FACTOR = 1.6
_ROOM = 1.25
"""How many times better than its goal a baseline must be for the goal to limit what passes."""
_NOISE = 1.5
"""How much worse than its baseline passes whatever the goal."""
_MEASUREMENTS = 3
_TIMES = frozenset({"ns", "us", "ms", "s", "rps", "calls/s"})


@frozen(kw_only=True)
class Expected:
    """What the baseline has of a line.

    Attributes:
        row: name of the row's module.
        case: what is measured, against what.
        figure: the judged figure, as a rule a ratio.
        sense: on which side of it a figure is good.
        exact: whether no figure on the other side passes at all, as with counts.
        factor: how much worse passes; None for the baseline's own factor.

    """

    row: str
    case: str
    figure: float
    sense: Literal["<=", ">="] = field(validator=in_(("<=", ">=")))
    exact: bool = False
    factor: float | None = None

    @classmethod
    def of(cls, line: Line) -> Self | None:
        """Return what to expect of a line from now on, None for one that says nothing without a clock."""
        goal = line.goal
        if goal is None or not math.isfinite(line.judged) or (line.alone and line.unit.split()[0] in _TIMES):
            return None
        exact = _counts(goal)
        figure = float(goal.bound) if exact else float(f"{line.judged:.4g}")
        return cls(row=line.row, case=line.case, figure=figure, sense=goal.sense, exact=exact)

    def limit(self, factor: float, goal: Goal | None = None) -> float:
        """Return the worst figure that passes, by the baseline's factor and the goal that the line has now."""
        allowed = 1.0 if self.exact else self.factor or factor
        if goal is not None and (room := self._room(goal)) >= _ROOM:
            allowed = min(allowed, max(room, _NOISE))
        return self.figure * allowed if self.sense == "<=" else self.figure / allowed

    def _room(self, goal: Goal) -> float:
        """Return how many times better than its goal the baseline is."""
        over, under = (goal.bound, self.figure) if self.sense == "<=" else (self.figure, goal.bound)
        return over / under if under else math.inf

    def passes(self, figure: float, factor: float, goal: Goal | None = None) -> bool:
        """Whether a figure is no worse than allowed."""
        limit = self.limit(factor, goal)
        return figure <= limit if self.sense == "<=" else figure >= limit


@frozen(kw_only=True)
class Baseline:
    """The committed figures.

    Attributes:
        rows: which rows are measured.
        rounds: how many rounds of each figure.
        factor: how much worse a figure may be where its line says nothing else.
        lines: what to expect.

    """

    rows: tuple[str, ...]
    rounds: int = 3
    factor: float = FACTOR
    lines: tuple[Expected, ...] = ()

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a baseline; raise OSError, ValueError, KeyError or TypeError for what is none."""
        found = json.loads(file.read_text("utf-8"))
        lines = tuple(Expected(**line) for line in found["lines"])
        return cls(rows=tuple(found["rows"]), rounds=found["rounds"], factor=found["factor"], lines=lines)

    def to_text(self) -> str:
        """Return what :meth:`load` reads."""
        head: dict[str, Any] = {"rows": self.rows, "rounds": self.rounds, "factor": self.factor}
        return json.dumps({**head, "lines": [_plain(line) for line in self.lines]}, indent=2) + "\n"

    def renewed(self, lines: Sequence[Line]) -> Baseline:
        """Return the baseline with new figures; factors that were set by hand stay."""
        factors = {(line.row, line.case): line.factor for line in self.lines}
        found = [one for line in lines if (one := Expected.of(line)) is not None]
        return evolve(self, lines=tuple(evolve(one, factor=factors.get((one.row, one.case))) for one in found))


def _counts(goal: Goal) -> bool:
    return goal.alone or goal.bound == 0


def _plain(line: Expected) -> dict[str, Any]:
    plain: dict[str, Any] = {"row": line.row, "case": line.case, "figure": line.figure, "sense": line.sense}
    if line.exact:
        plain["exact"] = True
    if line.factor is not None:
        plain["factor"] = line.factor
    return plain


@frozen(kw_only=True)
class Verdict:
    """What one measurement says against the baseline.

    Attributes:
        suspects: worse than allowed or not measured, by row and case; why.
        excused: ratios that are no worse than allowed.
        unknown: lines that the baseline does not have.

    """

    suspects: Mapping[tuple[str, str], str]
    excused: frozenset[tuple[str, str]]
    unknown: tuple[tuple[str, str], ...]


def judge(baseline: Baseline, lines: Sequence[Line], failures: Mapping[str, str], rows: Sequence[str]) -> Verdict:
    """Compare the lines of the measured ``rows`` with the baseline; ``failures`` says why a row could not be."""
    found = {(line.row, line.case): line for line in lines}
    suspects = {(row, "as a whole"): why for row, why in failures.items()}
    excused: set[tuple[str, str]] = set()
    for one in baseline.lines:
        name = (one.row, one.case)
        if one.row not in rows:
            continue
        if name in found:
            if why := _worse(one, found[name], baseline.factor):
                suspects[name] = why
            elif not one.exact:
                excused.add(name)
        elif one.row not in failures:
            suspects[name] = "the row has no such line any more"
    known = {(one.row, one.case) for one in baseline.lines}
    unknown = tuple(name for name, line in found.items() if name not in known and Expected.of(line) is not None)
    return Verdict(suspects=suspects, excused=frozenset(excused), unknown=unknown)


def _worse(expected: Expected, line: Line, factor: float) -> str:
    """Return how a line is worse than allowed, nothing where it is not."""
    goal = None if expected.exact else line.goal
    if expected.passes(line.judged, factor, goal):
        return ""
    limit = expected.limit(factor, goal)
    return f"{line.judged:.3g} is worse than {limit:.3g}, which the baseline's {expected.figure:.3g} allows"


Measure = Callable[[Mapping[str, Row], Sequence[str], int], tuple[list[Line], dict[str, str]]]


def regressions(baseline: Baseline, rows: Mapping[str, Row], measure: Measure) -> tuple[dict[str, str], Verdict]:
    """Measure, and the rows of what was bad once again; return what was bad twice, and the first verdict."""
    first = judge(baseline, *measure(rows, baseline.rows, baseline.rounds), baseline.rows)
    latest, why = first, dict(first.suspects)
    times, excused = Counter(first.suspects.keys()), set(first.excused)
    for _ in range(_MEASUREMENTS - 1):
        again = list(dict.fromkeys(name[0] for name in latest.suspects if times[name] < 2 and name not in excused))
        if not again:
            break
        print(f"measuring once more what is suspect: {', '.join(again)}", file=sys.stderr)
        latest = judge(baseline, *measure(rows, again, baseline.rounds), again)
        times.update(latest.suspects.keys())
        why |= latest.suspects
        excused |= latest.excused
    failed = {name: why[name] for name, bad in times.items() if bad > 1 and name not in excused}
    return {f"{row}, {case}": text for (row, case), text in failed.items()}, first


def main(arguments: Sequence[str] | None = None, rows: Mapping[str, Row] | None = None) -> int:
    """Measure the baseline's rows and compare; return 0, 1 for a regression, 2 for a baseline that is none."""
    from benchmarks.__main__ import measure

    chosen = _parser().parse_args(arguments)
    rows = all_rows() if rows is None else rows
    try:
        baseline = Baseline.load(chosen.baseline)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"gate: {chosen.baseline}: {error}", file=sys.stderr)
        return 2
    if absent := [name for name in baseline.rows if name not in rows]:
        print(f"gate: there is no row {', '.join(absent)}", file=sys.stderr)
        return 2
    if chosen.write:
        measured = measure(rows, baseline.rows, baseline.rounds)
        return _renew(chosen.baseline, baseline, *measured, force=chosen.force)
    failed, first = regressions(baseline, rows, measure)
    for row, case in first.unknown:
        print(f"not in the baseline: {row}, {case}")
    for name, why in failed.items():
        print(f"FAILED {name}: {why}")
    print(f"gate: {len(baseline.lines)} lines of {len(baseline.rows)} rows compared, {len(failed)} failed")
    return int(bool(failed))


def _renew(file: Path, baseline: Baseline, lines: Sequence[Line], failures: Mapping[str, str], *, force: bool) -> int:
    """Write the baseline anew, unless a row could not be measured or, without force, a goal is missed."""
    missed = {f"{line.row}, {line.case}": _missed(line) for line in lines if line.verdict == "missed"}
    for name, why in {**failures, **missed}.items():
        print(f"gate: {name}: {why}", file=sys.stderr)
    if failures or (missed and not force):
        print(f"gate: nothing is written to {file.name}", file=sys.stderr)
        return 1
    renewed = baseline.renewed(lines)
    file.write_text(renewed.to_text(), "utf-8")
    print(f"gate: {len(renewed.lines)} lines written to {file.name}")
    return 0


def _missed(line: Line) -> str:
    assert line.goal is not None
    return f"{line.judged:.3g} misses the goal, {line.goal.sense} {line.goal.bound:g}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks gate", description="Compare ratios with the baseline.")
    parser.add_argument("--baseline", type=Path, default=FILE, metavar="FILE", help="the figures (default: committed)")
    parser.add_argument("--write", action="store_true", help="make the baseline anew instead of comparing")
    parser.add_argument("--force", action="store_true", help="make it anew though goals are missed, which are printed")
    return parser
