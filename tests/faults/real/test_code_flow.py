"""Rows 107 to 110 and 115 against a real authorization server: logins with its authorization page."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from tallyfy_async import (
    AmbiguousRefreshError,
    AuthorizationCode,
    AuthorizationRequest,
    ImplicitToken,
    MemoryStore,
    ReauthenticationRequiredError,
    RedirectError,
    StoredLogin,
    TokenRequestError,
)
from tallyfy_async.sandbox import Rule
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.real.rig import CALLERS, TOKEN, connected, me, refreshes, stored, together
from tests.faults.rig import every
from tests.oauth_server.authority import Authority
from tests.oauth_server.known import CODE_CLIENT, IMPLICIT_CLIENT, PUBLIC_CLIENT, REDIRECT_URI
from tests.oauth_server.meddler import meddling

pytestmark = pytest.mark.anyio
ALL_OK = [200] * CALLERS
CLIENTS: dict[str, dict[str, Any]] = {
    "confidential": {"client_id": CODE_CLIENT[0], "client_secret": CODE_CLIENT[1]},
    "public": {"client_id": PUBLIC_CLIENT},
}


def code_request(authority: Authority, client: str = "confidential", **changes: Any) -> AuthorizationRequest:
    """Return a request for an authorization code of this server."""
    place: dict[str, Any] = {"redirect_uri": REDIRECT_URI, "authorize_url": f"{authority.url}/o/authorize"}
    return AuthorizationRequest.code(**{**CLIENTS[client], **place, **changes})


def implicit_request(authority: Authority) -> AuthorizationRequest:
    """Return a request for a token of this server."""
    return AuthorizationRequest.implicit(
        client_id=IMPLICIT_CLIENT, redirect_uri=REDIRECT_URI, authorize_url=f"{authority.url}/o/authorize"
    )


def code_grant(authority: Authority, client: str = "confidential") -> AuthorizationCode:
    """Log in with a browser; return the grant that the redirect brought."""
    request = code_request(authority, client)
    grant = request.redeem(authority.authorize(request.url))
    assert isinstance(grant, AuthorizationCode)
    return grant


def codes(authority: Authority) -> tuple[dict[str, int], list[int]]:
    """Return the outcomes of code exchanges, and how often each code came."""
    report = authority.report
    return dict(report.requests.get("authorization_code", {})), sorted(report.codes.values())


@pytest.mark.parametrize("client", CLIENTS)
async def test_code_is_traded_in_once_and_the_line_lives_on(authority: Authority, client: str) -> None:
    clock, store, grant = ManualClock(), MemoryStore(), code_grant(authority, client)
    settings = {"clock": clock, "token_store": store}
    async with connected(authority.url, grant, **settings) as tallyfy:
        assert await together(lambda: me(tallyfy)) == ALL_OK
        assert codes(authority) == ({"ok": 1}, [1])
        for life in range(1, 3):
            clock.advance(4000)
            assert await together(lambda: me(tallyfy)) == ALL_OK
            assert refreshes(authority) == {"ok": life}
    later = StoredLogin(client_id=grant.client_id, client_secret=grant.client_secret, login=grant.login)
    async with connected(authority.url, later, **settings) as restarted:
        assert await together(lambda: me(restarted)) == ALL_OK
        assert refreshes(authority) == {"ok": 2}
        clock.advance(4000)
        assert await together(lambda: me(restarted)) == ALL_OK
    assert refreshes(authority) == {"ok": 3}
    assert codes(authority) == ({"ok": 1}, [1])
    assert authority.report.presented_twice == 0


async def test_row_107_real_verifier_of_another_session(authority: Authority) -> None:
    mine, theirs = code_request(authority), code_request(authority)
    redirect = authority.authorize(mine.url)
    with pytest.raises(RedirectError, match="state"):
        theirs.redeem(redirect)
    grant = mine.redeem(redirect)
    assert isinstance(grant, AuthorizationCode)
    await _refused_once(authority, evolve(grant, verifier=theirs.verifier))


async def test_row_107_real_verifier_lost(authority: Authority) -> None:
    store, grant = MemoryStore(), code_grant(authority)
    async with connected(authority.url, evolve(grant, verifier=None), token_store=store) as forgetful:
        errors = every(await together(lambda: me(forgetful)), TokenRequestError)
        assert (errors[0].status, errors[0].error) == (400, "invalid_request")
        assert codes(authority) == ({"invalid_request": 1}, [1])
    async with connected(authority.url, grant, token_store=store) as tallyfy:
        assert await together(lambda: me(tallyfy)) == ALL_OK, "our own mistake does not cost the code"
    assert codes(authority) == ({"invalid_request": 1, "ok": 1}, [2])


async def test_row_107_real_code_of_another_client(authority: Authority) -> None:
    await _refused_once(authority, evolve(code_grant(authority), client_id=PUBLIC_CLIENT, client_secret=None))


async def _refused_once(authority: Authority, grant: AuthorizationCode) -> None:
    """Let everybody trade a code in that the server refuses: one request, typed errors, no call."""
    clock, store = ManualClock(), MemoryStore()
    for _ in range(2):
        async with connected(authority.url, grant, clock=clock, token_store=store) as tallyfy:
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
    outcomes, presented = codes(authority)
    assert presented == [1]
    assert outcomes == {"invalid_grant": 1}
    assert authority.report.calls == ()
    assert (await stored(store, grant, authority.url)).refresh_token is None


async def test_row_108_real_redirect_that_is_loaded_again(authority: Authority) -> None:
    request = code_request(authority)
    redirect = authority.authorize(request.url)
    grant = request.redeem(redirect)
    async with connected(authority.url, grant) as tallyfy:
        assert await me(tallyfy) == 200
    with pytest.raises(RedirectError, match="answered already"):
        request.redeem(redirect)
    assert codes(authority) == ({"ok": 1}, [1])


async def test_row_108_real_code_in_two_clients_of_one_store(authority: Authority) -> None:
    clock, store, grant = ManualClock(), MemoryStore(), code_grant(authority)
    settings = {"clock": clock, "token_store": store}
    async with connected(authority.url, grant, **settings) as one, connected(authority.url, grant, **settings) as two:
        turns = iter([one, two] * CALLERS)
        assert await together(lambda: me(next(turns))) == ALL_OK
        assert codes(authority) == ({"ok": 1}, [1])
        clock.advance(4000)
        assert await together(lambda: me(next(turns))) == ALL_OK
    assert codes(authority) == ({"ok": 1}, [1])
    assert refreshes(authority) == {"ok": 1}


async def test_row_108_real_code_whose_answer_was_lost(authority: Authority) -> None:
    clock, store, grant = ManualClock(), MemoryStore(), code_grant(authority)
    with meddling(authority, Rule(path=TOKEN, drop_after=True, times=None)) as proxy:
        for _ in range(2):
            async with connected(proxy.url, grant, clock=clock, token_store=store, retry=5) as tallyfy:
                every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
        assert proxy.received == {f"POST {TOKEN}": 1}
    assert codes(authority) == ({"ok": 1}, [1])


async def test_row_108_real_code_in_a_program_that_shares_no_store(authority: Authority) -> None:
    grant = code_grant(authority)
    async with connected(authority.url, grant) as first, connected(authority.url, grant) as second:
        assert await me(first) == 200
        every(await together(lambda: me(second)), ReauthenticationRequiredError)
        every(await together(lambda: me(second)), ReauthenticationRequiredError)
        assert await me(first) == 200
    assert codes(authority) == ({"ok": 1, "invalid_grant": 1}, [2])


async def test_row_109_real_refusal_of_the_authorization_page(authority: Authority) -> None:
    request = code_request(authority, scope="everything-and-more")
    redirect = authority.authorize(request.url)
    with pytest.raises(RedirectError, match="the server refused the login: invalid_scope"):
        request.redeem(redirect)
    assert authority.report.posts == 0


async def test_row_110_real_issuer(authority: Authority) -> None:
    authority.reset(names_issuer=True)
    request = code_request(authority)
    redirect = authority.authorize(request.url)
    assert "iss=" in redirect
    async with connected(authority.url, request.redeem(redirect)) as tallyfy:
        assert await me(tallyfy) == 200
    wary = code_request(authority, issuer="https://account.tallyfy.com")
    with pytest.raises(RedirectError, match="another authorization server"):
        wary.redeem(authority.authorize(wary.url))
    assert codes(authority) == ({"ok": 1}, [1])


async def test_row_115_real_implicit_token(authority: Authority) -> None:
    mine, theirs = implicit_request(authority), implicit_request(authority)
    redirect = authority.authorize(mine.url)
    with pytest.raises(RedirectError, match="state"):
        theirs.redeem(redirect)
    grant = mine.redeem(redirect)
    assert isinstance(grant, ImplicitToken)
    assert grant.lifetime == 3600
    async with connected(authority.url, grant) as tallyfy:
        assert await together(lambda: me(tallyfy)) == ALL_OK
        authority.expire_access()
        every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
    assert authority.report.posts == 0
