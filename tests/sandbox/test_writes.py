from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.steps import answer, answers, easy, finish, launch, refused, tasks_of

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio


async def test_launch_makes_tasks_from_steps(api: Api, clock: Clock) -> None:
    checklist = easy(api)
    before = len(api.tenant.tasks)
    run = await launch(api, name="Onboard Ada", summary="s", starred=True)
    assert (run["status"], run["name"], run["started_by"]) == ("active", "Onboard Ada", 1001)
    assert run["progress"] == {"complete": 0, "total": len(checklist.steps), "percent": 0}
    tasks = (await api.get(f"{{org}}/runs/{run['id']}/tasks", per_page=100))["data"]
    assert [t["step_id"] for t in tasks] == [s.id for s in checklist.steps]
    assert {t["status"] for t in tasks} == {"not-started"}
    assert len(api.tenant.tasks) == before + len(checklist.steps)
    assert (await api.get("{org}/runs?q=onboard%20ada"))["meta"]["pagination"]["total"] == 1
    assert api.sandbox.world.launched == 1


async def test_launch_twice_is_two_runs(api: Api) -> None:
    first, second = await launch(api, name="same"), await launch(api, name="same")
    assert first["id"] != second["id"]


async def test_default_name_and_owners(api: Api) -> None:
    checklist = easy(api)
    run = await launch(api)
    assert run["name"] == f"{checklist.title} - 2026-11-02"
    for step, task in zip(checklist.steps, tasks_of(api, run), strict=True):
        own = (task.users, task.guests, task.groups)
        if step.users or step.guests or step.groups:
            assert own == (step.users, step.guests, step.groups)
        else:
            assert own == ([1001], [], [])


async def test_launch_overrides(api: Api) -> None:
    checklist = easy(api)
    step, other = checklist.steps[0], checklist.steps[1]
    group = next(iter(api.tenant.groups))
    overrides = {
        step.id: {
            "owners": {"users": ["1002"], "guests": ["new@guest.org"], "groups": [group]},
            "deadline": "2026-12-05 09:00:00",
            "position": 9,
            "max_assignable": 4,
        },
        other.id: {"taskdata": {"deadline": "2026-12-01T09:00:00Z"}},
        step.alias: {"owners": {"users": [1]}},
    }
    run = await launch(api, tasks=overrides, users=[1003], groups=[group], user_id=1004, owner_id="1002")
    tasks = {task.step_id: task for task in tasks_of(api, run)}
    assert (tasks[step.id].users, tasks[step.id].guests, tasks[step.id].groups) == ([1002], ["new@guest.org"], [group])
    row = (await api.get(f"{{org}}/tasks/{tasks[step.id].id}"))["data"]
    assert (row["deadline"], row["position"], row["max_assignable"]) == ("2026-12-07T09:00:00Z", 9, 4)
    assert (await api.get(f"{{org}}/tasks/{tasks[other.id].id}"))["data"]["deadline"] == "2026-12-01T09:00:00Z"
    assert (run["users"], run["groups"], run["started_by"], run["owner_id"]) == ([1003], [group], 1004, 1002)


async def test_empty_owner_override_leaves_the_step_owner(api: Api) -> None:
    step = easy(api).steps[0]
    step.assign_run_starter = False
    step.users, step.guests, step.groups = [], [], []
    run = await launch(api)
    assert tasks_of(api, run)[0].users == []


async def test_kickoff_answers_of_all_types_read_back_as_sent(api: Api) -> None:
    checklist = next(c for c in api.tenant.checklists.values() if len(c.prerun) == 10)
    sent = answers(checklist.prerun)
    run = await launch(api, checklist_id=checklist.id, prerun=sent | {"alias": "lost"})
    back = (await api.get(f"{{org}}/runs/{run['id']}"))["data"]["prerun"]
    uploads = next(field.id for field in checklist.prerun if field.field_type == "file")
    assert back.pop(uploads)[0].items() >= sent.pop(uploads)[0].items()
    assert back == sent


async def test_required_kickoff_fields(api: Api) -> None:
    checklist = next(c for c in api.tenant.checklists.values() if any(f.required for f in c.prerun))
    need = [field for field in checklist.prerun if field.required]
    wrong = {field.alias: answer(field) for field in need} | {field.label: answer(field) for field in need}
    prerun: Any
    for prerun in ({}, [], None, wrong, {need[0].id: ""}):
        errors = await refused(api, "POST", "{org}/runs", {"checklist_id": checklist.id, "prerun": prerun})
        assert errors == {field.id: [f"{field.label} is required"] for field in need}
    await launch(api, checklist_id=checklist.id, prerun=answers(need))


async def test_launch_refusals(api: Api) -> None:
    good = easy(api).id
    assert list(await refused(api, "POST", "{org}/runs", {})) == ["checklist_id"]
    assert list(await refused(api, "POST", "{org}/runs", {"checklist_id": good, "prerun": [{"id": 1}]})) == ["prerun"]
    assert list(await refused(api, "POST", "{org}/runs", {"checklist_id": good, "name": "x" * 551})) == ["name"]
    assert list(await refused(api, "POST", "{org}/runs", {"checklist_id": good, "user_id": 7})) == ["user_id.0"]
    step = easy(api).steps[0].id
    late = {"checklist_id": good, "tasks": {step: {"deadline": 1733700000}}}
    assert await refused(api, "POST", "{org}/runs", late) == {"tasks": [{step: ["The deadline is not a valid date."]}]}
    await refused(api, "POST", "{org}/runs", {"checklist_id": "0" * 32}, 404)


