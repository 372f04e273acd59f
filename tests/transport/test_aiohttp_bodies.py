"""Bodies over aiohttp: uploads, packed replies, downloads."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import h11
import httpx
import pytest

from tallyfy_async import DecodeError, RequestTimeoutError
from tallyfy_async.errors import UploadSourceError
from tallyfy_async.transport.upload import Form, file_part
from tests.helpers import until
from tests.transport.over_aiohttp import AUTHORITY, LARGE, echo, exchanger, request_to, trusting
from tests.transport.peer import Peer, PeerServer, serving

pytest.importorskip("httpx_aiohttp")

from tallyfy_async.transport.aiohttp_session import _Body, _Feed

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("lasting")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def echoing() -> Iterator[PeerServer]:
    with serving(echo) as peer:
        yield peer


@pytest.mark.parametrize("kind", ["path", "stream", "bytes"])
async def test_a_body_that_is_made_while_it_is_sent_arrives_whole(
    echoing: PeerServer, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(LARGE)

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 70_000):
            yield LARGE[start : start + 70_000]

    source: Any = {"path": path, "stream": stream(), "bytes": LARGE}[kind]
    transport = exchanger(echoing.url)
    form = Form({"a": "b"}, [await file_part("name", source, filename="a.bin")])
    reply = await transport.exchange(request_to(echoing.url, content=form))
    assert LARGE in reply.content
    assert form.length is None or len(reply.content) == form.length
    await transport.aclose()


@pytest.mark.parametrize("tls", [False, True])
async def test_large_bytes_arrive_whole_and_the_connection_is_used_again(tls: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    with serving(echo, context if tls else None) as peer:
        transport = exchanger(peer.url, tls=trusting() if tls else None)
        for _ in range(3):
            assert (await transport.exchange(request_to(peer.url, content=LARGE))).content == LARGE
        await transport.aclose()
        assert peer.connections == 1


async def test_a_source_that_fails_fails_with_its_own_error(echoing: PeerServer) -> None:
    closed: list[bool] = []

    async def broken() -> AsyncIterator[bytes]:
        try:
            yield bytes(300_000)
            raise UploadSourceError("the disk is gone")
        finally:
            closed.append(True)

    transport = exchanger(echoing.url)
    form = Form({}, [await file_part("name", broken(), filename="a.bin")])
    with pytest.raises(UploadSourceError, match="the disk is gone"):
        await transport.exchange(request_to(echoing.url, content=form))
    assert closed
    assert (await transport.exchange(request_to(echoing.url, "GET"))).status == 200
    await transport.aclose()


async def test_a_cut_upload_lets_go_of_its_source(echoing: PeerServer) -> None:
    closed: list[bool] = []
    begun = anyio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield bytes(300_000)
            begun.set()
            await anyio.sleep(60)
        finally:
            closed.append(True)

    transport = exchanger(echoing.url)
    form = Form({}, [await file_part("name", endless(), filename="a.bin")])
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(transport.exchange, request_to(echoing.url, content=form))
            await begun.wait()
            group.cancel_scope.cancel()
    assert closed
    assert (await transport.exchange(request_to(echoing.url, "GET"))).status == 200
    await transport.aclose()


async def test_half_a_body_is_never_taken_for_a_whole_one() -> None:
    begun: list[int] = []
    whole: list[int] = []

    async def count(peer: Peer, head: h11.Request) -> None:
        begun.append(len(await peer.body(at_least=1)))
        whole.append(len(await peer.body()))
        await peer.answer(200)

    async def broken() -> AsyncIterator[bytes]:
        yield bytes(300_000)
        await anyio.sleep(60)

    with serving(count) as peer:
        transport = exchanger(peer.url)
        form = Form({}, [await file_part("name", broken(), filename="a.bin")])
        async with anyio.create_task_group() as group:
            group.start_soon(transport.exchange, request_to(peer.url, content=form))
            await until(lambda: begun)
            group.cancel_scope.cancel()
        await until(lambda: peer.open == 0)
        await transport.aclose()
    assert begun[0] >= 1
    assert not whole


async def refuse(peer: Peer, head: h11.Request) -> None:
    """Answer while the request is still on its way, and read nothing more of it."""
    if head.method == b"POST":
        await peer.body(at_least=50_000)
        await peer.answer(401, b"early")
        await anyio.sleep(60)
    await peer.answer(200, b"fine")


async def test_an_early_answer_ends_the_sending() -> None:
    with serving(refuse) as peer:
        transport = exchanger(peer.url)
        form = Form({}, [await file_part("name", LARGE * 4, filename="a.bin")])
        for content in (form, LARGE * 4):
            with anyio.fail_after(10):
                reply = await transport.exchange(request_to(peer.url, content=content))
            assert (reply.status, reply.content) == (401, b"early")
        assert (await transport.exchange(request_to(peer.url, "GET"))).content == b"fine"
        await transport.aclose()


async def test_a_server_that_takes_no_more_ends_the_sending() -> None:
    async def deaf(peer: Peer, head: h11.Request) -> None:
        await anyio.sleep(60)

    with serving(deaf) as peer:
        transport = exchanger(peer.url)
        form = Form({}, [await file_part("name", LARGE * 4, filename="a.bin")])
        with anyio.fail_after(10), pytest.raises(RequestTimeoutError, match="WriteTimeout"):
            await transport.exchange(request_to(peer.url, content=form, stall=0.05))
        await transport.aclose()


async def answering(body: bytes, *headers: tuple[str, str], limit: int = 10**6) -> bytes:
    async def give(peer: Peer, head: h11.Request) -> None:
        await peer.answer(200, body, headers)

    with serving(give) as peer:
        transport = exchanger(peer.url)
        try:
            return (await transport.exchange(request_to(peer.url, "GET", max_bytes=limit))).content
        finally:
            await transport.aclose()


async def test_packed_replies_are_unpacked_once_and_within_the_limit() -> None:
    packed = gzip.compress(bytes(500_000))
    assert await answering(packed, ("Content-Encoding", "gzip")) == bytes(500_000)
    with pytest.raises(DecodeError, match="larger than 1000 bytes"):
        await answering(packed, ("Content-Encoding", "gzip"), limit=1000)
    with pytest.raises(DecodeError, match="larger than 1000 bytes"):
        await answering(LARGE, limit=1000)
    with pytest.raises(DecodeError, match="nobody asked for"):
        await answering(b"?", ("Content-Encoding", "br"))


async def test_long_header_lines_are_read() -> None:
    assert await answering(b"{}", ("X-Long", "x" * 30_000)) == b"{}"


async def test_a_download_is_read_piece_by_piece_and_may_be_left() -> None:
    async def give(peer: Peer, head: h11.Request) -> None:
        await peer.answer(200, LARGE)

    with serving(give) as peer:
        transport = exchanger(peer.url)
        reply, incoming = await transport.open(request_to(peer.url, "GET"))
        assert reply.status == 200
        assert incoming is not None
        pieces: list[bytes] = []
        while piece := await incoming.read():
            pieces.append(piece)
        await incoming.aclose()
        assert b"".join(pieces) == LARGE
        _, left = await transport.open(request_to(peer.url, "GET"))
        assert left is not None
        assert await left.read()
        await left.aclose()
        assert (await transport.exchange(request_to(peer.url, "GET"))).content == LARGE
        assert peer.connections == 2, "a connection with half a reply on it cannot be used again"
        await transport.aclose()
        await until(lambda: peer.open == 0)


@pytest.mark.parametrize("fed", [False, True])
async def test_a_body_that_fails_to_end_gives_its_connection_back(fed: bool) -> None:
    ended: list[str] = []

    class Cut(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                yield b"a"
            finally:
                raise OSError("cut")

        async def aclose(self) -> None:
            ended.append("reply")

    class Feed(_Feed):
        async def aclose(self) -> None:
            await super().aclose()
            ended.append("request")

    body = _Body(Cut(), Feed(httpx.ByteStream(b"b"), None) if fed else None)
    assert await anext(body) == b"a"
    with pytest.raises(OSError, match="cut"):
        await body.aclose()
    assert ended == (["reply", "request"] if fed else ["reply"])
