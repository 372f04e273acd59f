from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async.engine.bulk import CSVRow, Problem, Report, Row, State, read_csv, read_report, write_csv
from tallyfy_async.errors import ConfigurationError, DecodeError
from tallyfy_async.models import Run

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PROBLEMS = st.builds(
    Problem,
    kind=st.sampled_from(["ValidationError", "ServerError"]),
    message=TEXT,
    status=st.none() | st.integers(400, 599),
    code=st.none() | TEXT,
    request_id=st.none() | TEXT,
    fields=st.dictionaries(TEXT, TEXT, max_size=2),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
ROWS = st.lists(
    st.builds(
        Row,
        key=TEXT,
        state=st.sampled_from(State),
        result=JSON,
        reference=st.none() | TEXT,
        problem=st.none() | PROBLEMS,
        mark=st.none() | TEXT,
    ),
    unique_by=lambda row: row.key,
    max_size=5,
)


@given(rows=ROWS, stopped=st.none() | PROBLEMS)
def test_a_report_comes_back_from_json(rows: list[Row[Any]], stopped: Problem | None) -> None:
    report: Report[Any] = Report.of(rows, stopped=stopped)
    back: Report[Any] = Report.from_json(report.to_json())
    assert list(back) == rows
    assert back.stopped == stopped
    assert back.to_json() == report.to_json()


def test_models_come_back_as_models() -> None:
    payload = {"id": "a" * 32, "name": "Onboard Ada", "status": "active", "new_key": [1]}
    from tallyfy_async.protocol.converter import structure

    run = structure(payload, Run)
    report: Report[Run] = Report.of([Row(key="1", state=State.DONE, result=run), Row(key="2")])
    assert json.loads(report.to_json())["rows"][0]["result"] == payload
    back: Report[Run] = Report.from_json(report.to_json().encode(), Run)
    assert back["1"].result == run
    assert back["2"].result is None
    with pytest.raises(DecodeError, match=r"rows\['1'\]\.result"):
        Report.from_json(report.to_json(), list[int])


def test_a_result_that_json_cannot_carry_is_left_out() -> None:
    report: Report[Any] = Report.of(
        [Row(key="1", state=State.DONE, result=object()), Row(key="2", result=float("nan"))]
    )
    back: Report[Any] = Report.from_json(report.to_json())
    assert [(row.key, row.state, row.result) for row in back] == [("1", State.DONE, None), ("2", State.NOT_RUN, None)]


WHOLE = json.loads(Report.of([Row(key="1", state=State.DONE, problem=Problem(kind="k", message="m"))]).to_json())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "{}",
        "[" * 100_000,
        b"\xff",
        json.dumps({**WHOLE, "tallyfy_bulk": 2}),
        json.dumps({**WHOLE, "rows": None}),
        json.dumps({**WHOLE, "rows": [5]}),
        json.dumps({**WHOLE, "rows": [{**WHOLE["rows"][0], "state": "lost"}]}),
        json.dumps({**WHOLE, "rows": [{**WHOLE["rows"][0], "key": 5}]}),
        json.dumps({**WHOLE, "rows": [{**WHOLE["rows"][0], "reference": 5}]}),
        json.dumps({**WHOLE, "rows": [{**WHOLE["rows"][0], "problem": {"kind": "k"}}]}),
        json.dumps({**WHOLE, "rows": [{**WHOLE["rows"][0], "problem": 5}]}),
        json.dumps({**WHOLE, "stopped": "x"}),
    ],
)
def test_what_is_no_report(text: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match="this is no report that to_json wrote"):
        Report.from_json(text)


