from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .steps import launch
from .test_contract_people import places

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
SAMPLES: dict[str, tuple[Any, Any]] = {
    "text": ("x", 1),
    "textarea": ("x", ["x"]),
    "number": (1.5, "1"),
    "boolean": (True, "yes"),
    "date": ("2026-12-01 10:00:00", "soon"),
    "email": ("a@b.org", "a"),
    "url": ("https://a.org", "a.org"),
    "radio": ("High", "high"),
    "dropdown": ("High", ["High"]),
    "multiselect": (["High", "Low"], "High"),
    "table": ([{"a": 1}], "a"),
}


async def define(api: Api, status: int = 201, **body: Any) -> Any:
    wanted = {"key": "size", "applies_to": "process", "field_type": "text"} | body
    reply = await api.call("POST", "{org}/custom-field-keys", json=wanted)
    assert reply.status_code == status, reply.text
    return reply.json()


async def write(api: Api, method: str, path: str, body: Any, status: int = 200) -> Any:
    reply = await api.call(method, path, json=body)
    assert reply.status_code == status, reply.text
    return reply.json()


def a_run(api: Api) -> Any:
    return next(r for r in api.tenant.runs.values() if r.archived_at is None and r.task_ids)


@pytest.mark.parametrize("kind", SAMPLES)
async def test_values_by_type(api: Api, kind: str) -> None:
    good, bad = SAMPLES[kind]
    await define(api, field_type=kind, options=[{"id": 1, "text": "High"}, "Low"])
    path = f"{{org}}/runs/{a_run(api).id}/custom-fields"
    assert (await write(api, "PATCH", f"{path}/size", {"value": good}))["data"]["custom_fields"] == {"size": good}
    assert list((await write(api, "PATCH", f"{path}/size", {"value": bad}, 422))["errors"]) == ["value"]
    found = await write(api, "PUT", path, {"custom_fields": {"size": bad}}, 422)
    assert list(found["errors"]) == ["custom_fields.size"]
    assert (await write(api, "PATCH", f"{path}/size", {"value": ""}))["data"]["custom_fields"] == []


async def test_put_replaces_and_system_values_survive(api: Api) -> None:
    run = a_run(api)
    path = f"{{org}}/runs/{run.id}/custom-fields"
    api.tenant.custom_values["run", run.id] = {"origin": "import"}
    assert (await write(api, "PUT", path, {"custom_fields": {"cost_center": "CC-1"}}))["data"] == {
        "custom_fields": {"origin": "import", "cost_center": "CC-1"}
    }
    assert (await api.get(f"{{org}}/runs/{run.id}"))["data"]["custom_fields"] == {
        "origin": "import",
        "cost_center": "CC-1",
    }
    for method, target, body in (
        ("PUT", path, {"custom_fields": {"origin": "x"}}),
        ("PUT", path, {"custom_fields": {"unknown": "x"}}),
        ("PATCH", f"{path}/origin", {"value": "x"}),
        ("PATCH", f"{path}/unknown", {"value": "x"}),
        ("PATCH", f"{path}/budget", {}),
    ):
        await write(api, method, target, body, 422)
    assert (await api.call("DELETE", f"{path}/origin")).status_code == 403
    reply = await api.call("DELETE", f"{path}/cost_center")
    assert (reply.status_code, reply.content) == (200, b"")
    assert (await write(api, "PUT", path, {"custom_fields": {}}))["data"]["custom_fields"] == {"origin": "import"}


async def test_required_keys_are_asked_for_by_put_alone(api: Api) -> None:
    await define(api, is_required=True)
    path = f"{{org}}/runs/{a_run(api).id}/custom-fields"
    found = await write(api, "PUT", path, {"custom_fields": {}}, 422)
    assert list(found["errors"]) == ["custom_fields.size"]
    await write(api, "PATCH", f"{path}/budget", {"value": 3})
    await write(api, "PUT", path, {"custom_fields": {"size": "x"}})
    next(row for row in api.tenant.custom_fields.values() if row.key == "size").is_active = False
    await write(api, "PUT", path, {"custom_fields": {"size": "x"}}, 422)
    await write(api, "PUT", path, {"custom_fields": {}})


