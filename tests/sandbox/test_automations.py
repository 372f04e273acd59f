"""Automations at work: what rules do to the tasks of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.steps import answer, finish, launch, tasks_of

from .workflow import YES, Workflow

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio
DAY = 86_400


@pytest.fixture
async def flow(api: Api) -> Workflow:
    made = Workflow(api)
    await made.build()
    return made


async def test_shown_step_is_hidden_until_its_rule_holds(flow: Workflow) -> None:
    await flow.rule([flow.when("A", "completed", "any_time")], flow.then("show", "B"))
    await flow.launch()
    assert (flow.hidden, await flow.status()) == ("B", ("active", 3))
    reply = await flow.api.call(
        "POST", f"{{org}}/runs/{flow.run['id']}/completed-tasks", json={"task_id": flow.task("B").id}
    )
    assert reply.status_code == 422
    assert await flow.complete("A") == "B"
    assert (flow.hidden, flow.task("B").status, await flow.status()) == ("", "not-started", ("active", 4))
    assert await flow.reopen("A") == "B"
    assert flow.hidden == "B"


async def test_hidden_steps_leave_the_run_complete(flow: Workflow) -> None:
    await flow.rule([flow.when("C", "approved", "any_time")], flow.then("hide", "D"))
    await flow.launch()
    await flow.complete("A")
    await flow.complete("B")
    assert flow.hidden == ""
    assert await flow.complete("C", is_approved=True) == "D"
    assert await flow.status() == ("complete", 3)
    assert await flow.reopen("C") == "D"
    assert (flow.hidden, await flow.status()) == ("", ("active", 4))
    assert await flow.complete("C", is_approved=False) == ""
    assert await flow.status() == ("active", 4)


async def test_kickoff_answers_decide_at_the_launch_and_later(flow: Workflow) -> None:
    await flow.rule([flow.when("ko", "equals", "Yes")], flow.then("show", "B"), flow.then("hide", "D"))
    await flow.launch(prerun={flow.ids["ko"]: "Yes"})
    assert flow.hidden == "D"
    await flow.launch(prerun={flow.ids["ko"]: "No"})
    assert flow.hidden == "B"
    path = f"{{org}}/runs/{flow.run['id']}"
    await flow.api.call("PUT", path, json={"prerun": {flow.ids["ko"]: "Yes"}})
    assert flow.hidden == "D"


async def test_completed_tasks_are_not_hidden(flow: Workflow) -> None:
    await flow.rule([flow.when("text", "equals", "x")], flow.then("hide", "B"))
    await flow.launch()
    await flow.complete("B")
    await flow.answer(text="x")
    assert flow.task("B").status == "completed"
    await flow.reopen("B")
    assert flow.hidden == "B"


async def test_the_last_rule_that_holds_wins(flow: Workflow) -> None:
    await flow.rule([flow.when("text", "is_not_empty")], flow.then("hide", "B"))
    await flow.rule([flow.when("text", "equals", "x")], flow.then("show", "B"))
    await flow.launch()
    for text, hidden in (("y", "B"), ("x", ""), (None, "B")):
        await flow.answer(text=text)
        assert flow.hidden == hidden, text


async def test_verdicts_and_reopening(flow: Workflow) -> None:
    for name, operation, target in (("C", "rejected", "A"), ("D", "acknowledged", "B")):
        await flow.rule(
            [flow.when(name, operation, "any_time")], flow.then("assign", target, assignees={"users": [1004]})
        )
    await flow.rule([flow.when("D", "expired", "any_time")], flow.then("assign", "B", assignees={"users": [1005]}))
    await flow.rule([flow.when("D", "reopened", "any_time")], flow.then("assign", "B", assignees={"users": [1006]}))
    await flow.launch()
    assert await flow.complete("C", is_approved=True) == ""
    await flow.reopen("C")
    assert await flow.complete("C", is_approved=False) == "A"
    assert flow.task("A").users == [1001, 1004]
    assert await flow.complete("D", is_approved=False) == "B"
    assert await flow.reopen("D") == "B"
    assert await flow.complete("D") == "B"
    assert flow.task("B").users == [1001, 1005, 1006, 1004]


async def test_nobody_assigned(flow: Workflow) -> None:
    body = {"title": "B", "assign_run_starter": False}
    await flow.api.call("PUT", f"{flow.path}/steps/{flow.ids['B']}", json=body)
    condition = flow.when("B", "not_assigned", "any_time")
    await flow.rule([condition], flow.then("assign", "B", assignees={"users": [1003], "guests": ["a@b.org"]}))
    await flow.launch()
    assert (flow.task("B").users, flow.task("B").guests) == ([1003], ["a@b.org"])


async def test_assignments(flow: Workflow) -> None:
    group = next(iter(flow.api.tenant.groups))
    people = {"users": [1002, 9999], "guests": ["a@b.org"], "groups": [group, "gone"]}
    for text, verb in (("a", "assign"), ("b", "assign_only"), ("c", "unassign"), ("d", "clear_assignees")):
        more = {} if verb == "clear_assignees" else {"assignees": people}
        await flow.rule([flow.when("text", "equals", text)], flow.then(verb, "B", **more))
    await flow.launch()
    task = flow.task("B")
    for text, users, guests, groups in (
        ("a", [1001, 1002], ["a@b.org"], [group]),
        ("b", [1002], ["a@b.org"], [group]),
        ("c", [], [], []),
        ("a", [1002], ["a@b.org"], [group]),
        ("d", [], [], []),
    ):
        await flow.answer(text=text)
        assert (task.users, task.guests, task.groups) == (users, guests, groups), text


async def test_assignment_by_a_picker_falls_back_to_the_listed(flow: Workflow) -> None:
    source = {"actionable_type": "Prerun", "actionable_id": flow.ids["who"], "assignees": {"users": [1005]}}
    await flow.rule([flow.when("text", "is_empty")], flow.then("assign_only", "B", **source))
    await flow.launch(prerun={flow.ids["who"]: {"users": [1002, 1003], "guests": ["c@d.org"]}})
    assert (flow.task("B").users, flow.task("B").guests) == ([1002, 1003], ["c@d.org"])
    await flow.launch()
    assert flow.task("B").users == [1005]


async def test_assignment_passes_completed_tasks_by(flow: Workflow) -> None:
    await flow.rule([flow.when("A", "completed", "any_time")], flow.then("clear_assignees", "B"))
    await flow.launch()
    await flow.complete("B")
    assert await flow.complete("A") == ""
    assert flow.task("B").users == [1001]


async def test_actions_happen_once_until_the_rule_has_not_held(flow: Workflow) -> None:
    await flow.rule([flow.when("text", "equals", "x")], flow.then("clear_assignees", "B"))
    await flow.launch()
    await flow.answer(text="x")
    flow.task("B").users = [1002]
    await flow.answer(drop=YES)
    assert flow.task("B").users == [1002]
    await flow.answer(text="y")
    await flow.answer(text="x")
    assert flow.task("B").users == []


async def test_deadlines(flow: Workflow, clock: Clock) -> None:
    """2026-11-02 06:13:20 is a Monday."""
    span = {"value": 1, "unit": "days"}
    await flow.rule(
        [flow.when("A", "completed", "any_time")], flow.then("deadline", "B", deadline=span | {"option": "from"})
    )
    capture = {"actionable_type": "Capture", "actionable_id": flow.ids["date"]}
    await flow.rule(
        [flow.when("date", "is_not_empty")],
        flow.then("deadline", "C", deadline=span | {"option": "before"}, **capture),
    )
    step = {"actionable_type": "Step", "actionable_id": flow.ids["B"]}
    await flow.rule(
        [flow.when("B", "completed", "any_time")],
        flow.then("deadline", "D", deadline={"value": 2, "unit": "weeks", "option": "from"}, **step),
    )
    await flow.launch()
    assert [flow.task(title).deadline for title in "BCD"] == [None, None, None]
    await flow.answer(date="2026-12-01 10:00:00")
    path = f"{{org}}/tasks/{flow.task('C').id}"
    assert (await flow.api.get(path))["data"]["deadline"] == "2026-11-30T10:00:00Z"
    clock.now += 100
    assert await flow.complete("A") == "B"
    assert flow.task("B").deadline == clock.now + DAY
    assert await flow.complete("B") == "D"
    assert flow.task("D").deadline == clock.now + 14 * DAY
    await flow.reopen("A")
    clock.now += 500
    assert await flow.complete("A") == ""  # B is completed


async def test_reopening_by_rule(flow: Workflow) -> None:
    await flow.rule([flow.when("C", "rejected", "any_time")], flow.then("reopen", "A"), flow.then("reopen", "B"))
    await flow.rule([flow.when("A", "reopened", "any_time")], flow.then("clear_assignees", "D"))
    await flow.launch()
    await flow.complete("A")
    assert await flow.complete("C", is_approved=False) == "AD"
    task = flow.task("A")
    assert (task.status, task.completed_at, task.completer_id) == ("in-progress", None, None)
    assert (flow.task("B").status, flow.task("D").users) == ("not-started", [])


async def test_rules_that_wake_each_other_come_to_an_end(flow: Workflow) -> None:
    """Whoever has nobody takes the person of the other: for ever, if the sandbox did not stop."""
    for mine, other in ("BC", "CB"):
        taken = flow.then("assign", mine, assignees={"users": [1001]}), flow.then("clear_assignees", other)
        await flow.rule([flow.when(mine, "not_assigned", "any_time")], *taken)
    await flow.launch()
    assert (flow.task("B").users, flow.task("C").users) == ([1001], [1001])
    flow.task("B").users = []
    await flow.answer(text="x")
    assert sorted([flow.task("B").users, flow.task("C").users]) == [[], [1001]]


async def test_unassigned_steps_may_be_hidden(flow: Workflow) -> None:
    await flow.rule([flow.when("B", "not_assigned", "any_time")], flow.then("hide", "B"))
    await flow.launch()
    flow.task("B").users = []
    for text in "xyz":
        await flow.answer(text=text)
        assert flow.hidden == "B"


async def test_runs_keep_the_rules_of_their_launch(flow: Workflow) -> None:
    await flow.launch()
    await flow.rule([flow.when("A", "completed", "any_time")], flow.then("hide", "B"))
    assert await flow.complete("A") == ""
    assert flow.hidden == ""
    await flow.launch()
    assert await flow.complete("A") == "B"


async def test_verdicts_follow_the_type_of_the_step(flow: Workflow) -> None:
    await flow.rule([flow.when("C", "approved", "any_time")], flow.then("hide", "D"))
    await flow.api.call("PUT", f"{flow.path}/steps/{flow.ids['C']}", json={"title": "C", "step_type": "task"})
    await flow.launch()
    assert await flow.complete("C", is_approved=True) == ""


async def test_rules_of_a_template_that_is_gone(flow: Workflow) -> None:
    await flow.rule([flow.when("ko", "equals", "Yes")], flow.then("show", "B"))
    await flow.rule([flow.when("A", "completed", "any_time")], flow.then("hide", "D"))
    await flow.launch(prerun={flow.ids["ko"]: "Yes"})
    del flow.api.tenant.checklists[flow.id]
    assert await flow.complete("A") == "D"
    assert flow.hidden == "D"


async def test_seeded_rules(api: Api) -> None:
    """Three templates have a rule; one hides its last step, one shows it, one answers a rejection."""
    rules = {row.title: [rule.alias for rule in row.rules] for row in api.tenant.checklists.values() if row.rules}
    assert len(rules) == 3
    hiding, rejecting, showing = (row for row in api.tenant.checklists.values() if row.rules)
    low = next(field for field in hiding.prerun if field.field_type == "radio")
    need = {field.id: answer(field) for field in hiding.prerun if field.required}
    for text, hidden in (("Low", True), ("High", False)):
        run = await launch(api, checklist_id=hiding.id, prerun=need | {low.id: text})
        assert (tasks_of(api, run)[-1].status == "auto-skipped") is hidden
    texts = next(field for field in showing.prerun if field.field_type == "text")
    need = {field.id: answer(field) for field in showing.prerun if field.required}
    for text, hidden in (("nothing", True), ("with extra care", False)):
        run = await launch(api, checklist_id=showing.id, prerun=need | {texts.id: text})
        assert (tasks_of(api, run)[-1].status == "auto-skipped") is hidden
    need = {field.id: answer(field) for field in rejecting.prerun if field.required}
    run = await launch(api, checklist_id=rejecting.id, prerun=need)
    first = tasks_of(api, run)[0]
    approval = next(task for task in tasks_of(api, run) if task.task_type == "approval")
    await finish(api, first)
    await finish(api, approval, is_approved=False)
    assert (first.status, first.users) == ("in-progress", [rejecting.owner_id])
