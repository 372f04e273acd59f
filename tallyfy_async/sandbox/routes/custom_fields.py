"""Custom fields: their definitions, and their values on every noun (templates.md section 12)."""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from tallyfy_async.sandbox import custom_fields as machine
from tallyfy_async.sandbox.activity import activity
from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import ordered, paged, truthy
from tallyfy_async.sandbox.problems import forbidden, resource_not_found
from tallyfy_async.sandbox.records import Checklist, CustomField, JsonObject, Step
from tallyfy_async.sandbox.router import Call, Handler, Routes
from tallyfy_async.sandbox.views import people as views
from tallyfy_async.sandbox.views.lens import php_map

from .guests import coded
from .members import administrator

Row = TypeVar("Row")
routes = Routes()
_SORTS: dict[str, Callable[[CustomField], Any]] = {
    name: attrgetter(name) for name in ("id", "key", "applies_to", "field_type", "key_type")
}


@routes.add("GET", "/organizations/{org}/custom-field-keys", "list_custom_field_keys", scope="organization")
def list_custom_field_keys(call: Call) -> Reply:
    """List definitions."""
    query, rows = call.query, list(call.tenant.custom_fields.values())
    for name in ("applies_to", "key_type", "field_type"):
        if query.get(name):
            rows = [row for row in rows if getattr(row, name) == query[name]]
    for name in ("is_required", "is_active"):
        if query.get(name):
            rows = [row for row in rows if getattr(row, name) == truthy(query[name])]
    rows = [row for row in rows if query.get("q", "").casefold() in row.key.casefold()]
    down = "-" if query.get("sort_direction") == "desc" else ""
    rows = ordered(rows, down + query.get("sort_by", "id"), _SORTS)
    return paged(call, rows, lambda row: encode(views.custom_field(row)))


@routes.add(
    "POST", "/organizations/{org}/custom-field-keys", "create_custom_field_key", scope="organization", scoped=False
)
def create_custom_field_key(call: Call) -> Reply:
    """Define a field: for administrators only."""
    administrator(call)
    return item(views.custom_field(machine.define(call.tenant, call.body())), 201)


def _user(call: Call, *, write: bool) -> str:
    """Find a member; the member and administrators write, every member reads."""
    row = call.tenant.member(call.params["user_id"])
    if write and row is not call.member:
        administrator(call)
    return str(row.user.id)


def _guest(call: Call, *, write: bool) -> str:
    guest = coded(call, call.params["guest_code"])
    if write:
        administrator(call)
    return guest.email


def _checklist(call: Call, *, write: bool) -> Checklist:
    """Find a template; Light members change none."""
    checklist = call.tenant.checklist(call.params["checklist_id"])
    if write and call.member.is_light:
        raise forbidden("You do not have permission to change this template.")
    return checklist


def _step(call: Call, *, write: bool) -> Step:
    rows = _checklist(call, write=write).steps
    return _one(row for row in rows if row.id == call.params["step_id"])


def _checklist_id(call: Call, *, write: bool) -> str:
    return _checklist(call, write=write).id


def _step_id(call: Call, *, write: bool) -> str:
    return _step(call, write=write).id


def _one(rows: Iterable[Row]) -> Row:
    found = next(iter(rows), None)
    if found is None:
        raise resource_not_found()
    return found


def _capture(call: Call, *, write: bool) -> str:
    rows = _step(call, write=write).captures
    return str(_one(row.id for row in rows if row.id == call.params["capture_id"]))


def _prerun(call: Call, *, write: bool) -> str:
    rows = _checklist(call, write=write).prerun
    return str(_one(row.id for row in rows if row.id == call.params["prerun_id"]))


def _run(call: Call, *, write: bool) -> str:  # noqa: ARG001 - any member may write
    return call.tenant.run(call.params["run_id"], archived=False).id


