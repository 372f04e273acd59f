"""Automations as they are written: what the API takes, refuses and gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from tests.sandbox.steps import refused

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio


@frozen
class Place:
    """A template with a step of three types, a picker, a date and a kick-off field."""

    api: Api
    path: str
    task: str
    approval: str
    expiring: str
    text: str
    picker: str
    date: str
    prerun: str

    def condition(self, **more: Any) -> dict[str, Any]:
        asked = {"conditionable_type": "Step", "conditionable_id": self.task, "operation": "completed"}
        return asked | {"statement": "any_time"} | more

    def action(self, **more: Any) -> dict[str, Any]:
        return {"action_type": "visibility", "action_verb": "show", "target_step_id": self.approval} | more

    def rule(self, **more: Any) -> dict[str, Any]:
        return {"automated_alias": "r", "conditions": [self.condition()], "then_actions": [self.action()]} | more

    async def create(self, **more: Any) -> dict[str, Any]:
        reply = await self.api.call("POST", f"{self.path}/automated-actions", json=self.rule(**more))
        assert reply.status_code == 201, reply.text
        data: dict[str, Any] = reply.json()["data"]
        return data

    async def refused(self, **more: Any) -> Any:
        return await refused(self.api, "POST", f"{self.path}/automated-actions", self.rule(**more))

    async def rules(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.api.get(self.path))["data"]["automated_actions"]
        return rows


@pytest.fixture
async def place(api: Api) -> Place:
    field = {"label": "F", "required": False, "field_type": "text"}
    new = {"title": "T", "type": "procedure", "prerun": [field]}
    made = (await api.call("POST", "{org}/checklists", json=new)).json()["data"]
    path = f"{{org}}/checklists/{made['id']}"
    steps: list[str] = []
    for kind in ("task", "approval", "expiring"):
        reply = await api.call("POST", f"{path}/steps", json={"title": kind, "step_type": kind})
        steps.append(reply.json()["data"]["id"])
    fields: list[str] = []
    for kind in ("text", "assignees_form", "date"):
        reply = await api.call("POST", f"{path}/steps/{steps[0]}/captures", json=field | {"field_type": kind})
        fields.append(reply.json()["data"]["id"])
    (task, approval, expiring), (text, picker, date) = steps, fields
    return Place(api, path, task, approval, expiring, text, picker, date, made["prerun"][0]["id"])


async def test_rules_are_read_on_the_template(place: Place) -> None:
    rule = await place.create(condition_logic="or", nonsense=1)
    assert await place.rules() == [rule]
    assert rule["conditions"] == [
        {**place.condition(), "id": "1", "logic": "and", "position": 1, "column_contains_name": None}
    ]
    assert rule["then_actions"] == [
        {
            **place.action(),
            "id": "1",
            "position": 1,
            "actionable_id": None,
            "actionable_type": None,
            "deadline": None,
            "assignees": None,
        }
    ]
    await refused(place.api, "GET", f"{place.path}/automated-actions", None, 405)


async def test_update_replaces_and_delete_removes(place: Place) -> None:
    first, second = await place.create(), await place.create(automated_alias="s")
    path = f"{place.path}/automated-actions/{first['id']}"
    assert list(await refused(place.api, "PUT", path, {"automated_alias": "x"})) == ["conditions", "then_actions"]
    hide = place.action(action_verb="hide")
    body = place.rule(automated_alias="x", then_actions=[hide])
    row = (await place.api.call("PUT", path, json=body)).json()["data"]
    assert (row["id"], row["automated_alias"], row["then_actions"][0]["action_verb"]) == (first["id"], "x", "hide")
    assert [rule["id"] for rule in await place.rules()] == [first["id"], second["id"]]
    assert (await place.api.call("DELETE", path)).status_code == 204
    assert [rule["id"] for rule in await place.rules()] == [second["id"]]
    await refused(place.api, "DELETE", path, None, 404)
    await refused(place.api, "PUT", path, body, 404)


async def test_missing_and_wrong_parts(place: Place) -> None:
    assert list(await place.refused(automated_alias="x" * 301)) == ["automated_alias"]
    assert list(await place.refused(automated_alias="")) == ["automated_alias"]
    assert list(await place.refused(conditions=[], then_actions=[])) == ["conditions", "then_actions"]
    assert list(await place.refused(conditions=[1], then_actions=["x"])) == ["conditions", "then_actions"]
    found = await place.refused(conditions=[{}], then_actions=[{}])
    assert sorted(found) == [
        "conditions.0.conditionable_type",
        "conditions.0.operation",
        "conditions.0.statement",
        "then_actions.0.action_type",
        "then_actions.0.target_step_id",
    ]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"conditionable_type": "step"}, "conditionable_type"),
        ({"conditionable_type": ["Step"]}, "conditionable_type"),
        ({"conditionable_id": "0" * 32}, "conditionable_id"),
        ({"conditionable_id": ["x"]}, "conditionable_id"),
        ({"conditionable_type": "Capture", "operation": "is_empty"}, "conditionable_id"),
        ({"operation": "equals"}, "operation"),
        ({"operation": "approved"}, "operation"),
        ({"operation": "expired"}, "operation"),
        ({"operation": ["completed"]}, "operation"),
        ({"logic": "xor"}, "logic"),
        ({"logic": ["and"]}, "logic"),
        ({"column_contains_name": 1}, "column_contains_name"),
    ],
)
async def test_condition_refusals(place: Place, change: dict[str, Any], key: str) -> None:
    assert list(await place.refused(conditions=[place.condition(**change)])) == [f"conditions.0.{key}"]


async def test_statement_must_be_there_but_may_be_anything(place: Place) -> None:
    bare = {key: value for key, value in place.condition().items() if key != "statement"}
    errors = await place.refused(conditions=[bare])
    assert errors == {"conditions.0.statement": ["The conditions.0.statement field must be present."]}
    for statement in (None, "never", 1, ["x"], {"id": 1, "text": "x"}, True):
        rule = await place.create(conditions=[place.condition(statement=statement)])
        assert rule["conditions"][0]["statement"] == statement


async def test_verdicts_are_asked_of_steps_that_give_them(place: Place) -> None:
    for step, operations in (
        (place.approval, ("approved", "rejected")),
        (place.expiring, ("acknowledged", "expired")),
    ):
        for operation in operations:
            await place.create(conditions=[place.condition(conditionable_id=step, operation=operation)])


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"action_verb": "assign"}, "action_verb", 'The action verb only accepts "show" or "hide".'),
        (
            {"action_type": "assignment", "assignees": {"users": [1001]}},
            "action_verb",
            'The action verb only accepts "assign", "assign_only", "clear_assignees" or "unassign".',
        ),
        ({"action_type": "status"}, "action_verb", 'The action verb only accepts "reopen".'),
        ({"action_type": "complete"}, "action_type", "The selected then_actions.0.action_type is invalid."),
        ({"target_step_id": "x"}, "target_step_id", "The selected then_actions.0.target_step_id is invalid."),
        ({"target_step_id": [1]}, "target_step_id", "The selected then_actions.0.target_step_id is invalid."),
        (
            {"action_type": "assignment", "action_verb": "assign"},
            "assignees",
            "Please fill a list of assignees for the assignment action.",
        ),
        (
            {"action_type": "assignment", "action_verb": "unassign", "assignees": {"users": ["ada"]}},
            "assignees",
            "Please fill a list of assignees for the assignment action.",
        ),
        (
            {"action_type": "webhook", "action_verb": "emit_webhook", "alias_name": "a"},
            "webhook_url",
            "Please provide a webhook URL for the webhook action.",
        ),
        (
            {"action_type": "webhook", "action_verb": "emit_webhook", "webhook_url": "x", "alias_name": "a"},
            "webhook_url",
            "The webhook_url format is invalid.",
        ),
        (
            {"action_type": "deadline", "action_verb": "deadline"},
            "deadline",
            "The then_actions.0.deadline field is required.",
        ),
    ],
)
async def test_action_refusals(place: Place, change: dict[str, Any], key: str, message: str) -> None:
    assert await place.refused(then_actions=[place.action(**change)]) == {f"then_actions.0.{key}": [message]}


@pytest.mark.parametrize(
    ("deadline", "key"),
    [
        ({"unit": "days", "option": "from"}, "value"),
        ({"value": 1, "unit": "day", "option": "from"}, "unit"),
        ({"value": 1, "unit": "days", "option": "prior_to"}, "option"),
        ({"value": 1, "unit": "days", "option": ["from"]}, "option"),
    ],
)
async def test_deadlines_are_whole(place: Place, deadline: dict[str, Any], key: str) -> None:
    action = place.action(action_type="deadline", action_verb="deadline", deadline=deadline)
    assert list(await place.refused(then_actions=[action])) == [f"then_actions.0.deadline.{key}"]


async def test_sources_of_actions(place: Place) -> None:
    people = place.action(action_type="assignment", action_verb="assign", actionable_type="Capture")
    moment = place.action(action_type="deadline", action_verb="deadline", actionable_type="Capture")
    moment["deadline"] = {"value": 1, "unit": "days", "option": "before"}
    for action, good, bad in ((people, place.picker, place.date), (moment, place.date, place.picker)):
        errors = await place.refused(then_actions=[action | {"actionable_id": bad}])
        assert list(errors) == ["then_actions.0.actionable_id"]
        rule = await place.create(then_actions=[action | {"actionable_id": good}])
        assert rule["then_actions"][0]["actionable_id"] == good
    rule = await place.create(then_actions=[moment | {"actionable_id": place.task, "actionable_type": "Step"}])
    assert rule["then_actions"][0]["actionable_type"] == "Step"
    errors = await place.refused(then_actions=[people | {"actionable_id": place.picker, "actionable_type": "Step"}])
    assert list(errors) == ["then_actions.0.actionable_id"]


async def test_people_of_an_assignment(place: Place) -> None:
    people = {"assignees": [1001, "1002", "ada"], "guests": ["a@b.org", "nobody"], "groups": ["g", 1]}
    action = place.action(action_type="assignment", action_verb="assign", assignees=people)
    rule = await place.create(then_actions=[action])
    assert rule["then_actions"][0]["assignees"] == {"users": [1001, 1002], "guests": ["a@b.org"], "groups": ["g"]}
    action = place.action(action_type="assignment", action_verb="clear_assignees")
    assert (await place.create(then_actions=[action]))["then_actions"][0]["assignees"] == []


async def test_actions_that_do_not_go_together(place: Place) -> None:
    show, hide = place.action(), place.action(action_verb="hide")
    assert list(await place.refused(then_actions=[show, hide])) == ["then_actions.1.target_step_id"]
    reopen = place.action(action_type="status", action_verb="reopen", target_step_id=place.task)
    assert list(await place.refused(then_actions=[reopen])) == ["then_actions.0.target_step_id"]
    await place.create(then_actions=[show, hide | {"target_step_id": place.expiring}])


async def test_a_kickoff_field_in_a_rule_stays(place: Place) -> None:
    asked = {"conditionable_type": "Prerun", "conditionable_id": place.prerun, "operation": "is_empty"}
    await place.create(conditions=[asked | {"statement": None}])
    await refused(place.api, "DELETE", f"{place.path}/preruns/{place.prerun}", None, 403)
    await refused(place.api, "PUT", place.path, {"title": "T", "prerun": []}, 403)
