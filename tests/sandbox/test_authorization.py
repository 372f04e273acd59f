from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tallyfy_async.sandbox import Client, Sandbox, Settings
from tallyfy_async.sandbox.signing import Signer

from .browser import CHALLENGE, PKCE, VERIFIER, Page, Visit, arrived

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio
APP = "https://app.example/callback"


async def test_login_page_is_plain_html_with_strict_headers(api: Api) -> None:
    reply = await Visit(api, state="s").open()
    page = Page(reply.text)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=UTF-8")
    assert {"login", "email", "password", "log-in", "deny"} <= set(page.ids)
    assert page.ids["login"]["method"] == "post"
    assert "action" not in page.ids["login"]
    assert not {"script", "img", "iframe", "style"} & set(page.tags)
    assert "http://" not in reply.text
    assert "https://" not in reply.text
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert "set-cookie" not in reply.headers
    assert "message" not in page.ids


async def test_page_is_not_below_the_api(api: Api) -> None:
    visit = Visit(api)
    assert api.sandbox.authorize_url == "http://sandbox.localhost/oauth/authorize"
    for method in ("GET", "POST"):
        reply = await api.http.request(method, api.sandbox.url + "/oauth/authorize", params=visit.query)
        assert reply.status_code == 404


async def test_consent_names_client_scopes_and_organizations(api: Api) -> None:
    page = Page((await Visit(api, scope="process account").login()).text)
    mine = api.sandbox.credentials
    assert page.organizations == list(mine.organizations)
    assert "checked" in page.ids[f"organization-{mine.organization}"]
    assert sum("checked" in field for field in page.fields) == 1
    assert "Engine Room" in page.text
    assert mine.username in page.text
    assert "processes, tasks and one-off tasks" in page.text
    assert "templates and steps" not in page.text
    assert mine.password not in page.text


async def test_only_active_memberships_are_offered(make: Callable[..., Api]) -> None:
    api = make(organizations=4)
    mine = api.sandbox.credentials
    api.sandbox.world.tenants[mine.organizations[1]].members[1001].status = "disabled"
    page = Page((await Visit(api).login()).text)
    assert page.organizations == [id_ for id_ in mine.organizations if id_ != mine.organizations[1]]
    for tenant in api.sandbox.world.tenants.values():
        tenant.members[1001].status = "disabled"
    page = Page((await Visit(api).login()).text)
    assert "not an active member" in page.text
    assert "login" in page.ids


async def test_code_comes_back_with_state_and_nothing_else(api: Api) -> None:
    state = "a b&c=d#e+f%20\"'<é"
    found = arrived(await Visit(api, state=state).answer())
    assert (set(found), found["state"]) == ({"code", "state"}, state)
    assert len(found["code"]) > 400
    assert set(arrived(await Visit(api).answer())) == {"code"}


@pytest.mark.parametrize("fields", [{"password": "wrong"}, {"email": "x@y.z"}, {"password": ""}, {"email": ""}])
async def test_wrong_login_shows_the_form_again(api: Api, fields: dict[str, str]) -> None:
    reply = await Visit(api).login(**fields)
    page = Page(reply.text)
    assert (reply.status_code, page.ids["message"]["role"]) == (200, "alert")
    assert "is wrong" in page.text
    assert page.ids["email"]["value"] == fields.get("email", api.sandbox.credentials.username)
    assert not page.ids["password"].get("value")
    mine = api.sandbox.credentials
    again = await Visit(api).post(form=page.hidden, action="login", email=mine.username, password=mine.password)
    assert "consent" in Page(again.text).ids


async def test_everything_is_escaped(api: Api) -> None:
    evil = "\"><script>alert(1)</script>'&"
    client = api.sandbox.add_client(name=evil, redirect_uris=[APP])
    visit = Visit(api, client_id=client.id, state=evil)
    for reply in (await visit.open(), await visit.login(email=evil, password=evil), await visit.login()):
        assert "<script" not in reply.text
        assert evil in Page(reply.text).text
    refused = await Visit(api, client_id=evil, redirect_uri=evil, scope=evil).open()
    assert "<script" not in refused.text
    assert Page((await visit.login(email=evil)).text).ids["email"]["value"] == evil


@pytest.mark.parametrize("step", ["login", "consent"])
async def test_denial_goes_back_with_state(api: Api, step: str) -> None:
    visit = Visit(api, state="xyz")
    reply = await (visit.login(action="deny") if step == "login" else visit.answer("deny"))
    found = arrived(reply)
    assert (found["error"], found["state"]) == ("access_denied", "xyz")
    assert "code" not in found
    assert not api.sandbox.world.vault.codes


