from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tallyfy_async import ConfigurationError, DecodeError, NotFoundError, Outcome
from tallyfy_async.models import OwnersInput
from tallyfy_async.sandbox import UNSET, Fault
from tallyfy_async.sandbox.records import Task
from tests.contract.scripted import BASE, Scripted
from tests.helpers import connect, small_sandbox
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio
MOMENT = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
ADA = OwnersInput(users=[1001], guests=[], groups=[])


def state(task: Task) -> tuple[Any, ...]:
    """Return what each update of a one-off task needs."""
    return task.title, task.deadline, list(task.users), list(task.guests), list(task.groups)


async def test_updating_a_one_off_task_sends_what_each_update_needs() -> None:
    async with place() as at:
        row = at.oneoff()
        row.deadline = int(MOMENT.timestamp())
        row.users, row.guests, row.groups = [1001, 1002], ["ada@guests.test"], []
        before = state(row)
        changed = await at.org.tasks.update(row.id, summary="By phone")
        assert (changed.summary, state(row)) == ("By phone", before)
        assert [request.method for request in at.received] == ["GET", "PUT"]
        assert at.bodies()[1] == {
            "title": row.title,
            "deadline": "2026-12-01 09:30:00",
            "owners": {"users": [1001, 1002], "guests": ["ada@guests.test"], "groups": []},
            "summary": "By phone",
        }


@pytest.mark.parametrize("style", ["ids", "objects"])
async def test_one_of_the_three_given_keeps_the_others(style: str) -> None:
    async with place(owners_style=style) as at:
        row = at.oneoff()
        row.deadline = int(MOMENT.timestamp())
        title, deadline, *owners = state(row)
        await at.org.tasks.update(row.id, title="Call")
        assert state(row) == ("Call", deadline, *owners)
        await at.org.tasks.update(row.id, owners=ADA)
        assert state(row) == ("Call", deadline, [1001], [], [])
        await at.org.tasks.update(row.id, deadline=date(2026, 12, 2))
        assert state(row) == ("Call", int(datetime(2026, 12, 2, tzinfo=UTC).timestamp()), [1001], [], [])
        assert title != "Call"


async def test_all_three_given_cost_no_read() -> None:
    async with place() as at:
        row = at.oneoff()
        await at.org.tasks.update(row.id, title="Call", deadline=MOMENT, owners=ADA)
        await at.org.tasks.replace(row.id, title="Call", deadline=MOMENT, owners=ADA)
        assert [request.method for request in at.received] == ["PUT", "PUT"]


@pytest.mark.parametrize(
    ("patch", "given", "message"),
    [
        ({"deadline": None}, {"title": "x"}, "without deadline, which each update needs"),
        ({"deadline": UNSET}, {"owners": ADA}, "without deadline"),
        ({"owners": UNSET}, {"title": "x"}, "without owners"),
        ({"owners": {"guests": UNSET}}, {"title": "x"}, "read the task alone first"),
    ],
)
async def test_a_task_that_was_not_read_whole_is_not_updated(
    patch: dict[str, Any], given: dict[str, Any], message: str
) -> None:
    async with place() as at:
        row = at.oneoff()
        before = state(row)
        at.sandbox.faults.add(Fault(operation="get_task", patch={"data": patch}))
        with pytest.raises(ConfigurationError, match=message):
            await at.org.tasks.update(row.id, **given)
        assert state(row) == before
        assert at.sandbox.stats.by_operation["update_task"] == 0


async def test_what_is_given_need_not_be_read() -> None:
    async with place() as at:
        row = at.oneoff()
        at.sandbox.faults.add(Fault(operation="get_task", patch={"data": {"owners": UNSET, "deadline": None}}))
        await at.org.tasks.update(row.id, deadline=MOMENT, owners=ADA, summary="x")
        assert (row.summary, row.users) == ("x", [1001])


async def test_a_task_of_a_run_names_the_route_that_changes_it() -> None:
    async with place() as at:
        row = at.task()
        with pytest.raises(ConfigurationError, match=rf'runs\.tasks\.update\("{row.run_id}", "{row.id}"'):
            await at.org.tasks.update(row.id, title="x")
        assert at.sandbox.stats.by_operation["update_task"] == 0


async def created(at: Place, **fields: Any) -> Any:
    """Create a one-off task."""
    return await at.org.tasks.create(**{"title": "Call Ada", "deadline": MOMENT, "owners": ADA, **fields})


async def test_a_one_off_task_is_created() -> None:
    async with place() as at:
        task = await created(at, summary="By phone", max_assignable=3)
        assert (task.title, task.task_type, task.run_id, task.deadline) == ("Call Ada", "task", None, MOMENT)
        assert task.owners is not None
        assert task.owners.as_input() == ADA
        assert at.bodies()[0] == {
            "task_type": "task",
            "title": "Call Ada",
            "deadline": "2026-12-01 09:30:00",
            "owners": ADA,
            "summary": "By phone",
            "max_assignable": 3,
        }
        assert (await created(at, task_type="approval")).task_type == "approval"
        assert (await at.org.tasks.get(task.id)).summary == "By phone"


