"""Runs, tasks, threads and micro-functions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from tallyfy_async.models.owners import OwnersInput
from tests.contract.row import Row
from tests.resources.place import Place

MOMENT = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
ADA = OwnersInput(users=[1001], guests=[], groups=[])
FIELDS: Any = [
    {"label": "Notes", "field_type": "text", "required": False},
    {
        "label": "Plan",
        "field_type": "radio",
        "required": True,
        "options": [{"id": 1, "text": "A"}, {"id": 2, "text": "B"}],
    },
    {
        "label": "Costs",
        "field_type": "table",
        "required": False,
        "columns": [{"id": 1, "label": "Item"}],
        "position": 3,
    },
]


async def answerable(at: Place) -> Any:
    """Launch a run and return one of its tasks that has a field, with the field."""
    run = await at.org.runs.launch(at.checklist().id)
    task = next(task for task in at.tenant.tasks.values() if task.run_id == run.id and task.captures)
    return task, next(field for field in task.captures if field.field_type in {"text", "textarea", "radio"})


async def stored(at: Place) -> tuple[int, str]:
    """Answer a field; return the id of the stored answer, which no reply tells, and the answer."""
    task, field = await answerable(at)
    value = field.options[0]["text"] if field.options else "an answer"
    await at.org.runs.tasks.update(task.run_id, task.id, taskdata={field.id: value})
    return at.tenant.pivot("value", task.id, field.id), value


async def asked(at: Place) -> str:
    """Ask a guest something and return the id of the field."""
    owners = OwnersInput(users=[], guests=["guest1@partner.org"], groups=[])
    task = await at.org.tasks.create(title="Tell us", deadline=MOMENT, owners=owners, form_fields=FIELDS[:1])
    return at.tenant.tasks[task.id].captures[0].id


async def completed(at: Place) -> Any:
    """Complete a task of a run."""
    task = at.task()
    await at.org.runs.tasks.complete(task.run_id or "", task.id)
    return task


async def done_oneoff(at: Place) -> Any:
    """Complete a one-off task."""
    task = at.oneoff()
    await at.org.tasks.complete(task.id)
    return task


async def new_task(at: Place) -> Any:
    """Create a one-off task."""
    return await at.org.tasks.create(title="Call Ada", deadline=MOMENT, owners=ADA)


async def away(at: Place) -> Any:
    """Create a one-off task and archive it."""
    task = await new_task(at)
    await at.org.tasks.archive(task.id)
    return task


async def assigned(at: Place) -> Any:
    """Create a one-off task with a member and a guest."""
    owners = OwnersInput(users=[1001, 1002], guests=["ada@guests.test"], groups=[])
    return await at.org.tasks.create(title="Call Ada", deadline=MOMENT, owners=owners)


async def archived(at: Place) -> Any:
    """Archive a run."""
    run = at.run()
    await at.org.runs.archive(run.id)
    return run


async def submitted(at: Place) -> Any:
    """Submit the kick-off form of a run."""
    run = at.run()
    await at.org.runs.complete_prerun(run.id)
    return run


async def unsubmitted(at: Place) -> Any:
    """Open the kick-off form of a run again."""
    run = await submitted(at)
    await at.org.runs.reopen_prerun(run.id)
    return run


async def commented(at: Place) -> Any:
    """Comment on a task."""
    task = at.task()
    return task, await at.org.threads.comment_on_task(task.id, "Look")


async def task_issue(at: Place) -> Any:
    """Report an issue on a task."""
    task = at.task()
    return task, await at.org.threads.report_task_problem(task.id, "It is broken")


async def run_issue(at: Place) -> Any:
    """Report an issue on a run."""
    run = at.run()
    return run, await at.org.threads.report_run_problem(run.id, "It is broken")


async def checklist_issue(at: Place) -> Any:
    """Report an issue on a template."""
    checklist = at.checklist()
    return checklist, await at.org.threads.report_checklist_problem(checklist.id, "It is broken")


RUNS = [
    Row(operation="list_runs", call=lambda at: at.org.runs.list()),
    Row(
        operation="list_runs",
        call=lambda at: at.org.runs.list(
            q="onb",
            status="active",
            owners=[1001, 1002],
            checklist_id=at.checklist().id,
            folder="a" * 32,
            tag="b" * 32,
            tag_ids=["b" * 32, "c" * 32],
            untagged=False,
            starred=True,
            type="procedure",
            groups=["d" * 32],
            task_status="in-progress",
            archived="true",
            form_fields_values=True,
            sort="-created_at",
            with_=["checklist", "tasks", "tags", "assets", "next_task", "permissions", "tasks_meta", "ko_form_fields"],
            per_page=5,
        ),
    ),
    Row(operation="list_runs", call=lambda at: at.org.runs.list(with_=["form_fields", "stages", "folders"])),
    Row(operation="get_run", call=lambda at: at.org.runs.get(at.run().id)),
    Row(
        operation="get_run",
        call=lambda at: at.org.runs.get(
            at.run().id,
            with_=["member_watchers", "guest_watchers", "selected_text_comment", "tasks.threads", "tasks.form_fields"],
            form_fields_values=True,
        ),
    ),
    Row(operation="list_run_form_fields", call=lambda at: at.org.runs.form_fields(at.run().id)),
    Row(operation="launch_run", call=lambda at: at.org.runs.launch(at.checklist().id)),
    Row(
        operation="launch_run",
        call=lambda at: at.org.runs.launch(
            at.checklist().id,
            name="Onboard Ada",
            summary="Her first week",
            owner_id=1002,
            user_id=1001,
            starred=True,
            is_public=False,
            assign_someone_else=False,
            publicly_hidden_fields=["comments"],
            parent_id=at.run().id,
            prerun={at.field("Start date"): date(2026, 12, 1)},
            tasks={at.checklist().steps[0].id: {"owners": ADA, "deadline": MOMENT, "position": 1, "max_assignable": 2}},
            users=[1001],
            groups=[],
            tags=[],
            folders=[],
            roles={},
            trackers=ADA,
        ),
    ),
    Row(operation="update_run", call=lambda at: at.org.runs.update(at.run().id, name="Renamed")),
    Row(
        operation="update_run",
        call=lambda at: at.org.runs.replace(
            at.run().id,
            name="Renamed",
            summary="",
            owner_id=1001,
            starred=False,
            is_public=True,
            publicly_hidden_fields=[],
            users=[1001],
            groups=[],
            prerun={},
        ),
    ),
    Row(operation="archive_run", call=lambda at: at.org.runs.archive(at.run().id)),
    Row(operation="activate_run", call=lambda at: at.org.runs.activate(at.archived_run().id)),
    Row(operation="delete_run", arrange=archived, call=lambda at: at.org.runs.delete(at.arranged.id)),
    Row(operation="complete_prerun", arrange=unsubmitted, call=lambda at: at.org.runs.complete_prerun(at.arranged.id)),
    Row(operation="reopen_prerun", arrange=submitted, call=lambda at: at.org.runs.reopen_prerun(at.arranged.id)),
    Row(operation="export_run", call=lambda at: at.org.runs.export(at.run().id)),
]
RUN_TASKS = [
    Row(operation="list_run_tasks", call=lambda at: at.org.runs.tasks.list(at.run().id)),
    Row(
        operation="list_run_tasks",
        call=lambda at: at.org.runs.tasks.list(
            at.run().id,
            status="active_visible",
            owners=[1001],
            guests=["ada@guests.test"],
            groups=["d" * 32],
            unassigned=False,
            deadline_start_range=date(2026, 1, 1),
            deadline_end_range=date(2026, 12, 31),
            deadline_on="2026-12-01",
            deadline_before=date(2027, 1, 1),
            deadline_after=date(2026, 1, 1),
            sort="-deadline",
            with_=["step", "threads", "comments", "assets", "form_fields", "activities", "run.checklist", "summary"],
        ),
    ),
    Row(operation="get_run_task", call=lambda at: at.org.runs.tasks.get(at.task().run_id or "", at.task().id)),
    Row(
        operation="get_run_task",
        call=lambda at: at.org.runs.tasks.get(
            at.task().run_id or "", at.task().id, with_=["run", "step", "form_fields", "threads", "ko-form-fields"]
        ),
    ),
    Row(
        operation="update_run_task",
        arrange=answerable,
        call=lambda at: at.org.runs.tasks.update(
            at.arranged[0].run_id, at.arranged[0].id, taskdata={at.arranged[1].id: None}
        ),
    ),
    Row(
        operation="update_run_task",
        call=lambda at: at.org.runs.tasks.update(
            at.task().run_id or "",
            at.task().id,
            title="Call Ada",
            summary="<p>By phone</p>",
            deadline=MOMENT,
            started_at=date(2026, 11, 2),
            owners=ADA,
            webhook=None,
            prevent_guest_comment=True,
            position=1,
            max_assignable=2,
            task_type="task",
            top_secret=False,
        ),
    ),
    Row(
        operation="complete_run_task",
        call=lambda at: at.org.runs.tasks.complete(at.task().run_id or "", at.task().id, override_user=1002),
    ),
    Row(
        operation="reopen_run_task",
        arrange=completed,
        call=lambda at: at.org.runs.tasks.reopen(at.arranged.run_id, at.arranged.id),
    ),
    Row(operation="email_run_task", call=lambda at: at.org.runs.tasks.email(at.task().run_id or "", at.task().id)),
]
TASKS = [
    Row(operation="list_tasks", call=lambda at: at.org.tasks.list()),
    Row(
        operation="list_tasks",
        call=lambda at: at.org.tasks.list(
            q="a",
            status="completed",
            assignee="me",
            owners=[1001],
            guests="ada@guests.test",
            groups=["d" * 32],
            roles=["e" * 32],
            tag="urgent",
            folder="f" * 32,
            created="2026-01-01:2026-12-31",
            is_oneoff=True,
            unassigned=False,
            archived="true",
            custom_field_key="cost_center",
            custom_field_value="CC-1042",
            deadline_after=date(2026, 1, 1),
            sort="-completed_newest",
            with_=["run", "run.checklist", "step", "threads", "assets", "form_fields", "tags", "summary"],
        ),
    ),
    Row(operation="get_task", call=lambda at: at.org.tasks.get(at.oneoff().id)),
    Row(operation="get_task", call=lambda at: at.org.tasks.get(at.task().id, with_=["threads_count", "issues"])),
    Row(operation="get_task", arrange=commented, call=lambda at: at.org.threads.list_of_task(at.arranged[0].id)),
    Row(
        operation="create_task",
        call=lambda at: at.org.tasks.create(title="Call Ada", deadline=date(2026, 12, 1), owners=ADA),
    ),
    Row(
        operation="create_task",
        call=lambda at: at.org.tasks.create(
            title="Call Ada",
            task_type="approval",
            deadline=MOMENT,
            owners=OwnersInput(users=[1001, 1002], guests=[], groups=[]),
            summary="By phone",
            started_at=date(2026, 11, 2),
            is_soft_start_date=True,
            separate_task_for_each_assignee=True,
            max_assignable=0,
            prevent_guest_comment=True,
            everyone_must_complete=False,
            can_complete_only_assignees=True,
            tags=[],
            form_fields=FIELDS,
            webhook="https://hooks.test/tallyfy",
            top_secret=False,
            position=1,
        ),
    ),
    Row(
        operation="create_task",
        call=lambda at: at.org.tasks.create(
            title="Call Ada", deadline=MOMENT, owners=ADA, run_id=at.run(lambda run: run.can_add_oot).id
        ),
    ),
    Row(
        operation="update_task",
        call=lambda at: at.org.tasks.update(at.oneoff().id, title="Call", deadline=date(2026, 12, 1), owners=ADA),
    ),
    Row(
        operation="update_task",
        call=lambda at: at.org.tasks.replace(
            at.oneoff().id, title="Call", deadline=MOMENT, owners=ADA, summary="By phone", webhook=None, taskdata={}
        ),
    ),
    Row(operation="complete_task", call=lambda at: at.org.tasks.complete(at.oneoff().id)),
    Row(operation="reopen_task", arrange=done_oneoff, call=lambda at: at.org.tasks.reopen(at.arranged.id)),
    Row(operation="archive_task", arrange=new_task, call=lambda at: at.org.tasks.archive(at.arranged.id)),
    Row(operation="restore_task", arrange=away, call=lambda at: at.org.tasks.restore(at.arranged.id)),
    Row(operation="delete_task", arrange=away, call=lambda at: at.org.tasks.delete(at.arranged.id)),
    Row(operation="clone_task", call=lambda at: at.org.tasks.clone(at.oneoff().id)),
    Row(operation="email_task", call=lambda at: at.org.tasks.email(at.oneoff().id)),
    Row(
        operation="save_task_capture",
        arrange=answerable,
        call=lambda at: at.org.tasks.save_capture(at.arranged[0].id, at.arranged[1].id, "an answer"),
    ),
    Row(operation="save_task_capture", call=lambda at: at.org.tasks.save_capture(at.task().id, 12345, MOMENT)),
    Row(
        operation="update_form_field_value",
        arrange=stored,
        call=lambda at: at.org.tasks.set_field_value(*at.arranged),
    ),
    Row(
        operation="update_form_field_value_as_guest",
        arrange=asked,
        call=lambda at: at.org.tasks.set_field_value_as_guest("guest1@partner.org", at.arranged, "an answer"),
    ),
]
THREADS = [
    Row(operation="create_task_comment", call=lambda at: at.org.threads.comment_on_task(at.task().id, "Look @[1002]")),
    Row(
        operation="create_task_comment",
        call=lambda at: at.org.threads.comment_on_task(at.oneoff().id, "Look", state="open", label="improvement"),
    ),
    Row(
        operation="update_task_comment",
        arrange=commented,
        call=lambda at: at.org.threads.update_task_comment(at.arranged[0].id, at.arranged[1].id, "Look again"),
    ),
    Row(
        operation="delete_task_comment",
        arrange=commented,
        call=lambda at: at.org.threads.delete_task_comment(at.arranged[0].id, at.arranged[1].id),
    ),
    Row(operation="create_task_bot_comment", call=lambda at: at.org.threads.bot_comment_on_task(at.task().id, "Beep")),
    Row(operation="report_task_problem", call=lambda at: at.org.threads.report_task_problem(at.task().id, "Broken")),
    Row(
        operation="resolve_task_threads",
        arrange=task_issue,
        call=lambda at: at.org.threads.resolve_task_threads(
            at.arranged[0].id, at.arranged[1].id, "Mended", state="open"
        ),
    ),
    Row(operation="create_run_comment", call=lambda at: at.org.threads.comment_on_run(at.run().id, "Look")),
    Row(operation="report_run_problem", call=lambda at: at.org.threads.report_run_problem(at.run().id, "Broken")),
    Row(
        operation="resolve_run_threads",
        arrange=run_issue,
        call=lambda at: at.org.threads.resolve_run_threads(at.arranged[0].id, at.arranged[1].id, "Mended"),
    ),
    Row(
        operation="create_checklist_comment",
        call=lambda at: at.org.threads.comment_on_checklist(at.checklist().id, "Look", state="open"),
    ),
    Row(
        operation="report_checklist_problem",
        call=lambda at: at.org.threads.report_checklist_problem(at.checklist().id, "Broken"),
    ),
    Row(
        operation="resolve_checklist_threads",
        arrange=checklist_issue,
        call=lambda at: at.org.threads.resolve_checklist_threads(at.arranged[0].id, at.arranged[1].id, "Mended"),
    ),
]
MICRO = [
    Row(
        operation="micro_edit_step_type",
        call=lambda at: at.org.micro.edit_step_type(at.checklist().id, at.checklist().steps[0].id, "any"),
    ),
    Row(
        operation="micro_create_task",
        call=lambda at: at.org.micro.create_task(name="Call Ada", deadline=MOMENT),
    ),
    Row(
        operation="micro_create_task",
        call=lambda at: at.org.micro.create_task(
            name="Call Ada",
            task_type="approval",
            deadline=date(2026, 12, 1),
            description="By phone",
            owners={"users": [1001], "guests": ["ada@guests.test"]},
        ),
    ),
    Row(operation="micro_edit_task_deadline", call=lambda at: at.org.micro.edit_task_deadline(at.task().id, MOMENT)),
    Row(
        operation="micro_remove_assignee",
        arrange=assigned,
        call=lambda at: at.org.micro.remove_assignee(at.arranged.id, 1002),
    ),
    Row(
        operation="micro_remove_guest",
        arrange=assigned,
        call=lambda at: at.org.micro.remove_guest(at.arranged.id, "ada@guests.test"),
    ),
]
ROWS = [*RUNS, *RUN_TASKS, *TASKS, *THREADS, *MICRO]
