"""Members, guests, groups, roles, the authenticated user, accounts and custom fields."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tallyfy_async import ClientCredentials
from tests.contract.row import Row
from tests.resources.place import Place

MOMENT = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
ADA = {"email": "ada@analysts.org", "first_name": "Ada", "last_name": "Byron"}
GUEST = "guest1@partner.org"
PNG = b"\x89PNG\r\n\x1a\n"
MEMBER = 1004
"""A member of one organization alone: others change themselves only."""


async def invited(at: Place) -> Any:
    """Invite a member."""
    return await at.org.users.invite(**ADA, role="standard", message="Welcome")


def pending(at: Place) -> int:
    """Let a member wait for the approval of its request to join."""
    row = at.tenant.members[MEMBER]
    row.status, row.approved = "invited", False
    return MEMBER


async def disabled(at: Place) -> Any:
    """Disable a member."""
    return await at.org.users.disable(MEMBER)


async def guest(at: Place) -> Any:
    """Add a guest who has no task."""
    return await at.org.guests.create(email="grace@visitors.org")


async def disabled_guest(at: Place) -> Any:
    """Disable a guest who has no task."""
    made = await guest(at)
    await at.org.guests.disable(made.email)
    return made


async def group(at: Place) -> Any:
    """Create a group."""
    return await at.org.groups.create(name="Analysts", description="They analyse", members=[1001], guests=[GUEST])


async def view(at: Place) -> Any:
    """Save a view."""
    return await at.org.me.process_views.create(name="Mine", filter_type="any", is_active=True, criteria=[])


def role(at: Place) -> int:
    """Return a custom role."""
    return next(iter(at.tenant.roles))


def code(at: Place) -> str:
    """Return the code of a guest's link."""
    return at.tenant.guests[GUEST].code


