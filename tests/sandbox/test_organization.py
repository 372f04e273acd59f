"""Groups, roles, the organization itself, what members keep for themselves, watchers, utilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
GROUP = {"name": "Night", "description": "Shift", "members": [1001, "1002"], "guests": ["G@acme.org"]}


async def send(api: Api, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    reply = await api.call(method, path, **({} if body is None else {"json": body}))
    assert reply.status_code == status, reply.text
    return reply.json() if reply.content else None


def act_as(api: Api, user_id: int) -> None:
    api.token = api.sandbox.world.personal_token(user_id, life=3600).value


async def test_group_lists_are_replaced(api: Api) -> None:
    made = (await send(api, "POST", "{org}/groups", GROUP, 201))["data"]
    assert (made["members"], made["guests"]) == ([1001, 1002], ["g@acme.org"])
    assert "g@acme.org" in api.tenant.guests
    path = f"{{org}}/groups/{made['id']}"
    row = (await send(api, "PUT", path, {"members": [1003], "guests": ["a@acme.org"]}, 201))["data"]
    assert (row["name"], row["members"], row["guests"]) == ("Night", [1003], ["a@acme.org"])
    assert row["last_updated"] == "2026-11-02T06:13:20.000000Z"
    api.sandbox.configure(group_missing="keep")
    row = (await send(api, "PUT", path, {"name": "Day"}, 201))["data"]
    assert (row["name"], row["members"], row["guests"]) == ("Day", [1003], ["a@acme.org"])
    api.sandbox.configure(group_missing="empty")
    row = (await send(api, "PUT", path, {"description": "d"}, 201))["data"]
    assert (row["members"], row["guests"]) == ([], [])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"description": ""}, "description"),
        ({"description": None}, "description"),
        ({"name": "x" * 201}, "name"),
        ({"name": "Sales"}, "name"),
        ({"members": [9]}, "members.0"),
        ({"guests": ["x"]}, "guests.0"),
    ],
)
async def test_bad_groups(api: Api, change: dict[str, Any], field: str) -> None:
    before = len(api.tenant.groups)
    assert list((await send(api, "POST", "{org}/groups", GROUP | change, 422))["errors"]) == [field]
    path = f"{{org}}/groups/{list(api.tenant.groups)[-1]}"
    assert list((await send(api, "PUT", path, change, 422))["errors"]) == [field]
    assert len(api.tenant.groups) == before


async def test_groups_come_in_pages(api: Api) -> None:
    reply = await api.get("{org}/groups", without_pagination="true", per_page=2)
    assert (len(reply["data"]), reply["meta"]["pagination"]["total_pages"]) == (2, 3)
    names = [row["name"] for row in (await api.get("{org}/groups", sort_by="name"))["data"]]
    assert names == sorted(names)
    down = [row["name"] for row in (await api.get("{org}/groups", sort_by="name", sort="desc"))["data"]]
    assert down == names[::-1]
    assert [row["name"] for row in (await api.get("{org}/groups", q="NANCE"))["data"]] == ["Finance"]


async def test_deleted_group_is_assigned_nowhere(api: Api) -> None:
    row = next(c for c in api.tenant.checklists.values() if c.groups)
    group = row.groups[0]
    await send(api, "DELETE", f"{{org}}/groups/{group}", status=204)
    steps = [step for c in api.tenant.checklists.values() for step in c.steps]
    lists = [*api.tenant.checklists.values(), *steps, *api.tenant.runs.values(), *api.tenant.tasks.values()]
    assert not any(group in entry.groups for entry in lists)


async def test_groups_are_managed_by_all_unless_told_otherwise(api: Api) -> None:
    act_as(api, 1002)
    made = (await send(api, "POST", "{org}/groups", GROUP, 201))["data"]
    api.tenant.allow_manage_groups = False
    await send(api, "POST", "{org}/groups", GROUP | {"name": "x"}, 403)
    await send(api, "PUT", f"{{org}}/groups/{made['id']}", {}, 403)
    await send(api, "DELETE", f"{{org}}/groups/{made['id']}", status=403)
    await send(api, "GET", f"{{org}}/groups/{made['id']}")


async def test_roles(api: Api) -> None:
    row = (await send(api, "POST", "{org}/roles", {"name": "clerk", "permissions": ["a", "b", "a"]}, 201))["data"]
    assert row["permissions"] == {"a": 1, "b": 1}
    path = f"{{org}}/roles/{row['id']}"
    assert (await send(api, "PUT", path, {"name": "clerk"}))["data"]["permissions"] == {"a": 1, "b": 1}
    assert (await send(api, "PUT", path, {"name": "clerk", "permissions": []}))["data"]["permissions"] == []
    assert list((await send(api, "POST", "{org}/roles", {"name": "clerk"}, 422))["errors"]) == ["name"]
    assert list((await send(api, "POST", "{org}/roles", {"name": "x", "permissions": [1]}, 422))["errors"])
    assert [r["name"] for r in (await api.get("{org}/roles"))["data"]] == ["auditor", "clerk"]
    await send(api, "DELETE", path, status=204)
    await send(api, "DELETE", path, status=404)
    await send(api, "GET", "{org}/roles/x", status=404)
    act_as(api, 1002)
    await send(api, "POST", "{org}/roles", {"name": "x"}, 403)
    assert (await api.get("{org}/me/role"))["data"] == {"id": 2, "name": "standard", "permissions": {"standard": 1}}


async def test_organization_is_written_by_administrators(api: Api) -> None:
    body = {"name": "Engines", "slug": "e", "city": "Leeds", "description": None, "timezone": "UTC", "plan_code": "x"}
    row = (await send(api, "PUT", "{org}", body | {"settings": {"workdays": ["Monday"], "odd": 1}}))["data"]
    assert (row["name"], row["slug"], row["city"], row["description"]) == ("Engines", "e", "Leeds", None)
    assert (row["timezone"], row["plan_code"], row["settings"]) == ("America/Chicago", None, {"workdays": ["Monday"]})
    assert (await api.get("{org}"))["data"] == row
    mine = next(r for r in (await api.get("/me/organizations"))["data"] if r["id"] == row["id"])
    assert mine == row | {name: mine[name] for name in mine.keys() - row.keys()}
    assert (mine["user_role"], "user_role" in row) == ("admin", False)
    for bad in ({"name": "x" * 51}, {"name": "x", "city": 1}, {"name": "x", "settings": {"workdays": "Monday"}}):
        await send(api, "PUT", "{org}", bad, 422)
    act_as(api, 1002)
    for method, path in (("PUT", "{org}"), ("PUT", "{org}/billing-info"), ("PUT", "{org}/subscriptions")):
        await send(api, method, path, {"name": "x", "token_id": "t"}, 403)


async def test_users_count_is_of_active_members(api: Api) -> None:
    active = sum(m.status == "active" for m in api.tenant.members.values())
    assert (await api.get("{org}"))["data"]["users_count"] == active < len(api.tenant.members)
    api.sandbox.world.users[1004].is_bot = True
    assert (await api.get("{org}"))["data"]["users_count"] == active - 1


async def test_plan_and_card(api: Api) -> None:
    assert (await send(api, "PUT", "{org}/billing-info", {"token_id": "tok-secret"}))["data"] == {"card_on_file": True}
    await send(api, "PUT", "{org}/subscriptions", {"plan_code": "pro", "coupon_code": "ten"})
    row = (await api.get("{org}", **{"with": "subscription,billing_info"}))["data"]
    assert (row["plan_code"], row["subscription"]["data"]) == ("pro", {"plan_code": "pro", "coupon_code": "ten"})
    assert "tok-secret" not in repr(row) + repr(api.tenant)
    assert row["billing_info"] == {"data": {"card_on_file": True}}


async def test_preferences_belong_to_one_member(api: Api) -> None:
    assert [row["slug"] for row in (await api.get("{org}/me/preferences"))["data"]] == ["home_count"]
    body = {"slug": "home_count", "value": "9"}
    row = (await send(api, "POST", "{org}/me/preferences", body))["data"]
    assert (row["value"], row["metadata"]) == ("9", [])
    assert (await api.get("{org}/me/preferences"))["data"] == [row]
    for bad in ({"value": "1"}, {"slug": "a", "value": 8}, {"slug": "a", "metadata": [1]}):
        await send(api, "POST", "{org}/me/preferences", bad, 422)
    act_as(api, 1002)
    assert (await api.get("{org}/me/preferences"))["data"] == []


async def test_process_views_belong_to_one_member(api: Api) -> None:
    made = (await send(api, "POST", "{org}/me/process-views", {"is_active": False, "criteria": [{"a": 1}, "b"]}))[
        "data"
    ]
    assert made == {"id": made["id"], "name": "", "filter_type": "all", "is_active": 0, "criteria": [{"a": 1}, "b"]}
    path = f"{{org}}/me/process-views/{made['id']}"
    changed = (await send(api, "PUT", path, {"name": "x", "is_active": 1}))["data"]
    assert changed == made | {"name": "x", "is_active": 1}
    assert len((await api.get("{org}/me/process-views"))["data"]) == 2
    for bad in ({"filter_type": "some"}, {"criteria": [1]}, {"name": "x" * 256}):
        await send(api, "PUT", path, bad, 422)
    mine, _ = api.token, act_as(api, 1002)
    assert (await api.get("{org}/me/process-views"))["data"] == []
    for method in ("GET", "PUT", "DELETE"):
        await send(api, method, path, {} if method == "PUT" else None, 404)
    api.token = mine
    await send(api, "DELETE", path)
    await send(api, "GET", path, status=404)


def hook(api: Api, **change: Any) -> dict[str, Any]:
    words = {"object_type": "organization", "notification_type": "webhook", "frequency": "electric"}
    return words | {"object_id": api.tenant.id, "webhook": "https://hooks.acme.org/tallyfy"} | change


async def test_watchers(api: Api) -> None:
    path = "{org}/users/1001/add-watcher"
    row = (await send(api, "POST", path, hook(api)))["data"]
    assert row == hook(api) | {"id": row["id"]}
    assert (await send(api, "POST", path, hook(api)))["data"] == row
    assert (await api.get("{org}/watchers", notification="webhook"))["data"] == [row]
    assert (await api.get("{org}/watchers", notification="email"))["data"] == []
    for change in (
        {"object_type": "task"},
        {"object_id": "x"},
        {"frequency": "daily"},
        {"webhook": "ftp://x.org"},
        {"webhook": "https://example.com/x"},
        {"webhook": ""},
    ):
        found = await send(api, "POST", path, hook(api, **change), 422)
        assert list(found["errors"]) == list(change)
    await send(api, "POST", "{org}/users/1002/add-watcher", hook(api), 403)
    admin = api.token
    act_as(api, 1002)
    await send(api, "POST", "{org}/users/1002/add-watcher", hook(api), 403)
    assert (await api.get("{org}/watchers"))["data"] == []
    await send(api, "DELETE", f"{{org}}/remove-watcher/{row['id']}", status=403)
    api.token = admin
    await send(api, "DELETE", f"{{org}}/remove-watcher/{row['id']}")
    assert (await api.get("{org}/watchers"))["data"] == []


async def test_utilities(api: Api) -> None:
    countries = (await api.get("/utils/countries"))["data"]
    assert countries[0] == {"id": 1, "name": "United States", "phone_code": "1", "iso2": "US"}
    ids = {row["country_id"] for row in (await api.get("{org}/users"))["data"]}
    assert ids <= {row["id"] for row in countries}
    assert (await api.get("/utils/check-url", url="https://tallyfy.com/x?y=1"))["data"]["valid"] is True
    assert (await api.get("/utils/check-url", url="https://www.example.com:8080"))["data"]["valid"] is False
    await send(api, "GET", "/utils/check-url?url=tallyfy", status=422)
    first, second = await api.get("/support/token"), await api.get("/support/token")
    assert first != second
    api.token = "none"
    await api.get("/utils/config")
    await send(api, "GET", "/utils/countries", status=401)


async def test_forgotten_password_tells_nobody_who_exists(api: Api) -> None:
    api.token = "none"
    known = await send(api, "POST", "/auth/recover-password", {"email": api.sandbox.credentials.username.upper()})
    unknown = await send(api, "POST", "/auth/recover-password", {"email": "nobody@acme.org"})
    assert known == unknown
    assert [mail.to for mail in api.sandbox.world.mail] == [api.sandbox.credentials.username]
