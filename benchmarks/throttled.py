"""A server that lets in 60 requests in any minute, and ways to get many tasks past it, in simulated time.

Server and clients go by one simulated clock (:mod:`benchmarks.simulated`), so that a quarter of an hour passes in
seconds and the same seed gives the same figures. The server works in this process, behind httpx's interface for
transports, takes 50 ms for each reply, and refuses with 429 and ``Retry-After``: whole seconds until the oldest request
of the last minute no longer counts. A refused request does not count, as in Laravel's throttle.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import httpx
from attrs import define, field, frozen
from tenacity import RetryCallState, retry, retry_if_exception_type, stop_never, wait_exponential_jitter

from benchmarks.harness import RowError
from benchmarks.payload import USER
from benchmarks.reading import TOKEN
from benchmarks.simulated import SimulatedClock, simulate
from tallyfy_async import RequestOptions, TallyfyClient

TASKS = 1_000
PER_MINUTE = 60
_LATENCY = 0.05
_URL = "http://127.0.0.1:9/api"


@define(eq=False)
class Throttle(httpx.AsyncBaseTransport):
    """The server.

    Attributes:
        clock: what it counts by.
        requests: requests that came in.
        refused: requests that it refused.
        done: task -> how often it was done.

    """

    clock: SimulatedClock
    requests: int = field(default=0, init=False)
    refused: int = field(default=0, init=False)
    done: Counter[str] = field(factory=Counter[str], init=False)
    _recent: deque[float] = field(factory=deque[float], init=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Do the task that a request names, or refuse."""
        self.requests += 1
        wait = self._wait()
        await self.clock.sleep(_LATENCY)
        if wait > 0:
            self.refused += 1
            headers = {"Retry-After": str(-int(-wait // 1))}
            return httpx.Response(429, headers=headers, json={"message": "Too Many Attempts."})
        self.done[request.headers["X-Task"]] += 1
        return httpx.Response(200, headers={"Content-Type": "application/json"}, content=USER)

    def _wait(self) -> float:
        """Return the seconds until a request is let in; at 0 this one is, and counts."""
        now = self.clock.monotonic()
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        if len(self._recent) < PER_MINUTE:
            self._recent.append(now)
            return 0.0
        return self._recent[0] + 60 - now


@frozen(kw_only=True)
class Figures:
    """What it took.

    Attributes:
        seconds: simulated time until all tasks were done.
        requests: requests sent, for each task.
        refused: requests refused, for each task.

    """

    seconds: float
    requests: float
    refused: float


Side = Callable[[Throttle], Awaitable[None]]


def figures_of(side: Side, seed: int) -> Figures:
    """Return what it takes a side to get all tasks done; raise RowError unless each was done exactly once."""
    return simulate(_figures_of, side, seed)


async def _figures_of(side: Side, seed: int) -> Figures:
    server = Throttle(SimulatedClock(seed))
    chance = random.getstate()
    random.seed(seed)  # tenacity's chance
    try:
        await side(server)
    finally:
        random.setstate(chance)
    if set(server.done.values()) != {1} or len(server.done) != TASKS:
        msg = f"{len(server.done)} of {TASKS} tasks were done, some {max(server.done.values())} times"
        raise RowError(msg)
    return Figures(seconds=server.clock.monotonic(), requests=server.requests / TASKS, refused=server.refused / TASKS)


async def _all(work: Callable[[str], Coroutine[Any, Any, object]]) -> None:
    async with anyio.create_task_group() as group:
        for number in range(TASKS):
            group.start_soon(work, str(number))


async def ours(server: Throttle) -> None:
    """Use the client with its defaults, but for the deadline, which the last of the tasks could not keep."""
    async with TallyfyClient(TOKEN, base_url=_URL, transport=server, clock=server.clock, deadline=None) as client:
        await _all(lambda task: client.request("GET", "/me", options=RequestOptions(headers={"X-Task": task})))


class _RefusedError(Exception):
    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


def _told(_state: RetryCallState) -> float:
    failure = _state.outcome.exception() if _state.outcome is not None else None
    return failure.retry_after if isinstance(failure, _RefusedError) else 0.0


async def backing_off(server: Throttle) -> None:
    """Let each task back off by itself as tenacity does, up to a minute, and try again for ever."""
    await _naive(server, wait_exponential_jitter(initial=1, max=60))


async def obeying(server: Throttle) -> None:
    """Let each task wait by itself for as long as the server says, and try again for ever."""
    await _naive(server, _told)


async def _naive(server: Throttle, wait: Callable[[RetryCallState], float]) -> None:
    again = retry(retry=retry_if_exception_type(_RefusedError), stop=stop_never, wait=wait, sleep=server.clock.sleep)
    async with httpx.AsyncClient(transport=server, base_url=_URL) as client:

        @again
        async def work(task: str) -> None:
            reply = await client.get("/me", headers={"X-Task": task})
            if reply.status_code == 429:
                raise _RefusedError(float(reply.headers["Retry-After"]))
            reply.raise_for_status()

        await _all(work)