@pytest.mark.parametrize(
    "query",
    [
        {"client_id": None},
        {"client_id": "9999"},
        {"redirect_uri": None},
        {"redirect_uri": APP + "/"},
        {"redirect_uri": APP + "?x=1"},
        {"redirect_uri": APP + "#x"},
        {"redirect_uri": "https://APP.example/callback"},
        {"redirect_uri": "http://app.example/callback"},
        {"redirect_uri": "https://app.example:443/callback"},
        {"redirect_uri": "https://app.example/callback\n"},
        {"redirect_uri": "https://app.example@evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1:1@evil.example/callback"},
        {"redirect_uri": "http://user@127.0.0.1:1/callback"},
        {"redirect_uri": "http://127.0.0.1:1\\@evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1:x/callback"},
        {"redirect_uri": "http://127.0.0.2:1/callback"},
        {"redirect_uri": "http://localhost:1/callback"},
        {"redirect_uri": "https://127.0.0.1:1/callback"},
        {"redirect_uri": "http://127.0.0.1:1/callback/more"},
        {"client_id": ["4242", "4343"]},
        {"redirect_uri": [APP, APP]},
    ],
)
async def test_strangers_get_a_page_and_no_redirect(api: Api, query: dict[str, Any]) -> None:
    for reply in (await Visit(api, **query).open(), await Visit(api, **query).post(action="deny")):
        assert (reply.status_code, "location" in reply.headers) == (400, False)
        assert reply.headers["content-type"].startswith("text/html")
        assert "error" in Page(reply.text).ids
    assert api.sandbox.stats.authorizations == {"refused": 2}


async def test_programs_get_the_body_of_the_contract(api: Api) -> None:
    reply = await Visit(api, client_id="9999").open(accept="application/json")
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":1", ":49152"])
async def test_loopback_takes_any_port(api: Api, host: str, port: str) -> None:
    uri = f"http://{host}{port}/callback"
    reply = await Visit(api, redirect_uri=uri).answer()
    assert reply.headers["location"].startswith(uri + "?code=")


async def test_query_of_the_redirect_uri_is_kept(api: Api) -> None:
    client = api.sandbox.add_client(redirect_uris=["https://app.example/cb?tenant=7", "com.example.app:/cb"])
    reply = await Visit(api, client_id=client.id, redirect_uri="https://app.example/cb?tenant=7", state="s").answer()
    assert set(arrived(reply)) == {"tenant", "code", "state"}
    reply = await Visit(api, client_id=client.id, redirect_uri="com.example.app:/cb").answer()
    assert reply.headers["location"].startswith("com.example.app:/cb?code=")


@pytest.mark.parametrize(
    ("query", "code", "hint"),
    [
        ({"response_type": None}, "invalid_request", "Check the `response_type` parameter"),
        ({"response_type": "id_token"}, "unsupported_response_type", None),
        ({"response_type": "code token"}, "unsupported_response_type", None),
        ({"response_type": ["code", "token"]}, "invalid_request", "Check the `response_type` parameter"),
        ({"scope": ["process", "account"]}, "invalid_request", "Check the `scope` parameter"),
        ({"scope": "everything"}, "invalid_scope", "Check the `everything` scope"),
        ({"code_challenge": CHALLENGE}, "invalid_request", "Code challenge method must be one of `S256`"),
        (PKCE | {"code_challenge_method": "plain"}, "invalid_request", "Code challenge method must be one of `S256`"),
        (PKCE | {"code_challenge": "short"}, "invalid_request", "Code challenge must follow"),
        (PKCE | {"code_challenge": "é" * 43}, "invalid_request", "Code challenge must follow"),
        (PKCE | {"code_challenge": None}, "invalid_request", "Check the `code_challenge` parameter"),
        ({"client_id": "4343"}, "invalid_request", "Code challenge must be provided for public clients"),
    ],
)
@pytest.mark.parametrize("league", [8, 9])
async def test_other_errors_go_back_with_state(
    make: Callable[..., Api], league: int, query: dict[str, Any], code: str, hint: str | None
) -> None:
    api = make(league=league)
    found = arrived(await Visit(api, state="s t", **query).open())
    assert (found["error"], found["state"]) == (code, "s t")
    assert found["error_description"]
    assert found.get("hint", "").startswith(hint or "")
    assert ("message" in found) == (league == 8)
    assert api.sandbox.stats.authorizations == {code: 1}


async def test_repeated_state_is_not_echoed(api: Api) -> None:
    found = arrived(await Visit(api, state=["a", "b"]).open())
    assert (found["error"], "state" in found) == ("invalid_request", False)


