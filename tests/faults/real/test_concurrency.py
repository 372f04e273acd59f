"""Rows 1 to 17 against a real authorization server: many callers in one process."""

from __future__ import annotations

import gc
import logging
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tallyfy_async import (
    ClientClosedError,
    ClientCredentials,
    MemoryStore,
    Token,
    TokenRequestError,
)
from tallyfy_async.telemetry import Hooks, TokenRecord
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.real.rig import (
    CALLERS,
    TOKEN,
    cancelled_at,
    connected,
    earlier_login,
    me,
    password,
    refreshes,
    stored,
    together,
    together_while,
)
from tests.faults.rig import every, native_cancel, until
from tests.oauth_server.authority import Authority
from tests.oauth_server.known import SERVICE_CLIENT
from tests.oauth_server.ledger import digest
from tests.oauth_server.meddler import Gate, Meddle, meddling

pytestmark = pytest.mark.anyio
ALL_OK = [200] * CALLERS


def held_refresh(gate: Gate) -> Meddle:
    """Let the second token request rotate, and hold what the server says to it."""
    return Meddle(path=TOKEN, after=1, after_gate=gate)


def failing(status: int, times: int | None = None) -> Meddle:
    """Answer token requests before they reach the server."""
    return Meddle(path=TOKEN, times=times, forward=False, status=status, body=b'{"message": "Server Error"}')


async def test_row_01_real_stampede_at_expiry(authority: Authority) -> None:
    clock = ManualClock()
    async with connected(authority.url, clock=clock) as tallyfy:
        await me(tallyfy)
        clock.advance(4000)
        assert await together(lambda: me(tallyfy)) == ALL_OK
    report = authority.report
    assert report.requests == {"password": {"ok": 1}, "refresh_token": {"ok": 1}}
    assert report.statuses() == {200: CALLERS + 1}


async def test_row_02_real_stampede_on_the_first_token(authority: Authority) -> None:
    async with connected(authority.url) as tallyfy:
        assert await together(lambda: me(tallyfy)) == ALL_OK
    assert authority.report.requests == {"password": {"ok": 1}}


async def test_row_02_real_stampede_on_the_first_application_token(authority: Authority) -> None:
    auth = ClientCredentials(client_id=SERVICE_CLIENT[0], client_secret=SERVICE_CLIENT[1])
    async with connected(authority.url, auth) as tallyfy:
        tokens = every(await together(tallyfy.tokens.get), Token)
    assert len({token.access_token.reveal() for token in tokens}) == 1
    assert tokens[0].refresh_token is None
    assert authority.report.requests == {"client_credentials": {"ok": 1}}


async def test_row_03_real_life_of_3_seconds(authority: Authority) -> None:
    authority.reset(access_life=3)
    async with connected(authority.url) as tallyfy:
        while (await tallyfy.tokens.get()).generation < 2:
            assert await together(lambda: me(tallyfy), 10) == [200] * 10
            await anyio.sleep(0.1)
        assert await me(tallyfy) == 200
    report = authority.report
    assert report.requests == {"password": {"ok": 1}, "refresh_token": {"ok": 1}}
    assert report.presented_twice == 0
    assert len(report.carried()) == 2, "every token was used"


async def test_row_04_real_second_expiry_while_everybody_waits(authority: Authority) -> None:
    authority.reset(access_life=1)
    gate = Gate()

    async def let_the_new_token_die_on_its_way() -> None:
        await until(lambda: gate.waiting == 1)
        await until(lambda: not authority.alive(None))
        gate.open()

    with meddling(authority, held_refresh(gate)) as proxy:
        async with connected(proxy.url) as tallyfy:
            await me(tallyfy)
            await until(lambda: not authority.alive(None))
            async with anyio.create_task_group() as group:
                group.start_soon(let_the_new_token_die_on_its_way)
                assert await together(lambda: me(tallyfy), 5) == [200] * 5
    report = authority.report
    assert set(report.requests["refresh_token"]) == {"ok"}
    assert report.requests["refresh_token"]["ok"] >= 2
    assert report.presented_twice == 0


