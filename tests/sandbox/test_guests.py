from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio
NEW = {"email": "New.Guest@acme.org", "first_name": "New", "last_name": "Guest", "company_name": "ACME"}
OLD = "guest1@partner.org"


async def add(api: Api, **body: Any) -> Any:
    reply = await api.call("POST", "{org}/guests", json=NEW | body)
    assert reply.status_code == 201, reply.text
    return reply.json()["data"]


def open_tasks(api: Api, email: str) -> list[Any]:
    return [task for task in api.tenant.tasks.values() if email in task.guests and task.is_open]


async def test_new_guest(api: Api) -> None:
    row = await add(api, phone="+1", phone_1="+2", odd=1, associated_members=[1001])
    assert (row["email"], row["created_at"]) == ("new.guest@acme.org", "2026-11-02 06:13:20")
    assert (row["details"]["company_name"], row["details"]["phone_1"]) == ("ACME", "+2")
    assert row["details"]["phone_2"] is row["details"]["associated_members"] is None
    assert "stats" not in row
    again = (await api.get("{org}/guests/NEW.GUEST%40acme.org"))["data"]
    assert again == row | {"created_at": "2026-11-02T06:13:20Z"}
    assert row["link"].startswith("https://go.tallyfy.com/guest/")


async def test_known_guest_is_linked_not_doubled(api: Api) -> None:
    before = (await api.get("{org}/guests"))["meta"]["pagination"]["total"]
    first, second = await add(api), await add(api, first_name="Renamed")
    assert (first["id"], second["first_name"]) == (second["id"], "Renamed")
    assert (await api.get("{org}/guests"))["meta"]["pagination"]["total"] == before + 1
    other = api.sandbox.credentials.organizations[1]
    token = api.sandbox.world.personal_token(1001, life=60)
    token.organization = other
    headers = {"Authorization": f"Bearer {token.value}"}
    reply = await api.call("POST", f"/organizations/{other}/guests", json={"email": NEW["email"]}, headers=headers)
    there = reply.json()["data"]
    assert (there["id"], there["last_name"]) == (first["id"], "Guest")
    assert there["link"] != first["link"]
    await api.call("DELETE", "{org}/guests/new.guest@acme.org")
    reply = await api.call("DELETE", f"/organizations/{other}/guests/new.guest@acme.org", headers=headers)
    assert reply.json()["data"]["deleted_at"] is not None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "a@example.com"}, "email"),
        ({"email": "a@sub.example.org"}, "email"),
        ({"email": "a@b.invalid"}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "new@analytical-engines.com"}, "email"),
        ({"first_name": "x" * 201}, "first_name"),
        ({"phone_1": "1" * 21}, "phone_1"),
        ({"company_url": "acme"}, "company_url"),
        ({"external_sync_source": "hubspot"}, "external_sync_source"),
        ({"external_date_creation": "2026-01-01"}, "external_date_creation"),
        ({"external_date_creation": "2026-13-01 00:00:00"}, "external_date_creation"),
    ],
)
async def test_bad_guests(api: Api, change: dict[str, Any], field: str) -> None:
    before = list(api.tenant.guests)
    reply = await api.call("POST", "{org}/guests", json=NEW | change)
    assert (reply.status_code, list(reply.json()["errors"])) == (422, [field])
    assert list(api.tenant.guests) == before


async def test_members_are_no_guests_unless_disabled(api: Api) -> None:
    api.sandbox.world.users[1004].email = "grace@navy.org"
    reply = await api.call("POST", "{org}/guests", json={"email": "grace@navy.org"})
    assert reply.json()["errors"] == {"email": ["The email belongs to a member of this organization."]}
    api.tenant.members[1004].status = "disabled"
    assert (await add(api, email="grace@navy.org"))["email"] == "grace@navy.org"


