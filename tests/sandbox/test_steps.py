"""Steps of templates and their form fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.steps import launch, refused, tasks_of

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
NAME: dict[str, Any] = {"label": "Name", "field_type": "text", "required": False}
TWO = [{"id": 1, "text": "S"}, {"id": 2, "text": "M"}]


class Bench:
    """A fresh template and its steps."""

    def __init__(self, api: Api, made: dict[str, Any]) -> None:
        self.api = api
        self.id = made["id"]
        self.path = f"{{org}}/checklists/{made['id']}/steps"

    async def step(self, title: str = "A", **body: Any) -> dict[str, Any]:
        return await self.send("POST", "", 201, title=title, **body)

    async def capture(self, step: str, **body: Any) -> dict[str, Any]:
        return await self.send("POST", f"/{step}/captures", 201, **NAME | body)

    async def send(self, method: str, tail: str, status: int = 200, /, **body: Any) -> dict[str, Any]:
        reply = await self.api.call(method, self.path + tail, json=body)
        assert reply.status_code == status, reply.text
        data: dict[str, Any] = reply.json()["data"] if reply.content else {}
        return data

    async def refused(self, method: str, tail: str, body: Any, status: int = 422) -> Any:
        return await refused(self.api, method, self.path + tail, body, status)

    async def titles(self) -> list[tuple[str, int]]:
        rows = (await self.api.get(self.path, per_page=100))["data"]
        return [(row["title"], row["position"]) for row in rows]

    async def labels(self, step: str) -> list[tuple[str, int]]:
        rows = (await self.api.get(f"{self.path}/{step}"))["data"]["captures"]
        return [(row["label"], row["position"]) for row in rows]


@pytest.fixture
async def bench(api: Api) -> Bench:
    reply = await api.call("POST", "{org}/checklists", json={"title": "Hire", "type": "procedure"})
    return Bench(api, reply.json()["data"])


async def test_new_step_is_appended_with_its_defaults(bench: Bench) -> None:
    await bench.step("A")
    step = await bench.step("B", position=1, alias="mine", roles=["r"], description="dropped")
    assert await bench.titles() == [("A", 1), ("B", 2)]
    assert (step["step_type"], step["assign_run_starter"], step["summary"]) == ("task", True, None)
    assert (step["assignees"], step["guests"], step["groups"]) == ([], [], [])
    assert (step["deadline"], step["start_date"], step["captures"], step["roles"]) == ([], [], [], [])
    assert step["checklist_id"] == bench.id
    assert step["alias"].startswith("b_")
    assert (await bench.api.get(bench.path.removesuffix("/steps")))["data"]["steps_count"] == 2


async def test_steps_come_in_pages_whatever_is_asked(bench: Bench) -> None:
    for number in range(12):
        await bench.step(f"S{number}")
    page = await bench.api.get(bench.path, without_pagination="true")
    assert (len(page["data"]), page["meta"]["pagination"]["total"]) == (10, 12)


async def test_update_empties_absent_buckets_and_leaves_the_rest(bench: Bench) -> None:
    group = next(iter(bench.api.tenant.groups))
    people: dict[str, Any] = {"assignees": [1001, "1002"], "guests": ["a@b.org"], "groups": [group]}
    step = await bench.step(summary="s", max_assignable=3, **people)
    assert (step["assignees"], step["guests"], step["groups"]) == ([1001, 1002], ["a@b.org"], [group])
    row = await bench.send("PUT", f"/{step['id']}", title="A2", guests=["a@b.org"])
    assert (row["assignees"], row["guests"], row["groups"]) == ([], ["a@b.org"], [])
    assert (row["title"], row["summary"], row["max_assignable"], row["alias"]) == ("A2", "s", 3, step["alias"])


async def test_echo_of_a_read_step_is_refused(bench: Bench) -> None:
    step = await bench.step()
    await bench.refused("PUT", f"/{step['id']}", step)


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({}, ["title"]),
        ({"title": "x" * 601}, ["title"]),
        ({"title": "x", "step_type": "mail"}, ["step_type"]),
        ({"title": "x", "assignees": [7]}, ["assignees.0"]),
        ({"title": "x", "guests": ["nobody"]}, ["guests.0"]),
        ({"title": "x", "groups": ["g"]}, ["groups.0"]),
        ({"title": "x", "max_assignable": 0}, ["max_assignable"]),
        ({"title": "x", "webhook": "nowhere"}, ["webhook"]),
        ({"title": "x", "deadline": {"value": 1, "unit": "days", "option": "from"}}, ["deadline"]),
        ({"title": "x", "deadline": {"value": "one", "unit": "days", "option": "from", "step": None}}, ["deadline"]),
        ({"title": "x", "deadline": {"value": 1, "unit": 1, "option": "from", "step": None}}, ["deadline"]),
        ({"title": "x", "deadline": {"value": 1, "unit": "days", "option": 1, "step": None}}, ["deadline"]),
        ({"title": "x", "start_date": {"value": 1, "unit": "fortnights"}}, ["start_date"]),
        ({"title": "x", "tags": [1]}, ["tags"]),
    ],
)
async def test_step_refusals(bench: Bench, body: dict[str, Any], keys: list[str]) -> None:
    assert list(await bench.refused("POST", "", body)) == keys


async def test_wrong_words_of_a_deadline_are_stored_and_never_act(bench: Bench) -> None:
    for words in (("days", "before", "start_run"), ("fortnights", "from", "start_run"), ("days", "from", None)):
        unit, option, anchor = words
        deadline = {"value": 2, "unit": unit, "option": option, "step": anchor}
        assert (await bench.step(deadline=deadline))["deadline"] == deadline
    run = await launch(bench.api, checklist_id=bench.id)
    assert {task.deadline for task in tasks_of(bench.api, run)} == {None}


async def test_reorder_and_clone(bench: Bench) -> None:
    first, *_ = [await bench.step(title, assignees=[1001]) for title in "ABC"]
    await bench.capture(first["id"])
    assert (await bench.send("PUT", f"/{first['id']}/reorder", position=2))["position"] == 2
    assert await bench.titles() == [("B", 1), ("A", 2), ("C", 3)]
    await bench.send("PUT", f"/{first['id']}/reorder", position=99_999)
    assert await bench.titles() == [("B", 1), ("C", 2), ("A", 3)]
    for position in (0, -1, "x", None, 1.5):
        await bench.refused("PUT", f"/{first['id']}/reorder", {"position": position})
    await bench.send("PUT", f"/{first['id']}/reorder", position=1)
    copy = await bench.send("POST", f"/{first['id']}/clone", 201)
    assert await bench.titles() == [("A", 1), ("A", 2), ("B", 3), ("C", 4)]
    assert (copy["position"], copy["assignees"], len(copy["captures"])) == (2, [1001], 1)
    original = (await bench.api.get(f"{bench.path}/{first['id']}"))["data"]
    assert copy["captures"][0]["id"] != original["captures"][0]["id"]
    assert copy["captures"][0]["alias"] != original["captures"][0]["alias"]


async def test_delete_renumbers_and_is_refused_where_something_hangs_on_it(bench: Bench) -> None:
    api = bench.api
    first, second, third = [await bench.step(title) for title in "ABC"]
    deadline = {"value": 1, "unit": "days", "option": "from", "step": first["id"]}
    await bench.send("PUT", f"/{second['id']}", title="B", deadline=deadline)
    reply = await api.call("DELETE", f"{bench.path}/{first['id']}")
    assert reply.status_code == 403
    assert reply.json() == {
        "error": True,
        "message": "Cannot delete this step because other steps have deadlines that depend on it.",
    }
    rules = bench.path.replace("/steps", "/automated-actions")
    asked = {"conditionable_type": "Step", "operation": "completed", "statement": "any_time"}
    body = {
        "automated_alias": "r",
        "conditions": [asked | {"conditionable_id": second["id"]}],
        "then_actions": [{"action_type": "visibility", "action_verb": "show", "target_step_id": third["id"]}],
    }
    rule = (await api.call("POST", rules, json=body)).json()["data"]["id"]
    for step in (second, third):
        reply = await api.call("DELETE", f"{bench.path}/{step['id']}")
        assert reply.json()["message"] == "Cannot delete this step because there are rules dependent on it."
    await api.call("DELETE", f"{rules}/{rule}")
    await bench.send("DELETE", f"/{second['id']}", 204)
    await bench.send("DELETE", f"/{first['id']}", 204)
    assert await bench.titles() == [("C", 1)]
    await bench.refused("DELETE", f"/{first['id']}", None, 404)


async def test_rule_on_a_field_of_a_step_keeps_the_step(bench: Bench) -> None:
    first, second = [await bench.step(title) for title in "AB"]
    field = await bench.capture(first["id"])
    body: dict[str, Any] = {
        "automated_alias": "r",
        "conditions": [
            {
                "conditionable_type": "Capture",
                "conditionable_id": field["id"],
                "operation": "is_empty",
                "statement": None,
            }
        ],
        "then_actions": [{"action_type": "visibility", "action_verb": "show", "target_step_id": second["id"]}],
    }
    assert (await bench.api.call("POST", bench.path.replace("/steps", "/automated-actions"), json=body)).status_code
    await bench.refused("DELETE", f"/{first['id']}", None, 403)
    reply = await bench.api.call("DELETE", f"{bench.path}/{first['id']}/captures/{field['id']}")
    message = "Cannot delete a form field that is being used in a rule in other steps."
    assert (reply.status_code, reply.json()) == (403, {"error": True, "message": message})
    body["then_actions"][0]["target_step_id"] = first["id"]
    rules = (await bench.api.get(bench.path.removesuffix("/steps")))["data"]["automated_actions"]
    path = bench.path.replace("/steps", f"/automated-actions/{rules[0]['id']}")
    assert (await bench.api.call("PUT", path, json=body)).status_code == 200
    await bench.send("DELETE", f"/{first['id']}/captures/{field['id']}", 204)


async def test_fields_take_their_place(bench: Bench) -> None:
    step = (await bench.step())["id"]
    for label, place in (("a", None), ("b", None), ("c", 1), ("d", 99)):
        await bench.capture(step, label=label, **{"position": place} if place else {})
    assert await bench.labels(step) == [("c", 1), ("a", 2), ("b", 3), ("d", 4)]
    ids = {f["label"]: f["id"] for f in (await bench.api.get(f"{bench.path}/{step}"))["data"]["captures"]}
    await bench.send("PUT", f"/{step}/captures", capture_id=ids["c"], position=3)
    assert await bench.labels(step) == [("a", 1), ("b", 2), ("c", 3), ("d", 4)]
    assert list(await bench.refused("PUT", f"/{step}/captures", {"position": 1})) == ["capture_id"]
    assert list(await bench.refused("PUT", f"/{step}/captures", {"capture_id": ids["c"], "position": 0})) == [
        "position"
    ]
    await bench.refused("PUT", f"/{step}/captures", {"capture_id": "0" * 32, "position": 1}, 404)
    await bench.send("DELETE", f"/{step}/captures/{ids['a']}", 204)
    assert await bench.labels(step) == [("b", 1), ("c", 2), ("d", 3)]


async def test_field_moves_to_another_step(bench: Bench) -> None:
    first, second = [(await bench.step(title))["id"] for title in "AB"]
    field = await bench.capture(first, label="x")
    await bench.capture(second, label="y")
    tail = f"/{first}/captures/{field['id']}/move-out"
    assert list(await bench.refused("PUT", tail, {"target_step_id": "0" * 32, "position": 1})) == ["target_step_id"]
    assert list(await bench.refused("PUT", tail, {"target_step_id": second, "position": 10_000})) == ["position"]
    moved = await bench.send("PUT", tail, target_step_id=second, position=1)
    assert (moved["id"], moved["step_id"], moved["position"]) == (field["id"], second, 1)
    assert (await bench.labels(first), await bench.labels(second)) == ([], [("x", 1), ("y", 2)])
    await bench.refused("PUT", tail, {"target_step_id": second, "position": 1}, 404)


async def test_update_of_a_field_wants_the_whole_definition(bench: Bench) -> None:
    step = (await bench.step())["id"]
    field = await bench.capture(step, label="Size", field_type="radio", options=TWO)
    tail = f"/{step}/captures/{field['id']}"
    assert list(await bench.refused("PUT", tail, {"label": "x"})) == ["field_type", "required"]
    three = [*TWO, {"id": 3, "text": "L"}]
    row = await bench.send("PUT", tail, **{**field, "label": "How big", "options": three})
    assert (row["id"], row["alias"], row["label"]) == (field["id"], field["alias"], "How big")
    assert [option["text"] for option in row["options"]] == ["S", "M", "L"]
    row = await bench.send("PUT", tail, label="Why", field_type="textarea", required=True)
    assert (row["field_type"], row["options"], row["required"]) == ("textarea", [], True)
    assert (await bench.api.call("GET", bench.path + tail)).status_code == 405


async def test_field_types_may_be_frozen(make: Callable[..., Api]) -> None:
    api = make(frozen_field_types=True)
    reply = await api.call("POST", "{org}/checklists", json={"title": "Hire", "type": "procedure"})
    bench = Bench(api, reply.json()["data"])
    step = (await bench.step())["id"]
    field = await bench.capture(step)
    tail = f"/{step}/captures/{field['id']}"
    assert list(await bench.refused("PUT", tail, NAME | {"field_type": "date"})) == ["field_type"]
    assert (await bench.send("PUT", tail, **NAME | {"label": "x"}))["label"] == "x"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"label": None}, {"label": "The label field is required."}),
        ({"field_type": "number"}, {"field_type": "The selected field type is invalid."}),
        ({"required": "maybe"}, {"required": "The required field must be true or false."}),
        ({"field_type": "radio"}, {"options": "The options field is required."}),
        ({"field_type": "radio", "options": TWO[:1]}, {"options": "The options must have at least 2 items."}),
        (
            {"field_type": "dropdown", "options": [{"id": "1", "label": "x"}]},
            {
                "options.0.id": "The options.0.id must be an integer.",
                "options.0.text": "The options.0.text field is required.",
            },
        ),
        ({"field_type": "multiselect", "options": [1]}, {"options.0": "The options.0 must be an array."}),
        ({"field_type": "table"}, {"columns": "The columns field is required."}),
        (
            {"field_type": "table", "columns": [{"text": "x"}]},
            {
                "columns.0.id": "The columns.0.id field is required.",
                "columns.0.label": "The columns.0.label field is required.",
            },
        ),
        ({"position": 0}, {"position": "The position must be at least 1."}),
        ({"position": 10_000}, {"position": "The position may not be greater than 9999."}),
    ],
)
async def test_field_refusals(bench: Bench, body: dict[str, Any], errors: dict[str, str]) -> None:
    step = (await bench.step())["id"]
    found = await bench.refused("POST", f"/{step}/captures", NAME | body)
    assert found == {name: [message] for name, message in errors.items()}


async def test_every_key_of_a_field_is_kept(bench: Bench) -> None:
    step = (await bench.step())["id"]
    body = {
        "guidance": "g",
        "default_value_enabled": True,
        "default_value": "x",
        "use_wysiwyg_editor": True,
        "field_validation": ["numeric"],
        "prefix": "$",
        "suffix": "kg",
        "settings": {"must_all_checked": True},
        "list": "countries",
        "collect_time": True,
    }
    row = await bench.capture(step, **body, description="dropped")
    assert {key: row[key] for key in body} == body
    assert "description" not in row
    fed = await bench.capture(step, field_type="dropdown", list={"id": "countries"})
    assert (fed["options"], fed["list"]) == ([], {"id": "countries"})


async def test_running_tasks_keep_the_form_they_were_launched_with(bench: Bench) -> None:
    step = (await bench.step())["id"]
    field = await bench.capture(step, label="old")
    run = await launch(bench.api, checklist_id=bench.id)
    await bench.send("PUT", f"/{step}/captures/{field['id']}", **NAME | {"label": "new"})
    await bench.capture(step, label="later")
    [task] = tasks_of(bench.api, run)
    assert [f.label for f in task.captures] == ["old"]
    path = f"{{org}}/runs/{run['id']}/tasks/{task.id}"
    await bench.api.call("PUT", path, json={"taskdata": {field["id"]: "answer"}})
    assert task.taskdata == {field["id"]: "answer"}
    await bench.send("DELETE", f"/{step}/captures/{field['id']}", 204)
    assert (task.captures, task.taskdata) == ([], {})


async def test_deadlines_of_steps_become_deadlines_of_tasks(bench: Bench, api: Api) -> None:
    def after(step: str, value: int, unit: str, option: str = "from") -> dict[str, Any]:
        return {"value": value, "unit": unit, "option": option, "step": step}

    third = (await bench.step("C", deadline=after("start_run", 3, "day")))["id"]
    await bench.step("D", deadline=after(third, 12, "hours", "prior_to"))
    await bench.step("E", deadline=after(third, 2, "days"))
    run = await launch(api, checklist_id=bench.id)
    due = [api.sandbox.world.now() - task.deadline for task in tasks_of(api, run)]
    assert due == [-3 * 86_400, -3 * 86_400 + 43_200, -7 * 86_400]  # the last one moves on from Saturday to Monday
    moved = await launch(api, checklist_id=bench.id, tasks={third: {"deadline": "2026-12-01 10:00:00"}})
    rows = (await api.get(f"{{org}}/runs/{moved['id']}/tasks"))["data"]
    assert [row["deadline"] for row in rows] == [
        "2026-12-01T10:00:00Z",
        "2026-11-30T22:00:00Z",
        "2026-12-03T10:00:00Z",
    ]


async def test_deadlines_in_a_circle_or_out_of_the_calendar_are_none(bench: Bench, api: Api) -> None:
    first, second = [(await bench.step(title))["id"] for title in "AB"]
    day = {"value": 1, "unit": "days", "option": "from"}
    await bench.send("PUT", f"/{first}", title="A", deadline=day | {"step": second})
    await bench.send("PUT", f"/{second}", title="B", deadline=day | {"step": first})
    await bench.step("C", deadline={"value": 10**17, "unit": "months", "option": "from", "step": "start_run"})
    await bench.step("D", deadline=day | {"step": "gone"})
    run = await launch(api, checklist_id=bench.id)
    assert {task.deadline for task in tasks_of(api, run)} == {None}
    late = await launch(api, checklist_id=bench.id, tasks={first: {"deadline": "9998-01-01"}})
    assert {task.deadline for task in tasks_of(api, late)} == {None}
