"""The look at the token that every call takes, against awaiting a coroutine that does nothing.

``TokenManager.peek`` is called inside a running coroutine, on a manager that found a token of an hour in its store, in
memory, in a file or on a Redis server, with the real clock; awaiting ``TokenManager.get`` is shown as information. The
cost of the loop around it, the smallest of all rounds, is taken off both sides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from time import perf_counter, time
from typing import Any

import anyio

from benchmarks.harness import Goal, Line, RowError, above, alternate, quietest
from benchmarks.redis_server import redis_if_any
from benchmarks.storm import OpenStore, in_files, in_memory, in_redis
from tallyfy_async.auth.manager import TokenManager
from tallyfy_async.auth.oauth_client import TokenRequest
from tallyfy_async.auth.personal import StaticToken
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.auth.token import Token
from tallyfy_async.transport.clock import SystemClock

_TIMES = 10_000


async def _manager(store: TokenStore) -> TokenManager:
    """Return a manager that found a token of an hour in its store."""
    clock = SystemClock()
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


async def _peek(manager: TokenManager) -> float:
    peek = manager.peek
    started = perf_counter()
    for _ in range(_TIMES):
        peek()
    return perf_counter() - started


async def _await(function: Callable[[], Awaitable[Any]]) -> float:
    started = perf_counter()
    for _ in range(_TIMES):
        await function()
    return perf_counter() - started


async def _get(manager: TokenManager) -> float:
    return await _await(manager.get)


async def _each(run: Callable[..., Awaitable[float]], *arguments: Any) -> float:
    """Return microseconds for each turn, the loop's own among them."""
    return await quietest(run, *arguments) / _TIMES * 1e6


async def _with(open_store: OpenStore, run: Callable[[TokenManager], Awaitable[float]]) -> float:
    async with open_store() as store:
        return await _each(run, await _manager(store))


def _run(work: Callable[..., Awaitable[float]], *arguments: Any) -> Callable[[], float]:
    async def measured() -> float:
        return await work(*arguments)

    return lambda: anyio.run(measured)


def measure(rounds: int) -> Iterator[Line]:
    """Measure the token check with each store."""
    with ExitStack() as stack:
        stores = {"memory": in_memory, "file": in_files(stack.enter_context(TemporaryDirectory(prefix="benchmarks-")))}
        redis = redis_if_any(stack)
        if isinstance(redis, str):
            stores["redis"] = in_redis(redis)
        empty, *whole = alternate(
            rounds,
            _run(_each, _empty),
            _run(_each, _await, _nothing),
            _run(_with, in_memory, _get),
            *(_run(_with, store, _peek) for store in stores.values()),
        )
    nothing, get, *peeks = (above(samples, empty) for samples in whole)
    row, unit = "token_check", "us"
    for store, peek in zip(stores, peeks, strict=True):
        case = f"peek, {store} store, against an awaited no-op"
        yield Line(row=row, case=case, unit=unit, ours=peek, peer=nothing, goal=Goal(3, stretch=1.2))
    yield Line(row=row, case="await get(), against an awaited no-op", unit=unit, ours=get, peer=nothing)
    if isinstance(redis, RowError):
        raise redis
