from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio
INVITE = {
    "email": "Eve@engines.org",
    "first_name": "Eve",
    "last_name": "Hopper",
    "role": "standard",
    "message": "Welcome",
}
PROFILE = {"first_name": "Ada", "last_name": "King", "timezone": "Europe/London"}
DEFAULT_ADMIN = "Cannot modify the default administrator. Please assign another member as default administrator first."
STANDARD = 1002


def act_as(api: Api, user_id: int) -> None:
    api.token = api.sandbox.world.personal_token(user_id, life=3600).value


async def done(api: Api, method: str, path: str, **body: Any) -> Any:
    reply = await api.call(method, f"{{org}}/users/{path}", **({"json": body} if body else {}))
    assert reply.status_code == 200, reply.text
    return reply.json()["data"]


async def refused(api: Api, method: str, path: str, status: int, **body: Any) -> Any:
    before = [(m.role, m.status) for m in api.tenant.members.values()]
    reply = await api.call(method, f"{{org}}/users/{path}", **({"json": body} if body else {}))
    assert reply.status_code == status, reply.text
    assert [(m.role, m.status) for m in api.tenant.members.values()] == before
    return reply.json()


async def test_invited_member(api: Api) -> None:
    row = await done(api, "POST", "invite", **INVITE)
    assert (row["email"], row["role"], row["status"]) == ("eve@engines.org", "standard", "invited")
    assert row["username"] is row["type"] is row["last_login_at"] is None
    assert not int(row["is_active"])
    assert (row["approved_at"], row["invited_by"]) == ("2026-11-02T06:13:20Z", 1001)
    listed = (await api.get("{org}/users", q="eve@"))["data"]
    assert [(entry["id"], entry["role"]) for entry in listed] == [(row["id"], "Standard")]
    assert [mail.to for mail in api.sandbox.world.mail] == ["eve@engines.org"]
    assert row["id"] in {entry["id"] for entry in (await api.get("{org}/users-list"))["data"]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "x@example.de"}, "email"),
        ({"email": "x@mail.invalid"}, "email"),
        ({"email": "no address"}, "email"),
        ({"first_name": "x" * 33}, "first_name"),
        ({"last_name": "www.spam.org"}, "last_name"),
        ({"role": "Admin"}, "role"),
        ({"message": ""}, "message"),
        ({"message": "x" * 5001}, "message"),
        ({"message": None}, "message"),
    ],
)
async def test_bad_invitations(api: Api, change: dict[str, Any], field: str) -> None:
    found = await refused(api, "POST", "invite", 422, **INVITE | change)
    assert list(found["errors"]) == [field]
    assert not api.sandbox.world.mail


async def test_known_people_are_invited_once_and_keep_their_name(api: Api) -> None:
    mine = api.sandbox.credentials
    found = await refused(api, "POST", "invite", 422, **INVITE | {"email": mine.username.upper()})
    assert found == {"error": True, "errors": {"email": ["The email has already been taken."]}}
    known = api.sandbox.world.users[1010]
    branch = api.sandbox.world.tenants[mine.organizations[1]]
    token = api.sandbox.world.personal_token(1001, life=60)
    token.organization = branch.id
    headers = {"Authorization": f"Bearer {token.value}"}
    path = f"/organizations/{branch.id}/users/invite"
    reply = await api.call("POST", path, json=INVITE | {"email": known.email}, headers=headers)
    assert (reply.json()["data"]["id"], reply.json()["data"]["last_name"]) == (1010, known.last_name)


async def test_who_may_invite(api: Api) -> None:
    act_as(api, STANDARD)
    assert (await done(api, "POST", "invite", **INVITE))["invited_by"] == STANDARD
    other = INVITE | {"email": "b@engines.org"}
    assert (await refused(api, "POST", "invite", 403, **other | {"role": "admin"}))["message"]
    api.tenant.allow_user_invite = False
    await refused(api, "POST", "invite", 403, **other)


async def test_application_may_invite_too(api: Api) -> None:
    api.token = (await api.form(grant_type="client_credentials")).json()["access_token"]
    assert (await done(api, "POST", "invite", **INVITE | {"role": "admin"}))["invited_by"] is None
    assert (await api.call("GET", "{org}/users-list")).status_code == 401
    api.token = (await api.form(grant_type="client_credentials", scope="process")).json()["access_token"]
    assert (await api.call("POST", "{org}/users/invite", json=INVITE)).status_code == 403


async def test_everything_else_is_for_administrators(api: Api) -> None:
    act_as(api, STANDARD)
    for method, path in (
        ("PUT", "1003"),
        ("DELETE", "1003"),
        ("PUT", "1003/approve"),
        ("DELETE", "1003/disable"),
        ("PUT", "1003/enable"),
        ("DELETE", "1003/delete"),
        ("PUT", "1003/role"),
        ("PUT", "1003/to/guest"),
    ):
        body = PROFILE | {"role": "light"} if method == "PUT" else {}
        assert (await refused(api, method, path, 403, **body))["message"]


