"""One-off tasks from birth to deletion, copies of tasks, and single answers."""

from tallyfy_async.sandbox import blobs, checks, new_tasks, tasks
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.problems import Problem, forbidden, invalid, resource_not_found
from tallyfy_async.sandbox.records import JsonObject, Task
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import work as views

from .tasks import note

routes = Routes()
_LOST_ROW = 'Attempt to read property "capture" on null'


@routes.add("POST", "/organizations/{org}/tasks", "create_task", scope="process")
def create_task(call: Call) -> Reply:
    """Create a one-off task. A fan-out answers with one of its tasks and the run that holds them all."""
    body = call.body()
    task = new_tasks.create(call.world, call.tenant, call.member, body)
    note(call, "created", task, f"Task created: {task.title}")
    data = views.task(call.lens, task, single=True, spelling="millis")
    if body.get("separate_task_for_each_assignee") and task.run_id:
        data["run"] = _brief(call, task.run_id)
    return item(data, 201)


def _brief(call: Call, run_id: str) -> JsonObject:
    run = call.tenant.runs[run_id]
    return {"id": run.id, "name": run.name, "started_at": call.lens.date(run.created_at, "millis")}


def _oneoff(call: Call, *, archived: bool) -> Task:
    """Find a task that came from no step; the routes of its life serve no others."""
    task = call.tenant.task(call.params["task_id"], archived=archived)
    if not task.is_oneoff:
        raise resource_not_found()
    return task


@routes.add("DELETE", "/organizations/{org}/tasks/{task_id}", "archive_task", scope="process")
def archive_task(call: Call) -> Reply:
    """Archive a one-off task."""
    task = _oneoff(call, archived=False)
    tasks.archive(call.world, call.tenant, task)
    note(call, "archived", task, f"Task archived: {task.title}")
    return Reply(status=204, content_type=None)


@routes.add("PUT", "/organizations/{org}/tasks/{task_id}/restore", "restore_task", scope="process")
def restore_task(call: Call) -> Reply:
    """Bring an archived one-off task back."""
    task = _oneoff(call, archived=True)
    tasks.restore(call.world, call.tenant, task)
    note(call, "unarchived", task, f"Task restored: {task.title}")
    return item(views.task(call.lens, task, single=True))


@routes.add("DELETE", "/organizations/{org}/tasks/{task_id}/delete", "delete_task", scope="process")
def delete_task(call: Call) -> Reply:
    """Delete a one-off task for good."""
    task = _oneoff(call, archived=True)
    blobs.drop(call.settings, call.tenant, tasks.delete(call.world, call.tenant, task))
    note(call, "deleted", task, f"Task deleted: {task.title}")
    return Reply(status=204, content_type=None)


@routes.add("POST", "/organizations/{org}/tasks/{task_id}/clone", "clone_task", scope="process")
def clone_task(call: Call) -> Reply:
    """Duplicate a task."""
    task = call.tenant.task(call.params["task_id"], archived=False)
    copy = new_tasks.clone(call.world, call.tenant, call.member, task)
    note(call, "created", copy, f"Task cloned: {copy.title}")
    return item(views.task(call.lens, copy, single=True))


@routes.add("PUT", "/organizations/{org}/form-field/value", "update_form_field_value", scope="process")
def update_form_field_value(call: Call) -> Reply:
    """Overwrite an answer by the id of its row. Nobody is told such ids, and an unknown one breaks the server."""
    body = call.body()
    row = tasks.stored(call.tenant, body.get("id"))
    if row is None and call.settings.unknown_value_row == "500":
        raise Problem(500, {"message": _LOST_ROW})
    if row is None:
        raise invalid("id", "The selected id is invalid.")
    return _answer(call, *row, body)


@routes.add(
    "POST",
    "/organizations/{org}/guests/{guest_email}/form-field/value",
    "update_form_field_value_as_guest",
    scope="process",
)
def update_form_field_value_as_guest(call: Call) -> Reply:
    """Answer a field for a guest; besides the id of a row, this takes the id of a field that has no answer yet."""
    body, guest = call.body(), call.params["guest_email"].lower()
    checks.demand(body, "id")
    if guest not in call.tenant.guests:
        raise resource_not_found()
    row = tasks.stored(call.tenant, body["id"]) or _field_of(call, guest, body["id"])
    if row is None:
        raise invalid("id", "The selected id is invalid.")
    if guest not in row[0].guests:
        raise forbidden("You do not have permission to change this task.")
    return _answer(call, *row, body)


def _field_of(call: Call, guest: str, field_id: object) -> tuple[Task, str] | None:
    """Find the open task of a guest that asks for a field."""
    for task in call.tenant.tasks.values():
        if guest in task.guests and task.is_open and task.archived_at is None:
            found = next((field.id for field in task.captures if field.id == field_id), None)
            if found is not None:
                return task, found
    return None


def _answer(call: Call, task: Task, field_id: str, body: JsonObject) -> Reply:
    tasks.set_value(call.world, call.tenant, task, field_id, body.get("form_value"))
    return item({"task_id": task.id, "capture_id": field_id, "form_value": task.taskdata.get(field_id)})
