"""The replies about work against the contract: runs, tasks, threads, tags, folders, files, search, shortcuts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tallyfy_async.sandbox.routes import build

from .steps import answers, easy, launch, tasks_of
from .test_contract import check, operations

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
TAGS = {"runs", "tasks", "threads", "tags", "folders", "assets", "search", "micro-functions"}
NOT_HERE = {"list_guest_tasks"}
"""Served with the guests."""


def check_empty(operation: str, reply: Any) -> None:
    answer = operations()[operation][2]["responses"][str(reply.status_code)]
    assert 200 <= reply.status_code < 300
    assert "content" not in answer
    assert reply.content == b""


def test_every_sure_operation_is_served() -> None:
    wanted = {
        name
        for name, (_, _, described) in operations().items()
        if described["tags"][0] in TAGS and described["x-confidence"] != "inferred" and "custom_field" not in name
    }
    assert wanted - {operation.name for operation in build().operations} <= NOT_HERE
    assert len(wanted) == 69


@pytest.mark.parametrize("settings", [{}, {"owners_style": "objects"}])
async def test_runs(make: Callable[..., Api], settings: dict[str, Any]) -> None:
    api = make(**settings)
    checklist = easy(api)
    folder = next(f.id for f in api.tenant.folders.values() if f.folder_type == "run")
    body = {
        "checklist_id": checklist.id,
        "assign_someone_else": True,
        "tags": list(api.tenant.tags)[:1],
        "folders": [folder],
        "roles": {"4": {"users": [1001]}},
        "trackers": {"users": [1001]},
    }
    reply = await api.call("POST", "{org}/runs", json=body)
    check("launch_run", reply)
    path = f"{{org}}/runs/{reply.json()['data']['id']}"
    check("get_run", await api.call("GET", f"{path}?with=tags,folders,assets,form_fields&form_fields_values=true"))
    check("list_run_form_fields", await api.call("GET", f"{path}/form-fields"))
    check("reopen_prerun", await api.call("DELETE", f"{path}/complete-prerun"))
    check("complete_prerun", await api.call("POST", f"{path}/complete-prerun"))
    check("delete_run", await api.call("DELETE", f"{path}/delete"))
    check("archive_run", await api.call("DELETE", path))
    check("activate_run", await api.call("PUT", f"{path}/activate"))
    await api.call("DELETE", path)
    check_empty("delete_run", await api.call("DELETE", f"{path}/delete"))
    check("get_run", await api.call("GET", path))


@pytest.mark.parametrize("settings", [{}, {"owners_style": "objects"}])
async def test_tasks(make: Callable[..., Api], settings: dict[str, Any]) -> None:
    api = make(**settings)
    body: dict[str, Any] = {
        "title": "Plan the meeting",
        "task_type": "task",
        "owners": {"users": [1001, 1002], "guests": ["eva@guest.org"], "groups": []},
        "deadline": "2026-12-01 10:00:00",
        "form_fields": [{"label": "Where", "field_type": "text", "required": False}],
    }
    reply = await api.call("POST", "{org}/tasks", json=body)
    check("create_task", reply)
    task = api.tenant.tasks[reply.json()["data"]["id"]]
    path = f"{{org}}/tasks/{task.id}"
    check("create_task", await api.call("POST", "{org}/tasks", json=body | {"separate_task_for_each_assignee": True}))
    check("create_task", await api.call("POST", "{org}/tasks", json={}))
    full = {name: body[name] for name in ("title", "deadline", "owners")}
    data = {"taskdata": answers(task.captures)}
    check("update_task", await api.call("PUT", path, json=full | data))
    row = api.tenant.pivot("value", task.id, task.captures[0].id)
    check(
        "update_form_field_value", await api.call("PUT", "{org}/form-field/value", json={"id": row, "form_value": "y"})
    )
    check("update_form_field_value", await api.call("PUT", "{org}/form-field/value", json={"id": 7, "form_value": "y"}))
    guests = "{org}/guests/eva@guest.org/form-field/value"
    check("update_form_field_value_as_guest", await api.call("POST", guests, json={"id": row, "form_value": "z"}))
    check("clone_task", await api.call("POST", f"{path}/clone"))
    check_empty("archive_task", await api.call("DELETE", path))
    check("restore_task", await api.call("PUT", f"{path}/restore"))
    check("restore_task", await api.call("PUT", f"{path}/restore"))
    check_empty("delete_task", await api.call("DELETE", f"{path}/delete"))
    check(
        "list_user_tasks", await api.call("GET", "{org}/users/1001/tasks?with=run,step,assets,folders,tags&status=all")
    )
    check("list_user_tasks", await api.call("GET", "{org}/users/7/tasks"))


async def test_threads(api: Api) -> None:
    run = await launch(api)
    task = tasks_of(api, run)[0]
    said = {"content": "Look, @[1002]", "label": "advice", "state": "open"}
    paths = {
        "task": f"{{org}}/tasks/{task.id}",
        "run": f"{{org}}/runs/{run['id']}",
        "checklist": f"{{org}}/checklists/{run['checklist_id']}",
    }
    for kind, path in paths.items():
        check(f"create_{kind}_comment", await api.call("POST", f"{path}/comment", json=said))
        check(f"create_{kind}_comment", await api.call("POST", f"{path}/comment", json={"label": "x"}))
        reply = await api.call("POST", f"{path}/problem", json={"content": "Stuck"})
        check(f"report_{kind}_problem", reply)
        body = {"thread_id": reply.json()["data"]["id"], "content": "Solved"}
        check(f"resolve_{kind}_threads", await api.call("POST", f"{path}/resolved-threads", json=body))
        check(f"resolve_{kind}_threads", await api.call("POST", f"{path}/resolved-threads", json=body))
    reply = await api.call("POST", f"{paths['task']}/bot-comment", json={"content": "Beep"})
    check("create_task_bot_comment", reply)
    path = f"{paths['task']}/comment/{reply.json()['data']['id']}"
    check("update_task_comment", await api.call("PUT", path, json={"content": "Boop"}))
    check_empty("delete_task_comment", await api.call("DELETE", path))
    check("update_task_comment", await api.call("PUT", path, json={"content": "Boop"}))
    check("get_task", await api.call("GET", f"{paths['task']}?with=threads,comments,issues,threads_count"))


async def test_tags_and_folders(api: Api) -> None:
    run = await launch(api)
    check("list_tags", await api.call("GET", "{org}/tags?with=statistics&all=true&sort=-title"))
    reply = await api.call("POST", "{org}/tags", json={"title": "Steam", "color": "#e74c3c"})
    check("create_tag", reply)
    check("create_tag", await api.call("POST", "{org}/tags", json={"title": "steam"}))
    tag = reply.json()["data"]["id"]
    check("get_tag", await api.call("GET", f"{{org}}/tags/{tag}?with=statistics"))
    check("update_tag", await api.call("PUT", f"{{org}}/tags/{tag}", json={"title": "Coal", "color": "#000000"}))
    body = {"subject_id": run["id"], "subject_type": "Run", "tag_id": tag, "tag_type": "private"}
    reply = await api.call("POST", "{org}/checklists/tags", json=body)
    check("attach_tag", reply)
    check("attach_tag", await api.call("POST", "{org}/checklists/tags", json=body | {"tag_type": "public"}))
    check_empty("detach_tag", await api.call("DELETE", f"{{org}}/checklists/tags/{reply.json()['data']['id']}"))
    check_empty("delete_tag", await api.call("DELETE", f"{{org}}/tags/{tag}"))
    check("get_tag", await api.call("GET", f"{{org}}/tags/{tag}"))

    check("list_folders", await api.call("GET", "{org}/folders?with=children&folder_type=run&sort=position"))
    check("list_folders", await api.call("GET", "{org}/folders?pagination=false"))
    reply = await api.call("POST", "{org}/folders", json={"name": "Q1 2026", "folder_type": "run"})
    check("create_folder", reply)
    check("create_folder", await api.call("POST", "{org}/folders", json={"name": "x" * 33}))
    folder = reply.json()["data"]["id"]
    check("get_folder", await api.call("GET", f"{{org}}/folders/{folder}?with=children"))
    check("update_folder", await api.call("PUT", f"{{org}}/folders/{folder}", json={"name": "Q2"}))
    body = {"folder_id": folder, "subject_id": run["id"], "subject_type": "Run"}
    reply = await api.call("POST", "{org}/folders/add-object", json=body)
    check("add_folder_object", reply)
    check("add_folder_object", await api.call("POST", "{org}/folders/add-object", json=body | {"subject_id": "no"}))
    number = reply.json()["data"]["id"]
    check_empty("remove_folder_object", await api.call("DELETE", f"{{org}}/folders-objects/{number}"))
    check_empty("delete_folder", await api.call("DELETE", f"{{org}}/folders/{folder}"))
    check("get_folder", await api.call("GET", f"{{org}}/folders/{folder}"))


async def test_files(api: Api) -> None:
    run = await launch(api)
    data = {"subject_type": "Run", "subject_id": run["id"], "uploaded_from": "x", "source": "local"}
    for operation, path in (("upload_file", "{org}/file"), ("upload_asset", "{org}/assets")):
        reply = await api.call("POST", path, data=data, files={"name": ("a.pdf", b"abc", "application/pdf")})
        check(operation, reply)
        check(operation, await api.call("POST", path, data=data))
        asset = reply.json()["data"]["id"]
    check("get_asset", await api.call("GET", f"{{org}}/assets/{asset}"))
    check("archive_asset", await api.call("DELETE", f"{{org}}/assets/{asset}"))
    check("get_asset", await api.call("GET", f"{{org}}/assets/{asset}"))
    check("download_file", await api.call("GET", f"{{org}}/file/{asset}/dl"))
    check("view_file", await api.call("GET", f"{{org}}/file/{asset}"))
    kept = next(row for row in api.tenant.assets.values() if row.archived_at is None)
    check_empty("delete_file", await api.call("DELETE", f"{{org}}/file/{kept.id}"))


async def test_search_and_shortcuts(api: Api) -> None:
    everything = "{org}/search?on=blueprint,process,task,snippet,capture,step&search=e&tags=true"
    check("search", await api.call("GET", everything))
    check("search", await api.call("GET", f"{everything}&filter%5Bfield%5D=colour"))
    base = api.org.replace("/organizations", "/processes/micro-functions/organizations")
    body = {"name": "Call back", "task_type": "task", "deadline": "2026-12-01 10:00:00", "description": "d"}
    owners = {"owners": {"users": [1001], "guests": ["eva@guest.org"]}}
    reply = await api.call("POST", f"{base}/tasks", json=body | owners)
    check("micro_create_task", reply)
    check("micro_create_task", await api.call("POST", f"{base}/tasks", json={}))
    path = f"{base}/tasks/{reply.json()['data']['id']}"
    check("micro_edit_task_deadline", await api.call("PUT", f"{path}/edit-deadline", json={"Deadline": "2026-12-02"}))
    check("micro_edit_task_deadline", await api.call("PUT", f"{path}/edit-deadline", json={"deadline": "2026-12-02"}))
    check("micro_remove_assignee", await api.call("PUT", f"{path}/remove-assignee/1001"))
    check("micro_remove_guest", await api.call("PUT", f"{path}/remove-guest/eva%40guest.org"))
    check("micro_remove_guest", await api.call("PUT", f"{path}/remove-guest/eva%40guest.org"))
    checklist = easy(api)
    path = f"{base}/blueprints/{checklist.id}/steps/{checklist.steps[0].id}/edit-step-type"
    check("micro_edit_step_type", await api.call("PUT", path, json={"stepType": "all"}))
    check("micro_edit_step_type", await api.call("PUT", path, json={"stepType": "approval"}))
