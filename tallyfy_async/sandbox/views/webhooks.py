"""What webhooks carry (processes.md section 10): cumulative payloads, told apart by their shape."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tallyfy_async.sandbox import dates
from tallyfy_async.sandbox.records import Asset, Event, Field, JsonObject, Run, Task

from . import work
from .lens import Lens, php_map
from .threads import thread

APP = "https://go.tallyfy.com"
ISO_FIELDS = "yyyy-MM-ddTHH:mm:ssZ"
"""How dates in form fields are spelled unless the organization wants its own zone: `d/m/Y h:i A T`."""
_STATUS = {"active": "in-progress"}
"""Stored status of a run -> word of the payloads, where the two differ."""
_Answer = tuple[Field, Any]


def process(lens: Lens, row: Run) -> JsonObject:
    """Render the payload of a launch (`completed_at` null) or of a completion."""
    tasks = lens.tenant.tasks_of(row)
    return {
        "id": row.id,
        "increment_id": row.increment_id,
        "checklist_id": row.checklist_id,
        "checklist_title": row.checklist_title,
        "name": row.name,
        "summary": row.summary,
        "status": _status(row),
        "progress": _percent(lens, row),
        "whole_progress": _percent(lens, row),
        "started_by": row.started_by,
        "owner_id": row.owner_id,
        "prerun": _prerun(lens, row),
        "prerun_status": "incomplete" if row.prerun_completed_at is None else "completed",
        "prerun_completed_at": lens.date(row.prerun_completed_at, "Z"),
        "prerun_completed_by": row.prerun_completed_by,
        "prerun_length": len(row.prerun),
        "created_at": lens.date(row.created_at, "Z"),
        "started_at": lens.date(row.created_at, "Z"),
        "last_updated": lens.date(row.updated_at, "Z"),
        "completed_at": lens.date(row.completed_at, "Z"),
        **_outlook(lens, row),
        "users": [{"user_id": user, "full_name": _name(lens, user)} for user in row.users],
        "groups": [{"group_id": g, "name": lens.tenant.groups[g].name} for g in row.groups if g in lens.tenant.groups],
        "process-tasks": _task_ids(tasks),
        "ko-form-fields": _flat(lens, _kickoff(lens, row)),
        "guest-links": _guest_links(lens, tasks),
        "launcher": _person(lens, row.started_by),
    }


def task(lens: Lens, row: Task) -> JsonObject:
    """Render the payload of a completed task; one outside any run names neither template nor process."""
    run = lens.tenant.runs.get(row.run_id or "")
    tasks = lens.tenant.tasks_of(run) if run else [row]
    answers = [*(_kickoff(lens, run) if run else ()), *(found for t in tasks for found in _answers(t))]
    payload: JsonObject = {
        "this_task": this_task(lens, row),
        "launcher": _person(lens, run.started_by if run else row.starter_id),
        "completer": None if row.completer_id is None else _person(lens, row.completer_id),
        "process-tasks": _task_ids(tasks),
        "form-fields": _flat(lens, answers),
        "guest-links": _guest_links(lens, tasks),
        "next_task": _next_task(lens, tasks) if run else [],
    }
    return payload | ({"template": _template(lens, run), "process": _process(lens, run, tasks)} if run else {})


def organization(lens: Lens, event: Event, around: Callable[[str], JsonObject | None]) -> JsonObject:
    """Render what a subscription of the whole organization gets. Sure is `event` alone, and ids in `task`.

    `around` returns what `process_around` does.
    """
    payload: JsonObject = {"event": event.name, "organization_id": lens.tenant.id}
    if isinstance(event.record, Run):
        return payload | {"process": process(lens, event.record)}
    payload["task"] = this_task(lens, event.record) | {"run_id": event.record.run_id}
    run = around(event.record.run_id or "")
    if run is not None:
        payload["process"] = run
    if event.thread is not None:
        payload["comment"] = thread(lens, event.thread)
    return payload


def process_around(lens: Lens, run_id: str) -> JsonObject | None:
    """Render the run around a task, None where there is none."""
    run = lens.tenant.runs.get(run_id)
    return None if run is None else _process(lens, run, lens.tenant.tasks_of(run))


def this_task(lens: Lens, row: Task) -> JsonObject:
    """Render the task that a payload is about."""
    return {
        **_brief(lens, row),
        "completed_at": lens.date(row.completed_at, "Z"),
        "completed_by": None if row.completer_id is None else _person(lens, row.completer_id),
        "captures": _captures(lens, _answers(row)),
        "assets": [_asset(lens, one) for one in _files(lens, row)],
    }


def _files(lens: Lens, row: Task) -> Iterator[Asset]:
    """Return the files of the run that were uploaded into the fields of a task, and those of the task itself."""
    fields = {field.id for field in row.captures}
    for one in lens.tenant.assets.values():
        own = one.subject_id == row.id or (one.subject_id == row.run_id and one.uploaded_from in fields)
        if own and one.archived_at is None:
            yield one


def _brief(lens: Lens, row: Task) -> JsonObject:
    return {
        "id": row.id,
        "title": row.title,
        "alias": row.alias,
        "status": row.status,
        "summary": row.summary,
        "position": row.position,
        "deadline": lens.date(row.deadline, "Z"),
        "owners": {"users": [_person(lens, user) for user in row.users], "guests": list(row.guests)},
    }


def _next_task(lens: Lens, tasks: Iterable[Task]) -> Any:
    """Render the first open, visible task by position; [] when none is left. The include of a run picks by deadline."""
    found = next((t for t in tasks if t.is_open), None)
    return [] if found is None else _brief(lens, found) | {"captures": _captures(lens, _answers(found))}


def _template(lens: Lens, run: Run) -> JsonObject:
    checklist = lens.tenant.checklists.get(run.checklist_id)
    more = {"alias": checklist.alias, "summary": checklist.summary} if checklist else {"alias": None, "summary": None}
    return {"id": run.checklist_id, "title": run.checklist_title, **more}


def _process(lens: Lens, run: Run, tasks: Iterable[Task]) -> JsonObject:
    tags = [lens.tenant.tags[ident] for ident in run.tags if ident in lens.tenant.tags]
    forms = {t.step_id or t.id: _captures(lens, _answers(t)) for t in tasks if any(_answers(t))}
    return {
        "id": run.id,
        "organization_id": lens.tenant.id,
        "name": run.name,
        "summary": run.summary,
        "status": _status(run),
        "progress": _percent(lens, run),
        "created_at": lens.date(run.created_at, "Z"),
        "ClientURL": f"{APP}/tracker/{run.id}",
        "prerun": _prerun(lens, run),
        "process_forms": php_map(forms),
        "tags": [{"id": tag.id, "name": tag.title, "color": tag.color or ""} for tag in tags],
    }


def _status(run: Run) -> str:
    return "archived" if run.archived_at is not None else _STATUS.get(run.status, run.status)


def _percent(lens: Lens, run: Run) -> int:
    percent: int = work.progress(lens, run)["percent"]
    return percent


def _outlook(lens: Lens, run: Run) -> JsonObject:
    found = work.outlook(lens, run, "Z")
    return {name: found[name] for name in ("collaborators", "late_tasks", "due_soon", "due_date")}


def _prerun(lens: Lens, run: Run) -> Any:
    known = {field.id: field for field in _fields(lens, run)}
    return php_map({key: _value(lens, known.get(key), value) for key, value in run.prerun.items()})


def _fields(lens: Lens, run: Run) -> list[Field]:
    checklist = lens.tenant.checklists.get(run.checklist_id)
    return checklist.prerun if checklist else []


def _kickoff(lens: Lens, run: Run) -> Iterator[_Answer]:
    return ((field, run.prerun[field.id]) for field in _fields(lens, run) if run.prerun.get(field.id) is not None)


def _answers(row: Task) -> Iterator[_Answer]:
    return ((f, row.taskdata[f.id]) for f in row.captures if row.taskdata.get(f.id) is not None)


def _flat(lens: Lens, answers: Iterable[_Answer]) -> Any:
    return php_map({field.alias: _value(lens, field, value) for field, value in answers})


def _captures(lens: Lens, answers: Iterable[_Answer]) -> Any:
    return php_map(
        {f.id: {"alias": f.alias, "label": f.label, "value": _value(lens, f, value)} for f, value in answers}
    )


def _value(lens: Lens, field: Field | None, value: Any) -> Any:
    """Spell a date field as the organization wants it; every other value goes out as it was stored."""
    moment = dates.read(value) if field is not None and field.field_type == "date" else None
    if moment is None:
        return value
    if lens.settings.webhook_date_field_format == ISO_FIELDS:
        return dates.spell(moment, "Z")
    return datetime.fromtimestamp(moment, _zone(lens.tenant.timezone)).strftime("%d/%m/%Y %I:%M %p %Z")


def _zone(name: str) -> Any:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _task_ids(tasks: Iterable[Task]) -> Any:
    return php_map({t.alias or t.id: t.id for t in tasks})


def _guest_links(lens: Lens, tasks: Iterable[Task]) -> Any:
    emails = dict.fromkeys(email for t in tasks for email in t.guests)
    codes = {email: lens.tenant.guests[email].code for email in emails if email in lens.tenant.guests}
    address = f"{APP}/guest-all-task/{lens.tenant.id}"
    return php_map({email: {"link_for_guest": f"{address}/{code}"} for email, code in codes.items()})


def _asset(lens: Lens, row: Asset) -> JsonObject:
    link = f"https://api.tallyfy.com/organizations/{lens.tenant.id}/file/{row.id}/dl"
    return {"id": row.id, "filename": row.filename, "version": str(row.version), "public_link": link}


def _name(lens: Lens, user_id: int) -> str:
    member = lens.tenant.members.get(user_id)
    return member.user.full_name if member else f"User {user_id} (Deleted)"


def _person(lens: Lens, user_id: int) -> JsonObject:
    member = lens.tenant.members.get(user_id)
    email = {"email": member.user.email} if member else {}
    return {"id": user_id, **email, "full_name": _name(lens, user_id)}
