"""The life of a member: invited, active, disabled, gone (identity.md section 6)."""

import secrets

from attrs import evolve

from . import people, seats
from .activity import activity
from .problems import Invalid, forbidden, refused
from .records import Guest, JsonObject, Mail, Member, User
from .settings import Settings
from .world import Tenant, World

BOT_KEPT = "You can't remove a bot user from this organization!"
BOT_ENABLED = "Bot users cannot be disabled."
BOT_FIXED = "Bot users cannot be edited."
DEFAULT_ADMIN = "Cannot modify the default administrator. Please assign another member as default administrator first."
STILL_ACTIVE = "Please disable the user before deletion."
MAX_MESSAGE = 5000


def new_user(world: World, tenant: Tenant, data: JsonObject) -> User:
    """Make a person. The password is nobody's until they choose one."""
    now = world.now()
    zone = str(data.get("timezone") or tenant.timezone)
    user = User(
        id=1 + max(world.users, default=1000),
        email=str(data["email"]).lower(),
        first_name=str(data["first_name"]),
        last_name=str(data["last_name"]),
        password=secrets.token_hex(16),
        job_title="",
        timezone=zone,
        utc_offset=people.offset(zone),
        phone="",
        created_at=now,
        updated_at=now,
        home=tenant.id,
    )
    world.users[user.id] = user
    return user


def invite(world: World, tenant: Tenant, settings: Settings, me: Member | None, body: JsonObject) -> Member:
    """Invite somebody by mail; `me` is None when an application asks. A seat is taken at once.

    Raise 403, 409 or Invalid, then without effect.
    """
    if me is not None and not me.is_admin and not tenant.allow_user_invite:
        raise forbidden("You are not authorized to invite members to this organization.")
    _check_invitation(world, tenant, body)
    role = people.ROLES[body["role"]]
    if me is not None and not me.is_admin and role == "Admin":
        raise forbidden("Only administrators can invite administrators.")
    seats.require(tenant, settings, role)
    now = world.now()
    user = people.named(world, body["email"]) or new_user(world, tenant, body)
    inviter = me.user.id if me else None
    row = Member(user=user, role=role, status="invited", joined_at=now, invited_by=inviter)
    tenant.members[user.id] = row
    world.mail.append(Mail(to=user.email, subject=f"Invitation to {tenant.name}", at=now))
    _tell(world, tenant, "invited", row, inviter)
    return row


def _check_invitation(world: World, tenant: Tenant, body: JsonObject) -> None:
    errors = people.email_errors(body.get("email"))
    for name in ("first_name", "last_name"):
        errors |= people.name_errors(name, body.get(name))
    errors |= people.role_errors(body.get("role"))
    if not body.get("message"):
        errors["message"] = ["The message field is required."]
    errors |= people.text_errors(body, {"message": MAX_MESSAGE})
    user = None if "email" in errors else people.named(world, body["email"])
    if user is not None and user.id in tenant.members:
        errors["email"] = ["The email has already been taken."]
    if errors:
        raise Invalid(errors)


def approve(world: World, tenant: Tenant, settings: Settings, me: Member, row: Member) -> None:
    """Accept a request to join: that takes a seat. Others stay as they are."""
    if row.approved:
        return
    seats.require(tenant, settings, row.role)
    row.approved, row.status, row.joined_at = True, "active", world.now()
    _tell(world, tenant, "invite-accepted", row, me.user.id)


def disable(world: World, tenant: Tenant, me: Member, row: Member, *, bot: str = BOT_ENABLED) -> None:
    """Deactivate a member: the seat is free again, tasks keep their owner. Raise 400 for bots and the last admin."""
    if row.user.is_bot:
        raise refused(bot)
    if row.status == "disabled":
        return
    _release(tenant, row)
    row.status, row.approved = "disabled", True
    row.disabled_at, row.disabled_by = world.now(), me.user.id
    _tell(world, tenant, "disabled", row, me.user.id)


def releasable(tenant: Tenant, row: Member) -> list[Member]:
    """Return the administrators who stay when one goes; raise a 400 for the last one."""
    rows = [m for m in tenant.members.values() if m is not row and m.is_admin and m.status == "active"]
    others = [m for m in rows if not m.user.is_bot]
    if not others and row.is_admin and row.status == "active":
        raise refused(DEFAULT_ADMIN)
    return others


def _release(tenant: Tenant, row: Member) -> None:
    """Let an administrator go; the default role moves to another one."""
    others = releasable(tenant, row)
    if row.default_admin and others:
        row.default_admin, others[0].default_admin = False, True


def enable(world: World, tenant: Tenant, settings: Settings, me: Member, row: Member) -> None:
    """Bring a disabled member back; that takes a seat."""
    if row.status != "disabled":
        return
    seats.require(tenant, settings, row.role)
    row.status, row.disabled_at, row.disabled_by = "active", None, None
    row.reactivated_at, row.reactivated_by = world.now(), me.user.id
    _tell(world, tenant, "enabled", row, me.user.id)


def reassign(world: World, tenant: Tenant, row: Member, to: object) -> None:
    """Move the open tasks of a member to another one. Raise 400 without one, 404 for a stranger."""
    if not to:
        raise refused("Please choose a member who receives the tasks.")
    heir = tenant.member(to)
    if heir is row or heir.status != "active":
        raise refused("The tasks cannot be moved to this member.")
    mine, new = row.user.id, heir.user.id
    for task in tenant.tasks.values():
        if mine in task.users and task.is_open:
            task.users = list(dict.fromkeys(new if user == mine else user for user in task.users))
            task.updated_at = world.now()


