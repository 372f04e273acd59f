"""Rows 1 to 15: many callers in one process."""

from __future__ import annotations

import contextlib
import gc
import logging
import traceback
from collections.abc import Callable, Coroutine
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
from tallyfy_async.sandbox import Fault
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.rig import (
    CALLERS,
    connected,
    login,
    logins,
    me,
    native_cancel,
    refreshes,
    served,
    stored,
    together,
    until,
)

pytestmark = pytest.mark.anyio
REFRESHED = {"ok": 1}


async def test_row_01_refresh_stampede_at_expiry() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
            assert sandbox.stats.token_requests["refresh_token"] == REFRESHED
            assert logins(sandbox) == 1
            assert sandbox.stats.presented_twice == 0
            assert tallyfy.tokens.statistics.requests == 2


async def test_row_02_stampede_on_the_first_token() -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert sandbox.stats.token_total == 1


async def test_row_02_stampede_on_the_first_application_token() -> None:
    with served() as sandbox:
        known = sandbox.credentials
        auth = ClientCredentials(client_id=known.client_id, client_secret=known.client_secret)
        async with connected(sandbox, auth) as tallyfy:
            tokens = await together(tallyfy.tokens.get)
        assert len({id(token) for token in tokens}) == 1
        assert sandbox.stats.token_requests == {"client_credentials": {"ok": 1}}


async def test_row_03_leeway_longer_than_the_life() -> None:
    clock = ManualClock()
    with served(clock, access_life=3) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            for life in range(1, 6):
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
                clock.advance(2.6)
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
                assert sandbox.token_lives == life
                clock.advance(1)
        assert sandbox.stats.token_total == sandbox.token_lives == sandbox.lives_used == 5
        assert sandbox.stats.reuses == 0


async def test_row_04_waiter_uses_the_refresh_token_of_the_current_record() -> None:
    clock = ManualClock()
    with served(clock, access_life=3) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(4)
            sandbox.faults.add(Fault(operation="create_token", delay_after=0.2))

            async def let_the_new_token_die_on_its_way() -> None:
                await until(lambda: sandbox.token_lives == 2)
                clock.advance(4)

            async with anyio.create_task_group() as group:
                group.start_soon(let_the_new_token_die_on_its_way)
                outcomes = await together(lambda: me(tallyfy))
        assert outcomes == [200] * CALLERS
        assert sandbox.stats.token_requests["refresh_token"] == {"ok": 2}
        assert sandbox.stats.reuses == sandbox.stats.presented_twice == 0


class SlowStore(MemoryStore):
    """A store whose reads take real time."""

    async def load(self, key: str) -> Token | None:
        await anyio.sleep(0.05)
        return await super().load(key)


async def test_row_05_check_outside_the_lock_only() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock, token_store=SlowStore()) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
            assert sandbox.stats.token_requests["refresh_token"] == REFRESHED


async def test_row_06_stale_401_race() -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            first = await tallyfy.tokens.get()
            sandbox.faults.add(Fault(operation="get_me", delay=0.2))
            statuses: list[int] = []

            async def call() -> None:
                statuses.append(await me(tallyfy))

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await until(lambda: sandbox.stats.concurrency == 1)
                second = await tallyfy.tokens.refresh(if_generation=first.generation)
            assert second.generation == 2
            assert statuses == [200]
            assert sandbox.stats.by_status[401] == 1
            assert refreshes(sandbox) == 1


async def test_row_07_all_calls_in_flight_get_401() -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            await me(tallyfy)
            sandbox.world.vault.revoke_all_access()
            sandbox.faults.add(Fault(operation="get_me", times=CALLERS, delay=0.1))
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
            assert sandbox.stats.by_status[401] == CALLERS
            assert sandbox.stats.token_requests["refresh_token"] == REFRESHED


async def _cancel_at(work: Callable[[], Coroutine[Any, Any, Any]], ready: Callable[[], bool], *, native: bool) -> None:
    """Start ``work``, wait until ``ready``, cancel it, and wait for its end."""
    if native:
        import asyncio

        task = asyncio.ensure_future(work())
        await until(ready)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await until(ready)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("native", [False, True])
async def test_row_08_leader_cancelled_mid_refresh(*, native: bool) -> None:
    if native and not native_cancel():
        return
    clock = ManualClock()
    with served(clock) as sandbox:
        store, auth = MemoryStore(), login(sandbox)
        async with connected(sandbox, auth, clock=clock, token_store=store) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            sandbox.faults.add(Fault(operation="create_token", delay_after=0.2))
            await _cancel_at(lambda: me(tallyfy), lambda: sandbox.token_lives == 2, native=native)
            kept = await stored(store, auth, sandbox.url)
            assert kept.generation == 2
            assert not kept.presented
            assert await me(tallyfy) == 200
        assert sandbox.stats.token_requests["refresh_token"] == REFRESHED
        assert sandbox.stats.presented_twice == 0


async def test_row_08_leader_past_its_deadline() -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            sandbox.faults.add(Fault(operation="create_token", delay_after=0.3))
            with anyio.move_on_after(0.1) as scope:
                await me(tallyfy)
            assert scope.cancelled_caught
            assert await me(tallyfy) == 200
        assert sandbox.stats.token_total == 1