async def test_row_06_real_stale_401_race(authority: Authority) -> None:
    gate = Gate()
    with meddling(authority, Meddle(path="/api/me", before_gate=gate)) as proxy:
        async with connected(proxy.url) as tallyfy:
            first = await tallyfy.tokens.get()

            async def refresh_meanwhile() -> None:
                await until(lambda: gate.waiting == 1)
                await tallyfy.tokens.refresh(if_generation=first.generation)
                assert not authority.alive(first.access_token.reveal()), "the server ends it at the refresh"
                gate.open()

            assert await together_while(refresh_meanwhile, lambda: me(tallyfy), 1) == [200]
            second = await tallyfy.tokens.get()
    report = authority.report
    assert report.carried() == {
        digest(first.access_token.reveal()): {401: 1},
        digest(second.access_token.reveal()): {200: 1},
    }
    assert report.requests["refresh_token"] == {"ok": 1}


async def test_row_07_real_all_calls_in_flight_get_401(authority: Authority) -> None:
    gate = Gate()

    async def end_the_token_while_all_are_on_their_way() -> None:
        await until(lambda: gate.waiting == CALLERS)
        authority.expire_access()
        gate.open()

    with meddling(authority, Meddle(path="/api/me", after=1, times=CALLERS, before_gate=gate)) as proxy:
        async with connected(proxy.url) as tallyfy:
            await me(tallyfy)
            assert await together_while(end_the_token_while_all_are_on_their_way, lambda: me(tallyfy)) == ALL_OK
    assert authority.report.statuses() == {401: CALLERS, 200: CALLERS + 1}
    assert refreshes(authority) == {"ok": 1}


@pytest.mark.parametrize("native", [False, True])
async def test_row_08_real_leader_cancelled_mid_refresh(authority: Authority, *, native: bool) -> None:
    if native and not native_cancel():
        return
    clock, gate, store, auth = ManualClock(), Gate(), MemoryStore(), password()
    with meddling(authority, held_refresh(gate)) as proxy:
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            await cancelled_at(lambda: gate.waiting == 1, gate.open, lambda: me(tallyfy), native=native)
            kept = await stored(store, auth, proxy.url)
            assert (kept.generation, kept.presented) == (2, False)
            assert await me(tallyfy) == 200
    assert refreshes(authority) == {"ok": 1}
    assert authority.report.presented_twice == 0


