"""me, my organizations, members."""

from collections.abc import Callable
from typing import Any

from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import ordered, paged
from tallyfy_async.sandbox.problems import forbidden, unauthenticated
from tallyfy_async.sandbox.records import Member
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import identity as views
from tallyfy_async.sandbox.views.lens import Lens

routes = Routes()
_SORTS: dict[str, Callable[[Member], Any]] = {
    "id": lambda m: m.user.id,
    "first_name": lambda m: m.user.first_name.casefold(),
    "last_name": lambda m: m.user.last_name.casefold(),
    "email": lambda m: m.user.email,
    "created_at": lambda m: m.user.created_at,
    "updated_at": lambda m: m.user.updated_at,
    "last_login_at": lambda m: m.last_login_at,
}


@routes.add("GET", "/me", "get_me", scope="account")
def get_me(call: Call) -> Reply:
    """Read the caller, without an organization in the path."""
    places = call.world.places(call.user)
    if not places:
        raise unauthenticated()
    home = next((tenant for tenant in places if tenant.id == call.token.organization), places[0])
    lens = Lens(tenant=home, settings=call.settings, now=call.now)
    return item(views.member(lens, home.members[call.user.id]))


@routes.add("GET", "/me/organizations", "list_my_organizations", scope="account")
def list_my_organizations(call: Call) -> Reply:
    """List the organizations that the caller belongs to."""
    mine = [tenant for tenant in call.world.tenants.values() if call.user.id in tenant.members]
    places = [
        (Lens(tenant=tenant, settings=call.settings, now=call.now), tenant.members[call.user.id]) for tenant in mine
    ]
    return paged(call, places, lambda place: encode(views.organization(*place)))


@routes.add("GET", "/organizations/{org}/me", "get_current_user", scope="account")
def get_current_user(call: Call) -> Reply:
    """Read the caller as a member of the organization."""
    return item(views.member(call.lens, call.member, call.includes))


@routes.add("GET", "/organizations/{org}/users", "list_users", scope="organization")
def list_users(call: Call) -> Reply:
    """List members of every status; guests are never among them."""
    needle = call.query.get("q", "").casefold()
    rows = [m for m in call.tenant.members.values() if needle in f"{m.user.full_name} {m.user.email}".casefold()]
    lens, includes = call.lens, call.includes
    rows = ordered(rows, call.query.get("sort"), _SORTS)
    return paged(call, rows, lambda row: encode(views.member(lens, row, includes)))


@routes.add("GET", "/organizations/{org}/users/{user_id}", "get_user", scope="organization")
def get_user(call: Call) -> Reply:
    """Read one member: for administrators only."""
    if not call.member.is_admin:
        raise forbidden("You are not authorized to perform this action.")
    return item(views.member(call.lens, call.tenant.member(call.params["user_id"]), call.includes))
