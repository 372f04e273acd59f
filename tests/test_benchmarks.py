"""The table and the JSON of the benchmarks, on a row without a clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.harness import Goal, Line, RowError, alternate, fresh, in_fresh
from benchmarks.payload import PER_PAGE, Pages, task_id
from benchmarks.rows import all_rows


def steps(rounds: int) -> Iterator[Line]:
    """Yield figures that are known beforehand: 6, 7, … against 2 each time."""
    numbers = iter(range(5, 100))
    ours, peer = alternate(rounds, lambda: float(next(numbers)), lambda: 2.0)
    yield Line(row="steps", case="time", unit="us", ours=ours, peer=peer, goal=Goal(3))
    yield Line(row="steps", case="rate", unit="rps", ours=ours, peer=peer, best=max, goal=Goal(4, ">="))
    yield Line(row="steps", case="size", unit="MiB", ours=(1.0, 4.0), best=max, goal=Goal(5))
    yield Line(row="steps", case="more", unit="us", ours=ours, peer=peer)


def broken(_rounds: int) -> Iterator[Line]:
    """Yield one line, then fail."""
    yield Line(row="broken", case="half", unit="us", ours=(1.0,))
    msg = "the peer is not installed"
    raise RowError(msg)


ROWS = {"steps": steps, "broken": broken}


def test_the_table_has_a_line_for_each_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--row", "steps", "--rounds", "3"], ROWS) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["row", "case", "ours", "peer", "ratio", "round", "by", "round", "goal"]
    assert [line.split() for line in lines] == [
        ["steps", "time", "6", "us", "2", "us", "3x", "3", "to", "4", "<=", "3", "x", "ok"],
        ["steps", "rate", "8", "rps", "2", "rps", "4x", "3", "to", "4", ">=", "4", "x", "ok"],
        ["steps", "size", "4", "MiB", "-", "-", "1", "to", "4", "<=", "5", "MiB", "ok"],
        ["steps", "more", "6", "us", "2", "us", "3x", "3", "to", "4", "-", "info"],
    ]
    assert len({line.index("steps") for line in lines}) == 1


def test_a_missed_goal_counts_only_when_strict(capsys: pytest.CaptureFixture[str]) -> None:
    def slow(_rounds: int) -> Iterator[Line]:
        yield Line(row="slow", case="time", unit="us", ours=(9.0,), peer=(1.0,), goal=Goal(3))

    assert main([], {"slow": slow}) == 0
    assert "missed" in capsys.readouterr().out
    assert main(["--strict"], {"slow": slow}) == 1


def test_a_row_that_fails_is_named_and_the_others_are_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "new" / "figures.json"
    assert main(["--rounds", "2", "--json", str(file)], {"broken": broken, "steps": steps}) == 1
    printed = capsys.readouterr()
    assert "broken: not measured: the peer is not installed" in printed.err
    assert "steps" in printed.out
    written = json.loads(file.read_text("utf-8"))
    assert written["failures"] == {"broken": "the peer is not installed"}
    assert written["lines"][-4] == {
        "row": "steps",
        "case": "time",
        "unit": "us",
        "ours": [6.0, 7.0],
        "peer": [2.0, 2.0],
        "ratio": 3.0,
        "goal": {"sense": "<=", "bound": 3},
        "verdict": "ok",
    }


@pytest.mark.parametrize("arguments", [["--row", "nothing"], ["--rounds", "0"], ["--rounds", "many"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments, ROWS)
    assert ended.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_sides_are_measured_in_turns_after_a_round_that_does_not_count() -> None:
    order: list[str] = []

    def side(name: str, figure: float) -> float:
        order.append(name)
        return figure

    assert alternate(2, partial(side, "a", 1.0), partial(side, "b", 2.0)) == [(1.0, 1.0), (2.0, 2.0)]
    assert "".join(order) == "ab" + "ba" + "ab"


def test_code_runs_in_a_process_of_its_own() -> None:
    assert fresh("import sys; print('noise'); print(len(sys.argv[1]))", "four") == 4
    assert in_fresh(json.dumps, "text") == '"text"'
    with pytest.raises(RowError, match="ZeroDivisionError"):
        fresh("1 / 0")


def test_pages_differ_in_ids_and_numbers_only() -> None:
    pages = Pages(3)
    first, last = json.loads(pages.encode(1)), json.loads(pages.encode(3))
    assert [task["id"] for task in last["data"]] == [task_id(2 * PER_PAGE + at) for at in range(PER_PAGE)]
    assert last["meta"]["pagination"] == {
        "total": 3 * PER_PAGE,
        "count": PER_PAGE,
        "per_page": PER_PAGE,
        "current_page": 3,
        "total_pages": 3,
    }
    assert [{**task, "id": ""} for task in first["data"]] == [{**task, "id": ""} for task in last["data"]]


def test_the_rows_are_found() -> None:
    assert {"client_start", "page_memory", "refresh_storm", "retry_layer", "token_check"} <= all_rows().keys()
