"""What all destinations promise: units are there once, whoever dies, comes twice, comes late or takes over."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from pyarrow.parquet import ParquetFile

from tallyfy_async import ConfigurationError, ExportError
from tallyfy_async.export import folder
from tallyfy_async.export.kinds import Row
from tallyfy_async.export.target import Plan
from tallyfy_async.fleet.destinations.parquet import ParquetTarget
from tallyfy_async.fleet.destinations.pieces import FOLDER
from tests.export.test_moments import Death, Killed
from tests.fleet.export.by_hand import STARTED, TAGS, TASKS, ByHand, row
from tests.fleet.export.place import Place, files

pytestmark = pytest.mark.once
OLD = [["a", "b"], ["gone"]]
PAGES = [["a", "b"], ["c", "d"], ["d", "e"]]
WHOLE = {"a", "b", "c", "d", "e"}


def held(place: Place) -> dict[str, str]:
    return {key: data["title"] for key, data in place.world("o").get("tasks", {}).items()}


def litter(place: Place) -> list[str]:
    """Return what lies in a directory of files beside what an export leaves there."""
    names = (str(one.relative_to(place.to.path)) for one in place.to.path.rglob("*") if one.is_file())
    wanted = {"o.db", "o/.tallyfy-export.json", f"o/tasks.{place.name}", f"{FOLDER}/state.json"}
    return sorted({*names} - wanted)


# Killed.


def _dying(monkeypatch: pytest.MonkeyPatch, death: Death) -> None:
    for name in ("fsync", "truncate"):
        death.before(name, os, monkeypatch)
    for name in ("replace", "unlink", "mkdir", "open"):
        death.before(name, Path, monkeypatch)


@pytest.mark.parametrize("name", ["ndjson", "parquet", "sqlite"])
def test_killed_at_every_step_on_the_disk(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    death, new = Death(), [["a", "b"], ["b", "c"]]
    monkeypatch.setattr(os, "fsync", lambda _: None)
    ByHand(files(name, tmp_path / "before").to).whole(OLD, "old")
    _dying(monkeypatch, death)
    for doomed in range(1_000):
        place = files(name, Path(shutil.copytree(tmp_path / "before", tmp_path / str(doomed))))
        death.left, done = doomed, False
        try:
            ByHand(place.to).whole(new, "new")
            done = True
        except Killed:
            pass
        death.left = 10**9
        assert name == "sqlite" or set(held(place)) in ({"a", "b", "c"}, {"a", "b", "gone"})
        ByHand(place.to).whole(new, "new")
        assert held(place) == dict.fromkeys("abc", "new")
        assert litter(place) == []
        if done:
            break
    assert doomed > 20


@pytest.mark.parametrize("name", ["ndjson", "parquet"])
def test_a_full_disk_at_any_step_leaves_no_litter(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was half written is removed at once, so that there is room to go on."""
    left = [10**9]

    def full(_: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for doomed in range(1, 100):
        place = files(name, tmp_path / str(doomed))
        left[0] = doomed
        try:
            ByHand(place.to).whole(PAGES)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - at the last step there is none
            assert [*place.to.path.rglob("*.new")] == []
            ByHand(place.to).whole(PAGES)
        assert set(held(place)) == WHOLE
        assert litter(place) == []
        if left[0] > 0:
            break
    assert doomed > 20


def test_a_parquet_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[tuple[int, int]] = set()
    sync, move = os.fsync, Path.replace

    def seen(one: os.stat_result) -> tuple[int, int]:
        return one.st_ino, one.st_mtime_ns

    def note(handle: int) -> None:
        sync(handle)
        synced.add(seen(os.fstat(handle)))

    def check(self: Path, target: Path) -> Path:
        assert seen(self.stat()) in synced, target
        moved.append(target.name)
        return move(self, target)

    moved: list[str] = []
    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "replace", check)
    ByHand(files("parquet", tmp_path / "fleet").to).whole(PAGES)
    assert "tasks.parquet" in moved


# Twice, late, lost.


def test_a_unit_that_two_workers_read_keeps_the_rows_of_both(any_place: Place) -> None:
    """One was taken for dead. When it read, a row of an earlier page was gone, so that another had slipped away."""
    export = ByHand(any_place.to).begin()
    export.round()
    export.put(1, ["a", "b"])
    export.put(2, ["c", "d"], end=True)
    assert export.count() == 4
    export.put(2, ["d", "e"], end=True)
    assert export.finish().rows == 5
    export.end()
    export.complete()
    export.close()
    assert set(held(any_place)) == WHOLE


