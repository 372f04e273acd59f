from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tallyfy_async import ConfigurationError, KickoffError, NotFoundError, Outcome, RequestOptions
from tallyfy_async.models.forms import KickoffForm, TaskForm
from tallyfy_async.sandbox.records import Checklist, Field, Task
from tests.contract.document import request_problems
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio
VALUES: dict[str, Any] = {
    "text": "Acme",
    "textarea": "one\ntwo",
    "email": "ada@example.com",
    "date": datetime(2026, 12, 1, 9, 30, tzinfo=UTC),
    "radio": "High",
    "dropdown": "Americas",
    "multiselect": ["Teams", "Jira"],
    "table": [{"Item": "Pen", "Quantity": 2, "Price": None}, {"Item": "Ink", "Quantity": None, "Price": "3.50"}],
    "assignees_form": {"users": [1001], "guests": ["guest@example.org"], "groups": []},
    "file": [{"id": "a" * 32, "filename": "a.pdf", "source": "local"}],
}


def whole(at: Place) -> Checklist:
    """Return the template whose kick-off form has a field of every type."""
    return next(one for one in at.tenant.checklists.values() if len(one.prerun) == len(VALUES))


def answers(fields: list[Field]) -> dict[str, Any]:
    return {field.label: VALUES[field.field_type] for field in fields}


def operations(at: Place) -> list[str]:
    return [one.operation for one in at.received]


def problems(at: Place) -> list[str]:
    """Return what the contract says against the requests that came in."""
    return [
        problem
        for one in at.received
        for problem in request_problems(
            one.method, one.path[one.path.index("/organizations") :], "", dict(one.headers), one.body
        )
    ]


async def test_a_launch_takes_answers_by_label_and_reads_the_template_once() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        run = await at.org.runs.launch(template.id, name="Onboard Ada", kickoff=answers(template.prerun))
        assert operations(at) == ["get_checklist", "launch_run"]
        assert problems(at) == []
        stored = at.tenant.runs[run.id].prerun
        assert stored.keys() == {field.id for field in template.prerun}
        form = await at.org.checklists.kickoff_form(template.id)
        decoded = form.decode(run.prerun)
        files = decoded.pop("Contract" if "Contract" in decoded else next(k for k, v in decoded.items() if _files(v)))
        given = answers(template.prerun)
        assert {key: given[key] for key in decoded} == decoded
        assert [entry["filename"] for entry in files] == ["a.pdf"]


