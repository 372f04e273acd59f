"""``runs launch``: one run, or one for every row of a CSV file, with a report to go on from."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve

from tallyfy_async.cli import launches
from tallyfy_async.engine.bulk import read_report
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.sandbox.records import Checklist
from tests.cli.terminal import Terminal, become, tenant
from tests.faults.rig import served, until
from tests.helpers import attentive
from tests.resources.test_kickoff import VALUES

TEXTS = {
    "text": "Acme",
    "textarea": "one",
    "email": "ada@example.com",
    "date": "2026-12-01T09:30:00Z",
    "radio": "High",
    "dropdown": "Americas",
    "multiselect": "Teams;Jira",
}


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with served(organizations=1, templates=3, runs=1, tasks=5) as sandbox:
        become(sandbox, monkeypatch)
        yield sandbox


def template(sandbox: Sandbox) -> Checklist:
    """Return the template whose kick-off form has a field of every type."""
    return next(one for one in tenant(sandbox).checklists.values() if len(one.prerun) == len(VALUES))


def cells(sandbox: Sandbox) -> dict[str, str]:
    fields = template(sandbox).prerun
    return {one.label: TEXTS[one.field_type] for one in fields if one.field_type in TEXTS}


def write(path: Path, rows: Sequence[Mapping[str, str]]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def rows(sandbox: Sandbox, count: int, **changes: str) -> list[dict[str, str]]:
    return [{"name": f"Row {number}", **cells(sandbox), **changes} for number in range(1, count + 1)]


def launched(sandbox: Sandbox) -> list[str]:
    return sorted(run.name for run in tenant(sandbox).runs.values() if run.name.startswith("Row "))


def states(data: Any) -> list[str]:
    return [row["state"] for row in data["rows"]]


def fields(sandbox: Sandbox) -> list[str]:
    return [word for label, text in cells(sandbox).items() for word in ("--field", f"{label}={text}")]


def test_one_run_is_launched_with_answers_by_label(tallyfy: Terminal, user: Sandbox) -> None:
    said = tallyfy("runs", "launch", template(user).id, "--name", "Row 1", *fields(user), "--json")
    assert (said.status, said.err, said.data["name"]) == (0, "", "Row 1")
    run = tenant(user).runs[said.data["id"]]
    assert len(run.prerun) == len(cells(user))
    assert run.id != tallyfy("launch", template(user).id, *fields(user), "--json").data["id"]


def test_a_dry_run_of_one_launches_nothing(tallyfy: Terminal, user: Sandbox) -> None:
    words = ["processes", "launch", template(user).id, "--name", "Row 1", *fields(user), "--dry-run"]
    said = tallyfy(*words, "--json")
    assert (said.status, said.data["dry_run"], len(said.data["prerun"])) == (0, True, len(cells(user)))
    shown = tallyfy(*words).out
    assert "would launch" in shown
    assert "Acme" in shown
    assert user.stats.by_operation["launch_run"] == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--field", "Colour=red"], "Colour: is no field of the form"),
        (["--field", "Colour"], "it takes FIELD=ANSWER"),
        (["--field", "=red"], "it takes FIELD=ANSWER"),
        (["--field", "A=1", "--field", "A=2"], "is there twice"),
        (["--skip-invalid"], "--skip-invalid only with --from-csv"),
        (["--report", "x.csv", "--retry-unknown"], "--report and --retry-unknown only with --from-csv"),
        (["--from-csv", "absent.csv"], "absent.csv: No such file"),
        (["--from-csv", "absent.csv", "--name", "x"], "do not go with --from-csv"),
    ],
)
def test_wrong_words_launch_nothing(more: list[str], message: str, tallyfy: Terminal, user: Sandbox) -> None:
    said = tallyfy("runs", "launch", template(user).id, *more)
    assert (said.status, said.out) == (2, "")
    assert message in said.err
    assert user.stats.by_operation["launch_run"] == 0


def test_every_row_becomes_a_run(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", rows(user, 12))
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", path, "--json")
    assert (said.status, said.data["complete"], said.data["dry_run"]) == (0, True, False)
    assert states(said.data) == ["done"] * 12
    assert len(launched(user)) == 12
    assert {row["id"] for row in said.data["rows"]} <= set(tenant(user).runs)
    assert said.data["report"] == f"{path}.report.csv"
    assert read_report(f"{path}.report.csv").complete
    assert user.stats.by_operation["get_checklist"] == 1
    # The same command again has nothing left to do.
    again = tallyfy("runs", "launch", template(user).id, "--from-csv", path)
    assert again.status == 0
    assert "12 of 12 are done" in again.err
    assert len(launched(user)) == 12


def test_a_dry_run_tells_each_row_and_launches_nothing(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    given = rows(user, 3)
    radio = next(one.label for one in template(user).prerun if one.field_type == "radio")
    given[1][radio] = "Hihg"
    path = write(tmp_path / "people.csv", given)
    words = ["runs", "launch", template(user).id, "--from-csv", path, "--dry-run"]
    said = tallyfy(*words, "--json")
    assert (said.status, states(said.data)) == (1, ["ready", "refused", "ready"])
    problem = next(row["problem"] for row in said.data["rows"] if row["state"] == "refused")
    assert "did you mean 'High'" in problem
    assert "ready" in tallyfy(*words).out
    assert not Path(f"{path}.report.csv").exists()
    assert user.stats.by_operation["launch_run"] == 0
    write(tmp_path / "people.csv", rows(user, 3))
    said = tallyfy(*words, "--json")
    assert (said.status, states(said.data)) == (0, ["ready"] * 3)


def test_rows_that_do_not_fit_stop_all_unless_they_are_skipped(
    tallyfy: Terminal, user: Sandbox, tmp_path: Path
) -> None:
    given = rows(user, 3)
    radio = next(one.label for one in template(user).prerun if one.field_type == "radio")
    given[1][radio] = "Hihg"
    path = write(tmp_path / "people.csv", given)
    words = ["runs", "launch", template(user).id, "--from-csv", path, "--json"]
    said = tallyfy(*words)
    assert (said.status, said.out, launched(user)) == (2, "", [])
    assert "1 rows cannot be launched, nothing was: row 2" in said.err
    assert not Path(f"{path}.report.csv").exists()
    said = tallyfy(*words, "--skip-invalid")
    assert (said.status, launched(user)) == (1, ["Row 1", "Row 3"])
    write(tmp_path / "people.csv", rows(user, 3))
    assert tallyfy(*words).status == 0
    assert launched(user) == ["Row 1", "Row 2", "Row 3"]


def test_a_wrong_heading_is_told_before_anything_is_sent(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    required = next(one.label for one in template(user).prerun if one.required)
    given = [{**row, "Colour": "red", "Nmae": "x"} for row in rows(user, 2)]
    for row in given:
        del row[required]
    path = write(tmp_path / "people.csv", given)
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", path, "--json")
    assert (said.status, said.out) == (2, "")
    assert f"the heading of {path} does not fit the template, nothing was launched" in said.err
    assert "column Colour: is no field of the form" in said.err
    assert "column Nmae: is no field of the form" in said.err
    assert f"field {required}: is required and has no column" in said.err
    assert user.stats.by_operation["launch_run"] == 0


def test_a_field_in_two_columns_is_told(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    one = template(user).prerun[0]
    path = write(tmp_path / "people.csv", rows(user, 1, **{one.id: "x"}))
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", path)
    assert said.status == 2
    assert f"column {one.id}: is the same field as {one.label}" in said.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must name every column"),
        ("name,,summary\na,b,c\n", "the first line must name every column"),
        ("name,name\na,b\n", "the column 'name' is there twice"),
        ("name\na,b,c\n", "line 2 has more cells than the heading"),
        ("name,summary\n", "holds no row below its heading"),
        ("\xff\xfe\x00", "this is no CSV file"),
    ],
)
def test_a_file_that_is_none(text: str, message: str, tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode("latin-1"))
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", str(path))
    assert (said.status, said.out, user.stats.requests) == (2, "", 0)
    assert message in said.err


def test_a_report_that_is_none_is_not_written_over(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", rows(user, 1))
    mine = tmp_path / "mine.csv"
    mine.write_text("my,own\n1,2\n")
    words = ["runs", "launch", template(user).id, "--from-csv", path, "--report"]
    for place, message in ((mine, "no report that write_csv wrote"), (Path(path), "no report that write_csv wrote")):
        before = place.read_text()
        said = tallyfy(*words, str(place))
        assert (said.status, said.out, user.stats.requests) == (2, "", 0)
        assert message in said.err
        assert place.read_text() == before


def test_a_report_that_cannot_be_written_lets_nothing_be_launched(
    tallyfy: Terminal, user: Sandbox, tmp_path: Path
) -> None:
    path = write(tmp_path / "people.csv", rows(user, 3))
    place = str(tmp_path / "absent" / "report.csv")
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", path, "--report", place)
    assert (said.status, said.out) == (2, "")
    assert f"the report {place} cannot be written" in said.err
    assert user.stats.by_operation["launch_run"] == 0


def test_what_the_server_refuses_is_in_the_report_and_tried_again(
    tallyfy: Terminal, user: Sandbox, tmp_path: Path
) -> None:
    path = write(tmp_path / "people.csv", rows(user, 5))
    user.faults.add(Fault(operation="launch_run", status=422, body={"message": "not today"}, times=2))
    words = ["runs", "launch", template(user).id, "--from-csv", path, "--concurrency", "1"]
    said = tallyfy(*words, "--json")
    assert (said.status, sorted(states(said.data))) == (1, ["done"] * 3 + ["refused"] * 2)
    assert "not today" in (tmp_path / "people.csv.report.csv").read_text()
    assert tallyfy(*words).status == 0
    assert launched(user) == [f"Row {number}" for number in range(1, 6)]


def test_what_may_have_landed_is_not_launched_again_unasked(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", rows(user, 4))
    user.faults.add(Fault(operation="launch_run", status=503, stage="after", times=1))
    words = ["runs", "launch", template(user).id, "--from-csv", path, "--json"]
    said = tallyfy(*words)
    assert (said.status, sorted(states(said.data))) == (6, ["done"] * 3 + ["unknown"])
    assert len(launched(user)) == 4
    assert tallyfy(*words).status == 6
    assert len(launched(user)) == 4
    assert tallyfy(*words, "--retry-unknown").status == 0
    assert len(launched(user)) == 5


def test_a_changed_row_that_was_launched_is_told(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", rows(user, 2))
    words = ["runs", "launch", template(user).id, "--from-csv", path]
    assert tallyfy(*words).status == 0
    write(tmp_path / "people.csv", rows(user, 2, summary="other"))
    said = tallyfy(*words)
    assert said.status == 2
    assert "was another job" in said.err
    assert len(launched(user)) == 2


def test_a_dead_token_stops_the_rest(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", rows(user, 30))
    user.faults.add(
        Fault(operation="launch_run", status=401, body={"message": "Unauthenticated."}, times=None, after=2)
    )
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", path, "--json", "--concurrency", "1")
    assert said.status == 1
    assert "PersonalTokenRevokedError" in said.data["stopped"]
    assert states(said.data).count("not_run") >= 27
    assert said.err == ""


@pytest.mark.once
@pytest.mark.skipif(os.name != "posix", reason="a process is killed with a signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_process_is_gone_on_with(
    number: signal.Signals, tallyfy: Terminal, user: Sandbox, tmp_path: Path
) -> None:
    path = write(tmp_path / "people.csv", rows(user, 20))
    user.faults.add(Fault(operation="launch_run", delay=0.05, times=None))
    words = ["runs", "launch", template(user).id, "--from-csv", path, "--concurrency", "3", "--json"]
    with subprocess.Popen(attentive(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            anyio.run(until, lambda: len(launched(user)) >= 5)
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert out == ""
    if number is signal.SIGINT:
        assert (process.returncode, json.loads(err)["error"]["kind"]) == (130, "Interrupted")
    report = read_report(f"{path}.report.csv")
    assert report.count(launches.State.UNKNOWN) <= 3
    landed = {row.key for row in report if row.state in {launches.State.DONE, launches.State.UNKNOWN}}
    assert {f"Row {key}" for key in landed} >= set(launched(user))  # nothing that landed is taken for undone
    said = tallyfy(*words)
    assert said.status in {0, 6}
    assert len(launched(user)) == len(set(launched(user)))
    assert sum(state == "done" for state in states(said.data)) >= 17


def test_a_report_is_not_written_over_what_it_was_made_of(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", rows(user, 2))
    words = ["runs", "launch", template(user).id, "--from-csv"]
    assert tallyfy(*words, path).status == 0
    report = f"{path}.report.csv"
    said = tallyfy(*words, report, "--report", report)
    assert (said.status, said.out) == (2, "")
    assert "would take the place of the file" in said.err
    # As a file of its own it can be launched from: its columns beside the rows' are passed over.
    said = tallyfy(*words, report, "--dry-run", "--json")
    assert (said.status, states(said.data)) == (0, ["ready"] * 2)


def test_a_template_without_required_fields_takes_names_alone(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    fields_ = template(user).prerun
    fields_[:] = [evolve(one, required=False) for one in fields_]
    path = write(tmp_path / "people.csv", [{"name": "Row 1"}, {"name": "Row 2"}])
    assert tallyfy("launch", template(user).id, "--from-csv", path).status == 0
    assert launched(user) == ["Row 1", "Row 2"]
