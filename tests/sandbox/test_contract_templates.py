"""The replies about templates, steps, fields and rules against the contract's own schemas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from .test_contract import check, operations

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
NEW: dict[str, Any] = {
    "title": "Hire",
    "type": "procedure",
    "prerun": [{"label": "Salary", "field_type": "text", "required": False}],
}
CHOICE: dict[str, Any] = {
    "label": "Size",
    "field_type": "radio",
    "required": False,
    "options": [{"id": 1, "text": "S"}, {"id": 2, "text": "M"}],
}


async def template(api: Api) -> tuple[str, dict[str, Any]]:
    """Make a template with a kick-off field and two steps; return its path and the template as created."""
    made = (await api.call("POST", "{org}/checklists", json=NEW)).json()["data"]
    path = f"{{org}}/checklists/{made['id']}"
    for title in ("Invite", "Decide"):
        reply = await api.call("POST", f"{path}/steps", json={"title": title, "assignees": [1001]})
        assert reply.status_code == 201, reply.text
    return path, made


async def test_checklists_fit_the_schemas(make: Callable[..., Api]) -> None:
    for settings in ({}, {"references_style": "map"}, {"validation_style": "laravel"}):
        api = make(**settings)
        path, _ = await template(api)
        check("create_checklist", await api.call("POST", "{org}/checklists", json=NEW | {"webhook": "https://a.org"}))
        check("create_checklist", await api.call("POST", "{org}/checklists", json={}))
        check("update_checklist", await api.call("PUT", path, json={"title": "Hire 2", "users": [1001]}))
        check("update_checklist", await api.call("PUT", path, json={"title": "Hire 2", "prerun": [{}]}))
        check("publish_checklist", await api.call("PUT", f"{path}/publish"))
        body = {"tenant": api.sandbox.credentials.organization}
        check("clone_checklist", await api.call("POST", f"{path}/clone", json=body))
        check("clone_checklist", await api.call("POST", f"{path}/clone", json={"tenant": "0" * 32}))
        check("get_checklist_form_fields", await api.call("GET", f"{path}/form-fields"))
        check("get_checklist_steps_deadlines", await api.call("GET", f"{path}/steps-deadlines"))
        check("delete_checklist", await api.call("DELETE", f"{path}/delete"))
        check("archive_checklist", await api.call("DELETE", path))
        check("restore_checklist", await api.call("PUT", f"{path}/restore"))
        check("restore_checklist", await api.call("PUT", f"{path}/restore"))
        check("archive_checklist", await api.call("DELETE", path))
        check("delete_checklist", await api.call("DELETE", f"{path}/delete"))
        check("get_checklist", await api.call("GET", path))


async def test_steps_and_fields_fit_the_schemas(api: Api) -> None:
    path, made = await template(api)
    steps = f"{path}/steps"
    check("list_steps", await api.call("GET", f"{steps}?with=tags"))
    first, second = (row["id"] for row in (await api.get(steps))["data"])
    deadline = {"value": 2, "unit": "fortnights", "option": "after", "step": None}
    check("create_step", await api.call("POST", steps, json={"title": "More", "deadline": deadline}))
    check("create_step", await api.call("POST", steps, json={"title": 7}))
    check("get_step", await api.call("GET", f"{steps}/{first}?with=tags"))
    start = {"title": "Invite all", "start_date": {"value": 1, "unit": "days"}}
    check("update_step", await api.call("PUT", f"{steps}/{first}", json=start))
    check("reorder_step", await api.call("PUT", f"{steps}/{first}/reorder", json={"position": 2}))
    check("reorder_step", await api.call("PUT", f"{steps}/{first}/reorder", json={"position": 0}))
    check("clone_step", await api.call("POST", f"{steps}/{first}/clone"))
    reply = await api.call("POST", f"{steps}/{first}/captures", json=CHOICE)
    check("create_capture", reply)
    capture = reply.json()["data"]["id"]
    check("create_capture", await api.call("POST", f"{steps}/{first}/captures", json=CHOICE | {"options": []}))
    check("update_capture", await api.call("PUT", f"{steps}/{first}/captures/{capture}", json=CHOICE | {"label": "L"}))
    body: dict[str, Any] = {"capture_id": capture, "position": 1}
    check("reorder_capture", await api.call("PUT", f"{steps}/{first}/captures", json=body))
    check("reorder_capture", await api.call("PUT", f"{steps}/{first}/captures", json={}))
    body = {"target_step_id": second, "position": 1}
    check("move_capture", await api.call("PUT", f"{steps}/{first}/captures/{capture}/move-out", json=body))
    body["target_step_id"] = "0" * 32
    check("move_capture", await api.call("PUT", f"{steps}/{second}/captures/{capture}/move-out", json=body))
    for operation, target in {
        "delete_capture": f"{steps}/{second}/captures/{capture}",
        "delete_step": f"{steps}/{second}",
        "delete_prerun": f"{path}/preruns/{made['prerun'][0]['id']}",
    }.items():
        reply = await api.call("DELETE", target)
        assert (reply.status_code, reply.content) == (204, b"")
        assert "204" in operations()[operation][2]["responses"]
        check(operation, await api.call("DELETE", target))


async def test_rules_fit_the_schemas(api: Api) -> None:
    path, made = await template(api)
    first, second = (row["id"] for row in (await api.get(f"{path}/steps"))["data"])
    asked = {"conditionable_id": made["prerun"][0]["id"], "conditionable_type": "Prerun", "operation": "is_empty"}
    people = {"users": [1001], "guests": [], "groups": []}
    actions: list[dict[str, Any]] = [
        {"action_type": "visibility", "action_verb": "hide", "target_step_id": second},
        {"action_type": "assignment", "action_verb": "assign", "target_step_id": first, "assignees": people},
        {"action_type": "assignment", "action_verb": "clear_assignees", "target_step_id": first},
        {
            "action_type": "deadline",
            "action_verb": "deadline",
            "target_step_id": first,
            "deadline": {"value": 1, "unit": "days", "option": "from"},
        },
        {
            "action_type": "webhook",
            "action_verb": "emit_webhook",
            "target_step_id": first,
            "webhook_url": "https://hooks.org/a",
            "alias_name": "a",
        },
    ]
    rule = {"automated_alias": "all", "conditions": [asked | {"statement": None}], "then_actions": actions}
    reply = await api.call("POST", f"{path}/automated-actions", json=rule)
    check("create_automated_action", reply)
    assert reply.status_code == 201, reply.text
    mine = f"{path}/automated-actions/{reply.json()['data']['id']}"
    check("get_checklist", await api.call("GET", path))
    check("update_automated_action", await api.call("PUT", mine, json=rule | {"automated_alias": "b"}))
    check("update_automated_action", await api.call("PUT", mine, json=rule | {"conditions": [asked]}))
    check("delete_step", await api.call("DELETE", f"{path}/steps/{second}"))
    check("delete_prerun", await api.call("DELETE", f"{path}/preruns/{made['prerun'][0]['id']}"))
    run = (await api.call("POST", "{org}/runs", json={"checklist_id": made["id"]})).json()["data"]
    task = next(t for t in api.tenant.tasks_of(api.tenant.runs[run["id"]]) if t.step_id == first)
    done = await api.call("POST", f"{{org}}/runs/{run['id']}/completed-tasks", json={"task_id": task.id})
    check("complete_run_task", done)
    assert (await api.call("DELETE", mine)).status_code == 204
    check("delete_automated_action", await api.call("DELETE", mine))
