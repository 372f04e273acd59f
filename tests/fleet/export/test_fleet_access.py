"""How workers log in: what is sent to them, and what they add."""

from __future__ import annotations

import pickle
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tallyfy_async import (
    AuthError,
    ClientCredentials,
    ConfigurationError,
    FileStore,
    MemoryStore,
    OnBehalfOf,
    PasswordGrant,
    RateLimit,
    RedisStore,
    RefreshToken,
    StoredLogin,
    TallyfyClient,
    generate_key,
)
from tallyfy_async.fleet import Access
from tallyfy_async.fleet.access import Line
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.testing import connect
from tests.fleet.export.place import made

pytestmark = pytest.mark.once
SECRET, PASSWORD = "s3cret-of-the-client", "p4ssword-of-ada"
SHARED: dict[str, Any] = {"client_id": "42", "client_secret": SECRET}
GRANTS = [
    PasswordGrant(**SHARED, username="ada@example.com", password=PASSWORD, encoding="json"),
    ClientCredentials(**SHARED, scope=None),
    StoredLogin(**SHARED, login="ada"),
    RefreshToken(**SHARED, refresh_token=PASSWORD),
]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("TALLYFY_CLIENT_SECRET", "TALLYFY_PASSWORD", "TALLYFY_ACCESS_TOKEN", "TALLYFY_TOKEN_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TALLYFY_TOKEN_KEYS", generate_key())
    return monkeypatch


@pytest.mark.parametrize("grant", GRANTS, ids=lambda grant: grant.name)
def test_a_worker_goes_on_with_the_same_line_of_tokens(grant: Any, environment: pytest.MonkeyPatch) -> None:
    line = Line.of(grant)
    sent = pickle.dumps(line)
    assert SECRET.encode() not in sent
    assert PASSWORD.encode() not in sent
    environment.setenv("TALLYFY_CLIENT_SECRET", SECRET)
    carried = pickle.loads(sent).to_grant()
    assert carried.identity() == grant.identity()
    assert (carried.first() is None) == (grant.name != "client_credentials")
    environment.setenv("TALLYFY_PASSWORD", PASSWORD)
    again = line.to_grant()
    assert again.identity() == grant.identity()
    assert (again.first() is None) == (grant.first() is None)
    if grant.name == "password":
        assert again.first() == grant.first()


def test_a_secret_of_one_client_comes_first(environment: pytest.MonkeyPatch) -> None:
    grant = Line.of(GRANTS[1]).to_grant()
    assert isinstance(grant, ClientCredentials)
    with pytest.raises(AuthError, match="client_secret could not be had"):
        grant.first()
    environment.setenv("TALLYFY_CLIENT_SECRET", "of another")
    environment.setenv("TALLYFY_CLIENT_SECRET_42", SECRET)
    assert grant.first() == GRANTS[1].first()


