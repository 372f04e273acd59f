"""The caller: profile, role, preferences, saved process views."""

from tallyfy_async.sandbox import people
from tallyfy_async.sandbox.exchange import Reply, item, json_reply
from tallyfy_async.sandbox.organizations import BUILT_IN
from tallyfy_async.sandbox.problems import Invalid, invalid, required, resource_not_found
from tallyfy_async.sandbox.records import JsonObject, Preference, ProcessView, is_list, is_object, whole
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import identity
from tallyfy_async.sandbox.views import people as views

from .members import save_profile

routes = Routes()
FILTER_TYPES = ("all", "any")
MAX_VIEW = 255


@routes.add("PUT", "/organizations/{org}/me", "update_current_user", scope="account")
def update_current_user(call: Call) -> Reply:
    """Change the caller's own profile."""
    save_profile(call, call.member, call.member)
    return item(identity.member(call.lens, call.member, spelling="Z", reply=True))


@routes.add("GET", "/organizations/{org}/me/role", "get_my_role", scope="account")
def get_my_role(call: Call) -> Reply:
    """Read the caller's role."""
    number, permissions = BUILT_IN[call.member.role]
    return item({"id": number, "name": call.member.role.lower(), "permissions": permissions})


@routes.add("GET", "/organizations/{org}/me/preferences", "list_my_preferences", scope="account")
def list_my_preferences(call: Call) -> Reply:
    """List what the web app keeps for the caller."""
    mine = [row for (user_id, _), row in call.tenant.preferences.items() if user_id == call.user.id]
    return item([views.preference(call.lens, row) for row in mine])


@routes.add("POST", "/organizations/{org}/me/preferences", "set_my_preference", scope="account")
def set_my_preference(call: Call) -> Reply:
    """Keep one preference of the caller; numbers are texts as well."""
    body = call.body()
    slug, value = body.get("slug"), body.get("value")
    metadata: object = body.get("metadata") or JsonObject()
    if not slug or not isinstance(slug, str):
        raise required("slug")
    errors = people.text_errors(body, {"slug": 255, "value": None})
    if errors:
        raise Invalid(errors)
    if not is_object(metadata):
        raise invalid("metadata", "The metadata must be an array.")
    row = Preference(slug=slug, value=value, metadata=metadata, updated_at=call.now)
    call.tenant.preferences[call.user.id, slug] = row
    call.tenant.changed()
    return item(views.preference(call.lens, row))


def _view(call: Call) -> ProcessView:
    """Find a view of the caller; those of others read like unknown ones."""
    number = whole(call.params["view_id"])
    row = None if number is None else call.tenant.process_views.get(number)
    if row is None or row.user_id != call.user.id:
        raise resource_not_found()
    return row


@routes.add("GET", "/organizations/{org}/me/process-views", "list_process_views", scope="account")
def list_process_views(call: Call) -> Reply:
    """List the saved views of the caller."""
    mine = [row for row in call.tenant.process_views.values() if row.user_id == call.user.id]
    return item([views.process_view(row) for row in mine])


@routes.add("POST", "/organizations/{org}/me/process-views", "create_process_view", scope="account")
def create_process_view(call: Call) -> Reply:
    """Save a view."""
    plain: JsonObject = {"name": "", "filter_type": "all", "is_active": True, "criteria": []}
    given = plain | _given(call.body())
    call.tenant.last_view += 1
    row = ProcessView(id=call.tenant.last_view, user_id=call.user.id, **given)
    call.tenant.process_views[row.id] = row
    call.tenant.changed()
    return item(views.process_view(row))


@routes.add("GET", "/organizations/{org}/me/process-views/{view_id}", "get_process_view", scope="account")
def get_process_view(call: Call) -> Reply:
    """Read a saved view."""
    return item(views.process_view(_view(call)))


@routes.add("PUT", "/organizations/{org}/me/process-views/{view_id}", "update_process_view", scope="account")
def update_process_view(call: Call) -> Reply:
    """Change a saved view; keys left out stay."""
    row = _view(call)
    for name, value in _given(call.body()).items():
        setattr(row, name, value)
    call.tenant.changed()
    return item(views.process_view(row))


@routes.add("DELETE", "/organizations/{org}/me/process-views/{view_id}", "delete_process_view", scope="account")
def delete_process_view(call: Call) -> Reply:
    """Delete a saved view."""
    del call.tenant.process_views[_view(call).id]
    call.tenant.changed()
    return json_reply([])


def _given(body: JsonObject) -> JsonObject:
    """Read the keys of a view that were sent. No source says that one of them is required."""
    errors = people.text_errors(body, {"name": MAX_VIEW}, nullable=False)
    if body.get("filter_type", "all") not in FILTER_TYPES:
        errors["filter_type"] = ["The selected filter type is invalid."]
    flag: object = body.get("is_active", 1)
    if not isinstance(flag, int):
        errors["is_active"] = ["The is active field must be true or false."]
    criteria: object = body.get("criteria", [])
    if not is_list(criteria) or not all(is_object(entry) or isinstance(entry, str) for entry in criteria):
        errors["criteria"] = ["The criteria must be an array."]
    if errors:
        raise Invalid(errors)
    given = {name: body[name] for name in ("name", "filter_type", "criteria") if name in body}
    return given | ({"is_active": bool(flag)} if "is_active" in body else {})
