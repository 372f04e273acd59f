"""One manager in several event loops, threads and processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tallyfy_async import ClientLoopError, FileStore, MemoryStore, Token, generate_key, testing
from tallyfy_async.sandbox import Sandbox
from tests.faults.rig import connected, logins, me, served
from tests.helpers import small_sandbox

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served() as made:
        yield made


@BACKENDS
def test_row_23_manager_in_a_second_event_loop(backend: str) -> None:
    """It answers with a typed error at once, although its lock was contended in the first loop."""
    sandbox = small_sandbox()
    client = testing.connect(sandbox)
    uses = (client.tokens.refresh, client.tokens.forget, client.me.get, partial(client.tokens.adopt, TOKEN))

    async def contended() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(client.tokens.get)

    async def again() -> list[type[Exception]]:
        seen: list[type[Exception]] = []
        for use in uses:
            with anyio.fail_after(5):
                try:
                    await use()
                except ClientLoopError as error:
                    seen.append(type(error))
        return seen

    anyio.run(contended, backend=backend)
    assert anyio.run(again, backend=backend) == [ClientLoopError] * 4
    assert logins(sandbox) == 1


TOKEN = Token(access_token="other", issued_at=0.0)


@BACKENDS
def test_row_24_two_loops_in_two_threads(backend: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Clients of two loops meet in the file store: one login between them."""
    gate, outcomes, keys = threading.Barrier(2), [0, 0], generate_key()

    async def use(number: int) -> None:
        store = FileStore(tmp_path / "tokens", keys=keys)
        async with connected(sandbox, token_store=store) as client:
            await anyio.to_thread.run_sync(gate.wait)
            outcomes[number] = await me(client)

    threads = [threading.Thread(target=lambda n=n: anyio.run(use, n, backend=backend)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == [200, 200]
    assert logins(sandbox) == 1


@BACKENDS
def test_row_24_memory_store_of_two_loops(backend: str) -> None:
    """Its lock belongs to the loop that holds it: another one hears so, and nobody waits for ever."""
    store, held, done = MemoryStore(), threading.Event(), threading.Event()
    outcomes: list[str] = []

    async def hold() -> None:
        async with store.lock("line"):
            held.set()
            await anyio.to_thread.run_sync(done.wait)

    async def intrude() -> None:
        try:
            async with store.lock("line"):
                outcomes.append("had it")
        except ClientLoopError as error:
            outcomes.append(str(error))

    holder = threading.Thread(target=lambda: anyio.run(hold, backend=backend))
    holder.start()
    held.wait(10)
    anyio.run(intrude, backend=backend)
    done.set()
    holder.join(10)
    assert len(outcomes) == 1
    assert "FileStore or RedisStore" in outcomes[0]
    anyio.run(intrude, backend=backend)  # free again, and bound to nobody
    assert outcomes[1:] == ["had it"]


_FORKING = """
import json, os, sys
import anyio
from tallyfy_async import ClientLoopError, FileStore, PasswordGrant, TallyfyClient

said = json.loads(sys.argv[1])
auth = PasswordGrant(**said["auth"])


def make():
    return TallyfyClient(auth, base_url=said["url"], token_store=FileStore(said["directory"], keys=said["keys"]))


async def use(client):
    return (await client.request("GET", "/me")).status


async def child(warm):
    errors = []
    for attempt in (warm.tokens.refresh, lambda: use(warm), warm.tokens.forget):
        try:
            with anyio.fail_after(5):
                await attempt()
        except ClientLoopError:
            errors.append("ClientLoopError")
    async with make() as own:
        status = await use(own)
        return {"errors": errors, "status": status, "requests": own.tokens.statistics.requests}


warm = make()
anyio.run(use, warm, backend=said["backend"])
reading, writing = os.pipe()
pid = os.fork()
if not pid:
    os.write(writing, json.dumps(anyio.run(child, warm, backend=said["backend"])).encode())
    os._exit(0)
os.close(writing)
print(os.read(reading, 65536).decode())
os.waitpid(pid, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@BACKENDS
def test_row_36_fork_with_a_warm_manager(backend: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """A prefork server: the child's copy of the client refuses; a client of its own adopts the token of the store."""
    known = sandbox.credentials
    names = ("client_id", "client_secret", "username", "password")
    said: dict[str, Any] = {
        "auth": {name: getattr(known, name) for name in names},
        "url": sandbox.url,
        "directory": str(tmp_path / "tokens"),
        "keys": generate_key(),
        "backend": backend,
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORKING, json.dumps(said)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"errors": ["ClientLoopError"] * 3, "status": 200, "requests": 0}
    assert logins(sandbox) == 1
