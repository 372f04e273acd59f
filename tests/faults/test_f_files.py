"""Rows 72 to 74: bodies that cannot be sent again, answers that come early, replies that are streams."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import h11
import pytest

from tallyfy_async import (
    AttemptRecord,
    AuthenticationError,
    ClientCredentials,
    Hooks,
    IndeterminateError,
    NotSentError,
    Outcome,
    RateLimitError,
    RequestOptions,
    ServerError,
    TallyfyClient,
)
from tallyfy_async.errors import UploadSourceError
from tallyfy_async.models import Asset
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.rig import connected, refreshes, served
from tests.helpers import pool_of
from tests.transport.peer import Peer, PeerServer, serving

pytestmark = pytest.mark.anyio
CONTENT = os.urandom(600_000)
LARGE = 20_000_000
UNAUTHENTICATED = {"error": True, "message": "Unauthenticated."}
STORED = {"data": {"id": "a" * 32, "filename": "a.pdf"}}


async def stream(content: bytes = CONTENT) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 50_000):
        yield content[at : at + 50_000]


async def upload(tallyfy: TallyfyClient, sandbox: Sandbox, source: Any, **given: Any) -> Asset:
    """Upload a file for the kick-off field of a template."""
    organization = sandbox.credentials.organization
    checklist = next(iter(sandbox.world.tenants[organization].checklists))
    place: dict[str, Any] = {"subject_type": "Checklist", "subject_id": checklist, "uploaded_from": "ko_field"}
    return await tallyfy.organization(organization).files.upload(source, filename="a.pdf", **place, **given)


def stored(sandbox: Sandbox) -> int:
    assets = sandbox.world.tenants[sandbox.credentials.organization].assets
    return sum(one.filename == "a.pdf" for one in assets.values())


def refuse(sandbox: Sandbox, status: int, **changes: Any) -> None:
    sandbox.faults.add(Fault(operation="upload_file", status=status, body=UNAUTHENTICATED, **changes))


async def test_row_72_stream_is_not_sent_again_after_a_401() -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            refuse(sandbox, 401)
            with pytest.raises(UploadSourceError, match="spent") as told:
                await upload(tallyfy, sandbox, stream())
            assert isinstance(told.value.__cause__, AuthenticationError)
            assert told.value.outcome is Outcome.REFUSED
            assert sandbox.stats.by_operation["upload_file"] == 1
            assert refreshes(sandbox) == 1, "the caller's next try finds a good token"
            await upload(tallyfy, sandbox, stream())
            assert refreshes(sandbox) == 1
        assert stored(sandbox) == 1


async def test_row_72_stream_is_not_sent_again_after_a_429() -> None:
    clock = ManualClock()
    with served() as sandbox:
        heard: list[tuple[int, int | None]] = []
        async with connected(sandbox, clock=clock, hooks=[Listening(heard)]) as tallyfy:
            refuse(sandbox, 429, headers={"Retry-After": "7"})
            with pytest.raises(UploadSourceError, match="spent") as told:
                await upload(tallyfy, sandbox, stream())
            assert isinstance(told.value.__cause__, RateLimitError)
            assert told.value.retry_after == 7
            assert heard == [(1, 200), (1, 429)], "the login, then the upload"
            assert 7.0 not in clock.slept, "nobody waits for what cannot be sent"
        assert sandbox.stats.by_operation["upload_file"] == 1


class Listening(Hooks):
    """Keeps number and status of every attempt."""

    def __init__(self, heard: list[tuple[int, int | None]]) -> None:
        self.heard = heard

    def on_attempt(self, record: AttemptRecord) -> None:
        self.heard.append((record.attempt, record.status))


@pytest.mark.parametrize("status", [401, 429])
@pytest.mark.parametrize("kind", ["bytes", "path"])
async def test_row_72_bytes_and_paths_are_sent_again(kind: str, status: int, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(CONTENT)
    with served() as sandbox:
        async with connected(sandbox, clock=ManualClock()) as tallyfy:
            refuse(sandbox, status, headers={"Retry-After": "1"})
            asset = await upload(tallyfy, sandbox, CONTENT if kind == "bytes" else path)
            org = tallyfy.organization(sandbox.credentials.organization)
            async with org.files.download(asset.id) as file:
                assert await file.read() == CONTENT
        assert sandbox.stats.by_operation["upload_file"] == 2
        assert stored(sandbox) == 1
        assert refreshes(sandbox) == (status == 401)


async def test_row_72_file_that_changes_between_two_sendings_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(CONTENT)
    with served() as sandbox:
        async with connected(sandbox, hooks=[Changing(path)]) as tallyfy:
            refuse(sandbox, 401)
            with pytest.raises(UploadSourceError, match="changed"):
                await upload(tallyfy, sandbox, path)
        assert stored(sandbox) == 0


class Changing(Hooks):
    """Lets a file change as soon as a token is refused."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_attempt(self, record: AttemptRecord) -> None:
        if record.status == 401:
            self.path.write_bytes(CONTENT[:-1] + b"x")
            os.utime(self.path, ns=(1, 1))


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_row_72_5xx_is_never_followed_by_a_second_copy(status: int) -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            refuse(sandbox, status, stage="after")
            with pytest.raises(ServerError) as told:
                await upload(tallyfy, sandbox, CONTENT)
            assert told.value.outcome is Outcome.UNKNOWN
        assert stored(sandbox) == 1


