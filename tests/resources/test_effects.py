from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tallyfy_async import NotFoundError, Outcome, PermissionDeniedError, ValidationError
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio


async def test_launching_creates_the_tasks_of_the_steps() -> None:
    async with place() as at:
        checklist = await at.org.checklists.get(at.checklist().id, with_=["steps"])
        start = at.field("Start date")
        run = await at.org.runs.launch(checklist.id, name="Onboard Ada", prerun={start: date(2026, 12, 1)})
        tasks = await at.org.runs.tasks.list(run.id).collect()
        assert (run.name, run.status, run.checklist_id) == ("Onboard Ada", "active", checklist.id)
        assert [task.title for task in tasks] == [step.title for step in checklist.steps or ()]
        assert {task.run_id for task in tasks} == {run.id}
        assert run.prerun == {start: "2026-12-01 00:00:00"}
        assert (await at.org.runs.get(run.id)).to_dict() == run.to_dict()


async def test_a_launch_overrides_the_task_of_a_step() -> None:
    async with place() as at:
        step = at.checklist().steps[0].id
        day = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
        owners = {"users": [1002], "guests": ["guest@example.com"], "groups": []}
        run = await at.org.runs.launch(at.checklist().id, tasks={step: {"owners": owners, "deadline": day}})  # type: ignore[typeddict-item]
        task = next(task for task in at.tenant.tasks.values() if task.run_id == run.id and task.step_id == step)
        assert (task.users, task.guests, task.groups) == ([1002], ["guest@example.com"], [])
        assert task.deadline == int(day.timestamp())


async def test_a_missing_kickoff_answer_is_told_by_field_and_launches_nothing() -> None:
    async with place() as at:
        template = at.checklist("Employee Onboarding")
        required = next(field for field in template.prerun if field.required)
        with pytest.raises(ValidationError) as caught:
            await at.org.runs.launch(template.id, name="x")
        assert caught.value.fields == {required.id: [f"{required.label} is required"]}
        assert caught.value.outcome is Outcome.REFUSED
        assert at.sandbox.world.launched == 0


async def test_updating_a_run_keeps_its_members() -> None:
    async with place() as at:
        run = at.run(lambda run: bool(run.users and run.groups))
        before = (list(run.users), list(run.groups))
        changed = await at.org.runs.update(run.id, name="Renamed")
        assert (run.name, run.users, run.groups) == ("Renamed", *before)
        assert (changed.name, changed.user_ids, changed.group_ids) == ("Renamed", tuple(before[0]), tuple(before[1]))
        assert [request.method for request in at.received] == ["GET", "PUT"]
        assert at.bodies()[1] == {"users": before[0], "groups": before[1], "name": "Renamed"}


async def test_one_bucket_given_keeps_the_other_one() -> None:
    async with place() as at:
        run = at.run(lambda run: bool(run.users and run.groups))
        groups = list(run.groups)
        await at.org.runs.update(run.id, users=[1004])
        assert (run.users, run.groups) == ([1004], groups)
        await at.org.runs.update(run.id, groups=[])
        assert (run.users, run.groups) == ([1004], [])


async def test_members_given_whole_cost_no_read() -> None:
    async with place() as at:
        run = at.run()
        await at.org.runs.update(run.id, users=[1005], groups=[], starred=True)
        assert (run.users, run.groups, run.starred) == ([1005], [], True)
        assert [request.method for request in at.received] == ["PUT"]


async def test_archiving_takes_the_tasks_along_and_activating_brings_them_back() -> None:
    async with place() as at:
        run = at.run()
        status, count = run.status, len(await at.org.runs.list().collect())
        assert await at.org.runs.archive(run.id) is None
        assert run.archived_at is not None
        assert all(at.tenant.tasks[task].archived_at for task in run.task_ids)
        assert len(await at.org.runs.list().collect()) == count - 1
        assert run.id in [one.id for one in await at.org.runs.list(archived="only").collect()]
        with pytest.raises(NotFoundError):
            await at.org.runs.archive(run.id)
        again = await at.org.runs.activate(run.id)
        assert (again.id, again.status, again.archived_at) == (run.id, status, None)
        assert not any(at.tenant.tasks[task].archived_at for task in run.task_ids)
        with pytest.raises(NotFoundError):
            await at.org.runs.activate(run.id)


