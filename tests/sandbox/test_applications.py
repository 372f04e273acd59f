from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio
EVE = {"first_name": "Eve", "last_name": "Hopper", "email": "Eve.Hopper@analytical-engines.com"}
REFUSED = {"message": "You don't have application's permissions for this organization!"}


async def as_application(api: Api, **fields: Any) -> Api:
    api.token = (await api.form(grant_type="client_credentials", **fields)).json()["access_token"]
    return api


def users(api: Api) -> str:
    return f"/applications/{api.sandbox.credentials.organization}/users"


async def mint(api: Api, email: str) -> Any:
    return await api.call("POST", f"{users(api)}/{email}/token")


async def test_application_adds_a_member_and_acts_for_them(api: Api, clock: Clock) -> None:
    await as_application(api)
    reply = await api.call("POST", users(api), json=EVE | {"role": "light", "timezone": "Europe/London", "odd": 1})
    made = reply.json()["data"]
    assert reply.status_code == 200
    assert made["email"] == EVE["email"].lower()
    assert (made["role"], made["created_at"]) == ("light", "2026-11-02T06:13:20.000Z")
    tokens = await mint(api, "Eve.Hopper%40analytical-engines.com")
    assert tokens.status_code == 200
    assert set(tokens.json()) == {"token_type", "expires_in", "access_token"}
    assert (tokens.json()["expires_in"], api.sandbox.token_lives, api.sandbox.lives_used) == (3600, 2, 1)
    api.token = tokens.json()["access_token"]
    me = (await api.get("{org}/me"))["data"]
    assert (me["id"], me["role"], me["UTC_offset"], me["status"]) == (made["id"], "Light", "+00:00", "active")
    assert made["id"] in api.sandbox.truth()["users"]
    assert api.sandbox.lives_used == 2
    clock.now += 3600
    assert await api.use(api.token) == 401


async def test_lifetime_is_a_setting(make: Callable[..., Api]) -> None:
    api = await as_application(make(user_token_life=7776000))
    assert (await mint(api, api.sandbox.credentials.username)).json()["expires_in"] == 7776000


async def test_role_and_timezone_have_defaults(api: Api) -> None:
    await as_application(api)
    made = (await api.call("POST", users(api), json=EVE)).json()["data"]
    user = api.sandbox.world.users[made["id"]]
    assert (made["role"], user.timezone, user.home) == ("standard", "America/Chicago", api.tenant.id)
    assert (await api.login(username=user.email, password="")).status_code == 400


async def test_tokens_of_members_have_the_application_s_scopes_and_survive_logout(api: Api) -> None:
    await as_application(api, scope="account")
    api.token = (await mint(api, api.sandbox.credentials.username)).json()["access_token"]
    assert (await api.call("POST", "{org}/runs", json={})).status_code == 403
    api.sandbox.world.logout(1001)
    assert await api.use(api.token) == 200


async def test_adding_members_needs_the_organization_scope(api: Api) -> None:
    await as_application(api, scope="process")
    assert (await api.call("POST", users(api), json=EVE)).json() == {"message": "Invalid scope(s) provided."}


async def test_other_organizations_and_users_are_refused(api: Api) -> None:
    other = api.sandbox.credentials.organizations[1]
    email = api.sandbox.credentials.username
    for token in (api.token, (await api.login()).json()["access_token"]):
        api.token = token
        for path in (users(api), f"{users(api)}/{email}/token"):
            reply = await api.call("POST", path, json=EVE)
            assert (reply.status_code, reply.json()) == (403, REFUSED)
    await as_application(api)
    for path in (f"/applications/{other}/users", f"/applications/{other}/users/{email}/token"):
        reply = await api.call("POST", path, json=EVE)
        assert (reply.status_code, reply.json()) == (403, REFUSED)
    branch = api.sandbox.add_client(organization=other)
    await as_application(api, client_id=branch.id, client_secret=branch.secret)
    assert (await mint(api, email)).status_code == 403
    assert (await api.call("POST", f"/applications/{other}/users/{email}/token")).status_code == 200
    assert (await api.call("POST", f"/applications/{'0' * 32}/users", json=EVE)).status_code == 404
    api.token = "dead"
    assert (await mint(api, email)).status_code == 401
    assert api.sandbox.stats.user_token_requests == {"403": 4, "ok": 1, "401": 1}


async def test_unknown_and_foreign_members(api: Api) -> None:
    await as_application(api)
    unknown = await mint(api, "nobody@analytical-engines.com")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "RESOURCE_NOT_FOUND")
    api.tenant.members.pop(1003)
    api.tenant.members[1002].status = "disabled"
    for number in (1002, 1003):
        reply = await mint(api, api.sandbox.world.users[number].email)
        errors = {"email": ["The user does not belong to this organization."]}
        assert (reply.status_code, reply.json()["errors"]) == (422, errors)
    assert api.sandbox.report()["user_token_requests"] == {"404": 1, "422": 2}
    assert api.sandbox.token_lives == 1


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"first_name": None}, "first_name", "required"),
        ({"last_name": " "}, "last_name", "required"),
        ({"last_name": "x" * 33}, "last_name", "greater than 32"),
        ({"first_name": "https://spam.example"}, "first_name", "format"),
        ({"email": None}, "email", "required"),
        ({"email": "no address"}, "email", "valid email"),
        ({"email": "a@b"}, "email", "valid email"),
        ({"email": "a@b.c\n"}, "email", "valid email"),
        ({"email": "a@example.com"}, "email", "valid email"),
        ({"email": "a@mail.invalid"}, "email", "valid email"),
        ({"email": "ADA.lovelace@analytical-engines.com"}, "email", "already been taken"),
        ({"role": "owner"}, "role", "invalid"),
        ({"role": 7}, "role", "must be a string"),
        ({"timezone": 7}, "timezone", "string"),
    ],
)
async def test_bad_input(api: Api, change: dict[str, Any], field: str, words: str) -> None:
    await as_application(api)
    api.sandbox.world.users[1001].email = "ada.lovelace@analytical-engines.com"
    before = api.sandbox.truth()
    reply = await api.call("POST", users(api), json=EVE | change)
    assert (reply.status_code, list(reply.json()["errors"])) == (422, [field])
    assert words in reply.json()["errors"][field][0]
    assert api.sandbox.truth() == before


async def test_role_of_another_type_is_no_crash(api: Api) -> None:
    await as_application(api)
    body: dict[str, Any]
    for body in ({"role": ["admin"]}, {"role": {}}, {"timezone": []}):
        assert (await api.call("POST", users(api), json=EVE | body)).status_code == 422


async def test_seats(make: Callable[..., Api]) -> None:
    api = await as_application(make())
    held = [m for m in api.tenant.members.values() if m.status != "disabled"]
    light = sum(m.role == "Light" for m in held)
    api.sandbox.configure(full_seats=len(held) - light + 1, light_seats=light)
    emails = iter(f"new{n}@analytical-engines.com" for n in range(9))

    async def add(role: str) -> Any:
        return await api.call("POST", users(api), json=EVE | {"email": next(emails), "role": role})

    for role, pool in (("light", "light"), ("admin", None), ("standard", "full"), ("admin", "full")):
        reply = await add(role)
        assert reply.status_code == (409 if pool else 200)
        if pool:
            message = f"Your organization has reached its committed {pool} seat limit."
            details = {"pool_type": pool}
            assert reply.json() == {"error": {"code": "SEAT_POOL_EXHAUSTED", "message": message, "details": details}}
    member = next(m for m in api.tenant.members.values() if m.role == "Standard" and m.status == "active")
    member.status = "disabled"
    assert (await add("standard")).status_code == 200