def test_rows_are_counted_as_they_change() -> None:
    report: Report[None] = Report()
    for state in (State.NOT_RUN, State.UNKNOWN, State.DONE):
        report.put(Row(key="a", state=state))
        assert [report.count(one) for one in State] == [one is state for one in State]
    report.put(Row(key="b", state=State.REFUSED))
    assert (len(report.done), len(report.refused), len(report.unknown), len(report.not_run)) == (1, 1, 0, 0)
    assert report.get("c") is None
    with pytest.raises(KeyError):
        report["c"]


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_heading_tells_the_delimiter(tmp_path: Path, sign: str) -> None:
    path = written(tmp_path, f'\ufeff key {sign}Start date{sign}Note\r\na{sign}2026-12-01{sign}"x, y; z"\r\n')
    assert read_csv(path) == [CSVRow(number=1, cells={"key": "a", "Start date": "2026-12-01", "Note": "x, y; z"})]
    assert read_csv(str(path), delimiter=sign)[0].key == "a"


def test_short_empty_and_long_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "A,B\nx\n\n , \ny,z,,\n")
    rows = read_csv(path)
    assert rows == [CSVRow(number=1, cells={"A": "x", "B": ""}), CSVRow(number=2, cells={"A": "y", "B": "z"})]
    assert [row.key for row in rows] == ["1", "2"]
    with pytest.raises(ConfigurationError, match="line 3 has more cells than the heading"):
        read_csv(written(tmp_path, "A,B\nx,y\nx,y,z\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the first line must name every column"),
        ("A,,B\n", "the first line must name every column"),
        ("A,B,A\n", "the column 'A' is there twice"),
        (b"A\n\xff\xfe\n", "no CSV file in utf-8-sig: UnicodeDecodeError"),
        ('A,B\n"x"y,z\n', "no CSV file in utf-8-sig: Error"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read_csv(written(tmp_path, text))


def test_another_encoding(tmp_path: Path) -> None:
    path = written(tmp_path, "Größe\nzwölf\n".encode("cp1252"))
    assert read_csv(path, encoding="cp1252")[0].cells == {"Größe": "zwölf"}


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_csv(tmp_path / "none.csv")


@given(rows=ROWS)
def test_a_report_comes_back_from_csv(tmp_path_factory: pytest.TempPathFactory, rows: list[Row[Any]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "report.csv"
    write_csv(path, Report.of(rows))
    back = list(read_report(path))
    expected = [(r.key, r.state, r.reference or None, r.mark or None, str(r.problem or "")) for r in rows]
    assert [(r.key, r.state, r.reference, r.mark, str(r.problem or "")) for r in back] == expected


def test_a_report_stands_beside_the_rows_that_it_came_from(tmp_path: Path) -> None:
    source = read_csv(written(tmp_path, "key,Start;date\na,x\nb,y\n,z\n"))
    report: Report[Any] = Report.of(
        [
            Row(key="b", state=State.REFUSED, problem=Problem(kind="KickoffError", message="Start: is required")),
            Row(key="a", state=State.DONE, reference="r1", mark="m1"),
            Row(key="gone", state=State.UNKNOWN),
        ]
    )
    path = tmp_path / "out.csv"
    write_csv(path, report, source)
    assert path.read_text("utf-8-sig").splitlines() == [
        "key,Start;date,tallyfy_key,tallyfy_state,tallyfy_id,tallyfy_mark,tallyfy_error",
        "a,x,a,done,r1,m1,",
        "b,y,b,refused,,,KickoffError: Start: is required",
        ",z,3,not_run,,,",
        ",,gone,unknown,,,",
    ]
    again = read_csv(path)
    assert [row.key for row in again] == ["a", "b", "3", "gone"]
    write_csv(path, read_report(path), again)
    assert read_csv(path) == again


def test_a_report_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = written(tmp_path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_csv(path, Report.of([Row(key="ok"), Row(key="\ud800")]))
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.csv"]
    write_csv(path, Report.of([Row(key="ok")]), delimiter=";")
    assert path.read_text("utf-8-sig").splitlines()[1] == "ok;not_run;;;"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text", ["A\nx\n", "tallyfy_key,tallyfy_state,tallyfy_id,tallyfy_mark,tallyfy_error\na,lost,,,\n"]
)
def test_what_is_no_written_report(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match="this is no report that write_csv wrote"):
        read_report(written(tmp_path, text))
