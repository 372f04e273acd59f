from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import ConfigurationError, PermissionDeniedError, ValidationError
from tallyfy_async.models.fields import CaptureCreate
from tallyfy_async.sandbox import UNSET, Fault
from tallyfy_async.sandbox.records import Step
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio
TEXT = CaptureCreate(label="Notes", field_type="text", required=False)
DEADLINE: Any = {"value": 2, "unit": "days", "option": "from", "step": "start_run"}


def staffed(at: Place) -> Step:
    """Return a step with a member, a guest and a group."""
    row = at.checklist().steps[0]
    row.users, row.guests, row.groups = [1001], ["ada@guests.test"], [next(iter(at.tenant.groups))]
    return row


def methods(at: Place) -> list[str]:
    return [request.method for request in at.received]


async def test_an_update_keeps_everybody_assigned() -> None:
    async with place() as at:
        row = staffed(at)
        people = (list(row.users), list(row.guests), list(row.groups))
        changed = await at.org.checklists.steps.update(at.checklist().id, row.id, summary="<p>Call</p>")
        assert (row.summary, (row.users, row.guests, row.groups)) == ("<p>Call</p>", people)
        assert (changed.assignees, changed.guests) == ((1001,), ("ada@guests.test",))
        assert methods(at) == ["GET", "PUT"]
        assert at.bodies()[1] == {
            "title": row.title,
            "assignees": people[0],
            "guests": people[1],
            "groups": people[2],
            "summary": "<p>Call</p>",
        }


async def test_one_bucket_given_keeps_the_others() -> None:
    async with place() as at:
        row = staffed(at)
        await at.org.checklists.steps.update(at.checklist().id, row.id, guests=[])
        assert (row.users, row.guests, len(row.groups)) == ([1001], [], 1)


async def test_all_given_costs_no_read() -> None:
    async with place() as at:
        row = staffed(at)
        await at.org.checklists.steps.update(
            at.checklist().id, row.id, title="Call", assignees=[1002], guests=[], groups=[]
        )
        assert (row.title, row.users, row.guests, row.groups, methods(at)) == ("Call", [1002], [], [], ["PUT"])


async def test_replacing_names_all_buckets() -> None:
    async with place() as at:
        row = staffed(at)
        steps: Any = at.org.checklists.steps
        with pytest.raises(ConfigurationError, match="lacks assignees, groups, guests"):
            await steps.replace(at.checklist().id, row.id, title="Call")
        await steps.replace(at.checklist().id, row.id, title="Call", assignees=[], guests=[], groups=[])
        assert (row.users, row.guests, row.groups, methods(at)) == ([], [], [], ["PUT"])


@pytest.mark.parametrize("lacking", ["assignees", "guests", "groups"])
async def test_a_read_without_a_bucket_changes_nothing(lacking: str) -> None:
    async with place() as at:
        row = staffed(at)
        at.sandbox.faults.add(Fault(operation="get_step", patch={"data": {lacking: UNSET}}))
        with pytest.raises(ConfigurationError, match=f"read without {lacking}"):
            await at.org.checklists.steps.update(at.checklist().id, row.id, summary="x")
        assert methods(at) == ["GET"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"deadline": {**DEADLINE, "unit": "daily"}}, "deadline.unit 'daily' would never act"),
        ({"deadline": {**DEADLINE, "option": "before"}}, "deadline.option 'before' would never act"),
        ({"deadline": {"value": 1, "unit": "days", "option": "from"}}, "lacks step"),
        ({"start_date": {"value": 1, "unit": "year"}}, "start_date.unit 'year' would never act"),
        ({"position": 1}, "does not know 'position'"),
        ({"description": "x"}, "did you mean 'summary'"),
    ],
)
async def test_what_the_server_would_store_in_vain_is_refused(fields: Any, message: str) -> None:
    async with place() as at:
        steps: Any = at.org.checklists.steps
        ids = (at.checklist().id, at.checklist().steps[0].id)
        people: Any = {"assignees": [], "guests": [], "groups": []}
        for call in (
            steps.create(ids[0], title="x", **fields),
            steps.update(*ids, title="x", **people, **fields),
            steps.replace(*ids, title="x", **people, **fields),
            at.org.legacy.create_step(ids[0], title="x", **fields),
            at.org.legacy.update_step(ids[1], title="x", **people, **fields),
        ):
            with pytest.raises(ConfigurationError, match=message):
                await call
        assert not at.received


