"""Members: list in short, invite, change, disable, delete (identity.md section 6)."""

from tallyfy_async.sandbox import members as machine
from tallyfy_async.sandbox import people
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.lists import truthy
from tallyfy_async.sandbox.problems import Invalid, forbidden
from tallyfy_async.sandbox.records import Member
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import identity as views
from tallyfy_async.sandbox.views import people as more

routes = Routes()
NOT_ADMIN = "You are not authorized to perform this action."


def administrator(call: Call) -> Member:
    """Return the caller; refuse everybody but administrators."""
    if not call.member.is_admin:
        raise forbidden(NOT_ADMIN)
    return call.member


def _row(call: Call) -> Member:
    return call.tenant.member(call.params["user_id"])


def _shown(call: Call, row: Member, *, reply: bool = False) -> Reply:
    return item(views.member(call.lens, row, spelling="Z", reply=reply))


@routes.add("GET", "/organizations/{org}/users-list", "list_users_minimal", scope="organization")
def list_users_minimal(call: Call) -> Reply:
    """List all members with few keys, on one page without meta."""
    return item([views.summary(row) for row in call.tenant.members.values()])


@routes.add("POST", "/organizations/{org}/users/invite", "invite_user", scope="organization", context="any")
def invite_user(call: Call) -> Reply:
    """Invite a member; an application may as well (seed 001)."""
    me = None if call.token.user_id is None else call.member
    row = machine.invite(call.world, call.tenant, call.settings, me, call.body())
    return _shown(call, row, reply=True)


def save_profile(call: Call, me: Member, row: Member) -> None:
    """Change a profile with the body of the request."""
    machine.editable(call.world, me, row)
    machine.update_profile(call.world, call.tenant, me, row, call.body())


@routes.add("PUT", "/organizations/{org}/users/{user_id}", "update_user", scope="organization")
def update_user(call: Call) -> Reply:
    """Change the profile of a member."""
    me, row = administrator(call), _row(call)
    save_profile(call, me, row)
    return _shown(call, row, reply=True)


@routes.add("DELETE", "/organizations/{org}/users/{user_id}", "remove_user", scope="organization")
def remove_user(call: Call) -> Reply:
    """Deactivate a member, whose open tasks move before that when asked for."""
    me, row = administrator(call), _row(call)
    if row.user.is_bot:
        machine.disable(call.world, call.tenant, me, row, bot=machine.BOT_KEPT)
    if truthy(call.query.get("with_reassignment")):
        machine.releasable(call.tenant, row)
        machine.reassign(call.world, call.tenant, row, call.query.get("to"))
    machine.disable(call.world, call.tenant, me, row)
    return _shown(call, row, reply=True)


@routes.add("PUT", "/organizations/{org}/users/{user_id}/approve", "approve_user", scope="organization")
def approve_user(call: Call) -> Reply:
    """Accept a request to join."""
    me, row = administrator(call), _row(call)
    machine.approve(call.world, call.tenant, call.settings, me, row)
    return _shown(call, row)


@routes.add("DELETE", "/organizations/{org}/users/{user_id}/disable", "disable_user", scope="organization")
def disable_user(call: Call) -> Reply:
    """Deactivate a member."""
    me, row = administrator(call), _row(call)
    machine.disable(call.world, call.tenant, me, row)
    return _shown(call, row)


@routes.add("PUT", "/organizations/{org}/users/{user_id}/enable", "enable_user", scope="organization")
def enable_user(call: Call) -> Reply:
    """Reactivate a member, which takes a seat."""
    me, row = administrator(call), _row(call)
    machine.enable(call.world, call.tenant, call.settings, me, row)
    return _shown(call, row)


@routes.add("DELETE", "/organizations/{org}/users/{user_id}/delete", "delete_user_permanently", scope="organization")
def delete_user_permanently(call: Call) -> Reply:
    """Erase a disabled member."""
    me, row = administrator(call), _row(call)
    return _shown(call, machine.erase(call.world, call.tenant, me, row))


@routes.add("PUT", "/organizations/{org}/users/{user_id}/role", "update_user_role", scope="organization")
def update_user_role(call: Call) -> Reply:
    """Change the role of a member."""
    me, row = administrator(call), _row(call)
    role = call.body().get("role")
    errors = people.role_errors(role)
    if errors:
        raise Invalid(errors)
    machine.change_role(call.world, call.tenant, call.settings, me, row, role=people.ROLES[str(role)])
    return _shown(call, row, reply=True)


@routes.add("PUT", "/organizations/{org}/users/{user_id}/to/guest", "convert_user_to_guest", scope="organization")
def convert_user_to_guest(call: Call) -> Reply:
    """Turn a member into a guest."""
    me, row = administrator(call), _row(call)
    guest = machine.to_guest(call.world, call.tenant, call.settings, me, row)
    return item(more.guest(call.lens, guest))
