"""Exports that end at any moment, and what goes on with them: nothing is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tallyfy_async import ServerError, fleet
from tests.fleet.export.model import (
    EPOCH,
    RUNS,
    Doomed,
    KilledError,
    Lists,
    Memory,
    Moments,
    delete,
    export,
    fail,
    interrupted,
    lists_of,
)
from tests.fleet.export.place import Place, files

pytestmark = [pytest.mark.anyio, pytest.mark.once]
EARLY = EPOCH + timedelta(seconds=1)


def _held(place: Place) -> dict[str, Any]:
    return {key: row["last_updated"] for rows in place.world("o").values() for key, row in rows.items()}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: nothing here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


async def _attempt(how: str, lists: Lists, to: Any, moments: Moments, **wishes: Any) -> None:
    """Export until a moment comes at which the process is killed, or the export cancelled by a scope or by asyncio."""
    lists.before = moments.on_the_loop
    work = partial(fleet.export, [lists.organization()], to=Doomed(to, moments), **wishes)
    if how == "killed":
        try:
            await work()
        except* KilledError:
            pass
    elif how == "cancelled":
        with anyio.CancelScope() as scope:
            moments.cancel = scope.cancel
            await work()
    else:
        task = asyncio.ensure_future(work())
        moments.cancel = task.cancel
        with suppress(asyncio.CancelledError):
            await task
    lists.before = lambda _: None


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize(
    ("anyio_backend", "how", "name", "since"),
    [
        ("asyncio", "killed", "ndjson", None),
        ("trio", "killed", "ndjson", EARLY),
        ("trio", "killed", "sqlite", None),
        ("trio", "cancelled", "ndjson", None),
        ("asyncio", "cancelled natively", "ndjson", None),
    ],
)
async def test_it_ends_at_every_moment_and_goes_on(how: str, name: str, since: datetime | None, tmp_path: Path) -> None:
    """An export that is there, then another that ends at one of its calls, commits, or just after; then it goes on."""
    lists = lists_of(4, RUNS)
    wishes: dict[str, Any] = {"kinds": ["runs"], "pages": 1, "concurrency": 1}
    first = files(name, tmp_path / "first")
    await fleet.export([lists.organization()], to=first.to, **wishes)
    old = _held(first)
    delete(lists, 0, RUNS)
    lists.change(RUNS, 2)
    lists.create(RUNS)
    changed = {row["id"]: row["last_updated"] for row in lists.rows[RUNS]}
    new = changed if since is None else {**old, **changed}
    for moment in range(200):
        place = files(name, tmp_path / str(moment))
        shutil.copytree(first.to.path, place.to.path)
        moments = Moments(moment)
        await _attempt(how, lists, place.to, moments, since=since, **wishes)
        assert _held(place).items() <= {*old.items(), *new.items()}
        assert _held(place) in (old, new) or name == "sqlite"  # which is written unit by unit
        report = await fleet.export([lists.organization()], to=place.to, since=since, **wishes)
        assert _held(place) == new
        assert report.organizations["o"].kinds["runs"].rows == len(new)
        assert {one.name for one in place.to.path.glob(".tallyfy-fleet/*")} == {"state.json"}
        if moments.left >= 0:
            break
    assert moment > 20


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("since", [None, EPOCH + timedelta(seconds=11)])
async def test_units_of_another_size_leave_no_gap(before: int, after: int, since: datetime | None) -> None:
    lists, memory = lists_of(21, RUNS), Memory()
    await interrupted(
        lists, memory, before + 3 if since is None else before + 1, kinds=["runs"], since=since, pages=before
    )
    report = await export(lists, memory, kinds=["runs"], since=since, pages=after)
    assert report.resumed
    assert memory.tables["o", "runs"].keys() >= {row["id"] for row in lists.rows[RUNS][0 if since is None else 10 :]}


@pytest.mark.parametrize(("before", "after"), [(["tags"], ["tags", "runs"]), (["tags", "runs"], ["tags"])])
async def test_an_organization_that_ended_with_other_kinds(
    before: list[str], after: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export is interrupted when it ended: what it lacks is read, and what nobody asked for is not told."""
    lists, memory = lists_of(3), Memory()
    lists.create(RUNS)
    with monkeypatch.context() as patch:
        patch.setattr(Memory, "complete", lambda _: fail())
        with pytest.raises(ServerError):
            await export(lists, memory, kinds=before)
    asked = len(lists.asked)
    report = await export(lists, memory, kinds=after)
    assert report.resumed
    assert memory.tables["o", "runs"].keys() == lists.ids(RUNS)
    assert {*report.organizations["o"].kinds} == {*after}
    assert len(lists.asked) - asked == len({*after} - {*before})


async def test_the_same_moment_in_another_zone_is_the_same_export() -> None:
    lists, memory = lists_of(8), Memory()
    await interrupted(lists, memory, 5, since=EARLY)
    report = await export(lists, memory, since=EARLY.astimezone(timezone(timedelta(hours=2))))
    assert report.resumed
