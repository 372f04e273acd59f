"""A target that is killed between any two steps: rows are neither lost nor doubled, and the last good state stays."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve

from tallyfy_async import ConfigurationError, ExportError
from tallyfy_async.export import folder
from tallyfy_async.export.kinds import KINDS, Kind, Row
from tallyfy_async.export.ndjson import NDJSONTarget
from tallyfy_async.export.sqlite import SQLiteTarget
from tallyfy_async.export.target import Mark, Plan, Target
from tests.export.place import Place

pytestmark = pytest.mark.once
TASKS = next(kind for kind in KINDS if kind.name == "tasks")
TAGS = next(kind for kind in KINDS if kind.name == "tags")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone."""


@define
class Death:
    """Kills at a step: writes half of what is to be written, then nothing more happens."""

    left: int = 10**9
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        self.left -= 1
        if self.left < 0:
            raise Killed

    def before(self, name: str, owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, name)

        def act(*arguments: Any, **words: Any) -> Any:
            self.step()
            return real(*arguments, **words)

        monkeypatch.setattr(owner, name, act)


@pytest.fixture
def death(monkeypatch: pytest.MonkeyPatch) -> Death:
    """Count the steps on the disk, and die at one of them."""
    made = Death()
    for name in ("fsync", "truncate"):
        made.before(name, os, monkeypatch)
    for name in ("replace", "unlink", "mkdir", "open"):
        made.before(name, Path, monkeypatch)
    return made


def row(number: int, text: str = "") -> Row:
    return Row(f"id{number}", {"id": f"id{number}", "title": text or "ä\u2028\n"})


def pages(text: str = "") -> list[list[Row]]:
    """Three pages; the last repeats a row, as a list does that grew."""
    numbers = [[0, 1, 2], [3, 4, 5], [5, 6]]
    return [[row(number, text) for number in page] for page in numbers]


def plan(since: datetime | None = None, owner: str = "me", kinds: tuple[Kind, ...] = (TASKS,)) -> Plan:
    return Plan(
        organization="o", kinds=kinds, since=since, started=datetime(2026, 2, 1, tzinfo=UTC), resume=True, owner=owner
    )


def export(target: Target, what: list[list[Row]], since: datetime | None = None) -> Mark:
    """Do what a walk does, from the mark on."""
    try:
        mark = target.open(plan(since)).marks["tasks"]
        if mark.status != "done":
            for number, rows in enumerate(what[mark.page :], mark.page + 1):
                mark = target.put(TASKS, rows, evolve(mark, page=number))
            mark = target.finish(TASKS, evolve(mark, status="done"), prune=since is None)
        target.complete()
    finally:
        target.close()
    return mark


def held(place: Place) -> dict[str, str]:
    return {key: data["title"] for key, data in place.world().get("tasks", {}).items()}


def target_of(place: Place) -> Target:
    return SQLiteTarget(place.path) if place.is_file else NDJSONTarget(place.path)


@pytest.mark.parametrize("since", [None, SINCE], ids=["whole", "since"])
def test_killed_at_every_step_on_the_disk(death: Death, tmp_path: Path, since: datetime | None) -> None:
    """First an export that is there, with a row that is gone; then another, killed once at each of its steps."""
    for doomed in range(1_000):
        place = Place(path=tmp_path / str(doomed), is_file=False)
        death.left = 10**9
        export(NDJSONTarget(place.path), [[row(0, "old"), row(99, "old")]])
        old = held(place)
        new = {one.id: "new" for page in pages("new") for one in page} | ({} if since is None else {"id99": "old"})
        death.left, done = doomed, False
        try:
            export(NDJSONTarget(place.path), pages("new"), since)
            done = True
        except Killed:
            pass
        death.left = 10**9
        assert held(place) in ([new] if done else [old, new])
        mark = export(NDJSONTarget(place.path), pages("new"), since)
        assert held(place) == new
        assert mark.rows == len(new)
        assert {one.name for one in place.path.iterdir()} <= {"tasks.ndjson", ".tallyfy-export.json"}
        if done:
            break
    assert doomed > 20


def _tear(part: Path) -> Iterator[None]:
    """Leave behind what a kill may leave of a page: any part of it."""
    whole = part.read_bytes()
    for more in (b"{", b'{"id":"id3"', b'{"id":"id3"}\n{"id":', b"\xc3"):
        part.write_bytes(whole + more)
        yield


def test_a_torn_page_is_cut_off(tmp_path: Path) -> None:
    place = Place(path=tmp_path / "a", is_file=False)
    target = NDJSONTarget(place.path)
    mark = target.open(plan()).marks["tasks"]
    target.put(TASKS, pages()[0], evolve(mark, page=1))
    for _ in _tear(place.path / "tasks.ndjson.part"):
        assert NDJSONTarget(place.path).open(plan()).marks["tasks"].page == 1
    export(NDJSONTarget(place.path), pages())
    assert set(held(place)) == {f"id{number}" for number in range(7)}


# Two at once.


