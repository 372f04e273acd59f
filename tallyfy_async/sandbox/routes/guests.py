"""Guests, by their e-mail (identity.md section 7)."""

from collections.abc import Callable
from typing import Any

from attrs import evolve

from tallyfy_async.sandbox import guests as machine
from tallyfy_async.sandbox import members
from tallyfy_async.sandbox.exchange import Reply, encode, item
from tallyfy_async.sandbox.lists import ordered, paged
from tallyfy_async.sandbox.problems import invalid, resource_not_found
from tallyfy_async.sandbox.records import Guest
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.task_filters import sort_tasks, status_tests
from tallyfy_async.sandbox.views import identity, people, work

from .members import administrator

routes = Routes()
_SORTS: dict[str, Callable[[Guest], Any]] = {
    "id": lambda g: g.id,
    "email": lambda g: g.email,
    "first_name": lambda g: (g.first_name or "").casefold(),
    "last_name": lambda g: (g.last_name or "").casefold(),
    "created_at": lambda g: g.created_at,
}


def _guest(call: Call) -> Guest:
    guest = call.tenant.guests.get(call.params["email"].lower())
    if guest is None:
        raise resource_not_found()
    return guest


def coded(call: Call, code: str) -> Guest:
    """Find a guest by the code of the link; raise a 404 otherwise."""
    guest = next((row for row in call.tenant.guests.values() if row.code == code), None)
    if guest is None:
        raise resource_not_found()
    return guest


@routes.add("GET", "/organizations/{org}/guests", "list_guests", scope="organization")
def list_guests(call: Call) -> Reply:
    """List guests, 999 a page."""
    needle = call.query.get("q", "").casefold()
    rows = [row for row in call.tenant.guests.values() if needle in row.email.casefold()]
    rows = ordered(rows, call.query.get("sort") or call.query.get("sort_by"), _SORTS, "created_at")
    lens, includes = call.lens, call.includes
    return paged(call, rows, lambda row: encode(people.guest(lens, row, includes)), unpaged=True)


@routes.add("POST", "/organizations/{org}/guests", "create_guest", scope="organization")
def create_guest(call: Call) -> Reply:
    """Add a guest: at most 30 in an hour."""
    guest = machine.add(call.world, call.tenant, call.settings, call.user.id, call.body())
    return item(people.guest(call.lens, guest, created="space"), 201)


@routes.add("GET", "/organizations/{org}/guests-list", "list_guests_minimal", scope="organization")
def list_guests_minimal(call: Call) -> Reply:
    """List all guests with few keys, on one page without meta."""
    return item([people.guest_summary(row) for row in call.tenant.guests.values()])


@routes.add("GET", "/organizations/{org}/guests/{email}", "get_guest", scope="organization")
def get_guest(call: Call) -> Reply:
    """Read one guest."""
    return item(people.guest(call.lens, _guest(call), call.includes), call.settings.guest_read_status)


@routes.add("PUT", "/organizations/{org}/guests/{email}", "update_guest", scope="organization")
def update_guest(call: Call) -> Reply:
    """Replace the associated members of a guest; every other key is dropped."""
    if call.params["email"].lower() not in call.tenant.guests and call.settings.unknown_guest_update == "422":
        raise invalid("email", "The selected email is invalid.")
    guest = _guest(call)
    machine.update(call.world, call.tenant, call.user.id, guest, call.body())
    return item(people.guest(call.lens, guest), 201)


@routes.add("DELETE", "/organizations/{org}/guests/{email}", "delete_guest", scope="organization")
def delete_guest(call: Call) -> Reply:
    """Remove a guest; an unknown one is a 422 here."""
    guest = call.tenant.guests.get(call.params["email"].lower())
    if guest is None:
        raise invalid("email", "The selected email is invalid.")
    machine.remove(call.world, call.tenant, call.user.id, guest)
    return item(people.guest(call.lens, guest))


@routes.add("DELETE", "/organizations/{org}/guests/{email}/disable", "disable_guest", scope="organization")
def disable_guest(call: Call) -> Reply:
    """Disable a guest without open tasks."""
    guest = _guest(call)
    machine.disable(call.world, call.tenant, call.user.id, guest)
    return item(people.guest(call.lens, guest))


@routes.add("PUT", "/organizations/{org}/guests/{email}/enable", "enable_guest", scope="organization")
def enable_guest(call: Call) -> Reply:
    """Enable a guest again."""
    guest = _guest(call)
    machine.enable(call.world, call.tenant, call.user.id, guest)
    return item(people.guest(call.lens, guest))


@routes.add("POST", "/organizations/{org}/guests/{email}/to/member", "convert_guest_to_member", scope="organization")
def convert_guest_to_member(call: Call) -> Reply:
    """Turn a guest into a standard member, which takes a full seat."""
    me, guest = administrator(call), _guest(call)
    row = members.from_guest(call.world, call.tenant, call.settings, me, guest)
    return item(identity.member(call.lens, row, spelling="Z", reply=True))


@routes.add("GET", "/organizations/{org}/guests/{guest_id}/tasks", "list_guest_tasks", scope="process")
def list_guest_tasks(call: Call) -> Reply:
    """List the tasks of a guest, named by the code of the link; ten a page, whatever is asked for."""
    email = coded(call, call.params["guest_id"]).email
    rows = [row for row in call.tenant.tasks.values() if row.archived_at is None and email in row.guests]
    test = status_tests(call.now).get(call.query.get("status", "all"))
    rows = [row for row in rows if test is None or test(row)]
    lens, includes = evolve(call.lens, for_guests=True), call.includes
    return paged(call, sort_tasks(call, rows), lambda row: encode(work.task(lens, row, includes)), fixed=True)
