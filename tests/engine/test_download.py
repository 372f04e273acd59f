"""Downloads: whole or an error, never short; and whatever happens, connection and slot come back."""

from __future__ import annotations

import asyncio
import gzip
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import h11
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async import (
    APIError,
    ClientCredentials,
    ConfigurationError,
    DecodeError,
    NotFoundError,
    RequestOptions,
    RequestTimeoutError,
    ServerError,
    TallyfyClient,
    TransportError,
)
from tallyfy_async.engine.download import Download, name_of
from tallyfy_async.protocol.response import Headers
from tallyfy_async.transport.manual_clock import ManualClock
from tests.helpers import http_of, pool_of, until
from tests.transport.peer import Handler, Peer, PeerServer, serving

pytestmark = pytest.mark.anyio
CONTENT = os.urandom(1_000_000)
SHORT = 600_000
NAMED = ("Content-Disposition", 'attachment; filename="report.pdf"')


async def whole(peer: Peer, _head: h11.Request) -> None:
    await peer.answer(200, CONTENT, [("Content-Type", "application/octet-stream"), NAMED])


async def short(peer: Peer, _head: h11.Request) -> None:
    await peer.answer(200, CONTENT[:SHORT])


async def cut(peer: Peer, _head: h11.Request) -> None:
    await peer.begin(200, [("Content-Length", str(len(CONTENT)))])
    await peer.send(CONTENT[:300_000])
    await peer.stream.aclose()


async def cut_chunks(peer: Peer, _head: h11.Request) -> None:
    await peer.begin(200, [("Transfer-Encoding", "chunked")])
    await peer.send(CONTENT[:300_000])
    await peer.stream.aclose()


async def stall(peer: Peer, _head: h11.Request) -> None:
    await peer.begin(200, [("Content-Length", str(len(CONTENT)))])
    await peer.send(CONTENT[:300_000])
    await anyio.sleep(60)


async def bomb(peer: Peer, _head: h11.Request) -> None:
    packed = gzip.compress(bytes(60_000_000))
    await peer.answer(200, packed, [("Content-Encoding", "gzip")])


@asynccontextmanager
async def downloading(handler: Handler, **settings: Any) -> AsyncIterator[tuple[PeerServer, TallyfyClient]]:
    """Serve, connect, and see that afterwards every slot and connection is free."""
    with serving(handler) as server:
        given: dict[str, Any] = {"auth": "token", "base_url": server.url, "max_connections": 2, **settings}
        async with TallyfyClient(**given) as client:
            yield server, client
            assert client._limiter.free == 2
            if not settings.get("trust_env"):
                assert pool_of(client).busy == 0
            elif (pool := getattr(http_of(client)._transport, "_pool", None)) is not None:
                assert all(connection.is_idle() for connection in pool.connections)


def file_of(client: TallyfyClient, **arguments: Any) -> Download:
    return client.organization("o").files.download("a", **arguments)


def names(place: Path) -> list[str]:
    return [path.name for path in place.iterdir()]


