from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from .steps import answers, launch, refused, tasks_of

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio


async def test_only_an_archived_run_is_deleted(make: Callable[..., Api]) -> None:
    for setting, status in (("422", 422), ("404", 404)):
        api = make(delete_unarchived=setting)
        run = await launch(api)
        path = f"{{org}}/runs/{run['id']}"
        await refused(api, "DELETE", f"{path}/delete", None, status)
        tasks = [task.id for task in tasks_of(api, run)]
        await api.call("DELETE", path)
        reply = await api.call("DELETE", f"{path}/delete")
        assert (reply.status_code, reply.content) == (200, b"")
        assert not set(tasks) & set(api.tenant.tasks)
        for method, rest in (("GET", ""), ("DELETE", "/delete"), ("PUT", "/activate")):
            assert (await api.call(method, path + rest)).status_code == 404


async def test_only_administrators_delete_runs(api: Api) -> None:
    run = await launch(api)
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    member = next(m for m in api.tenant.members.values() if m.role == "Standard" and m.status == "active")
    api.token = (await api.login(username=member.user.email)).json()["access_token"]
    await refused(api, "DELETE", f"{{org}}/runs/{run['id']}/delete", None, 403)


async def test_a_task_archived_on_its_own_stays_so(api: Api) -> None:
    run = await launch(api)
    body = {"title": "T", "task_type": "task", "owners": {"users": [1001]}, "deadline": "2026-12-01 10:00:00"}
    made = (await api.call("POST", "{org}/tasks", json=body | {"run_id": run["id"]})).json()["data"]
    await api.call("DELETE", f"{{org}}/tasks/{made['id']}")
    api.tenant.tasks[made["id"]].archived_at -= 5
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    await api.call("PUT", f"{{org}}/runs/{run['id']}/activate")
    assert api.tenant.tasks[made["id"]].archived_at is not None
    assert all(task.archived_at is None for task in tasks_of(api, run))


async def test_the_kickoff_form_is_reopened_and_submitted(api: Api) -> None:
    checklist = next(c for c in api.tenant.checklists.values() if any(f.required for f in c.prerun))
    run = await launch(api, checklist_id=checklist.id, prerun=answers(checklist.prerun))
    assert (run["prerun_status"], run["prerun_completed_by"]) == ("complete", 1001)
    path = f"{{org}}/runs/{run['id']}"
    row = (await api.call("DELETE", f"{path}/complete-prerun")).json()["data"]
    assert (row["prerun_status"], row["prerun_completed_at"], row["prerun_completed_by"]) == ("incomplete", None, None)
    assert row["prerun"] == run["prerun"]
    need = next(f for f in checklist.prerun if f.required)
    await api.call("PUT", path, json={"prerun": {need.id: None}})
    assert list(await refused(api, "POST", f"{path}/complete-prerun", None)) == [need.id]
    await api.call("PUT", path, json={"prerun": answers([need])})
    row = (await api.call("POST", f"{path}/complete-prerun")).json()["data"]
    assert (row["prerun_status"], row["prerun_completed_by"]) == ("complete", 1001)


async def test_all_fields_of_a_run_with_the_task_to_write_to(api: Api) -> None:
    checklist = next(c for c in api.tenant.checklists.values() if len(c.prerun) == 10)
    run = await launch(api, checklist_id=checklist.id, prerun=answers(checklist.prerun))
    data = (await api.get(f"{{org}}/runs/{run['id']}/form-fields"))["data"]
    assert data["id"] == run["id"]
    tasks = {task.id: task for task in tasks_of(api, run)}
    wanted = {(task.id, field.id) for task in tasks.values() for field in task.captures}
    assert {(row["task_id"], row["id"]) for row in data["form_fields"]} == wanted
    assert {row["id"]: row["field_value"] for row in data["ko_form_fields"]} == run["prerun"]
    assert {row["unique_id"] for row in data["form_fields"] + data["ko_form_fields"]} == {None}
    row = (await api.get(f"{{org}}/runs/{run['id']}?form_fields_values=true"))["data"]
    assert len(row["form_fields"]["data"]) == len(wanted)
    row = (await api.get("{org}/runs?form_fields_values=true&per_page=1"))["data"][0]
    assert "form_fields" in row


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"parent_id": "nope"}, "parent_id"),
        ({"roles": {"4": {"users": [7]}}}, "roles.4.users.0"),
        ({"owner_id": 7}, "owner_id.0"),
        ({"owner_id": "9" * 400}, "owner_id.0"),
        ({"users": ["²"]}, "users.0"),
        ({"groups": ["nope"]}, "groups.0"),
    ],
)
async def test_refused_launches(api: Api, body: dict[str, Any], field: str) -> None:
    checklist = next(c for c in api.tenant.checklists.values() if not any(f.required for f in c.prerun))
    errors = await refused(api, "POST", "{org}/runs", {"checklist_id": checklist.id} | body)
    assert list(errors) == [field]


async def test_a_launch_goes_into_the_folder_of_its_template(api: Api) -> None:
    folder = next(f.id for f in api.tenant.folders.values() if f.folder_type == "run")
    other = next(f.id for f in api.tenant.folders.values() if f.folder_type == "checklist")
    run = await launch(api, folders=[other, "nope"])
    assert api.tenant.runs[run["id"]].folders == []
    api.tenant.checklists[run["checklist_id"]].default_folder = folder
    run = await launch(api)
    assert api.tenant.runs[run["id"]].folders == [folder]


@pytest.mark.parametrize("text", ['{"name": NaN}', '{"name": 1e999}', '{"name": Infinity}', "[" * 100_000, "9" * 5000])
async def test_bodies_that_no_answer_could_repeat_count_as_none(api: Api, text: str) -> None:
    reply = await api.call("POST", "{org}/tags", content=text, headers={"Content-Type": "application/json"})
    assert (reply.status_code, list(reply.json()["errors"])) == (422, ["title"])


async def test_dates_at_the_ends_of_time(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    path = f"{{org}}/runs/{task.run_id}/tasks/{task.id}"
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0999-12-31"):
        assert list(await refused(api, "PUT", path, {"deadline": text})) == ["deadline"]
    row = (await api.call("PUT", path, json={"deadline": "9998-12-30"})).json()["data"]
    assert row["deadline"].startswith("9998-12-30")


@pytest.mark.parametrize("number", ["²", "9" * 400, "-1", "x", "%00"])
async def test_odd_numbers_in_paths_and_pages(api: Api, number: str) -> None:
    assert (await api.call("GET", f"{{org}}/users/{number}/tasks")).status_code == 404
    assert (await api.get(f"{{org}}/tags?page={number}&per_page={number}"))["meta"]["pagination"]["current_page"] == 1
