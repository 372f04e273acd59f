"""Rows 38 to 40, 44, 45 and 48: what goes wrong between us and the token endpoint."""

from __future__ import annotations

import socket
from email.utils import formatdate

import anyio
import pytest

from tallyfy_async import (
    AmbiguousRefreshError,
    Outcome,
    ReauthenticationRequiredError,
    Token,
    TokenRequestError,
)
from tallyfy_async.sandbox import Fault, Rule
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.rig import (
    CALLERS,
    connected,
    earlier_login,
    every,
    line_of,
    login,
    logins,
    me,
    refreshes,
    sent,
    served,
    stored,
    together,
    until,
)

pytestmark = pytest.mark.anyio
LOST = Rule(path="/api/oauth/token", drop_after=True)


async def test_row_38_lost_reply_is_never_resent() -> None:
    clock = ManualClock()
    with served(clock) as sandbox, sandbox.proxy(LOST) as proxy:
        auth, store = await earlier_login(sandbox, clock, proxy.url)
        async with connected(sandbox, auth, base_url=proxy.url, clock=clock, token_store=store) as tallyfy:
            errors = every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
            assert "Log in again" in str(errors[0])
            every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
        async with connected(sandbox, auth, base_url=proxy.url, clock=clock, token_store=store) as restarted:
            every(await together(lambda: me(restarted)), AmbiguousRefreshError)
        assert (await stored(store, auth, proxy.url)).presented
        assert sent(sandbox, auth) == sandbox.stats.requests == 1


async def test_row_38_old_token_is_used_while_it_lives() -> None:
    clock = ManualClock()
    with served(clock, revoke_old_access_on_refresh=False) as sandbox, sandbox.proxy(LOST) as proxy:
        auth, store = await earlier_login(sandbox, clock, proxy.url, spare=50)
        async with connected(sandbox, auth, base_url=proxy.url, clock=clock, token_store=store) as tallyfy:
            for _ in range(3):
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
                clock.advance(6)
            clock.advance(50)
            every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
        assert sent(sandbox, auth) == 1


async def test_row_38_store_is_read_again() -> None:
    clock = ManualClock()
    with served(clock) as sandbox, sandbox.proxy(LOST) as proxy:
        auth, store = await earlier_login(sandbox, clock, proxy.url)
        async with connected(sandbox, auth, base_url=proxy.url, clock=clock, token_store=store) as tallyfy:
            with pytest.raises(AmbiguousRefreshError):
                await me(tallyfy)
            async with connected(sandbox, clock=clock) as sibling:
                fresh = await sibling.tokens.get()
            won = Token(access_token=fresh.access_token, issued_at=fresh.issued_at, lifetime=3600, generation=7)
            assert await store.save(line_of(auth, proxy.url), won, expected=1)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert sent(sandbox, auth) == 1


async def test_row_38_one_replay_where_the_server_grants_it() -> None:
    clock = ManualClock()
    with served(clock, rotate_refresh=False) as sandbox, sandbox.proxy(LOST) as proxy:
        auth, store = await earlier_login(sandbox, clock, proxy.url, replay_refresh=True)
        async with connected(sandbox, auth, base_url=proxy.url, clock=clock, token_store=store) as tallyfy:
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert sent(sandbox, auth) == 2


async def test_row_38_at_most_one_replay() -> None:
    clock = ManualClock()
    lost = Rule(path="/api/oauth/token", drop_after=True, times=None)
    with served(clock, rotate_refresh=False) as sandbox, sandbox.proxy(lost) as proxy:
        auth, store = await earlier_login(sandbox, clock, proxy.url, replay_refresh=True)
        for _ in range(2):
            async with connected(sandbox, auth, base_url=proxy.url, clock=clock, token_store=store) as tallyfy:
                every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
                every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
        assert sent(sandbox, auth) == 2


