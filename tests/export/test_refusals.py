"""Refusals, errors and interruptions: what is told, and how the next export goes on."""

from __future__ import annotations

import errno
import os
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest

from tallyfy_async import (
    ConfigurationError,
    DecodeError,
    ExportError,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    ServerError,
    export,
)
from tallyfy_async.export import KINDS, Progress
from tallyfy_async.sandbox import Fault
from tests.export.place import Place, interrupted, made, world_of
from tests.helpers import connect, counts

pytestmark = pytest.mark.anyio


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
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        await interrupted(place, org, sandbox, "tasks", concurrency=1)
        asked = counts(sandbox)["list_tasks"]
        report = await place.export(org, kinds=["tasks"], concurrency=1)
        assert report.resumed
        assert counts(sandbox)["list_tasks"] - asked == 9 - 1  # the page committed last is looked at again
        world = await world_of(tallyfy)
    assert place.world() == {"tasks": world["tasks"]}
    assert report.kinds["tasks"].written == 90


async def test_resume_false_begins_anew(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        await interrupted(place, org, sandbox, "tasks")
        report = await place.export(org, kinds=["tasks"], resume=False)
    assert not report.resumed
    assert len(place.world()["tasks"]) == 90


async def test_another_since_is_another_export(place: Place) -> None:
    sandbox = made()
    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        await interrupted(place, org, sandbox, "tasks")
        report = await place.export(org, kinds=["tasks"], since=datetime(2000, 1, 1, tzinfo=UTC))
    assert not report.resumed
    assert len(place.world()["tasks"]) == 90


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


@pytest.mark.parametrize("data", [{"title": "no id"}, [], "text"])
async def test_a_row_without_id_is_a_decode_error(place: Place, data: Any) -> None:
    sandbox = made()
    sandbox.faults.add(Fault(operation="list_tags", body={"data": [data]}))
    async with connect(sandbox) as tallyfy:
        with pytest.raises(DecodeError, match=r"data\[0\]"):
            await place.export(tallyfy.organization(), kinds=["tags"])
