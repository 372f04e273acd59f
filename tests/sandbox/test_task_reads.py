from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("word", "stored"),
    [
        ("complete", {"completed"}),
        ("completed", {"completed"}),
        ("active", {"not-started", "in-progress"}),
        ("incomplete", {"not-started", "in-progress"}),
        ("inprogress", {"in-progress"}),
        ("not-started", {"not-started"}),
        ("all", {"not-started", "in-progress", "completed", "auto-skipped"}),
    ],
)
async def test_task_status_words(api: Api, word: str, stored: set[str]) -> None:
    found = (await api.get("{org}/tasks", status=word, without_pagination="true"))["data"]
    expected = {t.id for t in api.tenant.tasks.values() if t.status in stored and t.archived_at is None}
    assert {row["id"] for row in found} == expected
    assert {row["status"] for row in found} == stored


async def test_task_filters(api: Api) -> None:
    rows = [t for t in api.tenant.tasks.values() if t.archived_at is None]
    someday = next(t for t in rows if t.deadline)
    day = (await api.get(f"{{org}}/tasks/{someday.id}"))["data"]["deadline"][:10]

    async def ids(**params: str) -> set[str]:
        return {r["id"] for r in (await api.get("{org}/tasks", without_pagination="true", **params))["data"]}

    on, before, after = await ids(deadline_on=day), await ids(deadline_before=day), await ids(deadline_after=day)
    assert someday.id in on
    assert on | before | after == {t.id for t in rows if t.deadline}
    assert len(on) + len(before) + len(after) == len(on | before | after)
    assert await ids(deadline_on=day, deadline_before="2000-01-01") == on
    assert await ids(deadline_start_range=day, deadline_end_range=day) == on
    assert await ids(is_oneoff="true") == {t.id for t in rows if t.step_id is None}
    assert await ids(hasproblem="x", status="hasproblem") == {t.id for t in rows if t.problem}
    assert await ids(assignee="me") == await ids(owners="1001") == {t.id for t in rows if 1001 in t.users}
    guest = next(t.guests[0] for t in rows if t.guests)
    assert await ids(guests=guest) == {t.id for t in rows if guest in t.guests}
    group = next(t.groups[0] for t in rows if t.groups)
    assert await ids(groups=group) == {t.id for t in rows if group in t.groups}
    rows[0].users, rows[0].guests, rows[0].groups = [], [], []
    assert await ids(unassigned="true") == {rows[0].id}
    assert await ids(folder="x") == set()
    bad = await api.call("GET", "{org}/tasks", params={"deadline_on": "tomorrow"})
    assert (bad.status_code, list(bad.json()["errors"])) == (422, ["deadline_on"])


async def test_tasks_of_a_run_ignore_filters_that_cannot_be_read(api: Api) -> None:
    run = next(r for r in api.tenant.runs.values() if not r.archived_at)
    path = f"{{org}}/runs/{run.id}/tasks"
    everything = await api.get(path)
    for filters in ({"status": "odd"}, {"deadline_on": "tomorrow"}, {"created": "2026-01-01:x"}):
        assert await api.get(path, **filters) == everything
    assert (await api.get(path, created="1990-01-01:1990-02-01"))["data"] == []
    assert await api.get("{org}/users/1001/tasks", status="odd") == await api.get("{org}/users/1001/tasks")


async def test_overdue_and_due_soon_follow_the_clock(api: Api, clock: Any) -> None:
    task = next(t for t in api.tenant.tasks.values() if t.is_open and t.deadline and t.archived_at is None)
    clock.now = task.deadline - 3600
    soon = (await api.get("{org}/tasks", status="due_soon", without_pagination="true"))["data"]
    assert task.id in {row["id"] for row in soon}
    clock.now = task.deadline + 1
    late = (await api.get("{org}/tasks", status="overdue", without_pagination="true"))["data"]
    assert task.id in {row["id"] for row in late}


async def test_task_order(api: Api) -> None:
    def stamps(reply: dict[str, Any], name: str) -> list[Any]:
        return [row[name] for row in reply["data"]]

    deadlines = stamps(await api.get("{org}/tasks", per_page=100, sort="deadline"), "deadline")
    assert deadlines == sorted(deadlines)
    newest = stamps(await api.get("{org}/tasks", per_page=100, sort="newest"), "created_at")
    assert newest == sorted(newest, reverse=True)
    done = stamps(await api.get("{org}/tasks", per_page=100, sort="completed_newest"), "completed_at")
    assert done == sorted([d for d in done if d], reverse=True) + [d for d in done if not d]
    run = next(r for r in api.tenant.runs.values() if len(r.task_ids) > 2)
    places = stamps(await api.get(f"{{org}}/runs/{run.id}/tasks", per_page=100, sort="-position"), "position")
    assert places == sorted(places, reverse=True)


async def test_my_tasks_default_to_active(api: Api) -> None:
    active = await api.get("{org}/me/tasks", without_pagination="true")
    everything = await api.get("{org}/me/tasks", without_pagination="true", status="all")
    assert {row["status"] for row in active["data"]} <= {"not-started", "in-progress"}
    assert len(everything["data"]) > len(active["data"]) > 0
    assert all(1001 in row["owners"]["users"] for row in everything["data"])
    meta = (await api.get("{org}/me/tasks"))["meta"]
    assert set(meta) == {"overdue_tasks", "tasks_due_soon", "pagination"}


async def test_task_includes_and_summary(api: Api) -> None:
    task = next(t for t in api.tenant.tasks.values() if t.problem)
    plain = (await api.get("{org}/tasks", per_page=100, status="hasproblem"))["data"][0]
    assert "summary" not in plain
    assert "form_fields" not in plain
    words = "run,run.checklist,step,threads,issues,threads_count,form_fields,ko-form-fields,tags,roles"
    row = (await api.get(f"{{org}}/tasks/{task.id}", **{"with": words}))["data"]
    assert "summary" in row
    assert row["run"]["data"]["checklist"]["data"]["id"] == task.checklist_id
    assert row["step"]["data"]["id"] == task.step_id
    assert row["threads"]["data"][0]["label"] == "problem"
    assert row["issues"]["data"][0]["resolve_id"] is None
    assert row["threads_count"] == 1
    assert row["roles"] == {"data": []}
    oneoff = next(t for t in api.tenant.tasks.values() if t.is_oneoff)
    row = (await api.get(f"{{org}}/tasks/{oneoff.id}", **{"with": "run,step,ko-form-fields"}))["data"]
    assert row["step"] is None
    assert "run" not in row


async def test_task_of_another_run_is_not_found(api: Api) -> None:
    first, second = [r for r in api.tenant.runs.values() if r.task_ids][:2]
    reply = await api.call("GET", f"{{org}}/runs/{second.id}/tasks/{first.task_ids[0]}")
    assert reply.status_code == 404
    assert (await api.call("GET", f"{{org}}/runs/{first.id}/tasks/{first.task_ids[0]}")).status_code == 200


async def test_empty_maps_are_lists(api: Api) -> None:
    rows = (await api.get("{org}/tasks", without_pagination="true"))["data"]
    empty = [row for row in rows if not row["taskdata"]]
    full = [row for row in rows if row["taskdata"]]
    assert all(row["taskdata"] == [] for row in empty)
    assert all(isinstance(row["taskdata"], dict) for row in full)
    assert empty
    assert full


async def test_owner_objects(make: Callable[..., Api]) -> None:
    row = (await make(owners_style="objects").get("{org}/tasks", owners="1001"))["data"][0]
    assert {"id": 1001, "full_name": "Ada Lovelace", "profile_pic": None} in row["owners"]["users"]
