"""Uploads and downloads that are cut all the time: no slot, no descriptor, no temporary file is left."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tallyfy_async import TallyfyClient
from tallyfy_async.sandbox import Sandbox
from tests.helpers import pool_of, small_sandbox
from tests.transport.test_storm import (
    CONNECTIONS,
    PATIENCE,
    SECONDS,
    Cut,
    by_scope,
    by_wait_for,
    descriptors,
    settled,
    storm,
)

CONTENT = os.urandom(400_000)
TASKS = 12


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with small_sandbox(record=False).serve() as sandbox:
        yield sandbox


async def stream() -> AsyncIterator[bytes]:
    for at in range(0, len(CONTENT), 70_000):
        yield CONTENT[at : at + 70_000]


def calls_of(client: TallyfyClient, asset_id: str, place: Any, folder: Path) -> list[Callable[[], Awaitable[object]]]:
    files = client.organization().files
    source = folder / "source.pdf"

    async def save() -> object:
        async with files.download(asset_id) as file:
            return await file.save(folder / f"saved-{random.randrange(5)}.pdf")

    async def look() -> object:
        async with files.download(asset_id) as file:
            return await anext(file)

    async def read() -> object:
        async with files.view(asset_id) as file:
            assert await file.read() == CONTENT
        return None

    return [
        save,
        look,
        read,
        lambda: files.upload(source, **place),
        lambda: files.upload(CONTENT, filename="a.pdf", **place),
        lambda: files.upload(stream(), filename="a.pdf", **place),
    ]


async def weather(server: Sandbox, folder: Path, cut: Cut) -> None:
    before = descriptors()
    (folder / "source.pdf").write_bytes(CONTENT)
    organization = server.credentials.organization
    place = {
        "subject_type": "Checklist",
        "subject_id": next(iter(server.world.tenants[organization].checklists)),
        "uploaded_from": "ko_field",
    }
    token = server.credentials.personal_token
    settings: Any = {"base_url": server.url, "max_connections": CONNECTIONS, "organization": organization}
    async with TallyfyClient(token, **settings) as client:
        asset = await client.organization().files.upload(CONTENT, filename="a.pdf", **place)  # type: ignore[arg-type]
        calls = calls_of(client, asset.id, place, folder)
        deadlines = await storm(calls, cut, SECONDS, seed=7, tasks=TASKS)
        assert deadlines.enough, deadlines
        for call in calls:
            with anyio.fail_after(PATIENCE):
                await call()
        assert client._limiter.free == CONNECTIONS
        assert pool_of(client).busy == 0
    assert await settled(before) <= before, "descriptors leaked"
    check_files(folder)


def check_files(folder: Path) -> None:
    files = [*folder.iterdir()]
    assert not [path.name for path in files if path.name.endswith(".part")]
    assert all(path.read_bytes() == CONTENT for path in files)


def test_a_storm_of_native_cancellations(server: Sandbox, tmp_path: Path) -> None:
    async def main() -> None:
        await weather(server, tmp_path, by_wait_for)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


@pytest.mark.anyio
async def test_a_storm_of_scopes(server: Sandbox, tmp_path: Path) -> None:
    await weather(server, tmp_path, by_scope)