async def test_a_new_step_comes_last_and_can_be_moved() -> None:
    async with place() as at:
        steps, checklist = at.org.checklists.steps, at.checklist()
        made = await steps.create(checklist.id, title="Sign", step_type="approval", deadline=DEADLINE)
        walked = await steps.list(checklist.id, per_page=2).collect()
        assert [one.id for one in walked] == [one.id for one in sorted(checklist.steps, key=lambda one: one.position)]
        assert (walked[-1].id, walked[-1].step_type) == (made.id, "approval")
        assert (await steps.reorder(checklist.id, made.id, position=1)).position == 1
        assert (await steps.list(checklist.id))[0].id == made.id


async def test_a_copy_of_a_step_has_its_fields() -> None:
    async with place() as at:
        checklist = at.checklist()
        row = next(step for step in checklist.steps if step.captures)
        copy = await at.org.checklists.steps.clone(checklist.id, row.id)
        assert copy.id != row.id
        assert [one.label for one in copy.captures or ()] == [one.label for one in row.captures]


async def fielded(at: Place) -> tuple[str, str]:
    """Return template and step with a field of each type that has choices or columns, and a text."""
    ids = (at.checklist().id, (await at.org.checklists.steps.create(at.checklist().id, title="Ask")).id)
    choices: Any = {"options": [{"id": 4, "text": "A"}, {"id": 9, "text": "B", "description": "Second"}]}
    for kind, more in (
        ("text", {"guidance": "Help", "prefix": "$", "field_validation": ["numeric"]}),
        ("radio", choices),
        ("dropdown", choices),
        ("multiselect", choices),
        ("table", {"columns": [{"id": 1, "label": "Item"}, {"id": 2, "label": "Price"}]}),
        ("date", {"collect_time": True}),
    ):
        definition: Any = {"label": kind, "field_type": kind, "required": True, **more}
        await at.org.checklists.steps.captures.create(*ids, definition)
    return ids


async def test_changing_a_field_keeps_the_rest_of_its_definition() -> None:
    async with place() as at:
        ids = await fielded(at)
        for one in (await at.org.checklists.steps.get(*ids)).captures or ():
            changed = await at.org.checklists.steps.captures.update(*ids, one.id, {"required": False})
            expected = {**one.to_dict(), "required": False}
            assert {**changed.to_dict(), "last_updated": ""} == {**expected, "last_updated": ""}


async def test_a_field_is_replaced_by_its_own_definition() -> None:
    async with place() as at:
        ids = await fielded(at)
        one = [*((await at.org.checklists.steps.get(*ids)).captures or ())][1]
        definition = one.as_input()
        definition["options"] = [*definition["options"], {"id": 12, "text": "C"}]
        changed = await at.org.checklists.steps.captures.replace(*ids, one.id, definition)
        assert [(option.id, option.text) for option in changed.options or ()] == [(4, "A"), (9, "B"), (12, "C")]
        assert changed.alias == one.alias


async def test_fields_move_inside_and_between_steps() -> None:
    async with place() as at:
        checklist, step = await fielded(at)
        captures = at.org.checklists.steps.captures
        ids = [one.id for one in (await at.org.checklists.steps.get(checklist, step)).captures or ()]
        await captures.reorder(checklist, step, capture_id=ids[2], position=1)
        shown = (await at.org.checklists.steps.get(checklist, step)).captures or ()
        assert min(shown, key=lambda one: one.position or 0).id == ids[2]
        target = at.checklist().steps[0]
        await captures.move(checklist, step, ids[0], target_step_id=target.id)
        assert ids[0] in [one.id for one in target.captures]


async def test_a_field_that_the_step_lacks_is_told() -> None:
    async with place() as at:
        ids = (at.checklist().id, at.checklist().steps[0].id)
        with pytest.raises(ConfigurationError, match="has no field"):
            await at.org.checklists.steps.captures.update(*ids, "0a" * 16, {"label": "x"})
        assert methods(at) == ["GET"]


