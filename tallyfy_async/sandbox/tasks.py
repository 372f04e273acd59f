"""The state machine of tasks (processes.md sections 3-5)."""

from . import automations, checks, dates, owners, runs, values
from .problems import Invalid, forbidden, invalid, required, resource_not_found
from .records import JsonObject, Member, Task, is_list, is_object, whole
from .world import Tenant, World

MAX_TITLE = 600
VALUE = "value"
"""Kind of the relation between a task and a field with an answer: its number is the id of the stored row."""
TASK_TYPES = ("task", "approval", "expiring", "email", "expiring_email")


def update(world: World, tenant: Tenant, task: Task, body: JsonObject) -> None:
    """Change a task. Keys that the API does not know are dropped; a completed task refuses every change."""
    _open(tenant, task)
    changes = _plain(body) | moments(body)
    own = owners.read(tenant, body["owners"]) if "owners" in body else None
    if own is not None:
        check_number(own, changes.get("max_assignable", task.max_assignable))
    data = _taskdata(world, tenant, task, body)
    for name, value in changes.items():
        setattr(task, name, value)
    if own is not None:
        before = automations.people(task)
        task.users, task.guests, task.groups = own.users, own.guests, own.groups
        if automations.people(task) - before:
            tenant.happened("task.assigned", task)
    task.taskdata = data
    if task.status == "not-started":
        task.status = "in-progress"
    task.updated_at = world.now()
    _obey_rules(world, tenant, task)
    tenant.changed()


def check_number(own: owners.Owners, most: int | None) -> None:
    """Refuse more members and guests than a task takes; 0 takes any number."""
    if most and len(own.users) + len(own.guests) > most:
        raise invalid("owners", f"No more than {most} people can be assigned to this task.")


def _obey_rules(world: World, tenant: Tenant, task: Task) -> list[Task]:
    """Let the rules of the run act on what happened to a task; return the other tasks that they changed."""
    run = tenant.runs.get(task.run_id or "")
    if run is None:
        return []
    changed = automations.apply(world, tenant, run)
    runs.settle(world, tenant, run)
    return [other for other in changed if other is not task]


def update_oneoff(world: World, tenant: Tenant, task: Task, body: JsonObject) -> None:
    """Change a one-off task: title, deadline and owners are needed each time."""
    absent = [name for name in ("title", "deadline", "owners") if body.get(name) is None]
    if absent:
        raise required(*absent)
    update(world, tenant, task, body)


def _changeable(tenant: Tenant, task: Task) -> None:
    run = tenant.runs.get(task.run_id) if task.run_id else None
    if run is not None and run.open_issue:
        raise invalid("run", "This process has an open issue. Resolve it before changing its tasks.")


def _open(tenant: Tenant, task: Task) -> None:
    _changeable(tenant, task)
    if task.status == "completed":
        raise invalid("task", "A completed task cannot be updated. Reopen it first.")


def _plain(body: JsonObject) -> JsonObject:
    """Check the plain keys of an update."""
    changes: JsonObject = {"title": _title(body["title"])} if "title" in body else {}
    if "task_type" in body:
        if body["task_type"] not in TASK_TYPES:
            raise invalid("task_type", "The selected task type is invalid.")
        changes["task_type"] = body["task_type"]
    for name, kind in (
        ("position", int),
        ("max_assignable", int),
        ("prevent_guest_comment", bool),
        ("top_secret", bool),
    ):
        if name in body:
            if not isinstance(body[name], kind):
                raise invalid(name, f"The {name.replace('_', ' ')} is of the wrong type.")
            changes[name] = body[name]
    if "summary" in body:
        changes["summary"] = None if body["summary"] is None else str(body["summary"])
    return changes | checks.read(body, {"webhook": checks.url})


def _title(title: object) -> str:
    if not isinstance(title, str) or not title:
        raise required("title")
    if len(title) > MAX_TITLE:
        raise invalid("title", f"The title may not be greater than {MAX_TITLE} characters.")
    return title


def moments(body: JsonObject) -> JsonObject:
    """Read deadline and started_at; a deadline moves on to the next working day."""
    changes: JsonObject = {}
    for name in ("deadline", "started_at"):
        if body.get(name) is None:
            continue
        moment = dates.read(body[name])
        if moment is None:
            raise invalid(name, f"The {name.replace('_', ' ')} is not a valid date.")
        changes[name] = dates.working_day(moment) if name == "deadline" else moment
    return changes


def _taskdata(world: World, tenant: Tenant, task: Task, body: JsonObject) -> JsonObject:
    """Merge the sent answers into the stored ones."""
    sent = body.get("taskdata")
    if is_list(sent) and sent:
        raise invalid("taskdata", "The taskdata must be an object keyed by field id.")
    if not is_object(sent):
        return task.taskdata
    kept, cleared, errors = values.check(world, tenant, task.captures, sent)
    if errors:
        raise Invalid({"taskdata": [errors]})
    for field_id in kept:
        tenant.pivot(VALUE, task.id, field_id)
    return {key: value for key, value in (task.taskdata | kept).items() if key not in cleared}


