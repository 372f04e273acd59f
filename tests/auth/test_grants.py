"""What each grant sends, and which arguments it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tallyfy_async import (
    AuthError,
    ClientCredentials,
    ConfigurationError,
    PasswordGrant,
    RefreshToken,
    Secret,
    StaticToken,
    Token,
)
from tallyfy_async.auth.oauth_client import ASK_FOR_TOKEN, REFRESH_TOKEN, Grant, TokenRequest

CLIENT: dict[str, Any] = {"client_id": "42", "client_secret": "s3cret & more"}
LOGIN: dict[str, Any] = {**CLIENT, "username": "ada@example.com", "password": "pa ss+w\u00f6rd%"}
TOKEN = Token(access_token="access", refresh_token="old refresh", issued_at=0.0, lifetime=3600.0)


def read(request: TokenRequest | None) -> dict[str, str]:
    assert request is not None
    if request.content_type == "application/json":
        return dict(json.loads(request.content))
    assert request.content_type == "application/x-www-form-urlencoded"
    return dict(parse_qsl(request.content.decode("ascii"), strict_parsing=True))


def test_password_as_a_form() -> None:
    request = PasswordGrant(**LOGIN).first()
    assert request.operation is ASK_FOR_TOKEN
    assert request.headers == ()
    assert read(request) == {"grant_type": "password", **LOGIN, "scope": "*"}


def test_client_credentials_as_a_form() -> None:
    grant = ClientCredentials(**CLIENT)
    assert read(grant.first()) == {"grant_type": "client_credentials", **CLIENT, "scope": "*"}
    assert grant.ready(0.0) is None


def test_refresh_carries_no_scope() -> None:
    request = PasswordGrant(**LOGIN, scope="account").refresh(TOKEN)
    assert request is not None
    assert request.operation is REFRESH_TOKEN
    assert read(request) == {"grant_type": "refresh_token", "refresh_token": "old refresh", **CLIENT}


def test_no_refresh_without_a_refresh_token() -> None:
    assert ClientCredentials(**CLIENT).refresh(Token(access_token="access", issued_at=0.0)) is None


@pytest.mark.parametrize(("scope", "sent"), [("account process", {"scope": "account process"}), (None, {})])
def test_scope_is_sent_or_omitted(scope: str | None, sent: dict[str, str]) -> None:
    body = read(ClientCredentials(**CLIENT, scope=scope).first())
    assert body == {"grant_type": "client_credentials", **CLIENT, **sent}


def test_json_body() -> None:
    grant = PasswordGrant(**LOGIN, encoding="json")
    assert grant.first().content_type == "application/json"
    assert read(grant.first()) == {"grant_type": "password", **LOGIN, "scope": "*"}
    assert read(grant.refresh(TOKEN))["refresh_token"] == "old refresh"


@pytest.mark.parametrize("encoding", ["form", "json"])
def test_client_in_headers(encoding: Any) -> None:
    client: dict[str, Any] = {"client_id": "42", "client_secret": "s3cret"}
    grant = PasswordGrant(**{**LOGIN, **client}, encoding=encoding, client_auth="headers")
    for request in (grant.first(), grant.refresh(TOKEN)):
        assert request is not None
        assert dict(request.headers) == client
        assert not client.keys() & read(request).keys()


@pytest.mark.parametrize("secret", ["two words", "line\nbreak", "s\u00e9cret", "cr\r"])
def test_what_no_header_can_carry_is_refused_before_it_is_sent(secret: str) -> None:
    for given in (secret, lambda: secret):
        grant = ClientCredentials(client_id="42", client_secret=given, client_auth="headers")
        with pytest.raises(ConfigurationError, match="client_auth") as caught:
            grant.first()
        assert secret not in str(caught.value)


def test_client_secret_from_a_callable_is_asked_for_each_time() -> None:
    secrets: Iterator[str | Secret] = iter(["first", Secret("second"), "third"])
    grant = ClientCredentials(client_id="42", client_secret=lambda: next(secrets))
    assert [read(grant.first())["client_secret"] for _ in range(3)] == ["first", "second", "third"]


@pytest.mark.parametrize("wrong", [None, 42, "", " ", b"bytes", "\ud800"])
def test_callable_that_returns_no_secret(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="client_secret must be a text"):
        ClientCredentials(client_id="42", client_secret=lambda: wrong).first()


def test_callable_that_raises() -> None:
    def fail() -> str:
        raise LookupError("vault sealed")

    with pytest.raises(AuthError, match="LookupError") as caught:
        ClientCredentials(client_id="42", client_secret=fail).first()
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.__cause__.__traceback__ is None


@pytest.mark.parametrize("name", ["client_id", "client_secret", "username", "password"])
@pytest.mark.parametrize("wrong", ["", "  ", None, 42, b"x", "\udfff"])
def test_wrong_texts_are_refused_by_name(name: str, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a text that is not empty"):
        PasswordGrant(**{**LOGIN, name: wrong})


@pytest.mark.parametrize("wrong", ["", None, 42])
def test_wrong_refresh_token(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="refresh_token"):
        RefreshToken(**CLIENT, refresh_token=wrong)


@pytest.mark.parametrize("wrong", ["", " ", 42, ["account"]])
def test_wrong_scope(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="scope"):
        ClientCredentials(**CLIENT, scope=wrong)


@pytest.mark.parametrize(("name", "wrong"), [("encoding", "xml"), ("encoding", None), ("client_auth", "basic")])
def test_wrong_choices(name: str, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be one of"):
        ClientCredentials(**CLIENT, **{name: wrong})


@pytest.mark.parametrize("wrong", ["", " token", "token\n", "to ken", "t\u00f6ken", None, 42])
def test_wrong_personal_token(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="personal access token"):
        StaticToken(wrong)


def test_personal_token_is_never_renewed() -> None:
    grant: Grant = StaticToken("personal")
    ready = grant.ready(7.0)
    assert ready is not None
    assert ready.access_token.reveal() == "personal"
    assert ready.lifetime is None
    assert grant.first() is None
    assert grant.refresh(ready) is None


def test_refresh_token_starts_expired() -> None:
    grant = RefreshToken(**CLIENT, refresh_token="from before")
    ready = grant.ready(7.0)
    assert (ready.generation, ready.lifetime, ready.issued_at) == (0, 0.0, 7.0)
    assert grant.first() is None
    assert read(grant.refresh(ready)) == {"grant_type": "refresh_token", "refresh_token": "from before", **CLIENT}


def test_grants_mask_their_secrets() -> None:
    grants: list[Grant] = [
        PasswordGrant(**LOGIN),
        RefreshToken(**CLIENT, refresh_token="from before"),
        StaticToken("personal-one"),
    ]
    for grant in grants:
        for secret in (LOGIN["password"], CLIENT["client_secret"], "from before", "personal-one"):
            assert secret not in repr(grant)
            assert secret not in str(grant.identity())
    request = PasswordGrant(**LOGIN).first()
    assert "s3cret" not in repr(request)
    assert "pa+ss" not in repr(request)


def test_identity_tells_lines_apart() -> None:
    lines: list[Grant] = [
        PasswordGrant(**LOGIN),
        PasswordGrant(**{**LOGIN, "username": "bob@example.com"}),
        PasswordGrant(**LOGIN, scope="account"),
        PasswordGrant(**{**LOGIN, "client_id": "43"}),
        ClientCredentials(**CLIENT),
        RefreshToken(**CLIENT, refresh_token="one"),
        RefreshToken(**CLIENT, refresh_token="two"),
        StaticToken("one"),
        StaticToken("two"),
    ]
    assert len({line.identity() for line in lines}) == len(lines)
    assert PasswordGrant(**LOGIN).identity() == PasswordGrant(**{**LOGIN, "password": "changed"}).identity()
