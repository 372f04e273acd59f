from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from tallyfy_async.sandbox.seed_templates import make_field
from tests.sandbox.steps import answer, answers, finish, launch, refused, tasks_of

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio


async def test_last_visible_task_completes_the_run_and_reopening_reverts(api: Api, clock: Clock) -> None:
    run = await launch(api)
    path = f"{{org}}/runs/{run['id']}"
    tasks = tasks_of(api, run)
    tasks[0].status = "auto-skipped"
    done: dict[str, Any] = {}
    for number, task in enumerate(tasks[1:], 1):
        assert (await api.get(path))["data"]["status"] == "active"
        clock.now += 60
        done = (await finish(api, task)).json()["data"]
        assert (done["status"], done["completer_id"]) == ("completed", 1001)
        assert done["tasks_changed_by_rules"] == []
        assert (await api.get(path))["data"]["progress"]["complete"] == number
    row = (await api.get(path))["data"]
    assert (row["status"], row["progress"]["percent"]) == ("complete", 100)
    assert row["completed_at"] == done["completed_at"]
    back = (await api.call("DELETE", f"{path}/completed-tasks/{tasks[3].id}")).json()["data"]
    assert back["status"] == "in-progress"
    assert back["completed_at"] is back["completer_id"] is back["completer_guest_id"] is back["is_approved"] is None
    row = (await api.get(path))["data"]
    assert (row["status"], row["completed_at"]) == ("active", None)
    assert (await api.call("DELETE", f"{path}/completed-tasks/{tasks[3].id}")).status_code == 422


async def test_completing_twice(make: Callable[..., Api], clock: Clock) -> None:
    for mode, status in (("ok", 200), ("error", 422)):
        api = make(complete_twice=mode)
        task = tasks_of(api, await launch(api))[0]
        first = (await finish(api, task)).json()["data"]
        clock.now += 500
        again = await finish(api, task)
        assert again.status_code == status
        assert task.completed_at == clock.now - 500
        if mode == "ok":
            assert again.json()["data"]["completed_at"] == first["completed_at"]
        assert api.sandbox.world.completed == 1


async def test_completion_demands(api: Api) -> None:
    run = await launch(api)
    path = f"{{org}}/runs/{run['id']}/completed-tasks"
    task = next(t for t in tasks_of(api, run) if t.task_type == "task" and t.captures)
    field, *others = task.captures
    task.captures = [evolve(field, required=True), *others]
    task.taskdata = {}
    assert list(await refused(api, "POST", path, {})) == ["task_id"]
    await refused(api, "POST", path, {"task_id": "nope"}, 404)
    await refused(api, "POST", path, {"task_id": ["x"]})
    assert await refused(api, "POST", path, {"task_id": task.id}) == {field.id: [f"{field.label} is required"]}
    task.taskdata = answers(task.captures)
    task.problem = True
    await refused(api, "POST", path, {"task_id": task.id})
    task.problem, task.status = False, "auto-skipped"
    await refused(api, "POST", path, {"task_id": task.id})
    task.status = "in-progress"
    api.tenant.runs[run["id"]].open_issue = True
    await refused(api, "POST", path, {"task_id": task.id})
    api.tenant.runs[run["id"]].open_issue = False
    assert (await finish(api, task, override_user=1002)).json()["data"]["completer_id"] == 1002


async def test_approvals_and_acknowledgements(api: Api) -> None:
    tasks = tasks_of(api, await launch(api))
    approval = next(t for t in tasks if t.task_type == "approval")
    path = f"{{org}}/runs/{approval.run_id}/completed-tasks"
    approval.taskdata = answers(approval.captures)
    errors = await refused(api, "POST", path, {"task_id": approval.id})
    assert errors == {"is_approved": ["The is approved field is required"]}
    assert (await finish(api, approval, is_approved=False)).json()["data"]["is_approved"] is False
    expiring, later = next(t for t in tasks if t.task_type == "expiring"), None
    assert (await finish(api, expiring, is_approved=False)).json()["data"]["is_approved"] is False
    later = next(t for t in tasks if t.task_type == "task")
    assert (await finish(api, later, is_approved=False)).json()["data"]["is_approved"] is None


