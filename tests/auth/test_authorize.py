"""The authorization request: its address, what may answer it, and what comes of the answer."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import logging
import pickle
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import ConfigurationError, RedirectError, Secret
from tallyfy_async.auth.authorize import AUTHORIZE_URL, AuthorizationRequest
from tallyfy_async.auth.logins import AuthorizationCode, ImplicitToken
from tallyfy_async.auth.redirect import checked_redirect_uri
from tests.auth.redirects import (
    APP,
    CODE,
    NOW,
    TOKEN,
    answer,
    asked,
    code_request,
    implicit_request,
    refused,
    token_answer,
)
from tests.faults.test_secrets import leaks, shown


def test_the_address_of_a_code_request() -> None:
    request = code_request(scope="account process")
    assert request.url.startswith(f"{AUTHORIZE_URL}?client_id=9999&response_type=code&redirect_uri=https%3A%2F%2Fapp.")
    assert request.verifier is not None
    digest = hashlib.sha256(request.verifier.reveal().encode()).digest()
    assert asked(request) == {
        "client_id": "9999",
        "response_type": "code",
        "redirect_uri": APP,
        "state": request.state.reveal(),
        "scope": "account process",
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    assert request.created_at == NOW


def test_the_address_of_an_implicit_request_is_the_one_of_seed_003() -> None:
    request = implicit_request(scope=None, authorize_url="http://127.0.0.1:9000/oauth/authorize")
    assert request.url.startswith("http://127.0.0.1:9000/oauth/authorize?client_id=9999&response_type=token&")
    given = asked(request)
    assert given.pop("state") == request.state.reveal()
    assert given == {"client_id": "9999", "response_type": "token", "redirect_uri": APP}
    assert request.verifier is None


def test_a_code_is_redeemed() -> None:
    request = code_request(scope="account")
    grant = request.redeem(answer(request, code=CODE), now=NOW + 9)
    assert isinstance(grant, AuthorizationCode)
    assert (grant.client_id, grant.redirect_uri, grant.scope) == ("9999", APP, "account")
    assert grant.code.reveal() == CODE
    assert grant.verifier == request.verifier
    assert isinstance(grant.client_secret, Secret)
    body = grant.refresh(grant.ready(NOW))
    assert body is not None
    assert body.content is not None
    assert parse_qs(body.content.decode())["code_verifier"] == [grant.verifier.reveal()]


def test_a_public_client_and_a_rotated_secret() -> None:
    for secret in (None, lambda: "now"):
        request = code_request(client_secret=secret)
        grant = request.redeem(answer(request, code=CODE), now=NOW)
        assert isinstance(grant, AuthorizationCode)
        assert grant.client_secret is secret


@pytest.mark.parametrize("sign", ["#", "?"])
def test_an_implicit_token_is_redeemed_from_fragment_and_query(sign: str, caplog: pytest.LogCaptureFixture) -> None:
    request = implicit_request(scope="account")
    grant = request.redeem(token_answer(request, sign), now=NOW + 5)
    assert isinstance(grant, ImplicitToken)
    assert (grant.client_id, grant.scope, grant.lifetime, grant.issued_at) == ("9999", "account", 840.0, NOW + 5)
    assert grant.token.access_token.reveal() == TOKEN
    assert grant.token.expires_at == NOW + 845
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [("query" in record.message) for record in warnings] == [True] * (sign == "?")
    assert TOKEN not in caplog.text


def test_seed_003s_own_example_needs_the_switch() -> None:
    example = f"{APP}?access_token=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9&token_type=Bearer&expires_in=840"
    refused(implicit_request(), example, "no state")
    grant = implicit_request(require_state=False).redeem(example, now=NOW)
    assert isinstance(grant, ImplicitToken)
    assert (grant.lifetime, grant.scope) == (840.0, "*")


@pytest.mark.parametrize(
    ("told", "life"),
    [
        ("3600", 3600.0),
        ("-1", 0.0),
        ("0", 0.0),
        ("1e400", None),
        ("soon", None),
        ("NaN", None),
        ("", None),
        (None, None),
        ("9" * 400, None),
        ("1000000000000", 2.0**31 - 1),
        (" 60 ", 60.0),
    ],
)
def test_expires_in_is_read_like_a_token_reply(told: str | None, life: float | None) -> None:
    request = implicit_request()
    grant = request.redeem(token_answer(request, expires_in=told), now=NOW)
    assert isinstance(grant, ImplicitToken)
    assert grant.lifetime == life


def test_the_granted_scope_wins_over_the_one_asked_for() -> None:
    request = implicit_request(scope="*")
    grant = request.redeem(token_answer(request, scope="account process"), now=NOW)
    assert isinstance(grant, ImplicitToken)
    assert grant.token.scopes == {"account", "process"}


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/cb",
        "ftp://app.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "/cb",
        "",
        "https://",
        "https://app.example/cb#x",
        "https://app.example/cb#",
        "https://ada@app.example/cb",
        "https://app.example/c b",
        "com.example.app:/callback",
        "https://app.example/\\cb",
        "https://app.example:x/",
        None,
        7,
    ],
)
def test_redirect_uris_that_nobody_may_register(uri: Any) -> None:
    with pytest.raises(ConfigurationError, match="redirect_uri"):
        code_request(redirect_uri=uri)


def test_private_schemes_need_permission_and_a_dot() -> None:
    uri = "com.example.app:/callback"
    request = code_request(redirect_uri=uri, allow_private_scheme=True)
    assert request.redeem(answer(request, code=CODE), now=NOW)
    for scheme in ("javascript:alert(1)", "myapp:/callback", "file:///tmp/x", "http://app.example/cb"):
        with pytest.raises(ConfigurationError):
            checked_redirect_uri(scheme, allow_private_scheme=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client_id", ""),
        ("scope", " "),
        ("issuer", ""),
        ("authorize_url", "http://account.tallyfy.com"),
        ("now", "1"),
        ("client_secret", ""),
    ],
)
def test_wrong_arguments(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        code_request(**{name: value})


@pytest.mark.parametrize("value", [None, 7, b"https://app.example/callback?code=a"])
def test_what_is_no_address_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="redirect_url must be"):
        code_request().redeem(value)


@pytest.mark.parametrize("make", [code_request, implicit_request])
def test_a_request_survives_between_two_http_requests(make: Any) -> None:
    request = make(scope=None, issuer="https://account.tallyfy.com")
    kept = json.loads(json.dumps(request.export()))
    assert "s3cr3t-of-client" not in json.dumps(kept)
    again = AuthorizationRequest.restore(kept, client_secret="s3cr3t-of-client" if make is code_request else None)
    assert again.url == request.url
    redirect = answer(request, code=CODE) if make is code_request else token_answer(request)
    mine, theirs = again.redeem(redirect, now=NOW), request.redeem(redirect, now=NOW)
    assert mine == theirs
    for used in (request, again):
        with pytest.raises(RedirectError, match="answered already"):
            used.export()


def broken_exports() -> list[dict[str, Any]]:
    good = code_request().export()
    changes: list[dict[str, Any]] = [{"version": 2}, {"state": "short"}, {"verifier": "short"}, {"flow": "magic"}]
    changes += [{"state": None}, {"verifier": None}, {"created_at": "yesterday"}, {"unknown": 1}, {"client_id": 9}]
    changes += [{"redirect_uri": "http://evil.example"}, {"authorize_url": "http://evil.example"}]
    return [{}, {n: v for n, v in good.items() if n != "state"}, *({**good, **change} for change in changes)]


@pytest.mark.parametrize("exported", broken_exports())
def test_what_was_not_exported_is_not_restored(exported: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AuthorizationRequest.restore(exported)


def test_a_request_shows_no_secret_and_is_neither_copied_nor_pickled() -> None:
    request = code_request()
    assert request.verifier is not None
    secrets = {request.verifier.reveal(), request.state.reveal(), "s3cr3t-of-client"}
    assert leaks(f"{request!r} {request}", secrets) == []
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            pickle.dumps(request, protocol)
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            duplicate(request)
    with pytest.raises(AttributeError):
        request.state = Secret("x" * 43)  # type: ignore[misc]


def _redeem(request: AuthorizationRequest, redirect: Secret) -> None:
    request.redeem(redirect.reveal(), now=NOW)


WRONG: dict[str, dict[str, Any]] = {
    "state": {"state": "x", "code": CODE},
    "type": {"token_type": "mac"},
    "error": {"error": "x", "code": CODE},
    "refusal": {"access_token": None, "error": "x", "error_description": f"code={CODE}"},
    "issuer": {"iss": "x"},
    "both": {"code": CODE},
    "place": {"to": "https://evil.example/"},
}


def _wrong(request: AuthorizationRequest, kind: str) -> Secret:
    return Secret(token_answer(request, **WRONG[kind]))


@pytest.mark.parametrize("kind", list(WRONG))
@pytest.mark.parametrize("make", [code_request, implicit_request])
def test_tracebacks_with_locals_show_no_secret(make: Any, kind: str) -> None:
    request = make()
    redirect = _wrong(request, kind)
    with pytest.raises(RedirectError) as caught:
        _redeem(request, redirect)
    said = shown(caught.value)  # before this very frame holds the secrets in the clear
    assert leaks(said, {TOKEN, CODE, request.state.reveal(), "s3cr3t-of-client"}) == []


def test_tracebacks_of_wrong_arguments_show_no_secret() -> None:
    kept = Secret(json.dumps(code_request().export()))
    with pytest.raises(ConfigurationError) as caught:
        _restore(kept)
    said = shown(caught.value)
    assert "magic" in said
    assert leaks(said, {json.loads(kept.reveal())[name] for name in ("state", "verifier")}) == []


def _restore(kept: Secret) -> None:
    AuthorizationRequest.restore({**json.loads(kept.reveal()), "flow": "magic"})


@given(st.text(max_size=60), st.sampled_from(["", APP, APP + "?", APP + "#", "https://", "com.x:"]))
def test_no_text_whatever_gets_in(text: str, head: str) -> None:
    for request in (code_request(), implicit_request()):
        with pytest.raises(RedirectError):
            request.redeem(head + text, now=NOW)
        assert not request.recognizes(head + text)
