"""What administrators change about an organization, its plan and its roles (identity.md section 9)."""

from . import people
from .activity import activity
from .problems import Invalid, invalid, required
from .records import JsonObject, Member, Role, is_list, is_object
from .world import Tenant, World

MAX_NAME = 50
_TEXTS = (
    "slug",
    "description",
    "address1",
    "address2",
    "address3",
    "welcome_title",
    "welcome_description",
    "industry",
    "country",
    "state",
    "city",
    "zipcode",
)
_LISTS = ("workdays", "holidays")
BUILT_IN = {"Admin": (1, {"superuser": 1}), "Standard": (2, {"standard": 1}), "Light": (3, {"light": 1})}
"""Role -> id and permissions. Only the administrator's are printed."""


def update(world: World, tenant: Tenant, me: Member, body: JsonObject) -> None:
    """Change details. The name is needed every time; keys that have no rule are dropped."""
    errors: people.Errors = {} if body.get("name") else {"name": ["The name field is required."]}
    errors |= people.text_errors(body, {"name": MAX_NAME, **dict.fromkeys(_TEXTS, 255)})
    errors |= _settings_errors(body.get("settings", {}))
    if errors:
        raise Invalid(errors)
    tenant.name, tenant.slug = body["name"], body.get("slug") or tenant.slug
    if "industry" in body:
        tenant.industry = body["industry"]
    kept = {name: body[name] for name in _TEXTS if name in body and name not in {"slug", "industry"}}
    tenant.profile |= kept | _settings(body)
    tenant.updated_at = world.now()
    text = f"Updated organization: {tenant.name}"
    activity(tenant, "updated", ("organization", tenant.id), text, now=world.now(), actor=me.user.id)
    tenant.changed()


def _settings_errors(settings: object) -> people.Errors:
    if settings == [] or settings is None:
        return {}
    if not is_object(settings):
        return {"settings": ["The settings must be an array."]}
    errors: people.Errors = {}
    rule = settings.get("determine_deadline", {})
    counts = rule.values() if is_object(rule) else [None]
    if any(not isinstance(count, int) or isinstance(count, bool) for count in counts):
        errors["settings.determine_deadline"] = ["The determine deadline must hold numbers."]
    for name in _LISTS:
        days: object = settings.get(name, [])
        if not is_list(days) or any(not isinstance(day, str) for day in days):
            errors[f"settings.{name}"] = [f"The {name} must be an array."]
    return errors


def _settings(body: JsonObject) -> JsonObject:
    sent = body.get("settings")
    if not is_object(sent):
        return {}
    return {"settings": {name: sent[name] for name in ("determine_deadline", *_LISTS) if name in sent}}


def update_billing(world: World, tenant: Tenant, body: JsonObject) -> None:
    """Keep the card token."""
    token = body.get("token_id")
    if not isinstance(token, str) or not token:
        raise required("token_id")
    tenant.billing_token, tenant.updated_at = token, world.now()
    tenant.changed()


def subscribe(world: World, tenant: Tenant, body: JsonObject) -> None:
    """Change the plan or hand in a coupon."""
    errors = people.text_errors(body, {"plan_code": 100, "coupon_code": 100}, nullable=False)
    if errors:
        raise Invalid(errors)
    tenant.profile |= {name: body[name] for name in ("plan_code", "coupon_code") if name in body}
    tenant.updated_at = world.now()
    tenant.changed()


def save_role(world: World, tenant: Tenant, role: Role | None, body: JsonObject) -> Role:
    """Create or change a custom role: a name, and a list of permission names."""
    name, names = body.get("name"), body.get("permissions", role.permissions if role else [])
    if not isinstance(name, str) or not name:
        raise required("name")
    if not is_list(names) or any(not isinstance(entry, str) for entry in names):
        raise invalid("permissions", "The permissions must be an array of names.")
    if any(row.name == name and row is not role for row in tenant.roles.values()):
        raise invalid("name", "The name has already been taken.")
    now = world.now()
    if role is None:
        number = 1 + max(tenant.roles, default=len(BUILT_IN))
        role = Role(id=number, name=name, permissions=[], created_at=now, updated_at=now)
        tenant.roles[number] = role
    role.name, role.permissions, role.updated_at = name, list(dict.fromkeys(names)), now
    tenant.changed()
    return role
