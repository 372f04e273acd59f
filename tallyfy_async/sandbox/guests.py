"""The life of a guest: an e-mail, an organization, and what is kept about both (identity.md section 7)."""

import re

from . import caps, dates, people
from .activity import activity
from .problems import Invalid, forbidden
from .records import Guest, JsonObject, Mail, is_list, whole
from .settings import Settings
from .world import Tenant, World

INVITE = "Guest Invite"
OPEN_TASKS = "Cannot disable guest with incomplete tasks"
_TEXTS = {
    "phone_1": 20,
    "phone_2": 20,
    "company_name": 200,
    "opportunity_name": 200,
    "status": 200,
    "timezone": 64,
}
_LINKS = ("company_url", "contact_url", "image_url", "opportunity_url")
_EXTERNAL = ("external_sync_source", "external_date_creation")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\Z")


def add(world: World, tenant: Tenant, settings: Settings, me: int, body: JsonObject) -> Guest:
    """Add a guest; a known one is taken as it is, with what the call says. Raise 429 or Invalid, without effect.

    Keys that the server does not know, `phone` among them, are dropped.
    """
    errors = _email_errors(world, tenant, body.get("email")) | _detail_errors(body)
    if errors:
        raise Invalid(errors)
    email, now = str(body["email"]).lower(), world.now()
    known = email in tenant.guests
    if not known:
        caps.spend(tenant, INVITE, most=settings.guest_invites_per_hour, now=world.clock())
    guest = tenant.mention(email)[0]
    _take_names(world, guest, body)
    guest.details |= {name: body[name] for name in (*_TEXTS, *_LINKS, *_EXTERNAL) if body.get(name) is not None}
    if not known:
        world.mail.append(Mail(to=email, subject=f"{tenant.name} works with you", at=now))
        _tell(world, tenant, "invited", guest, me)
    tenant.changed()
    return guest


def _take_names(world: World, guest: Guest, body: JsonObject) -> None:
    """Set the names that were sent; else those under which other organizations know the person."""
    elsewhere = [t.guests[guest.email] for t in world.tenants.values() if guest.email in t.guests]
    for name in ("first_name", "last_name"):
        known = next((getattr(row, name) for row in elsewhere if getattr(row, name)), None)
        setattr(guest, name, body.get(name) or getattr(guest, name) or known)


def _email_errors(world: World, tenant: Tenant, value: object) -> people.Errors:
    errors = people.email_errors(value)
    if errors:
        return errors
    email = str(value).lower()
    user = people.named(world, email)
    member = tenant.members.get(user.id) if user else None
    if member is not None and member.status != "disabled":
        return {"email": ["The email belongs to a member of this organization."]}
    if people.is_own_domain(tenant, email):
        return {"email": ["The email belongs to the domain of this organization."]}
    return {}


def _detail_errors(body: JsonObject) -> people.Errors:
    errors = people.text_errors(body, {"first_name": 200, "last_name": 200})
    errors |= people.text_errors(body, _TEXTS, nullable=False)
    for name in _LINKS:
        if name in body and people.host_of(body[name]) is None:
            errors[name] = [f"The {name.replace('_', ' ')} format is invalid."]
    if body.get("external_sync_source", "salesforce") != "salesforce":
        errors["external_sync_source"] = ["The selected external sync source is invalid."]
    moment = body.get("external_date_creation")
    if "external_date_creation" in body and not (
        isinstance(moment, str) and _MOMENT.match(moment) and dates.read(moment) is not None
    ):
        errors["external_date_creation"] = ["The external date creation does not match the format Y-m-d H:i:s."]
    return errors


def update(world: World, tenant: Tenant, me: int, guest: Guest, body: JsonObject) -> None:
    """Replace the associated members. Everything else, names and phones too, is dropped with success."""
    if "associated_members" not in body:
        return
    sent: object = body["associated_members"]
    if not is_list(sent):
        raise Invalid({"associated_members": ["The associated members must be an array."]})
    numbers = [whole(entry) for entry in sent]
    bad = [n for n, number in enumerate(numbers) if number is None or number not in tenant.members]
    if bad:
        raise Invalid({f"associated_members.{n}": ["The selected member is invalid."] for n in bad})
    guest.associated_members = list(dict.fromkeys(number for number in numbers if number is not None))
    _tell(world, tenant, "updated", guest, me)


def remove(world: World, tenant: Tenant, me: int, guest: Guest) -> None:
    """Take a guest out of the organization, its tasks and groups; gone for good when nobody else has them."""
    for task in tenant.tasks.values():
        if guest.email in task.guests:
            task.guests.remove(guest.email)
    for group in tenant.groups.values():
        if guest.email in group.guests:
            group.guests.remove(guest.email)
    del tenant.guests[guest.email]
    if not any(guest.email in other.guests for other in world.tenants.values()):
        guest.deleted_at = world.now()
    _tell(world, tenant, "deleted", guest, me)


def disable(world: World, tenant: Tenant, me: int, guest: Guest) -> None:
    """Disable a guest who has nothing left to do; 403 otherwise."""
    live = [task for task in tenant.tasks.values() if task.archived_at is None and task.is_open]
    if any(guest.email in task.guests for task in live):
        raise forbidden(OPEN_TASKS)
    guest.disabled_at, guest.disabled_by = world.now(), me
    _tell(world, tenant, "disabled", guest, me)


def enable(world: World, tenant: Tenant, me: int, guest: Guest) -> None:
    """Enable a guest again. Whether the server clears disabled_at is not told; it must, for that key says it all."""
    guest.disabled_at = guest.disabled_by = None
    guest.reactivated_at, guest.reactivated_by = world.now(), me
    _tell(world, tenant, "enabled", guest, me)


def _tell(world: World, tenant: Tenant, verb: str, guest: Guest, actor: int) -> None:
    text = f"{verb.capitalize()} guest: {guest.email}"
    activity(tenant, verb, ("user", str(guest.id)), text, now=world.now(), actor=actor)
    tenant.changed()