async def test_row_72_refused_connection_leaves_the_stream_unread() -> None:
    async with TallyfyClient("token", base_url="http://127.0.0.1:9/api", clock=ManualClock(), retry=1) as tallyfy:
        begun = False

        async def watched() -> AsyncIterator[bytes]:
            nonlocal begun
            begun = True
            yield b""

        with pytest.raises(NotSentError):
            await give(tallyfy, watched())
        assert not begun


async def give(tallyfy: TallyfyClient, source: Any, **options: Any) -> Asset:
    place: dict[str, Any] = {"subject_type": "Checklist", "subject_id": "c", "uploaded_from": "ko_field"}
    given = RequestOptions(**options)
    return await tallyfy.organization("o").files.upload(source, filename="a.pdf", options=given, **place)


async def early(peer: Peer, head: h11.Request) -> None:
    """Refuse the first request while it is being written, and read nothing more of it."""
    if len(peer.server.heads) == 1:
        await peer.body(at_least=60_000)
        await peer.tell(UNAUTHENTICATED, 401)
        await anyio.sleep(60)
    assert len(await peer.body()) > LARGE
    await peer.tell(STORED)


def speaking(server: PeerServer, **settings: Any) -> TallyfyClient:
    auth = ClientCredentials(client_id="1", client_secret="s")
    return TallyfyClient(auth, base_url=server.url, max_connections=2, **settings)


@pytest.mark.parametrize("kind", ["bytes", "path"])
async def test_row_73_early_401_ends_the_sending(kind: str, tmp_path: Path) -> None:
    source: Any = bytes(LARGE)
    if kind == "path":
        source = tmp_path / "a.pdf"
        source.write_bytes(bytes(LARGE))
    with serving(early) as server:
        async with speaking(server) as tallyfy:
            with anyio.fail_after(20):
                asset = await give(tallyfy, source)
            assert asset.id == "a" * 32
            assert len(server.heads) == 2
            assert pool_of(tallyfy).busy == 0
            assert tallyfy._limiter.free == 2


async def test_row_73_early_401_of_a_stream_is_told() -> None:
    closed = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            for _ in range(300):
                yield bytes(100_000)
        finally:
            closed = True

    with serving(early) as server:
        async with speaking(server) as tallyfy:
            with anyio.fail_after(20), pytest.raises(UploadSourceError) as told:
                await give(tallyfy, endless())
            assert isinstance(told.value.__cause__, AuthenticationError)
            assert closed
            assert pool_of(tallyfy).busy == 0


async def test_row_73_server_that_neither_reads_nor_answers_is_given_up() -> None:
    async def deaf(peer: Peer, _head: h11.Request) -> None:
        await peer.body(at_least=60_000)
        await anyio.sleep(60)

    with serving(deaf) as server:
        async with speaking(server) as tallyfy:
            with anyio.fail_after(20), pytest.raises(IndeterminateError):
                await give(tallyfy, bytes(LARGE), timeout=0.3)
            assert pool_of(tallyfy).busy == 0
            assert tallyfy._limiter.free == 2
            assert len(server.heads) == 1


async def test_row_73_source_that_fails_ends_the_sending() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(1_000_000)
        raise KeyError("mine")

    async def take(peer: Peer, _head: h11.Request) -> None:
        await peer.body()
        await peer.tell(STORED)

    with serving(take) as server:
        async with speaking(server) as tallyfy:
            with pytest.raises(KeyError, match="mine"):
                await give(tallyfy, broken())
            assert pool_of(tallyfy).busy == 0
            assert (await give(tallyfy, b"x")).id == "a" * 32


@pytest.mark.parametrize("padding", [10, 200_000])
async def test_row_74_refused_download_is_read_and_closed_before_the_next(padding: int) -> None:
    async def refuse_once(peer: Peer, _head: h11.Request) -> None:
        if len(peer.server.heads) == 1:
            return await peer.tell({**UNAUTHENTICATED, "padding": "." * padding}, 401)
        return await peer.answer(200, CONTENT)

    with serving(refuse_once) as server:
        async with speaking(server) as tallyfy:
            async with tallyfy.organization("o").files.download("a") as file:
                assert await file.read() == CONTENT
            assert pool_of(tallyfy).busy == 0
            first, second = server.seen("GET")
            assert first["authorization"] != second["authorization"]
        assert server.connections <= 2, "one for calls, one for tokens: the refusal was read to its end"


async def test_row_74_download_whose_refusal_stands_leaves_nothing_open() -> None:
    async def refuse_always(peer: Peer, _head: h11.Request) -> None:
        await peer.tell({**UNAUTHENTICATED, "padding": "." * 100_000}, 401)

    with serving(refuse_always) as server:
        async with speaking(server) as tallyfy:
            for _ in range(3):
                with pytest.raises(AuthenticationError):
                    await tallyfy.organization("o").files.download("a").__aenter__()
            assert pool_of(tallyfy).busy == 0
            assert tallyfy._limiter.free == 2