def erase(world: World, tenant: Tenant, me: Member, row: Member) -> Member:
    """Delete a disabled member; the history of tasks stays. Return the row as it was last."""
    if row.status != "disabled":
        raise refused(STILL_ACTIVE)
    user = row.user
    gone = evolve(user, last_name=f"{user.last_name}(Deleted)", email=f"{user.email}.deleted.{user.id}")
    del tenant.members[user.id]
    _leave_groups(tenant, user.id)
    if not any(user.id in other.members for other in world.tenants.values()):
        user.last_name, user.email = gone.last_name, gone.email
    _tell(world, tenant, "deleted", row, me.user.id)
    return evolve(row, user=gone)


def _leave_groups(tenant: Tenant, user_id: int) -> None:
    for group in tenant.groups.values():
        if user_id in group.members:
            group.members.remove(user_id)


def change_role(world: World, tenant: Tenant, settings: Settings, me: Member, row: Member, *, role: str) -> None:
    """Give another role. From the light pool up a full seat is needed; the way down is never refused."""
    if row.user.is_bot:
        raise refused(BOT_FIXED)
    if row.holds_seat and seats.pool_of(row.role) == "light" and seats.pool_of(role) == "full":
        seats.require(tenant, settings, role)
    if row.is_admin and role != "Admin":
        _release(tenant, row)
    row.role = role
    _tell(world, tenant, "updated", row, me.user.id)


def to_guest(world: World, tenant: Tenant, settings: Settings, me: Member, row: Member) -> Guest:
    """Turn a member into a guest: deactivated, out of every group; open tasks stay. Raise 400, then without effect."""
    if settings.trial_guests is not None and len(tenant.guests) >= settings.trial_guests:
        raise refused("Your trial organization has reached its guest limit.")
    if row.status == "invited":
        raise refused("The invitation has not been accepted yet.")
    disable(world, tenant, me, row)
    _leave_groups(tenant, row.user.id)
    known = row.user.email in tenant.guests
    guest = tenant.mention(row.user.email)[0]
    if not known:
        guest.first_name, guest.last_name = row.user.first_name, row.user.last_name
    tenant.changed()
    return guest


def from_guest(world: World, tenant: Tenant, settings: Settings, me: Member, guest: Guest) -> Member:
    """Turn a guest into a standard member, who gets a mail to choose a password. The tasks come along."""
    user = people.named(world, guest.email)
    known = tenant.members.get(user.id) if user else None
    if known is not None and known.status != "disabled":
        raise forbidden("This guest is a member of this organization already.")
    seats.require(tenant, settings, "Standard")
    names = {"first_name": guest.first_name or guest.email.partition("@")[0], "last_name": guest.last_name or ""}
    user = user or new_user(world, tenant, {"email": guest.email, **names})
    now = world.now()
    row = Member(user=user, role="Standard", status="active", joined_at=now, invited_by=me.user.id)
    tenant.members[user.id] = row
    _take_over(tenant, guest.email, user.id)
    del tenant.guests[guest.email]
    world.mail.append(Mail(to=user.email, subject=f"Choose your password for {tenant.name}", at=now))
    _tell(world, tenant, "linked", row, me.user.id)
    return row


def _take_over(tenant: Tenant, email: str, user_id: int) -> None:
    """Put a member in the place of a guest, in tasks and groups."""
    for task in tenant.tasks.values():
        if email in task.guests:
            task.guests.remove(email)
            task.users = list(dict.fromkeys([*task.users, user_id]))
    for group in tenant.groups.values():
        if email in group.guests:
            group.guests.remove(email)
            group.members = list(dict.fromkeys([*group.members, user_id]))


def editable(world: World, me: Member, row: Member) -> None:
    """Refuse what nobody but the member may change: 400 for bots, 403 for members of several organizations."""
    if row.user.is_bot:
        raise refused(BOT_FIXED)
    places = sum(row.user.id in tenant.members for tenant in world.tenants.values())
    if places > 1 and row.user.id != me.user.id:
        raise forbidden("A member of several organizations can be changed only by that member.")


def update_profile(world: World, tenant: Tenant, me: Member, row: Member, body: JsonObject) -> None:
    """Change a profile. First name, last name and time zone are needed every time."""
    user, errors = row.user, _profile_errors(body)
    if errors:
        raise Invalid(errors)
    for name in ("first_name", "last_name", "timezone"):
        setattr(user, name, body[name])
    user.utc_offset = people.offset(user.timezone)
    for name in ("phone", "job_title", "job_description", "team", "country_id", "date_format", "step_preferences"):
        if name in body:
            setattr(user, name, body[name])
    user.updated_at = world.now()
    _tell(world, tenant, "updated", row, me.user.id)


def _profile_errors(body: JsonObject) -> people.Errors:
    errors: people.Errors = {}
    for name in ("first_name", "last_name", "timezone"):
        if not body.get(name):
            errors[name] = [f"The {name.replace('_', ' ')} is required."]
        elif name != "timezone":
            errors |= people.name_errors(name, body[name])
    errors |= people.text_errors(body, {"timezone": 64, "phone": people.MAX_PHONE})
    errors |= people.text_errors(body, {"job_title": 255, "job_description": None, "team": 255})
    form = body.get("date_format", people.DATE_FORMATS[0])
    if not people.is_country(body.get("country_id", 1)):
        errors["country_id"] = ["The selected country id is invalid."]
    if form not in people.DATE_FORMATS:
        errors["date_format"] = ["The selected date format is invalid."]
    if not isinstance(body.get("step_preferences", True), bool):
        errors["step_preferences"] = ["The step preferences field must be true or false."]
    return errors


def _tell(world: World, tenant: Tenant, verb: str, row: Member, actor: int | None) -> None:
    text = f"{verb.capitalize()} member: {row.user.full_name}"
    activity(tenant, verb, ("user", str(row.user.id)), text, now=world.now(), actor=actor)
    tenant.changed()