async def test_only_assignees_complete_but_administrators_do(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    task.can_complete_only_assignees, task.users = True, [1002]
    admin = api.token
    outsider = next(m for m in api.tenant.members.values() if m.role == "Standard" and m.user.id != 1002)
    api.token = (await api.login(username=outsider.user.email)).json()["access_token"]
    assert (await finish(api, task)).status_code == 403
    api.token = admin
    assert (await finish(api, task)).status_code == 200


async def test_everyone_must_complete(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    task.everyone_must_complete, task.users = True, [1001, 1002]
    first = (await finish(api, task)).json()["data"]
    assert (first["status"], first["completion_progress"], first["completed_at"]) == ("in-progress", 50, None)
    second = (await finish(api, task, override_user=1002)).json()["data"]
    assert (second["status"], second["completion_progress"]) == ("completed", 100)


async def test_checklists_inside_a_task_must_be_all_checked(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    field = evolve(make_field(random.Random(1), "multiselect", 1, 0), settings={"must_all_checked": True})
    task.captures = [field]
    half = answers(task.captures)
    half[field.id] = half[field.id][:-1]
    task.taskdata = half
    body = {"task_id": task.id}
    assert list(await refused(api, "POST", f"{{org}}/runs/{task.run_id}/completed-tasks", body)) == [field.id]
    assert (await finish(api, task)).status_code == 200


async def test_task_put_owner_buckets_are_replaced_together(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    group = next(iter(api.tenant.groups))
    path = f"{{org}}/runs/{task.run_id}/tasks/{task.id}"

    async def put(**body: Any) -> dict[str, Any]:
        reply = await api.call("PUT", path, json=body)
        assert reply.status_code == 200, reply.text
        own: dict[str, Any] = reply.json()["data"]["owners"]
        return {name: own[name] for name in ("users", "guests", "groups")}

    full = {"users": [1001, 1002], "guests": ["g@guest.org"], "groups": [group]}
    assert await put(owners=full) == full
    assert await put(title="New title") == full
    assert await put(owners={"users": [1003]}) == {"users": [1003], "guests": [], "groups": []}
    assert await put(owners=[]) == {"users": [], "guests": [], "groups": []}


async def test_task_put_changes_and_drops(api: Api, clock: Clock) -> None:
    task = next(t for t in tasks_of(api, await launch(api)) if len(t.captures) > 1)
    path = f"{{org}}/runs/{task.run_id}/tasks/{task.id}"
    first, second = task.captures[:2]
    clock.now += 100
    body = {
        "title": "T",
        "deadline": "2026-12-05 09:30:00",
        "started_at": "2026-12-05T09:30:00+01:00",
        "taskdata": {first.id: answer(first), first.alias: "lost"},
        "nonsense": True,
        "webhook": None,
        "max_assignable": 2,
    }
    row = (await api.call("PUT", path, json=body)).json()["data"]
    assert (row["title"], row["status"], row["max_assignable"]) == ("T", "in-progress", 2)
    assert row["deadline"] == "2026-12-07T09:30:00Z"
    assert row["started_at"] == "2026-12-05T08:30:00Z"
    assert list(row["taskdata"]) == [first.id]
    assert "nonsense" not in row
    row = (await api.call("PUT", path, json={"taskdata": {second.id: answer(second)}})).json()["data"]
    assert set(row["taskdata"]) == {first.id, second.id}
    assert (await api.get(path))["data"]["taskdata"] == row["taskdata"]


async def test_task_put_refusals(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    path = f"{{org}}/runs/{task.run_id}/tasks/{task.id}"
    task.max_assignable = 1
    cases: dict[str, Any] = {
        "title": {"title": "x" * 601},
        "deadline": {"deadline": "next week"},
        "started_at": {"started_at": 5},
        "task_type": {"task_type": "party"},
        "position": {"position": "first"},
        "webhook": {"webhook": "nowhere"},
        "taskdata": {"taskdata": [1]},
        "owners": {"owners": {"users": [1001], "guests": ["a@b.org"]}},
        "owners.users.1": {"owners": {"users": [1001, "eve"]}},
        "owners.guests.0": {"owners": {"guests": [12]}},
        "owners.groups.0": {"owners": {"groups": ["x"]}},
        "owners.users": {"owners": {"users": 1001}},
    }
    for name, body in cases.items():
        assert list(await refused(api, "PUT", path, body)) == [name]
    assert list(await refused(api, "PUT", path, {"owners": "1001"})) == ["owners"]
    assert list(await refused(api, "PUT", path, {"title": None})) == ["title"]
    api.tenant.runs[task.run_id].open_issue = True
    assert list(await refused(api, "PUT", path, {"summary": "x"})) == ["run"]
    api.tenant.runs[task.run_id].open_issue = False
    await finish(api, task)
    assert list(await refused(api, "PUT", path, {"summary": "x"})) == ["task"]


async def test_oneoff_tasks_have_their_own_routes(api: Api) -> None:
    task = next(t for t in api.tenant.tasks.values() if t.is_oneoff and t.status == "not-started")
    task.task_type = "task"
    path = f"{{org}}/tasks/{task.id}"
    assert set(await refused(api, "PUT", path, {"summary": "x"})) == {"title", "deadline", "owners"}
    body = {"title": "T", "deadline": "2026-12-01 10:00:00", "owners": {"users": [1002], "guests": [], "groups": []}}
    row = (await api.call("PUT", path, json=body)).json()["data"]
    assert (row["title"], row["status"], row["owners"]["users"]) == ("T", "in-progress", [1002])
    done = (await finish(api, task)).json()["data"]
    assert done["status"] == "completed"
    assert "tasks_changed_by_rules" not in done
    back = (await api.call("DELETE", f"{{org}}/completed-tasks/{task.id}")).json()["data"]
    assert (back["status"], back["completed_at"]) == ("in-progress", None)


async def test_run_tasks_are_not_served_by_the_oneoff_routes(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    body: Any = {"title": "T", "deadline": "2026-12-01 10:00:00", "owners": {}}
    await refused(api, "PUT", f"{{org}}/tasks/{task.id}", body, 404)
    await refused(api, "POST", "{org}/completed-tasks", {"task_id": task.id}, 404)
    await refused(api, "DELETE", f"{{org}}/completed-tasks/{task.id}", None, 404)
    assert (await api.get(f"{{org}}/tasks/{task.id}"))["data"]["run_id"] == task.run_id


async def test_lists_show_a_write_at_once(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    path = f"{{org}}/runs/{task.run_id}/tasks"
    before = (await api.get(path))["data"][0]
    await api.call("PUT", f"{path}/{task.id}", json={"title": "seen"})
    after = (await api.get(path))["data"][0]
    assert (before["title"] != "seen", after["title"]) == (True, "seen")
