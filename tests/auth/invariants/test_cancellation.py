"""Cancellation at every await of a renewal: nothing is lost, nothing sticks, nothing is sent twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from tallyfy_async import (
    AuthorizationCode,
    ClientClosedError,
    Hooks,
    MemoryStore,
    StoreError,
    TallyfyError,
    Token,
    TokenManager,
    TokenRecord,
    TransportError,
)
from tallyfy_async.auth.oauth_client import Grant, TokenRequest
from tallyfy_async.protocol.response import Reply
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.invariants.steps import living, native, same_order_every_time, shuffle_from
from tests.auth.line import CLIENT, DOWN, KEY, LOGIN, Server, manager, record, resumed

pytestmark = pytest.mark.anyio
CODE = AuthorizationCode(**CLIENT, code="the-code", redirect_uri="https://app.example/back")
_MOST = 200


@pytest.fixture(autouse=True)
def order(monkeypatch: pytest.MonkeyPatch) -> None:
    same_order_every_time(monkeypatch)


@define(eq=False)
class Trail:
    """What has happened so far; every access to the outside waits once before and once after it happens."""

    marks: list[str] = field(factory=list[str])

    @asynccontextmanager
    async def step(self, name: str) -> AsyncGenerator[None, None]:
        await self.mark(f"{name} begins")
        yield
        await self.mark(f"{name} done")

    async def mark(self, name: str) -> None:
        """Note it and wait for two turns: after one, trio's order could hide it from who looks every turn."""
        self.marks.append(name)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()


class SteppingStore(MemoryStore):
    """A store with an await on both sides of everything that it does; the ``failing``-th write fails."""

    def __init__(self, trail: Trail, failing: int = 0) -> None:
        super().__init__()
        self.trail, self.failing, self.saves = trail, failing, 0

    async def load(self, key: str) -> Token | None:
        async with self.trail.step("load"):
            return await super().load(key)

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        self.saves += 1
        async with self.trail.step(f"save {self.saves}"):
            if self.saves == self.failing:
                raise StoreError("disk full")
            return await super().save(key, token, expected=expected)

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None, None]:
        await self.trail.mark("lock begins")
        async with super().lock(key):
            await self.trail.mark("lock held")
            yield
        await self.trail.mark("lock free")


@define(eq=False)
class SteppingServer(Server):
    """A server with awaits before and after the moment at which it rotates."""

    trail: Trail = field(factory=Trail)

    async def __call__(self, request: TokenRequest, deadline: float) -> Reply:
        async with self.trail.step("request"):
            return await super().__call__(request, deadline)

    def takes_back(self, refresh_token: str) -> bool:
        """Whether a refresh token works."""
        return refresh_token not in self.spent


class SteppingHooks(Hooks):
    """Hooks that take their time."""

    def __init__(self, trail: Trail) -> None:
        self.trail = trail
        self.heard: list[int] = []

    async def on_token(self, record: TokenRecord) -> None:
        async with self.trail.step("hook"):
            self.heard.append(record.generation)


@define(eq=False)
class Case:
    """One line of tokens in which every await can be told."""

    story: Story
    trail: Trail
    clock: ManualClock
    server: SteppingServer
    store: SteppingStore
    hooks: SteppingHooks
    tokens: TokenManager

    async def work(self) -> None:
        await self.story.work(self.tokens)

    def next_one(self) -> TokenManager:
        """Return a manager of another process."""
        return manager(self.server, self.store, self.story.grant)


@define
class Story:
    """What is cancelled: ``work``, in a line whose last token was got ``age`` seconds ago (None: there is none)."""

    work: Callable[[TokenManager], Awaitable[Any]]
    grant: Grant = LOGIN
    age: float | None = 3600.0
    accidents: list[Any] = field(factory=list[Any])
    failing: int = 0
    points: int = 12

    async def begin(self) -> Case:
        clock, trail = ManualClock(), Trail()
        server = SteppingServer(clock, trail=trail)
        store, hooks = SteppingStore(trail), SteppingHooks(trail)
        tokens = manager(server, store, self.grant, hooks=[hooks])
        if self.age is not None:
            await tokens.get()
            clock.advance(self.age)
        server.received.clear()
        server.accidents = list(self.accidents)
        store.saves, store.failing = 0, self.failing
        trail.marks.clear()
        return Case(self, trail, clock, server, store, hooks, tokens)


async def _get(tokens: TokenManager) -> Token:
    return await tokens.get()


async def _reject(tokens: TokenManager) -> Token | None:
    return await tokens.rejected(await tokens.get())


async def _crowd(tokens: TokenManager) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(tokens.get)


LOST = TransportError("the exchange broke: ReadError")
OTHER = record(ManualClock(), refresh_token="refresh-of-another-login")
STORIES = {
    "refresh at the end": Story(_get),
    "refresh early": Story(_get, age=3550.0),
    "refresh on demand": Story(lambda tokens: tokens.refresh(), age=1.0),
    "refresh of a rejected token": Story(_reject, age=1.0),
    "many at the end": Story(_crowd),
    "first login": Story(_get, age=None),
    "first refresh token": Story(_get, grant=resumed(), age=None),
    "code": Story(_get, grant=CODE, age=None),
    "refresh that is refused": Story(_get, accidents=[DOWN]),
    "refresh whose answer is lost": Story(_get, accidents=[LOST], points=16),
    "dead refresh token": Story(_get, accidents=[(400, {"error": "invalid_grant"})], points=16),
    "new token that cannot be written": Story(_get, failing=2),
    "mark that cannot be written": Story(_get, failing=1, points=6),
    "adoption": Story(lambda tokens: tokens.adopt(OTHER), points=4),
    "end of the login": Story(lambda tokens: tokens.forget(), points=4),
}

