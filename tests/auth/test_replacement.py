"""Another login in the place of this one, the end of a login, and tokens that the store would not take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest

from tallyfy_async import (
    AuthError,
    ClientClosedError,
    ImplicitToken,
    MemoryStore,
    PersonalTokenRevokedError,
    ReauthenticationRequiredError,
    StaticToken,
    StoredLogin,
    StoreError,
    Token,
    TokenManager,
)
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import CLIENT, KEY, Server, aged, crowd, holding, manager, record, resumed

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


def another(clock: ManualClock) -> Token:
    return Token(access_token="other-access", refresh_token="other-refresh", issued_at=clock.time(), lifetime=3600.0)


async def test_adopted_token_is_used_and_stored(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 4))
    tokens = manager(server, store)
    await tokens.get()
    adopted = await tokens.adopt(another(clock))
    assert (adopted.generation, adopted.access_token.reveal()) == (5, "other-access")
    assert tokens.peek() is adopted
    assert await store.load(KEY) == adopted
    assert server.received == []


async def test_first_token_of_a_stored_login(clock: ManualClock, server: Server) -> None:
    store, grant = MemoryStore(), StoredLogin(**CLIENT, login="browser-1")
    with pytest.raises(ReauthenticationRequiredError, match="holds no token of this login"):
        await manager(server, store, grant).get()
    adopted = await manager(server, store, grant).adopt(another(clock))
    assert adopted.generation == 1
    assert (await manager(server, store, grant).get()).access_token.reveal() == "other-access"
    clock.advance(3590)
    renewed = await manager(server, store, grant).get()
    assert (renewed.generation, server.grants) == (2, ["refresh_token"])


async def during_a_refresh(
    server: Server, tokens: TokenManager, act: Callable[[], Awaitable[object]], callers: int = 1
) -> list[object]:
    """Act while callers wait for a refresh whose answer is held back; return what each got or what it raised."""
    server.gate, outcomes = anyio.Event(), list[object]()

    async def call() -> None:
        try:
            outcomes.append(await tokens.get())
        except AuthError as error:
            outcomes.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(callers):
            group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        await act()
        server.gate.set()
    return outcomes


async def test_row_22_login_while_a_refresh_is_in_flight(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    tokens = manager(server, store, resumed())
    (got,) = await during_a_refresh(server, tokens, partial(tokens.adopt, another(clock)))
    adopted = await store.load(KEY)
    assert adopted is not None
    assert (adopted.access_token.reveal(), adopted.generation) == ("other-access", 2)
    assert got == tokens.peek() == await tokens.get() == adopted
    assert (server.grants, tokens.statistics.unpersisted) == (["refresh_token"], False)


async def test_row_21_logout_while_a_refresh_is_in_flight(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    tokens = manager(server, store, resumed())
    outcomes = await during_a_refresh(server, tokens, tokens.forget, callers=3)
    assert [type(outcome) for outcome in outcomes] == [ReauthenticationRequiredError] * 3
    stored = await store.load(KEY)
    assert stored is not None
    assert (stored.ended, stored.refresh_token, stored.generation) == (True, None, 2)
    with pytest.raises(ReauthenticationRequiredError, match="was ended"):
        await tokens.get()
    assert server.grants == ["refresh_token"]


async def test_row_21_logout_in_another_process(clock: ManualClock, server: Server) -> None:
    """Another manager has no part in our memory: only the store tells."""
    store = await holding(record(clock, 1, age=3600))
    ours, theirs = manager(server, store, resumed()), manager(server, store, resumed())
    outcomes = await during_a_refresh(server, ours, theirs.forget)
    (outcome,) = outcomes
    assert isinstance(outcome, ReauthenticationRequiredError)
    assert ours.peek() is None


async def test_password_logs_in_again_after_the_end(clock: ManualClock, server: Server) -> None:
    tokens = manager(server)
    await tokens.get()
    await tokens.forget()
    assert tokens.peek() is None
    again = await tokens.get()
    assert (again.generation, server.grants) == (3, ["password", "password"])


async def test_personal_token_stays_forgotten(server: Server) -> None:
    tokens = manager(server, grant=StaticToken("personal"))
    await tokens.get()
    await tokens.forget()
    with pytest.raises(ReauthenticationRequiredError, match="was ended") as told:
        await tokens.get()
    assert not isinstance(told.value, PersonalTokenRevokedError)


async def test_closed_manager_takes_no_other_login(clock: ManualClock, server: Server) -> None:
    tokens = manager(server)
    await tokens.aclose()
    with pytest.raises(ClientClosedError):
        await tokens.adopt(another(clock))
    with pytest.raises(ClientClosedError):
        await tokens.forget()


async def test_implicit_token_is_good_in_its_last_moments_too(
    clock: ManualClock, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    grant = ImplicitToken(client_id="42", access_token="implicit", issued_at=clock.time() - 839.0, lifetime=840.0)
    tokens = manager(server, grant=grant)
    assert (await tokens.get()).access_token.reveal() == "implicit"
    assert tokens.statistics.failures == 0
    assert caplog.records == []


async def test_implicit_token_is_used_to_its_end(clock: ManualClock, server: Server) -> None:
    grant = ImplicitToken(client_id="42", access_token="implicit", issued_at=clock.time(), lifetime=840.0)
    assert grant.token.expires_at == clock.time() + 840
    tokens = manager(server, grant=grant)
    assert (await tokens.get()).access_token.reveal() == "implicit"
    clock.advance(839)
    assert tokens.peek() is not None
    clock.advance(1)
    with pytest.raises(ReauthenticationRequiredError, match="AuthorizationCode"):
        await tokens.get()
    assert server.received == []


class Refusing(MemoryStore):
    """A store that can be broken for a while."""

    broken = False
    writes = 0

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        if self.broken:
            raise StoreError("disk full")
        self.writes += 1
        return await super().save(key, token, expected=expected)


async def test_row_95_write_is_tried_again(clock: ManualClock, server: Server) -> None:
    store = Refusing()
    tokens = manager(server, store, resumed())
    assert await store.save(KEY, record(clock, 1, age=3600), expected=None)
    server.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(tokens.get)
        await anyio.wait_all_tasks_blocked()
        store.broken = True
        server.gate.set()
    held = tokens.peek()
    assert held is not None
    assert tokens.statistics.unpersisted
    clock.advance(6)
    assert [one.generation for one in await crowd(tokens.get)] == [2] * 20  # the store is broken still
    assert tokens.statistics.unpersisted
    store.broken = False
    clock.advance(6)
    assert [one.generation for one in await crowd(tokens.get)] == [2] * 20
    assert await store.load(KEY) == held
    assert not tokens.statistics.unpersisted
    assert (server.grants, server.resent) == (["refresh_token"], [])
    assert tokens.statistics.tokens == 1
    clock.advance(1000)
    assert tokens.peek() is held


async def test_row_95_closing_writes_what_is_left(clock: ManualClock, server: Server) -> None:
    store = Refusing()
    tokens = manager(server, store)
    store.broken = True
    token = await tokens.get()
    assert tokens.statistics.unpersisted
    store.broken = False
    await tokens.aclose()
    assert await store.load(KEY) == token


async def test_row_95_newer_record_wins_over_the_late_write(clock: ManualClock, server: Server) -> None:
    store = Refusing()
    tokens = manager(server, store)
    store.broken = True
    await tokens.get()
    store.broken = False
    assert await store.save(KEY, record(clock, 7), expected=None)
    clock.advance(6)
    assert (await tokens.get()).generation == 7
    assert (await store.load(KEY)) == record(clock, 7, age=6)
    assert not tokens.statistics.unpersisted


async def test_the_line_has_a_name(server: Server) -> None:
    store = MemoryStore()
    tokens = manager(server, store)
    assert await store.load(tokens.key) is None
    assert await tokens.get() == await store.load(tokens.key)


async def test_counters(server: Server) -> None:
    tokens = await aged(server, 0)
    token = await tokens.get()
    await tokens.rejected(token)
    statistics = tokens.statistics
    assert (statistics.requests, statistics.tokens, statistics.rejections, statistics.failures) == (2, 2, 1, 0)


async def test_row_21_early_refresh_does_not_outlive_a_logout(clock: ManualClock, server: Server) -> None:
    """In the advisory window the old token is good for a while: a logout ends its use all the same."""
    store = await holding(record(clock, 1, age=3560))
    tokens, elsewhere = manager(server, store, resumed()), manager(server, store, resumed())
    outcomes = await during_a_refresh(server, tokens, elsewhere.forget)
    assert isinstance(outcomes[0], ReauthenticationRequiredError)
    assert tokens.peek() is None


async def test_adoption_that_fails_leaves_everything_as_it_was(clock: ManualClock, server: Server) -> None:
    store = Refusing()
    tokens = manager(server, store)
    held = await tokens.get()
    store.broken = True
    for change in (tokens.adopt(another(clock)), tokens.forget()):
        with pytest.raises(StoreError, match="disk full"):
            await change
    assert tokens.peek() is held