def _task(call: Call, *, write: bool) -> str:
    """Find a task of a run; administrators and assignees write, and the history tells."""
    run = call.tenant.run(call.params["run_id"], archived=False)
    task = call.tenant.task(call.params["task_id"], run=run, archived=False)
    if write and call.user.id not in task.users:
        administrator(call)
    if write:
        text, parent = f"Updated custom fields of task: {task.title}", ("run", run.id)
        actor = call.user.id
        activity(
            call.tenant,
            "updated",
            ("task", task.id),
            text,
            now=call.now,
            actor=actor,
            parent=parent,
            field="custom_fields",
        )
    return task.id


def _tag(call: Call, *, write: bool) -> str:  # noqa: ARG001 - any member may write
    return str(_one(row.id for row in call.tenant.tags.values() if row.id == call.params["tag_id"]))


def _folder(call: Call, *, write: bool) -> str:  # noqa: ARG001 - any member may write
    return str(_one(row.id for row in call.tenant.folders.values() if row.id == call.params["folder_id"]))


class _Find(Protocol):
    def __call__(self, call: Call, *, write: bool) -> str: ...


_CHECKLIST = "checklists/{checklist_id}"
_STEP = f"{_CHECKLIST}/steps/{{step_id}}"
_NOUNS: dict[str, tuple[str, str, _Find]] = {
    "user": ("users/{user_id}", "organization", _user),
    "guest": ("guests/{guest_code}", "organization", _guest),
    "checklist": (_CHECKLIST, "template", _checklist_id),
    "step": (_STEP, "template", _step_id),
    "capture": (f"{_STEP}/captures/{{capture_id}}", "template", _capture),
    "prerun": (f"{_CHECKLIST}/preruns/{{prerun_id}}", "template", _prerun),
    "run": ("runs/{run_id}", "process", _run),
    "task": ("runs/{run_id}/tasks/{task_id}", "process", _task),
    "tag": ("tags/{tag_id}", "organization", _tag),
    "folder": ("folders/{folder_id}", "unknown", _folder),
}
"""Noun -> path below the organization, scope, and the function that finds the record and checks who may write."""
_READ = ("user", "guest")
"""The nouns whose values are read with a call of their own; reading the others is a guess of the contract."""
_PATCHED = ("user", "guest", "run", "task", "tag", "folder")
_EMPTY_REPLY = ("run", "task")


def _answer(values: JsonObject) -> Reply:
    return item({"custom_fields": php_map(values)})


def _getter(noun: str, find: _Find) -> Handler:
    def get(call: Call) -> Reply:
        return _answer(machine.values_of(call.tenant, noun, find(call, write=False)))

    return get


def _replacer(noun: str, find: _Find) -> Handler:
    def replace(call: Call) -> Reply:
        record_id = find(call, write=True)
        return _answer(machine.replace(call.tenant, noun, record_id, call.body().get("custom_fields")))

    return replace


def _setter(noun: str, find: _Find) -> Handler:
    def put(call: Call) -> Reply:
        record_id = find(call, write=True)
        return _answer(machine.put(call.tenant, noun, record_id, call.params["key"], call.body()))

    return put


def _deleter(noun: str, find: _Find) -> Handler:
    """Answer 204, but 200 for runs and tasks: the sources print no body for either."""

    def delete(call: Call) -> Reply:
        machine.clear(call.tenant, noun, find(call, write=True), call.params["key"])
        return Reply(status=200 if noun in _EMPTY_REPLY else 204, content_type=None)

    return delete


def _register() -> None:
    """Add the routes of every noun."""
    for noun, (path, scope, find) in _NOUNS.items():
        base = f"/organizations/{{org}}/{path}/custom-fields"
        if noun in _READ:
            routes.add("GET", base, f"get_{noun}_custom_fields", scope=scope)(_getter(noun, find))
        routes.add("PUT", base, f"replace_{noun}_custom_fields", scope=scope, scoped=False)(_replacer(noun, find))
        if noun in _PATCHED:
            name = f"set_{noun}_custom_field"
            routes.add("PATCH", f"{base}/{{key}}", name, scope=scope, scoped=False)(_setter(noun, find))
        name = f"delete_{noun}_custom_field"
        routes.add("DELETE", f"{base}/{{key}}", name, scope=scope, scoped=False)(_deleter(noun, find))


_register()
