"""Runs and tasks on the wire (processes.md sections 1-5). They include each other, so they share a module."""

from collections.abc import Callable, Collection, Sequence

from tallyfy_async.sandbox.exchange import encode
from tallyfy_async.sandbox.records import Field, JsonObject, Run, Task
from tallyfy_async.sandbox.settings import DateSpelling

from . import files, templates
from .lens import SOON, Lens, php_map, wrap
from .threads import threads

_RUN_EMPTY = (
    "permissions",
    "stages",
    "member_watchers",
    "guest_watchers",
    "selected_text_comment",
)
_TASK_EMPTY = ("roles", "activities", "member_watchers", "guest_watchers")


def progress(lens: Lens, row: Run) -> JsonObject:
    """Count the visible tasks of a run; hidden ones are out of the total."""
    tasks = [t for t in lens.tenant.tasks_of(row) if t.status != "auto-skipped"]
    done = sum(1 for task in tasks if task.status == "completed")
    return {"complete": done, "total": len(tasks), "percent": round(100 * done / len(tasks)) if tasks else 0}


def run_bytes(lens: Lens, row: Run, stamp: object) -> bytes:
    """Encode a run without includes, from its cache when nothing was written since."""
    if row.encoded is None or row.encoded[0] != stamp:
        row.encoded = (stamp, encode(run(lens, row)))
    return row.encoded[1]


def task_bytes(lens: Lens, row: Task, stamp: object) -> bytes:
    """Encode a task without includes, from its cache when nothing was written since."""
    if row.encoded is None or row.encoded[0] != stamp:
        row.encoded = (stamp, encode(task(lens, row)))
    return row.encoded[1]


def run(
    lens: Lens, row: Run, includes: Collection[str] = (), *, spelling: DateSpelling = "millis", plain: bool = False
) -> JsonObject:
    """Render a run. `plain` prints the progress as a bare percentage, as the samples of PUT and DELETE do."""
    done = progress(lens, row)
    status = "archived" if row.archived_at is not None else row.status
    data: JsonObject = {
        "id": row.id,
        "increment_id": row.increment_id,
        "checklist_id": row.checklist_id,
        "checklist_title": row.checklist_title,
        "assign_someone_else": row.assign_someone_else,
        "name": row.name,
        "summary": row.summary,
        "status": status,
        "has_open_issue": row.open_issue,
        "progress": done["percent"] if plain else done,
        "started_by": row.started_by,
        "owner_id": row.owner_id,
        "prerun": php_map(row.prerun),
        "prerun_status": "incomplete" if row.prerun_completed_at is None else "complete",
        "prerun_completed_at": lens.date(row.prerun_completed_at, spelling),
        "prerun_completed_by": row.prerun_completed_by,
        "prerun_length": len(row.prerun),
        "starred": row.starred,
        "type": row.type,
        "is_public": row.is_public,
        "publicly_hidden_fields": row.hidden_fields or None,
        "users": lens.people(row.users),
        "groups": list(row.groups),
        "parent_id": row.parent_id,
        "can_add_oot": row.can_add_oot,
        "custom_fields": lens.metadata("run", row.id),
        "created_at": lens.date(row.created_at, spelling),
        "started_at": lens.date(row.created_at, spelling),
        "last_updated": lens.date(row.updated_at, spelling),
        "completed_at": lens.date(row.completed_at, spelling),
        "archived_at": lens.date(row.archived_at, spelling),
    }
    data |= outlook(lens, row, spelling)
    for name in includes:
        data |= _run_include(lens, row, name, includes)
    return data


def outlook(lens: Lens, row: Run, spelling: DateSpelling) -> JsonObject:
    """Render when the tasks of a run end, what is late, and who works on them."""
    tasks = lens.tenant.tasks_of(row)
    due = max((t.deadline for t in tasks if t.deadline is not None), default=None)
    closed = row.completed_at is not None or row.archived_at is not None
    return {
        "due_date": lens.date(due, spelling),
        "max_task_deadline": lens.date(due, spelling),
        "due_date_passed": due is not None and not closed and due < lens.now,
        "due_soon": due is not None and not closed and 0 <= due - lens.now < SOON,
        "late_tasks": sum(1 for t in tasks if t.is_open and t.deadline is not None and t.deadline < lens.now),
        "collaborators": sorted({user for t in tasks for user in t.users}),
    }


