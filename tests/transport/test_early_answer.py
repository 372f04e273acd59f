"""A server that answers before it has the whole request, and perhaps reads no more of it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import anyio
import h11
import pytest
import trustme

from tallyfy_async.errors import TransportError
from tallyfy_async.transport.clock import SystemClock
from tallyfy_async.transport.exchange import Progress, Request, Timeouts
from tallyfy_async.transport.http import HTTPTransport, build_client
from tallyfy_async.transport.pool import ConnectionPool
from tallyfy_async.transport.upload import Form, file_part
from tests.transport.peer import Peer, PeerServer, serving

pytestmark = pytest.mark.anyio
LARGE = bytes(20_000_000)
AUTHORITY = trustme.CA()


def context_of(server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    if server:
        AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    else:
        AUTHORITY.configure_trust(context)
    return context


async def refuse(peer: Peer, head: h11.Request) -> None:
    """Answer while the request is still on its way, and read nothing more of it."""
    if head.method == b"POST":
        await peer.body(at_least=50_000)
        await peer.answer(401, b'{"message": "early"}')
        await anyio.sleep(60)
    await peer.answer(200, b'{"message": "fine"}')


async def hang_up(peer: Peer, head: h11.Request) -> None:
    """Answer and close, with unread bytes of the request: the kernel resets the connection."""
    if head.method == b"POST":
        await peer.answer(401, b'{"message": "early"}')
        await peer.stream.aclose()
        return
    await peer.answer(200, b'{"message": "fine"}')


async def take(peer: Peer, head: h11.Request) -> None:
    size = len(await peer.body())
    await peer.tell({"size": size})


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "https")


@pytest.fixture
def refusing(tls: bool) -> Iterator[PeerServer]:
    with serving(refuse, context_of(True) if tls else None) as server:
        yield server


def transport_of(server: PeerServer) -> HTTPTransport:
    tls = context_of(False) if server.tls is not None else None
    client = build_client(connections=4, ssl_context=tls)
    return HTTPTransport(client=client, clock=SystemClock(), origins=(server.url,))


def request_of(server: PeerServer, content: object = None, method: str = "POST") -> Request:
    given = {"content": content, "stall": 30.0}
    return Request(method=method, url=f"{server.url}/x", headers=(), timeouts=Timeouts(attempt=30.0), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", [False, True], ids=["bytes", "form"])
async def test_an_early_answer_ends_the_sending(refusing: PeerServer, form: bool) -> None:
    transport = transport_of(refusing)
    try:
        content = Form({}, [await file_part("name", LARGE, filename="a.bin")]) if form else LARGE
        progress = Progress()
        with anyio.fail_after(10):
            reply = await transport.exchange(request_of(refusing, content), progress)
            assert (reply.status, reply.content) == (401, b'{"message": "early"}')
            assert progress.sent
            pool = transport.client._transport
            assert isinstance(pool, ConnectionPool)
            assert (pool.busy, pool.idle) == (0, 0), "half a request was sent on it: nobody can use it again"
            assert (await transport.exchange(request_of(refusing, method="GET"))).status == 200
    finally:
        await transport.aclose()


async def test_an_early_answer_before_a_reset_is_heard_or_the_loss_is_told(tls: bool) -> None:
    with serving(hang_up, context_of(True) if tls else None) as server:
        transport = transport_of(server)
        try:
            with anyio.fail_after(10):
                for _ in range(5):
                    try:
                        reply = await transport.exchange(request_of(server, LARGE), Progress())
                    except TransportError:
                        continue  # the kernel may throw the answer away with the connection
                    assert reply.status == 401
                assert (await transport.exchange(request_of(server, method="GET"))).status == 200
        finally:
            await transport.aclose()


async def test_large_requests_get_through_and_their_connection_is_used_again(tls: bool) -> None:
    with serving(take, context_of(True) if tls else None) as server:
        transport = transport_of(server)
        try:
            for _ in range(3):
                assert (await transport.exchange(request_of(server, LARGE))).content == b'{"size": 20000000}'
        finally:
            await transport.aclose()
        assert server.connections == 1
