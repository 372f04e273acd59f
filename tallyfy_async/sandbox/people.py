"""What the server asks of names, e-mail addresses and profiles (identity.md sections 6 and 7)."""

import re
from collections.abc import Mapping

from . import catalog
from .records import User
from .world import Tenant, World

Errors = dict[str, list[str]]
ROLES = {"admin": "Admin", "standard": "Standard", "light": "Light"}
DATE_FORMATS = ("mm/dd/yyyy", "dd/mm/yyyy")
MAX_NAME = 32
MAX_PHONE = 20

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@({_LABEL}\.)+{_LABEL}\Z")
_DEAD_DOMAINS = re.compile(r"([@.]|\A)(example(\.[a-z]+)?|invalid)\Z")
"""Names that nobody answers: the server asks the DNS, the sandbox knows example.* and *.invalid."""
_URL = re.compile(r"://|\bwww\.", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://(?:[^/?#\s@]*@)?(\[[0-9a-fA-F:.]+\]|[^/?#\s:@\[\]]+)(:\d+)?([/?#]\S*)?\Z")


def deliverable(email: str) -> bool:
    """Tell whether an address is well formed and its domain takes mail."""
    return bool(_EMAIL.match(email)) and not dead_host(email)


def dead_host(name: str) -> bool:
    """Tell whether a host, or the host of an address, is a reserved name that nobody answers."""
    return bool(_DEAD_DOMAINS.search(name))


def host_of(url: object) -> str | None:
    """Return the host of an http or https URL; None for anything else."""
    match = _ADDRESS.match(url) if isinstance(url, str) else None
    return match[1].lower() if match else None


def name_errors(name: str, value: object) -> Errors:
    """Check a first or last name of a member: 32 characters, no URL."""
    label = name.replace("_", " ")
    if not isinstance(value, str) or not value.strip():
        return {name: [f"The {label} field is required."]}
    if len(value) > MAX_NAME:
        return {name: [f"The {label} may not be greater than {MAX_NAME} characters."]}
    return {name: [f"The {label} format is invalid."]} if _URL.search(value) else {}


def email_errors(value: object) -> Errors:
    """Check the address of somebody new."""
    if not isinstance(value, str) or not value:
        return {"email": ["The email field is required."]}
    return {} if deliverable(value.lower()) else {"email": ["The email must be a valid email address."]}


def role_errors(value: object) -> Errors:
    """Check the lower-case name of a role."""
    known = isinstance(value, str) and value in ROLES
    return {} if known else {"role": ["The selected role is invalid."]}


def text_errors(body: Mapping[str, object], limits: Mapping[str, int | None], *, nullable: bool = True) -> Errors:
    """Check keys of a body that are texts of at most so many characters; absent ones are fine."""
    errors: Errors = {}
    for name, most in limits.items():
        value, label = body.get(name), name.replace("_", " ")
        if name not in body or (nullable and value is None):
            continue
        if not isinstance(value, str):
            errors[name] = [f"The {label} must be a string."]
        elif most is not None and len(value) > most:
            errors[name] = [f"The {label} may not be greater than {most} characters."]
    return errors


def named(world: World, email: str) -> User | None:
    """Find a user by e-mail, whatever the organization."""
    return next((user for user in world.users.values() if user.email == email.lower()), None)


def is_own_domain(tenant: Tenant, email: str) -> bool:
    """Tell whether an address lies on the organization's own domain: that of its default administrator."""
    rows = list(tenant.members.values())
    owner = next((row for row in rows if row.default_admin), rows[0] if rows else None)
    return owner is not None and email.partition("@")[2] == owner.user.email.partition("@")[2]


def offset(timezone: str) -> str:
    """Return the offset that is printed for a zone."""
    return dict(catalog.ZONES).get(timezone, "+00:00")


def is_country(number: object) -> bool:
    """Tell whether a number is the id of a country."""
    return isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= len(catalog.COUNTRIES)
