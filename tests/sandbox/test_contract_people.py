"""Every operation on people and what is kept about them, against the contract's schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tallyfy_async.sandbox.records import is_object
from tallyfy_async.sandbox.routes import (
    activity,
    custom_fields,
    groups,
    guests,
    me,
    members,
    organization,
    utils,
)

from .test_contract import check, operations

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
INVITE = {
    "email": "eve@engines.org",
    "first_name": "Eve",
    "last_name": "Hopper",
    "role": "light",
    "message": "Welcome",
}
PROFILE = {"first_name": "Ada", "last_name": "King", "timezone": "Europe/London"}
GUEST = {"email": "new.guest@acme.org", "first_name": "New", "phone_1": "+1", "company_name": "ACME"}
WATCHER = {"object_type": "organization", "notification_type": "webhook", "frequency": "electric"}
HEX = "0" * 32
NO_BODY = {
    "delete_process_view",
    "delete_run_custom_field",
    "delete_task_custom_field",
    "remove_watcher",
}


class Seen:
    """Call operations and remember what was checked."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.names: set[tuple[str, int]] = set()

    async def __call__(self, operation: str, path: str, body: Any = None, status: int = 200) -> Any:
        method = operations()[operation][0]
        reply = await self.api.call(method, path, **({} if body is None else {"json": body}))
        assert reply.status_code == status, (operation, reply.text)
        self.names.add((operation, status))
        if status == 204 or (status == 200 and operation in NO_BODY):
            assert str(status) in operations()[operation][2]["responses"]
            return None
        check(operation, reply)
        return reply.json().get("data")


@pytest.fixture
def seen(api: Api) -> Seen:
    return Seen(api)


async def test_members(seen: Seen) -> None:
    await seen("list_users_minimal", "{org}/users-list")
    made = await seen("invite_user", "{org}/users/invite", INVITE)
    await seen("invite_user", "{org}/users/invite", INVITE, 422)
    path = f"{{org}}/users/{made['id']}"
    await seen("approve_user", f"{path}/approve")
    await seen("update_user", path, PROFILE)
    await seen("update_user", path, {}, 422)
    await seen("update_user_role", f"{path}/role", {"role": "standard"})
    await seen("update_user_role", f"{path}/role", {"role": "king"}, 422)
    await seen("delete_user_permanently", f"{path}/delete", status=400)
    await seen("disable_user", f"{path}/disable")
    await seen("enable_user", f"{path}/enable")
    await seen("remove_user", path)
    await seen("delete_user_permanently", f"{path}/delete")
    await seen("convert_user_to_guest", "{org}/users/1005/to/guest")
    for operation in ("approve_user", "update_user", "remove_user", "disable_user", "enable_user", "update_user_role"):
        path = operations()[operation][1].replace("/organizations/{org}", "{org}").replace("{user_id}", "999999")
        await seen(operation, path, PROFILE | {"role": "light"}, 404)
    seen.api.sandbox.configure(full_seats=0, light_seats=0)
    await seen("invite_user", "{org}/users/invite", INVITE | {"email": "b@engines.org"}, 409)
    await seen("update_user", "{org}/users/1002", PROFILE, 403)


async def test_guests(seen: Seen) -> None:
    made = await seen("create_guest", "{org}/guests", GUEST, 201)
    await seen("create_guest", "{org}/guests", {}, 422)
    await seen("list_guests", "{org}/guests?with=stats")
    await seen("list_guests", "{org}/guests?without_pagination=true")
    await seen("list_guests_minimal", "{org}/guests-list")
    path = "{org}/guests/new.guest%40acme.org"
    await seen("get_guest", f"{path}?with=stats")
    await seen("update_guest", path, {"associated_members": [1001], "phone": "1"}, 201)
    await seen("disable_guest", f"{path}/disable")
    await seen("enable_guest", f"{path}/enable")
    await seen("list_guest_tasks", f"{{org}}/guests/{made['link'].rpartition('/')[2]}/tasks?with=run,step")
    await seen("convert_guest_to_member", f"{path}/to/member")
    await seen("get_guest", path, status=404)
    await seen("delete_guest", path, status=422)
    await seen("delete_guest", "{org}/guests/guest1@partner.org")
    for operation in ("update_guest", "disable_guest", "enable_guest", "convert_guest_to_member"):
        suffix = operations()[operation][1].rpartition("{email}")[2]
        await seen(operation, f"{path}{suffix}", {}, 404)
    await seen("list_guest_tasks", "{org}/guests/nope/tasks", status=404)
    seen.api.sandbox.configure(guest_invites_per_hour=1)
    await seen("create_guest", "{org}/guests", GUEST | {"email": "other@acme.org"}, 429)


