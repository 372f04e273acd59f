"""Cancellation, all day long: 40 tasks, 10 connections, deadlines about as long as a reply takes.

A bare httpx client that goes through this answers PoolTimeout for ever. Ours must answer at once, with every slot free
and every descriptor closed.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx
import pytest

from tallyfy_async import NotFoundError, PasswordGrant, TallyfyClient
from tallyfy_async.sandbox import Sandbox
from tests.helpers import http_of, pool_of, small_sandbox

TASKS = 40
CONNECTIONS = 10
LONGEST = 0.030
Cut = Callable[[Callable[[], Awaitable[object]], float], Awaitable[bool]]


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with small_sandbox(access_life=1, record=False).serve() as sandbox:
        yield sandbox


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def settled(limit: int) -> int:
    """Return the number of open descriptors, once the server's thread has closed its ends of closed connections."""
    for _ in range(500):
        if descriptors() <= limit:
            break
        await anyio.sleep(0.01)
    return descriptors()


@asynccontextmanager
async def client_of(server: Sandbox, *, trust_env: bool = False) -> AsyncIterator[TallyfyClient]:
    known = server.credentials
    grant = PasswordGrant(
        client_id=known.client_id, client_secret=known.client_secret, username=known.username, password=known.password
    )
    before = descriptors()
    async with TallyfyClient(grant, base_url=server.url, max_connections=CONNECTIONS, trust_env=trust_env) as client:
        yield client
    assert await settled(before) <= before, "descriptors leaked"


def calls_of(client: TallyfyClient, organization: str) -> list[Callable[[], Awaitable[object]]]:
    """Return a read, a search of a page, and a write."""
    org = client.organization(organization)
    return [
        client.me.get,
        lambda: org.runs.list(per_page=30).collect(),
        lambda: client.request("PUT", f"/organizations/{organization}/runs/none", json={"name": "none"}),
    ]


async def storm(client: TallyfyClient, organization: str, cut: Cut, seconds: float, seed: int) -> tuple[int, int]:
    """Cut calls for a while; return how many got through and how many were cut. A call that fails fails the test."""
    chance = random.Random(seed)
    calls = calls_of(client, organization)
    end = time.monotonic() + seconds
    whole = cuts = 0

    async def worker() -> None:
        nonlocal whole, cuts
        while time.monotonic() < end:
            with suppress(NotFoundError):  # the write's answer
                if await cut(chance.choice(calls), chance.uniform(0, LONGEST)):
                    whole += 1
                else:
                    cuts += 1

    async with anyio.create_task_group() as group:
        for _ in range(TASKS):
            group.start_soon(worker)
    return whole, cuts


async def answers(client: TallyfyClient) -> None:
    """Make five ordinary calls, then look at slots and connections."""
    for _ in range(5):
        with anyio.fail_after(5):
            assert (await client.me.get()).email
    assert client._limiter.free == CONNECTIONS
    transport = http_of(client)._transport
    if isinstance(transport, httpx.AsyncHTTPTransport):
        connections = transport._pool.connections
        assert len(connections) <= CONNECTIONS + 2
        assert all(connection.is_idle() for connection in connections), connections
    else:
        pool = pool_of(client)
        assert pool.busy == 0, pool
        assert pool.idle <= CONNECTIONS + 2, pool


def check_tokens(server: Sandbox) -> None:
    assert server.stats.reuses == 0, "a spent refresh token was sent"
    assert server.stats.presented_twice == 0
    assert server.stats.token_requests["refresh_token"]["ok"] >= 1
    assert server.stats.token_requests["password"].total() == 1, "a rotated refresh token was lost"


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


@pytest.mark.parametrize("trust_env", [False, True], ids=["own pool", "pool of httpx"])
def test_a_storm_of_native_cancellations(server: Sandbox, trust_env: bool) -> None:
    async def main() -> None:
        server.stats.reset()
        async with client_of(server, trust_env=trust_env) as client:
            _, cuts = await storm(client, server.credentials.organization, by_wait_for, 3.0, seed=1)
            assert cuts > 100
            await answers(client)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        check_tokens(server)

    asyncio.run(main())


@pytest.mark.anyio
async def test_a_storm_of_scopes(server: Sandbox) -> None:
    server.stats.reset()
    async with client_of(server) as client:
        _, cuts = await storm(client, server.credentials.organization, by_scope, 2.0, seed=2)
        assert cuts > 100
        await answers(client)
    check_tokens(server)