async def test_hourly_cap(api: Api, clock: Clock) -> None:
    for number in range(30):
        await add(api, email=f"g{number}@acme.org")
        clock.now += 60
    reply = await api.call("POST", "{org}/guests", json=NEW)
    limit = "You've reached the hourly limit for Guest Invite (30 per hour per organization). Please try again later."
    assert (reply.status_code, reply.json()) == (429, {"message": limit, "code": "RATE_LIMIT_EXCEEDED"})
    assert (reply.headers["retry-after"], reply.headers["x-ratelimit-remaining"]) == ("1800", "0")
    assert "new.guest@acme.org" not in api.tenant.guests
    await add(api, email="g1@acme.org")
    clock.now += 1800
    await add(api)
    assert (await api.call("POST", "{org}/guests", json={"email": "h@acme.org"})).status_code == 429


async def test_cap_is_a_setting(make: Callable[..., Api]) -> None:
    api = make(guest_invites_per_hour=None)
    for number in range(40):
        await add(api, email=f"g{number}@acme.org")


async def test_lists(api: Api) -> None:
    for email in ("zoe@acme.org", "bob@acme.org"):
        await add(api, email=email)
    reply = await api.get("{org}/guests")
    assert reply["meta"]["pagination"]["per_page"] == 999
    assert [row["email"] for row in reply["data"]][-2:] == ["zoe@acme.org", "bob@acme.org"]
    assert set(await api.get("{org}/guests", without_pagination="true")) == {"data"}
    assert [row["email"] for row in (await api.get("{org}/guests", q="ACME", sort_by="email"))["data"]] == [
        "bob@acme.org",
        "zoe@acme.org",
    ]
    down = [row["email"] for row in (await api.get("{org}/guests", sort="-email"))["data"]]
    assert down == sorted(down, reverse=True)
    short = await api.get("{org}/guests-list")
    assert set(short) == {"data"}
    assert {row["email"] for row in short["data"]} == set(api.tenant.guests)


async def test_stats_count_the_guest_s_tasks(api: Api) -> None:
    tasks = [task for task in api.tenant.tasks.values() if OLD in task.guests]
    stats = (await api.get(f"{{org}}/guests/{OLD}", **{"with": "stats"}))["data"]["stats"]
    assert stats["assigned_tasks"] == len(open_tasks(api, OLD))
    assert stats["tasks_completed"] == sum(task.completed_at is not None for task in tasks)


async def test_update_keeps_only_the_associated_members(api: Api) -> None:
    path = f"{{org}}/guests/{OLD}"
    before = (await api.get(path))["data"]
    for sent, kept in (([1002, "1003"], [1002, 1003]), ([], [])):
        body = {"associated_members": sent, "first_name": "Lost", "company_name": "Lost"}
        reply = await api.call("PUT", path, json=body)
        assert reply.status_code == 201
        assert reply.json()["data"] == before | {"details": before["details"] | {"associated_members": kept}}
    reply = await api.call("PUT", path, json={"first_name": "Lost"})
    assert reply.json()["data"]["details"]["associated_members"] == []
    reply = await api.call("PUT", path, json={"associated_members": [1001, 9]})
    assert (reply.status_code, list(reply.json()["errors"])) == (422, ["associated_members.1"])


async def test_unknown_guest(make: Callable[..., Api]) -> None:
    api = make(unknown_guest_update="422")
    path = "{org}/guests/who@acme.org"
    assert (await api.call("GET", path)).json()["code"] == "RESOURCE_NOT_FOUND"
    for method in ("DELETE", "PUT"):
        reply = await api.call(method, path, json={})
        assert (reply.status_code, reply.json()["errors"]) == (422, {"email": ["The selected email is invalid."]})
    api.sandbox.configure(unknown_guest_update="404", guest_read_status=201)
    assert (await api.call("PUT", path, json={})).status_code == 404
    assert (await api.call("GET", f"{{org}}/guests/{OLD}")).status_code == 201