MEMBERS = [
    Row(operation="list_users", call=lambda at: at.org.users.list()),
    Row(
        operation="list_users",
        call=lambda at: at.org.users.list(q="ada", sort="-last_name", with_=["groups", "stats", "country"], per_page=2),
    ),
    Row(operation="list_users", call=lambda at: at.org.users.find_by_email("nobody+1@nowhere.org")),
    Row(operation="list_users_minimal", call=lambda at: at.org.users.list_minimal()),
    Row(operation="get_users_stats", call=lambda at: at.org.users.stats()),
    Row(
        operation="invite_user",
        call=lambda at: at.org.users.invite(**ADA, role="standard", message="Welcome"),
    ),
    Row(operation="get_user", call=lambda at: at.org.users.get(MEMBER)),
    Row(operation="get_user", call=lambda at: at.org.users.get(MEMBER, with_=["groups", "stats"])),
    Row(operation="update_user", call=lambda at: at.org.users.update(MEMBER, job_title="Analyst", team=None)),
    Row(
        operation="update_user",
        call=lambda at: at.org.users.update(
            MEMBER,
            first_name="Ada",
            last_name="Byron",
            timezone="Europe/London",
            phone="+44 20 7946 0000",
            job_title=None,
            job_description="She analyses",
            team="Engines",
            country_id=1,
            date_format="dd/mm/yyyy",
            step_preferences=True,
        ),
    ),
    Row(operation="remove_user", call=lambda at: at.org.users.remove(MEMBER)),
    Row(operation="remove_user", call=lambda at: at.org.users.remove(MEMBER, reassign_to=1001)),
    Row(operation="disable_user", call=lambda at: at.org.users.disable(MEMBER)),
    Row(operation="enable_user", arrange=disabled, call=lambda at: at.org.users.enable(MEMBER)),
    Row(operation="delete_user_permanently", arrange=disabled, call=lambda at: at.org.users.delete(MEMBER)),
    Row(operation="approve_user", arrange=pending, call=lambda at: at.org.users.approve(at.arranged)),
    Row(operation="reject_user", arrange=pending, call=lambda at: at.org.users.reject(at.arranged)),
    Row(operation="unsuspend_user", call=lambda at: at.org.users.unsuspend(MEMBER)),
    Row(operation="resend_invite", arrange=invited, call=lambda at: at.org.users.resend_invite(at.arranged.id)),
    Row(operation="withdraw_invite", arrange=invited, call=lambda at: at.org.users.withdraw_invite(at.arranged.id)),
    Row(operation="update_user_role", call=lambda at: at.org.users.update_role(MEMBER, "light")),
    Row(operation="convert_user_to_guest", call=lambda at: at.org.users.convert_to_guest(MEMBER)),
    Row(operation="get_reassignment_information", call=lambda at: at.org.users.reassignment_information(MEMBER)),
    Row(
        operation="upload_user_profile_pic",
        call=lambda at: at.org.users.upload_profile_pic(MEMBER, PNG, filename="ada.png", content_type="image/png"),
    ),
    Row(operation="list_user_tasks", call=lambda at: at.org.users.tasks.list(MEMBER)),
    Row(
        operation="list_user_tasks",
        call=lambda at: at.org.users.tasks.list(
            1001, q="a", status="overdue", sort="-deadline", sort_by="newest", tag="urgent", with_=["run", "step"]
        ),
    ),
    Row(operation="list_user_completed_tasks", call=lambda at: at.org.users.tasks.list_completed(MEMBER, per_page=5)),
]
GUESTS = [
    Row(operation="list_guests", call=lambda at: at.org.guests.list()),
    Row(
        operation="list_guests",
        call=lambda at: at.org.guests.list(q="partner", sort="created_at", with_=["stats"], per_page=2),
    ),
    Row(operation="list_guests_minimal", call=lambda at: at.org.guests.list_minimal()),
    Row(operation="create_guest", call=lambda at: at.org.guests.create(email="grace@visitors.org")),
    Row(
        operation="create_guest",
        call=lambda at: at.org.guests.create(
            email="grace@visitors.org",
            first_name="Grace",
            last_name=None,
            phone_1="+1-212-555-0123",
            phone_2="+1-212-555-0124",
            company_name="Visitors",
            company_url="https://visitors.org",
            contact_url="https://visitors.org/grace",
            image_url="https://visitors.org/grace.png",
            opportunity_url="https://visitors.org/1",
            opportunity_name="Compiler",
            timezone="America/Chicago",
            status="active",
            external_sync_source="salesforce",
            external_date_creation=MOMENT,
        ),
    ),
    Row(operation="get_guest", call=lambda at: at.org.guests.get(GUEST)),
    Row(operation="get_guest", call=lambda at: at.org.guests.get(GUEST, with_=["stats"])),
    Row(operation="get_guest", call=lambda at: at.org.guests.find_by_email(GUEST)),
    Row(operation="update_guest", call=lambda at: at.org.guests.update(GUEST, associated_members=[1001, MEMBER])),
    Row(operation="update_guest", call=lambda at: at.org.guests.update(GUEST, associated_members=[])),
    Row(operation="delete_guest", call=lambda at: at.org.guests.delete(GUEST)),
    Row(operation="disable_guest", arrange=guest, call=lambda at: at.org.guests.disable(at.arranged.email)),
    Row(operation="enable_guest", arrange=disabled_guest, call=lambda at: at.org.guests.enable(at.arranged.email)),
    Row(operation="convert_guest_to_member", call=lambda at: at.org.guests.convert_to_member(GUEST)),
    Row(operation="list_guest_tasks", call=lambda at: at.org.guests.tasks.list(code(at))),
    Row(
        operation="list_guest_tasks",
        call=lambda at: at.org.guests.tasks.list(
            code(at), status="active", sort="-newest", sort_by="newest", with_=["run", "run.checklist", "tags"]
        ),
    ),
    Row(operation="get_guest_task_by_code", call=lambda at: at.org.guests.tasks.get_by_code(code(at))),
    Row(
        operation="update_guest_task_by_code",
        call=lambda at: at.org.guests.tasks.update_by_code(code(at), taskdata={"a" * 32: "Yes"}, status="completed"),
    ),
]
GROUPS = [
    Row(operation="list_groups", call=lambda at: at.org.groups.list()),
    Row(
        operation="list_groups",
        call=lambda at: at.org.groups.list(q="a", sort_by="name", sort="desc", with_=["assets", "users"], per_page=2),
    ),
    Row(
        operation="create_group",
        call=lambda at: at.org.groups.create(
            name="Analysts", description="They analyse", members=[1001, MEMBER], guests=[GUEST]
        ),
    ),
    Row(operation="create_group", call=lambda at: at.org.groups.create(name="Analysts", description="They analyse")),
    Row(operation="get_group", arrange=group, call=lambda at: at.org.groups.get(at.arranged.id)),
    Row(operation="get_group", arrange=group, call=lambda at: at.org.groups.get(at.arranged.id, with_=["assets"])),
    Row(
        operation="update_group",
        arrange=group,
        call=lambda at: at.org.groups.update(at.arranged.id, description="They analyse much"),
    ),
    Row(
        operation="update_group",
        arrange=group,
        call=lambda at: at.org.groups.replace(
            at.arranged.id, name="Engineers", description="They build", members=[MEMBER], guests=[]
        ),
    ),
    Row(operation="delete_group", arrange=group, call=lambda at: at.org.groups.delete(at.arranged.id)),
]
ROLES = [
    Row(operation="list_roles", call=lambda at: at.org.roles.list()),
    Row(operation="create_role", call=lambda at: at.org.roles.create(name="clerk", permissions=["view_reports"])),
    Row(operation="get_role", call=lambda at: at.org.roles.get(role(at))),
    Row(operation="update_role", call=lambda at: at.org.roles.update(role(at), name="reader")),
    Row(operation="update_role", call=lambda at: at.org.roles.update(role(at), name="reader", permissions=[])),
    Row(operation="delete_role", call=lambda at: at.org.roles.delete(role(at))),
]
ME = [
    Row(operation="get_me", call=lambda at: at.tallyfy.me.get()),
    Row(operation="list_my_organizations", call=lambda at: at.tallyfy.organizations.list(per_page=5)),
    Row(
        operation="upload_my_profile_pic",
        call=lambda at: at.tallyfy.me.upload_profile_pic(PNG, filename="me.png", content_type="image/png"),
    ),
    Row(operation="get_current_user", call=lambda at: at.org.me.get()),
    Row(operation="get_current_user", call=lambda at: at.org.me.get(with_=["groups", "stats"])),
    Row(operation="update_current_user", call=lambda at: at.org.me.update(phone="+44 20 7946 0000")),
    Row(
        operation="update_current_user",
        call=lambda at: at.org.me.update(first_name="Ada", last_name="Byron", timezone="Europe/London", team=None),
    ),
    Row(operation="get_my_role", call=lambda at: at.org.me.role()),
    Row(operation="list_my_preferences", call=lambda at: at.org.me.preferences.list()),
    Row(operation="set_my_preference", call=lambda at: at.org.me.preferences.set(slug="home_count", value="8")),
    Row(
        operation="set_my_preference",
        call=lambda at: at.org.me.preferences.set(slug="home_count", value="8", metadata={"extra": "here"}),
    ),
    Row(operation="list_my_tasks", call=lambda at: at.org.me.tasks.list()),
    Row(
        operation="list_my_tasks",
        call=lambda at: at.org.me.tasks.list(
            q="a", status="due_soon", sort="problems", sort_by="newest", with_=["run", "threads_count"], per_page=3
        ),
    ),
    Row(operation="list_my_completed_tasks", call=lambda at: at.org.me.tasks.list_completed(per_page=5)),
    Row(operation="list_process_views", call=lambda at: at.org.me.process_views.list()),
    Row(
        operation="create_process_view",
        call=lambda at: at.org.me.process_views.create(
            name="Mine", filter_type="all", is_active=True, criteria=[{"field": "status", "value": "active"}]
        ),
    ),
    Row(operation="get_process_view", arrange=view, call=lambda at: at.org.me.process_views.get(at.arranged.id)),
    Row(
        operation="update_process_view",
        arrange=view,
        call=lambda at: at.org.me.process_views.update(at.arranged.id, name="Ours", is_active=False),
    ),
    Row(operation="delete_process_view", arrange=view, call=lambda at: at.org.me.process_views.delete(at.arranged.id)),
]
ACCOUNTS = [
    Row(
        operation="register",
        call=lambda at: at.tallyfy.accounts.register(
            **ADA, password="Engine1843", company_name="Analysts", plan_code="trial", timezone="Europe/London"
        ),
    ),
    Row(
        operation="register",
        call=lambda at: at.tallyfy.accounts.register(
            **ADA, password="Engine1843", company_name="Analysts", plan_code="trial", coupon_code="LOVELACE"
        ),
    ),
    Row(operation="activate_account", call=lambda at: at.tallyfy.accounts.activate("c0de")),
    Row(operation="recover_password", call=lambda at: at.tallyfy.accounts.recover_password("ada@analysts.org")),
    Row(
        operation="reset_password",
        call=lambda at: at.tallyfy.accounts.reset_password(
            code="c0de", password="Engine1843", password_confirmation="Engine1843"
        ),
    ),
    Row(operation="get_user_by_code", call=lambda at: at.tallyfy.accounts.get_by_code("c0de")),
]
KEYS = [
    Row(operation="list_custom_field_keys", call=lambda at: at.org.custom_fields.list()),
    Row(
        operation="list_custom_field_keys",
        call=lambda at: at.org.custom_fields.list(
            applies_to="process",
            key_type="org",
            field_type="text",
            is_required=False,
            is_active=True,
            q="cost",
            sort_by="key",
            sort_direction="asc",
            per_page=5,
        ),
    ),
    Row(
        operation="create_custom_field_key",
        call=lambda at: at.org.custom_fields.create(
            key="colour", applies_to="process", field_type="text", is_required=False, is_active=True
        ),
    ),
    Row(
        operation="create_custom_field_key",
        call=lambda at: at.org.custom_fields.create(
            key="colour", applies_to="process", field_type="dropdown", more={"options": ["red", "blue"]}
        ),
    ),
]


