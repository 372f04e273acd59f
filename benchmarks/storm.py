"""The refresh storm: many callers at once who find the token expired, and the stores that the new one goes to.

The real thing: ``client.tokens.get()`` through the client's own pipeline and real sockets to a token endpoint in
another process that takes 50 ms. A login before, which is not measured, opens the connections and brings a token that
is expired already. A storm fails unless the server saw exactly one refresh and every caller got its token.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Any
from uuid import uuid4

import anyio

from benchmarks.authority import authority, counted
from benchmarks.harness import RowError
from benchmarks.server import TOKEN_DELAY
from tallyfy_async import PasswordGrant, TallyfyClient
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.auth.stores.memory import MemoryStore
from tallyfy_async.auth.stores.redis import RedisStore
from tallyfy_async.auth.stores.sealing import generate_key

CALLERS = 10_000

KEYS = generate_key()

OpenStore = Callable[[], AbstractAsyncContextManager[TokenStore]]
"""Opens a store inside the event loop that uses it."""


@asynccontextmanager
async def in_memory() -> AsyncGenerator[TokenStore, None]:
    """Keep tokens in this process."""
    yield MemoryStore()


def in_files(folder: str) -> OpenStore:
    """Keep tokens in encrypted files; every time it is opened anew, it is empty."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[TokenStore, None]:
        yield FileStore(f"{folder}/{uuid4().hex}", keys=KEYS)

    return opened


def in_redis(url: str) -> OpenStore:
    """Keep tokens on a Redis server; every time it is opened anew, it is empty."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[TokenStore, None]:
        async with RedisStore(url, keys=KEYS, prefix=uuid4().hex) as store:
            yield store

    return opened


def sleepers(backend: str) -> float:
    """Return the milliseconds that as many tasks take which only sleep."""
    return anyio.run(_together, lambda: anyio.sleep(TOKEN_DELAY), backend=backend)


def storm(server: str, store: OpenStore, backend: str) -> float:
    """Return the milliseconds until every caller has its token; raise RowError unless there was one refresh."""
    return anyio.run(_storm, authority(server, first=0, then=3_600), store, backend=backend)


async def _storm(url: str, open_store: OpenStore) -> float:
    grant = PasswordGrant(client_id="1", client_secret="s", username="ada@example.com", password="p")
    async with open_store() as store, TallyfyClient(grant, base_url=url, token_store=store) as client:
        await client.tokens.get()
        generations: list[int] = []

        async def caller() -> None:
            generations.append((await client.tokens.get()).generation)

        took = await _together(caller)
        key = client._config.token_key(grant)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        stored = await store.load(key)
    counts = counted(url)
    if (counts.requests, counts.refreshes) != (2, 1) or generations != [2] * CALLERS:
        msg = f"{counts} for {len(generations)} callers, generations {sorted(set(generations))}"
        raise RowError(msg)
    if stored is None or stored.generation != 2 or stored.presented:
        msg = f"the store holds {stored}"
        raise RowError(msg)
    return took


async def _together(work: Callable[[], Coroutine[Any, Any, None]]) -> float:
    started = perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(CALLERS):
            group.start_soon(work)
    return (perf_counter() - started) * 1e3
