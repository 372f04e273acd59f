"""What a target may be, and what is in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tallyfy_async import ConfigurationError, ExportError, NotFoundError, export
from tallyfy_async.export.kinds import KINDS, Row, changed_at
from tallyfy_async.sandbox import Fault
from tests.export.place import Place, made
from tests.helpers import connect

pytestmark = pytest.mark.anyio


async def _refused(place: Place, said: str) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        with pytest.raises(ConfigurationError, match=said):
            await place.export(tallyfy.organization(), kinds=["tags"])
    assert not sandbox.stats.received


def _file(tmp_path: Path) -> Place:
    return Place(path=tmp_path / "a.db", is_file=True)


def _directory(tmp_path: Path) -> Place:
    return Place(path=tmp_path / "a", is_file=False)


# SQLite.


async def test_a_sqlite_file_of_something_else_is_refused_and_stays(tmp_path: Path) -> None:
    place = _file(tmp_path)
    with closing(sqlite3.connect(place.path)) as database:
        database.execute("CREATE TABLE mine (id)")
    before = place.path.read_bytes()
    await _refused(place, "a SQLite file of something else")
    assert place.path.read_bytes() == before


async def test_a_file_that_is_no_sqlite_is_refused_and_stays(tmp_path: Path) -> None:
    place = _file(tmp_path)
    place.path.write_text("name,email\n" * 100)
    await _refused(place, "no SQLite file")
    assert place.path.read_text() == "name,email\n" * 100


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    await _refused(Place(path=tmp_path, is_file=True), "is a directory")


async def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    place = _file(tmp_path)
    async with connect(made()) as tallyfy:
        await place.export(tallyfy.organization(), kinds=["tags"])
    with closing(sqlite3.connect(place.path)) as database:
        database.execute("PRAGMA user_version = 99")
    await _refused(place, "format 99")


async def test_an_empty_file_will_do_and_one_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    place = _file(tmp_path)
    place.path.touch()
    async with connect(made()) as tallyfy:
        await place.export(tallyfy.organization(), kinds=["tags"])
        with pytest.raises(ConfigurationError, match="cannot be written"):
            await export.to_sqlite(tallyfy.organization(), tmp_path / "nowhere" / "a.db", kinds=["tags"])
    assert place.world()["tags"]


async def test_columns_can_be_asked_for(tmp_path: Path) -> None:
    place, sandbox = _file(tmp_path), made()
    async with connect(sandbox) as tallyfy:
        await place.export(tallyfy.organization())
    with closing(sqlite3.connect(place.path)) as database:
        found = database.execute(
            "SELECT runs.name, count(*) FROM tasks JOIN runs ON runs.id = tasks.run_id GROUP BY runs.id"
        ).fetchall()
        answers = database.execute(
            "SELECT count(*) FROM tasks, json_each(tasks.json, '$.form_fields.data') AS field"
        ).fetchone()
        for kind in KINDS:
            names = [row[1] for row in database.execute(f'PRAGMA table_info("{kind.name}")')]
            assert names == ["id", *kind.columns, "json"]
    assert len(found) == 20
    assert answers[0] > 0


async def test_every_column_is_filled_somewhere(tmp_path: Path) -> None:
    """A column that no row ever fills is a misspelt key of the API."""
    place, sandbox = _file(tmp_path), made(runs=60, tasks=400)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        parent = await org.folders.create(name="Top", folder_type="run")
        await org.folders.create(name="Below", folder_type="run", parent_id=parent.id)
        await place.export(org)
    rare = {"folder_id", "due_date", "parent_id", "last_updated", "updated_at", "slug", "archived_at"}
    with closing(sqlite3.connect(place.path)) as database:
        for kind in KINDS:
            for column in kind.columns:
                (found,) = database.execute(f'SELECT count("{column}") FROM "{kind.name}"').fetchone()
                assert found or column in rare, f"{kind.name}.{column}"


async def test_others_read_while_it_is_written(tmp_path: Path) -> None:
    place, seen = _file(tmp_path), list[int]()

    def read(_: export.Progress) -> None:
        with closing(sqlite3.connect(place.path)) as database:
            seen.append(database.execute("SELECT count(*) FROM tasks").fetchone()[0])

    async with connect(made()) as tallyfy:
        await place.export(tallyfy.organization(), kinds=["tasks"], progress=read)
    assert seen == [10, 20, 30, 40, 50, 60, 70, 80, 90, 90]


# NDJSON.


async def test_a_directory_with_other_files_is_refused_and_stays(tmp_path: Path) -> None:
    place = _directory(tmp_path)
    place.path.mkdir()
    (place.path / "notes.txt").write_text("mine")
    await _refused(place, "holds something else")
    assert [one.name for one in place.path.iterdir()] == ["notes.txt"]


async def test_a_file_is_no_directory(tmp_path: Path) -> None:
    place = _directory(tmp_path)
    place.path.write_text("mine")
    await _refused(place, "is a file")
    assert place.path.read_text() == "mine"


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": 99}', "\x00", '{"format": 1}', '{"format": 1, "plan": 5}', "[" * 100_000]
)
async def test_a_state_that_is_not_ours_is_refused(tmp_path: Path, content: str) -> None:
    place = _directory(tmp_path)
    place.path.mkdir()
    (place.path / ".tallyfy-export.json").write_text(content)
    await _refused(place, "is not what this package writes")


async def test_an_empty_directory_will_do_and_parents_are_made(tmp_path: Path) -> None:
    place = Place(path=tmp_path / "a" / "b", is_file=False)
    async with connect(made()) as tallyfy:
        await place.export(tallyfy.organization(), kinds=["tags"])
    assert sorted(one.name for one in place.path.iterdir()) == [".tallyfy-export.json", "tags.ndjson"]


async def test_a_file_that_somebody_broke_is_told(tmp_path: Path) -> None:
    place = _directory(tmp_path)
    async with connect(made()) as tallyfy:
        await place.export(tallyfy.organization(), kinds=["tags"])
        (place.path / "tags.ndjson").write_text("{broken\n")
        with pytest.raises(ExportError, match="changed by somebody else"):
            await place.export(tallyfy.organization(), kinds=["tags"])
        (place.path / "tags.ndjson").unlink()
        await place.export(tallyfy.organization(), kinds=["tags"])
    assert place.world()["tags"]


async def test_a_part_that_was_lost_or_cut_is_read_again(tmp_path: Path) -> None:
    place, sandbox = _directory(tmp_path), made()

    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        for harm in (lambda part: part.unlink(), lambda part: part.write_bytes(part.read_bytes()[:-5])):
            sandbox.faults.add(
                Fault(operation="list_tasks", after=5, status=404, body={"message": "Gone."}, times=None)
            )
            with pytest.raises(NotFoundError):
                await place.export(org, kinds=["tasks"], resume=False)
            sandbox.faults.clear()
            harm(place.path / "tasks.ndjson.part")
            await place.export(org, kinds=["tasks"])
            assert len(place.world()["tasks"]) == 90


# Moments.


@pytest.mark.parametrize(
    ("data", "year"),
    [
        ({"last_updated": "2026-01-02T03:04:05.000Z"}, 2026),
        ({"updated_at": "2025-01-02 03:04:05"}, 2025),
        ({"last_updated": None, "updated_at": "2024-01-02T03:04:05Z"}, 2024),
        ({"last_updated": "soon"}, None),
        ({"last_updated": 5}, None),
        ({}, None),
    ],
)
async def test_when_a_row_was_changed(data: dict[str, object], year: int | None) -> None:
    moment = changed_at(Row("1", data))
    assert (None if moment is None else moment.year) == year
