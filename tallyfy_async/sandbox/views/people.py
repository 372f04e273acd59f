"""Guests, groups, roles and what members keep for themselves, on the wire (identity.md sections 7 and 8)."""

from collections.abc import Collection

from tallyfy_async.sandbox.records import (
    CustomField,
    Group,
    Guest,
    JsonObject,
    Preference,
    ProcessView,
    Role,
    Task,
    Watcher,
)
from tallyfy_async.sandbox.settings import DateSpelling

from .lens import Lens, php_map, wrap

_DETAILS = (
    "status",
    "phone_1",
    "phone_2",
    "timezone",
    "image_url",
    "contact_url",
    "company_url",
    "opportunity_url",
    "company_name",
    "opportunity_name",
    "external_sync_source",
    "external_date_creation",
    "cadence_days",
)


def guest_link(row: Guest) -> str:
    """Return the link that opens a guest's tasks for ever."""
    return f"https://go.tallyfy.com/guest/{row.code}"


def guest(lens: Lens, row: Guest, includes: Collection[str] = (), *, created: DateSpelling = "Z") -> JsonObject:
    """Render a guest. The reply to a creation spells created_at with a blank, unlike every other one."""
    data: JsonObject = {
        "id": row.id,
        "email": row.email,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "last_accessed_at": None,
        "last_known_ip": None,
        "last_known_country": None,
        "created_at": lens.date(row.created_at, created),
        "deleted_at": lens.date(row.deleted_at, "Z"),
        "link": guest_link(row),
        "details": _details(lens, row),
    }
    return data | ({"stats": _stats(lens, row)} if "stats" in includes else {})


def _details(lens: Lens, row: Guest) -> JsonObject:
    return {
        **{name: row.details.get(name) for name in _DETAILS},
        "associated_members": row.associated_members,
        "last_city": None,
        "last_country": None,
        "last_accessed_at": None,
        "disabled_at": lens.date(row.disabled_at, "Z"),
        "disabled_by": row.disabled_by,
        "reactivated_at": lens.date(row.reactivated_at, "Z"),
        "reactivated_by": row.reactivated_by,
    }


def _stats(lens: Lens, row: Guest) -> JsonObject:
    mine = [task for task in lens.tenant.tasks.values() if row.email in task.guests]
    done = [task for task in mine if task.completed_at is not None]
    oneoff = [task for task in done if task.is_oneoff]
    return {
        "assigned_tasks": sum(task.is_open for task in mine),
        "tasks_completed": len(done),
        "last_task_completed_at": lens.date(_latest(done), "Z"),
        "one_off_tasks_completed": len(oneoff),
        "last_one_off_task_completed_at": lens.date(_latest(oneoff), "Z"),
    }


def _latest(tasks: Collection[Task]) -> int | None:
    return max((task.completed_at for task in tasks if task.completed_at is not None), default=None)


def guest_summary(row: Guest) -> JsonObject:
    """Render a guest with few keys, as guests-list does."""
    names = {"first_name": row.first_name, "last_name": row.last_name}
    return {"id": row.id, "email": row.email, **names, "link": guest_link(row)}


def group(lens: Lens, row: Group, includes: Collection[str] = (), *, spelling: DateSpelling = "millis") -> JsonObject:
    """Render a group."""
    data: JsonObject = {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "logo": None,
        "members": list(row.members),
        "guests": list(row.guests),
        "created_at": lens.date(row.created_at, spelling),
        "last_updated": lens.date(row.updated_at, spelling),
    }
    return data | ({"assets": wrap([])} if "assets" in includes else {})


def role(lens: Lens, row: Role) -> JsonObject:
    """Render a role; the permissions are a map of names to 1, an empty one a list."""
    return {
        "id": row.id,
        "name": row.name,
        "permissions": php_map(dict.fromkeys(row.permissions, 1)),
        "created_at": lens.date(row.created_at, "millis"),
        "updated_at": lens.date(row.updated_at, "millis"),
    }


def process_view(row: ProcessView) -> JsonObject:
    """Render a saved view; its flag is 1 or 0."""
    return {
        "id": row.id,
        "name": row.name,
        "filter_type": row.filter_type,
        "is_active": int(row.is_active),
        "criteria": row.criteria,
    }


def preference(lens: Lens, row: Preference) -> JsonObject:
    """Render a preference."""
    return {
        "slug": row.slug,
        "value": row.value,
        "metadata": php_map(row.metadata),
        "last_updated": lens.date(row.updated_at, "millis"),
    }


def watcher(row: Watcher) -> JsonObject:
    """Render a subscription; the key of the URL is the one it was sent under."""
    return {
        "id": row.id,
        "object_type": row.object_type,
        "object_id": row.object_id,
        "notification_type": row.notification_type,
        "frequency": row.frequency,
        "webhook": row.webhook,
    }


def custom_field(row: CustomField) -> JsonObject:
    """Render the definition of a custom field, with what else it was made of."""
    return {
        **row.more,
        "id": row.id,
        "key": row.key,
        "applies_to": row.applies_to,
        "field_type": row.field_type,
        "key_type": row.key_type,
        "is_required": row.is_required,
        "is_active": row.is_active,
    }
