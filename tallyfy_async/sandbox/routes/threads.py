"""Comments and issues on tasks, runs and templates. They are read with `with=threads` alone."""

from tallyfy_async.sandbox import threads as machine
from tallyfy_async.sandbox.activity import activity
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.records import Checklist, Run, Task, Thread
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views.threads import thread as view

routes = Routes()
_TASK = "/organizations/{org}/tasks/{task_id}"
_RUN = "/organizations/{org}/runs/{run_id}"
_CHECKLIST = "/organizations/{org}/checklists/{checklist_id}"


def _task(call: Call) -> Task:
    return call.tenant.task(call.params["task_id"], archived=False)


def _run(call: Call) -> Run:
    return call.tenant.run(call.params["run_id"], archived=False)


def _checklist(call: Call) -> Checklist:
    return call.tenant.checklist(call.params["checklist_id"])


def _say(call: Call, subject: machine.Subject, *, label: str | None = None, bot: bool = False) -> Reply:
    row = machine.comment(
        call.world, call.tenant, call.member, subject, call.body(), settings=call.settings, label=label, bot=bot
    )
    return _said(call, subject, row)


def _resolve(call: Call, subject: machine.Subject) -> Reply:
    row = machine.resolve(call.world, call.tenant, call.member, subject, call.body(), settings=call.settings)
    return _said(call, subject, row)


def _said(call: Call, subject: machine.Subject, row: Thread) -> Reply:
    """Answer with the thread; those of templates come with a 201."""
    kind = "task" if isinstance(subject, Task) else "run" if isinstance(subject, Run) else "checklist"
    verb = {"problem": "issue-reported", "resolve": "issue-resolved"}.get(row.label, "commented")
    actor = None if row.is_bot else call.user.id
    activity(call.tenant, verb, ("thread", row.id), row.content, now=call.now, actor=actor, parent=(kind, subject.id))
    return item(view(call.lens, row), 201 if kind == "checklist" else 200)


@routes.add("POST", f"{_TASK}/comment", "create_task_comment", scope="process")
def create_task_comment(call: Call) -> Reply:
    """Comment on any task; hidden from guests unless `state` says otherwise."""
    return _say(call, _task(call))


@routes.add("POST", f"{_TASK}/bot-comment", "create_task_bot_comment", scope="process")
def create_task_bot_comment(call: Call) -> Reply:
    """Comment without telling anybody."""
    return _say(call, _task(call), label="comment", bot=True)


@routes.add("PUT", f"{_TASK}/comment/{{comment_id}}", "update_task_comment", scope="process")
def update_task_comment(call: Call) -> Reply:
    """Edit a comment."""
    row = machine.edit(call.world, call.tenant, _task(call), call.params["comment_id"], call.body())
    return item(view(call.lens, row))


@routes.add("DELETE", f"{_TASK}/comment/{{comment_id}}", "delete_task_comment", scope="process")
def delete_task_comment(call: Call) -> Reply:
    """Delete a comment; the answer is empty."""
    machine.delete(call.world, call.tenant, _task(call), call.params["comment_id"])
    return Reply(content_type=None)


@routes.add("POST", f"{_TASK}/problem", "report_task_problem", scope="process")
def report_task_problem(call: Call) -> Reply:
    """Report an issue on a task; a completed one is reopened."""
    return _say(call, _task(call), label="problem")


@routes.add("POST", f"{_TASK}/resolved-threads", "resolve_task_threads", scope="process")
def resolve_task_threads(call: Call) -> Reply:
    """Resolve an issue of a task."""
    return _resolve(call, _task(call))


@routes.add("POST", f"{_RUN}/comment", "create_run_comment", scope="process")
def create_run_comment(call: Call) -> Reply:
    """Comment on a run."""
    return _say(call, _run(call))


@routes.add("POST", f"{_RUN}/problem", "report_run_problem", scope="process")
def report_run_problem(call: Call) -> Reply:
    """Open an issue of a whole run; its tasks refuse every change until it is resolved."""
    return _say(call, _run(call), label="problem")


@routes.add("POST", f"{_RUN}/resolved-threads", "resolve_run_threads", scope="process")
def resolve_run_threads(call: Call) -> Reply:
    """Resolve an issue of a run."""
    return _resolve(call, _run(call))


@routes.add("POST", f"{_CHECKLIST}/comment", "create_checklist_comment", scope="unknown")
def create_checklist_comment(call: Call) -> Reply:
    """Comment on a template."""
    return _say(call, _checklist(call))


@routes.add("POST", f"{_CHECKLIST}/problem", "report_checklist_problem", scope="unknown")
def report_checklist_problem(call: Call) -> Reply:
    """Report an issue on a template."""
    return _say(call, _checklist(call), label="problem")


@routes.add(
    "POST",
    f"{_CHECKLIST}/resolved-threads",
    "resolve_checklist_threads",
    scope="unknown",
)
def resolve_checklist_threads(call: Call) -> Reply:
    """Resolve an issue of a template."""
    return _resolve(call, _checklist(call))
