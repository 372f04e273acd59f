"""Authorization codes at the token endpoint, in the words of league/oauth2-server 8.5 and 9.4."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from .browser import PKCE, VERIFIER, Visit

if TYPE_CHECKING:
    import httpx

    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio
APP = "https://app.example/callback"


async def trade(api: Api, code: str | None, **fields: Any) -> httpx.Response:
    return await api.form(**{"grant_type": "authorization_code", "code": code, "redirect_uri": APP} | fields)


async def test_code_gives_a_pair_tied_to_the_chosen_organization(api: Api) -> None:
    other = api.sandbox.credentials.organizations[1]
    code = await Visit(api, scope="account process").code(other)
    reply = await trade(api, code)
    tokens = reply.json()
    assert set(tokens) == {"token_type", "expires_in", "access_token", "refresh_token"}
    assert (tokens["expires_in"], reply.headers["cache-control"]) == (3600, "no-store")
    assert (api.sandbox.token_lives, api.sandbox.lives_used) == (1, 0)
    for _ in range(2):
        api.token = tokens["access_token"]
        assert (await api.call("GET", f"/organizations/{other}/me")).status_code == 200
        assert (await api.call("GET", "{org}/me")).status_code == 403
        assert (await api.get("/me"))["data"]["email"] == api.sandbox.credentials.username
        scopes = api.sandbox.world.vault.access[api.token].scopes
        assert scopes == {"account", "process"}
        tokens = (await api.refresh(tokens["refresh_token"])).json()
    assert api.sandbox.token_lives == 3


@pytest.mark.parametrize("league", [8, 9])
async def test_code_works_once(make: Callable[..., Api], league: int) -> None:
    api = make(league=league)
    code = await Visit(api).code()
    first = await trade(api, code)
    second = await trade(api, code)
    body = second.json()
    assert (first.status_code, second.status_code) == (200, 400)
    assert body["hint"] == "Authorization code has been revoked"
    assert body["error"] == ("invalid_request" if league == 8 else "invalid_grant")
    assert await api.use(first.json()["access_token"]) == 200
    stats = api.sandbox.report()
    assert stats["token_requests"] == {"authorization_code": {"ok": 1, body["error"]: 1}}
    assert stats["codes_presented_twice"] == api.sandbox.stats.codes_presented_twice == 1
    assert stats["presented_twice"] == 0
    assert api.sandbox.token_lives == 1


@pytest.mark.parametrize("league", [8, 9])
async def test_code_lives_ten_minutes(make: Callable[..., Api], clock: Clock, league: int) -> None:
    api = make(league=league)
    codes = [await Visit(api).code() for _ in range(2)]
    clock.now += 600
    assert (await trade(api, codes[0])).status_code == 200
    clock.now += 1
    reply = await trade(api, codes[1])
    word = "invalid_request" if league == 8 else "invalid_grant"
    assert (reply.status_code, reply.json()["error"], reply.json()["hint"]) == (
        400,
        word,
        "Authorization code has expired",
    )


async def test_code_life_is_a_setting(make: Callable[..., Api], clock: Clock) -> None:
    api = make(code_life=5)
    code = await Visit(api).code()
    clock.now += 6
    assert (await trade(api, code)).status_code == 400


@pytest.mark.parametrize(
    ("league", "code", "hint"),
    [
        (8, "invalid_request", "Cannot decrypt the authorization code"),
        (9, "invalid_grant", "Cannot validate the provided authorization code"),
    ],
)
async def test_unknown_code(make: Callable[..., Api], league: int, code: str, hint: str) -> None:
    reply = await trade(make(league=league), "def50200nonsense")
    body = reply.json()
    assert (reply.status_code, body["error"], body["hint"]) == (400, code, hint)
    assert ("message" in body) == (league == 8)


@pytest.mark.parametrize("league", [8, 9])
@pytest.mark.parametrize(
    ("fields", "code", "hint"),
    [
        ({"code": None}, "invalid_request", "Check the `code` parameter"),
        ({"redirect_uri": None}, "invalid_request", "Check the `redirect_uri` parameter"),
        ({"redirect_uri": APP + "/"}, "invalid_request", "Invalid redirect URI"),
        ({"code_verifier": None}, "invalid_request", "Check the `code_verifier` parameter"),
        ({"code_verifier": "short"}, "invalid_request", "Code Verifier must follow the specifications of RFC-7636."),
        ({"code_verifier": "w" * 43}, "invalid_grant", "Failed to verify `code_verifier`."),
        ({"client_secret": "wrong"}, "invalid_client", None),
        ({"client_secret": None}, "invalid_client", None),
        ({"client_id": "9999"}, "invalid_client", None),
    ],
)
async def test_refusals_leave_the_code_alive(
    make: Callable[..., Api], league: int, fields: dict[str, Any], code: str, hint: str | None
) -> None:
    api = make(league=league)
    mine = await Visit(api, **PKCE).code()
    reply = await trade(api, **{"code": mine, "code_verifier": VERIFIER} | fields)
    body = reply.json()
    assert (reply.status_code, body["error"]) == (401 if code == "invalid_client" else 400, code)
    assert body.get("hint") == hint
    assert (await trade(api, mine, code_verifier=VERIFIER)).status_code == 200


async def test_verifier_that_nobody_asked_for(api: Api) -> None:
    code = await Visit(api).code()
    reply = await trade(api, code, code_verifier=VERIFIER)
    assert reply.json()["hint"] == "code_verifier received when no code_challenge is present"


async def test_code_of_another_client(api: Api) -> None:
    other = api.sandbox.add_client(redirect_uris=[APP])
    code = await Visit(api).code()
    reply = await trade(api, code, client_id=other.id, client_secret=other.secret)
    assert (reply.status_code, reply.json()["hint"]) == (400, "Authorization code was not issued to this client")
    assert (await trade(api, code)).status_code == 200


async def test_public_client_needs_no_secret_and_gets_no_other_grant(api: Api) -> None:
    mine = api.sandbox.credentials
    me: dict[str, Any] = {"client_id": mine.public_client_id, "client_secret": None}
    visit = Visit(api, client_id=mine.public_client_id, **PKCE)
    stolen = await trade(api, await visit.code(), **me)
    assert stolen.json()["error"] == "invalid_request"
    tokens = (await trade(api, await visit.code(), code_verifier=VERIFIER, **me)).json()
    again = await api.refresh(tokens["refresh_token"], **me)
    assert await api.use(again.json()["access_token"]) == 200
    for reply in (await api.login(**me), await api.form(grant_type="client_credentials", **me)):
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    foreign = (await api.login()).json()["refresh_token"]
    assert (await api.refresh(foreign, **me)).json()["hint"] == "Token is not linked to client"


async def test_loopback_port_of_the_code_must_be_the_same(api: Api) -> None:
    uri = "http://127.0.0.1:4000/callback"
    code = await Visit(api, redirect_uri=uri).code()
    assert (await trade(api, code, redirect_uri=uri.replace("4000", "4001"))).status_code == 400
    assert (await trade(api, code, redirect_uri=uri)).status_code == 200