async def test_row_09_one_waiter_cancelled() -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            sandbox.faults.add(Fault(operation="create_token", delay_after=0.2))
            statuses: list[int] = []
            scopes = [anyio.CancelScope() for _ in range(CALLERS)]

            async def call(scope: anyio.CancelScope) -> None:
                with scope:
                    statuses.append(await me(tallyfy))

            async with anyio.create_task_group() as group:
                for scope in scopes:
                    group.start_soon(call, scope)
                await until(lambda: sandbox.token_lives == 1)
                scopes[CALLERS // 2].cancel()
        assert statuses == [200] * (CALLERS - 1)
        assert sandbox.stats.token_total == 1


@pytest.mark.parametrize("native", [False, True])
async def test_row_10_cancelled_flight_is_not_kept(*, native: bool) -> None:
    if native and not native_cancel():
        return
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            sandbox.faults.add(Fault(operation="create_token", delay=0.1, status=400, times=3))

            async def call() -> None:
                # Where the flight ends badly before the cancellation is delivered, its error is what comes out.
                with contextlib.suppress(TokenRequestError):
                    await me(tallyfy)

            for _ in range(3):
                await _cancel_at(call, lambda: sandbox.stats.concurrency == 1, native=native)
                await until(lambda: sandbox.stats.concurrency == 0)
            assert sandbox.stats.token_total == 3
            assert await together(lambda: me(tallyfy), 5) == [200] * 5
        assert sandbox.stats.token_total == 4


async def test_row_11_all_callers_cancelled_while_the_loop_goes_on() -> None:
    complaints: list[Any] = []
    if native_cancel():
        import asyncio

        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    clock = ManualClock()
    with served(clock) as sandbox:
        store, auth = MemoryStore(), login(sandbox)
        async with connected(sandbox, auth, clock=clock, token_store=store) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            sandbox.faults.add(Fault(operation="create_token", delay_after=0.2))
            async with anyio.create_task_group() as group:
                for _ in range(CALLERS):
                    group.start_soon(me, tallyfy)
                await until(lambda: sandbox.token_lives == 2)
                group.cancel_scope.cancel()
            kept = await stored(store, auth, sandbox.url)
            assert kept.refresh_token is not None
            assert not sandbox.world.vault.refresh[kept.refresh_token.reveal()].spent
            assert await me(tallyfy) == 200
        assert refreshes(sandbox) == 1
    gc.collect()
    await anyio.lowlevel.checkpoint()
    assert complaints == []


async def test_row_12_client_closes_mid_refresh() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        store, auth = MemoryStore(), login(sandbox)
        tallyfy = connected(sandbox, auth, clock=clock, token_store=store)
        await me(tallyfy)
        clock.advance(4000)
        sandbox.faults.add(Fault(operation="create_token", delay_after=0.2))
        ends: list[Any] = []

        async def call() -> None:
            try:
                ends.append(await me(tallyfy))
            except ClientClosedError as error:
                ends.append(type(error))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await until(lambda: sandbox.token_lives == 2)
            await tallyfy.aclose()
            kept = await stored(store, auth, sandbox.url)
        assert (kept.generation, kept.presented) == (2, False)
        assert ends in ([200], [ClientClosedError])
        with pytest.raises(ClientClosedError):
            await me(tallyfy)
        with pytest.raises(ClientClosedError):
            await tallyfy.tokens.get()
        async with connected(sandbox, auth, clock=clock, token_store=store) as restarted:
            assert await me(restarted) == 200
        assert refreshes(sandbox) == logins(sandbox) == 1


async def test_row_13_one_failed_refresh_is_one_retry() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(4000)
            sandbox.faults.add(Fault(operation="create_token", status=503))
            assert await together(lambda: me(tallyfy)) == [200] * CALLERS
        assert refreshes(sandbox) == 2


async def test_row_13_lasting_failure_costs_the_attempts_of_one() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            sandbox.faults.add(Fault(operation="create_token", status=503, times=None))
            outcomes = await together(lambda: me(tallyfy))
        assert [type(outcome) for outcome in outcomes] == [TokenRequestError] * CALLERS
        assert {outcome.status for outcome in outcomes if isinstance(outcome, TokenRequestError)} == {503}
        assert sandbox.stats.token_total == 4


async def test_row_14_every_waiter_has_its_own_exception() -> None:
    with served() as sandbox:
        async with connected(sandbox, login(sandbox, password="wrong")) as tallyfy:
            outcomes = await together(tallyfy.tokens.get)
        errors = [outcome for outcome in outcomes if isinstance(outcome, TokenRequestError)]
        assert len({id(error) for error in errors}) == CALLERS
        depths = sorted(len(traceback.extract_tb(error.__traceback__)) for error in errors)
        assert depths[0] == depths[CALLERS - 2], "nobody's traceback grows with the number of waiters"
        assert {error.error for error in errors} == {"invalid_grant"}
        assert sandbox.stats.token_total == 1


async def test_row_15_failing_advisory_refresh_keeps_the_old_token(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(3600 - 50)
            sandbox.faults.add(Fault(operation="create_token", status=500, times=None))
            with caplog.at_level(logging.WARNING, "tallyfy_async"):
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
            assert refreshes(sandbox) == 2, "500 is asked once more, then there is a pause"
            assert [record.name for record in caplog.records].count("tallyfy_async") == 1
            clock.advance(6)
            sandbox.faults.clear()
            assert await me(tallyfy) == 200
            assert sandbox.stats.token_requests["refresh_token"]["ok"] == 1


async def test_row_15_others_go_on_while_one_refreshes_early() -> None:
    clock = ManualClock()
    with served(clock, revoke_old_access_on_refresh=False) as sandbox:
        async with connected(sandbox, clock=clock) as tallyfy:
            await me(tallyfy)
            clock.advance(3600 - 50)
            sandbox.faults.add(Fault(operation="create_token", delay_after=1.0))
            async with anyio.create_task_group() as group:
                group.start_soon(me, tallyfy)
                await until(lambda: sandbox.token_lives == 2)
                assert await together(lambda: me(tallyfy), 10) == [200] * 10
                assert sandbox.stats.concurrency == 1, "the refresh is still under way"
        assert sandbox.stats.token_requests["refresh_token"] == REFRESHED
