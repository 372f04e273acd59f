"""File stores, other processes on them, and looking for secrets in what was raised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from attrs import define

from tallyfy_async import Token
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.auth.stores.sealing import ENVIRONMENT_VARIABLE, generate_key

KEY = "https://go.tallyfy.com/api/oauth/token|42|password|ada@example.com|*"
SEAL = generate_key()
OTHER_SEAL = generate_key()
ACCESS, REFRESH = "access-" + "x" * 1500, "refresh-" + "y" * 1500
TOO_LONG = 60.0
_ROOT = Path(__file__).parents[3]


def token(generation: int = 1, **changes: Any) -> Token:
    """Return a record of realistic length."""
    known: dict[str, Any] = {
        "access_token": f"{ACCESS}{generation}",
        "refresh_token": f"{REFRESH}{generation}",
        "scopes": frozenset({"task", "process"}),
        "issued_at": 1_780_000_000.25,
        "lifetime": 3600.0,
    }
    return Token(**{**known, "generation": generation, **changes})


def file_store(directory: Path, *keys: str, **settings: Any) -> FileStore:
    """Return a store below a directory of pytest's."""
    return FileStore(directory / "tokens", keys=list(keys) or SEAL, **settings)


def backend() -> str:
    """Return the name of the running event loop."""
    return "trio" if "trio" in anyio.lowlevel.current_token().backend_class.__module__ else "asyncio"


@define
class Worker:
    """Another process; see worker.py."""

    process: Process
    lines: BufferedByteReceiveStream

    async def hear(self) -> dict[str, Any]:
        """Return the next thing it tells."""
        line = await self.lines.receive_until(b"\n", 100_000)
        said: dict[str, Any] = json.loads(line)
        return said

    async def go(self) -> None:
        """Open its gate."""
        assert self.process.stdin is not None
        await self.process.stdin.send(b"go\n")

    async def rest(self) -> list[dict[str, Any]]:
        """Wait for its end; return what it had told and nobody heard."""
        said: list[dict[str, Any]] = []
        try:
            while True:
                said.append(await self.hear())
        except anyio.IncompleteRead:
            await self.process.wait()
            return said

    async def kill(self) -> list[dict[str, Any]]:
        """Kill it with SIGKILL; return what it had told and nobody heard."""
        self.process.kill()
        return await self.rest()


@asynccontextmanager
async def worker(
    store: FileStore, do: str, environment: dict[str, str] | None = None, **asked: Any
) -> AsyncGenerator[Worker, None]:
    """Start a process that does something on the directory of ``store``."""
    words = {"do": do, "directory": str(store.path("").parent), "backend": backend(), **asked}
    command = [sys.executable, "-m", "tests.auth.stores.worker", json.dumps(words)]
    given = {**os.environ, ENVIRONMENT_VARIABLE: SEAL, **(environment or {})}
    async with await anyio.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, cwd=_ROOT, env=given
    ) as process:
        assert process.stdout is not None
        try:
            yield Worker(process, BufferedByteReceiveStream(process.stdout))
        finally:
            if process.returncode is None:
                process.kill()


def everything_in(error: BaseException) -> str:
    """Return all that a curious crash report could show of an error: messages, causes, contexts, local variables."""
    shown, link = [], [error]
    seen: set[int] = set()
    while link:
        one = link.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        frames = traceback.TracebackException.from_exception(one, capture_locals=True)
        own = [frame for frame in frames.stack if "/tests/" not in frame.filename]
        shown += [str(one), repr(one.args), *(f"{frame.name} {frame.locals}" for frame in own)]
        link += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(shown)


def assert_silent(error: BaseException, *more: str) -> None:
    """Check that an error tells neither tokens nor keys."""
    text = everything_in(error)
    for secret in ("xxxxxxxx", "yyyyyyyy", SEAL, OTHER_SEAL, "ada@example.com", *more):
        if secret == "ada@example.com":
            assert secret not in str(error)
        else:
            assert secret not in text, text[:3000]