async def test_a_task_for_each_assignee_makes_a_run_of_which_one_task_is_told() -> None:
    async with place() as at:
        owners = OwnersInput(users=[1001, 1002], guests=["ada@guests.test"], groups=[])
        task = await created(at, owners=owners, separate_task_for_each_assignee=True)
        assert task.run is not None
        assert (task.run_id, task.run.name, task.is_oneoff_task) == (task.run.id, "Call Ada", True)
        tasks = await at.org.runs.tasks.list(task.run.id).collect()
        assert len(tasks) == 3
        assert task.id in {one.id for one in tasks}
        with pytest.raises(NotFoundError):
            await at.org.tasks.complete(task.id)
        assert (await at.org.runs.tasks.complete(task.run.id, task.id)).status == "completed"


async def test_a_task_is_added_to_a_run() -> None:
    async with place() as at:
        run = at.run(lambda run: run.can_add_oot and run.status == "active")
        task = await created(at, run_id=run.id)
        assert task.run_id == run.id
        assert task.id in [one.id for one in await at.org.runs.tasks.list(run.id).collect()]


async def test_a_one_off_task_goes_away_and_comes_back() -> None:
    async with place() as at:
        task = await created(at)
        assert await at.org.tasks.archive(task.id) is None
        assert task.id in [one.id for one in await at.org.tasks.list(archived="only").collect()]
        assert (await at.org.tasks.restore(task.id)).archived_at is None
        copy = await at.org.tasks.clone(task.id)
        assert (copy.title, copy.id == task.id) == (task.title, False)
        await at.org.tasks.archive(task.id)
        assert await at.org.tasks.delete(task.id) is None
        with pytest.raises(NotFoundError):
            await at.org.tasks.get(task.id)


async def answered(payload: Any, **fields: Any) -> Any:
    """Create a task on a server that answers with this payload."""
    async with connect(small_sandbox(), base_url=BASE, transport=Scripted({"create_task": payload})) as tallyfy:
        return await tallyfy.organization().tasks.create(title="Call", deadline=MOMENT, owners=ADA, **fields)


async def test_a_list_of_created_tasks_gives_its_first_one() -> None:
    task = await answered({"data": [{"id": "a", "title": "Call", "run": {"id": "r", "name": "Call"}}, {"id": "b"}]})
    assert (task.id, task.run.id) == ("a", "r")


@pytest.mark.parametrize("payload", [{"data": []}, {"data": [5]}, {"data": None}, [], None, "x"])
async def test_an_answer_without_a_task_is_told(payload: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        await answered(payload)
    assert caught.value.outcome is Outcome.DONE


def field(**given: Any) -> dict[str, Any]:
    """Return the definition of a form field."""
    return {"label": "Plan", "field_type": "radio", "required": False, **given}


OPTION = {"id": 1, "text": "A"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"owners": {"users": [1]}}, "lacks groups, guests"),
    ({"deadline": "2026-12-01"}, "deadline must be datetime or date"),
    ({"title": None}, "title must be str"),
    ({"name": "x"}, "'name': did you mean 'title'"),
    ({"description": "x"}, "'description': did you mean 'summary'"),
    ({"form_fields": [field()]}, r"form_fields\[0\] lacks options"),
    ({"form_fields": [field(options=[OPTION]), field(field_type="dropdown")]}, r"form_fields\[1\] lacks options"),
    ({"form_fields": [field(field_type="multiselect", options=[])]}, r"form_fields\[0\] lacks options"),
    ({"form_fields": [{"label": "Plan", "field_type": "text"}]}, r"form_fields\[0\] lacks required"),
    ({"form_fields": [field(options=[{"id": "1", "text": "A"}])]}, r"options\[0\]\.id must be int"),
    ({"form_fields": {"label": "Plan"}}, "form_fields must be a list"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG, ids=range(len(WRONG)))
async def test_a_wrong_task_is_refused_before_anything_is_sent(fields: dict[str, Any], message: str) -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match=message):
            await created(at, **fields)
        assert at.received == []


@pytest.mark.parametrize(
    ("value", "sent"), [("x", "x"), (MOMENT, "2026-12-01 09:30:00"), (None, None), ([OPTION], [OPTION])]
)
async def test_one_stored_value_is_overwritten(value: Any, sent: Any) -> None:
    server = Scripted()
    async with connect(small_sandbox(), base_url=BASE, transport=server) as tallyfy:
        tasks = tallyfy.organization().tasks
        assert await tasks.set_field_value(12, value) is None
        assert await tasks.set_field_value_as_guest("ada@guests.test", "cv_1", value) is None
    bodies = [json.loads(request.content) for request in server.requests]
    assert bodies == [{"id": 12, "form_value": sent}, {"id": "cv_1", "form_value": sent}]
    assert server.problems == []


@pytest.mark.parametrize("value_id", ["", " ", None, True, 1.5, []])
async def test_a_value_has_an_id(value_id: Any) -> None:
    async with place(runs=1, tasks=5) as at:
        for call in (
            at.org.tasks.set_field_value(value_id, "x"),
            at.org.tasks.set_field_value_as_guest("ada@guests.test", value_id, "x"),
        ):
            with pytest.raises(ConfigurationError, match="value_id must be a str that is not empty"):
                await call
        with pytest.raises(ConfigurationError, match="capture_id must be a str"):
            await at.org.tasks.save_capture("a" * 32, value_id, "x")
        assert at.received == []
