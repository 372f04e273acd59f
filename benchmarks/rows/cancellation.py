"""A storm of cancellations, then ordinary calls, against a stock ``httpx.AsyncClient``, on asyncio.

For three seconds 40 tasks call over 10 connections, each call ended by ``asyncio.wait_for`` after 0 to 30 ms at random,
as web handlers and bots end theirs. Then five calls follow, one after another, with five seconds for all of them, which
a pool that lends no connection any more cannot keep; the stock client is measured with the same limits. Descriptors are
counted before the client is made and after it was closed, once none is left or five seconds have passed. Each side has
a process of its own. The worst round counts, and three are enough.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx

from benchmarks.harness import Goal, Line, RowError, in_fresh, server
from benchmarks.reading import TOKEN
from tallyfy_async import RequestTimeoutError, TallyfyClient, TransportError

_TASKS = 40
_CONNECTIONS = 10
_SECONDS = 3.0
_LONGEST = 0.03
_CALLS = 5
_PATIENCE = 5.0

MakeCall = Callable[[], Awaitable[object]]
Figures = tuple[int, int, int]
"""Calls that were cut, calls of the five that succeeded, descriptors that are left."""


async def _storm(call: MakeCall, seed: int) -> int:
    """Call and cut calls; return how many were cut."""
    clock = asyncio.get_running_loop().time
    ends_at = clock() + _SECONDS
    cut = 0

    async def worker(number: int) -> None:
        nonlocal cut
        chance = random.Random(seed * _TASKS + number)
        while clock() < ends_at:
            try:
                await asyncio.wait_for(call(), chance.uniform(0, _LONGEST))
            except TimeoutError:
                cut += 1
            except (httpx.HTTPError, TransportError):
                await asyncio.sleep(0.001)

    await asyncio.gather(*map(worker, range(_TASKS)))
    return cut


async def _afterwards(call: MakeCall) -> int:
    """Return how many of some ordinary calls succeed."""
    good = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            for _ in range(_CALLS):
                with suppress(httpx.HTTPError, TransportError, RequestTimeoutError):
                    await call()
                    good += 1
    return good


async def _both(call: MakeCall, seed: int) -> tuple[int, int]:
    await call()
    return await _storm(call, seed), await _afterwards(call)


async def _ours(url: str, seed: int) -> tuple[int, int]:
    async with TallyfyClient(
        TOKEN, base_url=url, max_connections=_CONNECTIONS, timeout=_PATIENCE, deadline=_PATIENCE, retry=0
    ) as client:
        return await _both(client.me.get, seed)


async def _stock(url: str, seed: int) -> tuple[int, int]:
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    async with httpx.AsyncClient(timeout=_PATIENCE, limits=limits, trust_env=False) as client:

        async def call() -> None:
            (await client.get(f"{url}/me")).raise_for_status()

        return await _both(call, seed)


def ours(url: str, seed: str) -> Figures:
    """Return what our client makes of a storm in this process."""
    return _left(_ours, url, int(seed))


def stock(url: str, seed: str) -> Figures:
    """Return what a stock client makes of a storm in this process."""
    return _left(_stock, url, int(seed))


def _left(side: Callable[[str, int], Awaitable[tuple[int, int]]], url: str, seed: int) -> Figures:
    async def run() -> Figures:
        before = _descriptors()
        cut, good = await side(url, seed)
        for _ in range(50):  # what is closed in the background is closed by then
            if (left := _descriptors() - before) <= 0:
                break
            await asyncio.sleep(_PATIENCE / 50)
        return cut, good, left

    return asyncio.run(run())


def _descriptors() -> int:
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError as error:
        msg = "descriptors are counted on Linux only: there is no /proc/self/fd"
        raise RowError(msg) from error


def measure(rounds: int) -> Iterator[Line]:
    """Measure what is left of both clients after a storm."""
    seeds = range(min(rounds, 3))
    with server() as url:
        mine, peers = zip(*((in_fresh(ours, url, str(s)), in_fresh(stock, url, str(s))) for s in seeds), strict=True)
    (our_cut, our_good, our_left), (cut, good, left) = zip(*mine, strict=True), zip(*peers, strict=True)
    if not min(our_cut):
        msg = "no call was cut: there was no storm"
        raise RowError(msg)
    row, storm = "cancellation", f"{_TASKS} tasks on {_CONNECTIONS} connections"
    alive, clean = Goal(_CALLS, ">=", alone=True), Goal(0, alone=True)
    case = f"{storm}: calls that succeed after it, of {_CALLS}"
    yield Line(row=row, case=case, unit="calls", ours=our_good, peer=good, goal=alive)
    case = f"{storm}: descriptors left"
    yield Line(row=row, case=case, unit="descriptors", ours=our_left, peer=left, best=max, goal=clean)
    yield Line(row=row, case=f"{storm}: calls cut", unit="calls", ours=our_cut, peer=cut, best=max)
