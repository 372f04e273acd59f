from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio


async def test_password_grant_gives_a_usable_pair(api: Api) -> None:
    reply = await api.login(scope="*")
    tokens = reply.json()
    assert reply.status_code == 200
    assert set(tokens) == {"token_type", "expires_in", "access_token", "refresh_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert tokens["access_token"].count(".") == 2
    assert len(tokens["access_token"]) > 800
    assert await api.use(tokens["access_token"]) == 200
    assert "set-cookie" not in reply.headers


async def test_client_credentials_have_no_refresh_token_and_no_user(api: Api) -> None:
    tokens = (await api.form(grant_type="client_credentials", scope="*")).json()
    assert set(tokens) == {"token_type", "expires_in", "access_token"}
    reply = await api.call("GET", "/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert (reply.status_code, reply.json()) == (401, {"error": True, "message": "Unauthenticated."})


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"grant_type": None}, 400, "unsupported_grant_type"),
        ({"grant_type": "bearer"}, 400, "unsupported_grant_type"),
        ({"client_id": None}, 400, "invalid_request"),
        ({"client_id": "abc"}, 401, "invalid_client"),
        ({"client_id": "9999"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": None}, 401, "invalid_client"),
        ({"username": None}, 400, "invalid_request"),
        ({"password": None}, 400, "invalid_request"),
        ({"password": "wrong"}, 400, "invalid_grant"),
        ({"username": "nobody@example.org"}, 400, "invalid_grant"),
        ({"scope": "everything"}, 400, "invalid_scope"),
    ],
)
async def test_refusals(api: Api, fields: dict[str, Any], status: int, code: str) -> None:
    reply = await api.login(**fields)
    assert (reply.status_code, reply.json()["error"]) == (status, code)
    assert "access_token" not in reply.text


async def test_client_id_that_is_no_number_has_the_bare_body(api: Api) -> None:
    assert (await api.login(client_id="abc")).json() == {"error": "invalid_client"}


async def test_invited_and_disabled_members_cannot_log_in(api: Api) -> None:
    for status in ("invited", "disabled"):
        member = next(m for m in api.tenant.members.values() if m.status == status)
        assert (await api.login(username=member.user.email)).status_code == 400


@pytest.mark.parametrize(("league", "status", "code"), [(8, 401, "invalid_request"), (9, 400, "invalid_grant")])
async def test_dead_refresh_tokens_in_both_generations(
    make: Callable[..., Api], clock: Clock, league: int, status: int, code: str
) -> None:
    api = make(league=league, refresh_life=100)
    first = (await api.login()).json()
    second = (await api.refresh(first["refresh_token"])).json()
    clock.now += 101
    cases = {
        "Token has been revoked": first["refresh_token"],
        "Cannot decrypt the refresh token": "def50200nonsense",
        "Token has expired": second["refresh_token"],
    }
    clock.now -= 101
    for hint, token in cases.items():
        clock.now += 101 if hint == "Token has expired" else 0
        reply = await api.refresh(token)
        body = reply.json()
        assert (reply.status_code, body["error"], body["hint"]) == (status, code, hint)
        assert ("message" in body) == (league == 8)


async def test_refresh_token_of_another_client(api: Api) -> None:
    world, mine = api.sandbox.world, api.sandbox.credentials
    world.clients["7"] = type(world.clients[mine.client_id])(id="7", secret="other", organization=mine.organization)
    tokens = (await api.login()).json()
    reply = await api.refresh(tokens["refresh_token"], client_id="7", client_secret="other")
    assert reply.json()["hint"] == "Token is not linked to client"
    assert (await api.refresh(tokens["refresh_token"])).status_code == 200


async def test_rotation_without_grace(api: Api) -> None:
    old = (await api.login()).json()
    new = (await api.refresh(old["refresh_token"])).json()
    assert new["refresh_token"] != old["refresh_token"]
    assert await api.use(old["access_token"]) == 401
    assert await api.use(new["access_token"]) == 200
    assert (await api.refresh(old["refresh_token"])).status_code == 400
    assert await api.use(new["access_token"]) == 200
    assert api.sandbox.stats.reuses == 1
    assert api.sandbox.stats.presented_twice == 1


