"""Rows 68 to 78 against a real authorization server: calls that it answers with 401, and what is not."""

from __future__ import annotations

import pytest

from tallyfy_async import (
    AuthenticationError,
    ClientCredentials,
    IndeterminateError,
    PermissionDeniedError,
    PersonalTokenRevokedError,
    RequestOptions,
    ServerError,
)
from tallyfy_async.sandbox import Rule
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.real.rig import (
    ADA,
    CALLERS,
    TOKEN,
    connected,
    logins,
    make,
    me,
    password,
    refreshes,
    together,
)
from tests.faults.rig import every
from tests.oauth_server.authority import Authority
from tests.oauth_server.known import SERVICE_CLIENT
from tests.oauth_server.ledger import digest
from tests.oauth_server.meddler import Meddle, meddling

pytestmark = pytest.mark.anyio
ALL_OK = [200] * CALLERS
BUSY = Meddle(path="/api/me", after=1, forward=False, status=503, body=b"{}")


async def test_row_68_real_fresh_token_is_refused_too(authority: Authority) -> None:
    authority.deny("/api/me")
    async with connected(authority.url) as tallyfy:
        with pytest.raises(AuthenticationError) as caught:
            await me(tallyfy)
    assert caught.value.message == "Unauthenticated."
    assert authority.report.statuses() == {401: 2}
    assert (logins(authority), refreshes(authority)) == (1, {"ok": 1})


async def test_row_69_real_one_endpoint_refuses_for_ever(authority: Authority) -> None:
    clock = ManualClock()
    authority.deny("/api/me")
    async with connected(authority.url, clock=clock) as tallyfy:
        for _ in range(10):
            with pytest.raises(AuthenticationError):
                await me(tallyfy)
        every(await together(lambda: me(tallyfy)), AuthenticationError)
        assert refreshes(authority) == {"ok": 1}
        assert await make(tallyfy) == 201, "other endpoints go on"
        authority.deny()
        assert await me(tallyfy) == 200
        clock.advance(31)
        authority.expire_access()
        assert await me(tallyfy) == 200, "after the pause a dead token is renewed again"
    assert refreshes(authority) == {"ok": 2}


async def test_row_69_real_application_token_where_a_user_is_needed(authority: Authority) -> None:
    auth = ClientCredentials(client_id=SERVICE_CLIENT[0], client_secret=SERVICE_CLIENT[1])
    async with connected(authority.url, auth) as tallyfy:
        for _ in range(10):
            with pytest.raises(AuthenticationError) as refusal:
                await me(tallyfy)
            assert "password grant (PasswordGrant)" in "".join(refusal.value.__notes__)
        assert await make(tallyfy) == 201, "where no user is needed the token is good"
    assert authority.report.requests == {"client_credentials": {"ok": 2}}


async def test_row_70_real_server_ended_the_token_early(authority: Authority) -> None:
    async with connected(authority.url) as tallyfy:
        await me(tallyfy)
        for count in range(1, 4):
            authority.expire_access()
            assert await me(tallyfy) == 200
            assert refreshes(authority) == {"ok": count}
    assert authority.report.statuses() == {200: 4, 401: 3}
    assert authority.report.presented_twice == 0


async def test_row_71_real_403_is_no_401(authority: Authority) -> None:
    async with connected(authority.url, password(scope="account")) as tallyfy:
        every(await together(lambda: make(tallyfy)), PermissionDeniedError)
        assert await me(tallyfy) == 200
    report = authority.report
    assert report.requests == {"password": {"ok": 1}}
    assert report.statuses("/api/things") == {403: CALLERS}


async def test_row_74_real_refused_reply_is_read_before_the_retry(authority: Authority) -> None:
    padded = Meddle(path="/api/me", times=None, patch={"padding": "." * 20_000})
    with meddling(authority, padded) as proxy:
        async with connected(proxy.url, max_connections=1) as tallyfy:
            await me(tallyfy)
            for _ in range(3):
                authority.expire_access()
                assert await together(lambda: me(tallyfy), 3) == [200] * 3
        assert proxy.connections <= 2, "one for calls, one for tokens: no reply was left unread on its connection"
    assert set(refreshes(authority)) == {"ok"}


async def test_row_75_real_lost_reply_of_a_write_is_not_resent(authority: Authority) -> None:
    with meddling(authority, Rule(method="POST", path="/api/things", drop_after=True)) as proxy:
        async with connected(proxy.url) as tallyfy:
            with pytest.raises(IndeterminateError):
                await make(tallyfy)
    assert len(authority.report.things) == 1
    assert authority.report.requests == {"password": {"ok": 1}}


async def test_row_75_real_answered_401_of_a_write_is_resent_once(authority: Authority) -> None:
    async with connected(authority.url) as tallyfy:
        await me(tallyfy)
        authority.expire_access()
        assert await make(tallyfy) == 201
    report = authority.report
    assert report.things == ({"name": "one"},)
    assert report.statuses("/api/things") == {401: 1, 201: 1}
    assert refreshes(authority) == {"ok": 1}


async def test_row_76_real_one_budget_for_auth_and_other_retries(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority, BUSY) as proxy:
        async with connected(proxy.url, clock=clock) as tallyfy:
            await tallyfy.tokens.get()
            authority.deny("/api/me")
            with pytest.raises(AuthenticationError):
                await me(tallyfy)
        assert proxy.received["GET /api/me"] == 3, "401, 503 with the fresh token, and its 401 is the last"
    assert refreshes(authority) == {"ok": 1}


@pytest.mark.parametrize("retries", [0, 2])
async def test_row_76_real_upper_bound_of_sends(authority: Authority, retries: int) -> None:
    clock = ManualClock()
    busy = Meddle(path="/api/me", after=1, times=None, forward=False, status=503, body=b"{}")
    with meddling(authority, busy) as proxy:
        async with connected(proxy.url, clock=clock, retry=retries) as tallyfy:
            await tallyfy.tokens.get()
            authority.expire_access()
            with pytest.raises(ServerError):
                await me(tallyfy)
        assert proxy.received["GET /api/me"] == retries + 2, "one for the 401, and the attempts"
        assert proxy.received[f"POST {TOKEN}"] == 2


async def test_row_77_real_retry_carries_the_new_token_and_the_same_headers(authority: Authority) -> None:
    options = RequestOptions(headers={"X-Mine": "1"})
    async with connected(authority.url, headers={"X-Ours": "2"}) as tallyfy:
        old = await tallyfy.tokens.get()
        authority.expire_access()
        await tallyfy.request("GET", "/me", options=options)
        new = await tallyfy.tokens.get()
    refused, answered = authority.report.calls
    assert [refused.token, answered.token] == [digest(token.access_token.reveal()) for token in (old, new)]
    assert [refused.status, answered.status] == [401, 200]
    assert refused.headers == answered.headers
    shown = [answered.headers[name] for name in ("x-mine", "x-ours", "x-tallyfy-client")]
    assert shown == ["1", "2", "APIClient"]


async def test_row_78_real_personal_token_after_its_end(authority: Authority) -> None:
    async with connected(authority.url, authority.personal_token(ADA)) as tallyfy:
        assert await together(lambda: me(tallyfy)) == ALL_OK
        authority.expire_access()
        errors = every(await together(lambda: me(tallyfy)), PersonalTokenRevokedError)
    assert "logged out" in str(errors[0])
    assert authority.report.posts == 0
    assert authority.report.statuses() == {200: CALLERS, 401: CALLERS}
