"""Another process on the same file store; it says what it does on standard output, line by line.

Started with a JSON object as its argument and TALLYFY_TOKEN_KEYS in its environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio

from tallyfy_async import TallyfyError, Token
from tallyfy_async.auth.stores.file import FileStore


def tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def token(generation: int, size: int = 3000) -> Token:
    letters = f"g{generation}-" * size
    return Token(
        access_token=f"access-{letters[:size]}",
        refresh_token=f"refresh-{letters[:size]}",
        issued_at=1_780_000_000.0 + generation,
        lifetime=3600.0,
        generation=generation,
    )


async def refresh(store: FileStore, asked: dict[str, Any]) -> None:
    """Get a token through a client, once the parent says so."""
    from tallyfy_async import RefreshToken, TallyfyClient  # the other processes start faster without

    async with TallyfyClient(RefreshToken(**asked["auth"]), base_url=asked["url"], token_store=store) as client:
        tell(state="ready")
        await anyio.to_thread.run_sync(sys.stdin.readline)
        try:
            got = await client.tokens.get()
        except TallyfyError as error:
            tell(error=type(error).__name__, requests=client.tokens.statistics.requests)
            return
        counted = client.tokens.statistics
        access = hashlib.sha256(got.access_token.reveal().encode()).hexdigest()
        tell(generation=got.generation, access=access, requests=counted.requests, adopted=counted.adopted)


async def hold(store: FileStore, asked: dict[str, Any]) -> None:
    """Hold the lock until killed."""
    async with store.lock(asked["key"]):
        tell(state="holding")
        await anyio.sleep_forever()


async def write(store: FileStore, asked: dict[str, Any]) -> None:
    """Write one generation after the other until killed."""
    stored = await store.load(asked["key"])
    generation = 0 if stored is None else stored.generation
    while True:
        expected, generation = generation or None, generation + 1
        assert await store.save(asked["key"], token(generation), expected=expected)
        tell(generation=generation)


def crash(asked: dict[str, Any]) -> None:
    """For every step, write the second generation in a child that dies just before its call to the disk; tell how."""
    for step in range(1, 30):
        if (child := os.fork()) == 0:
            doom(step)
            store = FileStore(f"{asked['directory']}{step}")
            saved = anyio.run(partial(store.save, asked["key"], token(2), expected=1), backend=asked["backend"])
            os._exit(0 if saved else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        tell(status=status)
        if status >= 0:
            return


def doom(left: int) -> None:
    """Let this process die just before the ``left``-th call that looks at or changes the disk."""

    def fatal(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return counted

    for name in ("open", "unlink", "fchmod", "fsync", "replace", "fdopen"):
        setattr(os, name, fatal(getattr(os, name)))


async def race(store: FileStore, asked: dict[str, Any]) -> None:
    """Advance the line without taking its lock; say how many writes were taken."""
    tell(state="ready")
    await anyio.to_thread.run_sync(sys.stdin.readline)
    taken = 0
    for _ in range(asked["times"]):
        stored = await store.load(asked["key"])
        assert stored is not None
        taken += await store.save(asked["key"], token(stored.generation + 1, 10), expected=stored.generation)
    tell(taken=taken)


async def once(store: FileStore, asked: dict[str, Any]) -> None:
    """Write the first generation."""
    tell(saved=await store.save(asked["key"], token(1), expected=None))


async def main(asked: dict[str, Any]) -> None:
    work = {"refresh": refresh, "hold": hold, "write": write, "race": race, "once": once}[asked["do"]]
    await work(FileStore(asked["directory"]), asked)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if given["do"] == "crash":
        crash(given)
    else:
        anyio.run(main, given, backend=given["backend"])