async def test_laravel_form_of_validation_errors(make: Callable[..., Api]) -> None:
    reply = await make(validation_style="laravel").call("POST", "{org}/runs", json={})
    assert reply.json()["message"] == "The given data was invalid."
    assert "error" not in reply.json()


@pytest.mark.parametrize("body", [b"", b"{half", b"[1]", b"null", b"\xff"])
async def test_broken_bodies_count_as_none(api: Api, body: bytes) -> None:
    reply = await api.call("POST", "{org}/runs", content=body, headers={"Content-Type": "application/json"})
    assert (reply.status_code, list(reply.json()["errors"])) == (422, ["checklist_id"])


async def test_json_without_its_content_type_is_not_read(api: Api) -> None:
    body = f'{{"checklist_id": "{easy(api).id}"}}'.encode()
    assert (await api.call("POST", "{org}/runs", content=body)).status_code == 422


async def test_run_put_empties_absent_users_and_groups(api: Api) -> None:
    group = next(iter(api.tenant.groups))
    run = await launch(api, users=[1002, 1003], groups=[group])
    path = f"{{org}}/runs/{run['id']}"
    kept = {"name": "kept", "users": [1002, 1003], "groups": [group]}
    row = (await api.call("PUT", path, json=kept)).json()["data"]
    assert (row["users"], row["groups"], row["name"], row["progress"]) == ([1002, 1003], [group], "kept", 0)
    row = (await api.call("PUT", path, json={"name": "renamed"})).json()["data"]
    assert (row["users"], row["groups"], row["name"]) == ([], [], "renamed")


async def test_run_put_touches_the_rest_only_when_sent(api: Api) -> None:
    checklist = easy(api)
    run = await launch(api, prerun=answers(checklist.prerun), summary="s", starred=True)
    path = f"{{org}}/runs/{run['id']}"
    row = (await api.call("PUT", path, json={"owner_id": 1002, "is_public": True, "nonsense": 1})).json()["data"]
    assert (row["summary"], row["starred"], row["is_public"], row["owner_id"]) == ("s", True, True, 1002)
    assert set(row["prerun"]) == {f.id for f in checklist.prerun}
    assert "nonsense" not in row
    first = next(f for f in checklist.prerun if f.field_type != "table")
    row = (await api.call("PUT", path, json={"prerun": {first.id: None}})).json()["data"]
    assert set(row["prerun"] or {}) == {f.id for f in checklist.prerun} - {first.id}


async def test_run_put_refusals(api: Api) -> None:
    run = await launch(api)
    path = f"{{org}}/runs/{run['id']}"
    assert list(await refused(api, "PUT", path, {"users": [7]})) == ["users.0"]
    assert list(await refused(api, "PUT", path, {"users": "1001"})) == ["users"]
    assert list(await refused(api, "PUT", path, {"groups": ["x"]})) == ["groups.0"]
    assert list(await refused(api, "PUT", path, {"name": ""})) == ["name"]
    assert list(await refused(api, "PUT", path, {"prerun": [1]})) == ["prerun"]


async def test_archive_and_activate(api: Api) -> None:
    run = await launch(api)
    path = f"{{org}}/runs/{run['id']}"
    archived = (await api.call("DELETE", path)).json()["data"]
    assert (archived["status"], archived["progress"]) == ("archived", 0)
    assert archived["archived_at"]
    live = (await api.get("{org}/runs", without_pagination="true"))["data"]
    assert run["id"] not in {row["id"] for row in live}
    tasks = (await api.get("{org}/tasks", without_pagination="true"))["data"]
    assert run["id"] not in {row["run_id"] for row in tasks}
    assert (await api.get(path))["data"]["status"] == "archived"
    task = tasks_of(api, run)[0]
    assert (await finish(api, task)).status_code == 404
    assert (await api.call("PUT", f"{path}/tasks/{task.id}", json={"title": "x"})).status_code == 404
    assert (await api.call("PUT", path, json={"name": "x"})).status_code == 404
    assert (await api.call("DELETE", path)).status_code == 404
    back = (await api.call("PUT", f"{path}/activate")).json()["data"]
    assert (back["status"], back["archived_at"]) == ("active", None)
    assert (await api.call("PUT", f"{path}/activate")).status_code == 404
    assert {t.archived_at for t in tasks_of(api, run)} == {None}


async def test_activate_brings_the_former_status_back(api: Api) -> None:
    run = next(r for r in api.tenant.runs.values() if r.status == "problem" and r.archived_at is None)
    await api.call("DELETE", f"{{org}}/runs/{run.id}")
    assert (await api.call("PUT", f"{{org}}/runs/{run.id}/activate")).json()["data"]["status"] == "problem"


async def test_light_members_do_not_archive(api: Api) -> None:
    light = next(m for m in api.tenant.members.values() if m.role == "Light" and m.status == "active")
    run = await launch(api)
    api.token = (await api.login(username=light.user.email)).json()["access_token"]
    reply = await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    assert (reply.status_code, list(reply.json())) == (403, ["message"])
