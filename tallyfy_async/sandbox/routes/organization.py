"""The organization: details, plan, custom roles, and subscriptions of URLs to its events."""

from tallyfy_async.sandbox import organizations as machine
from tallyfy_async.sandbox import watchers
from tallyfy_async.sandbox.exchange import Reply, item, json_reply
from tallyfy_async.sandbox.problems import resource_not_found
from tallyfy_async.sandbox.records import Role, whole
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import identity
from tallyfy_async.sandbox.views import people as views

from .members import administrator

routes = Routes()


@routes.add("GET", "/organizations/{org}", "get_organization", scope="organization")
def get_organization(call: Call) -> Reply:
    """Read the organization."""
    return item(identity.organization(call.lens, includes=call.includes))


@routes.add("PUT", "/organizations/{org}", "update_organization", scope="organization")
def update_organization(call: Call) -> Reply:
    """Change the organization."""
    machine.update(call.world, call.tenant, administrator(call), call.body())
    return item(identity.organization(call.lens))


@routes.add("PUT", "/organizations/{org}/billing-info", "update_billing_info", scope="organization")
def update_billing_info(call: Call) -> Reply:
    """Store a card token."""
    administrator(call)
    machine.update_billing(call.world, call.tenant, call.body())
    return item(identity.billing_info(call.lens))


@routes.add("PUT", "/organizations/{org}/subscriptions", "update_subscription", scope="organization")
def update_subscription(call: Call) -> Reply:
    """Change plan or coupon."""
    administrator(call)
    machine.subscribe(call.world, call.tenant, call.body())
    return item(identity.subscription(call.lens))


def _role(call: Call) -> Role:
    number = whole(call.params["role_id"])
    role = None if number is None else call.tenant.roles.get(number)
    if role is None:
        raise resource_not_found()
    return role


@routes.add("GET", "/organizations/{org}/roles", "list_roles", scope="organization")
def list_roles(call: Call) -> Reply:
    """List the custom roles."""
    return item([views.role(call.lens, row) for row in call.tenant.roles.values()])


@routes.add("POST", "/organizations/{org}/roles", "create_role", scope="organization")
def create_role(call: Call) -> Reply:
    """Create a custom role."""
    administrator(call)
    return item(views.role(call.lens, machine.save_role(call.world, call.tenant, None, call.body())), 201)


@routes.add("GET", "/organizations/{org}/roles/{role_id}", "get_role", scope="organization")
def get_role(call: Call) -> Reply:
    """Read one custom role."""
    return item(views.role(call.lens, _role(call)))


@routes.add("PUT", "/organizations/{org}/roles/{role_id}", "update_role", scope="organization")
def update_role(call: Call) -> Reply:
    """Change a custom role."""
    administrator(call)
    return item(views.role(call.lens, machine.save_role(call.world, call.tenant, _role(call), call.body())))


@routes.add("DELETE", "/organizations/{org}/roles/{role_id}", "delete_role", scope="organization")
def delete_role(call: Call) -> Reply:
    """Delete a custom role."""
    administrator(call)
    del call.tenant.roles[_role(call).id]
    call.tenant.changed()
    return Reply(status=204, content_type=None)


@routes.add("GET", "/organizations/{org}/watchers", "list_watchers", scope="organization")
def list_watchers(call: Call) -> Reply:
    """List subscriptions: administrators see all, others their own."""
    kind = call.query.get("notification")
    rows = [row for row in call.tenant.watchers.values() if kind in {None, "", row.notification_type}]
    mine = [row for row in rows if call.member.is_admin or row.user_id == call.user.id]
    return item([views.watcher(row) for row in mine])


@routes.add("POST", "/organizations/{org}/users/{user_id}/add-watcher", "add_watcher", scope="organization")
def add_watcher(call: Call) -> Reply:
    """Subscribe a URL to all events of the organization."""
    row = watchers.add(call.tenant, administrator(call), call.tenant.member(call.params["user_id"]), call.body())
    return item(views.watcher(row))


@routes.add("DELETE", "/organizations/{org}/remove-watcher/{watcher_id}", "remove_watcher", scope="organization")
def remove_watcher(call: Call) -> Reply:
    """End a subscription."""
    watchers.remove(call.tenant, call.member, call.params["watcher_id"])
    return json_reply([])
