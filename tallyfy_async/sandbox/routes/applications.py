"""What an application does for the members of its organization (seed 001)."""

import re
import secrets

from tallyfy_async.sandbox import catalog
from tallyfy_async.sandbox.dates import spell
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.oauth import token_reply
from tallyfy_async.sandbox.problems import Invalid, Problem, invalid, resource_not_found
from tallyfy_async.sandbox.records import JsonObject, Member, User
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.world import Tenant

routes = Routes()
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@({_LABEL}\.)+{_LABEL}\Z")
_DEAD_DOMAINS = re.compile(r"[@.](example\.(com|net|org)|example|invalid|localhost|test)\Z")
"""Reserved names, which take no mail: the server asks the DNS, the sandbox knows."""
_URL = re.compile(r"://|\bwww\.", re.IGNORECASE)
_ROLES = {"admin": "Admin", "standard": "Standard", "light": "Light"}


@routes.add("POST", "/applications/{org}/users", "create_application_user", scope="organization", context="application")
def create_application_user(call: Call) -> Reply:
    """Add a member at once, without an invitation."""
    data = _checked(call, call.body())
    role = _ROLES[data["role"]]
    _take_seat(call, role)
    user = _user(call, data)
    call.world.users[user.id] = user
    call.tenant.members[user.id] = Member(user=user, role=role, status="active", joined_at=call.now)
    call.tenant.changed()
    created = {name: data[name] for name in ("email", "first_name", "last_name", "role")}
    at = spell(call.now, call.settings.date_spelling or "millis")
    return item({"id": user.id, **created, "created_at": at})


@routes.add(
    "POST",
    "/applications/{org}/users/{email}/token",
    "create_application_user_token",
    scope="organization",
    context="application",
    scoped=False,
)
def create_application_user_token(call: Call) -> Reply:
    """Issue a token that acts as one active member: 404 for an unknown user, 422 for one of other organizations."""
    user = _named(call, call.params["email"])
    if user is None:
        raise resource_not_found()
    if not _is_active(call.tenant, user):
        raise invalid("email", "The user does not belong to this organization.")
    life = call.settings.user_token_life
    access = call.world.vault.issue(
        "user",
        user_id=user.id,
        organization=call.tenant.id,
        client_id=call.token.client_id,
        scopes=call.token.scopes,
        now=call.world.clock(),
        life=life,
    )
    return token_reply(access, None, life)


def _named(call: Call, email: str) -> User | None:
    return next((user for user in call.world.users.values() if user.email == email.lower()), None)


def _is_active(tenant: Tenant, user: User) -> bool:
    member = tenant.members.get(user.id)
    return member is not None and member.status == "active"


def _checked(call: Call, body: JsonObject) -> dict[str, str]:
    """Read the input; keys that the server does not know are dropped."""
    errors: dict[str, list[str]] = {}
    for name in ("first_name", "last_name"):
        errors |= _name_errors(name, body.get(name))
    errors |= _email_errors(call, body.get("email"))
    role = body.get("role", "standard")
    if not isinstance(role, str) or role not in _ROLES:
        errors["role"] = ["The selected role is invalid."]
    timezone = body.get("timezone", call.tenant.timezone)
    if not isinstance(timezone, str):
        errors["timezone"] = ["The timezone must be a string."]
    if errors:
        raise Invalid(errors)
    data = {name: str(body[name]) for name in ("first_name", "last_name")}
    return {**data, "email": str(body["email"]).lower(), "role": str(role), "timezone": str(timezone)}


def _name_errors(name: str, value: object) -> dict[str, list[str]]:
    label = name.replace("_", " ")
    if not isinstance(value, str) or not value.strip():
        return {name: [f"The {label} field is required."]}
    if len(value) > 32:
        return {name: [f"The {label} may not be greater than 32 characters."]}
    return {name: [f"The {label} format is invalid."]} if _URL.search(value) else {}


def _email_errors(call: Call, value: object) -> dict[str, list[str]]:
    if not isinstance(value, str) or not value:
        return {"email": ["The email field is required."]}
    email = value.lower()
    if not _EMAIL.match(email) or _DEAD_DOMAINS.search(email):
        return {"email": ["The email must be a valid email address."]}
    return {"email": ["The email has already been taken."]} if _named(call, email) else {}


def _take_seat(call: Call, role: str) -> None:
    """Refuse a member for whom the pool has no seat: administrators and standard members share one, light ones another.

    Disabled members hold none, invited ones do (identity.md section 6).
    """
    pool = "light" if role == "Light" else "full"
    most = call.settings.light_seats if pool == "light" else call.settings.full_seats
    taken = sum(
        member.status != "disabled" and member.is_light == (pool == "light") for member in call.tenant.members.values()
    )
    if most is not None and taken >= most:
        message = f"Your organization has reached its committed {pool} seat limit."
        error = {"code": "SEAT_POOL_EXHAUSTED", "message": message, "details": {"pool_type": pool}}
        raise Problem(409, {"error": error})


def _user(call: Call, data: dict[str, str]) -> User:
    """Make the user. The password is nobody's: such a member comes in through the application."""
    offsets = dict(catalog.ZONES)
    return User(
        id=1 + max(call.world.users),
        email=data["email"],
        first_name=data["first_name"],
        last_name=data["last_name"],
        password=secrets.token_hex(16),
        job_title="",
        timezone=data["timezone"],
        utc_offset=offsets.get(data["timezone"], "+00:00"),
        phone="",
        created_at=call.now,
        updated_at=call.now,
        home=call.tenant.id,
    )