async def test_disable_frees_a_seat_that_enable_takes(api: Api) -> None:
    full = sum(m.holds_seat and m.role != "Light" for m in api.tenant.members.values())
    api.sandbox.configure(full_seats=full)
    assert (await refused(api, "POST", "invite", 409, **INVITE))["error"]["details"] == {"pool_type": "full"}
    row = await done(api, "DELETE", f"{STANDARD}/disable")
    assert (row["status"], row["disabled_at"], row["disabled_by"]) == ("disabled", "2026-11-02T06:13:20Z", 1001)
    await done(api, "POST", "invite", **INVITE)
    await refused(api, "PUT", f"{STANDARD}/enable", 409)
    api.sandbox.configure(full_seats=full + 1)
    row = await done(api, "PUT", f"{STANDARD}/enable")
    assert (row["status"], row["disabled_at"], row["reactivated_by"]) == ("active", None, 1001)
    api.sandbox.configure(full_seats=0)
    assert (await done(api, "PUT", f"{STANDARD}/enable"))["status"] == "active"
    await done(api, "DELETE", f"{STANDARD}/disable")
    assert (await done(api, "DELETE", f"{STANDARD}/disable"))["status"] == "disabled"


async def test_disabled_members_are_out(api: Api) -> None:
    admin, member = api.token, api.sandbox.world.personal_token(1006, life=3600).value
    await done(api, "DELETE", "1006/disable")
    api.token = member
    for path in ("/me", "{org}/me"):
        assert (await api.call("GET", path)).status_code == 401
    api.token = admin
    await done(api, "DELETE", "1006/delete")
    api.token = member
    assert (await api.call("GET", "/me")).status_code == 401


async def test_member_of_two_organizations_still_reads_me(api: Api) -> None:
    member = api.sandbox.world.personal_token(STANDARD, life=3600).value
    await done(api, "DELETE", f"{STANDARD}/disable")
    api.token = member
    assert (await api.get("/me"))["data"]["id"] == STANDARD


async def test_remove_moves_open_tasks_when_asked(api: Api) -> None:
    mine = [task for task in api.tenant.tasks.values() if STANDARD in task.users]
    still_open = [task for task in mine if task.is_open]
    assert 0 < len(still_open) < len(mine)
    for query, status in (("", 400), ("&to=999999", 404), (f"&to={STANDARD}", 400), ("&to=x", 404)):
        await refused(api, "DELETE", f"{STANDARD}?with_reassignment=true{query}", status)
    row = await done(api, "DELETE", f"{STANDARD}?with_reassignment=true&to=1004")
    assert row["status"] == "disabled"
    for task in mine:
        assert (STANDARD in task.users) != task.is_open
        assert not task.is_open or task.users.count(1004) == 1


async def test_remove_without_reassignment_keeps_the_owner(api: Api) -> None:
    mine = [task.id for task in api.tenant.tasks.values() if STANDARD in task.users]
    await done(api, "DELETE", str(STANDARD))
    assert [task.id for task in api.tenant.tasks.values() if STANDARD in task.users] == mine


async def test_bots(api: Api) -> None:
    api.sandbox.world.users[1004].is_bot = True
    found = await refused(api, "DELETE", "1004", 400)
    assert found == {"error": True, "message": "You can't remove a bot user from this organization!"}
    found = await refused(api, "DELETE", "1004/disable", 400)
    assert found["message"] == "Bot users cannot be disabled."
    await refused(api, "PUT", "1004", 400, **PROFILE)
    await refused(api, "PUT", "1004/role", 400, role="light")


async def test_default_role_moves_and_the_last_administrator_stays(api: Api) -> None:
    first, last = api.tenant.members[1001], STANDARD
    assert [m for m in api.tenant.members.values() if m.is_admin and m.status == "active"] == [first]
    await done(api, "PUT", f"{last}/role", role="admin")
    await done(api, "PUT", "1001/role", role="admin")
    assert first.default_admin
    act_as(api, last)
    await done(api, "DELETE", "1001/disable")
    assert (first.default_admin, api.tenant.members[last].default_admin) == (False, True)
    for method, path, body in (
        ("DELETE", f"{last}/disable", {}),
        ("DELETE", f"{last}?with_reassignment=true&to=1004", {}),
        ("PUT", f"{last}/role", {"role": "standard"}),
        ("PUT", f"{last}/to/guest", {}),
    ):
        assert await refused(api, method, path, 400, **body) == {"error": True, "message": DEFAULT_ADMIN}


async def test_role_upward_needs_a_full_seat(api: Api) -> None:
    light = next(m.user.id for m in api.tenant.members.values() if m.is_light and m.status == "active")
    api.sandbox.configure(full_seats=0, light_seats=0)
    await refused(api, "PUT", f"{light}/role", 409, role="standard")
    await refused(api, "PUT", f"{light}/role", 409, role="admin")
    assert (await done(api, "PUT", f"{STANDARD}/role", role="admin"))["role"] == "admin"
    assert (await done(api, "PUT", f"{STANDARD}/role", role="light"))["role"] == "light"
    assert (await api.get(f"{{org}}/users/{STANDARD}"))["data"]["role"] == "Light"


