"""How an attempt ends when it does not end well, and what is known of it then."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import anyio
import httpx
import pytest

from tallyfy_async import (
    ClientClosedError,
    DecodeError,
    IndeterminateError,
    NotSentError,
    Outcome,
    RequestTimeoutError,
    TallyfyClient,
    Timeouts,
    TransportError,
)
from tallyfy_async.protocol.origin import origin_of
from tallyfy_async.sandbox import Fault, Proxy, Rule, Sandbox
from tallyfy_async.transport.clock import SystemClock
from tallyfy_async.transport.exchange import Progress, Request
from tallyfy_async.transport.foreign import quiet
from tallyfy_async.transport.http import HTTPTransport, build_client
from tallyfy_async.transport.manual_clock import ManualClock
from tests.helpers import connect, small_sandbox, until
from tests.transport.wire import raw_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with small_sandbox().serve() as sandbox:
        yield sandbox


@pytest.fixture
def proxy(server: Sandbox) -> Iterator[Proxy]:
    with server.proxy() as proxy:
        yield proxy


def transport_to(url: str) -> HTTPTransport:
    return HTTPTransport(client=build_client(connections=2), clock=SystemClock(), origins=(origin_of(url),))


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def write(client: TallyfyClient) -> object:
    return await client.request("PUT", "/nowhere", json={})


async def read(client: TallyfyClient) -> object:
    return await client.me.get()


@pytest.mark.parametrize("call", [read, write])
async def test_a_refused_connection_means_that_nothing_was_sent(
    call: Callable[[TallyfyClient], Awaitable[object]],
) -> None:
    async with TallyfyClient("abc", base_url=f"http://127.0.0.1:{closed_port()}", retry=0) as client:
        with pytest.raises(NotSentError, match="nothing was sent") as caught:
            await call(client)
    assert caught.value.outcome is Outcome.NOT_SENT


async def test_an_unknown_host_means_that_nothing_was_sent() -> None:
    async with TallyfyClient("abc", base_url="https://no-such-host.invalid/api", retry=0) as client:
        with pytest.raises(NotSentError):
            await write(client)


@pytest.mark.parametrize(
    "rule", [Rule(drop_before=True), Rule(drop_after=True), Rule(truncate=40), Rule(reset=True, drop_after=True)]
)
async def test_a_lost_reply_leaves_the_outcome_unknown(server: Sandbox, proxy: Proxy, rule: Rule) -> None:
    async with connect(server, base_url=proxy.url, transport=None, retry=0) as client:
        proxy.add(rule)
        with pytest.raises(TransportError, match="the exchange broke") as read_error:
            await read(client)
        proxy.add(rule)
        with pytest.raises(IndeterminateError, match=r"may have landed.*Read back") as write_error:
            await write(client)
        await read(client)
    assert type(read_error.value) is TransportError
    assert read_error.value.outcome is write_error.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_broken_exchange(answer: bytes) -> None:
    with raw_server(answer) as raw:
        async with TallyfyClient("abc", base_url=raw.url, retry=0) as client:
            with pytest.raises(TransportError) as caught:
                await client.request("GET", "/me")
    assert caught.value.outcome is Outcome.UNKNOWN


# httpx leaves its own generators behind here, which trio complains about when they are collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_body_that_is_not_what_its_encoding_says_is_a_broken_exchange() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk") as raw:
        async with TallyfyClient("abc", base_url=raw.url, retry=0) as client:
            with pytest.raises(TransportError):
                await client.request("GET", "/me")


async def timed_out(
    server: Sandbox, proxy: Proxy, rule: Rule, call: Callable[[TallyfyClient], Awaitable[object]]
) -> TransportError:
    """Let the attempt's time run out while the proxy does what the rule says; return the error."""
    clock = ManualClock(autojump=False)
    caught: list[TransportError] = []
    async with connect(server, base_url=proxy.url, transport=None, retry=0, clock=clock, timeout=30) as client:

        async def attempt() -> None:
            with pytest.raises(TransportError) as error:
                await call(client)
            caught.append(error.value)

        proxy.add(rule)
        async with anyio.create_task_group() as group:
            group.start_soon(attempt)
            await until(lambda: proxy.struck)
            clock.advance(29.9)
            await anyio.wait_all_tasks_blocked()
            assert not caught
            clock.advance(0.2)
        await client.me.get()
    return caught[0]


@pytest.mark.parametrize("rule", [Rule(hang=True), Rule(dribble=0.005), Rule(delay_after=60)])
async def test_an_attempt_is_bounded_as_a_whole(server: Sandbox, proxy: Proxy, rule: Rule) -> None:
    error = await timed_out(server, proxy, rule, read)
    assert isinstance(error, RequestTimeoutError)
    assert isinstance(error, TimeoutError)
    assert "no whole reply within 30 s" in str(error)


async def test_a_write_that_runs_out_of_time_may_have_landed(server: Sandbox, proxy: Proxy) -> None:
    error = await timed_out(server, proxy, Rule(hang=True), write)
    assert isinstance(error, IndeterminateError)


