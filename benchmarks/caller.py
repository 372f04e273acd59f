"""A process that makes calls when it is told to: ``python -m benchmarks.caller JOB…``, each JOB in JSON.

It prints ``ready``. Then, for each line on its standard input, the number of a job and of seconds, it calls for so long
with some tasks at once and prints how many calls succeeded and how many failed.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any, Literal

import anyio
from anyio import to_thread
from attrs import asdict, frozen

from benchmarks.harness import peer
from tallyfy_async import PasswordGrant, TallyfyClient
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.auth.stores.file import FileStore
from tallyfy_async.auth.stores.redis import RedisStore

_TASKS = 5

MakeCall = Callable[[], Awaitable[object]]
Kind = Literal["file", "redis", "httpx-auth"]


@frozen(kw_only=True)
class Job:
    """Calls to make.

    Attributes:
        kind: whose calls, and where the tokens are kept: ours in files or in Redis, httpx-auth's in its file.
        url: base URL of the server.
        place: directory or URL of the store.
        keys: encrypt the store, where it does that.

    """

    kind: Kind
    url: str
    place: str
    keys: str

    def to_text(self) -> str:
        """Return what :meth:`of` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Job:
        """Return the job in a text."""
        return cls(**json.loads(text))


@asynccontextmanager
async def _store(job: Job) -> AsyncGenerator[TokenStore, None]:
    if job.kind == "redis":
        async with RedisStore(job.place, keys=job.keys) as store:
            yield store
    else:
        yield FileStore(job.place, keys=job.keys)


@asynccontextmanager
async def _ours(job: Job) -> AsyncGenerator[MakeCall, None]:
    grant = PasswordGrant(client_id="1", client_secret="s", username="ada@example.com", password="p")
    async with _store(job) as store, TallyfyClient(grant, base_url=job.url, token_store=store, retry=0) as client:
        yield client.me.get


@asynccontextmanager
async def _httpx_auth(job: Job) -> AsyncGenerator[MakeCall, None]:
    import httpx

    tokens = peer("httpx_auth")
    logging.getLogger(tokens.__name__).addHandler(logging.NullHandler())  # it finds its file half written at times
    tokens.OAuth2.token_cache = tokens.JsonTokenFileCache(f"{job.place}/tokens.json")
    with httpx.Client(trust_env=False) as token_client:
        auth = tokens.OAuth2ResourceOwnerPasswordCredentials(
            f"{job.url}/oauth/token",
            "ada@example.com",
            "p",
            client_id="1",
            client_secret="s",
            early_expiry=0.1,
            client=token_client,
        )
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:

            async def call() -> None:
                (await client.get(f"{job.url}/me")).raise_for_status()

            yield call


def opened(job: Job) -> AbstractAsyncContextManager[MakeCall]:
    """Return a context that gives a way to make one call."""
    return _httpx_auth(job) if job.kind == "httpx-auth" else _ours(job)


async def _call_for(call: MakeCall, seconds: float) -> dict[str, Any]:
    calls, errors = 0, Counter[str]()
    ends_at = monotonic() + seconds

    async def work() -> None:
        nonlocal calls
        while monotonic() < ends_at:
            try:
                await call()
            except Exception as error:  # noqa: BLE001 - whatever a call may end with is counted
                errors[type(error).__name__] += 1
                await anyio.sleep(0.01)
            else:
                calls += 1

    async with anyio.create_task_group() as group:
        for _ in range(_TASKS):
            group.start_soon(work)
    return {"calls": calls, "errors": dict(errors)}


async def main(jobs: list[Job]) -> None:
    """Do the jobs until standard input ends."""
    async with AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(opened(job)) for job in jobs]
        print("ready", flush=True)
        while line := await to_thread.run_sync(sys.stdin.readline):
            number, seconds = line.split()
            print(json.dumps(await _call_for(calls[int(number)], float(seconds))), flush=True)


if __name__ == "__main__":
    anyio.run(main, [Job.of(text) for text in sys.argv[1:]])
