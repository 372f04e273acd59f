from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from tallyfy_async import (
    ConfigurationError,
    ExportError,
    PaginationError,
    PermissionDeniedError,
    ServerError,
    export,
    fleet,
)
from tallyfy_async.export import KINDS
from tallyfy_async.fleet import FleetProgress
from tallyfy_async.sandbox import Fault
from tests.export.place import world_of
from tests.fleet.export.place import Place, connect, files, made, orgs_of
from tests.helpers import counts

pytestmark = pytest.mark.anyio


async def test_everything_of_all_organizations_is_there_once(place: Place) -> None:
    sandbox = made()
    heard: list[FleetProgress] = []
    async with connect(sandbox) as tallyfy:
        report = await place.export(orgs_of(sandbox, tallyfy), progress=heard.append)
        world = await world_of(tallyfy)
    first, *others = sandbox.credentials.organizations
    assert place.world(first) == world
    assert set(world) == set(KINDS)
    for other in others:
        assert set(place.world(other)["tasks"]) == set(sandbox.truth(other)["tasks"])
    found = {name: one.rows for name, one in report.organizations[first].kinds.items()}
    assert found == {name: len(rows) for name, rows in world.items()}
    assert (report.rows, report.removed, report.resumed) == (report.written, 0, False)
    assert list(report.organizations) == [first, *others]
    done = {(one.organization, one.kind) for one in heard if one.done}
    assert done == {(organization, kind) for organization in report.organizations for kind in KINDS}


async def test_a_repeated_export_writes_what_differs_and_removes_what_is_gone(place: Place) -> None:
    sandbox = made(1)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        await place.export([org])
        again = await place.export([org])
        assert (again.written, again.removed, again.resumed) == (0, 0, False)
        await change(org)
        later = await place.export([org])
        world = await world_of(tallyfy)
    kinds = later.organizations[org.id].kinds
    assert place.world(org.id) == world
    assert (kinds["runs"].removed, kinds["tags"].written) == (1, 1)
    assert kinds["runs"].written >= 1


async def change(org: Any) -> None:
    runs = await org.runs.list().collect()
    await org.runs.update(runs[0].id, name="Another name")
    await org.runs.archive(runs[1].id)
    await org.runs.delete(runs[1].id)
    await org.tags.create(title="New", color="#ffffff")


@pytest.mark.once
async def test_since_brings_what_changed_and_reads_only_as_many_runs(place: Place) -> None:
    sandbox = made(1, runs=30)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        await place.export([org])
        run = (await org.runs.list(sort="created_at").collect(1))[0]
        await org.runs.update(run.id, name="Renamed")
        changed = (await org.runs.get(run.id)).last_updated
        assert changed is not None
        asked = counts(sandbox)["list_runs"]
        report = await place.export([org], since=changed - timedelta(microseconds=1))
    assert counts(sandbox)["list_runs"] - asked == 1
    assert place.world(org.id)["runs"][run.id]["name"] == "Renamed"
    assert len(place.world(org.id)["runs"]) == 30
    assert report.organizations[org.id].kinds["runs"].written == 1
    assert report.removed == 0


@pytest.mark.once
async def test_cancelled_at_any_unit_it_goes_on(place: Place) -> None:
    sandbox = made(2)
    async with connect(sandbox) as tallyfy:
        orgs = orgs_of(sandbox, tallyfy)
        asked = []
        for most in (1, 6):
            with anyio.CancelScope() as scope:
                left = [most]

                def stop(_: FleetProgress, left: list[int] = left, scope: anyio.CancelScope = scope) -> None:
                    left[0] -= 1
                    if not left[0]:
                        scope.cancel()

                await place.export(orgs, progress=stop)
            assert scope.cancelled_caught
            asked.append(counts(sandbox))
        report = await place.export(orgs)
        assert report.resumed
        assert place.world(orgs[0].id) == await world_of(tallyfy)
    assert set(place.world(orgs[1].id)["tasks"]) == set(sandbox.truth(orgs[1].id)["tasks"])