async def answer(at: Place, task_id: str) -> None:
    """Give a task whatever answers it demands."""
    task = at.tenant.tasks[task_id]
    for field in task.captures:
        if field.required:
            options = [{**option, "selected": True} for option in field.options]
            value = options if field.field_type == "multiselect" else "an answer"
            await at.org.runs.tasks.update(task.run_id or "", task_id, taskdata={field.id: value})


async def test_completing_the_last_task_completes_the_run_and_reopening_one_opens_it() -> None:
    async with place() as at:
        run = await at.org.runs.launch(at.checklist().id)
        tasks = await at.org.runs.tasks.list(run.id).collect()
        for number, task in enumerate(tasks):
            assert (await at.org.runs.get(run.id)).status == "active"
            await answer(at, task.id)
            approval = True if task.task_type == "approval" else None
            done = await at.org.runs.tasks.complete(run.id, task.id, is_approved=approval)
            assert (done.status, done.completer_id, done.is_approved) == ("completed", 1001, approval)
            progress = (await at.org.runs.get(run.id)).progress
            assert progress is not None
            assert (progress.complete, progress.total) == (number + 1, len(tasks))
        finished = await at.org.runs.get(run.id)
        assert (finished.status, finished.completed_at is None) == ("complete", False)
        reopened = await at.org.runs.tasks.reopen(run.id, tasks[0].id)
        assert (reopened.status, reopened.completed_at) == ("in-progress", None)
        assert (await at.org.runs.get(run.id)).status == "active"


async def test_an_approval_demands_a_verdict() -> None:
    async with place() as at:
        run = await at.org.runs.launch(at.checklist().id)
        approval = next(t for t in await at.org.runs.tasks.list(run.id).collect() if t.task_type == "approval")
        with pytest.raises(ValidationError) as caught:
            await at.org.runs.tasks.complete(run.id, approval.id)
        assert list(caught.value.fields) == ["is_approved"]
        assert at.tenant.tasks[approval.id].status == "not-started"
        rejected = await at.org.runs.tasks.complete(run.id, approval.id, is_approved=False, override_user=1003)
        assert (rejected.is_approved, rejected.completer_id) == (False, 1003)


async def test_owners_are_replaced_whole() -> None:
    async with place() as at:
        row = at.task(test=lambda task: bool(task.users) and not task.max_assignable)
        task = await at.org.runs.tasks.get(row.run_id or "", row.id)
        assert task.owners is not None
        owners = task.owners.as_input()
        owners["guests"] = [*owners["guests"], "new@example.com"]
        users = list(row.users)
        changed = await at.org.runs.tasks.update(row.run_id or "", row.id, owners=owners)
        assert (row.users, row.guests[-1]) == (users, "new@example.com")
        assert changed.owners is not None
        assert changed.owners.as_input() == {"users": row.users, "guests": row.guests, "groups": row.groups}
        await at.org.runs.tasks.update(row.run_id or "", row.id, owners={"users": [], "guests": [], "groups": []})
        assert (row.users, row.guests, row.groups) == ([], [], [])


async def test_what_an_update_does_not_name_stays() -> None:
    async with place() as at:
        row = at.task(test=lambda task: bool(task.users))
        before = (list(row.users), dict(row.taskdata), row.deadline, row.summary)
        await at.org.runs.tasks.update(row.run_id or "", row.id, title="Another title")
        assert (row.title, (row.users, row.taskdata, row.deadline, row.summary)) == ("Another title", before)


