"""Redirects that must not be believed: group H of the fault catalogue, the receiver apart."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tallyfy_async import ConfigurationError, RedirectError
from tallyfy_async.auth.authorize import AUTHORIZE_URL, MAX_AGE
from tallyfy_async.auth.logins import AuthorizationCode, ImplicitToken
from tallyfy_async.auth.redirect import safe_return_path
from tests.auth.redirects import (
    APP,
    BEARER,
    CODE,
    NOW,
    answer,
    asked,
    code_request,
    implicit_request,
    refused,
    token_answer,
)

WRONG_STATES = ["", "x" * 43, " ", "\u00e9", "%00"]


@pytest.mark.parametrize("state", WRONG_STATES)
@pytest.mark.parametrize("require_state", [True, False])
@pytest.mark.parametrize("make", [code_request, implicit_request])
def test_row_105_a_wrong_state_is_always_refused(make: Any, state: str, require_state: bool) -> None:
    request = make(require_state=require_state)
    wrong = answer(request, "#", **{**BEARER, "state": state})
    for redirect in (wrong, wrong.replace("#", "?"), answer(request, code=CODE, state=state)):
        refused(request, redirect, "state is not the one")
        assert not request.recognizes(redirect)
    # The refusals have not used it up.
    assert request.redeem(answer(request, code=CODE) if make is code_request else token_answer(request), now=NOW)


def test_row_105_a_missing_state_is_refused_unless_permitted() -> None:
    refused(code_request(), answer(code_request(), code=CODE, state=None), "no state")
    request = code_request(require_state=False)
    assert isinstance(request.redeem(answer(request, code=CODE, state=None), now=NOW), AuthorizationCode)


def test_row_105_a_state_of_another_session_and_a_used_one() -> None:
    mine, theirs = code_request(), code_request()
    refused(mine, answer(theirs, code=CODE), "state is not the one")
    mine.redeem(answer(mine, code=CODE), now=NOW)
    refused(mine, answer(mine, code="another"), "answered already")


@pytest.mark.parametrize("late", [MAX_AGE + 1, -MAX_AGE - 1])
def test_row_105_a_request_ages_whatever_the_clock_does(late: float) -> None:
    request = code_request()
    refused(request, answer(request, code=CODE), "older than 600 s", now=NOW + late)
    assert request.redeem(answer(request, code=CODE), now=NOW + MAX_AGE)


def test_row_105_states_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        seen.append((one, other))
        return one == other

    monkeypatch.setattr("tallyfy_async.protocol.redaction.hmac.compare_digest", compare)
    request = code_request()
    refused(request, answer(request, code=CODE, state="guess"), "state")
    assert (b"guess", request.state.reveal().encode()) in seen


def test_row_106_states_and_verifiers_are_random_enough() -> None:
    requests = [code_request() for _ in range(10_000)]
    states = [request.state.reveal() for request in requests]
    verifiers = [request.verifier.reveal() for request in requests if request.verifier is not None]
    assert len({*states, *verifiers}) == 20_000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", state) for state in states)  # 256 bits
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier) for verifier in verifiers)
    for place in (0, 20, 41):
        assert len({state[place] for state in states}) == 64


def test_row_106_there_is_no_plain_challenge() -> None:
    request = code_request()
    assert asked(request)["code_challenge_method"] == "S256"
    assert request.verifier is not None
    assert request.verifier.reveal() not in request.url


def test_row_107_the_verifier_is_bound_to_the_state() -> None:
    first, second = code_request(), code_request()
    refused(first, answer(second, code="of the second"), "state")
    grant = second.redeem(answer(second, code="of the second"), now=NOW)
    assert isinstance(grant, AuthorizationCode)
    assert grant.verifier == second.verifier != first.verifier


@pytest.mark.parametrize("make", [code_request, implicit_request])
def test_row_108_the_same_redirect_is_redeemed_once(make: Any) -> None:
    request = make()
    redirect = answer(request, code=CODE) if make is code_request else token_answer(request)
    request.redeem(redirect, now=NOW)
    for _ in range(2):
        refused(request, redirect, "answered already")


@pytest.mark.parametrize("sign", ["?", "#"])
def test_row_109_the_state_is_checked_before_an_error_is_believed(sign: str) -> None:
    request = implicit_request()
    refused(request, answer(request, sign, error="access_denied", state="x"), "state is not the one")
    text = "The user <b>denied</b>\r\n\u202e\x1b[31m the request " + "x" * 5000
    with pytest.raises(RedirectError) as caught:
        request.redeem(answer(request, sign, error="access_denied", error_description=text), now=NOW)
    said = str(caught.value)
    assert said.startswith("the user or the server denied access: access_denied: The user <b>denied</b>")
    assert said.isprintable()
    assert len(said) < 400
    refused(request, token_answer(request), "answered already")


def test_row_109_other_errors_and_what_they_echo() -> None:
    request = code_request()
    refused(request, answer(request, error="server_error", error_description=""), "refused the login: server_error$")
    request = code_request()
    with pytest.raises(RedirectError) as caught:
        request.redeem(answer(request, error="invalid_scope", error_description=f"in ?code={CODE}&x"), now=NOW)
    assert "c0dec0de" not in str(caught.value)


ISSUERS = ["https://evil.example", "https://account.tallyfy.com.evil.example", "http://account.tallyfy.com", "x", "//["]


@pytest.mark.parametrize("iss", [*ISSUERS, "https://account.tallyfy.com:444", "https://a@account.tallyfy.com"])
def test_row_110_another_issuer_is_refused(iss: str) -> None:
    request = code_request()
    refused(request, answer(request, code=CODE, iss=iss), "another authorization server")
    refused(request, answer(request, code=CODE), "answered already")


def test_row_110_the_right_issuer_passes_and_a_configured_one_is_exact() -> None:
    for iss in ("https://account.tallyfy.com", "https://account.tallyfy.com/", "https://account.tallyfy.com/oauth"):
        request = code_request()
        assert request.redeem(answer(request, code=CODE, iss=iss), now=NOW)
    exact = "https://account.tallyfy.com/id"
    request = code_request(issuer=exact)
    assert request.redeem(answer(request, code=CODE, iss=exact), now=NOW)
    request = code_request(issuer=exact)
    refused(request, answer(request, code=CODE, iss=exact + "/"), "another authorization server")


MALFORMED = [
    "{app}?code=a&code=b&state={state}",
    "{app}?code=a&state={state}&state={state}",
    "{app}?code=a&state={state}&x=1&x=2",
    "{app}?code=a&state={state}#access_token=t",
    "{app}?code=a&state={state}#_=_",
    "{app}?code=a&access_token=t&state={state}",
    "{app}?code=a&error=access_denied&state={state}",
    "{app}?access_token=t&state={state}",
    "{app}?state={state}",
    "{app}?code=&state={state}",
    "{app}?code=a%0Ab&state={state}",
    "{app}?code=%FF&state={state}",
    "{app}?code=a&session_state=%FF&state={state}",
    "{app}#code=a&state={state}",
    "{app}?code=a&state={state}&" + "&".join(f"p{n}=1" for n in range(80)),
    "{app}?code=" + "a" * 40_000 + "&state={state}",
    "{app}?code=a\n&state={state}",
    "",
]


@pytest.mark.parametrize("pattern", MALFORMED)
def test_row_111_malformed_redirects_are_refused(pattern: str) -> None:
    request = code_request()
    refused(request, pattern.format(app=APP, state=request.state.reveal()), "the redirect is refused")


IMPLICIT_MALFORMED = [
    "{app}#access_token=t&access_token=u&state={state}",
    "{app}?x=1#access_token=t&state={state}",
    "{app}#access_token=t&code=c&state={state}",
    "{app}#access_token=&state={state}",
    "{app}#access_token=a%20b&state={state}",
    "{app}#access_token=a%0D%0AX:1&state={state}",
    "{app}#access_token=t&token_type=mac&state={state}",
    "{app}?code=c&state={state}",
]


@pytest.mark.parametrize("pattern", IMPLICIT_MALFORMED)
def test_row_111_malformed_implicit_redirects_are_refused(pattern: str) -> None:
    request = implicit_request()
    refused(request, pattern.format(app=APP, state=request.state.reveal()), "the redirect is refused")


@pytest.mark.parametrize(
    ("query", "fragment"),
    [("access_token=t&state={state}", "x=1"), ("x=1", "access_token=t&state={state}"), ("x", "y")],
)
def test_row_111_query_and_fragment_together_are_not_read(query: str, fragment: str) -> None:
    request = implicit_request()
    redirect = f"{APP}?{query}#{fragment}".format(state=request.state.reveal())
    refused(request, redirect, "it carries parameters in both query and fragment")


ELSEWHERE = [
    "http://app.example/callback",
    "https://app.example:444/callback",
    "https://app.example.evil.example/callback",
    "https://app.example@evil.example/callback",
    "https://evil.example@app.example/callback",
    "https://app.example/callback/",
    "https://app.example/Callback",
    "https://app.example/callback/../callback",
    "https://app.example\\@evil.example/callback",
    "https://app.example./callback",
    "//app.example/callback",
    "/callback",
    "https://[app.example/callback",
    "https://app.example:x/callback",
]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_row_112_a_redirect_to_another_place_is_refused(place: str) -> None:
    request = code_request()
    refused(request, answer(request, to=place, code=CODE), "the redirect is refused: it ")
    assert request.redeem(answer(request, to="HTTPS://APP.example:443/callback", code=CODE), now=NOW)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_row_112_the_port_of_a_loopback_address_may_vary(host: str) -> None:
    request = code_request(redirect_uri=f"http://{host}/callback")
    refused(request, answer(request, to="http://127.0.0.2:1234/callback", code=CODE), "another address")
    refused(request, answer(request, to=f"https://{host}:1234/callback", code=CODE), "another address")
    assert request.redeem(answer(request, to=f"http://{host}:51234/callback", code=CODE), now=NOW)
    named = code_request(redirect_uri="http://localhost:8000/callback")
    refused(named, answer(named, to="http://localhost:8001/callback", code=CODE), "another address")


def test_row_112_the_query_of_the_redirect_uri_comes_back() -> None:
    request = code_request(redirect_uri=f"{APP}?tenant=7&empty=")
    refused(request, answer(request, to=f"{APP}?tenant=8&empty=", sign="&", code=CODE), "without the query")
    refused(request, answer(request, to=APP, code=CODE), "without the query")
    assert request.redeem(answer(request, sign="&", code=CODE), now=NOW)


@pytest.mark.parametrize("path", ["/", "/runs/7?tab=1#top", "/a//b", "/%2F%2Fevil", "/search?next=https://evil"])
def test_row_113_paths_of_the_own_site_are_safe_to_return_to(path: str) -> None:
    assert safe_return_path(path) == path


@pytest.mark.parametrize(
    "text",
    [
        "//evil",
        "///evil",
        "/\\evil",
        "\\\\evil",
        "https:evil",
        "https://evil",
        "javascript:alert(1)",
        "evil",
        "",
        "/\t/evil",
        "\t//evil",
        " /evil",
        "/evil\n",
        "\x00/evil",
        "http:///evil",
        "/\u2028x",
        "/" + "x" * 40_000,
    ],
)
def test_row_113_everything_else_is_refused(text: str) -> None:
    with pytest.raises(RedirectError, match="no path on this site"):
        safe_return_path(text)


def test_row_113_the_state_carries_nothing() -> None:
    assert "app.example" not in code_request().state.reveal()


@pytest.mark.parametrize("state", [None, "", "of the attacker"])
def test_row_115_an_injected_token_is_refused(state: str | None) -> None:
    request = implicit_request()
    refused(request, token_answer(request, state=state), "state")
    grant = request.redeem(token_answer(request, refresh_token="injected"), now=NOW)
    assert isinstance(grant, ImplicitToken)
    assert grant.token.refresh_token is None


def test_row_115_a_token_does_not_answer_a_code_request_nor_the_other_way_round() -> None:
    request = code_request()
    refused(request, token_answer(request), "must bring code alone, not access_token")
    request = implicit_request()
    refused(request, answer(request, "#", code=CODE), "must bring access_token alone, not code")


def test_row_116_no_secret_is_in_an_authorization_address() -> None:
    request = code_request(client_secret="s3cr3t", redirect_uri=f"{APP}?tenant=7")
    assert "s3cr3t" not in request.url
    public = {"client_id", "response_type", "redirect_uri", "state", "scope"}
    assert asked(request).keys() == public | {"code_challenge", "code_challenge_method"}
    for name in ("client_secret", "password", "code_verifier", "access_token", "code", "state"):
        with pytest.raises(ConfigurationError, match="redirect_uri"):
            code_request(redirect_uri=f"{APP}?{name}=s3cr3t")
    for url in (f"{AUTHORIZE_URL}?client_secret=s3cr3t", "https://id:s3cr3t@account.tallyfy.com/oauth/authorize"):
        with pytest.raises(ConfigurationError, match="authorize_url must not carry"):
            code_request(authorize_url=url)