async def test_row_38_a_password_logs_in_anew() -> None:
    clock = ManualClock()
    with served(clock) as sandbox, sandbox.proxy() as proxy:
        async with connected(sandbox, base_url=proxy.url, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            proxy.add(LOST)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert (refreshes(sandbox), logins(sandbox)) == (1, 2)
        assert sandbox.stats.presented_twice == 0


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_row_39_request_never_sent() -> None:
    clock = ManualClock()
    port = _closed_port()
    url = f"http://127.0.0.1:{port}/api"
    with served(clock) as sandbox:
        auth, store = await earlier_login(sandbox, clock, url)
        settings = {"token_url": f"{url}/oauth/token", "clock": clock, "token_store": store}
        async with connected(sandbox, auth, **settings) as tallyfy:
            errors = every(await together(lambda: me(tallyfy)), TokenRequestError)
            assert {error.outcome for error in errors} == {Outcome.NOT_SENT}
            assert len(clock.slept) == 3, "four attempts with a back-off between them, in all"
            assert not (await stored(store, auth, url)).presented
            assert sandbox.stats.requests == 0
            with sandbox.proxy(port=port):
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert sent(sandbox, auth) == refreshes(sandbox) == 1


@pytest.mark.parametrize("rule", [Rule(hang=True), Rule(dribble=0.05)], ids=["hang", "dribble"])
async def test_row_40_total_deadline_of_a_refresh(rule: Rule) -> None:
    clock = ManualClock(autojump=False)
    with served(clock) as sandbox, sandbox.proxy(rule) as proxy:
        auth, store = await earlier_login(sandbox, clock, proxy.url)
        async with connected(sandbox, auth, base_url=proxy.url, clock=clock, token_store=store) as tallyfy:

            async def let_time_pass() -> None:
                await until(lambda: proxy.struck == 1)
                clock.advance(10.5)

            async with anyio.create_task_group() as group:
                group.start_soon(let_time_pass)
                every(await together(lambda: me(tallyfy)), AmbiguousRefreshError)
            every(await together(lambda: me(tallyfy), 3), AmbiguousRefreshError)
        assert proxy.requests == 1


async def test_row_40_waiters_keep_their_own_deadline() -> None:
    clock = ManualClock(autojump=False)
    with served(clock) as sandbox, sandbox.proxy(Rule(hang=True)) as proxy:
        auth, store = await earlier_login(sandbox, clock, proxy.url)
        settings = {"base_url": proxy.url, "clock": clock, "token_store": store, "deadline": 2.0}
        async with connected(sandbox, auth, **settings) as tallyfy:
            ends: list[float] = []

            async def call() -> None:
                with pytest.raises((TimeoutError, AmbiguousRefreshError)):
                    await me(tallyfy)
                ends.append(clock.monotonic())

            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(call)
                await until(lambda: proxy.struck == 1)
                began = clock.monotonic()
                clock.advance(2.5)
                await until(lambda: len(ends) == 4)
                clock.advance(8)
        assert sorted(end - began for end in ends) == pytest.approx([2.5] * 4 + [10.5])


def _kill(sandbox: object, auth: object, how: str) -> None:
    token = sandbox.world.vault.refresh[auth.refresh_token.reveal()]  # type: ignore[attr-defined]
    match how:
        case "revoked":
            token.spent = True
        case "expired":
            token.expires_at = 0
        case "unknown":
            del sandbox.world.vault.refresh[token.value]  # type: ignore[attr-defined]
        case _:
            token.access.client_id = "another"


async def _dead(league: int, how: str) -> None:
    clock = ManualClock()
    with served(clock, league=league) as sandbox:
        auth, store = await earlier_login(sandbox, clock)
        _kill(sandbox, auth, how)
        for _ in range(2):
            async with connected(sandbox, auth, clock=clock, token_store=store) as tallyfy:
                every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
                every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
        assert sandbox.stats.requests == refreshes(sandbox) == 1
        assert (await stored(store, auth, sandbox.url)).refresh_token is None


@pytest.mark.parametrize("how", ["revoked", "expired", "unknown", "stolen"])
async def test_row_44_dead_refresh_token_of_league_9(how: str) -> None:
    await _dead(9, how)


@pytest.mark.parametrize("how", ["revoked", "expired", "unknown", "stolen"])
async def test_row_45_dead_refresh_token_of_league_8(how: str) -> None:
    await _dead(8, how)


@pytest.mark.parametrize("league", [8, 9])
async def test_row_45_dead_refresh_token_and_a_password(league: int) -> None:
    clock = ManualClock()
    with served(clock, league=league, refresh_life=5000) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(6000)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert (refreshes(sandbox), logins(sandbox)) == (1, 2)


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_row_48_short_pause_is_waited_for_once(form: str) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            asked = "3" if form == "seconds" else formatdate(clock.time() + 3, usegmt=True)
            sandbox.faults.add(Fault(operation="create_token", status=429, headers={"Retry-After": asked}))
            began = clock.monotonic()
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
            assert clock.monotonic() - began >= 2
        assert refreshes(sandbox) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_row_48_long_pause_binds_everybody(form: str) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            asked = "45" if form == "seconds" else formatdate(clock.time() + 45, usegmt=True)
            sandbox.faults.add(Fault(operation="create_token", status=429, headers={"Retry-After": asked}))
            errors = every(await together(lambda: me(tallyfy)), TokenRequestError)
            assert {error.status for error in errors} == {429}
            assert errors[0].retry_after == pytest.approx(45, abs=1.1)
            clock.advance(40)
            every(await together(lambda: me(tallyfy)), TokenRequestError)
            assert refreshes(sandbox) == 1
            clock.advance(6)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert refreshes(sandbox) == 2


async def test_row_48_pause_has_a_cap() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            sandbox.faults.add(Fault(operation="create_token", status=429, headers={"Retry-After": "1000000000"}))
            with pytest.raises(TokenRequestError):
                await me(tallyfy)
            clock.advance(301)
            assert await me(tallyfy) == 200


async def test_row_48_pause_in_the_advisory_window_bothers_nobody() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock, auth=login(sandbox)) as tallyfy:
            await me(tallyfy)
            clock.advance(3600 - 55)
            sandbox.faults.add(Fault(operation="create_token", status=429, headers={"Retry-After": "30"}))
            for _ in range(4):
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
                clock.advance(6)
            assert refreshes(sandbox) == 1
            clock.advance(7)
            assert await me(tallyfy) == 200
        assert refreshes(sandbox) == 2