async def test_old_access_token_may_survive(make: Callable[..., Api]) -> None:
    api = make(revoke_old_access_on_refresh=False)
    old = (await api.login()).json()
    await api.refresh(old["refresh_token"])
    assert await api.use(old["access_token"]) == 200


async def test_reply_without_refresh_token_keeps_the_old_one(make: Callable[..., Api]) -> None:
    api = make(refresh_returns_refresh_token=False)
    old = (await api.login()).json()
    for _ in range(3):
        reply = await api.refresh(old["refresh_token"])
        assert "refresh_token" not in reply.json()
        assert await api.use(reply.json()["access_token"]) == 200
    assert api.sandbox.stats.reuses == 0


async def test_no_rotation_returns_the_same_one(make: Callable[..., Api]) -> None:
    api = make(rotate_refresh=False)
    old = (await api.login()).json()
    first = (await api.refresh(old["refresh_token"])).json()
    second = (await api.refresh(old["refresh_token"])).json()
    assert first["refresh_token"] == second["refresh_token"] == old["refresh_token"]
    assert await api.use(first["access_token"]) == 401
    assert await api.use(second["access_token"]) == 200


async def test_lives_end_by_the_clock(make: Callable[..., Api], clock: Clock) -> None:
    api = make(access_life=2, application_life=5, personal_life=7)
    user = (await api.login()).json()
    assert user["expires_in"] == 2
    assert (await api.form(grant_type="client_credentials")).json()["expires_in"] == 5
    clock.now += 1.9
    assert await api.use(user["access_token"]) == 200
    clock.now += 0.2
    assert await api.use(user["access_token"]) == 401
    assert await api.use(api.token) == 200
    clock.now += 5
    assert await api.use(api.token) == 401


async def test_scopes_narrow_and_never_widen(api: Api) -> None:
    tokens = (await api.login(scope="account process")).json()
    wider = await api.refresh(tokens["refresh_token"], scope="template")
    assert (wider.status_code, wider.json()["error"]) == (400, "invalid_scope")
    narrow = (await api.refresh(tokens["refresh_token"], scope="account")).json()
    api.token = narrow["access_token"]
    assert (await api.call("GET", "{org}/me/tasks")).status_code == 200
    assert (await api.call("GET", "{org}/runs")).status_code == 200
    refused = await api.call("POST", "{org}/runs", json={"checklist_id": "x"})
    assert (refused.status_code, refused.json()) == (403, {"message": "Invalid scope(s) provided."})


async def test_scope_check_can_be_off(make: Callable[..., Api]) -> None:
    api = make(enforce_scopes=False)
    api.token = (await api.login(scope="account")).json()["access_token"]
    assert (await api.call("POST", "{org}/runs", json={})).status_code == 422


@pytest.mark.parametrize(("encoding", "form", "json"), [("form", 200, 400), ("json", 400, 200), ("any", 200, 200)])
async def test_body_encodings(make: Callable[..., Api], encoding: str, form: int, json: int) -> None:
    api = make(body_encoding=encoding)
    mine = api.sandbox.credentials
    body = {
        "grant_type": "password",
        "client_id": mine.client_id,
        "client_secret": mine.client_secret,
        "username": mine.username,
        "password": mine.password,
    }
    assert (await api.login()).status_code == form
    assert (await api.http.post(api.sandbox.url + "/oauth/token", json=body)).status_code == json


@pytest.mark.parametrize(
    ("where", "body", "headers", "basic"), [("body", 1, 0, 0), ("headers", 0, 1, 1), ("any", 1, 1, 1)]
)
async def test_client_authentication(make: Callable[..., Api], where: str, body: int, headers: int, basic: int) -> None:
    api = make(client_auth=where)
    mine = api.sandbox.credentials
    data = {"grant_type": "password", "username": mine.username, "password": mine.password}
    pair = base64.b64encode(f"{mine.client_id}:{mine.client_secret}".encode()).decode()
    named = {"client_id": mine.client_id, "client_secret": mine.client_secret}
    url = api.sandbox.url + "/oauth/token"
    assert (await api.login()).is_success == body
    assert (await api.http.post(url, data=data, headers=named)).is_success == headers
    assert (await api.http.post(url, data=data, headers={"Authorization": f"Basic {pair}"})).is_success == basic