def _steps(target: Target) -> list[Callable[[Mark], Mark]]:
    """Return what an export does after it opened its target."""

    def put(number: int, mark: Mark) -> Mark:
        return target.put(TASKS, pages("first")[number - 1], evolve(mark, page=number))

    def finish(mark: Mark) -> Mark:
        return target.finish(TASKS, evolve(mark, status="done"), prune=True)

    def complete(mark: Mark) -> Mark:
        target.complete()
        return mark

    return [*(partial(put, number) for number in (1, 2, 3)), finish, complete]


def test_another_export_at_any_moment_takes_over_and_nothing_is_lost(place: Place) -> None:
    """The one that began earlier writes no more, however its steps and those of the other are mixed."""
    for moment in range(6):
        here = Place(path=place.path.with_name(f"{moment}{place.path.name}"), is_file=place.is_file)
        first = target_of(here)
        mark = first.open(plan(owner="first")).marks["tasks"]
        steps = _steps(first)
        for step in steps[:moment]:
            mark = step(mark)
        second = target_of(here)
        begun = second.open(plan(owner="second")).marks["tasks"]
        for step in steps[moment:]:
            with pytest.raises(ExportError, match="another export writes here"):
                step(mark)
        if begun.status != "done":
            for number, rows in enumerate(pages("second")[begun.page :], begun.page + 1):
                begun = second.put(TASKS, rows, evolve(begun, page=number))
            second.finish(TASKS, evolve(begun, status="done"), prune=True)
        second.complete()
        first.close()
        second.close()
        assert set(held(here)) == {f"id{number}" for number in range(7)}


def test_an_export_waits_while_another_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the owner and the write are one step: nobody comes between them."""
    first = NDJSONTarget(tmp_path / "a")
    mark = first.open(plan(owner="first")).marks["tasks"]
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with folder.hold(tmp_path / "a"), pytest.raises(ExportError, match="for more than 30 s"):
        first.put(TASKS, pages()[0], evolve(mark, page=1))
    assert sum(slept) == pytest.approx(30, abs=0.1)
    assert not (tmp_path / "a" / "tasks.ndjson.part").exists()
    first.put(TASKS, pages()[0], evolve(mark, page=1))


def test_two_organizations_do_not_share_a_file(place: Place) -> None:
    first, second = target_of(place), target_of(place)
    first.open(plan(owner="first"))
    with pytest.raises(ConfigurationError, match="of the organization o, not of p"):
        second.open(evolve(plan(owner="second"), organization="p"))
    first.close()
    second.close()


# Places.


def test_a_file_that_sqlite_takes_for_memory_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    export(SQLiteTarget(Path(":memory:")), pages())
    assert (tmp_path / ":memory:").stat().st_size > 0


def test_the_same_moment_in_another_zone_is_the_same_export(place: Place) -> None:
    zone = datetime.fromisoformat("2026-01-01T02:00:00+02:00")
    first = target_of(place)
    mark = first.open(plan(SINCE)).marks["tasks"]
    first.put(TASKS, pages()[0], evolve(mark, page=1))
    first.close()
    second = target_of(place)
    opening = second.open(plan(zone))
    second.close()
    assert opening.resumed
    assert opening.marks["tasks"].page == 1


def test_a_state_that_goes_away_or_is_changed_while_the_export_runs_is_told(tmp_path: Path) -> None:
    target = NDJSONTarget(tmp_path / "a")
    mark = target.open(plan()).marks["tasks"]
    state = tmp_path / "a" / ".tallyfy-export.json"
    for harm in (lambda: state.write_text("{"), state.unlink):
        harm()
        with pytest.raises(ExportError, match="changed by somebody else"):
            target.put(TASKS, pages()[0], evolve(mark, page=1))


def test_a_lock_that_the_file_system_does_not_know_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    export(NDJSONTarget(tmp_path / "a"), pages())
    monkeypatch.setattr(os, "name", "nt")
    with folder.hold(tmp_path / "nowhere"):
        pass


def test_a_kind_that_was_left_behind_by_an_older_export_is_no_loss(place: Place) -> None:
    """An interrupted export of more kinds, then one of other kinds, then all again."""
    first = target_of(place)
    marks = first.open(plan(kinds=(TASKS, TAGS))).marks
    first.put(TASKS, pages()[0], evolve(marks["tasks"], page=1))
    first.close()
    second = target_of(place)
    opening = second.open(plan(kinds=(TAGS,)))
    second.finish(TAGS, evolve(second.put(TAGS, [], evolve(opening.marks["tags"], page=1)), status="done"), prune=True)
    second.complete()
    second.close()
    export(target_of(place), pages())
    assert set(held(place)) == {f"id{number}" for number in range(7)}


def test_json_is_whole_whatever_is_in_it(tmp_path: Path) -> None:
    place = Place(path=tmp_path / "a.db", is_file=True)
    export(SQLiteTarget(place.path), pages())
    with closing(sqlite3.connect(place.path)) as database:
        (text,) = database.execute("SELECT json FROM tasks WHERE id = 'id0'").fetchone()
    assert json.loads(text) == {"id": "id0", "title": "ä\u2028\n"}
