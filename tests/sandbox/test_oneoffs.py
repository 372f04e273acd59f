from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from .steps import answers, finish, launch, refused, tasks_of

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
BODY: dict[str, Any] = {
    "title": "Plan the meeting",
    "task_type": "task",
    "owners": {"users": [1001], "guests": [], "groups": []},
    "deadline": "2026-12-05 10:00:00",
}


async def create(api: Api, **more: Any) -> dict[str, Any]:
    reply = await api.call("POST", "{org}/tasks", json=BODY | more)
    assert reply.status_code == 201, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def test_a_task_outside_any_run(api: Api) -> None:
    tag = next(iter(api.tenant.tags))
    row = await create(api, summary="<p>Bring tea</p>", tags=[tag, "no"], top_secret=True, nonsense=1, position=3)
    assert (row["run_id"], row["step_id"], row["is_oneoff_task"], row["status"]) == (None, None, True, "not-started")
    assert (row["deadline"], row["started_at"]) == ("2026-12-07T10:00:00.000Z", None)
    assert (row["summary"], row["top_secret"], row["position"], row["starter_id"]) == (
        "<p>Bring tea</p>",
        True,
        3,
        1001,
    )
    assert "nonsense" not in row
    read = (await api.get(f"{{org}}/tasks/{row['id']}?with=tags"))["data"]
    assert [link["tag_id"] for link in read["tags"]["data"]] == [tag]
    assert (await finish(api, api.tenant.tasks[row["id"]])).status_code == 200
    assert (await create(api, description="older word"))["summary"] == "older word"


async def test_demands_of_a_new_task(api: Api) -> None:
    assert set(await refused(api, "POST", "{org}/tasks", {})) == {"title", "task_type", "owners", "deadline"}
    wrong: list[tuple[str, Any, str]] = [
        ("title", "x" * 601, "title"),
        ("task_type", "member", "task_type"),
        ("deadline", "soon", "deadline"),
        ("owners", {"users": [7]}, "owners.users.0"),
        ("webhook", "nowhere", "webhook"),
        ("form_fields", [{"label": "x"}], "form_fields.0.field_type"),
        ("form_fields", [{"label": "x", "field_type": "text"}], "form_fields.0.required"),
        ("position", 0, "position"),
    ]
    for name, value, field in wrong:
        assert field in await refused(api, "POST", "{org}/tasks", BODY | {name: value})
    many = {"owners": {"users": [1001, 1002]}, "max_assignable": 1}
    assert list(await refused(api, "POST", "{org}/tasks", BODY | many)) == ["owners"]
    await refused(api, "POST", "{org}/tasks", BODY | {"run_id": "nope"}, 404)


async def test_a_choice_without_options_is_created_and_cannot_be_answered(api: Api) -> None:
    fields = [{"label": "Size", "field_type": "radio", "required": False}]
    row = await create(api, form_fields=fields)
    task = api.tenant.tasks[row["id"]]
    field = (await api.get(f"{{org}}/tasks/{row['id']}?with=form_fields"))["data"]["form_fields"]["data"][0]
    assert (field["label"], field["options"]) == ("Size", [])
    body = {name: BODY[name] for name in ("title", "deadline", "owners")} | {"taskdata": {field["id"]: "large"}}
    assert list(await refused(api, "PUT", f"{{org}}/tasks/{task.id}", body)) == ["taskdata"]


async def test_an_ad_hoc_task_goes_into_a_run(api: Api) -> None:
    run = await launch(api)
    row = api.tenant.runs[run["id"]]
    before = len(row.task_ids)
    made = await create(api, run_id=row.id)
    assert (made["run_id"], made["step_id"], made["is_oneoff_task"]) == (row.id, None, True)
    assert made["position"] == before + 1
    assert (await api.get(f"{{org}}/runs/{row.id}"))["data"]["progress"]["total"] == before + 1
    await refused(api, "POST", "{org}/completed-tasks", {"task_id": made["id"]}, 404)
    assert (await finish(api, api.tenant.tasks[made["id"]])).status_code == 200
    row.can_add_oot = False
    assert list(await refused(api, "POST", "{org}/tasks", BODY | {"run_id": row.id})) == ["run_id"]


async def test_an_ad_hoc_task_reopens_a_complete_run(api: Api) -> None:
    run = await launch(api)
    for task in tasks_of(api, run):
        await finish(api, task)
    made = await create(api, run_id=run["id"])
    row = api.tenant.runs[run["id"]]
    assert (row.status, row.completed_at) == ("active", None)
    assert (await api.call("DELETE", f"{{org}}/tasks/{made['id']}")).status_code == 204
    assert row.status == "complete"
    assert made["id"] not in {t["id"] for t in (await api.get(f"{{org}}/runs/{row.id}/tasks?per_page=100"))["data"]}
    await api.call("PUT", f"{{org}}/tasks/{made['id']}/restore")
    assert row.status == "active"


