"""What the write tests do again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conftest import Api

SAMPLES: dict[str, Any] = {
    "text": "x",
    "textarea": "long x",
    "email": "a@b.c",
    "date": "2026-12-01 10:00:00",
    "table": ["1", "2", "3"],
    "assignees_form": {"users": [1001], "guests": [], "groups": []},
    "file": [{"url": "https://files.example/a.pdf", "filename": "a.pdf"}],
}


def answer(field: Any) -> Any:
    if field.field_type == "radio":
        return field.options[0]["text"]
    if field.field_type == "dropdown":
        return {"id": field.options[0]["id"], "text": field.options[0]["text"]}
    if field.field_type == "multiselect":
        return [{"id": o["id"], "text": o["text"], "selected": True} for o in field.options]
    return SAMPLES[field.field_type]


def answers(fields: list[Any]) -> dict[str, Any]:
    return {field.id: answer(field) for field in fields}


def easy(api: Api) -> Any:
    """Return a template whose kick-off form demands nothing."""
    return next(c for c in api.tenant.checklists.values() if not any(f.required for f in c.prerun))


async def launch(api: Api, **body: Any) -> dict[str, Any]:
    reply = await api.call("POST", "{org}/runs", json={"checklist_id": easy(api).id} | body)
    assert reply.status_code == 201, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def refused(api: Api, method: str, path: str, body: Any, status: int = 422) -> Any:
    before = api.sandbox.truth(), api.tenant.version
    reply = await api.call(method, path, json=body)
    assert reply.status_code == status, reply.text
    assert (api.sandbox.truth(), api.tenant.version) == before
    return reply.json().get("errors")


async def finish(api: Api, task: Any, **more: Any) -> Any:
    task.taskdata = answers(task.captures)
    body = {"task_id": task.id, "is_approved": True} | more
    path = f"{{org}}/runs/{task.run_id}/completed-tasks" if task.run_id else "{org}/completed-tasks"
    return await api.call("POST", path, json=body)


def tasks_of(api: Api, run: dict[str, Any]) -> list[Any]:
    return api.tenant.tasks_of(api.tenant.runs[run["id"]])