async def test_delete_is_for_disabled_members(api: Api) -> None:
    found = await refused(api, "DELETE", "1004/delete", 400)
    assert found == {"error": True, "message": "Please disable the user before deletion."}
    before = api.sandbox.world.users[1004]
    email, last = before.email, before.last_name
    await done(api, "DELETE", "1004/disable")
    row = await done(api, "DELETE", "1004/delete")
    assert (row["last_name"], row["email"]) == (f"{last}(Deleted)", f"{email}.deleted.1004")
    assert row["status"] == "disabled"
    assert (await api.call("GET", "{org}/users/1004")).status_code == 404
    assert not any(1004 in group.members for group in api.tenant.groups.values())
    assert (await done(api, "POST", "invite", **INVITE | {"email": email}))["id"] != 1004


async def test_deleted_here_and_kept_elsewhere(api: Api) -> None:
    email = api.sandbox.world.users[STANDARD].email
    await done(api, "DELETE", f"{STANDARD}/disable")
    assert (await done(api, "DELETE", f"{STANDARD}/delete"))["email"] == f"{email}.deleted.{STANDARD}"
    assert api.sandbox.world.users[STANDARD].email == email


async def test_request_to_join(api: Api) -> None:
    row = api.tenant.members[1004]
    row.approved, row.status = False, "invited"
    pending = (await api.get("{org}/users/1004"))["data"]
    assert (pending["status"], pending["approved_at"]) == ("invited", None)
    api.sandbox.configure(full_seats=0)
    await refused(api, "PUT", "1004/approve", 409)
    api.sandbox.configure(full_seats=None)
    approved = await done(api, "PUT", "1004/approve")
    assert (approved["status"], approved["approved_at"]) == ("active", "2026-11-02T06:13:20Z")
    assert (await done(api, "PUT", "1004/approve"))["status"] == "active"


async def test_profile(api: Api, clock: Clock) -> None:
    more = {"phone": "123", "team": "Ops", "country_id": 3, "date_format": "dd/mm/yyyy", "job_title": None, "odd": 1}
    row = await done(api, "PUT", "1004", **PROFILE | more)
    assert (row["full_name"], row["UTC_offset"], row["team"], row["job_title"]) == ("Ada King", "+00:00", "Ops", None)
    assert (row["country_id"], row["date_format"], row["phone"]) == (3, "dd/mm/yyyy", "123")
    assert row["role"] == row["role"].lower()
    assert (await api.get("{org}/users/1004?with=country"))["data"]["country"]["data"]["iso2"] == "IN"
    for missing in PROFILE:
        found = await refused(api, "PUT", "1004", 422, **{k: v for k, v in PROFILE.items() if k != missing})
        assert list(found["errors"]) == [missing]
    for bad in ({"phone": "1" * 21}, {"country_id": 999}, {"date_format": "yyyy"}, {"step_preferences": 3}):
        found = await refused(api, "PUT", "1004", 422, **PROFILE | bad)
        assert list(found["errors"]) == list(bad)
    assert api.sandbox.world.users[1004].updated_at == int(clock.now)


async def test_member_of_several_organizations_is_changed_by_nobody_else(api: Api) -> None:
    assert (await refused(api, "PUT", str(STANDARD), 403, **PROFILE))["message"]
    assert (await done(api, "PUT", "1001", **PROFILE))["full_name"] == "Ada King"
    act_as(api, STANDARD)
    reply = await api.call("PUT", "{org}/me", json=PROFILE | {"first_name": "Al"})
    assert (reply.status_code, reply.json()["data"]["full_name"]) == (200, "Al King")
    assert (await api.get("/me"))["data"]["first_name"] == "Al"


async def test_member_becomes_a_guest(make: Callable[..., Api]) -> None:
    api = make(trial_guests=4)
    email = api.sandbox.world.users[1004].email
    mine = [task.id for task in api.tenant.tasks.values() if 1004 in task.users]
    next(iter(api.tenant.groups.values())).members.append(1004)
    await refused(api, "PUT", "1004/to/guest", 400)
    assert email not in api.tenant.guests
    api.sandbox.configure(trial_guests=5)
    invited = next(m.user.id for m in api.tenant.members.values() if m.status == "invited")
    await refused(api, "PUT", f"{invited}/to/guest", 400)
    guest = await done(api, "PUT", "1004/to/guest")
    assert guest["email"] == email
    assert api.tenant.members[1004].status == "disabled"
    assert not any(1004 in group.members for group in api.tenant.groups.values())
    assert [task.id for task in api.tenant.tasks.values() if 1004 in task.users] == mine
    assert (await api.get(f"{{org}}/guests/{email}"))["data"]["first_name"] == guest["first_name"]
    reply = await api.call("POST", f"{{org}}/guests/{email}/to/member")
    assert (reply.json()["data"]["id"], reply.json()["data"]["role"]) == (1004, "standard")