async def test_pkce_may_be_required_of_everybody(make: Callable[..., Api]) -> None:
    api = make(require_pkce=True)
    assert arrived(await Visit(api).open())["hint"] == "Check the `code_challenge` parameter"
    assert "login" in Page((await Visit(api, **PKCE).open()).text).ids
    assert "login" in Page((await Visit(api, response_type="token").open()).text).ids


@pytest.mark.parametrize("delivery", ["fragment", "query"])
async def test_implicit_token(make: Callable[..., Api], clock: Clock, delivery: str) -> None:
    api = make(implicit_delivery=delivery)
    other = api.sandbox.credentials.organizations[1]
    visit = Visit(api, response_type="token", state="s t", scope="account")
    found = arrived(await visit.answer(organization=other), fragment=delivery == "fragment")
    assert set(found) == {"access_token", "token_type", "expires_in", "state"}
    assert (found["token_type"], found["expires_in"], found["state"]) == ("Bearer", "840", "s t")
    api.token = found["access_token"]
    assert (await api.call("GET", f"/organizations/{other}/me")).status_code == 200
    assert (await api.call("GET", "{org}/me")).status_code == 403
    clock.now += 839
    assert await api.use(api.token) == 200
    clock.now += 1
    assert await api.use(api.token) == 401
    assert api.sandbox.token_lives == api.sandbox.lives_used == 0
    denied = arrived(await visit.answer("deny"), fragment=delivery == "fragment")
    assert (denied["error"], denied["state"]) == ("access_denied", "s t")


async def test_implicit_life_is_a_setting(make: Callable[..., Api]) -> None:
    api = make(implicit_life=15778800)
    assert arrived(await Visit(api, response_type="token").answer(), fragment=True)["expires_in"] == "15778800"


async def test_issuer_is_named_when_asked(make: Callable[..., Api]) -> None:
    api = make(send_iss=True)
    assert arrived(await Visit(api).answer())["iss"] == api.sandbox.issuer == "http://sandbox.localhost"
    assert arrived(await Visit(api).answer("deny"))["iss"] == api.sandbox.issuer
    assert arrived(await Visit(api, response_type="token").answer(), fragment=True)["iss"] == api.sandbox.issuer


async def test_forms_are_signed_bound_and_expire(api: Api, clock: Clock) -> None:
    mine, visit = api.sandbox.credentials, Visit(api, state="one")
    login = {"action": "login", "email": mine.username, "password": mine.password}
    form = Page((await visit.open()).text).hidden
    consent = Page((await visit.login()).text).hidden
    other = Visit(api, state="two")
    stale = [
        await visit.post(**login),
        await visit.post(form="x.y", **login),
        await visit.post(form=form[:-1] + ("0" if form[-1] != "0" else "1"), **login),
        await other.post(form=form, **login),
        await other.post(form=consent, action="allow", organization=mine.organization),
        await other.post(form=form, action="deny"),
    ]
    clock.now += 1801
    stale.append(await visit.post(form=consent, action="allow", organization=mine.organization))
    for reply in stale:
        assert reply.status_code == 200
        assert "expired" in Page(reply.text).text
    assert api.sandbox.stats.authorizations["expired"] == len(stale)
    assert not api.sandbox.world.vault.codes
    body = f"form={form}&action=deny"
    reply = await api.http.post(api.sandbox.authorize_url, params=visit.query, content=body)
    assert "expired" in Page(reply.text).text


async def test_consent_cannot_be_skipped_or_stretched(api: Api) -> None:
    mine, visit = api.sandbox.credentials, Visit(api)
    before = Page((await visit.open()).text).hidden
    reply = await visit.post(form=before, action="allow", organization=mine.organization)
    assert "login" in Page(reply.text).ids
    consent = Page((await visit.login()).text).hidden
    stranger = api.sandbox.world.new_id()
    mere = {"organization": mine.organization}
    for fields in ({"action": "allow"}, {"action": "allow", "organization": stranger}, mere, {}):
        page = Page((await visit.post(form=consent, **fields)).text)
        assert "choose one" in page.text
        assert page.organizations == list(mine.organizations)
    assert not api.sandbox.world.vault.codes


async def test_statistics(api: Api) -> None:
    await Visit(api).answer()
    await Visit(api).answer("deny")
    await Visit(api).login(password="wrong")
    await Visit(api, response_type="token").answer()
    stats = api.sandbox.report()
    assert stats["authorization_requests"] == api.sandbox.stats.authorization_requests == 4
    expected = {"login": 4, "consent": 3, "code": 1, "token": 1, "access_denied": 1, "wrong_password": 1}
    assert stats["authorizations"] == expected
    assert stats["token_total"] == 0


