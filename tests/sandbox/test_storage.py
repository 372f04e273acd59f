"""The world in a file: whatever was written over HTTP is there after the next start, however the last one ended."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tallyfy_async.sandbox import Fault, Sandbox, Settings, StorageError
from tallyfy_async.sandbox.storage import SCHEMA, Storage

from .browser import PKCE, Visit
from .conftest import SMALL, Api, Clock
from .image import containers, image
from .steps import finish, launch, tasks_of

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "world.db"


@pytest.fixture
def start(file: Path, clock: Clock) -> Callable[..., Sandbox]:
    def build(path: Path = file, **options: Any) -> Sandbox:
        return Sandbox(Settings(**SMALL), clock=clock, db=path, **options)

    return build


@pytest.fixture
async def stored(start: Callable[..., Sandbox]) -> AsyncIterator[Api]:
    sandbox = start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as http:
        yield Api(sandbox, http)
    sandbox.close()


def crashed(file: Path, start: Callable[..., Sandbox]) -> Sandbox:
    """Open what a kill would leave behind now: the file and its log, as they lie on the disk."""
    ruins = file.parent / "ruins"
    shutil.rmtree(ruins, ignore_errors=True)
    ruins.mkdir()
    for part in file.parent.glob(f"{file.name}*"):
        shutil.copy(part, ruins)
    return start(ruins / file.name)


async def write_everything(api: Api) -> None:
    """Write rows of every kind, through the API."""

    async def done(method: str, path: str, json: Any = None, **options: Any) -> Any:
        reply = await api.call(method, path, json=json, **options)
        assert 200 <= reply.status_code < 300, (path, reply.text)
        return reply.json().get("data", reply.json()) if reply.content else None

    mine = api.sandbox.credentials
    person = {"first_name": "Zoë", "last_name": "\ud83d\ude00", "timezone": "UTC"}
    await done("POST", "{org}/users/invite", person | {"email": "new@tallyfy.com", "role": "standard", "message": "hi"})
    await done("PUT", "{org}/me", person | {"phone": "1"})
    guest = {"email": "new.guest@acme.org", "first_name": "N", "company_name": "Acme"}
    await done("POST", "{org}/guests", guest)
    await done("POST", "{org}/groups", {"name": "Night", "description": "d", "members": [1001], "guests": ["g@acme.org"]})
    await done("POST", "{org}/roles", {"name": "r", "permissions": ["a"]})
    await done("PUT", "{org}/me/preferences", {"slug": "a", "value": "1", "metadata": {"x": [1]}})
    await done("POST", "{org}/me/process-views", {"name": "v", "is_active": 1, "criteria": ["x", {"y": 1}]})
    await done("PUT", "{org}", {"name": "Engines", "settings": {"workdays": ["Monday"]}})
    await done("PUT", "{org}/billing-info", {"token_id": "t"})
    await done("PUT", "{org}/users/1001/add-watcher", WATCHER | {"object_id": api.tenant.id})
    await done("POST", "{org}/custom-field-keys", {"key": "size", "applies_to": "user", "field_type": "number"})
    await done("PUT", "{org}/users/1001/custom-fields", {"custom_fields": {"size": 2.0}})
    await done("POST", "/auth/recover-password", {"email": mine.username})

    made = await done("POST", "{org}/checklists", {"title": "T", "type": "procedure", "prerun": [FIELD | {"label": "p"}]})
    path = f"{{org}}/checklists/{made['id']}"
    for title in ("A", "B"):
        step = await done("POST", f"{path}/steps", {"title": title})
        await done("POST", f"{path}/steps/{step['id']}/captures", FIELD)
    when = {"conditionable_type": "Step", "conditionable_id": step["id"], "operation": "completed"}
    then = {"action_type": "visibility", "action_verb": "show", "target_step_id": step["id"]}
    rule = {"automated_alias": "r", "conditions": [when], "then_actions": [then]}
    await done("POST", f"{path}/automated-actions", rule)
    run = await launch(api, checklist_id=made["id"])
    task, other = tasks_of(api, run)
    field = task.captures[0].id
    row = {"subject_type": "Run", "subject_id": run["id"], "uploaded_from": "x"}
    await done("POST", "{org}/file", data=row, files={"name": ("a.png", PNG, "image/png")})
    body = {"taskdata": {field: "é \ud83d\ude00"}, "owners": {"users": [1001], "guests": ["new@x.org"], "groups": []}}
    await done("PUT", f"{{org}}/runs/{run['id']}/tasks/{task.id}", body)
    assert (await finish(api, other)).status_code == 200
    await done("POST", f"{{org}}/tasks/{task.id}/comment", {"content": "Look, @[1002]"})
    await done("POST", f"{{org}}/runs/{run['id']}/problem", {"content": "Stuck"})
    tag = await done("POST", "{org}/tags", {"title": "Steam", "color": "#e74c3c"})
    await done("POST", "{org}/checklists/tags", {"subject_id": run["id"], "subject_type": "Run", "tag_id": tag["id"]})
    folder = await done("POST", "{org}/folders", {"name": "Q1", "folder_type": "run"})
    link = {"folder_id": folder["id"], "subject_id": run["id"], "subject_type": "Run"}
    await done("POST", "{org}/folders/add-object", link)
    fan = {"title": "Each", "task_type": "task", "deadline": "2026-12-01 10:00:00", "separate_task_for_each_assignee": True}
    await done("POST", "{org}/tasks", fan | {"owners": {"users": [1001, 1002], "guests": [], "groups": []}})

    await done("POST", f"{api.sandbox.issuer}/_sandbox/clients", {"redirect_uris": ["https://a.org/"], "public": True})
    tokens = (await api.login()).json()
    await api.refresh(tokens["refresh_token"])
    await Visit(api, **PKCE).code()


FIELD = {"label": "Where", "field_type": "text", "required": False}
WATCHER: dict[str, Any] = {}