async def test_fan_out_makes_a_run_with_one_task_each(api: Api) -> None:
    group = next(g for g in api.tenant.groups.values() if g.members)
    owners = {"users": [1001, group.members[0]], "guests": ["eva@guest.org"], "groups": [group.id]}
    row = await create(api, owners=owners, separate_task_for_each_assignee=True)
    assert row["run"] == {"id": row["run_id"], "name": BODY["title"], "started_at": row["created_at"]}
    tasks = (await api.get(f"{{org}}/runs/{row['run_id']}/tasks", per_page=100))["data"]
    people = {1001, *group.members, "eva@guest.org", *group.guests}
    assert {one for t in tasks for one in (*t["owners"]["users"], *t["owners"]["guests"])} == people
    assert len(tasks) == len(people)
    assert all(t["is_oneoff_task"] and not t["owners"]["groups"] for t in tasks)
    run = (await api.get(f"{{org}}/runs/{row['run_id']}?with=checklist,tasks"))["data"]
    assert (run["owner_id"], run["name"], run["status"]) == (1001, BODY["title"], "active")
    assert run["checklist_id"] not in {c["id"] for c in (await api.get("{org}/checklists?per_page=100"))["data"]}
    assert (await finish(api, api.tenant.tasks[row["id"]])).status_code == 200
    second = await create(api, separate_task_for_each_assignee=True)
    assert api.tenant.runs[second["run_id"]].checklist_id == run["checklist_id"]
    nobody = {"owners": {"users": [], "guests": [], "groups": []}, "separate_task_for_each_assignee": True}
    assert list(await refused(api, "POST", "{org}/tasks", BODY | nobody)) == ["owners"]


async def test_life_of_a_oneoff_task(api: Api) -> None:
    row = await create(api)
    path = f"{{org}}/tasks/{row['id']}"
    await refused(api, "PUT", f"{path}/restore", None, 404)
    assert (await api.call("DELETE", path)).status_code == 204
    await refused(api, "DELETE", path, None, 404)
    assert (await api.get(path))["data"]["archived_at"]
    assert row["id"] not in {t["id"] for t in (await api.get("{org}/tasks?without_pagination=true"))["data"]}
    assert row["id"] in {t["id"] for t in (await api.get("{org}/tasks?without_pagination=true&archived=only"))["data"]}
    back = (await api.call("PUT", f"{path}/restore")).json()["data"]
    assert (back["archived_at"], back["status"]) == (None, "not-started")
    await api.call("DELETE", path)
    assert (await api.call("DELETE", f"{path}/delete")).status_code == 204
    assert (await api.call("GET", path)).status_code == 404
    step = tasks_of(api, await launch(api))[0]
    for method, rest in (("DELETE", ""), ("DELETE", "/delete"), ("PUT", "/restore")):
        await refused(api, method, f"{{org}}/tasks/{step.id}{rest}", None, 404)


async def test_clone(api: Api) -> None:
    run = await launch(api)
    task = next(t for t in tasks_of(api, run) if t.captures)
    await finish(api, task)
    copy = (await api.call("POST", f"{{org}}/tasks/{task.id}/clone")).json()["data"]
    assert copy["id"] != task.id
    assert (copy["title"], copy["owners"]["users"], copy["run_id"]) == (task.title, task.users, run["id"])
    assert (copy["status"], copy["taskdata"], copy["completed_at"], copy["step_id"]) == ("not-started", [], None, None)
    assert copy["position"] == len(tasks_of(api, run))
    api.tenant.tasks[copy["id"]].users.append(1005)
    assert 1005 not in task.users


async def test_tasks_of_a_member(api: Api) -> None:
    await create(api, owners={"users": [1002]})
    for status in (None, "completed", "all"):
        options = {} if status is None else {"status": status}
        answer = await api.get("{org}/users/1002/tasks", without_pagination="true", **options)
        rows = [t for t in api.tenant.tasks.values() if 1002 in t.users and t.archived_at is None]
        wanted = {t.id for t in rows if status == "all" or t.is_open == (status is None)} - {
            t.id for t in rows if status != "all" and t.status == "auto-skipped"
        }
        assert {t["id"] for t in answer["data"]} == wanted
    assert "overdue_tasks" in (await api.get("{org}/users/1002/tasks"))["meta"]
    assert (await api.call("GET", "{org}/users/99999/tasks")).status_code == 404