def _files(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "filename" in value[0]


async def test_a_filled_form_makes_any_number_of_launches_with_one_read() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        form = await at.org.checklists.kickoff_form(template.id)
        assert (form.checklist_id, len(form.names)) == (template.id, len(VALUES))
        filled = form.fill(answers(template.prerun))
        first = await at.org.runs.launch(template.id, kickoff=filled)
        second = await at.org.runs.launch(template.id, kickoff=filled, name="Again")
        assert operations(at) == ["get_checklist", "launch_run", "launch_run"]
        assert at.bodies()[1] == {"checklist_id": template.id, "prerun": dict(filled.prerun)}
        strip = [field.id for field in template.prerun if field.field_type != "file"]
        assert [first.prerun[key] for key in strip] == [second.prerun[key] for key in strip]  # type: ignore[call-overload,index]


async def test_every_problem_is_told_and_nothing_is_launched() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        by_type = {field.field_type: field.label for field in template.prerun}
        wrong = {by_type["radio"]: "Hihg", by_type["date"]: 5, "Colour": "red", by_type["table"]: []}
        with pytest.raises(KickoffError) as caught:
            await at.org.runs.launch(template.id, kickoff=wrong)
        required = [field.label for field in template.prerun if field.required]
        assert required
        assert set(caught.value.fields) == {*wrong, *required}
        assert "did you mean 'High'" in caught.value.fields[by_type["radio"]]
        assert caught.value.outcome is Outcome.NOT_SENT
        assert operations(at) == ["get_checklist"]


async def test_no_answers_are_checked_too_but_only_where_they_are_given() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        with pytest.raises(KickoffError, match="is required"):
            await at.org.runs.launch(whole(at).id, kickoff={})
        await at.org.runs.launch(at.checklist().id)
        await at.org.runs.launch(at.checklist().id, kickoff=None)
        assert operations(at) == ["get_checklist", "launch_run", "launch_run"]


async def test_wrong_ways_to_give_answers() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = at.checklist()
        other = KickoffForm(checklist_id="f" * 32, fields=()).fill({})
        task_form = TaskForm(task_id="f" * 32, fields=()).fill({})
        wrong: list[tuple[Any, str]] = [
            (at.org.runs.launch(template.id, kickoff={}, prerun={}), r"pass kickoff \(by label\) or prerun"),
            (at.org.runs.launch(template.id, kickoff=other), "filled in for template f{32}, not for"),
            (at.org.runs.launch(template.id, kickoff=["x"]), "kickoff must be a mapping .*not list"),  # type: ignore[arg-type]
            (at.org.runs.launch(template.id, kickoff=KickoffForm(checklist_id="f" * 32, fields=())), "form.fill"),  # type: ignore[arg-type]
            (at.org.runs.launch("", kickoff={}), "checklist_id must be a str"),
            (at.org.runs.tasks.update("a" * 32, "b" * 32, values={"x": 1}, taskdata={}), "pass values .* or taskdata"),
            (at.org.runs.tasks.update("a" * 32, "b" * 32, values=task_form), "filled in for task f{32}, not for b{32}"),
            (at.org.runs.tasks.update("a" * 32, "b" * 32, values=["x"]), "values must be a mapping"),  # type: ignore[arg-type]
            (at.org.runs.tasks.update("a" * 32, "b" * 32, values={}), "needs something to change"),
            (at.org.tasks.update("b" * 32, values={}), "needs something to change"),
            (at.org.tasks.update("b" * 32, values={"x": 1}, taskdata={}), "pass values .* or taskdata"),
        ]
        for call, told in wrong:
            with pytest.raises(ConfigurationError, match=told):
                await call
        assert at.sandbox.stats.requests == 0


async def test_the_options_of_a_launch_hold_for_the_read_too() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        options = RequestOptions(headers={"X-Trace": "7"})
        await at.org.runs.launch(at.checklist().id, kickoff={}, options=options)
        assert [dict(one.headers).get("x-trace") for one in at.received] == ["7", "7"]


async def test_an_unknown_template_is_told_before_the_launch() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        with pytest.raises(NotFoundError):
            await at.org.runs.launch("f" * 32, kickoff={"x": 1})
        assert operations(at) == ["get_checklist"]


def answerable(at: Place) -> Task:
    """Return an open task of a run with two fields at least."""
    return at.task(test=lambda task: len(task.captures) > 1 and at.tenant.runs[task.run_id or ""].status == "active")


async def test_a_task_takes_answers_by_label_and_is_read_once() -> None:
    async with place() as at:
        task = answerable(at)
        given = answers(task.captures)
        updated = await at.org.runs.tasks.update(task.run_id or "", task.id, values=given, title="Renamed")
        assert operations(at) == ["get_run_task", "update_run_task"]
        assert problems(at) == []
        assert updated.title == "Renamed"
        form = await at.org.runs.tasks.form(task.run_id or "", task.id)
        assert form.task_id == task.id
        kept = {label: value for label, value in form.answers.items() if not _files(value)}
        assert kept == {label: given[label] for label in kept}
        assert form.missing() == ()
        assert (await at.org.tasks.form(task.id)).answers == form.answers


async def test_a_filled_task_form_needs_no_read_and_leaves_the_other_answers() -> None:
    async with place() as at:
        task = answerable(at)
        first, second = task.captures[:2]
        form = await at.org.runs.tasks.form(task.run_id or "", task.id)
        await at.org.runs.tasks.update(
            task.run_id or "", task.id, values=form.fill({first.label: VALUES[first.field_type]})
        )
        await at.org.runs.tasks.update(
            task.run_id or "", task.id, values=form.fill({second.label: VALUES[second.field_type]})
        )
        assert operations(at) == ["get_run_task", "update_run_task", "update_run_task"]
        assert {first.id, second.id} <= at.tenant.tasks[task.id].taskdata.keys()


async def test_wrong_answers_of_a_task_are_told_before_it_is_changed() -> None:
    async with place() as at:
        task = answerable(at)
        before = dict(task.taskdata)
        with pytest.raises(KickoffError, match=r"the task's form.*Nothing: is no field of the form"):
            await at.org.runs.tasks.update(task.run_id or "", task.id, values={"Nothing": 1})
        assert operations(at) == ["get_run_task"]
        assert at.tenant.tasks[task.id].taskdata == before


async def test_a_one_off_task_is_read_once_for_form_and_owners() -> None:
    async with place() as at:
        task = at.oneoff()
        task.captures.append(at.checklist().prerun[0])
        field = task.captures[-1]
        await at.org.tasks.update(task.id, values={field.label: VALUES[field.field_type]})
        assert operations(at) == ["get_task", "update_task"]
        body = at.bodies()[1]
        assert set(body) == {"title", "deadline", "owners", "taskdata"}
        assert list(body["taskdata"]) == [field.id]
        filled = TaskForm.of(await at.org.tasks.get(task.id, with_=["form_fields"])).fill({field.alias: None})
        owners = {"users": [1001], "guests": [], "groups": []}
        await at.org.tasks.update(
            task.id,
            values=filled,
            title="x",
            deadline=date(2027, 1, 4),
            owners=owners,  # type: ignore[arg-type]
        )
        assert operations(at)[-2:] == ["get_task", "update_task"]
        assert field.id not in at.tenant.tasks[task.id].taskdata