def _run_include(lens: Lens, row: Run, name: str, includes: Collection[str]) -> JsonObject:
    if name.startswith("tasks."):
        name = "tasks"
    if name in _RUN_EMPTY:
        return {name: wrap([])}
    render = _RUN_INCLUDES.get(name)
    return {name: render(lens, row, includes)} if render else {}


def _run_checklist(lens: Lens, row: Run, _: Collection[str]) -> JsonObject | None:
    checklist = lens.tenant.checklists.get(row.checklist_id)
    return wrap(templates.checklist(lens, checklist)) if checklist else None


def _run_tasks(lens: Lens, row: Run, includes: Collection[str]) -> JsonObject:
    nested = [word.partition(".")[2] for word in includes if word.startswith("tasks.")]
    return wrap([task(lens, t, nested) for t in lens.tenant.tasks_of(row)])


def _run_next_task(lens: Lens, row: Run, _: Collection[str]) -> JsonObject:
    return wrap([_next_task(lens, t) for t in _upcoming(lens.tenant.tasks_of(row))[:1]])


def _run_kickoff(lens: Lens, row: Run, _: Collection[str]) -> JsonObject:
    checklist = lens.tenant.checklists.get(row.checklist_id)
    return wrap([answered(lens, f, row.prerun, None) for f in (checklist.prerun if checklist else [])])


def _run_fields(lens: Lens, row: Run, _: Collection[str]) -> JsonObject:
    return wrap([answered(lens, f, t.taskdata, t) for t in lens.tenant.tasks_of(row) for f in t.captures])


def form_fields(lens: Lens, row: Run) -> JsonObject:
    """Render the fields of the tasks and of the kick-off form: one object with two lists."""
    fields, kickoff = _run_fields(lens, row, ()), _run_kickoff(lens, row, ())
    return {"id": row.id, "form_fields": fields["data"], "ko_form_fields": kickoff["data"]}


_RUN_INCLUDES: dict[str, Callable[[Lens, Run, Collection[str]], JsonObject | None]] = {
    "checklist": _run_checklist,
    "tasks": _run_tasks,
    "tags": lambda lens, row, _: wrap(templates.tag_links(lens, row.id, row.tags)),
    "next_task": _run_next_task,
    "assets": lambda lens, row, _: files.assets(lens, row.id),
    "folders": lambda lens, row, _: files.folders(lens, row.folders),
    "tasks_meta": lambda lens, row, _: wrap(progress(lens, row)),
    "ko_form_fields": _run_kickoff,
    "form_fields": _run_fields,
}


def _upcoming(tasks: Sequence[Task]) -> list[Task]:
    """Order the incomplete, visible tasks by deadline: that is how the include next_task picks, unlike the webhook."""
    return sorted((t for t in tasks if t.is_open), key=lambda t: (t.deadline is None, t.deadline or 0))


def _next_task(lens: Lens, row: Task) -> JsonObject:
    return {
        "id": row.id,
        "increment_id": row.increment_id,
        "title": row.title,
        "alias": row.alias,
        "owners": owners(lens, row),
        "deadline": lens.date(row.deadline, "Z"),
    }


def owners(lens: Lens, row: Task) -> JsonObject:
    """Render who works on a task."""
    return {"users": lens.people(row.users), "guests": list(row.guests), "groups": list(row.groups), "taskUrls": []}


def answered(lens: Lens, row: Field, answers: JsonObject, owner: Task | None) -> JsonObject:
    """Render a form field with what was submitted."""
    place = {"task_id": owner.id, "step_id": owner.step_id} if owner else {"task_id": None, "step_id": None}
    definition = templates.field(lens, row)
    for name in ("list", "archived_at"):
        del definition[name]
    return {**definition, **place, "field_value": answers.get(row.id), "unique_id": None}