@pytest.mark.once
async def test_what_was_read_before_a_failure_is_not_read_again(place: Place) -> None:
    sandbox = made(1)
    sandbox.faults.add(Fault(operation="list_tasks", after=5, status=500, body={"message": "Oops."}, times=None))
    async with connect(sandbox, retry=0) as tallyfy:
        org = tallyfy.organization()
        with pytest.raises(ServerError):
            await place.export([org], kinds=["tasks"], pages=1, concurrency=1)
        assert counts(sandbox)["list_tasks"] == 6
        sandbox.faults.clear()
        report = await place.export([org], kinds=["tasks"], pages=1, concurrency=1)
        world = await world_of(tallyfy)
    assert report.resumed
    assert place.world(org.id) == {"tasks": world["tasks"]}
    # 7 pages: the first one and the last full one were looked at, then 3 were read; now one is looked at, 4 are read.
    assert report.units == 4


@pytest.mark.once
async def test_a_list_that_lost_rows_between_two_attempts_is_read_again(place: Place) -> None:
    sandbox = made(1)
    sandbox.faults.add(Fault(operation="list_runs", after=2, status=500, body={"message": "Oops."}, times=None))
    async with connect(sandbox, retry=0) as tallyfy:
        org = tallyfy.organization()
        with pytest.raises(ServerError):
            await place.export([org], kinds=["runs"], pages=1, concurrency=1)
        sandbox.faults.clear()
        oldest = (await org.runs.list(sort="created_at").collect(1))[0]
        await org.runs.archive(oldest.id)
        await org.runs.delete(oldest.id)
        await place.export([org], kinds=["runs"], pages=1, concurrency=1)
        world = await world_of(tallyfy)
    assert place.world(org.id) == {"runs": world["runs"]}


@pytest.mark.once
async def test_a_list_that_loses_rows_while_it_is_read_is_read_again(place: Place) -> None:
    sandbox = made(1)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        oldest = [run.id for run in await org.runs.list(sort="created_at").collect(2)]

        async def spoil(told: FleetProgress) -> None:
            if oldest and not told.done:
                doomed = oldest.pop()
                await org.runs.archive(doomed)
                await org.runs.delete(doomed)

        report = await place.export([org], kinds=["runs"], concurrency=1, pages=1, progress=spoil)
        world = await world_of(tallyfy)
    assert not oldest
    assert place.world(org.id) == {"runs": world["runs"]}
    assert not report.organizations[org.id].kinds["runs"].unsettled


@pytest.mark.once
async def test_rows_that_come_as_others_go_hide_none(place: Place) -> None:
    sandbox = made(1)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        checklist = await org.checklists.create(title="Plain", type="procedure")
        oldest = [run.id for run in await org.runs.list(sort="created_at").collect(1)]
        launched: list[str] = []

        async def swap(told: FleetProgress) -> None:
            if oldest and not told.done:
                doomed = oldest.pop()
                await org.runs.archive(doomed)
                await org.runs.delete(doomed)
                launched.append((await org.runs.launch(checklist.id, name="In its place")).id)

        report = await place.export([org], kinds=["runs"], concurrency=1, pages=1, progress=swap)
        world = await world_of(tallyfy)
    assert launched
    assert place.world(org.id) == {"runs": world["runs"]}
    assert not report.organizations[org.id].kinds["runs"].unsettled


@pytest.mark.once
async def test_a_list_that_grows_is_read_to_its_new_end(place: Place) -> None:
    sandbox = made(1)
    begun: list[int] = []
    added: list[str] = []
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()

        async def grow(told: FleetProgress) -> None:
            if len(begun) < 3 and not told.done:
                begun.append(told.rows)
                owners = {"users": [next(iter(sandbox.truth()["users"]))], "guests": [], "groups": []}
                deadline = datetime(2027, 1, 1, tzinfo=UTC)
                task = await org.tasks.create(title="One more", deadline=deadline, owners=owners)
                added.append(task.id)

        report = await place.export([org], kinds=["tasks"], concurrency=1, pages=1, progress=grow)
        world = await world_of(tallyfy)
    assert len(added) == 3
    assert place.world(org.id) == {"tasks": world["tasks"]}
    assert not report.organizations[org.id].kinds["tasks"].unsettled
    assert report.units <= 9  # 43 tasks are 8 pages, of which the last one is read twice at most