async def test_values_are_shown_by_the_records(api: Api) -> None:
    spots = places(api)
    for noun in ("checklist", "step", "capture", "prerun", "task", "tag"):
        await define(api, applies_to=noun)
        await write(api, "PUT", f"{{org}}/{spots[noun]}/custom-fields", {"custom_fields": {"size": noun}})
    checklist = (await api.get(f"{{org}}/{spots['checklist']}", **{"with": "steps"}))["data"]
    assert checklist["custom_fields"] == {"size": "checklist"}
    step = next(row for row in checklist["steps"]["data"] if row["id"] == spots["step"].rpartition("/")[2])
    assert step["custom_fields"] == {"size": "step"}
    assert [f["custom_fields"] for f in step["captures"] if f["custom_fields"]] == [{"size": "capture"}]
    prerun = (await api.get(f"{{org}}/{spots['prerun'].partition('/preruns')[0]}"))["data"]["prerun"]
    assert prerun[0]["custom_fields"] == {"size": "prerun"}
    assert (await api.get(f"{{org}}/{spots['task']}"))["data"]["custom_fields"] == {"size": "task"}


async def test_new_runs_inherit_once(api: Api) -> None:
    for noun in ("template", "step"):
        await define(api, applies_to=noun)
    run = await launch(api)
    assert run["custom_fields"] == []
    checklist = api.tenant.checklists[run["checklist_id"]]
    path = f"{{org}}/checklists/{checklist.id}"
    await write(api, "PUT", f"{path}/custom-fields", {"custom_fields": {"size": "L"}})
    await write(api, "PUT", f"{path}/steps/{checklist.steps[1].id}/custom-fields", {"custom_fields": {"size": "S"}})
    run = await launch(api)
    assert run["custom_fields"] == {"size": "L"}
    tasks = (await api.get(f"{{org}}/runs/{run['id']}/tasks", per_page=100))["data"]
    assert {task["step_id"]: task["custom_fields"] for task in tasks if task["custom_fields"]} == {
        checklist.steps[1].id: {"size": "S"}
    }
    await write(api, "PUT", f"{path}/custom-fields", {"custom_fields": {"size": "XL"}})
    assert (await api.get(f"{{org}}/runs/{run['id']}"))["data"]["custom_fields"] == {"size": "L"}


async def test_who_writes(api: Api) -> None:
    spots = places(api)
    run = a_run(api)
    task = api.tenant.tasks_of(run)[0]
    task.users = [1005]
    api.token = api.sandbox.world.personal_token(1004, life=60).value
    body: dict[str, Any] = {"custom_fields": {}}
    assert (await api.call("GET", f"{{org}}/{spots['guest']}/custom-fields")).status_code == 200
    expected = {
        "users/1001": 403,
        "users/1004": 200,
        spots["guest"]: 403,
        spots["tag"]: 200,
        f"runs/{run.id}": 200,
        f"runs/{run.id}/tasks/{task.id}": 403,
        spots["checklist"]: 200,
    }
    for path, status in expected.items():
        await write(api, "PUT", f"{{org}}/{path}/custom-fields", body, status)
    api.tenant.members[1004].role = "Light"
    await write(api, "PUT", f"{{org}}/{spots['checklist']}/custom-fields", body, 403)
    task.users = [1004]
    await write(api, "PUT", f"{{org}}/runs/{run.id}/tasks/{task.id}/custom-fields", body)
    feed = (await api.get("{org}/activity-feeds", entity_type="task", entity_id=task.id, field="custom_fields"))["data"]
    assert [row["actor_id"] for row in feed] == [[1004]]
    assert (await api.call("POST", "{org}/custom-field-keys", json={})).status_code in {403, 422}
    assert (await define(api, 403))["message"]


async def test_definitions(api: Api) -> None:
    made = (await define(api, key="zeta", field_type="dropdown", options=["a"]))["data"]
    assert (made["key_type"], made["is_required"], made["is_active"], made["options"]) == ("org", False, True, ["a"])
    for change, field in (
        ({"key": "zeta"}, "key"),
        ({"key": "no blanks"}, "key"),
        ({"applies_to": "planet"}, "applies_to"),
        ({"field_type": "color"}, "field_type"),
        ({"applies_to": "run", "key": "cost_center"}, "key"),
    ):
        assert list((await define(api, 422, **change))["errors"]) == [field]
    await define(api, key="zeta", applies_to="task", is_required=True)
    path = "{org}/custom-field-keys"
    for query, keys in (
        ({"applies_to": "task"}, ["zeta"]),
        ({"key_type": "system"}, ["origin"]),
        ({"field_type": "number"}, ["budget"]),
        ({"is_required": "true"}, ["zeta"]),
        ({"is_active": "false"}, []),
        ({"q": "CENT"}, ["cost_center"]),
    ):
        assert [row["key"] for row in (await api.get(path, **query))["data"]] == keys
    down = [row["key"] for row in (await api.get(path, sort_by="key", sort_direction="desc"))["data"]]
    assert down == sorted(down, reverse=True)
