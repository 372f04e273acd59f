"""Rows 53 to 66 against a real authorization server: what its replies say, and how long its tokens live."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tallyfy_async import ReauthenticationRequiredError, Token
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.real.rig import (
    CALLERS,
    TOKEN,
    connected,
    earlier_login,
    logins,
    me,
    password,
    refreshes,
    sent,
    stored,
    together,
    together_while,
)
from tests.faults.rig import every, until
from tests.oauth_server.authority import Authority
from tests.oauth_server.ledger import digest
from tests.oauth_server.meddler import UNSET, Gate, Meddle, meddling

pytestmark = pytest.mark.anyio
ALL_OK = [200] * CALLERS


def patched(**changes: Any) -> Meddle:
    """Change every reply of the token endpoint."""
    return Meddle(path=TOKEN, times=None, patch=changes)


@pytest.mark.parametrize("value", [UNSET, "soon"], ids=["missing", "text"])
async def test_row_53_real_life_unknown(authority: Authority, value: Any) -> None:
    clock = ManualClock()
    with meddling(authority, patched(expires_in=value)) as proxy:
        async with connected(proxy.url, clock=clock) as tallyfy:
            for life in range(3):
                clock.advance(10_000)
                assert await together(lambda: me(tallyfy)) == ALL_OK
                assert sum(refreshes(authority).values()) == life
                authority.expire_access()
    assert logins(authority) == 1
    assert authority.report.presented_twice == 0


async def test_row_54_real_expired_on_arrival(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority, patched(expires_in=0)) as proxy:
        async with connected(proxy.url, clock=clock) as tallyfy:
            for wave in range(1, 4):
                assert await together(lambda: me(tallyfy)) == ALL_OK
                assert authority.report.posts == wave
    report = authority.report
    assert report.presented_twice == 0
    assert len(report.carried()) == 3, "every token was used"
    assert report.statuses() == {200: 3 * CALLERS}


@pytest.mark.parametrize("value", ["3600", 10**12])
async def test_row_57_real_life_that_is_promised_too_long(authority: Authority, value: Any) -> None:
    authority.reset(access_life=1)
    with meddling(authority, patched(expires_in=value)) as proxy:
        async with connected(proxy.url) as tallyfy:
            assert await me(tallyfy) == 200
            await until(lambda: not authority.alive(None))
            assert await me(tallyfy) == 200, "the server's 401 ends it"
    assert set(authority.report.statuses()) == {200, 401}
    assert set(refreshes(authority)) == {"ok"}


async def test_row_58_real_server_without_rotation(authority: Authority) -> None:
    authority.reset(rotate=False)
    clock = ManualClock()
    with meddling(authority, patched(refresh_token=UNSET)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            for life in range(1, 4):
                assert await together(lambda: me(tallyfy)) == ALL_OK
                assert refreshes(authority) == {"ok": life}
                assert (await stored(store, auth, proxy.url)).refresh_token == auth.refresh_token
                clock.advance(4000)


async def test_row_58_real_rotated_token_that_is_kept_from_us(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority, patched(refresh_token=UNSET)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            assert await together(lambda: me(tallyfy)) == ALL_OK
            clock.advance(4000)
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
    assert sent(authority, auth) == 2
    assert refreshes(authority) == {"ok": 1, "invalid_grant": 1}


async def test_row_59_real_store_holds_the_pair_that_lives(authority: Authority) -> None:
    clock = ManualClock()
    auth, store = await earlier_login(authority, clock)
    async with connected(authority.url, auth, clock=clock, token_store=store) as tallyfy:
        for generation in range(2, 5):
            assert await me(tallyfy) == 200
            kept = await stored(store, auth, authority.url)
            assert kept.generation == generation
            assert kept.refresh_token is not None
            assert authority.alive(kept.access_token.reveal())
            assert authority.alive(kept.refresh_token.reveal())
            clock.advance(4000)


@pytest.mark.parametrize("value", ["bearer", "BEARER", UNSET], ids=["lower", "upper", "missing"])
async def test_row_61_real_bearer_in_any_case(authority: Authority, value: Any) -> None:
    with meddling(authority, patched(token_type=value)) as proxy:
        async with connected(proxy.url) as tallyfy:
            assert await me(tallyfy) == 200
            token = await tallyfy.tokens.get()
    [call] = authority.report.calls
    assert (call.scheme, call.token) == ("Bearer", digest(token.access_token.reveal()))


@pytest.mark.parametrize(
    ("granted", "complaints"),
    [("account", ["the new token no longer has the scopes process"]), ("account process", [])],
)
async def test_row_62_real_scope_narrowed_on_refresh(
    authority: Authority, granted: str, complaints: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with connected(authority.url, password(scope="account process"), clock=clock) as tallyfy:
        assert (await tallyfy.tokens.get()).scopes == frozenset({"account", "process"})
        authority.narrow(granted)
        clock.advance(4000)
        with caplog.at_level(logging.WARNING, "tallyfy_async"):
            assert (await tallyfy.tokens.get()).scopes == frozenset(granted.split())
    assert [one.getMessage() for one in caplog.records] == complaints


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
async def test_row_63_real_wall_clock_jumps(authority: Authority, jump: float) -> None:
    clock = ManualClock()
    async with connected(authority.url, clock=clock) as tallyfy:
        await me(tallyfy)
        clock.skew += jump
        for _ in range(2):
            assert await together(lambda: me(tallyfy)) == ALL_OK
    assert sum(refreshes(authority).values()) == (1 if jump > 0 else 0)
    assert set(authority.report.statuses()) == {200}


async def test_row_65_real_time_in_the_exchange_counts(authority: Authority) -> None:
    authority.reset(access_life=2)
    gate, tokens = Gate(), list[Token]()

    async def let_it_die_on_its_way() -> None:
        await until(lambda: gate.waiting == 1)
        await until(lambda: not authority.alive(None))
        gate.open()

    with meddling(authority, Meddle(path=TOKEN, after_gate=gate)) as proxy:
        async with connected(proxy.url) as tallyfy:
            async with anyio.create_task_group() as group:
                group.start_soon(let_it_die_on_its_way)
                tokens.append(await tallyfy.tokens.get())
            assert await me(tallyfy) == 200
    assert set(authority.report.statuses()) == {200}, "a token that died on its way is not tried"
    assert refreshes(authority) == {"ok": 1}


async def test_row_66_real_token_dies_on_the_way(authority: Authority) -> None:
    authority.reset(access_life=1)
    gate, tokens = Gate(), list[Token]()

    async def let_it_die_on_its_way() -> None:
        await until(lambda: gate.waiting == 1)
        await until(lambda: not authority.alive(tokens[0].access_token.reveal()))
        gate.open()

    with meddling(authority, Meddle(path="/api/me", before_gate=gate)) as proxy:
        async with connected(proxy.url) as tallyfy:
            tokens.append(await tallyfy.tokens.get())
            assert await together_while(let_it_die_on_its_way, lambda: me(tallyfy), 1) == [200]
    report = authority.report
    assert report.carried()[digest(tokens[0].access_token.reveal())] == {401: 1}
    assert report.statuses() == {401: 1, 200: 1}
    assert refreshes(authority) == {"ok": 1}
