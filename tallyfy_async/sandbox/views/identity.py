"""Members, groups and organizations on the wire (identity.md sections 5, 6, 9)."""

from collections.abc import Collection
from typing import Any

from tallyfy_async.sandbox.records import Group, JsonObject, Member

from .lens import Lens, php_flag, wrap

_EMPTY = ("organizations", "preferences", "assets", "member_watchers", "guest_watchers", "auth_methods")


def member(lens: Lens, row: Member, includes: Collection[str] = ()) -> JsonObject:
    """Render a member; flags come as true, 1 or "1", names of roles are capitalised, invited members have gaps."""
    user, invited = row.user, row.status == "invited"
    turn = user.id
    data: JsonObject = {
        "id": user.id,
        "email": user.email,
        "username": None if invited else user.email.partition("@")[0],
        "first_name": user.first_name,
        "last_name": user.last_name,
        "full_name": user.full_name,
        "profile_pic": None if turn % 2 else f"https://assets.example.com/{turn}.jpg",
        "country_id": 1 + turn % 3,
        "is_active": php_flag(value=row.status == "active", turn=turn),
        "is_suspended": php_flag(value=False, turn=turn),
        "is_default_admin": php_flag(value=row.default_admin, turn=turn + 1),
        "is_partner": False,
        "is_support": False,
        "type": None if invited else row.role.lower(),
        "role": row.role,
        "status": row.status,
        "locale": "en",
        "phone": user.phone,
        "job_title": user.job_title,
        "job_description": None,
        "team": None,
        "timezone": user.timezone,
        "UTC_offset": user.utc_offset,
        "date_format": "mm/dd/yyyy" if turn % 2 else "dd/mm/yyyy",
        "step_preferences": php_flag(value=True, turn=turn),
        "cadence_days": ["Monday"] if turn % 3 else None,
        "invited_by": None if row.default_admin else 1001,
        "last_known_ip": None,
        "last_known_country": None,
    }
    data |= _moments(lens, row)
    for name in includes:
        data |= _include(lens, row, name)
    return data


def _moments(lens: Lens, row: Member) -> JsonObject:
    invited = row.status == "invited"
    return {
        "created_at": lens.date(row.user.created_at, "offset"),
        "updated_at": lens.date(row.user.updated_at, "offset"),
        "last_login_at": lens.date(row.last_login_at, "offset"),
        "last_accessed_at": lens.date(row.last_login_at, "offset"),
        "activated_at": None if invited else lens.date(row.joined_at, "offset"),
        "approved_at": None if invited else lens.date(row.joined_at, "offset"),
        "disabled_at": lens.date(row.disabled_at, "offset"),
        "disabled_by": None,
        "reactivated_at": None,
        "reactivated_by": None,
    }


def _include(lens: Lens, row: Member, name: str) -> JsonObject:
    if name == "groups":
        mine = [group for group in lens.tenant.groups.values() if row.user.id in group.members]
        return {"groups": wrap([group_brief(group) for group in mine])}
    if name == "stats":
        return {"stats": wrap(_stats(lens, row))}
    if name == "country":
        return {"country": wrap({"id": 1, "name": "United States", "phone_code": "1", "iso2": "US"})}
    return {name: wrap([])} if name in _EMPTY else {}


def _stats(lens: Lens, row: Member) -> JsonObject:
    tenant, me = lens.tenant, row.user.id
    mine = [c for c in tenant.checklists.values() if c.owner_id == me]
    stamps = [step.created_at for checklist in mine for step in checklist.steps]
    return {
        "steps_created": len(stamps),
        "tasks_completed": sum(1 for task in tenant.tasks.values() if task.completer_id == me),
        "processes_launched": sum(1 for run in tenant.runs.values() if run.started_by == me),
        "checklists_created": len(mine),
        "last_step_created_at": lens.date(max(stamps), "offset") if stamps else None,
    }


def group_brief(group: Group) -> JsonObject:
    """Render a group as an include."""
    return {
        "id": group.id,
        "name": group.name,
        "logo": None,
        "members": list(group.members),
        "guests": list(group.guests),
    }


def organization(lens: Lens, me: Member) -> JsonObject:
    """Render an organization with the caller's membership, as me/organizations does."""
    tenant = lens.tenant
    data: dict[str, Any] = {
        "id": tenant.id,
        "name": tenant.name,
        "slug": tenant.slug,
        "industry": tenant.industry,
        "description": None,
        "address1": None,
        "address2": None,
        "country": "USA",
        "state": "California",
        "city": "Los Angeles",
        "zipcode": "1234567",
        "created_on": lens.date(tenant.created_at, "millis"),
        "last_updated": lens.date(tenant.updated_at, "millis"),
        "live_support_enabled": 0,
        "org_logo": None,
        "settings": [],
        "users_count": sum(1 for member in tenant.members.values() if member.status == "active"),
        "payment_state": None,
        "team_size": [],
        "in_trial": False,
        "plan_code": None,
        "timezone": tenant.timezone,
        "working_days": {day: {"start": "09:00", "end": "17:00"} for day in ("Monday", "Tuesday", "Wednesday")}
        | {"Thursday": {"start": "09:00", "end": "17:00"}, "Friday": {"start": "09:00", "end": "17:00"}}
        | {"Saturday": None, "Sunday": None},
        "default_deadline": {"type": "days", "value": 5},
        "auto_archive_processes_after": {"unit": "weeks", "value": 52},
        "auto_complete_task_months": 18,
        "allow_user_invite": True,
        "allow_manage_groups": True,
        "maximum_group_assignment_limit": None,
        "webhook_date_field_format": "yyyy-MM-ddTHH:mm:ssZ",
        "user_status": me.status,
        "user_role": me.role.lower(),
        "joined_on": lens.date(me.joined_at, "millis"),
        "disabled_on": lens.date(me.disabled_at, "millis"),
        "last_accessed": lens.date(me.last_login_at, "millis"),
    }
    return data
