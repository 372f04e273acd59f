"""Templates."""

from collections.abc import Callable
from typing import Any

from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import ordered, paged, truthy, words
from tallyfy_async.sandbox.records import Checklist
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
        not (query.get("folder") or query.get("folder_id")),
    )
    return all(tests)


@routes.add("GET", "/organizations/{org}/checklists/{checklist_id}", "get_checklist", scope="template")
def get_checklist(call: Call) -> Reply:
    """Read one template; an archived one answers 404."""
    return item(views.checklist(call.lens, call.tenant.checklist(call.params["checklist_id"]), call.includes))
