"""The client over aiohttp: what its own pool promises holds there too, and no write is sent twice."""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import anyio
import h11
import httpx
import pytest

from tallyfy_async import (
    ClientClosedError,
    ClientLoopError,
    ConfigurationError,
    IndeterminateError,
    NotSentError,
    Outcome,
    RequestTimeoutError,
    TallyfyClient,
    Timeouts,
    TransportError,
    aiohttp_transport,
)
from tallyfy_async.sandbox import Proxy, Rule, Sandbox
from tallyfy_async.transport.clock import SystemClock
from tallyfy_async.transport.exchange import Progress
from tallyfy_async.transport.http import HTTPTransport, build_client
from tallyfy_async.transport.manual_clock import ManualClock
from tests.helpers import connect, http_of, small_sandbox, until
from tests.transport.over_aiohttp import AUTHORITY, closed_port, echo, exchanger, over_aiohttp, request_to, trusting
from tests.transport.peer import Peer, PeerServer, serving
from tests.transport.wire import raw_server, tls_server

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("httpx_aiohttp")

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("lasting")]
CUTS = [Rule(drop_before=True), Rule(drop_after=True), Rule(truncate=40), Rule(reset=True, drop_after=True)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with small_sandbox().serve() as sandbox:
        yield sandbox


@pytest.fixture
def proxy(server: Sandbox) -> Iterator[Proxy]:
    with server.proxy() as proxy:
        yield proxy


@pytest.fixture
def echoing() -> Iterator[PeerServer]:
    with serving(echo) as peer:
        yield peer


async def write(client: TallyfyClient) -> object:
    return await client.request("PUT", "/nowhere", json={})


# What the server sees


async def test_one_call_after_another_uses_one_connection(server: Sandbox, proxy: Proxy) -> None:
    async with over_aiohttp(server, base_url=proxy.url) as client:
        for _ in range(10):
            assert (await client.me.get()).email
    assert proxy.connections == 1
    await until(lambda: proxy.open == 0)


async def test_there_are_no_more_connections_than_calls_at_once(server: Sandbox, proxy: Proxy) -> None:
    client = over_aiohttp(server, base_url=proxy.url, max_connections=4)
    async with client, anyio.create_task_group() as group:
        for _ in range(40):
            group.start_soon(client.me.get)
    assert proxy.connections == 4


async def test_a_request_looks_like_that_of_the_own_pool(echoing: PeerServer) -> None:
    headers = (("Authorization", "Bearer t"), ("Accept", "application/json"), ("User-Agent", "ours/1"))
    own = HTTPTransport(client=build_client(connections=2), clock=SystemClock(), origins=(echoing.url,))
    for transport in (own, exchanger(echoing.url)):
        for method, content in (("GET", None), ("POST", b"{}"), ("PUT", None), ("DELETE", None)):
            await transport.exchange(request_to(echoing.url, method, headers=headers, content=content))
        await transport.aclose()
    # aiohttp tells a length of nothing for DELETE too.
    empty = (b"content-length", b"0")
    seen = [(head.method, head.target, {*head.headers} - {empty}) for head in echoing.heads]
    assert len(seen) == 8
    assert seen[:4] == seen[4:]


async def test_a_reserved_character_arrives_as_what_it_is(echoing: PeerServer) -> None:
    async with TallyfyClient("abc", base_url=echoing.url, transport=aiohttp_transport()) as client:
        await client.request("GET", "/a%2Fb%20c", params={"q": "a b+c&d=e?f#g/%é€", "y[]": "1"})
    path, _, query = echoing.heads[0].target.decode().partition("?")
    assert path == "/api/a%2Fb%20c"
    assert parse_qs(query) == {"q": ["a b+c&d=e?f#g/%é€"], "y[]": ["1"]}


async def test_no_cookie_is_kept() -> None:
    async def baking(peer: Peer, head: h11.Request) -> None:
        await peer.answer(200, b"{}", [("Set-Cookie", "session=abc; Path=/")])

    with serving(baking) as peer:
        transport = exchanger(peer.url)
        for _ in range(2):
            assert (await transport.exchange(request_to(peer.url, "GET"))).status == 200
        await transport.aclose()
        assert all("cookie" not in seen for seen in peer.seen("GET"))


async def test_aiohttp_follows_no_redirect(echoing: PeerServer) -> None:
    async def elsewhere(peer: Peer, head: h11.Request) -> None:
        await peer.answer(302, b"", [("Location", echoing.url)])

    with serving(elsewhere) as peer:
        transport = exchanger(peer.url)
        assert (await transport.exchange(request_to(peer.url, "GET"))).status == 302
        await transport.aclose()
    assert not echoing.heads


async def test_proxies_of_the_environment_are_left_alone(server: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with over_aiohttp(server) as client:
        assert (await client.me.get()).email


# What goes wrong


@pytest.mark.parametrize("rule", CUTS)
@pytest.mark.parametrize("reused", [False, True], ids=["new connection", "reused connection"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_lost_reply_leaves_the_outcome_unknown_and_the_write_is_not_sent_again(
    server: Sandbox, proxy: Proxy, rule: Rule, reused: bool, method: str
) -> None:
    async with over_aiohttp(server, base_url=proxy.url) as client:
        if reused:
            await client.me.get()
        proxy.add(rule)
        before = proxy.requests
        with pytest.raises(IndeterminateError) as caught:
            await client.request(method, "/nowhere", json=None if method == "DELETE" else {})
        assert proxy.requests == before + 1
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("rule", CUTS)
async def test_a_lost_reply_of_a_read_is_a_broken_exchange(server: Sandbox, proxy: Proxy, rule: Rule) -> None:
    async with over_aiohttp(server, base_url=proxy.url, retry=0) as client:
        proxy.add(rule)
        with pytest.raises(TransportError, match="the exchange broke") as caught:
            await client.me.get()
        assert type(caught.value) is TransportError
        await client.me.get()


async def test_a_write_on_a_connection_that_the_server_closed_meanwhile(server: Sandbox, proxy: Proxy) -> None:
    async with over_aiohttp(server, base_url=proxy.url) as client:
        proxy.add(Rule(method="GET", truncate=100_000))
        await client.me.get()
        await until(lambda: proxy.open == 0)
        with pytest.raises(Exception, match="404"):  # it arrived: aiohttp has noticed the end of the first connection
            await write(client)
    assert proxy.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_what_is_no_http_is_a_broken_exchange(answer: bytes, method: str) -> None:
    with raw_server(answer) as raw:
        async with TallyfyClient("abc", base_url=raw.url, retry=0, transport=aiohttp_transport()) as client:
            with pytest.raises(TransportError) as caught:
                await client.request(method, "/nowhere")
        assert len(raw.received) == 1
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/api", "https://no-such-host.invalid/api"])
async def test_no_connection_means_that_nothing_was_sent(url: str) -> None:
    base = url.format(port=closed_port())
    async with TallyfyClient("abc", base_url=base, retry=0, transport=aiohttp_transport()) as client:
        with pytest.raises(NotSentError):
            await write(client)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Listen, but never answer a TLS handshake."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener


def silent_client(silent: socket.socket, **settings: Any) -> TallyfyClient:
    url = f"https://127.0.0.1:{silent.getsockname()[1]}/api"
    return TallyfyClient("abc", base_url=url, retry=0, transport=aiohttp_transport(), **settings)


async def test_a_write_whose_connection_took_too_long_is_not_sent(silent: socket.socket) -> None:
    async with silent_client(silent, timeout=Timeouts(attempt=60, connect=0.05)) as client:
        with pytest.raises(NotSentError):
            await write(client)


async def test_a_write_whose_connection_never_came_is_not_sent(silent: socket.socket) -> None:
    clock = ManualClock(autojump=False)
    async with silent_client(silent, clock=clock, timeout=Timeouts(attempt=30, connect=60)) as client:

        async def attempt() -> None:
            with pytest.raises(NotSentError, match="no connection within 30 s"):
                await write(client)

        async with anyio.create_task_group() as group:
            group.start_soon(attempt)
            await until(lambda: select.select([silent], [], [], 0)[0])
            clock.advance(31)


async def test_an_attempt_is_bounded_as_a_whole(server: Sandbox, proxy: Proxy) -> None:
    clock = ManualClock(autojump=False)
    transport = exchanger(proxy.url, clock)
    proxy.add(Rule(hang=True))
    caught: list[TransportError] = []

    async def attempt() -> None:
        with pytest.raises(RequestTimeoutError) as error:
            await transport.exchange(request_to(proxy.url, "GET"))
        caught.append(error.value)

    async with anyio.create_task_group() as group:
        group.start_soon(attempt)
        await until(lambda: proxy.struck)
        clock.advance(20.1)
    assert "no whole reply within 20 s" in str(caught[0])
    await transport.aclose()
    await until(lambda: proxy.open == 0)


async def test_the_steps_of_a_write_are_watched(echoing: PeerServer) -> None:
    transport = exchanger(echoing.url)
    for _ in range(2):  # on a new connection, then on that again
        progress = Progress()
        await transport.exchange(request_to(echoing.url, content=b"{}"), progress)
        assert progress.traced
        assert progress.sent
    await transport.aclose()
    unheard = Progress()
    nobody = f"http://127.0.0.1:{closed_port()}"
    transport = exchanger(nobody)
    with pytest.raises(NotSentError):
        await transport.exchange(request_to(nobody, content=b"{}"), unheard)
    assert unheard.traced
    assert not unheard.sent
    await transport.aclose()


async def test_aiohttp_refuses_an_unknown_authority_and_sends_nothing() -> None:
    sandbox = small_sandbox()
    with tls_server(sandbox, AUTHORITY) as url:
        async with connect(sandbox, base_url=url, transport=aiohttp_transport(), retry=0) as client:
            with pytest.raises(NotSentError):
                await client.me.get()
        assert sandbox.stats.requests == 0
        known = aiohttp_transport(ssl_context=trusting())
        async with connect(sandbox, base_url=url, transport=known) as client:
            assert (await client.me.get()).email


def test_aiohttp_warns_of_a_context_that_does_not_verify() -> None:
    careless = trusting()
    careless.check_hostname = False
    with pytest.warns(UserWarning, match="does not verify"):
        aiohttp_transport(ssl_context=careless)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nBad header\r\n\r\n"])
async def test_errors_hold_no_token(answer: bytes) -> None:
    with raw_server(answer) as raw:
        transport = exchanger(raw.url)
        with pytest.raises(TransportError) as caught:
            await transport.exchange(request_to(raw.url, "GET", headers=(("Authorization", "Bearer s3cr3t"),)))
        await transport.aclose()
    link: BaseException | None = caught.value
    while link is not None:
        assert "s3cr3t" not in f"{link!r} {link} {vars(link)!r}"
        assert not isinstance(link, aiohttp.ClientError), "its request_info holds the headers"
        link = link.__cause__ or link.__context__


# Whose it is, and where it runs


async def test_the_client_closes_it_and_nothing_more_is_sent(server: Sandbox, proxy: Proxy) -> None:
    transport = aiohttp_transport()
    assert repr(transport) == "<AiohttpPool open>"
    async with over_aiohttp(server, base_url=proxy.url, transport=transport) as client:
        await client.me.get()
        assert http_of(client)._transport is transport
    await until(lambda: proxy.open == 0)
    assert repr(transport) == "<AiohttpPool closed>"
    with pytest.raises(ClientClosedError):
        await transport.handle_async_request(httpx.Request("GET", proxy.url))
    await transport.aclose()


async def test_one_that_was_never_used_is_closed_too(server: Sandbox) -> None:
    async with over_aiohttp(server):
        pass


async def test_a_stream_that_cannot_be_awaited_is_refused(server: Sandbox) -> None:
    transport = aiohttp_transport()
    with pytest.raises(TypeError, match="asynchronous stream"):
        await transport.handle_async_request(httpx.Request("POST", server.url, content=iter([b"a"])))
    await transport.aclose()


def test_under_trio_nothing_is_sent(server: Sandbox) -> None:
    async def main(call: Callable[[TallyfyClient], Awaitable[object]]) -> None:
        async with over_aiohttp(server) as client:
            before = server.stats.requests
            with pytest.raises(ClientLoopError, match="asyncio only"):
                await call(client)
            assert server.stats.requests == before

    anyio.run(main, lambda client: client.me.get(), backend="trio")
    anyio.run(main, write, backend="trio")


def test_a_second_event_loop_is_refused(server: Sandbox) -> None:
    transport = aiohttp_transport()

    async def use() -> None:
        request = httpx.Request("GET", f"{server.url}/me")
        response = await transport.handle_async_request(request)
        await response.aread()
        await response.aclose()

    async def first() -> None:
        await use()
        await transport._inner.aclose()  # type: ignore[attr-defined]  # or its connections would be left to the collector

    anyio.run(first)
    with pytest.raises(ClientLoopError):
        anyio.run(use)


@pytest.mark.parametrize("package", ["aiohttp", "httpx_aiohttp"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "tallyfy_async.transport.aiohttp_session", raising=False)
    with pytest.raises(ConfigurationError, match=r'pip install "tallyfy-async\[aiohttp\]"'):
        aiohttp_transport()