async def test_a_stored_answer_is_overwritten_by_the_id_of_its_row(make: Callable[..., Api]) -> None:
    for setting, status in (("422", 422), ("500", 500)):
        api = make(unknown_value_row=setting)
        fields = [{"label": "Where", "field_type": "text", "required": False}]
        task = api.tenant.tasks[(await create(api, form_fields=fields))["id"]]
        field = task.captures[0].id
        row = api.tenant.pivot("value", task.id, field)
        assert (await put_value(api, row)) == status, "never filled"
        task.taskdata = answers(task.captures)
        assert (await put_value(api, row)) == 200
        assert task.taskdata == {field: "y"}
        assert (await put_value(api, field)) == status
        reply = await api.call("PUT", "{org}/form-field/value", json={"id": row, "form_value": {"value": "y"}})
        assert reply.status_code == 422


async def put_value(api: Api, row: Any) -> int:
    reply = await api.call("PUT", "{org}/form-field/value", json={"id": row, "form_value": "y"})
    return reply.status_code


async def test_an_answer_of_a_guest_may_be_the_first(api: Api) -> None:
    fields = [{"label": "Where", "field_type": "text", "required": False}]
    people = {"users": [], "guests": ["eva@guest.org"], "groups": []}
    task = api.tenant.tasks[(await create(api, form_fields=fields, owners=people))["id"]]
    field = task.captures[0].id
    path = "{org}/guests/Eva%40guest.org/form-field/value"
    assert (await api.call("POST", path, json={"id": field, "form_value": "here"})).status_code == 200
    row = api.tenant.pivot("value", task.id, field)
    assert (await api.call("POST", path, json={"id": row, "form_value": "there"})).status_code == 200
    assert task.taskdata == {field: "there"}
    await refused(api, "POST", path, {"id": "nope", "form_value": "x"})
    await refused(api, "POST", path.replace("Eva", "max"), {"id": row, "form_value": "x"}, 404)
    other = next(guest for guest in api.tenant.guests if guest != "eva@guest.org")
    await refused(api, "POST", f"{{org}}/guests/{other}/form-field/value", {"id": row, "form_value": "x"}, 403)


async def test_shortcuts_for_connectors(api: Api) -> None:
    base = api.org.replace("/organizations", "/processes/micro-functions/organizations")
    body = {"name": "Call back", "task_type": "approval", "deadline": "2026-12-05 10:00:00", "description": "d"}
    row = (await api.call("POST", f"{base}/tasks", json=body)).json()["data"]
    assert (row["title"], row["description"], row["deadline"]) == ("Call back", "d", "2026-12-07T10:00:00Z")
    task = api.tenant.tasks[row["id"]]
    assert (task.task_type, task.users) == ("approval", [1001])
    path = f"{base}/tasks/{task.id}"
    await api.call("PUT", f"{path}/edit-deadline", json={"Deadline": "2026-12-08 10:00:00"})
    assert (await api.get(f"{{org}}/tasks/{task.id}"))["data"]["deadline"] == "2026-12-08T10:00:00Z"
    assert (await api.call("PUT", f"{path}/edit-deadline", json={"Deadline": "soon"})).status_code == 422
    assert (await api.call("PUT", f"{path}/remove-assignee/1001")).status_code == 200
    assert task.users == []
    assert (await api.call("PUT", f"{path}/remove-assignee/1001")).status_code == 404
    task.status = "completed"
    assert (await api.call("PUT", f"{path}/edit-deadline", json={"Deadline": "2026-12-08"})).status_code == 422
    checklist = next(iter(api.tenant.checklists.values()))
    step = checklist.steps[0]
    steps = f"{base}/blueprints/{checklist.id}/steps/{step.id}/edit-step-type"
    for word in ("all", "any"):
        await api.call("PUT", steps, json={"stepType": word})
        assert step.everyone_must_complete == (word == "all")
    assert (await api.call("PUT", steps, json={"stepType": "approval"})).status_code == 422


async def test_the_feed_tells_half_a_completion_from_a_whole_one(api: Api) -> None:
    row = await create(api, owners={"users": [1001, 1002]}, everyone_must_complete=True)
    task = api.tenant.tasks[row["id"]]
    await finish(api, task)
    assert (api.tenant.activities[-1].verb, task.status) == ("updated", "in-progress")
    await finish(api, task, override_user=1002)
    assert (api.tenant.activities[-1].verb, task.status) == ("completed", "completed")
