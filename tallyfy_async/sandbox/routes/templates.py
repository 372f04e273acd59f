"""Templates and their kick-off forms."""

from collections.abc import Callable, Mapping
from typing import Any

from tallyfy_async.sandbox import checklists as machine
from tallyfy_async.sandbox.desk import Desk, allow
from tallyfy_async.sandbox.exchange import Reply, encode, item, json_reply
from tallyfy_async.sandbox.lists import ordered, paged, truthy, words
from tallyfy_async.sandbox.records import Checklist, JsonObject
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import templates as views

routes = Routes()
_SORTS: dict[str, Callable[[Checklist], Any]] = {
    "updated": lambda c: c.updated_at,
    "last_updated": lambda c: c.updated_at,
    "updated_at": lambda c: c.updated_at,
    "created": lambda c: c.created_at,
    "created_at": lambda c: c.created_at,
    "title": lambda c: c.title.casefold(),
    "name": lambda c: c.title.casefold(),
}


@routes.add("GET", "/organizations/{org}/checklists", "list_checklists", scope="template")
def list_checklists(call: Call) -> Reply:
    """List templates: pinned ones first, then by `sort_by` (default `updated`)."""
    rows = [row for row in call.tenant.checklists.values() if _wanted(call, row)]
    rows = ordered(rows, call.query.get("sort_by") or call.query.get("sort"), _SORTS, "updated")
    rows.sort(key=lambda row: not row.pinned)
    lens, includes = call.lens, call.includes
    return paged(call, rows, lambda row: encode(views.checklist(lens, row, includes)))


def _wanted(call: Call, row: Checklist) -> bool:
    query = call.query
    archived = query.get("archived", "")
    if (archived == "only" and row.archived_at is None) or (row.archived_at is not None and not archived):
        return False
    tests = (
        query.get("q", "").casefold() in row.title.casefold(),
        not query.get("status") or row.status == query["status"],
        not query.get("type") or row.type == query["type"],
        not query.get("owner_id") or str(row.owner_id) == query["owner_id"],
        not query.get("starred") or row.starred == truthy(query["starred"]),
        not query.get("tag") or bool(words(query["tag"]) & set(row.tags)),
        not (query.get("folder") or query.get("folder_id")) or row.folder_id in _folders(query),
    )
    return all(tests)


def _folders(query: Mapping[str, str]) -> set[str]:
    """Read the folder filter: a comma list, or one id as the command line of the vendor sends it."""
    return words(query.get("folder")) | words(query.get("folder_id"))


@routes.add("GET", "/organizations/{org}/checklists/{checklist_id}", "get_checklist", scope="template")
def get_checklist(call: Call) -> Reply:
    """Read one template; an archived one answers 404."""
    return item(views.checklist(call.lens, call.tenant.checklist(call.params["checklist_id"]), call.includes))


def desk(call: Call, checklist: Checklist | None = None) -> Desk:
    """Hand out the template of the path to a member who may edit it. Raise 403, or 404."""
    allow(call.member)
    found = checklist or call.tenant.checklist(call.params["checklist_id"])
    return Desk(world=call.world, tenant=call.tenant, me=call.member, checklist=found)


@routes.add("POST", "/organizations/{org}/checklists", "create_checklist", scope="template")
def create_checklist(call: Call) -> Reply:
    """Make a template."""
    allow(call.member)
    return item(views.checklist(call.lens, machine.create(call.world, call.tenant, call.member, call.body())), 201)


@routes.add("PUT", "/organizations/{org}/checklists/{checklist_id}", "update_checklist", scope="template")
def update_checklist(call: Call) -> Reply:
    """Change a template; absent users and groups are emptied, a prerun replaces the kick-off form."""
    mine = desk(call)
    machine.update(mine, call.body())
    return item(views.checklist(call.lens, mine.checklist))


@routes.add("DELETE", "/organizations/{org}/checklists/{checklist_id}", "archive_checklist", scope="template")
def archive_checklist(call: Call) -> Reply:
    """Archive a template and say what embedded it."""
    return _gone(call, machine.archive(desk(call)))


def _gone(call: Call, references: list[JsonObject]) -> Reply:
    """Answer outside any envelope; no references are a list in the server's code and a map in its documentation."""
    found: object = references or ({} if call.settings.references_style == "map" else [])
    message = "The Template was deleted, and references were also deleted from:"
    return json_reply({"message": message, "deleted_references": found})


@routes.add("PUT", "/organizations/{org}/checklists/{checklist_id}/restore", "restore_checklist", scope="template")
def restore_checklist(call: Call) -> Reply:
    """Bring an archived template back."""
    mine = desk(call, machine.archived(call.tenant, call.params["checklist_id"]))
    machine.restore(mine)
    return item(views.checklist(call.lens, mine.checklist))


@routes.add("DELETE", "/organizations/{org}/checklists/{checklist_id}/delete", "delete_checklist", scope="template")
def delete_checklist(call: Call) -> Reply:
    """Delete an archived template for good."""
    machine.delete(call.world, call.tenant, call.member, call.params["checklist_id"], call.settings)
    return _gone(call, [])


@routes.add("POST", "/organizations/{org}/checklists/{checklist_id}/clone", "clone_checklist", scope="template")
def clone_checklist(call: Call) -> Reply:
    """Copy a template, also from another organization: the path is the destination, `tenant` the source."""
    allow(call.member)
    body = call.body()
    origin = machine.source(call.world, call.tenant, call.member, body)
    mine = desk(call, origin.checklist(call.params["checklist_id"]))
    return item(views.checklist(call.lens, machine.clone(mine, origin, body)), 201)


@routes.add("PUT", "/organizations/{org}/checklists/{checklist_id}/publish", "publish_checklist", scope="template")
def publish_checklist(call: Call) -> Reply:
    """Publish the draft of a template."""
    mine = desk(call)
    machine.publish(mine)
    return item(views.checklist(call.lens, mine.checklist))


@routes.add(
    "GET", "/organizations/{org}/checklists/{checklist_id}/form-fields", "get_checklist_form_fields", scope="template"
)
def get_checklist_form_fields(call: Call) -> Reply:
    """Read all fields of a template: one object with two lists."""
    return item(views.form_fields(call.lens, call.tenant.checklist(call.params["checklist_id"])))


@routes.add(
    "GET",
    "/organizations/{org}/checklists/{checklist_id}/steps-deadlines",
    "get_checklist_steps_deadlines",
    scope="template",
)
def get_checklist_steps_deadlines(call: Call) -> Reply:
    """Read the deadlines of the steps."""
    return item(views.deadlines(call.tenant.checklist(call.params["checklist_id"])))


@routes.add(
    "DELETE", "/organizations/{org}/checklists/{checklist_id}/preruns/{prerun_id}", "delete_prerun", scope="template"
)
def delete_prerun(call: Call) -> Reply:
    """Delete a kick-off field."""
    machine.delete_prerun(desk(call), call.params["prerun_id"])
    return Reply(status=204, content_type=None)