async def test_clients_are_registered_with_care(api: Api) -> None:
    first = api.sandbox.add_client(redirect_uris=[APP], name="One")
    second = api.sandbox.add_client(
        redirect_uris=[APP], public=True, organization=api.sandbox.credentials.organizations[1]
    )
    assert (first.id, first.public, second.id, second.secret) == ("4344", False, "4345", None)
    assert isinstance(first, Client)
    assert str(first.secret) not in repr(first)
    for uri in (
        "",
        "/callback",
        "callback",
        "https://a.example/#x",
        "https://a b",
        "javascript:alert(1)",
        "https://é.example",
        7,
    ):
        with pytest.raises(ValueError, match="redirect URI"):
            api.sandbox.add_client(redirect_uris=[uri])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="organization"):
        api.sandbox.add_client(organization="nowhere")
    assert list(api.sandbox.world.clients) == ["4242", "4343", "4344", "4345"]


async def test_clients_are_registered_from_outside(api: Api) -> None:
    url = api.sandbox.issuer + "/_sandbox/clients"
    made = (await api.http.post(url, json={"redirect_uris": [APP], "name": "X"})).json()
    tokens = await api.form(grant_type="client_credentials", **{k: made[k] for k in ("client_id", "client_secret")})
    assert tokens.status_code == 200
    public = (await api.http.post(url, json={"redirect_uris": ["http://127.0.0.1/"], "public": True})).json()
    assert public["client_secret"] is None
    visit = Visit(api, client_id=public["client_id"], redirect_uri="http://127.0.0.1:5/", **PKCE)
    assert "code" in arrived(await visit.answer())
    for bad in ({"redirect_uris": "x"}, {"redirect_uris": ["x"]}, {"public": 1}, {"organization": "x"}, {"what": 1}):
        reply = await api.http.post(url, json=bad)
        assert reply.status_code == 400, bad


async def test_logout_from_outside_names_the_user(api: Api) -> None:
    url = api.sandbox.issuer + "/_sandbox/logout"
    assert await api.use(api.token) == 200
    assert (await api.http.post(url, json={"user": 1002})).json() == {"revoked": 0}
    assert (await api.http.post(url, json={"user": 1001})).json() == {"revoked": 1}
    assert await api.use(api.token) == 401
    assert (await api.http.post(url, json={"user": "nobody"})).status_code == 400


def test_signatures_hold() -> None:
    one, two = Signer(), Signer()
    text = one.sign({"a": 1})
    assert one.read(text) == {"a": 1}
    assert two.read(text) is None
    for broken in ("", ".", text[1:], text + "0", "é.é", "\ud800", text.replace(".", "..")):
        assert one.read(broken) is None


@pytest.mark.parametrize("public", [False, True])
def test_whole_login_over_a_real_socket_and_a_proxy(public: bool) -> None:
    sandbox = Sandbox(Settings(runs=2, tasks=20, users=5))
    with sandbox.serve(), sandbox.proxy() as proxy, httpx.Client() as http:
        mine = sandbox.credentials
        assert mine.authorize_url == sandbox.authorize_url == sandbox.url.removesuffix("/api") + "/oauth/authorize"
        assert proxy.authorize_url.removesuffix("/oauth/authorize") == proxy.url.removesuffix("/api")
        asked = {"client_id": mine.public_client_id if public else mine.client_id, "response_type": "code", **PKCE}
        asked |= {"redirect_uri": "http://127.0.0.1:4567/callback", "state": "s"}
        url = httpx.URL(proxy.authorize_url, params=asked)
        page = Page(http.get(url).text)
        form = {"form": page.hidden, "action": "login", "email": mine.username, "password": mine.password}
        page = Page(http.post(url, data=form).text)
        choice = {"form": page.hidden, "action": "allow", "organization": mine.organizations[1]}
        found = arrived(http.post(url, data=choice))
        trade = {"grant_type": "authorization_code", "code": found["code"], "redirect_uri": asked["redirect_uri"]}
        trade |= {"client_id": asked["client_id"], "code_verifier": VERIFIER}
        trade |= {} if public else {"client_secret": mine.client_secret}
        tokens = http.post(f"{proxy.url}/oauth/token", data=trade).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}", "X-Tallyfy-Client": "x"}
        here, there = (f"{proxy.url}/organizations/{id_}/me" for id_ in mine.organizations[:2])
        assert (http.get(here, headers=headers).status_code, http.get(there, headers=headers).status_code) == (403, 200)
