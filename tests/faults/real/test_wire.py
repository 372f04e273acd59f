"""Rows 38 to 43, 60 and 61 against a real authorization server: replies that are lost, late or unusable."""

from __future__ import annotations

import socket

import pytest

from tallyfy_async import (
    AmbiguousRefreshError,
    Outcome,
    ReauthenticationRequiredError,
    TokenRequestError,
)
from tallyfy_async.sandbox import Rule
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.real.rig import (
    CALLERS,
    TOKEN,
    connected,
    earlier_login,
    me,
    refreshes,
    sent,
    stored,
    together,
    together_while,
)
from tests.faults.rig import every, until
from tests.oauth_server.authority import Authority
from tests.oauth_server.meddler import Meddle, meddling

pytestmark = pytest.mark.anyio
ALL_OK = [200] * CALLERS
LOST = Rule(path=TOKEN, drop_after=True)
LOST_FOR_EVER = Rule(path=TOKEN, drop_after=True, times=None)


async def test_row_38_real_lost_reply_is_never_resent(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority, LOST) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        for _ in range(2):
            async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
                errors = every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
                assert "Log in again" in str(errors[0])
                every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
        assert (await stored(store, auth, proxy.url)).presented
    assert not authority.alive(auth.refresh_token.reveal()), "the server has rotated it"
    assert sent(authority, auth) == 1


async def test_row_38_real_lost_early_refresh_takes_the_old_token_along(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority, LOST) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url, spare=50)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
            every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
    assert set(authority.report.statuses()) == {401}, "the old token was tried, but this server ends it at the refresh"
    assert sent(authority, auth) == 1


async def test_row_38_real_replay_within_the_grace_time(authority: Authority) -> None:
    authority.reset(grace=120)
    clock = ManualClock()
    with meddling(authority, LOST) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url, replay_refresh=True)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            assert await together(lambda: me(tallyfy)) == ALL_OK
            kept = await stored(store, auth, proxy.url)
            assert (kept.generation, kept.presented) == (2, False)
            clock.advance(4000)
            assert await together(lambda: me(tallyfy)) == ALL_OK, "the pair that the replay brought is good"
    assert sent(authority, auth) == 2
    assert refreshes(authority) == {"ok": 3}


async def test_row_38_real_replay_that_the_server_takes_for_theft(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority, LOST) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url, replay_refresh=True)
        for _ in range(2):
            async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
                every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
                every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
    assert sent(authority, auth) == 2
    assert refreshes(authority) == {"ok": 1, "invalid_grant": 1}


async def test_row_38_real_at_most_one_replay(authority: Authority) -> None:
    authority.reset(grace=120)
    clock = ManualClock()
    with meddling(authority, LOST_FOR_EVER) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url, replay_refresh=True)
        for _ in range(2):
            async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
                every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
    assert sent(authority, auth) == 2


async def test_row_38_real_password_logs_in_anew(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority) as proxy:
        async with connected(proxy.url, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            proxy.add(LOST)
            assert await together(lambda: me(tallyfy)) == ALL_OK
    assert authority.report.requests == {"password": {"ok": 2}, "refresh_token": {"ok": 1}}


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_row_39_real_request_never_sent(authority: Authority) -> None:
    clock, port = ManualClock(), _closed_port()
    url = f"http://127.0.0.1:{port}"
    auth, store = await earlier_login(authority, clock, url)
    async with connected(url, auth, clock=clock, token_store=store) as tallyfy:
        errors = every(await together(lambda: me(tallyfy)), TokenRequestError)
        assert {error.outcome for error in errors} == {Outcome.NOT_SENT}
        assert len(clock.slept) == 3, "four attempts with a back-off between them, in all"
        assert not (await stored(store, auth, url)).presented
        with meddling(authority, port=port):
            assert await together(lambda: me(tallyfy)) == ALL_OK
    assert sent(authority, auth) == 1


@pytest.mark.parametrize(("rule", "received"), [(Rule(hang=True), 0), (Rule(dribble=0.05), 1)], ids=["hang", "dribble"])
async def test_row_40_real_total_deadline_of_a_refresh(authority: Authority, rule: Rule, received: int) -> None:
    clock = ManualClock(autojump=False)
    with meddling(authority, rule) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:

            async def let_time_pass() -> None:
                await until(lambda: proxy.struck == 1)
                await until(lambda: sent(authority, auth) == received)
                clock.advance(10.5)

            every(await together_while(let_time_pass, lambda: me(tallyfy)), AmbiguousRefreshError)
            every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
        assert proxy.requests == 1
    assert sent(authority, auth) == received


def _cut_json() -> list[bytes]:
    return [b'{"access_token": "cut-off-before-its-e']


UNUSABLE: dict[str, Rule] = {
    "41-head": Rule(path=TOKEN, truncate=40),
    "41-body": Rule(path=TOKEN, truncate=250),
    "41-json": Meddle(path=TOKEN, body=_cut_json()[0]),
    "41-json-without-length": Meddle(path=TOKEN, body=_cut_json),
    "42-html": Meddle(path=TOKEN, body=b"<html>Sign in</html>", headers={"Content-Type": "text/html"}),
    "42-text": Meddle(path=TOKEN, body=b"Refreshed."),
    "42-empty": Meddle(path=TOKEN, body=b"", status=204),
    "43-error": Meddle(path=TOKEN, body=b'{"error": "bad_refresh_token"}'),
    "60-no-token": Meddle(path=TOKEN, patch={"access_token": None}),
    "60-line-break": Meddle(path=TOKEN, patch={"access_token": "cut-off\r\nX-Evil: 1"}),
    "61-mac": Meddle(path=TOKEN, patch={"token_type": "mac"}),
}


async def _unusable(authority: Authority, rule: Rule) -> None:
    clock = ManualClock()
    with meddling(authority, rule) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        before = await stored(store, auth, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            errors = every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
            every(await together(lambda: me(tallyfy), 3), AmbiguousRefreshError)
        assert await stored(store, auth, proxy.url) == before.mark(presented=True)
        assert proxy.received == {f"POST {TOKEN}": 1}
    assert sent(authority, auth) == 1
    assert not authority.alive(auth.refresh_token.reveal()), "the server has rotated it"
    told = " ".join(str(link) for link in (errors[0], errors[0].__cause__))
    assert not any(word in told for word in ("cut-off", "Sign in", "Evil", auth.refresh_token.reveal()))


@pytest.mark.parametrize("case", [case for case in UNUSABLE if case.startswith("41")])
async def test_row_41_real_reply_that_is_cut(authority: Authority, case: str) -> None:
    await _unusable(authority, UNUSABLE[case])


@pytest.mark.parametrize("case", [case for case in UNUSABLE if case.startswith("42")])
async def test_row_42_real_reply_that_is_no_json(authority: Authority, case: str) -> None:
    await _unusable(authority, UNUSABLE[case])


async def test_row_43_real_error_with_a_success_status(authority: Authority) -> None:
    await _unusable(authority, UNUSABLE["43-error"])


@pytest.mark.parametrize("case", [case for case in UNUSABLE if case.startswith("60")])
async def test_row_60_real_unusable_access_token(authority: Authority, case: str) -> None:
    await _unusable(authority, UNUSABLE[case])


async def test_row_61_real_other_token_type(authority: Authority) -> None:
    await _unusable(authority, UNUSABLE["61-mac"])