def values(
    noun: str, word: str, place: Callable[[Place], Any], ids: Callable[[Place], tuple[Any, ...]], *, one: bool
) -> list[Row]:
    """Return a row for each thing to do with the custom fields of a noun, ``word`` as ``applies_to`` has it."""

    async def define(at: Place) -> Any:
        await at.org.custom_fields.create(key="colour", applies_to=word, field_type="text")
        return await at.org.folders.create(name="Quarter 1", folder_type="run") if noun == "folder" else None

    rows = [
        Row(
            operation=f"get_{noun}_custom_fields", arrange=define, call=lambda at: place(at).custom_fields.get(*ids(at))
        ),
        Row(
            operation=f"replace_{noun}_custom_fields",
            arrange=define,
            call=lambda at: place(at).custom_fields.replace(*ids(at), {"colour": "red"}),
        ),
        Row(
            operation=f"replace_{noun}_custom_fields",
            arrange=define,
            call=lambda at: place(at).custom_fields.replace(*ids(at), {}),
        ),
        Row(
            operation=f"delete_{noun}_custom_field",
            arrange=define,
            call=lambda at: place(at).custom_fields.delete(*ids(at), "colour"),
        ),
    ]
    setting = Row(
        operation=f"set_{noun}_custom_field",
        arrange=define,
        call=lambda at: place(at).custom_fields.set(*ids(at), "colour", "red"),
    )
    return [*rows, setting] if one else rows


