"""What an application does for the members of its organization (seed 001)."""

from tallyfy_async.sandbox import members, people, seats
from tallyfy_async.sandbox.dates import spell
from tallyfy_async.sandbox.exchange import Reply, item
from tallyfy_async.sandbox.oauth import token_reply
from tallyfy_async.sandbox.problems import Invalid, invalid, resource_not_found
from tallyfy_async.sandbox.records import JsonObject, Member, User
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.world import Tenant

routes = Routes()


@routes.add("POST", "/applications/{org}/users", "create_application_user", scope="organization", context="application")
def create_application_user(call: Call) -> Reply:
    """Add a member at once, without an invitation."""
    data = _checked(call, call.body())
    role = people.ROLES[data["role"]]
    seats.require(call.tenant, call.settings, role)
    user = members.new_user(call.world, call.tenant, data)
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
    user = people.named(call.world, call.params["email"])
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


def _is_active(tenant: Tenant, user: User) -> bool:
    member = tenant.members.get(user.id)
    return member is not None and member.status == "active"


def _checked(call: Call, body: JsonObject) -> dict[str, str]:
    """Read the input; keys that the server does not know are dropped."""
    errors: people.Errors = {}
    for name in ("first_name", "last_name"):
        errors |= people.name_errors(name, body.get(name))
    role, timezone = body.get("role", "standard"), body.get("timezone", call.tenant.timezone)
    errors |= people.email_errors(body.get("email")) or _taken(call, body["email"])
    errors |= people.role_errors(role)
    if not isinstance(timezone, str):
        errors["timezone"] = ["The timezone must be a string."]
    if errors:
        raise Invalid(errors)
    data = {name: str(body[name]) for name in ("first_name", "last_name")}
    return {**data, "email": str(body["email"]).lower(), "role": str(role), "timezone": str(timezone)}


def _taken(call: Call, email: str) -> people.Errors:
    return {"email": ["The email has already been taken."]} if people.named(call.world, email) else {}
