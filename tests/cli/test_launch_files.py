"""``runs launch --from-csv``: files as people have them, and reports that cannot be written."""

from __future__ import annotations

import csv
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve

from tallyfy_async.cli import journal as journals
from tallyfy_async.cli import launches
from tallyfy_async.cli.journal import Journal
from tallyfy_async.engine.bulk import read_report
from tallyfy_async.sandbox import Fault, Sandbox
from tests.cli.terminal import Terminal, tenant
from tests.cli.test_launch import cells, launched, rows, states, template, write


def test_a_file_as_spreadsheets_write_it(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    known = cells(user)
    area = next(one.label for one in template(user).prerun if one.field_type == "textarea")
    given = {"name": 'Row "1"; Zoë', **known, area: "one\r\ntwo, three"}
    path = tmp_path / "Kunden.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=";", quoting=csv.QUOTE_ALL)
        writer.writerows([[*given], [*given.values()], [""] * len(given)])
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", str(path), "--json")
    assert (said.status, states(said.data)) == (0, ["done"])
    run = tenant(user).runs[said.data["rows"][0]["id"]]
    assert run.name == 'Row "1"; Zoë'
    assert "one\r\ntwo, three" in run.prerun.values()


def test_signs_in_quotes_do_not_separate_columns(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    form = template(user).prerun
    form[:] = [evolve(one, required=False) for one in form]
    form[0] = evolve(form[0], label="Name, street, and town")
    path = tmp_path / "people.csv"
    path.write_text('"Name, street, and town";name\nAcme;Row 1\n')
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", str(path), "--json")
    assert (said.status, launched(user)) == (0, ["Row 1"])
    assert list(tenant(user).runs[said.data["rows"][0]["id"]].prerun.values()) == ["Acme"]


@pytest.mark.parametrize("wrong", ["source", "report"])
def test_the_file_that_is_wrong_is_named(wrong: str, tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = Path(write(tmp_path / "people.csv", rows(user, 1)))
    report = path.with_name("people.csv.report.csv")
    bad = path if wrong == "source" else report
    bad.write_bytes("name\nAda\n".encode("utf-16"))
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", str(path))
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"{bad}: this is no CSV file in utf-8-sig")


def test_a_full_disk_ends_the_launches_and_loses_none(
    tallyfy: Terminal, user: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "people.csv", rows(user, 10))
    words = ["runs", "launch", template(user).id, "--from-csv", path, "--json"]
    append, written = Journal._append, []

    def fill(journal: Journal, data: bytes) -> None:
        written.append(data)
        if len(written) > 3:
            append(journal, data[:-20])  # what a full disk still takes
            raise OSError(errno.ENOSPC, "No space left on device")
        append(journal, data)

    with monkeypatch.context() as full:
        full.setattr(Journal, "_append", fill)
        full.setattr(journals, "write_csv", once(journals.write_csv))
        said = tallyfy(*words, "--concurrency", "1")
    assert (said.status, states(said.data)) == (1, ["done"] * 4 + ["not_run"] * 6)
    assert "No space left on device" in said.data["rows"][4]["problem"]
    assert said.error["kind"] == "OSError"
    assert launched(user) == [f"Row {number}" for number in range(1, 5)]
    # The line that was cut off was of a launch that was not sent.
    said = tallyfy(*words)
    assert (said.status, states(said.data)) == (0, ["done"] * 10)
    assert launched(user) == sorted(f"Row {number}" for number in range(1, 11))


def once(work: Callable[..., None]) -> Callable[..., None]:
    """Return a function that does its work once, and finds the disk full after that."""
    calls: list[int] = []

    def do(*given: Any, **more: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        work(*given, **more)

    return do


def test_a_report_that_cannot_be_put_in_order_is_told(
    tallyfy: Terminal, user: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "people.csv", rows(user, 3))
    words = ["runs", "launch", template(user).id, "--from-csv", path]
    with monkeypatch.context() as full:
        full.setattr(journals, "write_csv", once(journals.write_csv))
        said = tallyfy(*words)
    assert said.status == 1
    assert "its last lines are the newest: No space left on device" in said.err
    assert len(launched(user)) == 3
    report = read_report(f"{path}.report.csv")
    assert report.count(launches.State.NOT_RUN) == 0
    assert tallyfy(*words, "--retry-unknown").status == 0


def test_a_second_process_launches_nothing_from_the_same_file(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", rows(user, 3))
    words = ["runs", "launch", template(user).id, "--from-csv", path]
    first = launches.CSVLaunch.of(Path(path), None).journal
    anyio.run(first.save)
    said = tallyfy(*words)
    assert (said.status, said.out) == (2, "")
    assert "nothing was launched: the report" in said.err
    assert "another process is writing it" in said.err
    assert launched(user) == []
    first.close()
    assert tallyfy(*words).status == 0
    assert len(launched(user)) == 3


def test_rows_that_may_have_landed_are_pointed_out(tallyfy: Terminal, user: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", rows(user, 2))
    user.faults.add(Fault(operation="launch_run", status=503, stage="after", times=1))
    said = tallyfy("runs", "launch", template(user).id, "--from-csv", path)
    assert said.status == 6
    assert "1 may have been launched: look, and add --retry-unknown if they were not" in said.err
