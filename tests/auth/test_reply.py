"""What the token endpoint answers, read."""

from __future__ import annotations

import json
import logging
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import InvalidClientError, Token, TokenRequestError
from tallyfy_async.auth.oauth_client import ASK_FOR_TOKEN, REFRESH_TOKEN, TokenRequest
from tallyfy_async.auth.reply import DeadRefreshTokenError, UnreadableTokenReplyError, read_token, refusal
from tallyfy_async.protocol.response import Headers, Reply, failure

GOOD = {"token_type": "Bearer", "expires_in": 3600, "access_token": "new-access", "refresh_token": "new-refresh"}
MOST = 2.0**31 - 1
ASK = TokenRequest(operation=ASK_FOR_TOKEN, content_type="application/x-www-form-urlencoded", scope="account process")
REFRESH = TokenRequest(operation=REFRESH_TOKEN, content_type="application/x-www-form-urlencoded")


def reply(body: Any, status: int = 200) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, content=raw, headers=Headers([("Content-Type", "application/json")]))


def life(text: str) -> float | None:
    return read_token(reply(f'{{"access_token": "a", "expires_in": {text}}}'.encode())).lifetime


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3600.0),
        ("3599.5", 3599.5),
        ('"3600"', 3600.0),
        ('" 3600 "', 3600.0),
        ('"3600.0"', 3600.0),
        ("3.6e3", 3600.0),
        ("0", 0.0),
        ('"0"', 0.0),
        ("-1", 0.0),
        ('"-1"', 0.0),
        ("-1e300", 0.0),
        ("-" + "9" * 400, 0.0),
        ("1000000000000", MOST),
        ("1e300", MOST),
        ("9" * 400, MOST),
    ],
)
def test_life_in_every_spelling(text: str, seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    assert life(text) == seconds
    assert caplog.records == []


@pytest.mark.parametrize(
    "text",
    ['"soon"', '"3600abc"', "NaN", "Infinity", "-Infinity", "1e400", '"1e400"', "true", "false", "[]", "{}", '""'],
)
def test_life_that_is_no_number(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert life(text) is None
    [record] = caplog.records
    assert text.strip('"') not in record.getMessage() or text == '""'


def test_life_missing_or_null(caplog: pytest.LogCaptureFixture) -> None:
    assert life("null") is None
    assert read_token(reply({"access_token": "a"})).lifetime is None
    assert caplog.records == []


def test_a_good_reply() -> None:
    issued = read_token(reply({**GOOD, "scope": "account process", "more": 1}))
    assert (issued.access_token.reveal(), issued.lifetime) == ("new-access", 3600.0)
    assert issued.scopes == frozenset({"account", "process"})
    assert "new-" not in repr(issued)
    token = issued.follow(None, ASK, sent_at=10.0)
    assert (token.generation, token.issued_at, token.expires_at) == (1, 10.0, 3610.0)


@pytest.mark.parametrize("value", [None, "", 5, [], True])
def test_no_refresh_token_keeps_the_old_one(value: Any) -> None:
    old = Token(access_token="a", refresh_token="old", issued_at=0.0, generation=4, scopes=frozenset({"account"}))
    token = read_token(reply({**GOOD, "refresh_token": value})).follow(old, REFRESH, sent_at=1.0)
    assert token.refresh_token == old.refresh_token
    assert (token.generation, token.scopes, token.presented) == (5, frozenset({"account"}), False)


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", None])
def test_bearer_in_any_case(kind: Any) -> None:
    assert read_token(reply({**GOOD, "token_type": kind})).access_token.reveal() == "new-access"


UNREADABLE = [
    (b"", "expected an object, got null"),
    (b"Refreshed.", "no JSON"),
    (b'{"access_token": "new-acc', "no JSON"),
    (b"[]", "got array"),
    (b'"new-access"', "got string"),
    ({"error": "bad_refresh_token"}, "bad_refresh_token"),
    ({"error": {"a": 1}}, "error"),
    ({}, "access_token is null"),
    ({**GOOD, "access_token": None}, "access_token is null"),
    ({**GOOD, "access_token": 7}, "access_token is number"),
    ({**GOOD, "access_token": ["new-access"]}, "access_token is array"),
    ({**GOOD, "access_token": ""}, "access_token is empty"),
    ({**GOOD, "access_token": "new-access\n"}, "no header"),
    ({**GOOD, "access_token": "new access"}, "no header"),
    ({**GOOD, "access_token": "n\u00e9w-access"}, "no header"),
    ({**GOOD, "token_type": "mac"}, "token_type"),
    ({**GOOD, "token_type": 1}, "token_type"),
]


@pytest.mark.parametrize(("body", "why"), UNREADABLE)
def test_unreadable_replies_say_why_and_nothing_else(body: Any, why: str) -> None:
    with pytest.raises(UnreadableTokenReplyError, match=why) as caught:
        read_token(reply(body))
    assert caught.value.status == 200
    assert caught.value.__traceback__ is not None
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)  # without this frame, which has the body
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "in read_token" in told
    for secret in ("new-acc", "new acc", "new-refresh"):
        assert secret not in told


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*GOOD, "error", "scope", "x"]), inner, max_size=6)
        ),
    )
)
def test_any_json_is_a_token_or_a_typed_error(body: Any) -> None:
    try:
        issued = read_token(reply(body))
    except UnreadableTokenReplyError:
        return
    assert issued.lifetime is None or 0 <= issued.lifetime <= MOST
    assert issued.access_token.reveal().isprintable()


