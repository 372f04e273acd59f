"""Steps of templates, and their form fields."""

from tallyfy_async.sandbox import steps as machine
from tallyfy_async.sandbox.desk import find_step
from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import paged
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import templates as views

from .templates import desk

routes = Routes()
_STEPS = "/organizations/{org}/checklists/{checklist_id}/steps"
_STEP = f"{_STEPS}/{{step_id}}"
_CAPTURE = f"{_STEP}/captures/{{capture_id}}"


@routes.add("GET", _STEPS, "list_steps", scope="template")
def list_steps(call: Call) -> Reply:
    """List the steps by position, always in pages."""
    lens, includes = call.lens, call.includes
    rows = sorted(call.tenant.checklist(call.params["checklist_id"]).steps, key=lambda row: row.position)
    return paged(call, rows, lambda row: encode(views.step(lens, row, includes)))


@routes.add("GET", _STEP, "get_step", scope="template")
def get_step(call: Call) -> Reply:
    """Read one step with its form fields."""
    step = find_step(call.tenant.checklist(call.params["checklist_id"]), call.params["step_id"])
    return item(views.step(call.lens, step, call.includes))


@routes.add("POST", _STEPS, "create_step", scope="template")
def create_step(call: Call) -> Reply:
    """Append a step."""
    return item(views.step(call.lens, machine.create(desk(call), call.body())), 201)


@routes.add("PUT", _STEP, "update_step", scope="template")
def update_step(call: Call) -> Reply:
    """Change a step; absent buckets of people are emptied."""
    mine = desk(call)
    step = mine.step(call.params["step_id"])
    machine.update(mine, step, call.body())
    return item(views.step(call.lens, step))


@routes.add("DELETE", _STEP, "delete_step", scope="template")
def delete_step(call: Call) -> Reply:
    """Delete a step for good."""
    mine = desk(call)
    machine.delete(mine, mine.step(call.params["step_id"]))
    return Reply(status=204, content_type=None)


@routes.add("PUT", f"{_STEP}/reorder", "reorder_step", scope="template")
def reorder_step(call: Call) -> Reply:
    """Move a step to a place."""
    mine = desk(call)
    step = mine.step(call.params["step_id"])
    machine.reorder(mine, step, call.body())
    return item(views.step(call.lens, step))


@routes.add("POST", f"{_STEP}/clone", "clone_step", scope="template")
def clone_step(call: Call) -> Reply:
    """Duplicate a step inside its template."""
    mine = desk(call)
    return item(views.step(call.lens, machine.clone(mine, mine.step(call.params["step_id"]))), 201)


@routes.add("POST", f"{_STEP}/captures", "create_capture", scope="template")
def create_capture(call: Call) -> Reply:
    """Add a form field to a step."""
    mine = desk(call)
    step = mine.step(call.params["step_id"])
    return item(views.capture(call.lens, step, machine.create_capture(mine, step, call.body())), 201)


@routes.add("PUT", f"{_STEP}/captures", "reorder_capture", scope="template")
def reorder_capture(call: Call) -> Reply:
    """Move one form field inside its step."""
    mine = desk(call)
    step = mine.step(call.params["step_id"])
    machine.reorder_capture(mine, step, call.body())
    return item(views.step(call.lens, step))


@routes.add("PUT", _CAPTURE, "update_capture", scope="template")
def update_capture(call: Call) -> Reply:
    """Replace a form field definition."""
    mine = desk(call)
    step = mine.step(call.params["step_id"])
    field = machine.find_capture(step, call.params["capture_id"])
    field = machine.update_capture(mine, step, field, call.body(), frozen=call.settings.frozen_field_types)
    return item(views.capture(call.lens, step, field))


@routes.add("DELETE", _CAPTURE, "delete_capture", scope="template")
def delete_capture(call: Call) -> Reply:
    """Delete a form field with its answers."""
    mine = desk(call)
    step = mine.step(call.params["step_id"])
    machine.delete_capture(mine, step, machine.find_capture(step, call.params["capture_id"]))
    return Reply(status=204, content_type=None)


@routes.add("PUT", f"{_CAPTURE}/move-out", "move_capture", scope="template")
def move_capture(call: Call) -> Reply:
    """Move a form field to another step."""
    mine = desk(call)
    step = mine.step(call.params["step_id"])
    field = machine.find_capture(step, call.params["capture_id"])
    return item(views.capture(call.lens, *machine.move_capture(mine, step, field, call.body())))
