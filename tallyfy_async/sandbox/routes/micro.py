"""Shortcuts for connectors, below /processes/micro-functions."""

from tallyfy_async.sandbox import checks, dates, new_tasks, tasks
from tallyfy_async.sandbox.desk import Desk, allow
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.problems import invalid, resource_not_found
from tallyfy_async.sandbox.records import JsonObject, Task
from tallyfy_async.sandbox.router import Call, Routes

from .tasks import note

routes = Routes()
_BASE = "/processes/micro-functions/organizations/{org}"
_STEP = f"{_BASE}/blueprints/{{blueprint}}/steps/{{step}}"
_TYPES = ("task", "approval", "email", "expiring")


@routes.add("PUT", f"{_STEP}/edit-step-type", "micro_edit_step_type", scope="template")
def micro_edit_step_type(call: Call) -> Reply:
    """Say whether `all` or `any` assignee has to complete a step."""
    allow(call.member)
    checklist = call.tenant.checklist(call.params["blueprint"])
    desk = Desk(world=call.world, tenant=call.tenant, me=call.member, checklist=checklist)
    step = desk.step(call.params["step"])
    word = call.body().get("stepType")
    if word not in {"all", "any"}:
        raise invalid("stepType", "The selected stepType is invalid.")
    step.everyone_must_complete, step.updated_at = word == "all", call.now
    desk.touch("updated", f"{step.title} was edited", step)
    return item({"id": step.id, "title": step.title, "everyone_must_complete": step.everyone_must_complete})


@routes.add("POST", f"{_BASE}/tasks", "micro_create_task", scope="process")
def micro_create_task(call: Call) -> Reply:
    """Create a one-off task; `name` and `description` are what `title` and `summary` are elsewhere."""
    body = call.body()
    checks.demand(body, "name", "task_type", "deadline")
    if body["task_type"] not in _TYPES:
        raise invalid("task_type", "The selected task type is invalid.")
    people: JsonObject = body.get("owners") or {"users": [call.user.id]}
    words = {"title": body["name"], "summary": body.get("description"), "owners": people}
    known = {"task_type": body["task_type"], "deadline": body["deadline"]}
    task = new_tasks.create(call.world, call.tenant, call.member, words | known)
    note(call, "created", task, f"Task created: {task.title}")
    return item(_brief(call, task))


def _brief(call: Call, task: Task) -> JsonObject:
    return {
        "id": task.id,
        "title": task.title,
        "alias": task.alias,
        "deadline": call.lens.date(task.deadline, "Z"),
        "description": task.summary,
        "owner_id": task.starter_id,
    }


def _task(call: Call) -> Task:
    return call.tenant.task(call.params["task"], archived=False)


@routes.add("PUT", f"{_BASE}/tasks/{{task}}/edit-deadline", "micro_edit_task_deadline", scope="process")
def micro_edit_task_deadline(call: Call) -> Reply:
    """Move a task's deadline; the key is `Deadline`, with a capital."""
    task, wanted = _task(call), call.body().get("Deadline")
    if wanted is None:
        raise invalid("Deadline", "The Deadline field is required.")
    if dates.read(wanted) is None:
        raise invalid("Deadline", "The Deadline is not a valid date.")
    tasks.update(call.world, call.tenant, task, {"deadline": wanted})
    note(call, "updated", task, f"Deadline changed: {task.title}")
    return item(_brief(call, task))


@routes.add("PUT", f"{_BASE}/tasks/{{task}}/remove-assignee/{{member}}", "micro_remove_assignee", scope="process")
def micro_remove_assignee(call: Call) -> Reply:
    """Take a member off a task."""
    task, member = _task(call), call.tenant.member(call.params["member"])
    if member.user.id not in task.users:
        raise resource_not_found()
    tasks.unassign(call.world, call.tenant, task, user_id=member.user.id)
    note(call, "owners-updated", task, f"Assignee removed: {task.title}")
    return item(_brief(call, task))


@routes.add("PUT", f"{_BASE}/tasks/{{task}}/remove-guest/{{guest}}", "micro_remove_guest", scope="process")
def micro_remove_guest(call: Call) -> Reply:
    """Take a guest off a task."""
    task, guest = _task(call), call.params["guest"].lower()
    if guest not in task.guests:
        raise resource_not_found()
    tasks.unassign(call.world, call.tenant, task, guest=guest)
    note(call, "owners-updated", task, f"Guest removed: {task.title}")
    return item(_brief(call, task))
