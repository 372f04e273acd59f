"""Cancellation, all day long: 40 tasks, 10 connections, deadlines about as long as a reply takes.

A bare httpx client that goes through this answers PoolTimeout for ever. Ours must answer at once, whatever carries its
requests, with every slot free and every descriptor closed.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme
from attrs import define, evolve

from tallyfy_async import NotFoundError, TallyfyClient, aiohttp_transport
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.pool import ConnectionPool
from tests.helpers import http_of, small_sandbox, user_grant
from tests.transport.forward_proxy import forward_proxy
from tests.transport.wire import tls_server

TASKS = 40
CONNECTIONS = 10
SECONDS = 1.2
PATIENCE = 20.0
OWN, HTTPX, CLIENT, TRANSPORT, AIOHTTP, PROXY = "own pool", "pool of httpx", "client", "transport", "aiohttp", "proxy"
BROUGHT = [CLIENT, TRANSPORT]
Cut = Callable[[Callable[[], Awaitable[object]], float], Awaitable[bool]]
AUTHORITY = trustme.CA()


@define
class Place:
    """A server, and what it takes to trust it."""

    sandbox: Sandbox
    url: str
    tls: ssl.SSLContext | None = None
    proxy: str = ""


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@pytest.fixture(scope="module", params=["http", "https"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    sandbox = small_sandbox(access_life=1, record=False)
    if request.param == "http":
        with sandbox.serve() as running:
            yield Place(running, running.url)
        return
    with tls_server(sandbox, AUTHORITY) as url:
        yield Place(sandbox, url, trusting())


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def settled(limit: int) -> int:
    """Return the number of open descriptors, once the server's thread has closed its ends of closed connections."""
    for _ in range(500):
        if descriptors() <= limit:
            break
        await anyio.sleep(0.01)
    return descriptors()


def carried_by(road: str, place: Place) -> dict[str, Any]:
    """Return the settings of a client that goes a certain road."""
    tls = place.tls
    verify: Any = tls if tls is not None else True
    match road:
        case "client":
            return {"http_client": httpx.AsyncClient(verify=verify, trust_env=False)}
        case "transport":
            return {"transport": httpx.AsyncHTTPTransport(verify=verify, trust_env=False)}
        case "aiohttp":
            pytest.importorskip("httpx_aiohttp")
            return {"transport": aiohttp_transport(ssl_context=tls)}
        case "proxy":
            return {"proxy": place.proxy, "ssl_context": tls}
        case _:
            return {"trust_env": road == HTTPX, "ssl_context": tls}


@asynccontextmanager
async def client_of(place: Place, road: str) -> AsyncIterator[TallyfyClient]:
    before = descriptors()
    settings = carried_by(road, place)
    async with TallyfyClient(
        user_grant(place.sandbox), base_url=place.url, max_connections=CONNECTIONS, **settings
    ) as client:
        yield client
    if "http_client" in settings:
        await settings["http_client"].aclose()
    assert await settled(before) <= before, "descriptors leaked"


def calls_of(client: TallyfyClient, organization: str) -> list[Callable[[], Awaitable[object]]]:
    """Return a read, a search of a page, and a write."""
    org = client.organization(organization)
    return [
        client.me.get,
        lambda: org.runs.list(per_page=30).collect(),
        lambda: client.request("PUT", f"/organizations/{organization}/runs/none", json={"name": "none"}),
    ]


@define
class Deadlines:
    """About as long as a reply takes now: a call that gets through makes the next ones shorter, one that is cut longer.

    The machine that runs this is never twice as fast as before; a storm in which nothing gets through is none.
    """

    chance: random.Random
    longest: float = 0.03
    whole: int = 0
    cuts: int = 0

    def next(self) -> float:
        return self.chance.uniform(0, self.longest)

    def tell(self, through: bool) -> None:
        self.whole += through
        self.cuts += not through
        self.longest *= 0.97 if through else 1.01

    @property
    def enough(self) -> bool:
        return self.whole >= 20 and self.cuts >= 100