async def test_groups_and_roles(seen: Seen) -> None:
    body = {"name": "Night", "description": "Shift", "members": [1001], "guests": ["g@acme.org"]}
    made = await seen("create_group", "{org}/groups", body, 201)
    await seen("create_group", "{org}/groups", {}, 422)
    await seen("list_groups", "{org}/groups?with=assets&per_page=3&sort_by=name")
    path = f"{{org}}/groups/{made['id']}"
    await seen("get_group", f"{path}?with=assets")
    await seen("update_group", path, {"name": "Day"}, 201)
    await seen("update_group", path, {"description": ""}, 422)
    await seen("delete_group", path, status=204)
    for operation in ("get_group", "update_group", "delete_group"):
        await seen(operation, path, {}, 404)
    await seen("list_roles", "{org}/roles")
    role = await seen("create_role", "{org}/roles", {"name": "r", "permissions": ["a"]}, 201)
    await seen("create_role", "{org}/roles", {}, 422)
    path = f"{{org}}/roles/{role['id']}"
    await seen("get_role", path)
    await seen("update_role", path, {"name": "s", "permissions": []})
    await seen("delete_role", path, status=204)
    await seen("get_role", path, status=404)


async def test_me_and_views(seen: Seen) -> None:
    await seen("get_me", "/me")
    await seen("update_current_user", "{org}/me", PROFILE)
    await seen("get_my_role", "{org}/me/role")
    await seen("set_my_preference", "{org}/me/preferences", {"slug": "a", "value": "1", "metadata": {"x": 1}})
    await seen("set_my_preference", "{org}/me/preferences", {}, 422)
    await seen("list_my_preferences", "{org}/me/preferences")
    view = await seen("create_process_view", "{org}/me/process-views", {"name": "v", "is_active": 1, "criteria": ["x"]})
    await seen("create_process_view", "{org}/me/process-views", {"criteria": 1}, 422)
    await seen("list_process_views", "{org}/me/process-views")
    path = f"{{org}}/me/process-views/{view['id']}"
    await seen("get_process_view", path)
    await seen("update_process_view", path, {"filter_type": "any"})
    await seen("delete_process_view", path)
    await seen("get_process_view", path, status=404)


async def test_organization(seen: Seen) -> None:
    await seen("get_organization", "{org}?with=subscription,billing_info")
    body = {"name": "Engines", "settings": {"workdays": ["Monday"], "determine_deadline": {"workdays": 0}}}
    await seen("update_organization", "{org}", body)
    await seen("update_organization", "{org}", {}, 422)
    await seen("update_billing_info", "{org}/billing-info", {"token_id": "t"})
    await seen("update_billing_info", "{org}/billing-info", {}, 422)
    await seen("update_subscription", "{org}/subscriptions", {"plan_code": "pro"})
    await seen("update_subscription", "{org}/subscriptions", {"plan_code": 1}, 422)
    hook = WATCHER | {"object_id": seen.api.tenant.id, "webhook": "https://hooks.acme.org/x"}
    made = await seen("add_watcher", "{org}/users/1001/add-watcher", hook)
    await seen("add_watcher", "{org}/users/1001/add-watcher", {}, 422)
    await seen("list_watchers", "{org}/watchers?notification=webhook")
    await seen("remove_watcher", f"{{org}}/remove-watcher/{made['id']}")
    await seen("remove_watcher", f"{{org}}/remove-watcher/{made['id']}", status=404)
    await seen("list_activity_feeds", "{org}/activity-feeds")
    await seen("list_activity_feeds", "{org}/activity-feeds?entity_type=run", status=422)
    await seen("get_config", "/utils/config")
    await seen("list_countries", "/utils/countries")
    await seen("check_url", "/utils/check-url?url=https://tallyfy.com")
    await seen("check_url", "/utils/check-url", status=422)
    await seen("get_support_token", "/support/token")
    await seen("recover_password", "/auth/recover-password", {"email": seen.api.sandbox.credentials.username})
    await seen("recover_password", "/auth/recover-password", {}, 422)


