"""Tasks of runs, of the organization and of the caller."""

from collections.abc import Sequence
from functools import partial

from tallyfy_async.sandbox import tasks as machine
from tallyfy_async.sandbox.activity import activity
from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import paged
from tallyfy_async.sandbox.problems import required, resource_not_found
from tallyfy_async.sandbox.records import JsonObject, Task
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.settings import DateSpelling
from tallyfy_async.sandbox.task_filters import sort_tasks, task_tests
from tallyfy_async.sandbox.views import work as views
from tallyfy_async.sandbox.views.lens import SOON, php_map

routes = Routes()


def _listing(call: Call, rows: Sequence[Task], *, summary: bool = False) -> Reply:
    lens, includes = call.lens, call.includes
    extra = partial(_due, call) if summary else None
    if includes:
        return paged(call, rows, lambda row: encode(views.task(lens, row, includes)), unpaged=True, extra=extra)
    stamp = lens.stamp
    return paged(call, rows, lambda row: views.task_bytes(lens, row, stamp), unpaged=True, extra=extra)


def _due(call: Call, shown: Sequence[Task]) -> JsonObject:
    """Count what is late and nearly late on this page, as the task lists of a user tell in `meta`."""
    left = [row.deadline - call.now for row in shown if row.is_open and row.deadline is not None]
    return {
        "overdue_tasks": sum(1 for seconds in left if seconds < 0),
        "tasks_due_soon": sum(1 for seconds in left if 0 <= seconds < SOON),
    }


def _filtered(call: Call, rows: Sequence[Task], *, default: str | None = None) -> list[Task]:
    for test in task_tests(call, default):
        rows = [row for row in rows if test(row)]
    return sort_tasks(call, rows)


@routes.add("GET", "/organizations/{org}/runs/{run_id}/tasks", "list_run_tasks", scope="process")
def list_run_tasks(call: Call) -> Reply:
    """List the tasks of a run by position, hidden ones included."""
    tenant = call.tenant
    return _listing(call, _filtered(call, tenant.tasks_of(tenant.run(call.params["run_id"]))))


@routes.add("GET", "/organizations/{org}/runs/{run_id}/tasks/{task_id}", "get_run_task", scope="process")
def get_run_task(call: Call) -> Reply:
    """Read a task of a run; a wrong run id is a 404."""
    run = call.tenant.run(call.params["run_id"])
    return item(views.task(call.lens, call.tenant.task(call.params["task_id"], run=run), call.includes, single=True))


@routes.add("GET", "/organizations/{org}/tasks", "list_tasks", scope="process")
def list_tasks(call: Call) -> Reply:
    """List all tasks of the organization: those of runs and one-off ones."""
    archived = call.query.get("archived", "")
    rows = [
        row
        for row in call.tenant.tasks.values()
        if (row.archived_at is None and archived != "only") or (row.archived_at is not None and archived)
    ]
    return _listing(call, _filtered(call, rows))


@routes.add("GET", "/organizations/{org}/tasks/{task_id}", "get_task", scope="process")
def get_task(call: Call) -> Reply:
    """Read any task."""
    return item(views.task(call.lens, call.tenant.task(call.params["task_id"]), call.includes, single=True))


@routes.add("GET", "/organizations/{org}/me/tasks", "list_my_tasks", scope="account", scoped=True)
def list_my_tasks(call: Call) -> Reply:
    """List the caller's tasks; without a status only active ones (measured 2026-08-12)."""
    mine = [row for row in call.tenant.tasks.values() if row.archived_at is None and call.user.id in row.users]
    return _listing(call, _filtered(call, mine, default="active"), summary=True)


@routes.add("GET", "/organizations/{org}/users/{user_id}/tasks", "list_user_tasks", scope="account", scoped=True)
def list_user_tasks(call: Call) -> Reply:
    """List a member's tasks; without a status only active ones."""
    user_id = call.tenant.member(call.params["user_id"]).user.id
    rows = [row for row in call.tenant.tasks.values() if row.archived_at is None and user_id in row.users]
    return _listing(call, _filtered(call, rows, default="active"), summary=True)


