from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from attrs import evolve
from rich.console import Console

from tallyfy_async import AttemptRecord
from tallyfy_async.demo import job, show
from tallyfy_async.demo.tally import Report, Seen, Truth, Watch, cause


def seen(*ids: str, announced: int | None = None) -> Seen:
    result = Seen(announced=announced)
    for identity in ids:
        result.add(identity)
    return result


TRUTH = Truth(
    runs=frozenset({"r1", "r2"}),
    tasks=frozenset({"t1"}),
    token_requests=3,
    token_lives=3,
    lives_used=3,
    launched=1,
    completed=1,
)
GOOD = Report(
    runs=seen("r1", "r2"),
    tasks=seen("t1"),
    pages=2,
    requests=9,
    retries={"429 too many requests": 2},
    seconds=3.0,
    launched=1,
    completed=1,
    truth=TRUTH,
)


# Counting and the verdict.


def test_a_good_report_has_no_problem() -> None:
    assert GOOD.problems() == []
    assert (GOOD.items, GOOD.missing, GOOD.doubled, GOOD.foreign, GOOD.rate) == (3, 0, 0, 0, 3.0)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tasks": seen()}, "1 items are missing"),
        ({"runs": seen("r1", "r2", "r2", "r1")}, "2 items came more than once"),
        ({"tasks": seen("t1", "t2")}, "1 items are not the organization's"),
        ({"truth": evolve(TRUTH, token_requests=4)}, "4 token requests brought 3 tokens"),
        ({"truth": evolve(TRUTH, lives_used=2)}, "1 tokens were never used"),
        ({"completed": 0}, "the client completed 0, the sandbox counts 1"),
    ],
)
def test_every_contradiction_is_a_problem(changes: dict[str, Any], problem: str) -> None:
    assert evolve(GOOD, **changes).problems() == [problem]


def test_without_a_truth_the_announced_totals_count() -> None:
    whole = evolve(GOOD, truth=None, runs=seen("r1", "r2", announced=2), tasks=seen("t1", announced=1))
    assert (whole.missing, whole.problems()) == (0, [])
    short = evolve(whole, tasks=seen("t1", "t1", announced=2))
    assert short.problems() == ["1 items are missing", "1 items came more than once"]
    unknown = evolve(whole, runs=seen("r1"), tasks=seen("t1"))
    assert (unknown.missing, unknown.problems()) == (None, [])


def record(**changes: Any) -> AttemptRecord:
    plain = AttemptRecord(
        operation="list_runs", method="GET", path="/", attempt=1, status=200, error=None, elapsed=0.1, retry_in=None
    )
    return evolve(plain, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": 429}, "429 too many requests"),
        ({"status": 401}, "401 unauthorized"),
        ({"status": 599}, "599"),
        ({"status": None, "error": "TransportError"}, "connection dropped"),
        ({"status": None, "error": "NotSentError"}, "connection refused"),
        ({"status": None, "error": "DecodeError"}, "DecodeError"),
    ],
)
def test_causes(changes: dict[str, Any], words: str) -> None:
    assert cause(record(**changes)) == words


def test_the_watch_counts() -> None:
    watch = Watch()
    for one in (
        record(),
        record(status=503, error="ServerError", retry_in=0.5),
        record(status=503, error="ServerError"),
        record(operation="create_token"),
        record(operation="get_run"),
        record(status=401, error="AuthenticationError", retry_in=0.0),
    ):
        watch.on_attempt(one)
    assert (watch.requests, watch.pages, watch.token_requests) == (6, 1, 1)
    assert watch.retries == {"503 service unavailable": 1, "401 unauthorized": 1}


# What is shown.


def table_rows(text: str) -> dict[str, str]:
    """Return the rows of the table in a text."""
    cells = (line.strip("│ \n").split("│") for line in text.splitlines() if line.startswith("│"))
    return {name.strip(): value.strip() for name, value in cells}


def drawn(report: Report) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(show.report_table(report))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_table_shows_what_was_counted() -> None:
    assert table_rows(drawn(GOOD)) == {
        "pages": "2",
        "items": "3",
        "runs": "2",
        "tasks": "1",
        "missing": "0",
        "doubled": "0",
        "runs launched": "1",
        "tasks completed": "1",
        "token lives": "3",
        "token requests": "3",
        "tokens never used": "0",
        "retries": "2",
        "429 too many requests": "2",
        "requests": "9",
        "wall time": "3.0 s",
        "requests per second": "3.0",
    }


def test_the_table_without_a_truth_and_totals() -> None:
    rows = table_rows(drawn(evolve(GOOD, truth=None)))
    assert rows["missing"] == "not announced"
    assert "token lives" not in rows


def test_the_progress_is_drawn_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch()
    watch.on_attempt(record(status=429, error="RateLimitError", retry_in=1.0))
    runs, tasks = seen("a", "b", announced=2), seen("c", announced=1250)
    none: Any = None
    lists = [job.Listing(name=name, first=none, pager=none, seen=s) for name, s in (("runs", runs), ("tasks", tasks))]
    quiet = show.Screen()
    quiet.say("nothing")
    with quiet.reading(lists, watch):
        pass
    assert capsys.readouterr() == ("", "")

    loud = show.Screen()
    monkeypatch.setattr(loud, "_console", Console(stderr=True, force_terminal=True, width=90, color_system=None))
    loud.say("a line")
    with loud.reading(lists, watch):
        tasks.add("d")
    out, err = capsys.readouterr()
    assert out == ""
    for words in ("a line", "2 of      2", "2 of  1,250", "1 requests, 0 token requests, 429 x1"):
        assert words in err