def test_a_unit_that_comes_again_changes_nothing(any_place: Place) -> None:
    """Its worker was killed, or its connection lost, when it had committed and before anybody heard of it."""
    export = ByHand(any_place.to).begin()
    export.round()
    for _ in range(2):
        export.put(1, ["a", "b"], end=True)
    assert export.count() == 2
    export.close()
    again = ByHand(any_place.to).begin()
    assert again.states["tasks"].marks.keys() == {1}
    again.put(1, ["a", "b"], end=True)
    report = again.finish()
    again.close()
    assert (report.rows, report.written, report.removed) == (2, 2, 0)


def test_a_unit_of_a_round_that_has_ended_is_refused(any_place: Place) -> None:
    export = ByHand(any_place.to).begin()
    export.round()
    export.put(1, ["gone"])
    export.round(1)
    with pytest.raises(ExportError, match="has ended"):
        export.put(2, ["gone"], end=True)
    export.put(1, ["a"], end=True, number=1)
    assert export.count() == 1
    assert export.finish().rows == 1
    with pytest.raises(ExportError, match="has ended"):
        export.put(1, ["gone"], end=True, number=1)
    export.end()
    export.complete()
    export.close()
    assert set(held(any_place)) == {"a"}


def test_a_worker_of_another_export_is_refused(any_place: Place) -> None:
    first = ByHand(any_place.to).begin()
    first.round()
    second = ByHand(any_place.to, resume=False).begin()
    second.round()
    with pytest.raises(ExportError, match="does not hold the export"):
        first.put(1, ["gone"], end=True)
    second.put(1, ["a"], end=True)
    assert second.finish().rows == 1
    first.close()
    second.close()


def test_an_export_that_was_taken_over_opens_no_more_organizations(any_place: Place) -> None:
    """Else it would take them from the one that goes on."""
    first = ByHand(any_place.to).begin()
    second = ByHand(any_place.to).begin()
    for organization in ("o", "p"):
        with pytest.raises(ExportError, match="another export writes here"):
            first.ledger.open(organization)
    for step in second.steps(PAGES):
        step()
    first.close()
    second.close()
    assert set(held(any_place)) == WHOLE


def test_another_export_at_any_moment_takes_over_and_nothing_is_lost(any_place: Place) -> None:
    moment, over = 0, False
    while not over:
        first = ByHand(any_place.to, resume=False).begin()
        steps = first.steps(PAGES, "first")
        over = moment == len(steps)
        for step in steps[:moment]:
            step()
        second = ByHand(any_place.to).begin()
        assert second.begun.resumed is not over
        for step in steps[moment:]:
            if getattr(step, "__name__", "") != "<lambda>":  # units under way may end, and are kept
                with pytest.raises(ExportError, match="another export writes here"):
                    step()
        for step in second.steps(PAGES, "second"):
            step()
        first.close()
        second.close()
        assert set(held(any_place)) == WHOLE
        moment += 1


@pytest.mark.parametrize("name", ["ndjson", "parquet", "sqlite"])
@pytest.mark.parametrize("lost", [0, 1, 2, None])
def test_pieces_that_went_away_are_no_empty_list(name: str, lost: int | None, tmp_path: Path) -> None:
    """A worker may see another directory of the same name, or a network's file system an old state of it."""
    place = files(name, tmp_path / "fleet")
    ByHand(place.to).whole(PAGES)
    export = ByHand(place.to).begin()
    for step in export.steps(PAGES)[:4]:
        step()
    pieces = sorted(place.to.path.glob(f"{FOLDER}/*/o/tasks/0/*.ndjson"))
    assert len(pieces) == 3
    for one in pieces if lost is None else [pieces[lost]]:
        one.unlink()
    for look in (export.count, export.finish):
        with pytest.raises(ExportError, match=f"lacks page {(lost or 0) + 1} of tasks"):
            look()
    export.close()
    assert set(held(place)) == WHOLE


