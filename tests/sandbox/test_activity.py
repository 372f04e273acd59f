from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tallyfy_async.sandbox.activity import MOST, activity

from .steps import launch

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
FEED = "{org}/activity-feeds"


async def feed(api: Api, **query: Any) -> list[Any]:
    rows: list[Any] = (await api.get(FEED, per_page=100, **query))["data"]
    return rows


async def test_newest_first_in_pages_of_twenty(api: Api) -> None:
    await api.call("POST", "{org}/groups", json={"name": "Night", "description": "Shift"})
    reply = await api.get(FEED)
    assert reply["meta"]["pagination"]["per_page"] == 20
    row = reply["data"][0]
    assert (row["verb"], row["type"], row["source"], row["actor_id"]) == (["created"], ["Group"], ["Member"], [1001])
    assert (row["auditable_type"], row["description"]) == ("App\\Models\\Group", ["Created group: Night"])
    assert row["actor"][0]["email"] == api.sandbox.credentials.username
    rows = await feed(api)
    assert [r["created_at"] for r in rows] == sorted((r["created_at"] for r in rows), reverse=True)
    assert [r["created_at"] for r in await feed(api, sort="created_at")] == sorted(
        r["created_at"] for r in await feed(api, sort="created_at")
    )
    assert {"created", "completed"} <= {verb for r in rows for verb in r["verb"]}


async def test_filters(api: Api) -> None:
    run = await launch(api, name="Watched")
    now, tenant = api.sandbox.world.now(), api.tenant
    task = tenant.runs[run["id"]].task_ids[0]
    note: dict[str, Any] = {"now": now, "parent": ("run", run["id"])}
    activity(tenant, "completed", ("task", task), "Completed it", actor="guest1@partner.org", **note)
    activity(tenant, "commented", ("thread", "t1"), "Said so", actor=None, **note)

    async def verbs(**query: Any) -> list[str]:
        return [row["verb"][0] for row in await feed(api, **query)]

    about = {"entity_type": "run", "entity_id": run["id"]}
    assert (await verbs(**about))[:2] == ["commented", "completed"]
    assert await verbs(**about, type="Task") == ["completed"]
    assert await verbs(**about, source="Webhook") == ["commented"]
    assert await verbs(**about, source="Guest") == await verbs(**about, actor_type="guest") == ["completed"]
    assert await verbs(**about, actor_email="GUEST1@partner.org") == ["completed"]
    assert await verbs(**about, search="SAID") == ["commented"]
    assert await verbs(origin_type="run", origin_id=run["id"]) == ["commented", "completed"]
    assert await verbs(**about, created_before="2026-11-01") == []
    today = {"created_after": "2026-11-02", "created_before": "2026-11-02"}
    assert (await verbs(**about, **today))[:2] == ["commented", "completed"]
    assert await verbs(verb="commented") == ["commented"]
    assert {row["actor_id"][0] for row in await feed(api, actor_id=1001)} == {1001}
    guest = (await feed(api, source="Guest"))[0]
    assert (guest["actor_type"], guest["actor"][0]["first_name"]) == (["App\\Models\\Guest"], "Guest1")
    assert (await feed(api, source="Webhook"))[0]["actor"] == []
    mine = await feed(api, actor_email=api.sandbox.credentials.username)
    assert {row["actor_id"][0] for row in mine} == {1001}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"entity_type": "run"}, "entity_id"),
        ({"entity_id": "x"}, "entity_type"),
        ({"entity_type": "planet", "entity_id": "x"}, "entity_type"),
        ({"origin_id": "x"}, "origin_type"),
        ({"verb": "danced"}, "verb"),
        ({"type": "Run"}, "type"),
        ({"search": "x"}, "search"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"actor_id": "me"}, "actor_id"),
    ],
)
async def test_bad_filters(api: Api, query: dict[str, str], field: str) -> None:
    reply = await api.call("GET", FEED, params=query)
    assert (reply.status_code, list(reply.json()["errors"])) == (422, [field])


async def test_members_see_what_they_work_on(api: Api) -> None:
    runs = [run for run in api.tenant.runs.values() if run.task_ids][-2:]
    for run in runs:
        run.started_by = run.owner_id = 1001
        for task in api.tenant.tasks_of(run):
            task.users = []
    api.tenant.tasks[runs[0].task_ids[0]].users = [1002]
    now = api.sandbox.world.now()
    for run in runs:
        activity(api.tenant, "updated", ("run", run.id), "Renamed", now=now, actor=1001)
        activity(api.tenant, "commented", ("thread", "t"), "Hm", now=now, actor=1001, parent=("run", run.id))
    oneoff = next(task for task in api.tenant.tasks.values() if task.is_oneoff)
    oneoff.users, oneoff.starter_id = [1003], 1001
    activity(api.tenant, "updated", ("task", oneoff.id), "Changed", now=now, actor=1001)
    checklist = next(iter(api.tenant.checklists.values()))
    checklist.owner_id, checklist.users = 1001, []
    activity(api.tenant, "updated", ("checklist", checklist.id), "Changed", now=now, actor=1001)
    assert len(await feed(api, created_after="2026-11-02")) == 6
    api.token = api.sandbox.world.personal_token(1002, life=60).value
    seen = await feed(api, created_after="2026-11-02")
    assert {(row["verb"][0], row["auditable_id"]) for row in seen} == {("updated", runs[0].id), ("commented", "t")}
    for kind, record, status in (("run", runs[0].id, 200), ("run", runs[1].id, 403), ("checklist", checklist.id, 403)):
        reply = await api.call("GET", FEED, params={"entity_type": kind, "entity_id": record})
        assert reply.status_code == status
    checklist.users = [1002]
    assert await feed(api, entity_type="checklist", entity_id=checklist.id)


async def test_the_oldest_entries_go(api: Api) -> None:
    before = len(api.tenant.activities)
    for _ in range(MOST):
        activity(api.tenant, "updated", ("group", "g"), "x", now=1, actor=None)
    assert len(api.tenant.activities) == MOST
    assert api.tenant.last_activity == 12_000 + before + MOST
