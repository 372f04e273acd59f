"""Members, groups and organizations on the wire (identity.md sections 5, 6, 9)."""

from collections.abc import Collection
from typing import Any

from tallyfy_async.sandbox import catalog
from tallyfy_async.sandbox.records import Group, JsonObject, Member, User
from tallyfy_async.sandbox.settings import DateSpelling

from .lens import Lens, php_flag, php_map, wrap

_EMPTY = ("organizations", "preferences", "assets", "member_watchers", "guest_watchers", "auth_methods")


def member(
    lens: Lens, row: Member, includes: Collection[str] = (), *, spelling: DateSpelling = "offset", reply: bool = False
) -> JsonObject:
    """Render a member; flags come as true, 1 or "1", invited members have gaps.

    Names of roles are capitalised, but not in the replies to invitations and updates (`reply`).
    """
    user, invited = row.user, row.status == "invited"
    turn = user.id
    data: JsonObject = {
        "id": user.id,
        "email": user.email,
        "username": None if invited else user.email.partition("@")[0],
        "first_name": user.first_name or None,
        "last_name": user.last_name or None,
        "full_name": user.full_name,
        "profile_pic": None if turn % 2 else f"https://assets.example.com/{turn}.jpg",
        "country_id": country_id(user),
        "is_active": php_flag(value=row.status == "active", turn=turn),
        "is_suspended": php_flag(value=False, turn=turn),
        "is_default_admin": php_flag(value=row.default_admin, turn=turn + 1),
        "is_partner": False,
        "is_support": False,
        "type": None if invited else row.role.lower(),
        "role": row.role.lower() if reply else row.role,
        "status": row.status,
        "locale": "en",
        "phone": user.phone,
        "job_title": user.job_title,
        "job_description": user.job_description,
        "team": user.team,
        "timezone": user.timezone or None,
        "UTC_offset": user.utc_offset,
        "date_format": user.date_format or ("mm/dd/yyyy" if turn % 2 else "dd/mm/yyyy"),
        "step_preferences": php_flag(value=user.step_preferences, turn=turn),
        "cadence_days": ["Monday"] if turn % 3 else None,
        "invited_by": row.invited_by,
        "last_known_ip": None,
        "last_known_country": None,
    }
    data |= _moments(lens, row, spelling)
    for name in includes:
        data |= _include(lens, row, name)
    return data


def _moments(lens: Lens, row: Member, spelling: DateSpelling) -> JsonObject:
    invited = row.status == "invited"
    return {
        "created_at": lens.date(row.user.created_at, spelling),
        "updated_at": lens.date(row.user.updated_at, spelling),
        "last_login_at": lens.date(row.last_login_at, spelling),
        "last_accessed_at": lens.date(row.last_login_at, spelling),
        "activated_at": None if invited else lens.date(row.joined_at, spelling),
        "approved_at": lens.date(row.joined_at, spelling) if row.approved else None,
        "disabled_at": lens.date(row.disabled_at, spelling),
        "disabled_by": row.disabled_by,
        "reactivated_at": lens.date(row.reactivated_at, spelling),
        "reactivated_by": row.reactivated_by,
    }


def summary(row: Member) -> JsonObject:
    """Render a member with few keys, as users-list does."""
    data = {name: getattr(row.user, name) for name in ("id", "email", "first_name", "last_name", "full_name")}
    return data | {"profile_pic": None, "role": row.role, "status": row.status}


def country_id(user: User) -> int:
    """Return the country of a user; who never chose one gets one of the first three."""
    return user.country_id or 1 + user.id % 3


def country(number: int) -> JsonObject:
    """Render a country by its id."""
    name, phone_code, iso2 = catalog.COUNTRIES[number - 1]
    return {"id": number, "name": name, "phone_code": phone_code, "iso2": iso2}


def _include(lens: Lens, row: Member, name: str) -> JsonObject:
    if name == "groups":
        mine = [group for group in lens.tenant.groups.values() if row.user.id in group.members]
        return {"groups": wrap([group_brief(group) for group in mine])}
    if name == "stats":
        return {"stats": wrap(_stats(lens, row))}
    if name == "country":
        return {"country": wrap(country(country_id(row.user)))}
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


_WEEK: JsonObject = {
    **{day: {"start": "09:00", "end": "17:00"} for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")},
    **dict.fromkeys(("Saturday", "Sunday")),
}


def organization(lens: Lens, me: Member | None = None, includes: Collection[str] = ()) -> JsonObject:
    """Render an organization; with the caller's membership as me/organizations does."""
    tenant = lens.tenant
    data: dict[str, Any] = {
        "id": tenant.id,
        "name": tenant.name,
        "slug": tenant.slug,
        "industry": tenant.industry,
        "description": None,
        "welcome_title": None,
        "welcome_description": None,
        "address1": None,
        "address2": None,
        "address3": None,
        "country": "USA",
        "state": "California",
        "city": "Los Angeles",
        "zipcode": "1234567",
        "created_on": lens.date(tenant.created_at, "millis"),
        "last_updated": lens.date(tenant.updated_at, "millis"),
        "live_support_enabled": 0,
        "org_logo": None,
        "settings": [],
        "users_count": sum(row.status == "active" and not row.user.is_bot for row in tenant.members.values()),
        "payment_state": None,
        "team_size": [],
        "in_trial": lens.settings.trial_guests is not None,
        "plan_code": None,
        "timezone": tenant.timezone,
        "working_days": _WEEK,
        "default_deadline": {"type": "days", "value": 5},
        "auto_archive_processes_after": {"unit": "weeks", "value": 52},
        "auto_complete_task_months": 18,
        "allow_user_invite": tenant.allow_user_invite,
        "allow_manage_groups": tenant.allow_manage_groups,
        "maximum_group_assignment_limit": None,
        "webhook_date_field_format": lens.settings.webhook_date_field_format,
    }
    data |= {name: value for name, value in tenant.profile.items() if name != "coupon_code"}
    data["settings"] = php_map(tenant.profile.get("settings", {}))
    for name in sorted(_BILLING.keys() & set(includes)):
        data[name] = wrap(_BILLING[name](lens))
    return data | (_membership(lens, me) if me else {})


def _membership(lens: Lens, me: Member) -> JsonObject:
    return {
        "user_status": me.status,
        "user_role": me.role.lower(),
        "joined_on": lens.date(me.joined_at, "millis"),
        "disabled_on": lens.date(me.disabled_at, "millis"),
        "last_accessed": lens.date(me.last_login_at, "millis"),
    }


def subscription(lens: Lens) -> JsonObject:
    """Render plan and coupon."""
    return {name: lens.tenant.profile.get(name) for name in ("plan_code", "coupon_code")}


def billing_info(lens: Lens) -> JsonObject:
    """Say whether there is a card; its token is never told."""
    return {"card_on_file": lens.tenant.billing_token is not None}


_BILLING = {"subscription": subscription, "billing_info": billing_info}