@pytest.mark.parametrize("name", ["ndjson", "parquet", "sqlite"])
def test_two_that_begin_wait_for_each_other(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = files(name, tmp_path / "fleet")
    ByHand(place.to).begin().close()
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with folder.hold(place.to.path / FOLDER), pytest.raises(ExportError, match="for more than 30 s"):
        ByHand(place.to).begin()
    assert sum(slept) == pytest.approx(30, abs=0.1)


# Odd moments, odd contents.


def test_a_kind_that_was_refused_for_a_while_loses_its_old_rows(any_place: Place) -> None:
    ByHand(any_place.to).whole(OLD)
    refused = ByHand(any_place.to, kinds=(TASKS, TAGS)).begin()
    refused.ledger.refuse("o", TASKS, "NUL \0, half \ud83d: not for you")
    assert refused.ledger.report("o")[1]["tasks"].endswith("not for you")
    refused.close()
    allowed = ByHand(any_place.to, kinds=(TASKS, TAGS)).begin()
    assert allowed.begun.resumed
    allowed.round()
    allowed.put(1, ["a"], end=True)
    assert allowed.finish().removed == 2
    allowed.close()
    assert set(held(any_place)) == {"a"}


def test_of_a_row_that_comes_twice_in_a_unit_the_last_one_stays(any_place: Place) -> None:
    """A row that was added moves those behind it onto the next page."""
    export = ByHand(any_place.to).begin()
    export.round()
    export.put_rows(*(row(key, text) for text in ("z", "b", "a") for key in ("a", "b")))
    assert export.count() == 2
    report = export.finish()
    export.close()
    assert (report.rows, report.written) == (2, 2)
    assert held(any_place) == {"a": "a", "b": "a"}


def test_numbers_that_no_json_can_hold_become_null(any_place: Place) -> None:
    """JSON can carry 1e999, which Python reads as infinite."""
    export = ByHand(any_place.to).begin()
    export.round()
    export.put_rows(Row("a", {"id": "a", "title": json.loads("1e999"), "more": [{"deep": float("nan")}, 1.5]}))
    assert export.finish().written == 1
    export.close()
    assert any_place.world("o")["tasks"]["a"] == {"id": "a", "title": None, "more": [{"deep": None}, 1.5]}


@pytest.mark.parametrize(
    "content", ["", "[]", "5", '{"format": 99}', "\x00", '{"format": 1}', '{"format": 1, "run": 5}', "[" * 100_000]
)
def test_a_state_that_is_not_ours_is_refused(content: str, tmp_path: Path) -> None:
    place = files("ndjson", tmp_path / "fleet")
    (place.to.path / FOLDER).mkdir(parents=True)
    (place.to.path / FOLDER / "state.json").write_text(content)
    with pytest.raises(ConfigurationError, match="is not what this package writes"):
        ByHand(place.to).begin()


@pytest.mark.parametrize("organization", ["..", "a/b", "a\\b", "", "a.b", "o\n", FOLDER])
def test_an_organization_is_no_path(organization: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no id of an organization"):
        ByHand(files("ndjson", tmp_path / "fleet").to, organization=organization).begin()


def test_columns_of_parquet_are_text_whatever_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column's type cannot change from page to page, nor can a row group grow without bounds."""
    monkeypatch.setattr("tallyfy_async.fleet.destinations.parquet._BYTES", 100)
    values: list[Any] = [None, 5, "text", 1.5, True, 10**400, [1], {"a": []}, "half \ud83d", float("inf")]
    spelt = [None, "5", "text", "1.5", "true", str(10**400), None, None, "half ?", None]
    lines = [{"id": str(number), "title": value} for number, value in enumerate(values)]
    _written(ParquetTarget(tmp_path / "fleet"), lines)
    with ParquetFile(tmp_path / "fleet" / "tasks.parquet") as file:
        assert file.num_row_groups > 1
        found = file.read().to_pylist()
    assert [one["title"] for one in found] == spelt
    assert [one["id"] for one in found] == [str(number) for number in range(len(values))]
    assert [bool(one["json"]) for one in found] == [True] * len(values)


def _written(target: ParquetTarget, lines: list[dict[str, Any]]) -> None:
    mark = target.open(
        Plan(organization="o", kinds=(TASKS,), since=None, started=STARTED, resume=True, owner="me")
    ).marks["tasks"]
    target.put(TASKS, [Row(one["id"], one) for one in lines], evolve(mark, page=1))
    target.finish(TASKS, evolve(mark, status="done"), prune=True)


def test_a_parquet_file_that_somebody_broke_is_told(tmp_path: Path) -> None:
    place = files("parquet", tmp_path / "fleet")
    ByHand(place.to).whole(PAGES)
    (place.to.path / "o" / "tasks.parquet").write_bytes(b"{broken\n" * 10)
    with pytest.raises(ExportError, match="changed by somebody else"):
        ByHand(place.to).whole(PAGES)


def test_a_missing_pyarrow_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallyfy_async.fleet.destinations.parquet.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"pip install .tallyfy-async\[parquet\]"):
        files("parquet", tmp_path)
