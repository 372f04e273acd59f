"""What retries add to a call that succeeds at once, against tenacity's ``@retry`` decorator.

Ours is all that ``Engine.call`` has for the sake of retries: making the record of the flight, which counts attempts and
remembers failures, and its ``run`` with the try around one attempt. The attempt itself is replaced by one that does
nothing, so that nothing else is measured. Both sides are less the smallest of all bare awaits of what does nothing. The
deadline is no retry and is shown as information: the time limit that the engine opens around the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter
from typing import Any, cast

import anyio
from tenacity import retry, stop_after_attempt, wait_exponential_jitter

from benchmarks.harness import Goal, Line, above, alternate, quietest
from tallyfy_async.client import TallyfyClient
from tallyfy_async.engine import call as engine_call
from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.plan import Call
from tallyfy_async.resources.me import GET

_TIMES = 2_000
_DONE = cast("Any", object())


class _Flight(engine_call._Flight):  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    async def attempt(self) -> Any:
        return _DONE


async def _nothing() -> Any:
    return _DONE


@retry(stop=stop_after_attempt(4), wait=wait_exponential_jitter())
async def _decorated() -> Any:
    return _DONE


def _engine() -> Engine:
    return TallyfyClient("token", base_url="http://127.0.0.1:9/api")._engine  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def _run(work: Callable[..., Awaitable[float]], *arguments: Any) -> Callable[[], float]:
    async def measured() -> float:
        return await work(*arguments)

    return lambda: anyio.run(measured)


async def _with_flight() -> float:
    engine, call = _engine(), Call.plan(GET)

    async def one() -> Any:
        return await _Flight(engine=engine, call=call, ends_at=120.0).run()

    return await quietest(_times, one)


async def _with_deadline() -> float:
    clock = _engine().clock

    async def one() -> Any:
        with clock.timeout(120.0):
            return await _nothing()

    return await quietest(_times, one)


async def _wrapped() -> Any:
    return await _nothing()


async def _times(function: Callable[[], Awaitable[Any]]) -> float:
    started = perf_counter()
    for _ in range(_TIMES):
        await function()
    return (perf_counter() - started) / _TIMES * 1e6


def measure(rounds: int) -> Iterator[Line]:
    """Measure the retry layer on success."""
    wrapped, nothing, flight, decorated, limited = alternate(
        rounds,
        _run(quietest, _times, _wrapped),
        _run(quietest, _times, _nothing),
        _run(_with_flight),
        _run(quietest, _times, _decorated),
        _run(_with_deadline),
    )
    ours, tenacity, deadline = above(flight, wrapped), above(decorated, nothing), above(limited, wrapped)
    row = "retry_layer"
    yield Line(
        row=row,
        case="added on success, against @retry",
        unit="us",
        ours=ours,
        peer=tenacity,
        goal=Goal(0.05, stretch=0.01),
    )
    yield Line(row=row, case="the deadline, against @retry", unit="us", ours=deadline, peer=tenacity)
