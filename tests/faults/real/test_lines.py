"""Rows 18 to 29 against a real authorization server: several lines, clients and logins beside each other."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tallyfy_async import (
    MemoryStore,
    ReauthenticationRequiredError,
    Token,
)
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.real.rig import (
    BOB,
    CALLERS,
    TOKEN,
    connected,
    earlier_login,
    line_of,
    logins,
    me,
    password,
    record,
    refreshes,
    sent,
    stored,
    together,
    together_while,
)
from tests.faults.rig import every, until
from tests.oauth_server.authority import Authority
from tests.oauth_server.ledger import digest
from tests.oauth_server.meddler import Gate, Meddle, Meddler, meddling

pytestmark = pytest.mark.anyio
ALL_OK = [200] * CALLERS


class StuckStore(MemoryStore):
    """A store that does not answer for one line."""

    def __init__(self, stuck: str) -> None:
        super().__init__()
        self.stuck = stuck
        self.asked = 0
        self.free = anyio.Event()

    async def load(self, key: str) -> Token | None:
        if key == self.stuck:
            self.asked += 1
            await self.free.wait()
        return await super().load(key)


async def test_row_18_real_slow_line_holds_up_no_other(authority: Authority) -> None:
    ada, bob = password(), password(BOB)
    store = StuckStore(line_of(ada, authority.url))
    async with connected(authority.url, ada, token_store=store, max_connections=2) as tallyfy:
        others = tallyfy.with_options(auth=bob)

        async def free_it_when_bob_is_done() -> None:
            await until(lambda: store.asked == 1)
            assert await together(lambda: me(others)) == ALL_OK
            assert authority.report.requests == {"password": {"ok": 1}}
            store.free.set()

        assert await together_while(free_it_when_bob_is_done, lambda: me(tallyfy)) == ALL_OK
    assert authority.report.requests == {"password": {"ok": 2}}


async def test_row_19_real_five_clients_on_one_store(authority: Authority) -> None:
    clock = ManualClock()
    auth, store = await earlier_login(authority, clock)
    clients = [connected(authority.url, auth, clock=clock, token_store=store) for _ in range(5)]
    turns = iter(clients * 4)
    assert await together(lambda: me(next(turns))) == ALL_OK
    for client in clients:
        await client.aclose()
    assert refreshes(authority) == {"ok": 1}
    assert sum(client.tokens.statistics.adopted for client in clients) == 4


async def test_row_21_real_logout_while_a_refresh_is_in_flight(authority: Authority) -> None:
    clock, gate = ManualClock(), Gate()
    with meddling(authority, Meddle(path=TOKEN, after_gate=gate)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        settings = {"clock": clock, "token_store": store}
        async with connected(proxy.url, auth, **settings) as tallyfy:
            every(await _while_held(gate, tallyfy.tokens.forget, lambda: me(tallyfy)), ReauthenticationRequiredError)
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
            assert (await stored(store, auth, proxy.url)).refresh_token is None
        async with connected(proxy.url, auth, **settings) as restarted:
            with pytest.raises(ReauthenticationRequiredError):
                await me(restarted)
        assert proxy.received == {f"POST {TOKEN}": 1}
    assert authority.report.calls == ()
    assert sent(authority, auth) == 1


async def test_row_21_real_logout_by_a_sibling_while_a_refresh_is_in_flight(authority: Authority) -> None:
    clock, gate = ManualClock(), Gate()
    with meddling(authority, Meddle(path=TOKEN, after_gate=gate)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        settings = {"clock": clock, "token_store": store}
        async with connected(proxy.url, auth, **settings) as tallyfy, connected(proxy.url, auth, **settings) as sibling:
            every(await _while_held(gate, sibling.tokens.forget, lambda: me(tallyfy)), ReauthenticationRequiredError)
            every(await together(lambda: me(tallyfy)), ReauthenticationRequiredError)
            assert (await stored(store, auth, proxy.url)).refresh_token is None
        assert proxy.received == {f"POST {TOKEN}": 1}


async def test_row_22_real_login_while_a_refresh_is_in_flight(authority: Authority) -> None:
    clock, gate = ManualClock(), Gate()
    with meddling(authority, Meddle(path=TOKEN, after_gate=gate)) as proxy:
        auth, store = await earlier_login(authority, clock, proxy.url)
        newer = record(authority.login(), clock.time())
        async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:

            async def adopt() -> None:
                await tallyfy.tokens.adopt(newer)

            assert await _while_held(gate, adopt, lambda: me(tallyfy)) == ALL_OK
            assert await together(lambda: me(tallyfy)) == ALL_OK
            kept = await stored(store, auth, proxy.url)
            assert (kept.access_token, kept.refresh_token) == (newer.access_token, newer.refresh_token)
            clock.advance(4000)
            assert await together(lambda: me(tallyfy)) == ALL_OK, "the newer family lives on"
    assert newer.refresh_token is not None
    report = authority.report
    assert report.sent(newer.refresh_token.reveal()) == 1
    assert refreshes(authority) == {"ok": 2}
    assert report.carried()[digest(newer.access_token.reveal())] == {200: 2 * CALLERS}


async def _while_held(gate: Gate, change: Any, work: Any) -> list[Any]:
    """Make calls that need a refresh, and ``change`` the line while the server's answer is held."""

    async def change_and_let_go() -> None:
        await until(lambda: gate.waiting == 1)
        async with anyio.create_task_group() as group:
            group.start_soon(change)
            await anyio.wait_all_tasks_blocked()
            gate.open()

    return await together_while(change_and_let_go, work)


async def _sibling_wins(authority: Authority, proxy: Meddler, gate: Gate) -> tuple[list[Any], Any, dict[str, Any]]:
    """Let another program, which knows no lock, trade our refresh token in while our request is on its way."""
    clock = ManualClock()
    auth, store = await earlier_login(authority, clock, proxy.url)
    replies: list[dict[str, Any]] = []

    async def rotate() -> None:
        await until(lambda: gate.waiting == 1)
        replies.append(authority.present(auth.refresh_token.reveal()).raise_for_status().json())
        theirs = record(replies[0], clock.time(), generation=2)
        assert await store.save(line_of(auth, proxy.url), theirs, expected=1)
        gate.open()

    async with connected(proxy.url, auth, clock=clock, token_store=store) as tallyfy:
        outcomes = await together_while(rotate, lambda: me(tallyfy))
    return outcomes, auth, replies[0]


async def test_row_29_real_sibling_who_won_is_adopted(authority: Authority) -> None:
    authority.reset(reuse_protection=False)
    gate = Gate()
    with meddling(authority, Meddle(path=TOKEN, before_gate=gate)) as proxy:
        outcomes, auth, theirs = await _sibling_wins(authority, proxy, gate)
    assert outcomes == ALL_OK
    assert refreshes(authority) == {"ok": 1, "invalid_grant": 1}
    assert sent(authority, auth) == 2, "once by them, once by us"
    assert authority.report.carried() == {digest(theirs["access_token"]): {200: CALLERS}}


async def test_row_29_real_family_that_the_server_ended(authority: Authority) -> None:
    gate = Gate()
    with meddling(authority, Meddle(path=TOKEN, before_gate=gate)) as proxy:
        outcomes, auth, theirs = await _sibling_wins(authority, proxy, gate)
        every(outcomes, ReauthenticationRequiredError)
        assert proxy.received[f"POST {TOKEN}"] == 2
    assert (sent(authority, auth), authority.report.sent(theirs["refresh_token"])) == (2, 1)
    assert refreshes(authority) == {"ok": 1, "invalid_grant": 2}
    assert logins(authority) == 1
