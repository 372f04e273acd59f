"""The layers of a call: seven ways to read the same task, each with one layer more than the one before.

All of them send the same bytes, read the whole reply and compare it. They keep their connections as long as they are
open.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
import httpcore
import httpx
from anyio.abc import SocketStream
from attrs import frozen

from benchmarks.payload import TASK
from benchmarks.sides import ORGANIZATION, TASK_ID, TOKEN, check
from tallyfy_async import TallyfyClient
from tallyfy_async.config import ClientConfig
from tallyfy_async.engine.plan import Call
from tallyfy_async.resources.tasks import GET
from tallyfy_async.transport.clock import SystemClock
from tallyfy_async.transport.exchange import Request, Timeouts
from tallyfy_async.transport.http import HTTPTransport, build_client
from tallyfy_async.transport.pool import ConnectionPool
from tallyfy_async.transport.sockets import SocketBackend

PLANNED = Call.plan(GET, {"org": ORGANIZATION, "task_id": TASK_ID})

_CONNECTIONS = 100  # more than callers: nobody waits for one

MakeCall = Callable[[], Awaitable[None]]


def request_to(url: str) -> Request:
    """Return the request that the whole call sends."""
    headers = *ClientConfig(auth=TOKEN).request_headers, ("Authorization", f"Bearer {TOKEN}")
    return Request(method="GET", url=url + PLANNED.url, headers=headers, timeouts=Timeouts())


def _prebuilt(url: str) -> httpx.Request:
    request = request_to(url)
    timeout = {"connect": request.timeouts.connect, "read": None, "write": None, "pool": None}
    return httpx.Request("GET", request.url, headers=request.headers, extensions={"timeout": timeout})


@asynccontextmanager
async def socket(url: str) -> AsyncGenerator[MakeCall, None]:
    """Send prepared bytes over a socket of anyio, and receive until the task is there."""
    raw = _prebuilt(url)
    lines = [b"GET %s HTTP/1.1" % raw.url.raw_path, *(b"%s: %s" % header for header in raw.headers.raw)]
    sent = b"\r\n".join(lines) + b"\r\n\r\n"
    idle: list[SocketStream] = []
    async with AsyncExitStack() as stack:

        async def call() -> None:
            if idle:
                stream = idle.pop()
            else:
                stream = await stack.enter_async_context(await anyio.connect_tcp(raw.url.host, raw.url.port or 80))
            await stream.send(sent)
            reply = await stream.receive()
            while not reply.endswith(TASK):
                reply += await stream.receive()
            idle.append(stream)

        yield call


@asynccontextmanager
async def core(url: str) -> AsyncGenerator[MakeCall, None]:
    """Send a prebuilt request through a connection of httpcore."""
    raw = _prebuilt(url)
    target = httpcore.URL(str(raw.url))
    request = httpcore.Request("GET", target, headers=raw.headers.raw, content=b"", extensions=raw.extensions)
    backend = SocketBackend()
    idle: list[httpcore.AsyncHTTPConnection] = []
    async with AsyncExitStack() as stack:

        async def call() -> None:
            if idle:
                connection = idle.pop()
            else:
                connection = httpcore.AsyncHTTPConnection(target.origin, network_backend=backend)
                await stack.enter_async_context(connection)
            response = await connection.handle_async_request(request)
            assert not isinstance(response.stream, Iterable)
            content = b"".join([piece async for piece in response.stream])
            await response.aclose()
            idle.append(connection)
            check(content, TASK)

        yield call


@asynccontextmanager
async def pool(url: str) -> AsyncGenerator[MakeCall, None]:
    """Send a prebuilt request through our pool."""
    request = _prebuilt(url)
    async with ConnectionPool() as connections:
        yield partial(_whole, partial(connections.handle_async_request, request))


@asynccontextmanager
async def client(url: str) -> AsyncGenerator[MakeCall, None]:
    """Send a prebuilt request through httpx's client over our pool."""
    request = _prebuilt(url)
    async with build_client(connections=_CONNECTIONS) as opened:
        yield partial(_whole, partial(opened.send, request, stream=True, auth=None, follow_redirects=False))


async def _whole(send: Callable[[], Awaitable[httpx.Response]]) -> None:
    response = await send()
    assert isinstance(response.stream, httpx.AsyncByteStream)
    content = b"".join([piece async for piece in response.stream])
    await response.aclose()
    check(content, TASK)


@asynccontextmanager
async def exchange(url: str) -> AsyncGenerator[MakeCall, None]:
    """Perform an exchange: the request built, sent in a child task within its time, the reply read."""
    request = request_to(url)
    async with build_client(connections=_CONNECTIONS) as opened:
        transport = HTTPTransport(client=opened, clock=SystemClock(), origins=(f"{url}/",))

        async def call() -> None:
            check((await transport.exchange(request)).content, TASK)

        yield call


@asynccontextmanager
async def engine(url: str) -> AsyncGenerator[MakeCall, None]:
    """Perform a planned call: deadline, slot, token, exchange, verdict, JSON decoded."""
    async with TallyfyClient(TOKEN, base_url=url, max_connections=_CONNECTIONS) as opened:
        perform = opened._engine.call  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

        async def call() -> None:
            check((await perform(PLANNED)).content, TASK)

        yield call


@asynccontextmanager
async def method(url: str) -> AsyncGenerator[MakeCall, None]:
    """Call the method: the call planned and performed, the model built."""
    async with TallyfyClient(TOKEN, base_url=url, max_connections=_CONNECTIONS) as opened:
        tasks = opened.organization(ORGANIZATION).tasks

        async def call() -> None:
            check((await tasks.get(TASK_ID)).id, TASK_ID)

        yield call


@frozen
class Layer:
    """One layer: its name, what it adds in words, how to open a way to call with all up to it, its colour."""

    name: str
    adds: str
    opened: Callable[[str], AbstractAsyncContextManager[MakeCall]]
    colour: str


LAYERS = (
    Layer("socket", "anyio: one send, one receive", socket, "#77828d"),
    Layer("httpcore", "h11: the request written, the reply parsed", core, "#4a78a8"),
    Layer("pool", "our pool: a connection taken and given back", pool, "#c7702a"),
    Layer("httpx", "`AsyncClient.send` with a prebuilt request", client, "#2f8fae"),
    Layer("exchange", "the request built, a child task, the attempt's time limit", exchange, "#b34f45"),
    Layer("engine", "deadline, slot and pace, token, retry frame, JSON", engine, "#8459ab"),
    Layer("method", "arguments to a call, JSON to a typed model", method, "#2b9168"),
)