async def test_delete_detaches(api: Api) -> None:
    group = next(iter(api.tenant.groups.values()))
    group.guests = [OLD]
    assert open_tasks(api, OLD)
    reply = await api.call("DELETE", f"{{org}}/guests/{OLD}")
    assert reply.json()["data"]["deleted_at"] == "2026-11-02T06:13:20Z"
    assert not any(OLD in task.guests for task in api.tenant.tasks.values())
    assert group.guests == []
    assert (await api.call("GET", f"{{org}}/guests/{OLD}")).status_code == 404


async def test_disable_and_enable(api: Api) -> None:
    path = f"{{org}}/guests/{OLD}"
    reply = await api.call("DELETE", f"{path}/disable")
    assert (reply.status_code, reply.json()) == (403, {"message": "Cannot disable guest with incomplete tasks"})
    for task in open_tasks(api, OLD):
        task.status = "completed"
    details = (await api.call("DELETE", f"{path}/disable")).json()["data"]["details"]
    assert (details["disabled_at"], details["disabled_by"]) == ("2026-11-02T06:13:20Z", 1001)
    details = (await api.call("PUT", f"{path}/enable")).json()["data"]["details"]
    assert (details["disabled_at"], details["reactivated_by"]) == (None, 1001)


async def test_guest_becomes_a_member(api: Api) -> None:
    path, tasks = f"{{org}}/guests/{OLD}/to/member", open_tasks(api, OLD)
    group = next(iter(api.tenant.groups.values()))
    group.guests = [OLD]
    api.sandbox.configure(full_seats=0)
    assert (await api.call("POST", path)).json()["error"]["code"] == "SEAT_POOL_EXHAUSTED"
    assert OLD in api.tenant.guests
    api.sandbox.configure(full_seats=None)
    row = (await api.call("POST", path)).json()["data"]
    assert (row["email"], row["role"], row["status"]) == (OLD, "standard", "active")
    assert all(row["id"] in task.users and OLD not in task.guests for task in tasks)
    assert (group.guests, group.members[-1]) == ([], row["id"])
    assert OLD not in api.tenant.guests
    assert api.sandbox.world.mail[-1].to == OLD
    api.token = api.sandbox.world.personal_token(1002, life=60).value
    assert (await api.call("POST", "{org}/guests/guest2@client.org/to/member")).status_code == 403


async def test_mentioned_member_is_not_made_twice(api: Api) -> None:
    email = api.sandbox.credentials.username
    api.tenant.mention(email)
    assert (await api.call("POST", f"{{org}}/guests/{email}/to/member")).status_code == 403
    assert api.tenant.members[1001].is_admin


async def test_tasks_of_a_guest_come_in_tens(api: Api) -> None:
    code = (await api.get(f"{{org}}/guests/{OLD}"))["data"]["link"].rpartition("/")[2]
    for task in list(api.tenant.tasks.values())[:30]:
        task.guests = [OLD]
    mine = [t for t in api.tenant.tasks.values() if OLD in t.guests and t.archived_at is None]
    api.tenant.changed()
    page = await api.get(f"{{org}}/guests/{code}/tasks", per_page=50, page=2)
    assert (page["meta"]["pagination"]["per_page"], page["meta"]["pagination"]["total"]) == (10, len(mine))
    assert len(page["data"]) == 10
    done = await api.get(f"{{org}}/guests/{code}/tasks", status="completed")
    assert done["meta"]["pagination"]["total"] == sum(t.status == "completed" for t in mine)
    assert (await api.call("GET", f"{{org}}/guests/{OLD}/tasks")).status_code == 404


async def test_owners_bring_guests_in(api: Api) -> None:
    task = next(t for t in api.tenant.tasks.values() if t.is_oneoff and t.is_open)
    body = {"title": "T", "deadline": "2026-12-01 10:00:00", "owners": {"users": [1001], "guests": ["Fresh@acme.org"]}}
    assert (await api.call("PUT", f"{{org}}/tasks/{task.id}", json=body)).status_code == 200
    assert (await api.get("{org}/guests/fresh@acme.org"))["data"]["created_at"] == "2026-11-02T06:13:20Z"
    assert task.guests == ["fresh@acme.org"]