async def storm(
    calls: list[Callable[[], Awaitable[object]]], cut: Cut, seconds: float, seed: int, tasks: int = TASKS
) -> Deadlines:
    """Cut calls for a while; return how many got through and how many were cut. A call that fails fails the test."""
    chance = random.Random(seed)
    deadlines = Deadlines(chance)
    start = time.monotonic()

    async def worker() -> None:
        while (past := time.monotonic() - start) < seconds or (past < PATIENCE and not deadlines.enough):
            with suppress(NotFoundError):  # the write's answer
                deadlines.tell(await cut(chance.choice(calls), deadlines.next()))

    async with anyio.create_task_group() as group:
        for _ in range(tasks):
            group.start_soon(worker)
    return deadlines


async def answers(client: TallyfyClient) -> None:
    """Make five ordinary calls, then look at slots and connections."""
    for _ in range(5):
        with anyio.fail_after(PATIENCE):
            assert (await client.me.get()).email
    assert client._limiter.free == CONNECTIONS
    transport: Any = next(iter(http_of(client)._mounts.values()), None) or http_of(client)._transport
    if isinstance(transport, httpx.AsyncHTTPTransport):
        connections = transport._pool.connections
        assert len(connections) <= CONNECTIONS + 2
        assert all(connection.is_idle() for connection in connections), connections
    elif isinstance(transport, ConnectionPool):
        assert transport.busy == 0, transport
        assert transport.idle <= CONNECTIONS + 2, transport
    else:
        connector = transport._inner.client.connector
        assert not connector._acquired
        assert sum(map(len, connector._conns.values())) <= CONNECTIONS + 2


def check_tokens(sandbox: Sandbox) -> None:
    assert sandbox.stats.reuses == 0, "a spent refresh token was sent"
    assert sandbox.stats.presented_twice == 0
    assert sandbox.stats.token_requests["refresh_token"]["ok"] >= 1
    assert sandbox.stats.token_requests["password"].total() == 1, "a rotated refresh token was lost"


async def by_wait_for(call: Callable[[], Awaitable[object]], seconds: float) -> bool:
    try:
        await asyncio.wait_for(call(), seconds)
    except TimeoutError:
        return False
    return True


async def by_scope(call: Callable[[], Awaitable[object]], seconds: float) -> bool:
    with anyio.move_on_after(seconds) as scope:
        await call()
    return not scope.cancelled_caught


async def weather(place: Place, road: str, cut: Cut, seconds: float, seed: int) -> None:
    """Go through a storm; afterwards everything must be as if nothing had been."""
    place.sandbox.stats.reset()
    async with client_of(place, road) as client:
        deadlines = await storm(calls_of(client, place.sandbox.credentials.organization), cut, seconds, seed)
        assert deadlines.enough, deadlines
        await answers(client)
    check_tokens(place.sandbox)


@pytest.mark.parametrize(
    "road", [OWN, HTTPX, AIOHTTP, *(pytest.param(road, marks=pytest.mark.once) for road in BROUGHT)]
)
def test_a_storm_of_native_cancellations(place: Place, road: str) -> None:
    async def main() -> None:
        await weather(place, road, by_wait_for, SECONDS, seed=1)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("library", "road"),
    [("asyncio", OWN), ("asyncio", AIOHTTP), ("trio", OWN), ("trio", HTTPX), ("trio", CLIENT)],
)
def test_a_storm_of_scopes(place: Place, library: str, road: str) -> None:
    anyio.run(weather, place, road, by_scope, SECONDS, 2, backend=library)


@pytest.mark.once
@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_storm_behind_a_proxy(place: Place, library: str) -> None:
    with forward_proxy() as proxy:
        cut = by_wait_for if library == "asyncio" else by_scope
        anyio.run(weather, evolve(place, proxy=proxy.url), PROXY, cut, SECONDS, 3, backend=library)
        assert proxy.tunnels if place.tls else proxy.requests
