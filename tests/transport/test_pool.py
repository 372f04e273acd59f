from __future__ import annotations

from collections.abc import Iterator

import anyio
import httpcore
import httpx
import pytest

from tallyfy_async import EndpointNotFoundError, TransportError
from tallyfy_async.sandbox import Fault, Proxy, Rule, Sandbox
from tallyfy_async.transport import pool as pool_module
from tallyfy_async.transport.pool import ConnectionPool
from tests.helpers import connect, pool_of, small_sandbox, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("lasting")]


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with small_sandbox().serve() as sandbox:
        yield sandbox


@pytest.fixture
def proxy(server: Sandbox) -> Iterator[Proxy]:
    with server.proxy() as proxy:
        yield proxy


async def test_one_call_after_another_uses_one_connection(server: Sandbox, proxy: Proxy) -> None:
    async with connect(server, base_url=proxy.url, transport=None) as client:
        for _ in range(20):
            await client.me.get()
        pool = pool_of(client)
        assert (pool.busy, pool.idle) == (0, 1)
        assert repr(pool) == "<ConnectionPool 0 connections busy, 1 idle>"
    assert proxy.connections == 1


async def test_there_are_no_more_connections_than_calls_at_once(server: Sandbox, proxy: Proxy) -> None:
    server.faults.add(Fault(operation="get_me", times=None, delay=0.002))
    async with connect(server, base_url=proxy.url, transport=None, max_connections=4) as client:
        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(client.me.get)
        assert (pool_of(client).busy, pool_of(client).idle) == (0, 4)
    assert proxy.connections == 4


async def test_the_connection_that_was_used_last_is_used_first(server: Sandbox, proxy: Proxy) -> None:
    async with connect(server, base_url=proxy.url, transport=None) as client:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.me.get)
        pool = pool_of(client)
        last = next(iter(pool._idle.values()))[-1]
        await client.me.get()
        assert next(iter(pool._idle.values()))[-1] is last


async def test_a_connection_that_idled_for_too_long_is_not_used_again(
    server: Sandbox, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "KEEPALIVE_EXPIRY", 0.0)
    async with connect(server, base_url=proxy.url, transport=None) as client:
        for _ in range(3):
            await client.me.get()
            await anyio.sleep(0.002)
        assert pool_of(client).idle <= 1
    assert proxy.connections == 3


async def test_a_connection_that_the_server_closed_meanwhile_is_replaced(server: Sandbox, proxy: Proxy) -> None:
    async with connect(server, base_url=proxy.url, transport=None, retry=0) as client:
        proxy.add(Rule(method="GET", truncate=10_000))
        await client.me.get()
        await until(lambda: proxy.open == 0)
        with pytest.raises(EndpointNotFoundError):  # it arrived: a write on a dead connection would be indeterminate
            await client.request("POST", "/nowhere", json={})
        assert (pool_of(client).busy, pool_of(client).idle) == (0, 1)
    assert proxy.connections == 2


async def test_a_broken_exchange_gives_its_connection_up(server: Sandbox, proxy: Proxy) -> None:
    async with connect(server, base_url=proxy.url, transport=None, retry=0) as client:
        for rule in (
            Rule(drop_before=True),
            Rule(drop_after=True),
            Rule(truncate=60),
            Rule(reset=True, drop_after=True),
        ):
            proxy.add(rule)
            with pytest.raises(TransportError):
                await client.me.get()
            assert (pool_of(client).busy, pool_of(client).idle) == (0, 0)


async def hung(proxy: Proxy, count: int) -> None:
    await until(lambda: proxy.struck == count)


async def test_a_cut_exchange_gives_its_connection_up(server: Sandbox, proxy: Proxy) -> None:
    proxy.add(Rule(hang=True, times=None))
    async with connect(server, base_url=proxy.url, transport=None) as client:
        for count in (1, 2, 3):
            async with anyio.create_task_group() as group:
                group.start_soon(client.me.get)
                await hung(proxy, count)
                group.cancel_scope.cancel()
            assert (pool_of(client).busy, pool_of(client).idle) == (0, 0)
    await until(lambda: proxy.open == 0)


async def test_connections_are_kept_by_origin(server: Sandbox, proxy: Proxy) -> None:
    async with connect(server, transport=None) as client:
        other = client.with_options(base_url=proxy.url)
        for _ in range(2):
            await client.me.get()
            await other.me.get()
        assert pool_of(client) is pool_of(other)
        assert pool_of(client).idle == 2
    assert proxy.connections == 1


async def test_closing_closes_what_idles_and_later_what_is_busy(server: Sandbox, proxy: Proxy) -> None:
    pool = ConnectionPool()
    async with httpx.AsyncClient(transport=pool) as client:
        await client.get(f"{proxy.url}/me")
        async with client.stream("GET", f"{proxy.url}/me") as response:
            assert pool.busy == 1
            await pool.aclose()
            assert pool.busy == 1
            await response.aread()
        assert (pool.busy, pool.idle) == (0, 0)
    await until(lambda: proxy.open == 0)


async def test_closing_a_body_twice_gives_one_connection_back(server: Sandbox) -> None:
    pool = ConnectionPool()
    async with httpx.AsyncClient(transport=pool) as client:
        async with client.stream("GET", f"{server.url}/me") as response:
            await response.aread()
            await response.aclose()
            stream = response.stream
            assert isinstance(stream, httpx.AsyncByteStream)
            await stream.aclose()
        assert (pool.busy, pool.idle) == (0, 1)


@pytest.mark.parametrize("name", ["ConnectError", "ConnectTimeout", "ReadError", "ReadTimeout", "WriteError"])
async def test_errors_are_httpxs(server: Sandbox, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(self: object, request: object) -> None:
        raise getattr(httpcore, name)("why")

    monkeypatch.setattr(httpcore.AsyncHTTP11Connection, "handle_async_request", fail)
    pool = ConnectionPool()
    async with httpx.AsyncClient(transport=pool) as client:
        with pytest.raises(getattr(httpx, name), match="why"):
            await client.get(f"{server.url}/me")
        assert pool.busy == 0
