"""A template to try automations on, and what the tests of them do again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.steps import launch

if TYPE_CHECKING:
    from .conftest import Api

YES = {"id": 1, "text": "Yes"}


class Workflow:
    """A template of steps A, B, C (an approval) and D (expiring), with fields on A and a kick-off form."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.path = ""
        self.id = ""
        self.ids: dict[str, str] = {}
        self.run: dict[str, Any] = {}

    async def build(self) -> None:
        choice = {"options": [{"id": 1, "text": "Yes"}, {"id": 2, "text": "No"}]}
        plain = {"required": False}
        prerun = [
            plain | {"label": "ko", "field_type": "radio"} | choice,
            plain | {"label": "who", "field_type": "assignees_form"},
        ]
        new = {"title": "T", "type": "procedure", "prerun": prerun}
        made = (await self.api.call("POST", "{org}/checklists", json=new)).json()["data"]
        self.id, self.path = made["id"], f"{{org}}/checklists/{made['id']}"
        self.ids |= {field["label"]: field["id"] for field in made["prerun"]}
        for title, kind in (("A", "task"), ("B", "task"), ("C", "approval"), ("D", "expiring")):
            reply = await self.api.call("POST", f"{self.path}/steps", json={"title": title, "step_type": kind})
            self.ids[title] = reply.json()["data"]["id"]
        for label, kind, more in (
            ("text", "text", {}),
            ("drop", "dropdown", choice),
            ("multi", "multiselect", choice),
            ("table", "table", {"columns": [{"id": 1, "label": "x"}, {"id": 2, "label": "y"}]}),
            ("date", "date", {}),
            ("file", "file", {}),
        ):
            body = plain | {"label": label, "field_type": kind} | more
            reply = await self.api.call("POST", f"{self.path}/steps/{self.ids['A']}/captures", json=body)
            self.ids[label] = reply.json()["data"]["id"]

    def when(self, name: str, operation: str, statement: Any = None, **more: Any) -> dict[str, Any]:
        kind = "Step" if name in "ABCD" else "Prerun" if name in {"ko", "who"} else "Capture"
        asked = {"conditionable_type": kind, "conditionable_id": self.ids[name], "operation": operation}
        return asked | {"statement": statement} | more

    def then(self, verb: str, target: str, **more: Any) -> dict[str, Any]:
        kinds = {"show": "visibility", "hide": "visibility", "deadline": "deadline", "reopen": "status"}
        kind = kinds.get(verb, "assignment")
        return {"action_type": kind, "action_verb": verb, "target_step_id": self.ids[target]} | more

    async def rule(self, conditions: list[dict[str, Any]], *actions: dict[str, Any]) -> None:
        body = {"automated_alias": "r", "conditions": conditions, "then_actions": actions}
        reply = await self.api.call("POST", f"{self.path}/automated-actions", json=body)
        assert reply.status_code == 201, reply.text

    async def launch(self, **body: Any) -> None:
        self.run = await launch(self.api, checklist_id=self.id, **body)

    def task(self, title: str) -> Any:
        run = self.api.tenant.runs[self.run["id"]]
        return next(task for task in self.api.tenant.tasks_of(run) if task.title == title)

    @property
    def hidden(self) -> str:
        return "".join(title for title in "ABCD" if self.task(title).status == "auto-skipped")

    async def answer(self, **answers: Any) -> None:
        taskdata = {self.ids[label]: value for label, value in answers.items()}
        path = f"{{org}}/runs/{self.run['id']}/tasks/{self.task('A').id}"
        reply = await self.api.call("PUT", path, json={"taskdata": taskdata})
        assert reply.status_code == 200, reply.text

    async def complete(self, title: str, **body: Any) -> Any:
        """Complete a task and return the titles of the tasks that rules changed."""
        path = f"{{org}}/runs/{self.run['id']}/completed-tasks"
        reply = await self.api.call("POST", path, json={"task_id": self.task(title).id} | body)
        assert reply.status_code == 200, reply.text
        return self.titles(reply)

    async def reopen(self, title: str) -> Any:
        path = f"{{org}}/runs/{self.run['id']}/completed-tasks/{self.task(title).id}"
        return self.titles(await self.api.call("DELETE", path))

    def titles(self, reply: Any) -> Any:
        changed = reply.json()["data"]["tasks_changed_by_rules"]
        if changed == []:
            return ""
        assert all(task["id"] == ident for ident, task in changed.items())
        return "".join(task["title"] for task in changed.values())

    async def status(self) -> tuple[str, int]:
        row = (await self.api.get(f"{{org}}/runs/{self.run['id']}"))["data"]
        return row["status"], row["progress"]["total"]
