"""What an export brings: everything, once, and later what differs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tallyfy_async import (
    ConfigurationError,
)
from tallyfy_async.export import KINDS, Progress
from tallyfy_async.sandbox import Fault
from tests.export.place import Place, made, remove, world_of
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
        await remove(org, runs[1].id)
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
        await remove(org, gone.id)
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


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"kinds": ["tasks", "processes"]}, "'processes' is not among"),
        ({"kinds": []}, "at least one kind"),
        ({"since": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - what is refused
        ({"since": "2026-01-01"}, "time zone"),
        ({"since": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))}, "in UTC too"),
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


async def test_what_utf8_and_sqlite_cannot_hold(place: Place) -> None:
    sandbox = made()
    body = b'{"data":[{"id":"1","title":"half \\ud83d pair \\u0000","color":%d}]}' % 10**30
    sandbox.faults.add(Fault(operation="list_tags", body=body, content_type="application/json"))
    async with connect(sandbox) as tallyfy:
        await place.export(tallyfy.organization(), kinds=["tags"])
    assert place.world()["tags"] == {"1": {"id": "1", "title": "half \ud83d pair \x00", "color": 10**30}}