async def test_a_write_whose_connection_never_came_is_not_sent() -> None:
    clock = ManualClock(autojump=False)
    connecting = anyio.Event()

    class Nowhere(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await request.extensions["trace"]("connection.connect_tcp.started", {})
            connecting.set()
            await anyio.sleep_forever()
            raise AssertionError

    async with TallyfyClient("abc", transport=Nowhere(), clock=clock, retry=0, timeout=30) as client:

        async def attempt() -> None:
            with pytest.raises(NotSentError, match="no connection within 30 s"):
                await write(client)

        async with anyio.create_task_group() as group:
            group.start_soon(attempt)
            await connecting.wait()
            clock.advance(31)


async def test_connecting_has_its_own_bound() -> None:
    seen: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"]["connect"])
        return httpx.Response(200, json={})

    async with TallyfyClient("abc", transport=httpx.MockTransport(answer), timeout=Timeouts(connect=3)) as client:
        await client.request("GET", "/me")
        await client.with_options(timeout=7).request("GET", "/me")
    assert seen == [3, 10]


@pytest.mark.parametrize("error", [httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ConnectError, httpx.ProxyError])
async def test_errors_before_the_first_byte_are_not_sent(error: type[httpx.RequestError]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("why", request=request)

    async with TallyfyClient("abc", transport=httpx.MockTransport(answer), retry=0) as client:
        with pytest.raises(NotSentError):
            await client.request("GET", "/me")


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.WriteTimeout])
async def test_timeouts_of_a_foreign_transport_are_timeouts(error: type[httpx.RequestError]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("why", request=request)

    async with TallyfyClient("abc", transport=httpx.MockTransport(answer), retry=0) as client:
        with pytest.raises(RequestTimeoutError):
            await client.request("GET", "/me")


@pytest.mark.parametrize("error", [RuntimeError, OSError, anyio.BrokenResourceError])
async def test_whatever_a_transport_raises_becomes_an_error_of_ours(error: type[Exception]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    async with TallyfyClient("abc", transport=httpx.MockTransport(answer), retry=0) as client:
        with pytest.raises(TransportError, match=error.__name__):
            await client.request("GET", "/me")


class Cancelled(httpx.AsyncBaseTransport, httpx.AsyncByteStream):
    """Awaits, for the head or for the body of a reply, what somebody else has cancelled."""

    def __init__(self, *, has_head: bool) -> None:
        self._has_head = has_head

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if told := request.extensions.get("trace"):
            await told("http11.send_request_headers.started", {})
        return httpx.Response(200, stream=self) if self._has_head else await self._gone()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        await self._gone()

    async def _gone(self) -> httpx.Response:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        return await gone


@pytest.mark.parametrize("has_head", [False, True])
def test_a_transport_that_is_cancelled_by_nobody_has_lost_the_reply(has_head: bool) -> None:
    async def main() -> None:
        async with TallyfyClient("abc", transport=Cancelled(has_head=has_head), retry=0) as client:
            with pytest.raises(TransportError, match="SelfCancelledError"):
                await client.request("GET", "/me")
            with pytest.raises(IndeterminateError):
                await write(client)
            with pytest.raises(TransportError, match="SelfCancelledError"):
                async with client.organization("f" * 32).files.download("a") as file:
                    await file.read()

    asyncio.run(main())


async def test_a_reply_above_the_limit_is_refused_and_the_connection_given_up(server: Sandbox) -> None:
    transport = transport_to(server.url)
    server.faults.add(Fault(operation="get_me", body=b"x" * 10_000_000, times=2))
    request = Request(
        method="GET",
        url=f"{server.url}/me",
        headers=(("Accept", "application/json"),),
        timeouts=Timeouts(),
        max_bytes=1000,
    )
    for _ in range(2):
        with pytest.raises(DecodeError, match="larger than 1000 bytes") as caught:
            await transport.exchange(request)
        assert (caught.value.status, bool(caught.value.request_id)) == (200, True)
    reply = await transport.exchange(request)
    assert reply.status == 401
    assert transport.client._transport.idle == 1  # type: ignore[attr-defined]
    await transport.aclose()


async def test_the_limit_counts_unpacked_bytes() -> None:
    packed = gzip.compress(b"\0" * 5_000_000)
    with raw_server(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    ) as raw:
        transport = transport_to(raw.url)
        request = Request(method="GET", url=f"{raw.url}/", headers=(), timeouts=Timeouts(), max_bytes=1_000_000)
        with pytest.raises(DecodeError, match="larger than 1000000 bytes"):
            await transport.exchange(request)
        await transport.aclose()


async def test_the_steps_of_a_write_are_watched(server: Sandbox) -> None:
    transport = transport_to(server.url)
    progress = Progress()
    assert not progress.may_have_landed
    request = Request(method="POST", url=f"{server.url}/nowhere", headers=(), content=b"{}", timeouts=Timeouts())
    reply = await transport.exchange(request, progress)
    assert (progress.begun, progress.traced, progress.sent) == (True, True, True)
    assert reply.elapsed > 0
    await transport.aclose()


def test_a_transport_that_reports_no_steps_is_not_trusted() -> None:
    assert Progress(begun=True, traced=False).may_have_landed
    assert not Progress(begun=True, traced=True, sent=False).may_have_landed


async def test_closing_twice_does_nothing_and_a_closed_client_says_so(server: Sandbox) -> None:
    client = connect(server, transport=None)
    await client.me.get()
    await client.aclose()
    await client.aclose()
    with pytest.raises(ClientClosedError) as caught:
        await client.me.get()
    assert caught.value.outcome is Outcome.NOT_SENT


async def test_an_injected_client_that_its_owner_closed_is_named() -> None:
    own = httpx.AsyncClient()
    async with TallyfyClient("abc", http_client=own) as client:
        await own.aclose()
        with pytest.raises(ClientClosedError, match="underlying HTTP client"):
            await client.request("GET", "/me")


def test_clearing_a_chain_stops_at_cycles() -> None:
    first, second = ValueError(), httpx.ReadError("why", request=httpx.Request("GET", "https://x/"))
    first.__context__, second.__context__ = second, first
    assert quiet(first) is first
    with pytest.raises(RuntimeError):
        _ = second.request
