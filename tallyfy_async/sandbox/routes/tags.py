"""Tags of the organization, and of templates and runs."""

from collections.abc import Callable
from typing import Any

from tallyfy_async.sandbox import tags as machine
from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import ordered, paged, truthy
from tallyfy_async.sandbox.records import Tag, whole
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views.tags import tag as view

routes = Routes()
_SORTS: dict[str, Callable[[Tag], Any]] = {
    "title": lambda tag: tag.title.casefold(),
    "name": lambda tag: tag.title.casefold(),
    "created_at": lambda tag: tag.created_at,
}
_EITHER = ["template", "process"]


@routes.add("GET", "/organizations/{org}/tags", "list_tags", scope="organization")
def list_tags(call: Call) -> Reply:
    """List tags, always in pages. Machine-made ones are there with the literal all=true alone."""
    query = call.query
    rows = [tag for tag in call.tenant.tags.values() if not tag.is_auto_generated or query.get("all") == "true"]
    if "auto_generated" in query:
        wanted = truthy(query["auto_generated"])
        rows = [tag for tag in rows if tag.is_auto_generated == wanted]
    needle = query.get("q", "").casefold()
    rows = ordered([tag for tag in rows if needle in tag.title.casefold()], query.get("sort"), _SORTS)
    lens, counted = call.lens, "statistics" in call.includes
    return paged(call, rows, lambda tag: encode(view(lens, tag, statistics=counted)))


@routes.add("POST", "/organizations/{org}/tags", "create_tag", scope="organization")
def create_tag(call: Call) -> Reply:
    """Make a tag."""
    return item(view(call.lens, machine.create(call.world, call.tenant, call.member, call.body())), 201)


@routes.add("GET", "/organizations/{org}/tags/{tag_id}", "get_tag", scope="organization")
def get_tag(call: Call) -> Reply:
    """Read one tag."""
    tag = machine.find(call.tenant, call.params["tag_id"])
    return item(view(call.lens, tag, statistics="statistics" in call.includes))


@routes.add("PUT", "/organizations/{org}/tags/{tag_id}", "update_tag", scope="organization")
def update_tag(call: Call) -> Reply:
    """Rename or recolour a tag."""
    tag = machine.find(call.tenant, call.params["tag_id"])
    demanded = call.settings.tag_title == "required"
    machine.update(call.tenant, call.member, tag, call.body(), title_demanded=demanded)
    return item(view(call.lens, tag))


@routes.add("DELETE", "/organizations/{org}/tags/{tag_id}", "delete_tag", scope="organization")
def delete_tag(call: Call) -> Reply:
    """Delete a tag; 204 for an unknown one, too."""
    machine.delete(call.tenant, call.member, call.params["tag_id"])
    return Reply(status=204, content_type=None)


@routes.add("POST", "/organizations/{org}/checklists/tags", "attach_tag", scope=_EITHER)
def attach_tag(call: Call) -> Reply:
    """Put a tag on a template or a run."""
    return item(machine.attach(call.tenant, call.body()), 201)


@routes.add("DELETE", "/organizations/{org}/checklists/tags/{id}", "detach_tag", scope=_EITHER)
def detach_tag(call: Call) -> Reply:
    """Take a tag off; the segment is cast to a number, and one that is none hits nothing, without a word."""
    machine.detach(call.tenant, whole(call.params["id"]) or 0)
    return Reply(status=204, content_type=None)
