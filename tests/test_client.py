from __future__ import annotations

import copy
import logging
import math
import pickle
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest

from tallyfy_async import (
    AuthorizationCode,
    ClientClosedError,
    ClientCredentials,
    ClientLoopError,
    ConfigurationError,
    Hooks,
    MemoryStore,
    OnBehalfOf,
    PasswordGrant,
    PersonalTokenRevokedError,
    RateLimit,
    RetryPolicy,
    Secret,
    ServerError,
    StaticToken,
    TallyfyClient,
    Timeouts,
)
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.http import asgi_transport
from tallyfy_async.transport.manual_clock import ManualClock
from tests.helpers import connect, small_sandbox

pytestmark = pytest.mark.anyio
TOKEN = "personal-token-value"
TIMEOUT = r"^timeout\b.* must be"
LOGIN = {
    "TALLYFY_CLIENT_ID": "42",
    "TALLYFY_CLIENT_SECRET": "client-secret-value",
    "TALLYFY_USERNAME": "ada@example.com",
    "TALLYFY_PASSWORD": "password-value",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Start without any variable of ours, and forget log handlers afterwards."""
    import os

    for name in [name for name in os.environ if name.startswith("TALLYFY_")]:
        monkeypatch.delenv(name)
    log = logging.getLogger("tallyfy_async")
    handlers, level = list(log.handlers), log.level
    yield monkeypatch
    log.handlers[:] = handlers
    log.setLevel(level)


def set_all(environment: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "grant"),
    [
        ({"TALLYFY_ACCESS_TOKEN": TOKEN}, StaticToken(TOKEN)),
        ({"TALLYFY_ACCESS_TOKEN": TOKEN, **LOGIN}, StaticToken(TOKEN)),
        (
            LOGIN,
            PasswordGrant(
                client_id="42",
                client_secret="client-secret-value",
                username="ada@example.com",
                password="password-value",
            ),
        ),
        (
            {"TALLYFY_CLIENT_ID": "42", "TALLYFY_CLIENT_SECRET": "client-secret-value"},
            ClientCredentials(client_id="42", client_secret="client-secret-value"),
        ),
    ],
)
def test_the_environment_names_the_grant(
    environment: pytest.MonkeyPatch, variables: dict[str, str], grant: Any
) -> None:
    set_all(environment, variables)
    assert TallyfyClient.from_env()._config.auth == grant


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "set TALLYFY_ACCESS_TOKEN, or TALLYFY_CLIENT_ID and TALLYFY_CLIENT_SECRET"),
        ({"TALLYFY_CLIENT_ID": "42"}, "TALLYFY_CLIENT_SECRET"),
        ({"TALLYFY_CLIENT_SECRET": "x"}, "TALLYFY_CLIENT_ID"),
        ({**LOGIN, "TALLYFY_PASSWORD": ""}, "go together"),
        ({**LOGIN, "TALLYFY_USERNAME": ""}, "go together"),
        ({"TALLYFY_ACCESS_TOKEN": TOKEN, "TALLYFY_LOG": "loud"}, "TALLYFY_LOG must be debug or info"),
        ({"TALLYFY_ACCESS_TOKEN": "two words"}, "white space"),
        ({"TALLYFY_ACCESS_TOKEN": TOKEN, "TALLYFY_BASE_URL": "go.tallyfy.com"}, "base_url must be an absolute"),
        ({"TALLYFY_ACCESS_TOKEN": TOKEN, "TALLYFY_TOKEN_URL": "http://x.test"}, "token_url must be https"),
    ],
)
def test_an_environment_that_does_not_suffice_says_so(
    environment: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    set_all(environment, variables)
    with pytest.raises(ConfigurationError, match=message):
        TallyfyClient.from_env()


def test_the_environment_gives_urls_and_organization_and_settings_win(environment: pytest.MonkeyPatch) -> None:
    set_all(environment, {"TALLYFY_ACCESS_TOKEN": TOKEN, "TALLYFY_BASE_URL": "https://a.test/api/"})
    set_all(environment, {"TALLYFY_TOKEN_URL": "https://a.test/token", "TALLYFY_ORGANIZATION": "o1"})
    client = TallyfyClient.from_env()
    urls = client._config.urls
    assert (urls.base, urls.token, urls.refresh) == ("https://a.test/api",) + ("https://a.test/token",) * 2
    assert client.organization().id == "o1"
    other = TallyfyClient.from_env(base_url="https://b.test", organization="o2", timeout=5)
    assert (other._config.urls.base, other._config.timeout.attempt) == ("https://b.test", 5)
    assert other.organization().id == "o2"


async def test_a_client_from_the_environment_logs_in(environment: pytest.MonkeyPatch) -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    login = sandbox.credentials
    given = {"TALLYFY_BASE_URL": sandbox.url, "TALLYFY_ORGANIZATION": login.organization}
    given |= {"TALLYFY_CLIENT_ID": login.client_id, "TALLYFY_CLIENT_SECRET": login.client_secret}
    set_all(environment, given | {"TALLYFY_USERNAME": login.username, "TALLYFY_PASSWORD": login.password})
    async with TallyfyClient.from_env(transport=asgi_transport(sandbox.app)) as client:
        assert (await client.me.get()).email == login.username
    assert {grant: dict(outcomes) for grant, outcomes in sandbox.stats.token_requests.items()} == {
        "password": {"ok": 1}
    }


def test_the_environment_turns_the_log_on_once(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_all(environment, {"TALLYFY_ACCESS_TOKEN": TOKEN, "TALLYFY_LOG": "INFO"})
    before = len(logging.getLogger("tallyfy_async").handlers)
    TallyfyClient.from_env()
    TallyfyClient.from_env()
    log = logging.getLogger("tallyfy_async")
    assert (len(log.handlers), log.level) == (before + 1, logging.INFO)
    log.info("Authorization: Bearer %s", TOKEN)
    written = capsys.readouterr().err
    assert "tallyfy_async INFO Authorization" in written
    assert TOKEN not in written


async def test_at_debug_every_attempt_is_logged(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tallyfy_sandbox: Sandbox
) -> None:
    set_all(environment, {"TALLYFY_ACCESS_TOKEN": tallyfy_sandbox.credentials.personal_token, "TALLYFY_LOG": "debug"})
    async with TallyfyClient.from_env(
        base_url=tallyfy_sandbox.url, transport=asgi_transport(tallyfy_sandbox.app)
    ) as client:
        await client.me.get()
    written = capsys.readouterr().err
    assert "tallyfy_async DEBUG get_me: GET /me, attempt 1 -> 200 in " in written
    assert tallyfy_sandbox.credentials.personal_token not in written


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"time_out": 5}, "no setting 'time_out': did you mean 'timeout'"),
    ({"zzz": 5}, "no setting 'zzz'$"),
    ({"base_url": "http://go.tallyfy.com/api"}, "base_url must be https"),
    ({"base_url": None}, "base_url must be a str"),
    ({"refresh_url": "nonsense"}, "refresh_url must be an absolute"),
    ({"authorize_url": "http://account.tallyfy.com"}, "authorize_url must be https"),
    ({"timeout": 0}, TIMEOUT),
    ({"timeout": -1.0}, TIMEOUT),
    ({"timeout": "30"}, TIMEOUT),
    ({"timeout": True}, TIMEOUT),
    ({"timeout": math.nan}, TIMEOUT),
    ({"deadline": 0}, "deadline must"),
    ({"deadline": "120"}, "deadline must"),
    ({"max_connections": 0}, "max_connections must"),
    ({"max_connections": "20"}, "max_connections must"),
    ({"max_connections": True}, "max_connections must"),
    ({"max_connections": 1.5}, "max_connections must"),
    ({"retry": -1}, "retry must be a RetryPolicy or a number of retries"),
    ({"retry": 1.5}, "retry must"),
    ({"retry": True}, "retry must"),
    ({"headers": {"Authorization": "Bearer x"}}, "'Authorization' is set by the client"),
    ({"headers": {"x-tallyfy-client": "me"}}, "'x-tallyfy-client' is set by the client"),
    ({"headers": {"X-Trace": "a\r\nb: c"}}, "'X-Trace' must"),
    ({"headers": {"X-Trace": 5}}, "'X-Trace' must"),
    ({"user_agent": "a\nb"}, "user_agent must be a line of printable ASCII"),
    ({"user_agent": "Ünser"}, "user_agent must"),
    ({"user_agent": 5}, "user_agent must"),
    ({"headers": None}, "headers must be a mapping"),
    ({"headers": ["X-Trace"]}, "headers must be a mapping"),
    ({"hooks": [print]}, "hooks must be a list of instances of Hooks"),
    ({"hooks": [Hooks]}, "hooks must"),
    ({"hooks": Hooks()}, "hooks must"),
    ({"organization": 5}, "organization must be the organization's id"),
    ({"rate_limit": 600}, r"rate_limit must be a RateLimit such as RateLimit\(per_minute=600\)"),
    ({"token_store": {}}, r"token_store must be a token store such as MemoryStore\(\)"),
    ({"token_store": MemoryStore}, "token_store must"),
    ({"clock": None}, "clock must be a clock"),
    ({"ssl_context": True}, "ssl_context must be an ssl.SSLContext"),
    ({"http_client": object()}, "http_client must be an httpx.AsyncClient"),
    ({"transport": object()}, "transport must be an httpx.AsyncBaseTransport"),
    ({"proxy": "nonsense"}, "proxy must be a URL"),
    ({"proxy": 3128}, "proxy must be a URL"),
    ({"transport": asgi_transport(None), "proxy": "http://p.test"}, "transport brings its own proxy"),
    ({"http_client": httpx.AsyncClient(), "transport": asgi_transport(None)}, "http_client brings its own transport"),
]


@pytest.mark.parametrize(
    ("settings", "message"), WRONG, ids=[f"{number}-{next(iter(row[0]))}" for number, row in enumerate(WRONG)]
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        TallyfyClient(TOKEN, **settings)
    assert "Bearer x" not in str(caught.value)


@pytest.mark.parametrize("auth", [None, "", " ", "two words", 5, object(), ("id", "secret"), StaticToken])
def test_what_is_no_way_to_a_token_is_refused(auth: Any) -> None:
    with pytest.raises(ConfigurationError):
        TallyfyClient(auth)


def test_settings_have_short_forms() -> None:
    client = TallyfyClient(Secret(TOKEN), timeout=5, deadline=None, retry=0)  # type: ignore[arg-type]
    config = client._config
    assert config.auth == StaticToken(TOKEN)
    assert (config.timeout, config.deadline, config.retry) == (Timeouts(attempt=5), math.inf, RetryPolicy(attempts=1))
    assert config.urls.token == "https://go.tallyfy.com/api/oauth/token"
    assert config.origins == ("https://go.tallyfy.com/",)


def test_plain_http_elsewhere_is_permitted_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="tokens travel in the clear") as caught:
        TallyfyClient(TOKEN, base_url="http://tallyfy.test/api", allow_insecure_http=True)
    assert len(caught) == 1


@pytest.mark.parametrize("organization", [None, "", " ", 5])
def test_a_client_without_organization_asks_for_one(organization: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"client\.organization\(id\)"):
        TallyfyClient(TOKEN).organization(organization)


async def test_derived_clients_share_tokens_and_nothing_else() -> None:
    sandbox = small_sandbox(runs=2, tasks=5)
    async with connect(sandbox, headers={"X-One": "1"}) as client:
        derived = client.with_options(organization="f" * 32, headers={"X-Two": "2"}, user_agent="app/1")
        assert derived.tokens is client.tokens
        assert derived.organization().id == "f" * 32
        assert client.organization().id == sandbox.credentials.organization
        await derived.me.get()
        await client.me.get()
        first, second = sandbox.stats.received
        assert (first.headers.get("x-one"), first.headers.get("x-two")) == (None, "2")
        assert (second.headers.get("x-one"), second.headers.get("x-two")) == ("1", None)
        assert first.headers["user-agent"].startswith("app/1 tallyfy-async/")
        await derived.aclose()
        async with derived:
            pass
        assert (await derived.me.get()).id == (await client.me.get()).id
    with pytest.raises(ClientClosedError):
        await derived.me.get()


async def test_derived_clients_share_connections_and_slots() -> None:
    sandbox = small_sandbox(runs=2, tasks=5)
    sandbox.faults.add(Fault(delay=0.001, times=None))
    with sandbox.serve(), sandbox.proxy() as proxy:
        async with connect(sandbox, base_url=proxy.url, transport=None, max_connections=1) as client:
            async with anyio.create_task_group() as group:
                for one in (client, client.with_options(timeout=9), client.with_options(organization="o")):
                    for _ in range(3):
                        group.start_soon(one.me.get)
            assert (sandbox.stats.requests, sandbox.stats.max_concurrency, proxy.connections) == (9, 1, 1)


async def test_a_derived_client_has_its_own_patience() -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    async with connect(sandbox, clock=ManualClock(), retry=3) as client:
        sandbox.faults.add(Fault(status=503, times=4))
        with pytest.raises(ServerError):
            await client.with_options(retry=0).me.get()
        assert sandbox.stats.requests == 1
        assert (await client.me.get()).id == 1001
        assert sandbox.stats.requests == 5


async def test_a_derived_client_may_be_somebody_else() -> None:
    sandbox = small_sandbox(runs=2, tasks=5)
    other = sandbox.world.personal_token(1002, life=3600).value
    async with connect(sandbox) as client:
        derived = client.with_options(auth=other)
        assert derived.tokens is not client.tokens
        assert [(await one.me.get()).id for one in (client, derived, client)] == [1001, 1002, 1001]
        dead = client.with_options(auth="dead-token")
        with pytest.raises(PersonalTokenRevokedError):
            await dead.me.get()
        assert (await client.me.get()).id == 1001


@pytest.mark.parametrize(
    "settings",
    [{"max_connections": 5}, {"rate_limit": RateLimit(per_minute=60)}, {"proxy": "http://p.test"}, {"clock": None}],
)
def test_what_is_shared_cannot_be_derived(settings: dict[str, Any]) -> None:
    client = TallyfyClient(TOKEN)
    with pytest.raises(ConfigurationError, match=f"{next(iter(settings))} belong to the shared connections"):
        client.with_options(**settings)
    with pytest.raises(ConfigurationError, match="no setting 'tmeout': did you mean 'timeout'"):
        client.with_options(tmeout=5)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match=TIMEOUT):
        client.with_options(timeout=0)


async def test_a_derived_client_may_live_at_another_place() -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    login = sandbox.credentials
    grant = PasswordGrant(
        client_id=login.client_id, client_secret=login.client_secret, username=login.username, password=login.password
    )
    async with connect(sandbox) as client:
        for one in (client.with_options(base_url="https://elsewhere.test/api", auth=grant), client):
            await one.me.get()
        calls = [(one.operation, one.headers["host"]) for one in sandbox.stats.received]
        assert calls == [
            ("create_token", "elsewhere.test"),
            ("get_me", "elsewhere.test"),
            ("get_me", "sandbox.localhost"),
        ]


async def test_a_closed_client_refuses_every_use() -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    client = connect(sandbox)
    org = client.organization()
    async with client as entered:
        assert entered is client
        pager = org.runs.list()
        assert "open" in repr(client)
    await client.aclose()
    assert "closed" in repr(client)
    for use in (client.me.get, org.runs.list, pager.collect, lambda: client.request("GET", "/me"), client.__aenter__):
        with pytest.raises(ClientClosedError, match="make a new one"):
            await use()
    assert sandbox.stats.requests == 0


async def test_closing_before_any_use_is_fine() -> None:
    client = TallyfyClient(TOKEN)
    await client.aclose()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await client.tokens.get()


def test_a_second_event_loop_is_told_the_remedy(anyio_backend: str) -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    client = connect(sandbox)

    async def use() -> str:
        return (await client.me.get()).email or ""

    assert anyio.run(use, backend=anyio_backend) == sandbox.credentials.username
    with pytest.raises(ClientLoopError, match="one client per event loop"):
        anyio.run(use, backend=anyio_backend)
    other = "trio" if anyio_backend == "asyncio" else "asyncio"
    with pytest.raises(ClientLoopError):
        anyio.run(use, backend=other)
    assert sandbox.stats.requests == 1


@pytest.mark.parametrize("secret", [TOKEN, "client-secret-value", "password-value"])
def test_no_secret_shows_in_what_a_client_prints(secret: str) -> None:
    grant = PasswordGrant(
        client_id="42", client_secret="client-secret-value", username="a@b.c", password="password-value"
    )
    for client in (TallyfyClient(TOKEN), TallyfyClient(grant, proxy="http://u:password-value@p.test")):
        texts = [repr(client), repr(client._config), repr(client.tokens), repr(client._engine), repr(client.me)]
        assert not [text for text in texts if secret in text]
        assert "https://go.tallyfy.com/api" in texts[0]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_client_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="a client is not pickled"):
        pickle.dumps(TallyfyClient(TOKEN), protocol)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
def test_a_client_is_not_copied(copier: Any) -> None:
    with pytest.raises(TypeError, match="a client is not pickled"):
        copier(TallyfyClient(TOKEN))


async def test_a_given_http_client_stays_open(anyio_backend: str) -> None:
    sandbox: Sandbox = small_sandbox(runs=1, tasks=1)
    async with httpx.AsyncClient(transport=asgi_transport(sandbox.app)) as given:
        given.headers["X-Given"] = "1"
        async with TallyfyClient(sandbox.credentials.personal_token, base_url=sandbox.url, http_client=given) as client:
            assert (await client.me.get()).id == 1001
        assert not given.is_closed
    assert anyio_backend in {"asyncio", "trio"}


def test_a_browser_login_for_the_application_of_the_client() -> None:
    application = ClientCredentials(client_id="42", client_secret="s3cret")
    settings: Any = {"authorize_url": "https://staging.account.tallyfy.com/oauth/authorize"}
    acting = OnBehalfOf(application=application, organization="o" * 32, email="ada@example.com")
    for auth in (application, acting):
        client = TallyfyClient(auth, **settings)
        asked = client.authorization_request("https://app.example/callback", scope="process")
        assert asked.url.startswith("https://staging.account.tallyfy.com/oauth/authorize?client_id=42&")
        assert "scope=process" in asked.url
        assert "s3cret" not in asked.url
        grant = asked.redeem(f"https://app.example/callback?code=c0de&state={asked.state.reveal()}")
        assert isinstance(grant, AuthorizationCode)
        assert isinstance(grant.client_secret, Secret)
        legacy = client.authorization_request("https://app.example/callback", flow="implicit")
        assert "response_type=token" in legacy.url
    with pytest.raises(ConfigurationError, match="names no application"):
        TallyfyClient("personal").authorization_request("https://app.example/callback")
