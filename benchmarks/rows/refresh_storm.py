"""10,000 callers who find the token expired, against 10,000 tasks that sleep as long as a token request takes.

The real thing: ``client.tokens.get()`` through the client's own pipeline and real sockets to a token endpoint in
another process that takes 50 ms. A login before, which is not measured, opens the connection and brings a token that is
expired already. The row fails unless the server saw exactly one refresh and every caller got its token.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import anyio

from benchmarks.harness import Goal, Line, RowError, alternate, server
from benchmarks.server import TOKEN_DELAY
from tallyfy_async import PasswordGrant, TallyfyClient

CALLERS = 10_000


async def _together(work: Callable[[], Coroutine[Any, Any, None]]) -> float:
    started = perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(CALLERS):
            group.start_soon(work)
    return (perf_counter() - started) * 1e3


async def _sleepers() -> float:
    return await _together(lambda: anyio.sleep(TOKEN_DELAY))


async def _storm(url: str) -> float:
    grant = PasswordGrant(client_id="1", client_secret="s", username="ada@example.com", password="p")
    async with TallyfyClient(grant, base_url=url) as client:
        await client.tokens.get()
        before = await _refreshes(url)
        generations: list[int] = []

        async def caller() -> None:
            generations.append((await client.tokens.get()).generation)

        took = await _together(caller)
        refreshes = await _refreshes(url) - before
    if refreshes != 1 or generations != [2] * CALLERS:
        msg = f"{refreshes} refreshes for {len(generations)} callers, generations {sorted(set(generations))}"
        raise RowError(msg)
    return took


async def _refreshes(url: str) -> int:
    async with TallyfyClient("personal", base_url=url) as counter:
        return int((await counter.request("GET", "refreshes")).payload)


def _run(backend: str, work: Callable[..., Coroutine[Any, Any, float]], *arguments: Any) -> float:
    return anyio.run(work, *arguments, backend=backend)


def measure(rounds: int) -> Iterator[Line]:
    """Measure the refresh storm on asyncio and trio."""
    with server() as url:
        for backend in ("asyncio", "trio"):
            ours, peer = alternate(
                rounds,
                partial(_run, backend, _storm, url),
                partial(_run, backend, _sleepers),
            )
            yield Line(
                row="refresh_storm",
                case=f"{CALLERS:,} callers, one refresh, against sleepers, {backend}",
                unit="ms",
                ours=ours,
                peer=peer,
                goal=Goal(1.3) if backend == "asyncio" else None,
            )
