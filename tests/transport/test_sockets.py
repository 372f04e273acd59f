"""Connections over real sockets: how each way to end is told, and that nothing is left open."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import httpcore
import pytest
import trustme
from anyio.abc import SocketAttribute

from tallyfy_async.transport.duplex import DuplexStream
from tallyfy_async.transport.sockets import SocketBackend, SocketStream
from tests.helpers import until

pytestmark = pytest.mark.anyio
AUTHORITY = trustme.CA()
LONG = 20.0
MUCH = bytes(64_000_000)
"""More than the buffers of both ends take."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(5)
        yield listening


@pytest.fixture
async def stream(listener: socket.socket) -> AsyncIterator[SocketStream]:
    connected = SocketStream(await anyio.connect_tcp(*at(listener)))
    yield connected
    await connected.aclose()


@pytest.fixture
def peer(listener: socket.socket, stream: SocketStream) -> Iterator[socket.socket]:
    """The other end of ``stream``."""
    accepted, _ = listener.accept()
    with accepted:
        yield accepted


def reset(peer: socket.socket) -> None:
    """End the connection with a reset instead of an end."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def at(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()
    return host, port


def is_open(stream: SocketStream) -> bool:
    return bool(stream.get_extra_info("socket").fileno() >= 0)


# Reading and writing


@pytest.mark.parametrize("within", [None, LONG])
async def test_what_is_written_arrives_and_what_comes_is_read(
    stream: SocketStream, peer: socket.socket, within: float | None
) -> None:
    await stream.write(b"", within)
    await stream.write(b"there", within)
    assert peer.recv(100) == b"there"
    peer.sendall(b"back")
    assert await stream.read(3, within) == b"bac"
    assert await stream.read(3, within) == b"k"
    peer.close()
    assert await stream.read(3, within) == b""


async def test_nothing_to_read_for_too_long(stream: SocketStream, peer: socket.socket) -> None:
    with pytest.raises(httpcore.ReadTimeout):
        await stream.read(1, 0.01)
    peer.sendall(b"late")
    assert await stream.read(10, LONG) == b"late"


async def test_a_peer_that_takes_nothing_for_too_long(stream: SocketStream, peer: socket.socket) -> None:
    with pytest.raises(httpcore.WriteTimeout):
        await stream.write(MUCH, 0.05)


@pytest.mark.parametrize("within", [None, LONG])
async def test_a_connection_that_is_reset_is_broken(
    stream: SocketStream, peer: socket.socket, within: float | None
) -> None:
    reset(peer)
    with pytest.raises(httpcore.ReadError):
        await stream.read(1, within)
    with anyio.fail_after(LONG), pytest.raises(httpcore.WriteError):
        await stream.write(MUCH, within)


@pytest.mark.parametrize("within", [None, LONG])
async def test_a_connection_that_we_closed_is_broken(stream: SocketStream, within: float | None) -> None:
    await stream.aclose()
    with pytest.raises(httpcore.ReadError):
        await stream.read(1, within)
    with pytest.raises(httpcore.WriteError):
        await stream.write(b"a", within)


# What is known of a connection


@pytest.mark.parametrize("polled", [True, False], ids=["poll", "select"])
async def test_a_look_at_a_connection_tells_whether_there_is_something(
    stream: SocketStream, peer: socket.socket, polled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not polled:
        monkeypatch.delattr(select, "poll")

    def readable() -> Any:
        return stream.get_extra_info("is_readable")

    assert readable() is False
    peer.sendall(b"a")
    await until(readable)
    assert readable() is True
    assert await stream.read(1) == b"a"
    assert readable() is False
    peer.close()
    await until(readable)
    await stream.aclose()
    assert readable() is True


async def test_details_of_a_connection(stream: SocketStream, listener: socket.socket) -> None:
    assert stream.get_extra_info("socket").getpeername() == listener.getsockname()
    assert stream.get_extra_info("ssl_object") is None
    assert stream.get_extra_info("client_addr") is None


# TLS


async def tls_end(peer: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return await anyio.to_thread.run_sync(partial(context.wrap_socket, peer, server_side=True))


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def test_tls_over_a_connection(stream: SocketStream, peer: socket.socket) -> None:
    ends: list[ssl.SSLSocket] = []

    async def answer() -> None:
        ends.append(await tls_end(peer))

    async with anyio.create_task_group() as group:
        group.start_soon(answer)
        secured = await stream.start_tls(trusting(), "127.0.0.1", LONG)
    with ends[0] as end:
        assert secured.get_extra_info("ssl_object").version() == end.version()
        assert secured.get_extra_info("socket").fileno() == stream.get_extra_info("socket").fileno()
        await secured.write(b"there")
        assert end.recv(100) == b"there"
        end.sendall(b"back")
        assert await secured.read(100, LONG) == b"back"
    assert await secured.read(100, LONG) == b""
    await secured.aclose()
    assert not is_open(stream)


async def test_a_handshake_that_takes_too_long(stream: SocketStream, peer: socket.socket) -> None:
    with pytest.raises(httpcore.ConnectTimeout):
        await stream.start_tls(trusting(), "127.0.0.1", 0.05)
    assert not is_open(stream)


@pytest.mark.parametrize(
    "ending",
    [socket.socket.close, reset, lambda peer: peer.sendall(b"HTTP/1.1 400 No\r\n\r\n")],
    ids=["closed", "reset", "no TLS"],
)
@pytest.mark.parametrize("within", [None, LONG])
async def test_a_handshake_that_breaks(
    stream: SocketStream, peer: socket.socket, ending: Callable[[socket.socket], None], within: float | None
) -> None:
    ending(peer)
    with pytest.raises(httpcore.ConnectError):
        await stream.start_tls(trusting(), "127.0.0.1", within)
    assert not is_open(stream)


async def test_a_handshake_with_somebody_unknown(stream: SocketStream, peer: socket.socket) -> None:
    async def answer() -> None:
        with pytest.raises((ssl.SSLError, OSError)):
            (await tls_end(peer)).recv(1)

    async with anyio.create_task_group() as group:
        group.start_soon(answer)
        with pytest.raises(httpcore.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stream.start_tls(ssl.create_default_context(), "127.0.0.1", LONG)
    assert not is_open(stream)


# Connecting


async def test_connecting_sets_the_options_that_are_asked_for(listener: socket.socket) -> None:
    option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream = await SocketBackend().connect_tcp(
        *at(listener), timeout=LONG, local_address="127.0.0.1", socket_options=[option]
    )
    assert isinstance(stream, DuplexStream)
    assert stream.get_extra_info("socket").getsockopt(*option[:2]) == 1
    await stream.aclose()


async def test_connecting_that_takes_too_long(listener: socket.socket) -> None:
    with pytest.raises(httpcore.ConnectTimeout):
        await SocketBackend().connect_tcp(*at(listener), timeout=0)


async def test_connecting_to_nobody(listener: socket.socket) -> None:
    address = at(listener)
    listener.close()
    with pytest.raises(httpcore.ConnectError):
        await SocketBackend().connect_tcp(*address)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """The sockets that are connected."""
    sockets: list[socket.socket] = []
    connect = anyio.connect_tcp

    async def connect_and_tell(*arguments: Any, **settings: Any) -> Any:
        stream = await connect(*arguments, **settings)
        sockets.append(stream.extra(SocketAttribute.raw_socket))
        return stream

    monkeypatch.setattr(anyio, "connect_tcp", connect_and_tell)
    return sockets


async def test_an_option_that_does_not_exist_leaves_no_connection(
    listener: socket.socket, made: list[socket.socket]
) -> None:
    with pytest.raises(httpcore.ConnectError, match="rotocol"):
        await SocketBackend().connect_tcp(*at(listener), socket_options=[(socket.SOL_SOCKET, 9999, 1)])
    assert [connected.fileno() for connected in made] == [-1]


async def test_a_cancellation_at_the_end_of_connecting_leaves_no_connection(
    listener: socket.socket, made: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = anyio.connect_tcp

    async def connect_and_cancel(*arguments: Any, **settings: Any) -> Any:
        stream = await connect(*arguments, **settings)
        scope.cancel()
        return stream

    monkeypatch.setattr(anyio, "connect_tcp", connect_and_cancel)
    with anyio.CancelScope() as scope:
        await SocketBackend().connect_tcp(*at(listener))
        pytest.fail("the cancellation was not heard")
    assert scope.cancelled_caught
    assert [connected.fileno() for connected in made] == [-1]


async def test_the_sleep_of_a_backend_can_be_cut() -> None:
    backend = SocketBackend()
    await backend.sleep(0)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await backend.sleep(60)
    assert scope.cancelled_caught