def step(at: Place) -> tuple[str, str]:
    """Return a template and one of its steps that has a field."""
    checklist = at.checklist()
    return checklist.id, next(step.id for step in checklist.steps if step.captures)


def capture(at: Place) -> tuple[str, str, str]:
    """Return a template, a step and a field of it."""
    step_id = step(at)[1]
    found = next(step for step in at.checklist().steps if step.id == step_id)
    return at.checklist().id, step_id, found.captures[0].id


VALUES = [
    *values("user", "member", lambda at: at.org.users, lambda at: (MEMBER,), one=True),
    *values("guest", "guest", lambda at: at.org.guests, lambda at: (code(at),), one=True),
    *values("checklist", "blueprint", lambda at: at.org.checklists, lambda at: (at.checklist().id,), one=False),
    *values("step", "step", lambda at: at.org.checklists.steps, step, one=False),
    *values("capture", "capture", lambda at: at.org.checklists.steps.captures, capture, one=False),
    *values(
        "prerun",
        "prerun",
        lambda at: at.org.checklists.preruns,
        lambda at: (at.checklist().id, at.checklist().prerun[0].id),
        one=False,
    ),
    *values("run", "process", lambda at: at.org.runs, lambda at: (at.run().id,), one=True),
    *values("task", "task", lambda at: at.org.runs.tasks, lambda at: (at.task().run_id, at.task().id), one=True),
    *values("tag", "tag", lambda at: at.org.tags, lambda at: (next(iter(at.tenant.tags)),), one=True),
    *values("folder", "folder", lambda at: at.org.folders, lambda at: (at.arranged.id,), one=True),
]


async def provision(at: Place) -> Any:
    """Add a member with the application's own token."""
    known = at.sandbox.credentials
    application = ClientCredentials(client_id=known.client_id, client_secret=known.client_secret)
    as_application = at.tallyfy.with_options(auth=application)
    return await as_application.applications.create_user(at.org.id, role="standard", **ADA)


APPLICATIONS = [Row(operation="create_application_user", call=provision)]
ROWS = [*APPLICATIONS, *MEMBERS, *GUESTS, *GROUPS, *ROLES, *ME, *ACCOUNTS, *KEYS, *VALUES]