async def test_challenge_only_for_an_authorization_header(make: Callable[..., Api]) -> None:
    api = make(client_auth="any")
    plain = await api.login(client_secret="wrong")
    assert "www-authenticate" not in plain.headers
    basic = {"Authorization": "Basic " + base64.b64encode(b"4242:wrong").decode()}
    reply = await api.http.post(api.sandbox.url + "/oauth/token", data={"grant_type": "password"}, headers=basic)
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, 'Basic realm="OAuth"')


@pytest.mark.parametrize(("path", "status"), [("tokens", 200), ("cookie", 200), ("off", 404)])
async def test_second_refresh_path(make: Callable[..., Api], path: str, status: int) -> None:
    api = make(refresh_path=path)
    token = (await api.login()).json()["refresh_token"]
    reply = await api.form("/oauth/token/refresh", refresh_token=token)
    assert reply.status_code == status
    if path == "tokens":
        assert await api.use(reply.json()["access_token"]) == 200
    if path == "cookie":
        assert reply.text == "Refreshed."
        assert (await api.refresh(token)).status_code == 200


async def test_secret_rotation(api: Api) -> None:
    client = api.sandbox.world.clients[api.sandbox.credentials.client_id]
    client.secret = "new one"
    assert (await api.login()).status_code == 401
    assert (await api.login(client_secret="new one")).status_code == 200


async def test_logout_kills_personal_tokens_only(api: Api) -> None:
    tokens = (await api.login()).json()
    assert await api.use(api.token) == 200
    assert api.sandbox.world.logout(api.sandbox.credentials.username) == 1
    assert await api.use(api.token) == 401
    assert await api.use(tokens["access_token"]) == 200
    fresh = api.sandbox.world.personal_token(1001, life=10)
    assert await api.use(fresh.value) == 200
    assert api.sandbox.world.logout(1002) == 0
    with pytest.raises(KeyError):
        api.sandbox.world.logout("nobody")


@pytest.mark.parametrize(
    "header", ["Bearer  {}", "bearer {}", "Bearer {} ", "{}", "Bearer", "Bearer\t{}", "Token {}", "Bearer {}x"]
)
async def test_bearer_is_strict(api: Api, header: str) -> None:
    reply = await api.call("GET", "/me", headers={"Authorization": header.format(api.token)})
    assert reply.status_code == 401


async def test_token_endpoint_needs_no_client_header_but_calls_do(api: Api) -> None:
    assert (await api.login()).status_code == 200
    reply = await api.call("GET", "/me", headers={"X-Tallyfy-Client": None})
    assert (reply.status_code, reply.json()) == (401, {"error": True, "message": "Unauthenticated."})
    api.sandbox.configure(missing_client_header="404")
    reply = await api.call("GET", "/me", headers={"X-Tallyfy-Client": None})
    assert (reply.status_code, reply.json()["code"]) == (404, "ENDPOINT_NOT_FOUND")


async def test_other_organization(api: Api) -> None:
    other = next(t for t in api.sandbox.world.tenants if t != api.sandbox.credentials.organization)
    assert (await api.call("GET", f"/organizations/{other}/runs")).status_code == 403
    unknown = await api.call("GET", f"/organizations/{'0' * 32}/runs")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "RESOURCE_NOT_FOUND")


async def test_token_statistics(api: Api) -> None:
    tokens = (await api.login()).json()
    await api.login(password="wrong")
    await api.refresh(tokens["refresh_token"])
    await api.refresh(tokens["refresh_token"])
    seen = {grant: dict(outcomes) for grant, outcomes in api.sandbox.stats.token_requests.items()}
    assert seen == {"password": {"ok": 1, "invalid_grant": 1}, "refresh_token": {"ok": 1, "invalid_grant": 1}}
    assert api.sandbox.stats.token_total == 4
    assert (api.sandbox.token_lives, api.sandbox.lives_used) == (2, 0)
