"""Automation rules of templates. There is no list: rules are read on the template."""

from tallyfy_async.sandbox import rules as machine
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import templates as views

from .templates import desk

routes = Routes()
_RULES = "/organizations/{org}/checklists/{checklist_id}/automated-actions"
_RULE = f"{_RULES}/{{automated_id}}"


@routes.add("POST", _RULES, "create_automated_action", scope="template")
def create_automated_action(call: Call) -> Reply:
    """Add a rule."""
    return item(views.rule(call.lens, machine.create(desk(call), call.body())), 201)


@routes.add("PUT", _RULE, "update_automated_action", scope="template")
def update_automated_action(call: Call) -> Reply:
    """Replace a rule."""
    mine = desk(call)
    rule = machine.find(mine.checklist, call.params["automated_id"])
    return item(views.rule(call.lens, machine.update(mine, rule, call.body())))


@routes.add("DELETE", _RULE, "delete_automated_action", scope="template")
def delete_automated_action(call: Call) -> Reply:
    """Remove a rule."""
    mine = desk(call)
    machine.delete(mine, machine.find(mine.checklist, call.params["automated_id"]))
    return Reply(status=204, content_type=None)
