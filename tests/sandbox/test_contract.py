"""The replies of the sandbox against the contract's own schemas, with a validator of our own for the words they use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from tallyfy_async.sandbox.routes import build

from .browser import Visit, arrived

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


@cache
def contract() -> Any:
    return json.loads(files("tallyfy_async.sandbox").joinpath("openapi.json").read_bytes())


@cache
def operations() -> dict[str, tuple[str, str, Any]]:
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, entry in contract()["paths"].items()
        for method, operation in entry.items()
        if isinstance(operation, dict) and "operationId" in operation
    }


def is_a(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def problems(value: Any, schema: Any, path: str = "$") -> Iterator[str]:
    """Yield where a value does not fit a schema: types, enums, required, alternatives, and keys nobody described."""
    while "$ref" in schema:
        schema = contract()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    for part in schema.get("allOf", ()):
        yield from problems(value, part, path)
    alternatives = schema.get("oneOf") or schema.get("anyOf")
    if alternatives and all(list(problems(value, part, path)) for part in alternatives):
        yield f"{path}: {value!r} fits no alternative"
    names = schema.get("type")
    if names is not None and not any(is_a(value, name) for name in ([names] if isinstance(names, str) else names)):
        yield f"{path}: {value!r} is no {names}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            yield f"{path}: too many items"
        for number, entry in enumerate(value):
            yield from problems(entry, schema.get("items", {}), f"{path}[{number}]")
    if isinstance(value, dict) and "properties" in schema:
        described = schema["properties"]
        yield from (f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, entry in value.items():
            if name in described:
                yield from problems(entry, described[name], f"{path}.{name}")
            elif not schema.get("additionalProperties"):
                yield f"{path}.{name}: not described"


def check(operation: str, reply: Any) -> None:
    method, _, described = operations()[operation]
    assert reply.request.method == method
    answer = described["responses"].get(str(reply.status_code))
    assert answer is not None, (operation, reply.status_code)
    found = list(problems(reply.json(), answer["content"]["application/json"]["schema"]))
    assert not found, (operation, found[:5])


def test_validator_notices() -> None:
    schema = operations()["get_run"][2]["responses"]["200"]["content"]["application/json"]["schema"]
    assert not list(problems({"data": {"id": "x", "name": "y"}}, schema))
    broken: Any
    for broken in (
        {},
        {"data": []},
        {"data": {"id": "x"}},
        {"data": {"id": 1, "name": "y"}},
        {"data": {"id": "x", "name": "y", "z": 1}},
    ):
        assert list(problems(broken, schema)), broken


def test_every_served_operation_is_one_of_the_contract() -> None:
    for operation in build().operations:
        method, path, described = operations()[operation.name]
        assert (operation.method, operation.path) == (method, path), operation.name
        assert operation.scope == described["x-scope"], operation.name


READS = {
    "get_me": "/me",
    "list_my_organizations": "/me/organizations",
    "get_current_user": "{org}/me?with=groups,stats,country",
    "list_users": "{org}/users?with=groups,stats,country,organizations,assets",
    "get_user": "{org}/users/1001?with=groups,stats,country",
    "list_checklists": "{org}/checklists?with=steps,tags,folder,permissions,stages&per_page=100",
    "get_checklist": "{org}/checklists/{checklist}?with=steps,tags,linked_tasks,assets",
    "list_runs": "{org}/runs?with=checklist,tasks,tags,next_task,tasks_meta,ko_form_fields,form_fields&per_page=100",
    "get_run": "{org}/runs/{run}?with=checklist,tasks.threads,tasks.form_fields,assets,stages,folders,permissions",
    "list_run_tasks": "{org}/runs/{run}/tasks?with=step,threads,form_fields,run,run.checklist,summary&per_page=100",
    "get_run_task": "{org}/runs/{run}/tasks/{task}?with=run,step,form_fields,issues,ko-form-fields,threads_count,tags",
    "list_tasks": "{org}/tasks?with=run,step,threads,tags,form_fields&archived=true&per_page=100",
    "get_task": "{org}/tasks/{task}?with=run,step,form_fields,activities,roles,folders",
    "list_my_tasks": "{org}/me/tasks?with=run,step,comments&status=all&per_page=100",
}


@pytest.mark.parametrize("operation", READS)
@pytest.mark.parametrize("settings", [{}, {"owners_style": "objects", "links_style": "map"}])
async def test_reads_fit_the_schemas(make: Callable[..., Api], operation: str, settings: dict[str, Any]) -> None:
    api = make(**settings)
    run = next(r for r in api.tenant.runs.values() if r.status == "problem" and r.archived_at is None)
    task = next(t for t in api.tenant.tasks_of(run) if t.problem)
    path = READS[operation].replace("{run}", run.id).replace("{task}", task.id).replace("{checklist}", run.checklist_id)
    for suffix in ("", path.partition("?")[0]):
        check(operation, await api.call("GET", suffix or path))


async def test_writes_fit_the_schemas(api: Api) -> None:
    checklist = next(c for c in api.tenant.checklists.values() if not any(f.required for f in c.prerun))
    reply = await api.call("POST", "{org}/runs", json={"checklist_id": checklist.id})
    check("launch_run", reply)
    run = api.tenant.runs[reply.json()["data"]["id"]]
    task = next(t for t in api.tenant.tasks_of(run) if not any(f.required for f in t.captures))
    path, oneoff = f"{{org}}/runs/{run.id}", next(t for t in api.tenant.tasks.values() if t.is_oneoff and t.is_open)
    full = {"title": "T", "deadline": "2026-12-01 10:00:00", "owners": {"users": [1001]}}
    done = {"is_approved": True}
    check("update_run_task", await api.call("PUT", f"{path}/tasks/{task.id}", json={"summary": "s"}))
    check("complete_run_task", await api.call("POST", f"{path}/completed-tasks", json=done | {"task_id": task.id}))
    check("reopen_run_task", await api.call("DELETE", f"{path}/completed-tasks/{task.id}"))
    check("update_task", await api.call("PUT", f"{{org}}/tasks/{oneoff.id}", json=full))
    check("complete_task", await api.call("POST", "{org}/completed-tasks", json=done | {"task_id": oneoff.id}))
    check("reopen_task", await api.call("DELETE", f"{{org}}/completed-tasks/{oneoff.id}"))
    check("update_run", await api.call("PUT", path, json={"name": "x"}))
    check("archive_run", await api.call("DELETE", path))
    check("activate_run", await api.call("PUT", f"{path}/activate"))


async def test_authorization_and_applications_fit_the_schemas(api: Api) -> None:
    answers = operations()["authorize"][2]["responses"]
    visit = Visit(api)
    page, grant = await visit.open(), await visit.answer()
    assert page.headers["content-type"].partition(";")[0] in answers[str(page.status_code)]["content"]
    assert set(answers[str(grant.status_code)]["headers"]) == {"Location"}
    check("authorize", await Visit(api, client_id="1").open(accept="application/json"))
    code = {"code": arrived(grant)["code"], "redirect_uri": visit.query["redirect_uri"]}
    for _ in range(2):
        check("create_token", await api.form(grant_type="authorization_code", **code))
    mine = api.sandbox.credentials
    path = f"/applications/{mine.organization}/users"
    new = {"first_name": "Eve", "last_name": "Hopper", "email": "eve@analytical-engines.com"}
    for _ in range(2):
        check("create_application_user", await api.call("POST", path, json=new))
        for email in (mine.username, "nobody@nowhere.org"):
            check("create_application_user_token", await api.call("POST", f"{path}/{email}/token"))
        api.token = (await api.form(grant_type="client_credentials")).json()["access_token"]
    check("create_application_user", await api.call("POST", path, json=new))
    api.sandbox.configure(full_seats=0)
    check("create_application_user", await api.call("POST", path, json=new | {"email": "eva@analytical-engines.com"}))
    api.tenant.members.pop(1002)
    outside = api.sandbox.world.users[1002].email
    check("create_application_user_token", await api.call("POST", f"{path}/{outside}/token"))


async def test_tokens_and_errors_fit_the_schemas(api: Api) -> None:
    reply = await api.login()
    check("create_token", reply)
    check("refresh_token", await api.form("/oauth/token/refresh", refresh_token=reply.json()["refresh_token"]))
    check("create_token", await api.login(password="wrong"))
    check("create_token", await api.login(client_secret="wrong"))
    check("launch_run", await api.call("POST", "{org}/runs", json={}))
    check("get_run", await api.call("GET", "{org}/runs/nope"))
    check("get_run", await api.call("GET", "{org}/runs/nope", headers={"Authorization": None}))
