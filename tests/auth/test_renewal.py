"""One renewal under the store's lock: what is read, sent and written, and in which order."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from attrs import evolve

from tallyfy_async import (
    AmbiguousRefreshError,
    AuthError,
    ClientCredentials,
    ConfigurationError,
    DecodeError,
    InvalidClientError,
    NotSentError,
    Outcome,
    PersonalTokenRevokedError,
    ReauthenticationRequiredError,
    StaticToken,
    TokenRequestError,
    TransportError,
)
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import CLIENT, KEY, LOGIN, Server, crowd, holding, manager, record, resumed

pytestmark = pytest.mark.anyio
LOST = TransportError("the exchange broke: ReadError")
DEAD = (400, {"error": "invalid_grant"})
DEAD_8 = (401, {"error": "invalid_request", "hint": "Token has been revoked"})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Server:
    return Server(clock)


async def test_stored_token_is_adopted(clock: ManualClock, server: Server) -> None:
    tokens = manager(server, await holding(record(clock, 7)))
    assert (await tokens.get()).generation == 7
    assert server.received == []
    assert tokens.statistics.adopted == 1


async def test_store_is_read_again_before_a_refresh(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1))
    ours, theirs = manager(server, store), manager(server, store)
    assert (await ours.get()).generation == 1
    clock.advance(3600)
    assert (await theirs.get()).generation == 2
    assert (await ours.get()).generation == 2
    assert server.grants == ["refresh_token"]
    assert server.resent == []


async def test_store_is_read_again_after_a_401(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1))
    ours, theirs = manager(server, store), manager(server, store)
    token = await ours.get()
    await theirs.refresh(if_generation=(await theirs.get()).generation)
    newer = await ours.rejected(token)
    assert newer is not None
    assert newer.generation == 2
    assert server.grants == ["refresh_token"]


async def test_two_managers_of_one_store_renew_once(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    managers = [manager(server, store) for _ in range(10)]
    line = iter(managers * 5)
    assert {token.generation for token in await crowd(lambda: next(line).get(), 50)} == {2}
    assert server.grants == ["refresh_token"]


async def test_mark_is_written_before_the_refresh_token_is_sent(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(manager(server, store).get)
        await anyio.wait_all_tasks_blocked()
        marked = await store.load(KEY)
        assert marked is not None
        assert (len(server.received), marked.presented, marked.generation) == (1, True, 1)
        server.gate.set()
    kept = await store.load(KEY)
    assert kept is not None
    assert (kept.presented, kept.generation) == (False, 2)


@pytest.mark.parametrize(
    ("accident", "kind"),
    [
        ((503, {}), TokenRequestError),
        ((429, {}), TokenRequestError),
        ((401, {"error": "invalid_client"}), InvalidClientError),
        ((400, {"error": "invalid_request", "hint": "Check the `refresh_token` parameter"}), TokenRequestError),
        (NotSentError("nothing was sent"), TokenRequestError),
        (ConfigurationError("an illegal header"), ConfigurationError),
    ],
)
async def test_mark_goes_with_any_answer(clock: ManualClock, server: Server, accident: Any, kind: type) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.accidents = [accident]
    tokens = manager(server, store)
    with pytest.raises(kind):
        await tokens.get()
    kept = await store.load(KEY)
    assert kept is not None
    assert not kept.presented
    assert (await tokens.get()).generation == 2
    assert server.grants == ["refresh_token"] * 2


@pytest.mark.parametrize("accident", [LOST, DecodeError("no JSON"), {"access_token": None}, {"token_type": "mac"}])
async def test_lost_answer_ends_a_line_without_a_login(clock: ManualClock, server: Server, accident: Any) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.accidents = [accident]
    for _ in range(2):
        tokens = manager(server, store, resumed())
        for _ in range(2):
            with pytest.raises(AmbiguousRefreshError, match="Log in again"):
                await tokens.get()
    assert len(server.received) == 1
    kept = await store.load(KEY)
    assert kept is not None
    assert kept.presented


@pytest.mark.parametrize("accident", [LOST, {"access_token": 5}])
async def test_lost_answer_brings_a_new_login(clock: ManualClock, server: Server, accident: Any) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.accidents = [accident]
    token = await manager(server, store).get()
    assert server.grants == ["refresh_token", "password"]
    assert token.generation == 2
    assert await store.load(KEY) == token


async def test_mark_of_a_dead_process_is_respected(clock: ManualClock, server: Server) -> None:
    marked = record(clock, 1, age=3600, presented=True)
    with pytest.raises(AmbiguousRefreshError):
        await manager(server, await holding(marked), resumed()).get()
    assert server.received == []
    await manager(server, await holding(marked)).get()
    assert server.grants == ["password"]


async def test_replay_goes_once_in_all(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.accidents = [LOST, LOST]
    for _ in range(3):
        tokens = manager(server, store, resumed(replay_refresh=True))
        with pytest.raises(AmbiguousRefreshError):
            await tokens.get()
    assert [form["refresh_token"] for form in server.received] == ["refresh-g1"] * 2


async def test_replay_of_a_dead_process_goes_once(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600, presented=True))
    server.accidents = [LOST]
    for _ in range(2):
        with pytest.raises(AmbiguousRefreshError):
            await manager(server, store, resumed(replay_refresh=True)).get()
    assert len(server.received) == 1


async def test_replay_that_was_not_sent_stays_allowed(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.accidents = [LOST, NotSentError("refused")]
    tokens = manager(server, store, resumed(replay_refresh=True))
    with pytest.raises(TokenRequestError):
        await tokens.get()
    assert (await tokens.get()).generation == 2
    assert len(server.received) == 3


async def test_replay_that_works(clock: ManualClock, server: Server) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.accidents = [LOST]
    token = await manager(server, store, resumed(replay_refresh=True)).get()
    assert token == await store.load(KEY)
    assert (token.generation, token.presented) == (2, False)


@pytest.mark.parametrize("dead", [DEAD, DEAD_8], ids=["league9", "league8"])
async def test_dead_refresh_token_is_buried(clock: ManualClock, server: Server, dead: Any) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.accidents = [dead]
    for _ in range(2):
        tokens = manager(server, store, resumed())
        for _ in range(2):
            with pytest.raises(ReauthenticationRequiredError, match="log in again"):
                await tokens.get()
    assert len(server.received) == 1
    assert await store.load(KEY) == evolve(record(clock, 1, age=3600), refresh_token=None)


@pytest.mark.parametrize("dead", [DEAD, DEAD_8], ids=["league9", "league8"])
async def test_dead_refresh_token_brings_a_new_login(clock: ManualClock, server: Server, dead: Any) -> None:
    store = await holding(record(clock, 1, age=3600))
    server.accidents = [dead]
    token = await manager(server, store).get()
    assert server.grants == ["refresh_token", "password"]
    assert await store.load(KEY) == token


async def test_new_login_does_not_inherit_the_old_refresh_token(clock: ManualClock, server: Server) -> None:
    server.accidents = [DEAD, {"refresh_token": None}]
    token = await manager(server, await holding(record(clock, 1, age=3600))).get()
    assert token.refresh_token is None
    assert token.generation == 2


async def test_life_counts_from_the_sending(clock: ManualClock, server: Server) -> None:
    server.takes = 7.0
    began = clock.time()
    token = await manager(server).get()
    assert (token.issued_at, token.expires_at) == (began, began + 3600)


async def test_application_token_is_asked_for_anew(clock: ManualClock, server: Server) -> None:
    server.accidents = [{"refresh_token": None}] * 2
    tokens = manager(server, grant=ClientCredentials(**CLIENT))
    for generation in (1, 2):
        assert (await tokens.get()).generation == generation
        clock.advance(3600)
    assert server.grants == ["client_credentials"] * 2
    assert tokens.advice is not None
    assert manager(server, grant=LOGIN).advice is None


async def test_personal_token_asks_nothing(server: Server) -> None:
    tokens = manager(server, grant=StaticToken("personal"))
    token = await tokens.get()
    with pytest.raises(PersonalTokenRevokedError, match="logged out"):
        await tokens.rejected(token)
    assert server.received == []
    assert tokens.statistics.adopted == 0


@pytest.mark.parametrize(
    ("had", "has", "lost"),
    [
        ({"account", "process"}, "account", "process"),
        ({"account"}, "account process", None),
        ({"account"}, "*", None),
        ({"account"}, None, None),
        (None, "account", None),
        ({"*"}, "account", r"\*"),
    ],
)
async def test_lost_scopes_are_told(
    server: Server, caplog: pytest.LogCaptureFixture, *, had: Any, has: Any, lost: Any
) -> None:
    before = record(server.clock, 1, age=3600, scopes=None if had is None else frozenset(had))
    server.accidents = [{"scope": has}]
    with caplog.at_level(logging.WARNING):
        token = await manager(server, await holding(before)).get()
    assert token.scopes == (frozenset(has.split()) if has else before.scopes)
    assert len(caplog.records) == (lost is not None)


async def test_outcome_of_a_failed_request_is_told(server: Server) -> None:
    server.accidents = [NotSentError("refused"), LOST]
    tokens = manager(server)
    for outcome in (Outcome.NOT_SENT, Outcome.UNKNOWN):
        with pytest.raises(AuthError) as caught:
            await tokens.get()
        assert caught.value.outcome is outcome
