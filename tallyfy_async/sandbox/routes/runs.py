"""Runs: list and read, launch, update, archive, activate."""

from collections.abc import Callable
from typing import Any

from tallyfy_async.sandbox import blobs
from tallyfy_async.sandbox import runs as machine
from tallyfy_async.sandbox.activity import activity
from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import ordered, paged, truthy, words
from tallyfy_async.sandbox.problems import invalid
from tallyfy_async.sandbox.records import Run, Task
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import work as views

routes = Routes()
Test = Callable[[Run], bool]
_SORTS: dict[str, Callable[[Run], Any]] = {
    "created_at": lambda r: r.created_at,
    "started_at": lambda r: r.created_at,
    "updated_at": lambda r: r.updated_at,
    "last_updated": lambda r: r.updated_at,
    "completed_at": lambda r: r.completed_at,
    "name": lambda r: r.name.casefold(),
}
_STATUS = ("active", "complete", "problem", "issue", "improvement", "archived", "delayed", "starred")


@routes.add("GET", "/organizations/{org}/runs", "list_runs", scope="process")
def list_runs(call: Call) -> Reply:
    """List runs with the contract's filters; archived ones only on demand."""
    rows = [row for row in call.tenant.runs.values() if _live(call, row)]
    for test in _tests(call):
        rows = [row for row in rows if test(row)]
    rows = ordered(rows, call.query.get("sort") or call.query.get("sort_by"), _SORTS)
    lens, includes = call.lens, _includes(call)
    if includes:
        return paged(call, rows, lambda row: encode(views.run(lens, row, includes)), unpaged=True)
    stamp = lens.stamp
    return paged(call, rows, lambda row: views.run_bytes(lens, row, stamp), unpaged=True)


def _live(call: Call, row: Run) -> bool:
    archived = call.query.get("archived", "")
    if archived == "only":
        return row.archived_at is not None
    return row.archived_at is None or truthy(archived)


def _tests(call: Call) -> list[Test]:
    """Build the filters that the query asks for."""
    query = call.query
    tests = _membership_tests(call)
    if needle := query.get("q", "").casefold():
        tests.append(lambda r: needle in r.name.casefold())
    if status := query.get("status"):
        tests.append(_status_test(call, status))
    if checklist := query.get("checklist_id") or query.get("blueprint_id"):
        tests.append(lambda r: r.checklist_id == checklist)
    if "starred" in query:
        starred = truthy(query["starred"])
        tests.append(lambda r: r.starred == starred)
    if kind := query.get("type"):
        tests.append(lambda r: r.type == kind)
    if (state := query.get("task_status", "all")) != "all":
        tests.append(lambda r: any(t.status == state for t in call.tenant.tasks_of(r)))
    return tests


def _membership_tests(call: Call) -> list[Test]:
    query, tasks_of = call.query, call.tenant.tasks_of
    tests: list[Test] = []
    if owners := words(query.get("owners")):
        tests.append(lambda r: bool(owners & _involved(r, tasks_of(r))))
    if groups := words(query.get("groups")):
        tests.append(lambda r: bool(groups & {*r.groups, *(group for t in tasks_of(r) for group in t.groups)}))
    if folders := words(query.get("folder")):
        tests.append(lambda r: bool(folders & set(r.folders)))
    if tags := words(query.get("tag")) | words(query.get("tag_ids")):
        tests.append(lambda r: bool(tags & set(r.tags)))
    if truthy(query.get("untagged")):
        tests.append(lambda r: not r.tags)
    return tests


def _involved(run: Run, tasks: list[Task]) -> set[str]:
    return {str(run.owner_id)} | {str(user) for task in tasks for user in task.users}


def _status_test(call: Call, status: str) -> Test:
    """Read a filter word. `archived` finds nothing: soft-deleted runs are hidden, archived=only is what works."""
    if status not in _STATUS:
        raise invalid("status", "The selected status is invalid.")
    if status == "starred":
        return lambda r: r.starred
    if status == "delayed":
        tasks_of = call.tenant.tasks_of
        return lambda r: any(t.is_open and t.deadline is not None and t.deadline < call.now for t in tasks_of(r))
    words_ = {"problem", "issue"} if status == "problem" else {status}
    return lambda r: r.status in words_