async def test_answers_are_merged() -> None:
    async with place() as at:
        run = await at.org.runs.launch(at.checklist().id)
        task = next(t for t in at.tenant.tasks.values() if t.run_id == run.id and len(t.captures) == 2)
        text, choice = task.captures
        await at.org.runs.tasks.update(run.id, task.id, taskdata={text.id: "first"})
        changed = await at.org.runs.tasks.update(run.id, task.id, taskdata={choice.id: choice.options[0]["text"]})
        assert changed.taskdata == {text.id: "first", choice.id: choice.options[0]["text"]}
        cleared = await at.org.runs.tasks.update(run.id, task.id, taskdata={text.id: None, choice.id: None})
        assert cleared.taskdata == {}


async def test_a_completed_task_takes_no_change() -> None:
    async with place() as at:
        row = at.task("completed")
        with pytest.raises(ValidationError, match="completed task"):
            await at.org.runs.tasks.update(row.run_id or "", row.id, title="x")


async def test_one_off_tasks_have_their_own_routes() -> None:
    async with place() as at:
        row = at.oneoff()
        nobody: dict[str, list[str]] = {"users": [], "guests": [], "groups": []}
        changed = await at.org.tasks.update(row.id, title="Call", deadline=date(2026, 12, 1), owners=nobody)  # type: ignore[arg-type]
        assert (changed.title, changed.deadline) == ("Call", datetime(2026, 12, 1, tzinfo=UTC))
        done = await at.org.tasks.complete(row.id)
        assert (done.status, done.run_id, done.is_oneoff_task) == ("completed", None, True)
        assert (await at.org.tasks.reopen(row.id)).status == "in-progress"
        of_run = at.task()
        assert (await at.org.tasks.get(of_run.id)).run_id == of_run.run_id
        with pytest.raises(NotFoundError) as caught:
            await at.org.tasks.complete(of_run.id)
        assert at.org.id in "".join(caught.value.__notes__)


async def test_a_task_of_another_run_is_not_found() -> None:
    async with place() as at:
        row = at.task()
        other = at.run(lambda run: run.id != row.run_id)
        with pytest.raises(NotFoundError):
            await at.org.runs.tasks.get(other.id, row.id)


async def test_my_tasks_are_all_of_them() -> None:
    async with place() as at:
        mine = [task for task in at.tenant.tasks.values() if 1001 in task.users and task.archived_at is None]
        found = await at.org.me.tasks.list().collect()
        active = await at.org.me.tasks.list(status="active").collect()
        assert {task.id for task in found} == {task.id for task in mine}
        assert 0 < len(active) < len(found)


async def test_lists_are_filtered_and_sorted_by_the_server() -> None:
    async with place() as at:
        names = [run.name for run in await at.org.runs.list(sort="name").collect()]
        assert names == sorted(names, key=str.casefold)
        active = await at.org.runs.list(status="active", starred=True).collect()
        assert active
        assert {(run.status, run.starred) for run in active} == {("active", True)}
        assert [user.id for user in await at.org.users.list(sort="-id").collect()] == [1005, 1004, 1003, 1002, 1001]
        with pytest.raises(ValidationError):
            await at.org.runs.list(status="nonsense")


async def test_includes_are_read_into_models() -> None:
    async with place() as at:
        row = at.task()
        run = await at.org.runs.get(row.run_id or "", with_=["tasks", "checklist"])
        assert run.tasks is not None
        assert row.id in [task.id for task in run.tasks]
        assert run.checklist is not None
        assert run.checklist.id == run.checklist_id
        user = await at.org.users.get(1001, with_=["groups", "stats"])
        assert user.groups is not None
        assert user.stats is not None


async def test_only_administrators_read_a_member() -> None:
    async with place() as at:
        token = at.sandbox.world.personal_token(1002, life=3600).value
        other = at.tallyfy.with_options(auth=token).organization()
        with pytest.raises(PermissionDeniedError):
            await other.users.get(1001)
        assert (await at.org.users.get(1002)).id == 1002


async def test_who_am_i() -> None:
    async with place() as at:
        me = await at.tallyfy.me.get()
        assert (me.id, me.email) == (1001, at.sandbox.credentials.username)
        organizations = await at.tallyfy.organizations.list().collect()
        assert at.org.id in [one.id for one in organizations]
        assert len(organizations) == 2