@pytest.fixture(params=[False, True], ids=["own pool", "pool of httpx"])
def trust_env(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return bool(request.param)


async def test_pieces_make_the_file_and_the_connection_is_used_again(trust_env: bool) -> None:
    async with downloading(whole, trust_env=trust_env) as (server, client):
        for _ in range(3):
            async with file_of(client) as file:
                assert (file.filename, file.size) == ("report.pdf", len(CONTENT))
                assert file.content_type == "application/octet-stream"
                assert client._limiter.free == 1, "its connection counts"
                assert b"".join([piece async for piece in file]) == CONTENT
                assert [piece async for piece in file] == []
        assert server.connections == 1
        head = server.seen("GET")[0]
        assert head["accept"] == "application/json"
        assert head["authorization"] == "Bearer token"


async def fail_inside(client: TallyfyClient) -> None:
    async with file_of(client) as file:
        await anext(file)
        raise ZeroDivisionError


async def test_what_is_not_read_is_dropped_with_its_connection(trust_env: bool) -> None:
    async with downloading(whole, trust_env=trust_env) as (server, client):
        for count in range(3):
            async with file_of(client) as file:
                async for _ in file:
                    break
                if count == 2:
                    assert await anext(file)
        async with file_of(client):
            pass
        with pytest.raises(ZeroDivisionError):
            await fail_inside(client)
        async with file_of(client) as file:
            assert await file.read() == CONTENT
        await until(lambda: server.open <= 1)


@pytest.mark.parametrize("handler", [cut, cut_chunks])
async def test_a_cut_download_is_an_error(handler: Handler, trust_env: bool, tmp_path: Path) -> None:
    async with downloading(handler, trust_env=trust_env) as (_, client):
        async with file_of(client) as file:
            with pytest.raises(TransportError):
                async for _ in file:
                    pass
            with pytest.raises(TransportError, match="broken off"):
                await anext(file)
        target = tmp_path / "report.pdf"
        target.write_bytes(b"the last one")
        async with file_of(client) as file:
            with pytest.raises(TransportError):
                await file.save(target)
        assert target.read_bytes() == b"the last one"
        assert names(tmp_path) == ["report.pdf"]
        async with file_of(client) as file:
            with pytest.raises(TransportError):
                await file.read()


async def test_a_file_is_saved_whole_in_the_place_of_the_old_one(tmp_path: Path) -> None:
    async with downloading(whole) as (_, client):
        target = tmp_path / "report.pdf"
        for _ in range(2):
            async with file_of(client) as file:
                assert await file.save(str(target)) == target
            assert target.read_bytes() == CONTENT
        assert names(tmp_path) == ["report.pdf"]
        umask = os.umask(0o022)
        os.umask(umask)
        assert target.stat().st_mode & 0o777 == 0o666 & ~umask


async def test_an_empty_file_is_saved(tmp_path: Path) -> None:
    async def nothing(peer: Peer, _head: h11.Request) -> None:
        await peer.answer(200)

    async with downloading(nothing) as (_, client):
        async with file_of(client) as file:
            assert (file.filename, file.size) == (None, 0)
            assert (await file.save(tmp_path / "empty")).read_bytes() == b""
        async with file_of(client) as file:
            assert await file.read() == b""


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    async with downloading(whole) as (server, client):
        async with file_of(client) as file:
            with pytest.raises(ConfigurationError, match="names a directory"):
                await file.save(tmp_path)
            with pytest.raises(FileNotFoundError):
                await file.save(tmp_path / "nowhere" / "report.pdf")
        async with file_of(client) as file:
            await file.save(tmp_path / "report.pdf")
        assert names(tmp_path) == ["report.pdf"]
        assert len(server.heads) == 2


@pytest.mark.parametrize("limit", [0, 999_999])
async def test_a_file_that_is_announced_as_too_large_is_not_begun(limit: int) -> None:
    async with downloading(whole) as (_, client):
        with pytest.raises(DecodeError, match=f"larger than {limit} bytes"):
            await file_of(client, max_bytes=limit).__aenter__()
        async with file_of(client, max_bytes=len(CONTENT)) as file:
            assert await file.read() == CONTENT
        async with file_of(client) as file:
            with pytest.raises(DecodeError, match=f"larger than {limit} bytes"):
                await file.read(max_bytes=limit)
        with pytest.raises(ConfigurationError, match="max_bytes"):
            file_of(client, max_bytes="much")


async def measure(file: Download, sizes: list[int]) -> None:
    async for piece in file:
        sizes.append(len(piece))  # noqa: PERF401 - what came before an error counts


async def test_a_file_of_unknown_size_ends_at_its_limit() -> None:
    async def chunks(peer: Peer, _head: h11.Request) -> None:
        await peer.begin(200, [("Transfer-Encoding", "chunked")])
        for _ in range(1000):
            await peer.send(CONTENT[:10_000])

    async with downloading(chunks) as (_, client), file_of(client, max_bytes=50_000) as file:
        assert file.size is None
        sizes: list[int] = []
        with pytest.raises(DecodeError, match="larger than 50000 bytes"):
            await measure(file, sizes)
        assert sum(sizes) <= 50_000


async def test_a_packed_bomb_is_never_unpacked_whole() -> None:
    async with downloading(bomb) as (_, client), file_of(client, max_bytes=20_000_000) as file:
        tracemalloc.start()
        try:
            sizes: list[int] = []
            with pytest.raises(DecodeError, match="larger than"):
                await measure(file, sizes)
            assert max(sizes) <= 2**18 + 1
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()


async def test_a_packed_file_is_unpacked() -> None:
    async def packed(peer: Peer, _head: h11.Request) -> None:
        await peer.answer(200, gzip.compress(CONTENT), [("Content-Encoding", "gzip")])

    async with downloading(packed) as (_, client), file_of(client) as file:
        assert file.size is None, "what is announced is the packed size"
        assert await file.read() == CONTENT


async def test_errors_are_told_when_it_is_entered() -> None:
    async def missing(peer: Peer, _head: h11.Request) -> None:
        await peer.tell({"error": True, "message": "Resource not found", "code": "RESOURCE_NOT_FOUND"}, 404)

    async with downloading(missing) as (server, client):
        for _ in range(2):
            with pytest.raises(NotFoundError, match="Resource not found"):
                await file_of(client).__aenter__()
        assert server.connections == 1, "the error's body was read to its end"


async def test_a_redirect_is_an_error_and_nothing_goes_there() -> None:
    async with downloading(whole) as (elsewhere, _):

        async def away(peer: Peer, _head: h11.Request) -> None:
            await peer.answer(302, headers=[("Location", f"{elsewhere.url}/storage")])

        async with downloading(away) as (_, client):
            with pytest.raises(APIError, match="redirects are not followed") as told:
                await file_of(client).__aenter__()
            assert told.value.status == 302
        assert elsewhere.heads == []


@pytest.mark.parametrize("first", ["503", "429", "drop"])
async def test_it_is_sent_again_before_its_first_byte(first: str) -> None:
    async def later(peer: Peer, head: h11.Request) -> None:
        if len(peer.server.heads) > 2:
            return await whole(peer, head)
        if first == "drop":
            return await peer.stream.aclose()
        return await peer.tell({"message": "later"}, int(first), [("Retry-After", "1")])

    clock = ManualClock()
    async with downloading(later, clock=clock) as (server, client):
        async with file_of(client) as file:
            assert await file.read() == CONTENT
        assert len(server.heads) == 3
        async with file_of(client, options=RequestOptions(retry=0)) as file:
            pass


async def test_the_last_failure_is_raised() -> None:
    async def gone(peer: Peer, _head: h11.Request) -> None:
        await peer.tell({"message": "gone"}, 500)

    async with downloading(gone, clock=ManualClock()) as (server, client):
        with pytest.raises(ServerError):
            await file_of(client).__aenter__()
        assert len(server.heads) == 2


async def test_a_401_is_answered_with_a_new_token() -> None:
    async def expired(peer: Peer, head: h11.Request) -> None:
        if len(peer.server.heads) == 1:
            return await peer.tell({"message": "Unauthenticated."}, 401)
        return await whole(peer, head)

    async with downloading(expired, auth=ClientCredentials(client_id="1", client_secret="s")) as (server, client):
        async with file_of(client) as file:
            assert await file.read() == CONTENT
        first, second = server.seen("GET")
        assert first["authorization"] != second["authorization"]


async def test_a_stalled_download_ends_after_the_timeout_of_one_piece() -> None:
    clock = ManualClock()
    async with downloading(stall, clock=clock, timeout=30, deadline=40) as (_, client), file_of(client) as file:
        clock.advance(60)  # the deadline is for the way to the first byte
        got = 0
        while got < 300_000:
            got += len(await anext(file))
        async with anyio.create_task_group() as group:

            async def late() -> None:
                await anyio.wait_all_tasks_blocked()
                clock.advance(31)

            group.start_soon(late)
            with pytest.raises(RequestTimeoutError, match="30 s"):
                await anext(file)


async def test_the_deadline_ends_a_download_that_does_not_begin() -> None:
    async def silent(_peer: Peer, _head: h11.Request) -> None:
        await anyio.sleep(60)

    clock = ManualClock()
    async with (
        downloading(silent, clock=clock, timeout=100, deadline=40, retry=0) as (server, client),
        anyio.create_task_group() as group,
    ):

        async def late() -> None:
            await until(lambda: server.heads)
            clock.advance(41)

        group.start_soon(late)
        with pytest.raises(RequestTimeoutError, match="deadline of 40 s"):
            await file_of(client).__aenter__()


async def test_it_is_used_inside_of_its_context_only() -> None:
    async with downloading(whole) as (server, client):
        file = file_of(client)
        for use in (file.__anext__, file.read, lambda: file.save("x")):
            with pytest.raises(ConfigurationError, match="async with"):
                await use()
        with pytest.raises(ConfigurationError, match="async with"):
            _ = file.size
        assert server.heads == []
        async with file:
            with pytest.raises(ConfigurationError, match="open already"):
                await file.__aenter__()
        async with file:
            assert await file.read() == CONTENT
        assert "token" not in repr(file)


async def test_other_transports_are_held_to_what_they_announce() -> None:
    class Given(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield CONTENT

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("a/dl"):
            return httpx.Response(200, content=CONTENT)
        return httpx.Response(200, stream=Given(), headers={"Content-Length": str(len(CONTENT) + 1)})

    async with TallyfyClient("token", base_url="https://t.test", transport=httpx.MockTransport(answer)) as client:
        async with file_of(client) as file:
            assert await file.read() == CONTENT
        async with client.organization("o").files.download("b") as file:
            with pytest.raises(TransportError, match="1000000 of 1000001 bytes"):
                await file.read()


async def test_calls_go_on_while_a_file_is_read_however_narrow_the_width() -> None:
    async def handler(peer: Peer, head: h11.Request) -> None:
        body = CONTENT if b"/dl" in head.target else b'{"data": {}}'
        await peer.answer(200, body, [("X-RateLimit-Remaining", "1")])

    async with downloading(handler, deadline=5) as (_, client), file_of(client) as file:
        assert client._limiter.width == 1
        got = 0
        async for piece in file:
            got += len(piece)
            await client.request("GET", "/me")
        assert got == len(CONTENT)


async def test_downloads_wait_for_slots_like_calls() -> None:
    async with downloading(whole) as (_, client):
        async with file_of(client), file_of(client):
            with anyio.move_on_after(0.05) as scope:
                await file_of(client).__aenter__()
            assert scope.cancelled_caught
        async with file_of(client) as file:
            assert await file.read() == CONTENT


async def consume(client: TallyfyClient, target: Path) -> None:
    async with file_of(client) as file:
        await anext(file)
        await anext(file)
    async with file_of(client) as file:
        await file.save(target)


async def test_a_cancellation_at_any_step_leaks_nothing(tmp_path: Path) -> None:
    async with downloading(short) as (server, client):
        done = False
        steps = 0
        while not done:
            steps += 1 if steps < 40 else 5
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:

                    async def strike(scope: anyio.CancelScope = scope, steps: int = steps) -> None:
                        for _ in range(steps):
                            await anyio.lowlevel.checkpoint()
                        scope.cancel()

                    group.start_soon(strike)
                    await consume(client, tmp_path / "file")
                    done = True
                    group.cancel_scope.cancel()
            assert client._limiter.free == 2
            assert pool_of(client).busy == 0
            assert {*names(tmp_path)} <= {"file"}
            assert not (tmp_path / "file").exists() or (tmp_path / "file").read_bytes() == CONTENT[:SHORT]
        assert steps > 20
        await until(lambda: server.open <= 2)


def test_a_native_cancellation_at_any_step_leaks_nothing(tmp_path: Path) -> None:
    async def steps_of(work: Callable[[], Awaitable[None]], steps: int) -> bool:
        task = asyncio.ensure_future(work())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return False
        return True

    async def main() -> None:
        async with downloading(short) as (server, client):
            steps = 0
            while not await steps_of(lambda: consume(client, tmp_path / "file"), steps):
                steps += 1 if steps < 40 else 5
                assert client._limiter.free == 2
                assert pool_of(client).busy == 0
                assert {*names(tmp_path)} <= {"file"}
                assert not (tmp_path / "file").exists() or (tmp_path / "file").read_bytes() == CONTENT[:SHORT]
            assert steps > 20
            await until(lambda: server.open <= 2)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_cancelled_read_does_not_pass_for_the_end() -> None:
    async def main() -> None:
        async with downloading(stall) as (_, client), file_of(client) as file:
            got = 0
            while got < 300_000:
                got += len(await anext(file))
            task = asyncio.ensure_future(file.read())
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(TransportError, match="broken off"):
                await file.read()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="report.pdf"', "report.pdf"),
        ("attachment; filename=report.pdf", "report.pdf"),
        ("inline", None),
        ("", None),
        ('attachment; filename=""', None),
        ('attachment; filename=".."', None),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\temp\\\\a.pdf"', "a.pdf"),
        ('attachment; filename="a;b.pdf"', "a;b.pdf"),
        ('attachment; filename="a \\"b\\".pdf"', 'a "b".pdf'),
        ("attachment; filename=\"_.pdf\"; filename*=UTF-8''%C3%96l.pdf", "Öl.pdf"),
        ("attachment; filename*=iso-8859-1'de'%D6l.pdf; filename=x", "Öl.pdf"),
        ("attachment; filename*=utf-8''%2e%2e%2fa.pdf", "a.pdf"),
        ("attachment; filename*=utf-8''%ff; filename=x.pdf", "x.pdf"),
        ("attachment; filename*=no-such''%61; filename=x.pdf", "x.pdf"),
        ('attachment; filename="a\x00b.pdf"', "ab.pdf"),
    ],
)
def test_the_name_of_a_download_is_safe(disposition: str, name: str | None) -> None:
    assert name_of(Headers([("Content-Disposition", disposition)])) == name


@given(st.text())
def test_no_header_breaks_the_reading_of_a_name(disposition: str) -> None:
    name = name_of(Headers([("Content-Disposition", disposition)]))
    assert name is None or not set(name) & set("/\\\0")