def test_a_password_of_one_user_comes_first(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TALLYFY_CLIENT_SECRET", SECRET)
    environment.setenv("TALLYFY_PASSWORD_ada_example_com", PASSWORD)
    other = PasswordGrant(**SHARED, username="bob@example.com", password="another")
    assert Line.of(GRANTS[0]).to_grant().first() == GRANTS[0].first()
    assert Line.of(other).to_grant().first() is None  # not Ada's password under Bob's name


def test_each_organization_may_have_a_personal_token(environment: pytest.MonkeyPatch) -> None:
    name = "0" * 32
    access = Access.of(TallyfyClient("t0ken", organizations={name: "another"}))
    environment.setenv("TALLYFY_ACCESS_TOKEN", "t0ken")
    environment.setenv(f"TALLYFY_ACCESS_TOKEN_{name}", "another")
    for line in (access.line, access.line_of(name)):
        assert line.to_grant().identity() == line.identity


def test_a_personal_token_is_the_workers_own(environment: pytest.MonkeyPatch) -> None:
    access = Access.of(TallyfyClient("t0ken"))
    assert b"t0ken" not in pickle.dumps(access)
    with pytest.raises(ConfigurationError, match="TALLYFY_ACCESS_TOKEN"):
        access.line.to_grant()
    environment.setenv("TALLYFY_ACCESS_TOKEN", "another")
    with pytest.raises(ConfigurationError, match="another token"):
        access.line.to_grant()
    environment.setenv("TALLYFY_ACCESS_TOKEN", "t0ken")
    assert access.line.to_grant().identity() == access.line.identity


def test_what_workers_cannot_carry_is_refused(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    store = FileStore(tmp_path)
    member = OnBehalfOf(application=ClientCredentials(**SHARED), organization="0" * 32, email="ada@example.com")
    with pytest.raises(ConfigurationError, match="cannot log in with"):
        Access.of(TallyfyClient(member, token_store=store))
    with pytest.raises(ConfigurationError, match="share the token store"):
        Access.of(TallyfyClient(GRANTS[0], token_store=MemoryStore()))
    with pytest.raises(ConfigurationError, match="share the token store"):
        Access.of(TallyfyClient("t0ken", organizations={"0" * 32: GRANTS[0]}))
    with pytest.raises(ConfigurationError, match="share the token store"):
        Access.of(TallyfyClient(GRANTS[0], token_store=store), store="redis://host/0")


def test_what_does_not_go_together_is_refused(environment: pytest.MonkeyPatch) -> None:
    tallyfy, rate = TallyfyClient("t0ken"), RateLimit(per_minute=60)
    with pytest.raises(ConfigurationError, match="no rate_limit"):
        Access.of(tallyfy, limiter="redis://host/0", rate_limit=rate)
    for processes in (0, True, 1.5):
        with pytest.raises(ConfigurationError, match="processes must be"):
            Access.of(tallyfy, limiter="redis://host/0", processes=processes)
    for caps in ({"per_user": rate}, {"per_organization": rate}):
        with pytest.raises(ConfigurationError, match="caps of a limiter"):
            Access.of(tallyfy, **caps)
    for address in ("host:6379", "REDIS://:hidden@host", "http://host"):
        with pytest.raises(ConfigurationError, match=r"must look like redis://host") as caught:
            Access.of(tallyfy, limiter=address)
        assert "hidden" not in str(caught.value)


def test_a_worker_that_starts_without_the_limiters_server_knows_of_the_others(
    environment: pytest.MonkeyPatch,
) -> None:
    access = Access.of(TallyfyClient("t0ken"), limiter="redis://host/0", processes=4)
    assert access._limiter("redis://host/0").processes == 4


def test_the_keys_of_a_redis_store_are_known(environment: pytest.MonkeyPatch) -> None:
    tallyfy = TallyfyClient(GRANTS[0], token_store=RedisStore("redis://host/0", prefix="mine"))
    for address in (None, "host:6379"):
        with pytest.raises(ConfigurationError, match="redis://host:6379/0"):
            Access.of(tallyfy, store=address)
    assert Access.of(tallyfy, store="redis://host/0").prefix == "mine"


@pytest.mark.parametrize("name", ["store", "limiter"])
@pytest.mark.parametrize(
    "address",
    [
        "redis://:hidden@host/0",
        "rediss://ada:hidden@host",
        "redis://host?password=hidden",
        "redis://h?pass%77ord=hidden",
    ],
)
def test_an_address_with_a_password_is_refused(name: str, address: str) -> None:
    line = Line.of(GRANTS[0])
    with pytest.raises(ConfigurationError, match="no password") as caught:
        Access(base_url="http://x", token_url="http://x", refresh_url="http://x", line=line, **{name: address})
    assert "hidden" not in str(caught.value)


@pytest.mark.anyio
async def test_a_worker_finds_the_token_and_needs_no_secret(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    sandbox: Sandbox = made(1)
    with sandbox.serve():
        async with connect(sandbox, token_store=FileStore(tmp_path)) as tallyfy:
            access = pickle.loads(pickle.dumps(Access.of(tallyfy)))
            await access.prepare([tallyfy.organization()])
            async with AsyncExitStack() as stack:
                worker = await access.open(stack)
                assert (await worker.me.get()).email == sandbox.credentials.username
    assert sandbox.token_lives == 1


@pytest.mark.anyio
async def test_a_worker_is_as_strict_as_the_client(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TALLYFY_ACCESS_TOKEN", "t0ken")
    environment.setenv("TALLYFY_TOKEN_STORE", "redis://host/0")  # of other exports: a personal token needs none
    for settings in ({"check_scopes": False}, {"allow_unverified": True}, {}):
        tallyfy = TallyfyClient("t0ken", timeout=3, deadline=9, user_agent="mine", **settings)
        async with AsyncExitStack() as stack:
            worker = await pickle.loads(pickle.dumps(Access.of(tallyfy))).open(stack)
            for name in ("timeout", "deadline", "user_agent", "check_scopes", "allow_unverified", "token_store"):
                assert getattr(worker._config, name) == getattr(tallyfy._config, name), name
