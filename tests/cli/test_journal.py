"""The report of launches on disk: appended to, read back after a kill, and nobody else's meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tallyfy_async.cli import journal as room
from tallyfy_async.cli.journal import Journal, ReportError
from tallyfy_async.engine.bulk import CSVRow, Problem, Report, Row, State, read_report, write_csv
from tallyfy_async.errors import ConfigurationError

ROWS = [CSVRow(number=number, cells={"name": f'Row "{number}"', "note": "a\nb"}) for number in (1, 2, 3)]


def names_in(path: Path) -> list[str]:
    return [one.name for one in path.iterdir()]


def lines_in(path: Path) -> int:
    return path.read_text("utf-8-sig").count("\n")


def states(path: Path) -> list[str]:
    return [row.state.value for row in read_report(path)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "people.csv.report.csv"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that were written whole."""
    found: list[Path] = []

    def note(path: Path, *given: Any, **more: Any) -> None:
        found.append(path)
        write_csv(path, *given, **more)

    monkeypatch.setattr(room, "write_csv", note)
    return found


@pytest.mark.anyio
async def test_what_changes_is_appended_and_read_back(place: Path, written: list[Path]) -> None:
    journal = Journal.of(place, ROWS)
    for row in ROWS:
        journal.report.put(Row(key=row.key))
    await journal.save()
    assert states(place) == ["not_run"] * 3
    for key in ("1", "2", "3"):
        journal.report.put(Row(key=key, state=State.UNKNOWN, problem=Problem(kind="Unfinished", message="so, far")))
        await journal.save()
    journal.report.put(Row(key="1", state=State.DONE, reference="r1", mark="m"))
    await journal.save()
    assert states(place) == ["done", "unknown", "unknown"]
    assert read_report(place)["1"] == Row(key="1", state=State.DONE, reference="r1", mark="m")
    assert len(written) == 1
    journal.close()
    assert len(written) == 2
    assert str(read_report(place)["2"].problem) == "Unfinished: so, far"
    assert lines_in(place) == 1 + 2 * 3  # a line a row, whose notes have two


@pytest.mark.anyio
async def test_writers_that_wait_share_a_write(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    appended: list[bytes] = []
    monkeypatch.setattr(Journal, "_append", lambda _self, data: appended.append(data))
    journal = Journal.of(place, ROWS)
    await journal.save()

    async def one(key: str) -> None:
        journal.report.put(Row(key=key, state=State.UNKNOWN))
        await journal.save()

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(one, str(number))
    assert len(appended) <= 2
    assert b"".join(appended).count(b"\n") == 50
    journal.close()


@pytest.mark.anyio
async def test_two_journals_of_one_file(place: Path) -> None:
    first, second, third = (Journal.of(place, ROWS) for _ in range(3))
    await first.save()
    with pytest.raises(ReportError, match="another process is writing it"):
        await second.save()
    with pytest.raises(ReportError, match="another process is writing it"):  # it stays so
        await second.save()
    second.close()
    first.report.put(Row(key="1", state=State.DONE))
    first.close()
    with pytest.raises(ReportError, match="it has changed since it was read"):
        await third.save()
    third.close()
    assert states(place)[0] == "done"
    fourth = Journal.of(place, ROWS)
    assert fourth.report["1"].state is State.DONE
    await fourth.save()
    fourth.close()


@pytest.mark.anyio
async def test_where_files_cannot_be_locked_they_are_written_all_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(room, "_lock", refuse)
    journal = Journal.of(place, ROWS)
    await journal.save()
    journal.close()
    monkeypatch.setattr(room, "_LOCKS", False)
    journal = Journal.of(place, ROWS)
    await journal.save()
    journal.report.put(Row(key="1", state=State.DONE))
    journal.close()
    assert states(place) == ["done", "not_run", "not_run"]


@pytest.mark.anyio
async def test_a_file_that_cannot_be_begun_is_not_left_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "write_csv", full)
    journal = Journal.of(place, ROWS)
    with pytest.raises(ReportError, match="No space left on device"):
        await journal.save()
    assert not journal.begun
    journal.close()
    assert names_in(place.parent) == []


def test_an_empty_report_is_none(place: Path) -> None:
    place.touch()  # a process was killed right there
    assert Journal.of(place, ROWS).found is None


def lines_of(place: Path) -> bytes:
    report = Report.of([Row(key=row.key, mark="m") for row in ROWS])
    write_csv(place, report, beside=ROWS)
    return place.read_bytes()


@pytest.mark.parametrize("cut", range(1, 18))
def test_a_line_that_was_cut_off_is_passed_over(cut: int, place: Path) -> None:
    whole = lines_of(place)
    line = b",,2,unknown,,mark,"
    assert cut < len(line)
    place.write_bytes(whole + line[:cut])
    assert [(row.state, row.mark) for row in read_report(place)] == [(State.NOT_RUN, "m")] * 3


@pytest.mark.parametrize("tail", [b',,"2', ",,é".encode()[:-1], b",,2,dne,,,"])
def test_no_cut_off_line_keeps_the_report_from_being_read(tail: bytes, place: Path) -> None:
    place.write_bytes(lines_of(place) + tail)
    assert states(place) == ["not_run"] * 3


def test_a_last_line_without_its_end_counts(place: Path) -> None:
    place.write_bytes(lines_of(place) + b",,3,done,r3,m,")
    assert states(place) == ["not_run", "not_run", "done"]


def test_what_is_wrong_above_the_last_line_is_no_report(place: Path) -> None:
    place.write_bytes(lines_of(place) + b",,2,dne,,,\r\n,,3,do")
    with pytest.raises(ConfigurationError, match="no report"):
        read_report(place)
