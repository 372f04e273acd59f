"""Write rows of every kind, through the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.browser import Visit
from tests.sandbox.steps import finish, launch, tasks_of

if TYPE_CHECKING:
    from .conftest import Api

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
FIELD = {"label": "Where", "field_type": "text", "required": False}
ANSWER = "é 😀 \x00"


class Everything:
    """One pass over the nouns; raise AssertionError where the sandbox refuses."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def write(self) -> None:
        await self.people()
        await self.organization()
        await self.work(await self.template())
        await self.logins()

    async def do(self, method: str, path: str, json: Any = None, **options: Any) -> Any:
        reply = await self.api.call(method, path, json=json, **options)
        assert 200 <= reply.status_code < 300, (path, reply.text)
        return reply.json().get("data") if reply.content else None

    async def people(self) -> None:
        person = {"first_name": "Zoë", "last_name": "😀", "timezone": "UTC"}
        await self.do("PUT", "{org}/me", person | {"phone": "1"})
        await self.do(
            "POST", "{org}/users/invite", person | {"email": "new@engines.org", "role": "light", "message": "hi"}
        )
        guest = {"email": "new.guest@acme.org", "first_name": "N", "company_name": "Acme"}
        await self.do("POST", "{org}/guests", guest)
        group = {"name": "Night", "description": "d", "members": [1001], "guests": ["g@acme.org"]}
        await self.do("POST", "{org}/groups", group)
        await self.do("POST", "{org}/roles", {"name": "r", "permissions": ["a"]})
        await self.do("POST", "{org}/me/preferences", {"slug": "a", "value": "1", "metadata": {"x": [1, {"y": None}]}})
        await self.do("POST", "{org}/me/process-views", {"name": "v", "is_active": 1, "criteria": ["x", {"y": 1}]})
        await self.do("POST", "/auth/recover-password", {"email": self.api.sandbox.credentials.username})

    async def organization(self) -> None:
        await self.do("PUT", "{org}", {"name": "Engines", "settings": {"workdays": ["Monday"]}})
        await self.do("PUT", "{org}/billing-info", {"token_id": "t"})
        watcher = {"object_type": "organization", "notification_type": "webhook", "frequency": "electric"}
        hook = {"object_id": self.api.tenant.id, "webhook": "https://hooks.acme.org/x"}
        await self.do("POST", "{org}/users/1001/add-watcher", watcher | hook)
        key = {"key": "size", "applies_to": "user", "field_type": "number"}
        await self.do("POST", "{org}/custom-field-keys", key)
        await self.do("PUT", "{org}/users/1001/custom-fields", {"custom_fields": {"size": 2.5}})

    async def template(self) -> str:
        new = {"title": "T", "type": "procedure", "prerun": [FIELD]}
        made = await self.do("POST", "{org}/checklists", new)
        path, steps = f"{{org}}/checklists/{made['id']}", []
        for title in ("A", "B"):
            steps.append((await self.do("POST", f"{path}/steps", {"title": title}))["id"])
            await self.do("POST", f"{path}/steps/{steps[-1]}/captures", FIELD)
        when = {"conditionable_type": "Step", "conditionable_id": steps[0], "operation": "completed", "statement": None}
        then = {"action_type": "visibility", "action_verb": "show", "target_step_id": steps[1]}
        rule = {"automated_alias": "r", "conditions": [when], "then_actions": [then]}
        await self.do("POST", f"{path}/automated-actions", rule)
        return str(made["id"])

    async def work(self, template: str) -> None:
        run = await launch(self.api, checklist_id=template)
        done, task = tasks_of(self.api, run)
        assert (await finish(self.api, done)).status_code == 200
        row = {"subject_type": "Run", "subject_id": run["id"], "uploaded_from": "x"}
        await self.do("POST", "{org}/file", data=row, files={"name": ("a.png", PNG, "image/png")})
        owners = {"users": [1001], "guests": ["new@x.org"], "groups": []}
        body = {"taskdata": {task.captures[0].id: ANSWER}, "owners": owners}
        await self.do("PUT", f"{{org}}/runs/{run['id']}/tasks/{task.id}", body)
        await self.do("POST", f"{{org}}/tasks/{task.id}/comment", {"content": "Look, @[1002]"})
        await self.do("POST", f"{{org}}/runs/{run['id']}/problem", {"content": "Stuck"})
        tag = await self.do("POST", "{org}/tags", {"title": "Steam", "color": "#e74c3c"})
        subject = {"subject_id": run["id"], "subject_type": "Run"}
        await self.do("POST", "{org}/checklists/tags", subject | {"tag_id": tag["id"], "tag_type": "private"})
        folder = await self.do("POST", "{org}/folders", {"name": "Q1", "folder_type": "run"})
        await self.do("POST", "{org}/folders/add-object", subject | {"folder_id": folder["id"]})
        fan = {"title": "Each", "task_type": "task", "deadline": "2026-12-01 10:00:00"}
        each = {"owners": {"users": [1001, 1002], "guests": [], "groups": []}, "separate_task_for_each_assignee": True}
        await self.do("POST", "{org}/tasks", fan | each)

    async def logins(self) -> None:
        api = self.api
        asked = {"redirect_uris": ["https://a.org/"], "public": True}
        assert (await api.http.post(f"{api.sandbox.issuer}/_sandbox/clients", json=asked)).status_code == 200
        tokens = (await api.login()).json()
        assert (await api.refresh(tokens["refresh_token"])).status_code == 200
        assert await Visit(api).code()
