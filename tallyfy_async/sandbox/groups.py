"""Groups of members and guests (identity.md section 8)."""

from . import owners, people
from .activity import activity
from .problems import Invalid, forbidden
from .records import Group, JsonObject, Member
from .world import Tenant, World

MAX_NAME = 200


def writable(tenant: Tenant, me: Member) -> None:
    """Refuse who may not manage groups: members, unless the organization lets everybody."""
    if not me.is_admin and not tenant.allow_manage_groups:
        raise forbidden("You do not have permission to manage groups.")


def create(world: World, tenant: Tenant, me: Member, body: JsonObject) -> Group:
    """Create a group. The description is required, and an empty one counts as none."""
    _check(tenant, None, {"name": None, "description": None} | body)
    members, guests = _people(tenant, body)
    now = world.now()
    group = Group(
        id=world.new_id(),
        name=body["name"],
        description=body["description"],
        members=members,
        guests=guests,
        created_at=now,
        updated_at=now,
    )
    tenant.groups[group.id] = group
    _tell(world, tenant, me, "created", group)
    return group


def update(world: World, tenant: Tenant, me: Member, group: Group, body: JsonObject, *, keep: bool) -> None:
    """Change a group. `members` and `guests` replace the lists; an absent one empties its list unless `keep` is set."""
    _check(tenant, group, body)
    members, guests = _people(tenant, body)
    group.name, group.description = body.get("name", group.name), body.get("description", group.description)
    group.members = group.members if keep and "members" not in body else members
    group.guests = group.guests if keep and "guests" not in body else guests
    group.updated_at = world.now()
    _tell(world, tenant, me, "updated", group)


def _check(tenant: Tenant, group: Group | None, body: JsonObject) -> None:
    errors: people.Errors = {}
    for name in ("name", "description"):
        if name in body and (body[name] is None or body[name] == ""):
            errors[name] = [f"The {name} field is required."]
    errors |= {} if errors else people.text_errors(body, {"name": MAX_NAME, "description": None}, nullable=False)
    taken = [row for row in tenant.groups.values() if row is not group and row.name == body.get("name")]
    if taken and "name" not in errors:
        errors["name"] = ["The name has already been taken."]
    if errors:
        raise Invalid(errors)


def _people(tenant: Tenant, body: JsonObject) -> tuple[list[int], list[str]]:
    """Read both lists; guests come in on first mention."""
    members = owners.members(tenant, body.get("members"), "members")
    guests = [str(guest).lower() for guest in owners.rows(body.get("guests"), "guests")]
    bad = [n for n, guest in enumerate(guests) if "@" not in guest]
    if bad:
        raise Invalid({f"guests.{n}": ["The guest must be a valid email address."] for n in bad})
    tenant.mention(*guests)
    return members, list(dict.fromkeys(guests))


def delete(world: World, tenant: Tenant, me: Member, group: Group) -> None:
    """Delete a group for good; it vanishes from what it was assigned to, its members and guests stay."""
    del tenant.groups[group.id]
    templates = tenant.checklists.values()
    assigned = [row.groups for row in templates] + [run.groups for run in tenant.runs.values()]
    assigned += [step.groups for row in templates for step in row.steps]
    assigned += [task.groups for task in tenant.tasks.values()]
    for groups in assigned:
        if group.id in groups:
            groups.remove(group.id)
    _tell(world, tenant, me, "deleted", group)


def _tell(world: World, tenant: Tenant, me: Member, verb: str, group: Group) -> None:
    text = f"{verb.capitalize()} group: {group.name}"
    activity(tenant, verb, ("group", group.id), text, now=world.now(), actor=me.user.id)
    tenant.changed()