async def test_row_09_real_one_waiter_cancelled(authority: Authority) -> None:
    gate, statuses = Gate(), list[int]()
    scopes = [anyio.CancelScope() for _ in range(CALLERS)]
    with meddling(authority, Meddle(path=TOKEN, after_gate=gate)) as proxy:
        async with connected(proxy.url) as tallyfy:

            async def call(scope: anyio.CancelScope) -> None:
                with scope:
                    statuses.append(await me(tallyfy))

            async with anyio.create_task_group() as group:
                for scope in scopes:
                    group.start_soon(call, scope)
                await until(lambda: gate.waiting == 1)
                scopes[CALLERS // 2].cancel()
                gate.open()
    assert statuses == [200] * (CALLERS - 1)
    assert authority.report.requests == {"password": {"ok": 1}}


async def test_row_11_real_all_callers_cancelled_while_the_loop_goes_on(authority: Authority) -> None:
    complaints: list[Any] = []
    if native_cancel():
        import asyncio

        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    clock, gate = ManualClock(), Gate()
    with meddling(authority, Meddle(path=TOKEN, after_gate=gate)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            async with anyio.create_task_group() as group:
                for _ in range(CALLERS):
                    group.start_soon(me, tallyfy)
                await until(lambda: gate.waiting == 1)
                group.cancel_scope.cancel()
                gate.open()
            kept = await stored(store, auth, proxy.url)
            assert kept.refresh_token is not None
            assert authority.alive(kept.refresh_token.reveal()), "the rotated token is in the store"
            assert await me(tallyfy) == 200
    assert refreshes(authority) == {"ok": 1}
    gc.collect()
    await anyio.lowlevel.checkpoint()
    assert complaints == []


async def test_row_12_real_client_closes_mid_refresh(authority: Authority) -> None:
    clock, gate, ends = ManualClock(), Gate(), list[Any]()
    with meddling(authority, Meddle(path=TOKEN, after_gate=gate)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        settings = {"clock": clock, "token_store": store}
        tallyfy = connected(proxy.url, auth, **settings)

        async def call() -> None:
            try:
                ends.append(await me(tallyfy))
            except ClientClosedError as error:
                ends.append(type(error))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(lambda: gate.waiting == 1)
            group.start_soon(tallyfy.aclose)
            await anyio.wait_all_tasks_blocked()
            gate.open()
        kept = await stored(store, auth, proxy.url)
        assert (kept.generation, kept.presented) == (2, False)
        assert ends in ([200], [ClientClosedError])
        with pytest.raises(ClientClosedError):
            await me(tallyfy)
        async with connected(proxy.url, auth, **settings) as restarted:
            assert await me(restarted) == 200
    assert refreshes(authority) == {"ok": 1}


async def test_row_13_real_one_failed_refresh_is_one_retry(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority, failing(503, times=1)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            assert await together(lambda: me(tallyfy)) == ALL_OK
        assert proxy.received[f"POST {TOKEN}"] == 2
    assert refreshes(authority) == {"ok": 1}


async def test_row_13_real_lasting_failure_costs_the_attempts_of_one(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority, failing(503)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            errors = every(await together(lambda: me(tallyfy)), TokenRequestError)
            assert {error.status for error in errors} == {503}
            assert len({id(error) for error in errors}) == CALLERS
            assert proxy.received[f"POST {TOKEN}"] == 4
            proxy.clear()
            assert await together(lambda: me(tallyfy)) == ALL_OK
    assert refreshes(authority) == {"ok": 1}


async def test_row_15_real_failing_early_refresh_bothers_nobody(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    with meddling(authority, failing(500)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url, spare=50)
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
            with caplog.at_level(logging.WARNING, "tallyfy_async"):
                assert await together(lambda: me(tallyfy)) == ALL_OK
                assert await together(lambda: me(tallyfy)) == ALL_OK
            assert [one.name for one in caplog.records].count("tallyfy_async") == 1
            proxy.clear()
            clock.advance(6)
            assert await me(tallyfy) == 200
    assert refreshes(authority) == {"ok": 1}
    assert set(authority.report.statuses()) == {200}


async def test_row_16_real_renewal_survives_its_own_failures(authority: Authority) -> None:
    clock = ManualClock()
    with meddling(authority) as proxy:
        async with connected(proxy.url, clock=clock) as tallyfy:
            await me(tallyfy)
            for life in range(1, 4):
                clock.advance(4000)
                proxy.add(failing(502))
                every(await together(lambda: me(tallyfy), 5), TokenRequestError)
                proxy.clear()
                assert await together(lambda: me(tallyfy), 5) == [200] * 5
                assert refreshes(authority) == {"ok": life}
    assert authority.report.presented_twice == 0


async def test_row_17_real_hook_calls_the_api(authority: Authority) -> None:
    heard: list[tuple[int, int]] = []

    class Caller(Hooks):
        async def on_token(self, record: TokenRecord) -> None:
            heard.append((record.generation, await me(tallyfy)))

    clock = ManualClock()
    async with connected(authority.url, clock=clock, hooks=[Caller()]) as tallyfy:
        assert await together(lambda: me(tallyfy)) == ALL_OK
        clock.advance(4000)
        assert await together(lambda: me(tallyfy)) == ALL_OK
    assert heard == [(1, 200), (2, 200)]
    assert refreshes(authority) == {"ok": 1}
