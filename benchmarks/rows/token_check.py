"""The look at the token that every call takes, against awaiting a coroutine that does nothing.

``TokenManager.peek`` is called inside a running coroutine, on a manager that holds a token of an hour, with the real
clock; awaiting ``TokenManager.get`` is shown as information. The cost of the loop around it is taken off both sides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter, time
from typing import Any

import anyio

from benchmarks.harness import Goal, Line, alternate, quietest
from tallyfy_async.auth.grants import StaticToken
from tallyfy_async.auth.oauth_client import TokenRequest
from tallyfy_async.auth.manager import TokenManager
from tallyfy_async.auth.stores.memory import MemoryStore
from tallyfy_async.auth.token import Token
from tallyfy_async.transport.clock import SystemClock

_TIMES = 10_000


async def _manager() -> TokenManager:
    """Return a manager that found a token of an hour in its store."""
    store, clock = MemoryStore(), SystemClock()
    token = Token(access_token="a" * 900, issued_at=time(), lifetime=3_600.0)
    await store.save("key", token, expected=None)

    async def exchange(request: TokenRequest, deadline: float) -> Any:
        raise AssertionError(request, deadline)

    manager = TokenManager.create(StaticToken("t" * 900), exchange, store, "key", clock)
    assert (await manager.get()).generation == 1
    assert manager.peek() is not None
    return manager


async def _nothing() -> None:
    return


async def _empty() -> float:
    started = perf_counter()
    for _ in range(_TIMES):
        pass
    return perf_counter() - started


async def _peek() -> float:
    peek = (await _manager()).peek
    started = perf_counter()
    for _ in range(_TIMES):
        peek()
    return perf_counter() - started


async def _await(function: Callable[[], Awaitable[Any]]) -> float:
    started = perf_counter()
    for _ in range(_TIMES):
        await function()
    return perf_counter() - started


async def _get() -> float:
    return await _await((await _manager()).get)


def _each(run: Callable[..., Awaitable[float]], *arguments: Any) -> Callable[[], float]:
    """Return a measurement in microseconds for each turn, less the loop's own."""

    async def measured() -> float:
        return (await quietest(run, *arguments) - await quietest(_empty)) / _TIMES * 1e6

    return lambda: anyio.run(measured)


def measure(rounds: int) -> Iterator[Line]:
    """Measure the token check."""
    peek, get, nothing = alternate(rounds, _each(_peek), _each(_get), _each(_await, _nothing))
    yield Line(
        row="token_check", case="peek, against an awaited no-op", unit="us", ours=peek, peer=nothing, goal=Goal(3)
    )
    yield Line(row="token_check", case="await get(), against an awaited no-op", unit="us", ours=get, peer=nothing)