def refused(status: int, body: Any, *, refreshing: bool = True) -> TokenRequestError:
    error = failure("POST", "/oauth/token", reply(body, status), 0.0)
    return refusal(error, REFRESH if refreshing else ASK)


@pytest.mark.parametrize(
    "hint",
    [
        "Token has been revoked",
        "Token has expired",
        "Cannot decrypt the refresh token",
        "Token is not linked to client",
        None,
    ],
)
def test_dead_refresh_tokens_of_both_generations(hint: str | None) -> None:
    said = {"error_description": "The refresh token is invalid.", "message": "The refresh token is invalid."}
    if hint:
        said["hint"] = hint
    assert type(refused(401, {"error": "invalid_request", **said})) is DeadRefreshTokenError
    assert type(refused(400, {"error": "invalid_grant", **said})) is DeadRefreshTokenError
    assert type(refused(401, {"error": "invalid_request", **said}, refreshing=False)) is TokenRequestError


ALIVE = [
    (400, {"error": "invalid_request", "hint": "Check the `refresh_token` parameter"}),
    (401, {"error": "access_denied"}),
    (400, {"error": "invalid_scope"}),
    (400, {"error": {"a": 1}}),
    (400, {"error": []}),
    (400, []),
    (400, "text"),
    (500, {"error": "server_error"}),
    (503, b"<html>"),
    (302, b""),
    (404, {"error": True, "code": "ENDPOINT_NOT_FOUND"}),
]


@pytest.mark.parametrize(("status", "body"), ALIVE)
def test_other_refusals_do_not_kill_the_refresh_token(status: int, body: Any) -> None:
    error = refused(status, body)
    assert type(error) is TokenRequestError
    assert error.status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": "invalid_client"}),
        (401, {"error": "invalid_client", "error_description": "Client authentication failed"}),
        (400, {"error": "unauthorized_client"}),
        (401, {"message": "Client authentication failed"}),
        (401, {"message": "Invalid client"}),
    ],
)
@pytest.mark.parametrize("refreshing", [False, True])
def test_unknown_clients(status: int, body: Any, *, refreshing: bool) -> None:
    assert type(refused(status, body, refreshing=refreshing)) is InvalidClientError


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_credentials"])
def test_wrong_password(code: str) -> None:
    error = refused(400, {"error": code, "error_description": "The user credentials were incorrect."}, refreshing=False)
    assert type(error) is TokenRequestError
    assert (error.error, error.description) == (code, "The user credentials were incorrect.")
    assert "check username and password" in str(error)


def test_pause_is_passed_on() -> None:
    raw = Reply(status=429, headers=Headers([("Retry-After", "17")]), content=b"{}")
    assert refusal(failure("POST", "/oauth/token", raw, 0.0), REFRESH).retry_after == 17.0


def test_the_servers_words_are_redacted() -> None:
    error = refused(400, {"error": "x", "hint": "got refresh_token=def50200deadbeef&client_secret=hunter2"})
    for text in (str(error), repr(error), str(error.description)):
        assert "deadbeef" not in text
        assert "hunter2" not in text
