"""One cut at every step of a call and of a token refresh: afterwards the client answers and no token is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async import EndpointNotFoundError, RefreshToken, TallyfyClient
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.exchange import Progress
from tallyfy_async.transport.http import asgi_transport
from tests.helpers import pool_of, small_sandbox, user_grant

Work = Callable[[TallyfyClient], Awaitable[object]]
_TRACE = Progress.trace


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with small_sandbox().serve() as sandbox:
        yield sandbox


def client_of(sandbox: Sandbox, **settings: Any) -> TallyfyClient:
    return TallyfyClient(user_grant(sandbox), base_url=sandbox.url, **settings)


def leisurely(sandbox: Sandbox) -> httpx.AsyncBaseTransport:
    """Return a transport into the sandbox that takes some rounds of the scheduler for every message."""

    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        async def slow_receive() -> Any:
            await checkpoint()
            return await receive()

        async def slow_send(message: Any) -> None:
            await checkpoint()
            await send(message)
            await checkpoint()

        await sandbox.app(scope, slow_receive, slow_send)

    return asgi_transport(app)


async def heir(sandbox: Sandbox) -> TallyfyClient:
    """Return a client in this process that lives on one line of refresh tokens: if one is lost, it is dead."""
    transport = leisurely(sandbox)
    async with client_of(sandbox, transport=transport) as login:
        token = (await login.tokens.get()).refresh_token
    known = sandbox.credentials
    assert token is not None
    grant = RefreshToken(client_id=known.client_id, client_secret=known.client_secret, refresh_token=token.reveal())
    return TallyfyClient(grant, base_url=sandbox.url, transport=transport)


async def read(client: TallyfyClient) -> object:
    return await client.me.get()


async def write(client: TallyfyClient) -> object:
    with suppress(EndpointNotFoundError):
        await client.request("PUT", "/nowhere", json={"a": 1})
    return None


async def refresh(client: TallyfyClient) -> object:
    return await client.tokens.refresh()


WORKS = [read, write, refresh]


async def by_scope(work: Callable[[], Awaitable[object]], step: int) -> bool:
    """Run the work and cancel its scope after some rounds of the scheduler; tell whether it was under way then."""
    under_way = False
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def fire() -> None:
            nonlocal under_way
            for _ in range(step):
                await checkpoint()
            under_way = True
            scope.cancel()

        group.start_soon(fire)
        with scope:
            await work()
        group.cancel_scope.cancel()
    return under_way


async def by_task(work: Callable[[], Awaitable[object]], step: int) -> bool:
    """Run the work in a task and cancel that after some rounds of the event loop; tell whether it was under way."""

    async def run() -> None:
        await work()

    task = asyncio.create_task(run())
    for _ in range(step):
        await asyncio.sleep(0)
    under_way = task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return under_way


async def sweep(cut: Callable[[Callable[[], Awaitable[object]], int], Awaitable[bool]], work: Work) -> None:
    sandbox = small_sandbox()
    cuts = misses = step = 0
    async with await heir(sandbox) as client:
        await client.me.get()
        while misses < 5:
            hit = await cut(lambda: work(client), step)
            cuts, misses, step = cuts + hit, 0 if hit else misses + 1, step + 1
            assert (await client.me.get()).email
            assert client._limiter.free == 20
    assert cuts >= 5
    assert sandbox.stats.reuses == 0
    assert sandbox.stats.presented_twice == 0


@pytest.mark.anyio
@pytest.mark.parametrize("work", WORKS)
async def test_a_scope_cut_at_every_round(work: Work) -> None:
    await sweep(by_scope, work)


@pytest.mark.parametrize("work", WORKS)
def test_a_native_cut_at_every_round(work: Work) -> None:
    async def main() -> None:
        await sweep(by_task, work)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


class Scissors:
    """Cuts when the exchange reports its n-th step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 0
        self.cut: Callable[[], object] | None = None
        self.last = ""
        monkeypatch.setattr(Progress, "trace", self._hear())

    def _hear(self) -> Callable[..., Awaitable[None]]:
        async def trace(progress: Progress, event: str, info: Any) -> None:
            await _TRACE(progress, event, info)
            if event.endswith("connect_tcp.complete"):
                return  # nothing is awaited between the end of connecting and this, so no cut can come here
            self.at -= 1
            if self.at == 0 and self.cut is not None:
                self.last = event
                self.cut()

        return trace


async def settled(client: TallyfyClient, sandbox: Sandbox, clients: int) -> None:
    """Check that the client is as good as new, with the login that it had."""
    with anyio.fail_after(5):
        assert (await client.me.get()).email
    assert client._limiter.free == 20
    assert pool_of(client).busy == 0, pool_of(client)
    assert sandbox.stats.token_requests["password"].total() == clients, "a rotated refresh token was lost"
    assert sandbox.stats.reuses == 0


async def close_idle(client: TallyfyClient) -> None:
    """Close the connection of the login, so that the next exchange begins with connecting."""
    pool = pool_of(client)
    await pool.aclose()
    pool._closed = False


async def cut_by_scope(client: TallyfyClient, work: Work, scissors: Scissors) -> bool:
    with anyio.CancelScope() as scope:
        scissors.cut = scope.cancel
        await work(client)
    return scope.cancel_called


async def cut_by_task(client: TallyfyClient, work: Work, scissors: Scissors) -> bool:
    async def run() -> None:
        await work(client)

    task = asyncio.create_task(run())
    scissors.cut = task.cancel
    with suppress(asyncio.CancelledError):
        await task
    return scissors.at <= 0


async def cut_every_step(
    sandbox: Sandbox,
    scissors: Scissors,
    work: Work,
    cut: Callable[[TallyfyClient, Work, Scissors], Awaitable[bool]],
) -> list[str]:
    """Cut the work at each step of its exchange, each time with a new connection; return the steps."""
    steps: list[str] = []
    for step in range(1, 100):
        async with client_of(sandbox) as client:
            await client.tokens.get()
            await close_idle(client)
            scissors.at = step
            hit = await cut(client, work, scissors)
            scissors.cut = None
            if not hit:
                break
            steps.append(scissors.last)
            await settled(client, sandbox, clients=step)
    return steps


def check_steps(steps: list[str]) -> None:
    names = {step.rpartition(".")[0].rpartition(".")[2] for step in steps}
    assert names >= {"connect_tcp", "send_request_headers", "send_request_body", "receive_response_headers"}
    assert len(steps) >= 8


@pytest.mark.anyio
@pytest.mark.parametrize("work", [write, refresh])
async def test_a_scope_cut_at_every_step_on_the_wire(
    server: Sandbox, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_steps(await cut_every_step(server, Scissors(monkeypatch), work, cut_by_scope))


@pytest.mark.parametrize("work", [write, refresh])
def test_a_native_cut_at_every_step_on_the_wire(server: Sandbox, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        check_steps(await cut_every_step(server, Scissors(monkeypatch), work, cut_by_task))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
