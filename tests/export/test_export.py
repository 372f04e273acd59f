from __future__ import annotations

import errno
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tallyfy_async import (
    ConfigurationError,
    ExportError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    ServerError,
    export,
)
from tallyfy_async.export import KINDS, Progress
from tallyfy_async.sandbox import Fault
from tests.export.place import Place, made, world_of
from tests.helpers import connect, counts

pytestmark = pytest.mark.anyio


async def test_everything_is_there_once(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        report = await place.export(tallyfy.organization())
        world = await world_of(tallyfy)
    assert place.world() == world
    assert set(world) == set(KINDS)
    assert set(world["runs"]) == set(sandbox.truth()["runs"])
    assert set(world["tasks"]) == set(sandbox.truth()["tasks"])
    assert any(run["archived_at"] for run in world["runs"].values())
    assert {name: one.rows for name, one in report.kinds.items()} == {name: len(rows) for name, rows in world.items()}
    assert report.rows == report.written == sum(map(len, world.values()))
    assert (report.removed, report.refused, report.resumed) == (0, {}, False)
    assert report.organization == sandbox.credentials.organization


async def test_a_repeated_export_writes_what_differs_and_removes_what_is_gone(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        await place.export(org)
        again = await place.export(org)
        assert (again.written, again.removed, again.resumed) == (0, 0, False)
        runs = await org.runs.list().collect()
        await org.runs.update(runs[0].id, name="Another name")
        await org.runs.archive(runs[1].id)
        await org.runs.delete(runs[1].id)
        await org.tags.create(title="New", color="#ffffff")
        later = await place.export(org)
        world = await world_of(tallyfy)
    assert place.world() == world
    assert (later.kinds["runs"].removed, later.kinds["tags"].written) == (1, 1)
    assert later.kinds["runs"].written >= 1
    assert later.kinds["runs"].rows == len(world["runs"])
    assert later.kinds["tasks"].removed > 0
    assert runs[1].id not in place.world()["runs"]


async def test_since_brings_what_changed_and_reads_only_as_many_runs(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        first = await place.export(org)
        before = place.world()
        run = (await org.runs.list(sort="created_at").collect(1))[0]
        gone = (await org.runs.list(sort="-created_at").collect(1))[0]
        await org.runs.update(run.id, name="Renamed")
        await org.runs.archive(gone.id)
        await org.runs.delete(gone.id)
        changed = (await org.runs.get(run.id)).last_updated
        assert changed is not None
        asked = counts(sandbox)["list_runs"]
        report = await place.export(org, since=changed - timedelta(microseconds=1))
        assert counts(sandbox)["list_runs"] - asked <= 1 + 8  # the first page, and those ahead of it
    after = place.world()
    assert after["runs"][run.id]["name"] == "Renamed"
    assert report.kinds["runs"].written == 1
    assert report.removed == 0
    assert gone.id in after["runs"]  # nothing tells of it
    assert {key: row for key, row in after["runs"].items() if key != run.id} == {
        key: row for key, row in before["runs"].items() if key != run.id
    }
    assert first.started < report.started


async def test_since_into_an_empty_target_gives_the_changes_alone(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        run = (await org.runs.list().collect(1))[0]
        await org.runs.update(run.id, name="Renamed")
        changed = (await org.runs.get(run.id)).last_updated
        assert changed is not None
        await place.export(org, since=changed - timedelta(microseconds=1), kinds=["runs"], concurrency=1)
    assert set(place.world()["runs"]) == {run.id}
    assert counts(sandbox)["list_runs"] <= 3  # here 1, there the first page and the one ahead of it


async def test_some_kinds_only(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        report = await place.export(tallyfy.organization(), kinds=("tags", "users"))
    assert set(report.kinds) == set(place.world()) == {"tags", "users"}
    assert set(counts(sandbox)) == {"list_tags", "list_users"}


# Refusals and errors.


async def test_what_the_token_may_not_read_is_named(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(operation="list_guests", status=403, body={"message": "Not for you."}, times=None))
    sandbox.faults.add(Fault(operation="list_runs", after=1, status=403, body={"message": "No more."}, times=None))
    async with connect(sandbox) as tallyfy:
        report = await place.export(tallyfy.organization())
        assert "Not for you." in report.refused["guests"]
        assert set(report.refused) == {"guests", "runs"}
        assert set(report.kinds) == set(KINDS) - {"guests", "runs"}
        sandbox.faults.clear()
        again = await place.export(tallyfy.organization())
        assert (again.refused, again.resumed) == ({}, False)
        assert place.world() == await world_of(tallyfy)


async def test_a_refused_kind_is_read_whole_when_the_export_goes_on(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(operation="list_runs", after=2, status=403, body={"message": "No more."}, times=None))
    sandbox.faults.add(Fault(operation="list_tasks", after=6, status=404, body={"message": "Gone."}, delay=0.3))
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        with pytest.raises(NotFoundError):
            await place.export(org, kinds=["runs", "tasks"], concurrency=1)
        sandbox.faults.clear()
        oldest = (await org.runs.list(sort="created_at", archived="true").collect(1))[0]
        if oldest.archived_at is None:
            await org.runs.archive(oldest.id)
        await org.runs.delete(oldest.id)  # it was exported before the refusal
        report = await place.export(org, kinds=["runs", "tasks"])
        world = await world_of(tallyfy)
    assert report.resumed
    assert place.world() == {"runs": world["runs"], "tasks": world["tasks"]}


async def test_a_server_without_custom_fields(place: Place) -> None:
    sandbox = made()
    body = {"error": True, "message": "API endpoint not found", "code": "ENDPOINT_NOT_FOUND"}
    sandbox.faults.add(Fault(operation="list_custom_field_keys", status=404, body=body, times=None))
    async with connect(sandbox) as tallyfy:
        report = await place.export(tallyfy.organization())
    assert set(report.refused) == {"custom_fields"}


async def test_where_everything_is_refused_that_is_an_error(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(status=403, body={"message": "Not for you."}, times=None))
    async with connect(sandbox) as tallyfy:
        with pytest.raises(PermissionDeniedError, match="Not for you"):
            await place.export(tallyfy.organization(), kinds=["tags", "users"])


async def test_another_organization_is_an_error_and_nothing_is_lost(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        await place.export(tallyfy.organization())
        before = place.world()
        with pytest.raises(ConfigurationError, match="not of 00000000000000000000000000000000"):
            await place.export(tallyfy.organization("0" * 32))
    assert place.world() == before


async def test_an_error_is_raised_bare_and_the_next_export_goes_on(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(operation="list_tasks", after=3, status=404, body={"message": "Gone."}, times=None))
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        with pytest.raises(NotFoundError):
            await place.export(org, kinds=["tasks"], concurrency=1)
        sandbox.faults.clear()
        asked = counts(sandbox)["list_tasks"]
        report = await place.export(org, kinds=["tasks"], concurrency=1)
        assert report.resumed
        assert counts(sandbox)["list_tasks"] - asked == 9 - 1  # the page committed last is looked at again
        world = await world_of(tallyfy)
    assert place.world() == {"tasks": world["tasks"]}
    assert report.kinds["tasks"].written == 90


async def test_resume_false_begins_anew(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(operation="list_tasks", after=3, status=404, body={"message": "Gone."}, times=None))
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        with pytest.raises(NotFoundError):
            await place.export(org, kinds=["tasks"])
        sandbox.faults.clear()
        report = await place.export(org, kinds=["tasks"], resume=False)
    assert not report.resumed
    assert len(place.world()["tasks"]) == 90


async def test_another_since_is_another_export(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(operation="list_tasks", after=3, status=404, body={"message": "Gone."}, times=None))
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        with pytest.raises(NotFoundError):
            await place.export(org, kinds=["tasks"])
        sandbox.faults.clear()
        report = await place.export(org, kinds=["tasks"], since=datetime(2000, 1, 1, tzinfo=UTC))
    assert not report.resumed
    assert len(place.world()["tasks"]) == 90


async def test_a_list_that_changed_since_the_interruption_is_read_anew(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(operation="list_runs", after=2, status=404, body={"message": "Gone."}, times=None))
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        with pytest.raises(NotFoundError):
            await place.export(org, kinds=["runs"], concurrency=1)
        sandbox.faults.clear()
        oldest = (await org.runs.list(sort="created_at").collect(1))[0]
        await org.runs.archive(oldest.id)
        await org.runs.delete(oldest.id)  # what comes behind it moves onto pages that were read
        report = await place.export(org, kinds=["runs"], concurrency=1)
        world = await world_of(tallyfy)
    assert report.resumed
    assert place.world() == {"runs": world["runs"]}


async def test_a_list_that_loses_rows_under_the_walk_is_read_again(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        oldest = [run.id for run in await org.runs.list(sort="created_at").collect(2)]

        async def spoil(told: Progress) -> None:
            if told.rows == 12 and oldest:
                doomed = oldest.pop()
                await org.runs.archive(doomed)
                await org.runs.delete(doomed)

        report = await place.export(org, kinds=["runs"], concurrency=1, progress=spoil)
        world = await world_of(tallyfy)
    assert not oldest
    assert place.world() == {"runs": world["runs"]}
    assert not report.kinds["runs"].unsettled


async def test_a_list_that_loses_rows_each_time_is_told(place: Place) -> None:
    sandbox = made(runs=40)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        oldest = [run.id for run in await org.runs.list(sort="created_at").collect(12)]

        async def spoil(told: Progress) -> None:
            if told.rows in {12, 18}:
                doomed = oldest.pop()
                await org.runs.archive(doomed)
                await org.runs.delete(doomed)

        report = await place.export(org, kinds=["runs"], concurrency=1, progress=spoil)
    assert report.kinds["runs"].unsettled
    assert len(oldest) == 4


async def test_a_row_that_went_while_another_came_is_not_missed(place: Place) -> None:
    """The total stays as it was, and the row that slipped to the front would be on no page."""
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        oldest = (await org.runs.list(sort="created_at").collect(1))[0]
        checklist = await org.checklists.create(title="Plain", type="procedure")
        left = [oldest.id]

        async def spoil(told: Progress) -> None:
            if told.rows == 6 and left:
                doomed = left.pop()
                await org.runs.archive(doomed)
                await org.runs.delete(doomed)
                await org.runs.launch(checklist.id, name="As many as before")

        report = await place.export(org, kinds=["runs"], concurrency=1, progress=spoil)
        world = await world_of(tallyfy)
    assert not left
    assert place.world() == {"runs": world["runs"]}
    assert report.kinds["runs"].rows == 20
    assert not report.kinds["runs"].unsettled


async def test_a_row_that_goes_while_another_comes_each_time_is_told_and_nothing_is_removed(place: Place) -> None:
    sandbox = made(runs=40)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        checklist = await org.checklists.create(title="Plain", type="procedure")
        oldest = [run.id for run in await org.runs.list(sort="created_at").collect(8)]
        await place.export(org, kinds=["runs"])
        before = place.world()["runs"]

        async def spoil(told: Progress) -> None:
            if told.rows == 12 and not told.done:
                doomed = oldest.pop()
                await org.runs.archive(doomed)
                await org.runs.delete(doomed)
                await org.runs.launch(checklist.id, name="As many as before")

        report = await place.export(org, kinds=["runs"], concurrency=1, progress=spoil)
    assert report.kinds["runs"].unsettled
    assert report.kinds["runs"].removed == 0
    assert set(before) <= set(place.world()["runs"])


async def test_a_list_that_only_grows_is_read_once(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        checklist = await org.checklists.create(title="Plain", type="procedure")
        launched: list[str] = []

        async def grow(told: Progress) -> None:
            if told.rows in {6, 12} and not told.done:
                launched.append((await org.runs.launch(checklist.id, name="One more")).id)

        report = await place.export(org, kinds=["runs"], concurrency=1, progress=grow)
        world = await world_of(tallyfy)
    assert len(launched) == 2
    assert place.world() == {"runs": world["runs"]}
    assert counts(sandbox)["list_runs"] <= 4 + 1 + 1 + 4  # the pages, the end looked at, one fetched anew; world_of
    assert report.kinds["runs"].rows == 22


async def test_since_takes_the_second_that_it_is_in(place: Place) -> None:
    """The server's dates are whole seconds: what changed after the moment may seem to have changed before it."""
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        run = (await org.runs.list().collect(1))[0]
        changed = (await org.runs.update(run.id, name="Renamed")).last_updated
        assert changed is not None
        since = changed.replace(microsecond=0) + timedelta(milliseconds=900)
        await place.export(org, since=since, kinds=["runs"])
    assert run.id in place.world()["runs"]


async def test_roles_are_there_and_a_server_may_lack_them(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox, allow_unverified=False) as tallyfy:  # a warning would be an error here
        await place.export(tallyfy.organization(), kinds=["roles"])
        assert [role["name"] for role in place.world()["roles"].values()] == ["auditor"]
        body = {"error": True, "message": "API endpoint not found", "code": "ENDPOINT_NOT_FOUND"}
        sandbox.faults.add(Fault(operation="list_roles", status=404, body=body, times=None))
        report = await place.export(tallyfy.organization(), kinds=["roles", "tags"])
    assert set(report.refused) == {"roles"}


async def test_a_disk_that_is_full_is_told_and_the_next_export_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = made()
    full = True
    fsync, connection = os.fsync, sqlite3.connect

    def flush(handle: int) -> None:
        if full and place.path.joinpath("tasks.ndjson.part").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    def small(*arguments: Any, **words: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connection(*arguments, **words)
        if full:
            made.execute("PRAGMA max_page_count = 60")
        return made

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(sqlite3, "connect", small)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        with pytest.raises(ExportError, match=r"cannot be written: .*(full|No space)") as caught:
            await place.export(org)
        assert isinstance(caught.value.__cause__, OSError | sqlite3.Error)
        full = False
        monkeypatch.undo()
        report = await place.export(org)
        assert report.resumed
        assert place.world() == await world_of(tallyfy)


async def test_a_list_that_keeps_ending_short_is_an_error(place: Place) -> None:
    sandbox = made()
    short = {"meta": {"pagination": {"total": 999, "count": 4, "per_page": 100, "current_page": 1, "total_pages": 1}}}
    sandbox.faults.add(Fault(operation="list_tags", patch=short, times=None))
    async with connect(sandbox) as tallyfy:
        with pytest.raises(PaginationError, match="of 999 items"):
            await place.export(tallyfy.organization(), kinds=["tags"])
    assert counts(sandbox)["list_tags"] == 4


async def test_a_server_that_fails_is_asked_again_by_the_policy_and_then_told(place: Place) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(operation="list_tags", status=500, body={"message": "Oops"}, times=None))
    async with connect(sandbox, retry=0) as tallyfy:
        with pytest.raises(ServerError):
            await place.export(tallyfy.organization())
        sandbox.faults.clear()
        report = await place.export(tallyfy.organization())
        assert report.resumed
        assert place.world() == await world_of(tallyfy)


# Progress.


async def test_progress_is_told_page_by_page(place: Place) -> None:
    sandbox = made()
    told: list[Progress] = []
    async with connect(sandbox) as tallyfy:
        await place.export(tallyfy.organization(), kinds=["tasks"], progress=told.append)
    assert [one.rows for one in told] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 90]
    assert {one.total for one in told} == {90}
    assert [one.done for one in told] == [False] * 9 + [True]


async def test_a_listener_that_raises_is_ignored(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Progress) -> None:
        raise RuntimeError("secret")

    sandbox = made()
    async with connect(sandbox) as tallyfy:
        report = await place.export(tallyfy.organization(), kinds=["tags"], progress=fail)
    assert report.kinds["tags"].rows
    assert "progress raised RuntimeError" in caplog.text
    assert "secret" not in caplog.text


# Two at a time.


async def test_the_second_export_into_a_target_takes_it_over(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        other: list[export.ExportReport] = []

        async def intrude(told: Progress) -> None:
            if told.rows == 30 and not other:
                other.append(await place.export(org, kinds=["tasks"]))

        with pytest.raises(ExportError, match="another export writes here"):
            await place.export(org, kinds=["tasks"], progress=intrude, concurrency=1)
        world = await world_of(tallyfy)
    assert place.world() == {"tasks": world["tasks"]}


# Arguments.


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"kinds": ["tasks", "processes"]}, "'processes' is not among"),
        ({"kinds": []}, "at least one kind"),
        ({"since": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - what is refused
        ({"since": "2026-01-01"}, "time zone"),
        ({"concurrency": 0}, "at least 1"),
        ({"concurrency": True}, "at least 1"),
        ({"progress": 5}, "progress must be"),
        ({"kinds": 5}, "kinds must be"),
        ({"kinds": [["tasks"]]}, "kinds must be"),
    ],
)
async def test_wrong_arguments_send_and_write_nothing(place: Place, wishes: dict[str, Any], said: str) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        with pytest.raises(ConfigurationError, match=said):
            await place.export(tallyfy.organization(), **wishes)
    assert not place.path.exists()
    assert not sandbox.stats.received


async def test_as_many_pages_ahead_as_the_limiter_lets_run(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        report = await place.export(tallyfy.organization(), concurrency=None)
        assert place.world() == await world_of(tallyfy)
    assert set(report.to_dict()["kinds"]) == set(KINDS)  # type: ignore[call-overload]


@pytest.mark.parametrize("data", [{"title": "no id"}, [], "text"])
async def test_a_row_without_id_is_a_decode_error(place: Place, data: Any) -> None:
    from tallyfy_async import DecodeError

    sandbox = made()
    sandbox.faults.add(Fault(operation="list_tags", body={"data": [data]}))
    async with connect(sandbox) as tallyfy:
        with pytest.raises(DecodeError, match=r"data\[0\]"):
            await place.export(tallyfy.organization(), kinds=["tags"])


async def test_what_utf8_and_sqlite_cannot_hold(place: Place) -> None:
    sandbox = made()
    body = b'{"data":[{"id":"1","title":"half \\ud83d pair \\u0000","color":%d}]}' % 10**30
    sandbox.faults.add(Fault(operation="list_tags", body=body, content_type="application/json"))
    async with connect(sandbox) as tallyfy:
        await place.export(tallyfy.organization(), kinds=["tags"])
    assert place.world()["tags"] == {"1": {"id": "1", "title": "half \ud83d pair \x00", "color": 10**30}}