def note(call: Call, verb: str, task: Task, text: str) -> None:
    """Write what happened to a task into the feed."""
    parent = ("run", task.run_id) if task.run_id else None
    activity(call.tenant, verb, ("task", task.id), text, now=call.now, actor=call.user.id, parent=parent)


def _note_completion(call: Call, task: Task) -> None:
    """Tell of a completion, the second one of a task too; of a task that waits for others only that it moved."""
    done = task.status == "completed"
    text = f"Completed task: {task.title}" if done else f"{call.user.full_name} is done with task: {task.title}"
    note(call, "completed" if done else "updated", task, text)


def _run_task(call: Call) -> Task:
    run = call.tenant.run(call.params["run_id"], archived=False)
    return call.tenant.task(call.params["task_id"], run=run, archived=False)


def _oneoff(call: Call, task_id: object) -> Task:
    """Find a task outside any run; the plain routes do not serve the others."""
    task = call.tenant.task(task_id, archived=False)
    if task.run_id is not None:
        raise resource_not_found()
    return task


def _changed(call: Call, task: Task, *, spelling: DateSpelling = "Z", by_rules: Sequence[Task] | None = None) -> Reply:
    data = views.task(call.lens, task, single=True, spelling=spelling)
    if by_rules is not None:
        data["tasks_changed_by_rules"] = php_map({other.id: views.task(call.lens, other) for other in by_rules})
    return item(data)


@routes.add("PUT", "/organizations/{org}/runs/{run_id}/tasks/{task_id}", "update_run_task", scope="process")
def update_run_task(call: Call) -> Reply:
    """Change a task of a run: answers, assignees, dates, text."""
    task = _run_task(call)
    machine.update(call.world, call.tenant, task, call.body())
    note(call, "updated", task, f"Task updated: {task.title}")
    return _changed(call, task)


@routes.add("POST", "/organizations/{org}/runs/{run_id}/completed-tasks", "complete_run_task", scope="process")
def complete_run_task(call: Call) -> Reply:
    """Complete, approve or reject a task of a run."""
    body = call.body()
    if not body.get("task_id"):
        raise required("task_id")
    run = call.tenant.run(call.params["run_id"], archived=False)
    task = call.tenant.task(body["task_id"], run=run, archived=False)
    changed = machine.complete(call.world, call.tenant, call.member, task, body, twice=call.settings.complete_twice)
    _note_completion(call, task)
    return _changed(call, task, spelling="millis", by_rules=changed)


@routes.add(
    "DELETE", "/organizations/{org}/runs/{run_id}/completed-tasks/{task_id}", "reopen_run_task", scope="process"
)
def reopen_run_task(call: Call) -> Reply:
    """Reopen a completed task of a run."""
    task = _run_task(call)
    changed = machine.reopen(call.world, call.tenant, task)
    note(call, "re-opened", task, f"Task reopened: {task.title}")
    return _changed(call, task, by_rules=changed)


@routes.add("PUT", "/organizations/{org}/tasks/{task_id}", "update_task", scope="process")
def update_task(call: Call) -> Reply:
    """Change a one-off task."""
    task = _oneoff(call, call.params["task_id"])
    machine.update_oneoff(call.world, call.tenant, task, call.body())
    note(call, "updated", task, f"Task updated: {task.title}")
    return _changed(call, task)


@routes.add("POST", "/organizations/{org}/completed-tasks", "complete_task", scope="process")
def complete_task(call: Call) -> Reply:
    """Complete a one-off task."""
    body = call.body()
    if not body.get("task_id"):
        raise required("task_id")
    task = _oneoff(call, body["task_id"])
    machine.complete(call.world, call.tenant, call.member, task, body, twice=call.settings.complete_twice)
    _note_completion(call, task)
    return _changed(call, task, spelling="millis")


@routes.add("DELETE", "/organizations/{org}/completed-tasks/{task_id}", "reopen_task", scope="process")
def reopen_task(call: Call) -> Reply:
    """Reopen a completed one-off task."""
    task = _oneoff(call, call.params["task_id"])
    machine.reopen(call.world, call.tenant, task)
    note(call, "re-opened", task, f"Task reopened: {task.title}")
    return _changed(call, task)