HOW = ["scope", "native", "native again and again"]


async def _strike(case: Case, ticks: int, how: str, work: Callable[[TokenManager], Awaitable[Any]]) -> str | None:
    """Cancel ``work`` after so many turns of the loop; return what had happened by then, None if it had ended."""
    scope, ended = anyio.CancelScope(), anyio.Event()

    async def run() -> None:
        try:
            with scope:
                await work(case.tokens)
        except* TallyfyError:
            pass
        finally:
            ended.set()

    async def cut(cancel: Callable[[], Any]) -> str | None:
        for _ in range(ticks):
            await anyio.lowlevel.checkpoint()
        where = None if ended.is_set() else (["the start", *case.trail.marks])[-1]
        for _ in range(5 if how == "native again and again" else 1):
            cancel()
            await anyio.lowlevel.checkpoint()
        return where

    if how == "scope":
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            return await cut(scope.cancel)
    task = asyncio.ensure_future(run())
    where = await cut(task.cancel)
    await asyncio.wait([task])
    return where


async def _judge(case: Case) -> None:
    """See that nothing is lost, that nothing sticks, and that nothing was sent twice."""
    server, store, tokens = case.server, case.store, case.tokens
    kept = store._records.get(KEY)
    if tokens.statistics.unpersisted:
        kept = tokens.peek()
    if kept is None:
        assert server.received == [], "something was sent, and nothing is known of it"
    elif not kept.ended:
        assert not kept.presented, "the line looks as if its refresh token were spent"
        assert kept.refresh_token is not None
        assert server.takes_back(kept.refresh_token.reveal()), "the new refresh token is lost"
    assert len(server.received) <= 2
    store.failing, server.accidents = 0, []
    case.clock.advance(6)
    with anyio.fail_after(10):
        token = await tokens.get()
        assert store._records[KEY] == token, "what could not be written is not written later"
        assert (await tokens.refresh()).generation == token.generation + 1
        assert (await case.next_one().get()).generation == token.generation + 1
        await tokens.aclose()
    assert not tokens.statistics.unpersisted
    refused = case.story.accidents == [DOWN]
    assert server.resent in ([], ["refresh-1"] if refused else [])
    assert server.grants.count("authorization_code") == (case.story.grant is CODE)
    assert case.hooks.heard == sorted(set(case.hooks.heard)), "a hook heard of a token twice"
    assert case.hooks.heard[-1] == token.generation + 1


async def _sweep(once: Callable[[int], Awaitable[str | None]]) -> Counter[str]:
    """Strike after no turn of the loop, after one, two …, until the work ends first; count what was hit."""
    hit = Counter[str]()
    for ticks in range(_MOST):
        shuffle_from(0)
        where = await once(ticks)
        if where is None:
            return hit
        hit[where] += 1
    pytest.fail("the work never ends")


async def _awaits(story: Story) -> set[str]:
    """Return everything that somebody waits for while nobody cancels."""
    case = await story.begin()
    with suppress(TallyfyError):
        await case.work()
    return set(case.trail.marks)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", list(STORIES))
async def test_cancelled_at_every_await(name: str, how: str) -> None:
    if how != "scope" and not native():
        return
    story = STORIES[name]

    async def once(ticks: int) -> str | None:
        case = await story.begin()
        where = await _strike(case, ticks, how, story.work)
        await _judge(case)
        return where

    hit = await _sweep(once)
    assert await _awaits(story) <= hit.keys()
    assert hit.total() >= story.points, hit


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("leads", [True, False])
async def test_cancelling_one_of_two_at_every_await_serves_the_other(how: str, *, leads: bool) -> None:
    if how != "scope" and not native():
        return

    async def once(ticks: int) -> str | None:
        case = await Story(_get).begin()
        served: list[Token] = []
        where = await _strike_one_of_two(case, ticks, how, served, leads=leads)
        assert [token.generation for token in served] == [2]
        assert case.server.grants == ["refresh_token"]
        await _judge(case)
        return where

    hit = await _sweep(once)
    assert {"request begins", "request done", "save 2 done"} <= hit.keys()
    assert hit.total() >= 12, hit


async def _strike_one_of_two(case: Case, ticks: int, how: str, served: list[Token], *, leads: bool) -> str | None:
    struck, where = anyio.Event(), None

    async def other() -> None:
        while leads and not case.trail.marks and not struck.is_set():
            await anyio.lowlevel.checkpoint()
        served.append(await case.tokens.get())

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        while not leads and not case.trail.marks:
            await anyio.lowlevel.checkpoint()
        where = await _strike(case, ticks, how, _get)
        struck.set()
    return where


@pytest.mark.parametrize("how", HOW)
async def test_cancelling_the_closing_at_every_await_loses_nothing(how: str) -> None:
    if how != "scope" and not native():
        return

    async def once(ticks: int) -> str | None:
        case = await Story(_get).begin()
        before, where = living(), None
        async with anyio.create_task_group() as group:
            group.start_soon(case.tokens.get)
            while not case.trail.marks:
                await anyio.lowlevel.checkpoint()
            where = await _strike(case, ticks, how, lambda tokens: tokens.aclose())
        kept = case.store._records[KEY]
        assert (kept.generation, kept.presented) == (2, False)
        assert living() == before
        await case.tokens.aclose()
        with pytest.raises(ClientClosedError):
            await case.tokens.get()
        assert (await case.next_one().get()).generation == 2
        assert case.server.resent == []
        return where

    hit = await _sweep(once)
    assert {"request begins", "request done", "save 2 done"} <= hit.keys()
    assert hit.total() >= 12, hit
