"""Table, chart and gate of the benchmarks, on made-up rows and without a clock."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from benchmarks import gate, report
from benchmarks.__main__ import main, measure
from benchmarks.chart import draw
from benchmarks.gate import Baseline, Expected
from benchmarks.harness import Goal, Line, Row, RowError
from benchmarks.report import BEGIN, END, document, entries_of, markdown, placed
from benchmarks.rows import all_rows

charted = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is in the group bench")


def line(figure: float, goal: Goal | None = None, *, row: str = "r", case: str = "c") -> Line:
    """Return a line whose ratio is the figure."""
    return Line(row=row, case=case, unit="us", ours=(figure,), peer=(1.0,), goal=goal)


def run_of(*lines: Line) -> dict[str, Any]:
    """Return a document as it comes back from its file."""
    found: dict[str, Any] = json.loads(json.dumps(document(lines, {})))
    return found


def test_the_worst_run_decides() -> None:
    goal = Goal(3, stretch=1)
    good, fair, bad = (run_of(line(figure, goal)) for figure in (1, 2, 4))
    assert [entries_of(runs)[0].verdict for runs in ((good, good), (good, fair), (good, bad, fair))] == [
        "stretch",
        "ok",
        "missed",
    ]
    assert entries_of([good, bad])[0].headroom == 0.75
    assert entries_of([run_of(line(9, Goal(3, ">=")))])[0].headroom == 3


def test_a_run_without_a_line_keeps_no_goal() -> None:
    entry = entries_of([run_of(line(1, Goal(3))), run_of()])[0]
    assert (entry.figures, entry.verdict) == ((1, None), "missed")
    assert entries_of([run_of(line(1)), run_of()])[0].verdict == "info"


def test_the_worst_has_a_bar_and_a_bound_of_nothing_has_none() -> None:
    nothing = Line(row="r", case="c", unit="us", ours=(1.0,), peer=(0.0,), goal=Goal(3))
    none_done = Line(row="r", case="none done", unit="calls", ours=(0.0,), goal=Goal(5, ">="))
    none_lost = Line(row="r", case="none lost", unit="MiB", ours=(0.0,), goal=Goal(5))
    count = Line(row="r", case="count", unit="calls", ours=(0.0,), goal=Goal(0))
    entries = entries_of([run_of(nothing, none_done, none_lost, count)])
    assert [(entry.figures, entry.verdict, entry.headroom) for entry in entries] == [
        ((math.inf,), "missed", 0),
        ((0,), "missed", 0),
        ((0,), "ok", math.inf),
        ((0,), "ok", None),
    ]


@charted
def test_bars_without_an_end_stop_at_the_edge() -> None:
    lines = [
        Line(row="r", case="against nothing", unit="us", ours=(1.0,), peer=(0.0,), goal=Goal(3)),
        Line(row="r", case="none done", unit="calls", ours=(0.0,), goal=Goal(5, ">=")),
        Line(row="r", case="none lost", unit="MiB", ours=(0.0,), goal=Goal(5)),
    ]
    root = ET.fromstring(draw(entries_of([run_of(*lines)])))
    said = "".join(root.itertext())
    assert all(f"r: {one.case}" in said for one in lines)
    assert not {"inf", "nan"} & {word for node in root.iter() for word in node.attrib.get("d", "").split()}


def test_rows_that_were_not_measured_are_told_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = [line(1, Goal(3))]
    runs = [json.loads(json.dumps(document(good, failures))) for failures in ({"tls": "no trustme"}, {})]
    files = [tmp_path / f"{number}.json" for number in range(3)]
    for file, run in zip(files, [*runs, runs[0]], strict=True):
        file.write_text(json.dumps(run), "utf-8")
    assert main(["report", *map(str, files)]) == 1
    printed = capsys.readouterr()
    assert printed.err == "not measured: tls: no trustme\n"
    assert printed.out.splitlines()[-2:] == ["", "Not measured: tls: no trustme."]
    assert main(["report", str(files[1])]) == 0
    assert "ot measured" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("text", ["[]", "7", "{}", '{"lines": 3, "failures": {}}', "no JSON"])
def test_a_file_that_is_no_run_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.json"
    file.write_text(text, "utf-8")
    assert main(["report", str(file)]) == 2
    assert capsys.readouterr().err.startswith("report: ")


@charted
def test_the_chart_of_runs_makes_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, chart = tmp_path / "run.json", tmp_path / "new" / "chart.svg"
    file.write_text(json.dumps(run_of(line(1, Goal(3)))), "utf-8")
    assert main(["report", str(file), "--svg", str(chart)]) == 0
    assert chart.read_text("utf-8").lstrip().startswith("<?xml")
    assert "| r | c | 1x |" in capsys.readouterr().out


def test_the_table_has_a_column_for_each_run() -> None:
    alone = Line(row="m", case="a | b", unit="MiB", ours=(4.0,), goal=Goal(5))
    runs = [run_of(line(1.234567, Goal(3, stretch=1)), alone), run_of(line(2, Goal(3, stretch=1)))]
    lines = markdown(entries_of(runs), runs).splitlines()
    assert lines[:4] == [
        "| row | case | run 1 | run 2 | must | stretch | verdict |",
        "|---|---|---|---|---|---|---|",
        "| r | c | 1.23x | 2x | <= 3x | <= 1x | ok |",
        "| m | a \\| b | 4 MiB | - | <= 5 MiB |  | missed |",
    ]
    assert lines[4] == ""
    assert lines[5].startswith("Measured on ")
    assert len(lines) == 6, "the machine is named once"


def test_the_table_is_put_between_its_markers() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert placed(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert placed(placed(page, "new"), "newer") == placed(page, "newer")
    for broken in ("nothing", BEGIN, f"{END}\n{BEGIN}"):
        with pytest.raises(ValueError, match="the page lacks the lines"):
            placed(broken, "new")


def test_runs_are_merged_into_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for number, figure in enumerate((1.0, 4.0)):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(run_of(line(figure, Goal(3)))), "utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}", "utf-8")
    assert main(["report", str(files[0])]) == 0
    assert "| r | c | 1x | <= 3x |" in capsys.readouterr().out
    assert main(["report", *map(str, files), "--markdown", str(page)]) == 1
    assert "| r | c | 1x | 4x | <= 3x |  | missed |" in page.read_text("utf-8")
    assert capsys.readouterr().err == "missed: r, c\n"
    assert main(["report", str(tmp_path / "none.json")]) == 2
    page.write_text("no markers", "utf-8")
    assert main(["report", str(files[0]), "--markdown", str(page)]) == 2
    assert page.read_text("utf-8") == "no markers"


def entries(count: int) -> list[report.Entry]:
    goals = (Goal(3, stretch=1), Goal(5, ">=", stretch=10), Goal(0.4))
    lines = [
        line(0.5 + at % 7, goals[at % 3], row=f"row_{at}", case=f"case {at} against a peer") for at in range(count)
    ]
    return entries_of([run_of(*lines)])


@charted
@pytest.mark.parametrize("count", [1, 40])
def test_the_chart_has_a_bar_for_each_goal_and_always_the_same_bytes(count: int) -> None:
    chart = draw(entries(count))
    assert chart == draw(entries(count))
    root = ET.fromstring(chart)
    said = "".join(root.itertext())
    assert all(f"row_{at}: case {at} against a peer" in said for at in range(count))
    assert not re.search(r"\d{4}-\d\d-\d\d|Matplotlib v", chart)
    assert "goal missed" in said


@charted
def test_the_chart_is_written_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "chart.svg"
    assert main(["--svg", str(file)], {"r": lambda _rounds: [line(1, Goal(3))]}) == 0
    assert file.read_text("utf-8").lstrip().startswith("<?xml")
    assert main(["--svg", str(file)], {"r": lambda _rounds: [line(1)]}) == 1
    assert "no line has a goal" in capsys.readouterr().err


def test_a_chart_without_matplotlib_is_refused_and_the_table_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    file = tmp_path / "chart.svg"
    assert main(["--svg", str(file)], {"r": lambda _rounds: [line(1, Goal(3))]}) == 1
    printed = capsys.readouterr()
    assert "a chart needs matplotlib, which the group bench brings" in printed.err
    assert "<= 3 x" in printed.out
    assert not file.exists()


RATIO = Expected(row="r", case="c", figure=0.5, sense="<=")


def rows_of(*rounds: Sequence[Line] | str) -> tuple[dict[str, Row], list[int]]:
    """Return a row that gives these lines, or fails with this text, one after another; and how often it was asked."""
    asked: list[int] = []
    left = iter(rounds)

    def row(count: int) -> Iterator[Line]:
        asked.append(count)
        found = next(left)
        if isinstance(found, str):
            raise RowError(found)
        yield from found

    return {"r": row}, asked


def baseline(tmp_path: Path, *lines: Expected, **changes: Any) -> Path:
    file = tmp_path / "baseline.json"
    file.write_text(evolve(Baseline(rows=("r",), lines=lines), **changes).to_text(), "utf-8")
    return file


def gated(file: Path, rows: Mapping[str, Row], *words: str) -> int:
    return gate.main(["--baseline", str(file), *words], rows)


GOAL = Goal(1)


@pytest.mark.parametrize(
    ("rounds", "status", "asked"),
    [
        ([[line(0.79, GOAL)]], 0, 1),
        ([[line(0.81, GOAL)], [line(0.6, GOAL)]], 0, 2),
        ([[line(0.81, GOAL)], [line(0.9, GOAL)]], 1, 2),
        ([[], []], 1, 2),
        ([[], [line(0.5, GOAL)]], 0, 2),
        (["no server", [line(0.5, GOAL)]], 0, 2),
        (["no server", "no server"], 1, 2),
        (["no server", [line(0.9, GOAL)], [line(0.5, GOAL)]], 0, 3),
        (["no server", [line(0.9, GOAL)], [line(0.9, GOAL)]], 1, 3),
        (["no server", [line(0.9, GOAL)], "no server"], 1, 3),
        ([[line(0.9, GOAL)], "no server", [line(0.9, GOAL)]], 1, 3),
        ([[line(0.9, GOAL)], "no server", [line(0.5, GOAL)]], 0, 3),
    ],
)
def test_a_line_fails_where_it_is_worse_in_two_measurements(
    tmp_path: Path, rounds: list[Any], status: int, asked: int
) -> None:
    rows, times = rows_of(*rounds)
    assert gated(baseline(tmp_path, RATIO), rows) == status
    assert times == [3] * asked


def test_where_more_is_better_less_fails(tmp_path: Path) -> None:
    goal = Goal(2, ">=")
    file = baseline(tmp_path, Expected(row="r", case="c", figure=4.0, sense=">="))
    assert gated(file, rows_of([line(2.6, goal)])[0]) == 0
    assert gated(file, rows_of([line(2.4, goal)], [line(2.4, goal)])[0]) == 1


def test_a_line_may_have_a_factor_of_its_own(tmp_path: Path) -> None:
    file = baseline(tmp_path, evolve(RATIO, factor=3.0))
    assert gated(file, rows_of([line(1.4, Goal(2))])[0]) == 0
    assert gated(baseline(tmp_path, RATIO, factor=3.0), rows_of([line(1.4, Goal(2))])[0]) == 0


def count(number: float) -> Line:
    return Line(row="r", case="lost", unit="writes", ours=(number,), goal=Goal(0))


LOST = Expected(row="r", case="lost", figure=0.0, sense="<=", exact=True)


@pytest.mark.parametrize(
    ("counts", "status"),
    [([0], 0), ([1, 0], 0), ([1, 2], 1)],
)
def test_what_must_not_happen_fails_where_it_happens_twice(
    tmp_path: Path, counts: list[int], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, times = rows_of(*([count(number)] for number in counts))
    assert gated(baseline(tmp_path, LOST), rows) == status
    assert len(times) == len(counts)
    assert ("FAILED r, lost: 2 is worse than 0" in capsys.readouterr().out) == bool(status)


def test_a_count_keeps_its_goal_whatever_was_measured(tmp_path: Path) -> None:
    alive = Line(row="r", case="alive", unit="callers", ours=(20.0,), goal=Goal(19, ">=", alone=True))
    expected = Expected.of(alive)
    assert expected == Expected(row="r", case="alive", figure=19.0, sense=">=", exact=True)
    dead = [evolve(alive, ours=(18.0,))]
    assert gated(baseline(tmp_path, expected), rows_of(dead, dead)[0]) == 1


@pytest.mark.parametrize(("third", "status"), [(0, 0), (1, 1)])
def test_a_count_that_goes_wrong_in_the_second_measurement_is_measured_again(
    tmp_path: Path, third: int, status: int
) -> None:
    last = [line(0.9, GOAL), count(third)]
    rows, times = rows_of([line(0.9, GOAL), count(0)], [line(0.5, GOAL), count(2)], last)
    assert gated(baseline(tmp_path, RATIO, LOST), rows) == status, "the ratio was good once"
    assert len(times) == 3


@pytest.mark.parametrize(
    ("expected", "goal", "limit"),
    [
        (RATIO, None, 0.8),
        (RATIO, Goal(3), 0.8),
        (RATIO, Goal(0.79), 0.79),
        (RATIO, Goal(0.7), 0.75),
        (RATIO, Goal(0.6), 0.8),
        (evolve(RATIO, factor=3.0), Goal(1), 1.0),
        (evolve(RATIO, factor=1.2), Goal(1), 0.6),
        (evolve(RATIO, figure=0.0), Goal(1), 0.0),
        (evolve(RATIO, figure=6.0, sense=">="), Goal(3.9, ">="), 3.9),
        (evolve(RATIO, figure=6.0, sense=">="), Goal(4.5, ">="), 4.0),
        (evolve(RATIO, figure=6.0, sense=">="), Goal(5, ">="), 3.75),
    ],
)
def test_a_goal_that_is_kept_with_room_limits_what_passes(expected: Expected, goal: Goal | None, limit: float) -> None:
    assert expected.limit(1.6, goal) == pytest.approx(limit)


def test_a_ratio_beyond_its_goal_fails_though_its_factor_allows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beyond = [line(0.79, Goal(0.77))]
    assert gated(baseline(tmp_path, RATIO), rows_of(beyond, beyond)[0]) == 1
    assert "0.79 is worse than 0.77" in capsys.readouterr().out


def test_lines_that_the_baseline_lacks_are_told_and_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, _ = rows_of([line(0.5, GOAL), line(9, GOAL, case="new"), line(9, case="no goal")])
    assert gated(baseline(tmp_path, RATIO), rows) == 0
    printed = capsys.readouterr().out
    assert "not in the baseline: r, new" in printed
    assert "no goal" not in printed


def test_the_baseline_is_made_anew_and_keeps_what_was_set_by_hand(tmp_path: Path) -> None:
    file = baseline(tmp_path, evolve(RATIO, factor=2.5), rounds=4, factor=1.7)
    timed = Line(row="r", case="timed", unit="ms", ours=(3.0,), goal=Goal(9))
    rows, times = rows_of([line(0.61, GOAL), count(0), timed, evolve(timed, unit="ms CPU"), line(2, case="no goal")])
    assert gated(file, rows, "--write") == 0
    assert times == [4]
    made = Baseline.load(file)
    assert (made.rows, made.rounds, made.factor) == (("r",), 4, 1.7)
    assert made.lines == (
        evolve(RATIO, figure=0.61, factor=2.5),
        Expected(row="r", case="lost", figure=0.0, sense="<=", exact=True),
    ), "no times: another machine has others"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("no server", "gate: r: no server"),
        ([count(1)], "gate: r, lost: 1 misses the goal, <= 0"),
        ([line(1.5, GOAL)], "gate: r, c: 1.5 misses the goal, <= 1"),
    ],
)
def test_no_baseline_is_made_of_what_went_wrong_unless_it_is_wanted(
    tmp_path: Path, found: Any, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = baseline(tmp_path, RATIO)
    before = file.read_text("utf-8")
    assert gated(file, rows_of(found)[0], "--write") == 1
    assert file.read_text("utf-8") == before
    assert told in capsys.readouterr().err.splitlines()
    unmeasured = isinstance(found, str)
    assert gated(file, rows_of(found)[0], "--write", "--force") == unmeasured
    assert (file.read_text("utf-8") == before) == unmeasured
    assert told in capsys.readouterr().err.splitlines(), "what is forced is told too"


def with_sense(sense: str) -> str:
    lines = [{"row": "r", "case": "c", "figure": 0.5, "sense": sense}]
    return json.dumps({"rows": ["r"], "rounds": 3, "factor": 2, "lines": lines})


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"rows": ["unheard_of"], "rounds": 3, "factor": 2, "lines": []}', with_sense("<")]
)
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(text, "utf-8")
    assert gated(file, {"r": lambda _rounds: [line(0.5, GOAL)]}) == 2
    assert capsys.readouterr().err.startswith("gate: ")


def test_the_committed_baseline_is_of_rows_that_are_there() -> None:
    committed = Baseline.load(gate.FILE)
    assert committed.rows
    assert set(committed.rows) <= all_rows().keys()
    assert {expected.row for expected in committed.lines} == set(committed.rows)
    assert committed.to_text() == gate.FILE.read_text("utf-8")


def test_measuring_names_rows_that_fail() -> None:
    rows, _ = rows_of("no server")
    failing: Callable[..., Any] = measure
    assert failing(rows, ["r"], 1) == ([], {"r": "no server"})


def test_whatever_a_row_raises_the_others_are_measured() -> None:
    def broken(_rounds: int) -> Iterator[Line]:
        yield line(1)
        raise ZeroDivisionError("by zero")

    lines, failures = measure({"broken": broken, "r": lambda _rounds: [line(2)]}, ["broken", "r"], 1)
    assert [one.ours for one in lines] == [(1,), (2,)]
    assert failures == {"broken": "ZeroDivisionError: by zero"}