def places(api: Api) -> dict[str, str]:
    """Return a record of every noun that carries custom fields: noun -> path."""
    tenant = api.tenant
    step = next(s for c in tenant.checklists.values() for s in c.steps if s.captures)
    prerun = next(c for c in tenant.checklists.values() if c.prerun)
    run = next(r for r in tenant.runs.values() if r.archived_at is None and r.task_ids)
    return {
        "user": "users/1001",
        "guest": f"guests/{tenant.guests['guest1@partner.org'].code}",
        "checklist": f"checklists/{step.checklist_id}",
        "step": f"checklists/{step.checklist_id}/steps/{step.id}",
        "capture": f"checklists/{step.checklist_id}/steps/{step.id}/captures/{step.captures[0].id}",
        "prerun": f"checklists/{prerun.id}/preruns/{prerun.prerun[0].id}",
        "run": f"runs/{run.id}",
        "task": f"runs/{run.id}/tasks/{run.task_ids[0]}",
        "tag": f"tags/{next(iter(tenant.tags))}",
    }


async def test_custom_fields(seen: Seen) -> None:
    await seen("list_custom_field_keys", "{org}/custom-field-keys")
    folder = await seen("create_folder", "{org}/folders", {"name": "f"}, 201)
    for noun, path in (places(seen.api) | {"folder": f"folders/{folder['id']}"}).items():
        key = {"key": "size", "applies_to": noun, "field_type": "number", "hint": "in metres"}
        await seen("create_custom_field_key", "{org}/custom-field-keys", key, 201)
        base = f"{{org}}/{path}/custom-fields"
        await seen(f"replace_{noun}_custom_fields", base, {"custom_fields": {"size": 3}})
        await seen(f"replace_{noun}_custom_fields", base, {"custom_fields": {"nope": 3}}, 422)
        if f"set_{noun}_custom_field" in operations():
            await seen(f"set_{noun}_custom_field", f"{base}/size", {"value": 4})
        if noun in {"user", "guest"}:
            assert await seen(f"get_{noun}_custom_fields", base) == {"custom_fields": {"size": 4}}
        status = 200 if noun in {"run", "task"} else 204
        await seen(f"delete_{noun}_custom_field", f"{base}/size", status=status)
        assert (await seen(f"replace_{noun}_custom_fields", base, {"custom_fields": {}})) == {"custom_fields": []}
        unknown = base.replace(path.rpartition("/")[2], HEX[:4])
        await seen(f"replace_{noun}_custom_fields", unknown, {"custom_fields": {}}, 404)
    await seen("create_custom_field_key", "{org}/custom-field-keys", {}, 422)


