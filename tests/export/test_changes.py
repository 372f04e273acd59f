"""Lists that change while they are read, or between an interruption and its end."""

from __future__ import annotations

import pytest

from tallyfy_async.export import Progress
from tests.export.place import Place, interrupted, made, remove, world_of
from tests.helpers import connect, counts

pytestmark = pytest.mark.anyio


async def test_a_list_that_changed_since_the_interruption_is_read_anew(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        await interrupted(place, org, sandbox, "runs", concurrency=1)
        oldest = (await org.runs.list(sort="created_at").collect(1))[0]
        await remove(org, oldest.id)  # what comes behind it moves onto pages that were read
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
                await remove(org, doomed)

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
                await remove(org, doomed)

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
                await remove(org, doomed)
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
                await remove(org, doomed)
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