def task(
    lens: Lens, row: Task, includes: Collection[str] = (), *, single: bool = False, spelling: DateSpelling = "Z"
) -> JsonObject:
    """Render a task. `summary` is there only in single answers or on demand."""
    data: JsonObject = {
        "id": row.id,
        "increment_id": row.increment_id,
        "title": row.title,
        "original_title": row.original_title,
        "allow_guest_owners": True,
        "run_id": row.run_id,
        "checklist_id": row.checklist_id,
        "step_id": row.step_id,
        "linked_step_id": None,
        "alias": row.alias,
        "taskdata": php_map(row.taskdata),
        "owners": owners(lens, row),
        "is_completable": row.is_open and not row.problem,
        "status": row.status,
        "status_label": row.status,
        "task_type": row.task_type,
        "is_approved": row.is_approved,
        "position": row.position,
        "blueprint_position": row.position if row.step_id else None,
        "starter_id": row.starter_id,
        "completer_id": row.completer_id,
        "completer_guest_id": None,
        "completer_guest": None,
        "is_oneoff_task": row.is_oneoff,
        "everyone_must_complete": row.everyone_must_complete,
        "completion_progress": _share(row),
        "has_deadline_dependent_child_tasks": False,
        "can_complete_only_assignees": row.can_complete_only_assignees,
        "max_assignable": row.max_assignable,
        "webhook": row.webhook,
        "prevent_guest_comment": row.prevent_guest_comment,
        "is_soft_start_date": row.is_soft_start_date,
        "send_chromeless": None,
        "stage_id": None,
        "problem": row.problem,
        "run_status": _run_status(lens, row),
        "top_secret": row.top_secret,
        "custom_fields": lens.metadata("task", row.id),
        "started_at": lens.date(row.started_at, spelling),
        "deadline": lens.date(row.deadline, spelling),
        "created_at": lens.date(row.created_at, spelling),
        "last_updated": lens.date(row.updated_at, spelling),
        "completed_at": lens.date(row.completed_at, spelling),
        "archived_at": lens.date(row.archived_at, spelling),
    }
    if single or "summary" in includes:
        data |= {"summary": row.summary, "original_summary": row.summary}
    for name in includes:
        data |= _task_include(lens, row, name, includes)
    return data


def _run_status(lens: Lens, row: Task) -> str | None:
    parent = _parent(lens, row)
    if parent is None:
        return None
    return "archived" if parent.archived_at is not None else parent.status


def _share(row: Task) -> int | None:
    """Return the percentage of assignees who are through, where everyone must complete."""
    if not row.everyone_must_complete or not row.users:
        return None
    return round(100 * len(row.completed_by) / len(row.users))


def _task_include(lens: Lens, row: Task, name: str, includes: Collection[str]) -> JsonObject:
    if name == "run.checklist":
        name = "run"
    if name in _TASK_EMPTY:
        return {name: wrap([])}
    if name == "run" and row.run_id is None:
        return {}
    render = _TASK_INCLUDES.get(name)
    return {name: render(lens, row, includes)} if render else {}


def _parent(lens: Lens, row: Task) -> Run | None:
    return lens.tenant.runs.get(row.run_id) if row.run_id else None


def _task_run(lens: Lens, row: Task, includes: Collection[str]) -> JsonObject | None:
    parent = _parent(lens, row)
    nested = ("checklist",) if "run.checklist" in includes else ()
    return wrap(run(lens, parent, nested)) if parent else None


def _task_step(lens: Lens, row: Task, _: Collection[str]) -> JsonObject | None:
    checklist = lens.tenant.checklists.get(row.checklist_id or "")
    found = [step for step in (checklist.steps if checklist else []) if step.id == row.step_id]
    return wrap(templates.step(lens, found[0])) if found else None


def _task_kickoff(lens: Lens, row: Task, _: Collection[str]) -> JsonObject:
    parent = _parent(lens, row)
    return _run_kickoff(lens, parent, ()) if parent else wrap([])


_TASK_INCLUDES: dict[str, Callable[[Lens, Task, Collection[str]], JsonObject | int | None]] = {
    "run": _task_run,
    "step": _task_step,
    "form_fields": lambda lens, row, _: wrap([answered(lens, f, row.taskdata, row) for f in row.captures]),
    "ko-form-fields": _task_kickoff,
    "assets": lambda lens, row, _: files.assets(lens, row.id),
    "folders": lambda lens, row, _: files.folders(lens, row.folders),
    "threads": lambda lens, row, _: wrap(threads(lens, row.id)),
    "comments": lambda lens, row, _: wrap(threads(lens, row.id)),
    "issues": lambda lens, row, _: wrap(threads(lens, row.id, issues=True)),
    "threads_count": lambda lens, row, _: len(threads(lens, row.id)),
    "tags": lambda lens, row, _: wrap(templates.tag_links(lens, row.id, row.tags)),
}