async def test_options_of_a_definition_are_choices() -> None:
    async with place() as at:
        captures: Any = at.org.checklists.steps.captures
        ids = (at.checklist().id, at.checklist().steps[0].id)
        for options, message in (
            ([{"id": "1", "text": "A"}], "must be int"),
            ([{"id": 1, "label": "A"}], "does not know 'label'"),
        ):
            with pytest.raises(ConfigurationError, match=message):
                await captures.create(*ids, {**TEXT, "field_type": "dropdown", "options": options})
        assert not at.received
        with pytest.raises(ValidationError):
            await captures.create(*ids, {**TEXT, "field_type": "dropdown"})


def rule(at: Place, **changes: Any) -> Any:
    """Return a rule about the first two steps of a template."""
    first, second = (step.id for step in at.checklist().steps[:2])
    return {
        "automated_alias": "Show the second",
        "conditions": [{"conditionable_id": first, "conditionable_type": "Step", "operation": "completed"}],
        "then_actions": [{"action_type": "visibility", "action_verb": "show", "target_step_id": second}],
        **changes,
    }


async def test_a_condition_on_a_step_holds_at_any_time_unless_told() -> None:
    async with place() as at:
        made = await at.org.checklists.automations.create(at.checklist().id, **rule(at))
        assert [one.statement for one in made.conditions or ()] == ["any_time"]


@pytest.mark.parametrize("statement", [None, "early", ["any_time"]])
async def test_a_condition_that_never_holds_is_refused(statement: Any) -> None:
    async with place() as at:
        conditions: Any = [{**rule(at)["conditions"][0], "statement": statement}]
        automations = at.org.checklists.automations
        for call in (
            automations.create(at.checklist().id, **rule(at, conditions=conditions)),
            automations.update(at.checklist().id, "0a" * 16, conditions=conditions),
            automations.replace(at.checklist().id, "0a" * 16, **rule(at, conditions=conditions)),
        ):
            with pytest.raises(ConfigurationError, match=r"conditions\[0\]"):
                await call
        assert not at.received


async def test_a_comparison_needs_something_to_compare_with() -> None:
    async with place() as at:
        about = {"conditionable_id": at.checklist().prerun[0].id, "conditionable_type": "Prerun"}
        automations = at.org.checklists.automations
        with pytest.raises(ConfigurationError, match="lacks statement"):
            await automations.create(at.checklist().id, **rule(at, conditions=[{**about, "operation": "equals"}]))
        assert not at.received
        made = await automations.create(
            at.checklist().id, **rule(at, conditions=[{**about, "operation": "is_not_empty"}])
        )
        assert at.bodies()[0]["conditions"] == [{**about, "operation": "is_not_empty", "statement": None}]
        assert [one.operation for one in made.conditions or ()] == ["is_not_empty"]


async def test_changing_the_name_of_a_rule_keeps_what_it_does() -> None:
    async with place() as at:
        people = {"users": [1001], "guests": [], "groups": []}
        target = at.checklist().steps[1].id
        actions = [
            {
                "action_type": "assignment",
                "action_verb": "assign_only",
                "target_step_id": target,
                "assignees": people,
            },
            {
                "action_type": "deadline",
                "action_verb": "deadline",
                "target_step_id": target,
                "deadline": {"value": 3, "unit": "days", "option": "before"},
            },
        ]
        made = await at.org.checklists.automations.create(at.checklist().id, **rule(at, then_actions=actions))
        changed = await at.org.checklists.automations.update(at.checklist().id, made.id, automated_alias="Renamed")
        assert changed.automated_alias == "Renamed"
        assert changed.as_input() == {**made.as_input(), "automated_alias": "Renamed"}
        assert methods(at) == ["POST", "GET", "PUT"]


async def test_a_rule_that_the_template_lacks_is_told() -> None:
    async with place() as at:
        with pytest.raises(ConfigurationError, match="has no rule"):
            await at.org.checklists.automations.update(at.checklist().id, "0a" * 16, automated_alias="x")
        assert methods(at) == ["GET"]


async def test_a_step_that_a_rule_names_stays() -> None:
    async with place() as at:
        made = await at.org.checklists.automations.create(at.checklist().id, **rule(at))
        step = at.checklist().steps[1].id
        with pytest.raises(PermissionDeniedError, match="rules dependent on it"):
            await at.org.checklists.steps.delete(at.checklist().id, step)
        await at.org.checklists.automations.delete(at.checklist().id, made.id)
        await at.org.checklists.steps.delete(at.checklist().id, step)
        assert step not in [one.id for one in at.checklist().steps]