@routes.add("GET", "/organizations/{org}/runs/{run_id}", "get_run", scope="process")
def get_run(call: Call) -> Reply:
    """Read one run, archived or not."""
    return item(views.run(call.lens, call.tenant.run(call.params["run_id"]), _includes(call)))


def _includes(call: Call) -> frozenset[str]:
    """Read `with`; form_fields_values=true asks for the fields of the tasks, too."""
    wanted = truthy(call.query.get("form_fields_values"))
    return call.includes | ({"form_fields"} if wanted else frozenset[str]())


def _note(call: Call, verb: str, run: Run, text: str) -> None:
    activity(call.tenant, verb, ("run", run.id), text, now=call.now, actor=call.user.id)


def _live_run(call: Call) -> Run:
    return call.tenant.run(call.params["run_id"], archived=False)


@routes.add("POST", "/organizations/{org}/runs", "launch_run", scope="process")
def launch_run(call: Call) -> Reply:
    """Launch a run from a template."""
    run = machine.launch(call.world, call.tenant, call.member, call.body())
    _note(call, "created", run, f"Launched process: {run.name}")
    return item(views.run(call.lens, run), 201)


@routes.add("PUT", "/organizations/{org}/runs/{run_id}", "update_run", scope="process")
def update_run(call: Call) -> Reply:
    """Change a run; absent users and groups are emptied."""
    run = _live_run(call)
    machine.update(call.world, call.tenant, run, call.body())
    _note(call, "updated", run, f"Process updated: {run.name}")
    return item(views.run(call.lens, run, spelling="Z", plain=True))


@routes.add("DELETE", "/organizations/{org}/runs/{run_id}", "archive_run", scope="process")
def archive_run(call: Call) -> Reply:
    """Archive a run with its tasks."""
    run = _live_run(call)
    machine.archive(call.world, call.tenant, call.member, run)
    _note(call, "archived", run, f"Process archived: {run.name}")
    return item(views.run(call.lens, run, plain=True))


@routes.add("PUT", "/organizations/{org}/runs/{run_id}/activate", "activate_run", scope="process")
def activate_run(call: Call) -> Reply:
    """Restore an archived run."""
    run = call.tenant.run(call.params["run_id"])
    machine.activate(call.world, call.tenant, run)
    _note(call, "unarchived", run, f"Process restored: {run.name}")
    return item(views.run(call.lens, run))


@routes.add("DELETE", "/organizations/{org}/runs/{run_id}/delete", "delete_run", scope="process")
def delete_run(call: Call) -> Reply:
    """Delete an archived run for good; the answer is empty."""
    run = call.tenant.run(call.params["run_id"])
    files = machine.delete(call.tenant, call.member, run, unarchived=call.settings.delete_unarchived)
    blobs.drop(call.settings, call.tenant, files)
    _note(call, "deleted", run, f"Process deleted: {run.name}")
    return Reply(content_type=None)


@routes.add("GET", "/organizations/{org}/runs/{run_id}/form-fields", "list_run_form_fields", scope="process")
def list_run_form_fields(call: Call) -> Reply:
    """List the fields of all tasks, each with the task to write to, and those of the kick-off form."""
    return item(views.form_fields(call.lens, call.tenant.run(call.params["run_id"])))


@routes.add("POST", "/organizations/{org}/runs/{run_id}/complete-prerun", "complete_prerun", scope="process")
def complete_prerun(call: Call) -> Reply:
    """Submit the kick-off form."""
    run = _live_run(call)
    machine.complete_prerun(call.world, call.tenant, call.member, run)
    _note(call, "completed", run, f"Kick-off form completed: {run.name}")
    return item(views.run(call.lens, run))


@routes.add("DELETE", "/organizations/{org}/runs/{run_id}/complete-prerun", "reopen_prerun", scope="process")
def reopen_prerun(call: Call) -> Reply:
    """Open the kick-off form again."""
    run = _live_run(call)
    machine.reopen_prerun(call.world, call.tenant, run)
    _note(call, "re-opened", run, f"Kick-off form reopened: {run.name}")
    return item(views.run(call.lens, run))
