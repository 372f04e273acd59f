"""Stores on one server, and the server's side of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tallyfy_async import Token
from tallyfy_async.auth.stores.redis import RedisStore
from tallyfy_async.auth.stores.sealing import generate_key
from tests.redis_server import RedisServer

KEYS = generate_key()
LINE = "https://go.tallyfy.com|42|password|ada@example.com"
SECRETS = ("access-token-of-ada", "refresh-token-of-ada", "ada@example.com", "secret-of-the-client")


def token(generation: int = 1, **changes: Any) -> Token:
    known = {"access_token": f"access-token-of-ada-{generation}", "refresh_token": f"refresh-token-of-ada-{generation}"}
    times = {"issued_at": 1_780_000_000.0, "lifetime": 3600.0, "scopes": frozenset({"*"})}
    return Token(**{**known, **times, "generation": generation, **changes})


@asynccontextmanager
async def opened(server: RedisServer, **settings: Any) -> AsyncGenerator[RedisStore, None]:
    """A store with connections of its own."""
    async with RedisStore(server.url, **{"keys": KEYS, **settings}) as store:
        yield store


def names(server: RedisServer, kind: str) -> list[str]:
    """Return the names of the records (``token``) or the locks (``lock``) on the server."""
    with server.admin() as admin:
        return sorted(name.decode() for name in admin.keys(f"tallyfy_async:{kind}:*"))


def drop_locks(server: RedisServer) -> None:
    """Let every lease end now."""
    with server.admin() as admin:
        for name in names(server, "lock"):
            admin.delete(name)


def everything(server: RedisServer) -> bytes:
    """Return all that the server can tell: names, values and serialized dumps."""
    with server.admin() as admin:
        found = sorted(admin.keys("*"))
        values = [admin.get(name) if admin.type(name) == b"string" else admin.hgetall(name) for name in found]
        return b"\n".join([*found, *(repr(value).encode() for value in values), *(admin.dump(name) for name in found)])


async def is_locked(server: RedisServer) -> None:
    """Wait until somebody holds a lock."""
    with anyio.fail_after(30):
        while not names(server, "lock"):  # noqa: ASYNC110 - the holder may live in another process
            await anyio.sleep(0.005)