def complete(world: World, tenant: Tenant, me: Member, task: Task, body: JsonObject, *, twice: str) -> list[Task]:
    """Complete a task, and the run with its last visible task. Return the other tasks that rules changed.

    `twice` is the setting for a task that is completed already: `ok` changes nothing, `error` is a 422.
    """
    _changeable(tenant, task)
    if task.status == "completed":
        if twice == "error":
            raise invalid("task_id", "This task has already been completed.")
        tenant.happened("task.completed", task)  # the server dispatches it again, although nothing changes
        return []
    _completable(me, task)
    completer = (
        owners.member(tenant, body["override_user"], "override_user") if body.get("override_user") else me.user.id
    )
    verdict = _verdict(task, body)
    absent = values.missing(task.captures, task.taskdata) | values.unchecked(task.captures, task.taskdata)
    if absent:
        raise Invalid(absent)
    task.updated_at = world.now()
    if _others_left(task, completer):
        task.status = "in-progress"
    else:
        task.status, task.is_approved = "completed", verdict
        task.completed_at, task.completer_id = task.updated_at, completer
        task.reopened = False
        world.completed += 1
        tenant.happened("task.completed", task)
    changed = _obey_rules(world, tenant, task)
    tenant.changed()
    return changed


def _completable(me: Member, task: Task) -> None:
    if task.status == "auto-skipped":
        raise invalid("task_id", "A hidden task cannot be completed.")
    if task.problem:
        raise invalid("task_id", "This task has an open issue. Resolve it before completing the task.")
    if task.can_complete_only_assignees and not me.is_admin and me.user.id not in task.users:
        raise forbidden("Only assignees can complete this task.")


def _verdict(task: Task, body: JsonObject) -> bool | None:
    """Read is_approved: approvals demand it, expiring types record false as expired, others ignore it."""
    answer = body.get("is_approved")
    if task.task_type == "approval":
        if not isinstance(answer, bool):
            raise invalid("is_approved", "The is approved field is required")
        return answer
    if task.task_type in {"expiring", "expiring_email"}:
        return answer is not False
    return None


def _others_left(task: Task, completer: int) -> bool:
    """Tell whether an everyone-must-complete task waits for further assignees."""
    if not task.everyone_must_complete or completer not in task.users:
        return False
    if completer not in task.completed_by:
        task.completed_by.append(completer)
    return not set(task.users) <= set(task.completed_by)


def reopen(world: World, tenant: Tenant, task: Task) -> list[Task]:
    """Reopen a completed task; a complete run becomes active again. Return the other tasks that rules changed."""
    _changeable(tenant, task)
    if task.status != "completed":
        raise invalid("task_id", "Only a completed task can be reopened.")
    automations.reopen(task)
    task.updated_at = world.now()
    changed = _obey_rules(world, tenant, task)
    tenant.changed()
    return changed


def archive(world: World, tenant: Tenant, task: Task) -> None:
    """Archive a one-off task."""
    task.archived_at = task.updated_at = world.now()
    _settle(world, tenant, task)


def restore(world: World, tenant: Tenant, task: Task) -> None:
    """Bring an archived one-off task back. A live one is a 404."""
    if task.archived_at is None:
        raise resource_not_found()
    task.archived_at, task.updated_at = None, world.now()
    _settle(world, tenant, task)


def delete(world: World, tenant: Tenant, task: Task) -> list[str]:
    """Delete a one-off task for good, archived or not. Return the ids of the files whose bytes may go."""
    del tenant.tasks[task.id]
    run = tenant.runs.get(task.run_id or "")
    if run is not None:
        run.task_ids.remove(task.id)
    _settle(world, tenant, task)
    return runs.forget(tenant, {task.id})


def _settle(world: World, tenant: Tenant, task: Task) -> None:
    run = tenant.runs.get(task.run_id or "")
    if run is not None:
        runs.settle(world, tenant, run)
    tenant.changed()


def stored(tenant: Tenant, row_id: object) -> tuple[Task, str] | None:
    """Find the task and the field whose answer is stored under an id; no answer of the API tells such an id."""
    number = whole(row_id)
    found = tenant.related(VALUE, number) if number is not None else None
    task = tenant.tasks.get(found[0]) if found else None
    if task is None or found is None or task.archived_at is not None or found[1] not in task.taskdata:
        return None
    return task, found[1]


def set_value(world: World, tenant: Tenant, task: Task, field_id: str, value: object) -> None:
    """Answer one field of a task."""
    update(world, tenant, task, {"taskdata": {field_id: value}})


def unassign(world: World, tenant: Tenant, task: Task, *, user_id: int | None = None, guest: str | None = None) -> None:
    """Take a member or a guest off a task; a completed one refuses."""
    _open(tenant, task)
    task.users = [user for user in task.users if user != user_id]
    task.guests = [email for email in task.guests if email != guest]
    task.updated_at = world.now()
    _obey_rules(world, tenant, task)
    tenant.changed()