ODD: list[Any] = [None, 0, 1, "", "x", [], [1], [[]], {"a": [{}]}, True, "\ud800", 10**30, 1.5, {}]
KEY = {"key": "k", "applies_to": "process", "field_type": "text", "options": [{"text": "x"}]}
VALID: dict[str, dict[str, Any]] = {
    "invite_user": INVITE,
    "update_user": PROFILE
    | {"phone": "1", "job_title": "x", "country_id": 1, "date_format": "mm/dd/yyyy", "step_preferences": True},
    "update_current_user": PROFILE | {"phone": "1", "team": "x", "country_id": 1},
    "update_user_role": {"role": "light"},
    "create_guest": GUEST
    | {"company_url": "https://a.org", "external_sync_source": "salesforce", "timezone": "UTC", "last_name": "x"},
    "update_guest": {"associated_members": [1001], "email": "guest2@client.org"},
    "create_group": {"name": "n", "description": "d", "members": [1001], "guests": ["g@acme.org"]},
    "update_group": {"name": "m", "description": "d", "members": [1001], "guests": ["g@acme.org"]},
    "create_role": {"name": "n", "permissions": ["a"]},
    "update_role": {"name": "m", "permissions": ["a"]},
    "set_my_preference": {"slug": "s", "value": "v", "metadata": {}},
    "create_process_view": {"name": "v", "filter_type": "all", "is_active": 1, "criteria": []},
    "update_process_view": {"name": "v", "filter_type": "all", "is_active": 1, "criteria": []},
    "update_organization": {"name": "n", "city": "c", "slug": "s", "industry": "i"}
    | {"settings": {"workdays": ["Monday"], "holidays": [], "determine_deadline": {"workdays": 0}}},
    "update_billing_info": {"token_id": "t"},
    "update_subscription": {"plan_code": "p", "coupon_code": "c"},
    "add_watcher": WATCHER | {"object_id": "x", "webhook": "https://hooks.acme.org"},
    "recover_password": {"email": "a@b.org"},
    "create_custom_field_key": KEY | {"is_required": False, "is_active": True},
}


def bodies(operation: str) -> Iterator[Any]:
    """Yield the bodies of an operation with one value gone wrong, then bodies that are no objects."""
    write = {"value": 1} if operation.startswith("set_") else {"custom_fields": {"cost_center": "x", "budget": 1}}
    valid = VALID.get(operation, write)
    for name, value in valid.items():
        yield from ({**valid, name: odd} for odd in ODD)
        parts = value if is_object(value) else {}
        for inner in parts:
            yield from ({**valid, name: {**parts, inner: odd}} for odd in ODD)
    yield from ODD


@pytest.mark.once
async def test_no_body_breaks_a_route(make: Callable[..., Api]) -> None:
    """Whatever JSON comes in: a status of the contract and the schema that belongs to it, never a crash."""
    api = make(guest_invites_per_hour=None)
    ids = Ids(api)
    routes = [route for noun in NOUNS for route in noun.routes.operations if route.method in {"POST", "PUT", "PATCH"}]
    for route in routes:
        path = route.path.replace("/organizations/{org}", "{org}").format_map(ids)
        for body in bodies(route.name):
            headers = {"Content-Type": "application/json"}
            reply = await api.call(route.method, path, content=json.dumps(body), headers=headers)
            assert str(reply.status_code) in operations()[route.name][2]["responses"], (route.name, body, reply.text)
            check(route.name, reply)


class Ids(dict[str, str]):
    """Path parameters: ids of seeded rows. The organization stays for Api.call to fill in."""

    def __init__(self, api: Api) -> None:
        tenant = api.tenant
        step = next(s for c in tenant.checklists.values() for s in c.steps if s.captures)
        run = next(r for r in tenant.runs.values() if r.archived_at is None and r.task_ids)
        super().__init__(
            org="{org}",
            user_id="1004",
            email="guest2@client.org",
            group_id=next(iter(tenant.groups)),
            checklist_id=step.checklist_id,
            step_id=step.id,
            capture_id=step.captures[0].id,
            prerun_id="unknown",
            guest_code=next(iter(tenant.guests.values())).code,
            role_id="4",
            view_id="1",
            key="cost_center",
            run_id=run.id,
            task_id=run.task_ids[0],
            tag_id=next(iter(tenant.tags)),
            folder_id="unknown",
        )


NOUNS = (activity, custom_fields, groups, guests, me, members, organization, utils)


def test_all_operations_of_these_modules_are_proven() -> None:
    """Those of custom fields are named by a pattern; every other name stands in the tests above."""
    names = {route.name for noun in NOUNS if noun is not custom_fields for route in noun.routes.operations}
    source = Path(__file__).read_text(encoding="utf-8")
    assert names
    assert not {name for name in names if source.count(f'"{name}"') < 1}