@pytest.mark.once
async def test_a_list_that_keeps_ending_short_is_an_error(place: Place) -> None:
    sandbox = made(1)
    short = {"meta": {"pagination": {"total": 999, "count": 4, "per_page": 100, "current_page": 1, "total_pages": 1}}}
    sandbox.faults.add(Fault(operation="list_tags", patch=short, times=None))
    async with connect(sandbox) as tallyfy:
        with pytest.raises(PaginationError, match="of 999 items"):
            await place.export([tallyfy.organization()], kinds=["tags"])
    assert counts(sandbox)["list_tags"] == 4


@pytest.mark.once
async def test_what_is_refused_is_told_and_the_rest_goes_on(place: Place) -> None:
    sandbox = made(2)
    first, second = sandbox.credentials.organizations
    refusal = {"status": 403, "body": {"message": "Not for you."}, "times": None}
    sandbox.faults.add(Fault(operation="list_guests", **refusal), Fault(path=f"^.*/{second}", **refusal))
    async with connect(sandbox) as tallyfy:
        report = await place.export(orgs_of(sandbox, tallyfy))
        assert set(report.organizations[first].refused) == {"guests"}
        assert set(report.organizations[first].kinds) == set(KINDS) - {"guests"}
        assert set(report.organizations[second].refused) == set(KINDS)
        assert report.to_dict()["units"] == report.units
        with pytest.raises(PermissionDeniedError, match="Not for you"):
            await place.export([tallyfy.organization(second)])


@pytest.mark.once
async def test_of_two_exports_at_once_the_earlier_one_is_told(place: Place) -> None:
    sandbox = made(1)
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        second: list[Any] = []

        async def again(_: FleetProgress) -> None:
            if not second:
                second.append(None)
                second.append(await place.export([org]))

        with pytest.raises(ExportError, match="another export"):
            await place.export([org], kinds=["runs"], progress=again)
        assert second[1].resumed
        assert place.world(org.id) == await world_of(tallyfy)


@pytest.mark.once
async def test_a_fleet_goes_on_from_what_a_plain_export_left(tmp_path: Path) -> None:
    sandbox = made(1)
    place = files("sqlite", tmp_path / "fleet")
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        await place.export([org])
        later = await export.to_sqlite(org, place.to.path / f"{org.id}.db")
    assert (later.written, later.removed) == (0, 0)


@pytest.mark.once
@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"pages": 0}, "pages must be"),
        ({"concurrency": 1.5}, "concurrency must be"),
        ({"since": "yesterday"}, "since must be"),
        ({"kinds": ["nothing"]}, "nothing"),
        ({"dask": object()}, "access=Access.of"),
    ],
)
async def test_wrong_arguments(place: Place, wishes: dict[str, Any], words: str) -> None:
    sandbox = made(1)
    async with connect(sandbox) as tallyfy:
        with pytest.raises(ConfigurationError, match=words):
            await place.export([tallyfy.organization()], **wishes)
        for wrong in (tallyfy.organization(), "abc", ["abc"]):
            with pytest.raises(ConfigurationError, match="organizations must be"):
                await fleet.export(wrong, to=place.to)  # type: ignore[arg-type]


@pytest.mark.once
async def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    sandbox = made(1)
    (tmp_path / "letter.txt").write_text("Dear Ada")
    async with connect(sandbox) as tallyfy:
        for wrong in (tmp_path, tmp_path / "letter.txt"):
            with pytest.raises(ConfigurationError, match=r"something else|is a file"):
                await fleet.export([tallyfy.organization()], to=fleet.NDJSON(wrong))
