"""Owner lists: three buckets that are replaced together (processes.md section 4)."""

from typing import Any

from attrs import frozen

from .problems import Invalid
from .records import is_list, is_object, whole
from .world import Tenant


@frozen
class Owners:
    """Members, guests (e-mail addresses) and groups."""

    users: list[int]
    guests: list[str]
    groups: list[str]

    def __bool__(self) -> bool:
        """Tell whether anybody is in it."""
        return bool(self.users or self.guests or self.groups)


def read(tenant: Tenant, value: object, name: str = "owners") -> Owners:
    """Read the buckets of a request; a missing one is an empty one. Raise Invalid on strangers.

    Guests are created on first mention. Users may come as numbers or their decimal spelling.
    """
    buckets: object = dict[str, Any]() if value == [] else value
    if not is_object(buckets):
        raise Invalid({name: [f"The {name} must be an array."]})
    users = members(tenant, buckets.get("users"), f"{name}.users")
    guests = [str(guest).lower() for guest in rows(buckets.get("guests"), f"{name}.guests")]
    bad = [f"{name}.guests.{n}" for n, guest in enumerate(guests) if "@" not in guest]
    if bad:
        raise Invalid({key: ["The guest must be a valid email address."] for key in bad})
    found = groups(tenant, buckets.get("groups"), f"{name}.groups")
    tenant.mention(*guests)
    return Owners(users, guests, found)


def members(tenant: Tenant, value: object, name: str) -> list[int]:
    """Read a list of member ids without doubles; raise Invalid when one is no member."""
    found: dict[int, None] = {}
    for number, entry in enumerate(rows(value, name)):
        user_id = whole(entry)
        if user_id is None or user_id not in tenant.members:
            raise Invalid({f"{name}.{number}": ["The selected user is invalid."]})
        found[user_id] = None
    return list(found)


def member(tenant: Tenant, value: object, name: str) -> int:
    """Read one member id; raise Invalid when it is none."""
    return members(tenant, [value], name)[0]


def groups(tenant: Tenant, value: object, name: str) -> list[str]:
    """Read a list of group ids; raise Invalid when one is unknown."""
    found = [str(entry) for entry in rows(value, name)]
    for number, group in enumerate(found):
        if group not in tenant.groups:
            raise Invalid({f"{name}.{number}": ["The selected group is invalid."]})
    return list(dict.fromkeys(found))


def rows(value: object, name: str) -> list[Any]:
    """Read a list; absent and null are an empty one."""
    if value is None:
        return []
    if not is_list(value):
        raise Invalid({name: [f"The {name} must be an array."]})
    return value
