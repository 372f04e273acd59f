"""Connections that end while the pool counts on them, and those that never come about."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import anyio
import h11
import httpcore
import httpx
import pytest

from tallyfy_async import EndpointNotFoundError, IndeterminateError, Outcome, TallyfyClient
from tallyfy_async.sandbox import Proxy, Rule, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.transport.pool import ConnectionPool
from tests.helpers import connect, pool_of, small_sandbox, until
from tests.transport.peer import Peer, serving
from tests.transport.wire import raw_server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("lasting")]
CUTS = [Rule(drop_before=True), Rule(drop_after=True), Rule(truncate=40), Rule(reset=True, drop_before=True)]


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with small_sandbox().serve() as sandbox:
        yield sandbox


@pytest.fixture
def proxy(server: Sandbox) -> Iterator[Proxy]:
    with server.proxy() as proxy:
        yield proxy


@pytest.mark.parametrize("rule", CUTS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_write_that_is_lost_on_a_connection_used_again_is_not_sent_again(
    server: Sandbox, proxy: Proxy, rule: Rule, method: str
) -> None:
    async with connect(server, base_url=proxy.url, transport=None) as client:
        await client.me.get()
        proxy.add(rule)
        before = proxy.requests
        with pytest.raises(IndeterminateError) as caught:
            await client.request(method, "/nowhere", json={"a": 1})
        assert proxy.requests == before + 1
        assert (pool_of(client).busy, pool_of(client).idle) == (0, 0)
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_read_that_is_lost_on_a_connection_used_again_is_sent_again(server: Sandbox, proxy: Proxy) -> None:
    async with connect(server, base_url=proxy.url, transport=None, clock=ManualClock()) as client:
        await client.me.get()
        proxy.add(*CUTS[:3])
        before = proxy.requests
        assert (await client.me.get()).email
        assert proxy.requests == before + 4
        assert (pool_of(client).busy, pool_of(client).idle) == (0, 1)


async def test_a_write_on_a_connection_that_closes_after_the_look_at_it_may_have_landed(
    server: Sandbox, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(server, base_url=proxy.url, transport=None) as client:
        proxy.add(Rule(method="GET", truncate=10_000))
        await client.me.get()
        await until(lambda: proxy.open == 0)
        before = proxy.requests
        monkeypatch.setattr(httpcore.AsyncHTTP11Connection, "has_expired", lambda self: False)
        with pytest.raises(IndeterminateError):
            await client.request("PUT", "/nowhere", json={})
        assert proxy.requests == before, "and it was not sent on another connection"
        assert pool_of(client).busy == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
    ],
)
async def test_a_server_that_keeps_no_connection_gets_one_for_each_request(answer: bytes) -> None:
    with raw_server(answer) as raw:
        pool = ConnectionPool()
        async with httpx.AsyncClient(transport=pool) as client:
            for count in (1, 2, 3):
                assert (await client.post(f"{raw.url}/x", content=b"{}")).content == b"{}"
                assert (pool.busy, pool.idle) == (0, 0)
                assert len(raw.received) == count


async def test_a_reply_that_is_not_read_to_its_end_costs_its_connection() -> None:
    async def much(peer: Peer, head: h11.Request) -> None:
        await peer.answer(200, bytes(3_000_000))

    with serving(much) as peer:
        pool = ConnectionPool()
        async with httpx.AsyncClient(transport=pool) as client:
            for _ in range(3):
                async with client.stream("GET", peer.url):
                    assert pool.busy == 1
                assert (pool.busy, pool.idle) == (0, 0)
            await until(lambda: peer.open == 0)
        assert peer.connections == 3


async def test_many_origins_have_connections_of_their_own(server: Sandbox, proxy: Proxy) -> None:
    pool = ConnectionPool()
    async with httpx.AsyncClient(transport=pool) as client:
        with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as raw:
            for _ in range(2):
                for url in (server.url, proxy.url, proxy.url.replace("127.0.0.1", "localhost"), raw.url):
                    await client.get(f"{url}/me")
            assert len(raw.received) == 2
        assert pool.busy == 0
        assert proxy.connections == 2, "one for each name"


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


async def cut_when_open(client: TallyfyClient, calls: int, before: int) -> None:
    """Make calls, and cut them when each has a descriptor more than ``before``."""
    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(client.me.get)
        await until(lambda: len(descriptors()) >= before + calls)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("own", [True, False], ids=["own pool", "pool of httpx"])
async def test_a_tls_handshake_that_is_cut_leaves_nothing_behind(server: Sandbox, own: bool) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/api"
        async with connect(server, base_url=url, transport=None, trust_env=not own) as client:
            at_first = len(descriptors())
            await cut_when_open(client, 1, at_first)  # what is made once is made now
            before = len(descriptors())
            assert before <= at_first + 1
            await cut_when_open(client, 10, before)
            await until(lambda: len(descriptors()) <= before)
            assert client._limiter.free == 20
            if own:
                assert (pool_of(client).busy, pool_of(client).idle) == (0, 0)


async def test_a_server_that_refuses_tls_leaves_nothing_behind(server: Sandbox) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        pool = ConnectionPool(ssl.create_default_context())
        async with httpx.AsyncClient(transport=pool) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"https://127.0.0.1:{listener.getsockname()[1]}/")
            with pytest.raises(httpx.ConnectError):
                await client.get(server.url.replace("http://", "https://"))
            assert (pool.busy, pool.idle) == (0, 0)


async def test_a_connection_that_lives_on_is_used_on(server: Sandbox, proxy: Proxy) -> None:
    async with connect(server, base_url=proxy.url, transport=None) as client:
        for _ in range(3):
            await client.me.get()
            with pytest.raises(EndpointNotFoundError):
                await client.request("PUT", "/nowhere", json={})
    assert proxy.connections == 1
