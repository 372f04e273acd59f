"""Groups (identity.md section 8)."""

from collections.abc import Callable
from typing import Any

from tallyfy_async.sandbox import groups as machine
from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import ordered, paged
from tallyfy_async.sandbox.problems import resource_not_found
from tallyfy_async.sandbox.records import Group
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import people as views

routes = Routes()
_SORTS: dict[str, Callable[[Group], Any]] = {
    "name": lambda g: g.name.casefold(),
    "created_at": lambda g: g.created_at,
    "updated_at": lambda g: g.updated_at,
}


def _group(call: Call) -> Group:
    group = call.tenant.groups.get(call.params["group_id"])
    if group is None:
        raise resource_not_found()
    return group


@routes.add("GET", "/organizations/{org}/groups", "list_groups", scope="organization")
def list_groups(call: Call) -> Reply:
    """List groups, always in pages."""
    needle = call.query.get("q", "").casefold()
    rows = [row for row in call.tenant.groups.values() if needle in f"{row.name}\n{row.description}".casefold()]
    down = "-" if call.query.get("sort", "").lower() in {"desc", "-1"} else ""
    rows = ordered(rows, down + call.query.get("sort_by", "created_at").removeprefix(down), _SORTS)
    lens, includes = call.lens, call.includes
    return paged(call, rows, lambda row: encode(views.group(lens, row, includes, spelling="Z")))


@routes.add("POST", "/organizations/{org}/groups", "create_group", scope="organization")
def create_group(call: Call) -> Reply:
    """Create a group."""
    machine.writable(call.tenant, call.member)
    group = machine.create(call.world, call.tenant, call.member, call.body())
    return item(views.group(call.lens, group), 201)


@routes.add("GET", "/organizations/{org}/groups/{group_id}", "get_group", scope="organization")
def get_group(call: Call) -> Reply:
    """Read one group."""
    return item(views.group(call.lens, _group(call), call.includes))


@routes.add("PUT", "/organizations/{org}/groups/{group_id}", "update_group", scope="organization")
def update_group(call: Call) -> Reply:
    """Change a group; members and guests are replaced as whole lists."""
    group = _group(call)
    machine.writable(call.tenant, call.member)
    keep = call.settings.group_missing == "keep"
    machine.update(call.world, call.tenant, call.member, group, call.body(), keep=keep)
    return item(views.group(call.lens, group, spelling="micros"), 201)


@routes.add("DELETE", "/organizations/{org}/groups/{group_id}", "delete_group", scope="organization")
def delete_group(call: Call) -> Reply:
    """Delete a group for good."""
    group = _group(call)
    machine.writable(call.tenant, call.member)
    machine.delete(call.world, call.tenant, call.member, group)
    return Reply(status=204, content_type=None)
