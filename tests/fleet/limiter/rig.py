"""Limiters of one fleet on both event loops: their scripts run on a real server, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint, current_token
from redis import Redis
from redis.exceptions import RedisError

from tallyfy_async import RateLimit
from tallyfy_async.auth.stores.redis_commands import Trouble
from tallyfy_async.fleet.decisions import RedisDecisions
from tallyfy_async.fleet.limiter import RedisLimiter
from tallyfy_async.transport.manual_clock import ManualClock
from tests.redis_server import RedisServer

ADA = "line-of-ada"
BOB = "line-of-bob"


def at_given_time(script: str) -> str:
    """Return a script that takes its time from a key of the test's and not from the server."""
    assert script.count("redis.call('time')") == 1
    return script.replace("redis.call('time')", "redis.call('hmget', 'the time', 'seconds', 'micros')")


def set_time(admin: Redis, seconds: float) -> None:
    admin.hset("the time", mapping={"seconds": int(seconds), "micros": round(seconds % 1 * 1e6)})


async def idle() -> None:
    """Wait until every other task waits for a time; only such as wait for no file or socket are known to."""
    loop = current_token().native_token
    if not hasattr(loop, "create_task"):
        await anyio.wait_all_tasks_blocked()
        return
    await checkpoint()
    while loop._ready:  # anyio's own function looks every tenth of a second
        await checkpoint()


class Time(ManualClock):
    """A clock that moves to its next timer when nobody has anything left to do before."""

    def __init__(self) -> None:
        super().__init__(autojump=False)

    async def run(self) -> None:
        while True:
            await idle()
            if (timer := self._timers.first) is not None:
                self._move_to(timer.due)


class TimedDecisions(RedisDecisions):
    """The scripts at the time of a manual clock, by the blocking client, so that nothing but the clock passes time.

    Attributes:
        asked: how many questions were asked.
        deaf: whether the server is out of reach.
        losing: whether its answers are lost, after it did what was asked.
        delay: seconds that an answer takes.
        skew: seconds by which the server's clock is ahead.

    """

    def __init__(self, server: RedisServer, ours: RedisDecisions, clock: Time) -> None:
        self.place, self._time, self._patience = ours.place, clock, ours._patience
        self._admin = Redis.from_url(server.url)
        texts = {text: at_given_time(text) if "call('time')" in text else text for text in ours._scripts}
        self._texts = {text: self._admin.register_script(changed) for text, changed in texts.items()}
        self.asked: dict[str, int] = dict.fromkeys(texts, 0)
        self.deaf = self.losing = False
        self.delay = 0.0
        self.skew = 0.0

    def check_loop(self) -> None:
        pass

    async def run(self, script: str, names: Sequence[str], arguments: Sequence[Any]) -> list[int] | Trouble:
        self.asked[script] += 1
        with self._time.timeout(self._patience):
            answer = await self._answered(script, names, arguments)
            await self._time.sleep(self.delay)
            return answer
        return Trouble(f"Redis at {self.place}: no answer", down=True)

    async def _answered(self, script: str, names: Sequence[str], arguments: Sequence[Any]) -> list[int] | Trouble:
        await self._time.sleep(self.delay)
        trouble = Trouble(f"Redis at {self.place}: ConnectionError", down=True)
        if self.deaf:
            return trouble
        set_time(self._admin, self._time.time() + self.skew)
        try:
            answer: list[int] = self._texts[script](keys=list(names), args=list(arguments))
        except RedisError as error:
            return Trouble(f"Redis at {self.place}: {type(error).__name__}", down=True)
        return trouble if self.losing else answer

    async def aclose(self) -> None:
        self._admin.close()


def timed(limiter: RedisLimiter) -> TimedDecisions:
    assert isinstance(limiter._server, TimedDecisions)
    return limiter._server


@asynccontextmanager
async def joined(server: RedisServer, clock: Time, **settings: Any) -> AsyncGenerator[RedisLimiter, None]:
    """A limiter whose server's time is that of the clock."""
    limiter = RedisLimiter(server.url, clock=clock, **settings)
    assert isinstance(limiter._server, RedisDecisions)
    limiter._server = TimedDecisions(server, limiter._server, clock)
    async with limiter:
        yield limiter


def fast(per_second: float, burst: int = 1, patience: float = 0.5) -> RateLimit:
    """Return a cap whose bucket lets so many calls begin in a second."""
    return RateLimit(per_minute=per_second * (60 + 2 * patience) + burst, burst=burst)


async def begin(
    limiter: RedisLimiter,
    clock: Time,
    times: list[float],
    *,
    whose: str = ADA,
    organization: str | None = None,
    takes: float = 0.0,
) -> None:
    """Begin an exchange, note when, and end it."""
    await limiter.acquire(whose, organization)
    times.append(clock.monotonic())
    if takes:
        await clock.sleep(takes)
    limiter.release()


def most_within(times: Sequence[float], window: float) -> int:
    """Return the most moments that any window of so many seconds holds; a tenth of a millisecond is rounding."""
    ordered, first, most = sorted(times), 0, 0
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= window - 1e-4:
            first += 1
        most = max(most, last - first + 1)
    return most


def keeps(times: Sequence[float], per_second: float, burst: int) -> bool:
    """Whether a cap holds in every window: the burst, and what comes in while it lasts."""
    windows = (0.1, 0.3, 1.0, 2.5, 5.0, 20.0, 60.0)
    return all(most_within(times, window) <= burst + window * per_second + 1e-6 for window in windows)


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    with anyio.fail_after(seconds):
        while not true():  # noqa: ASYNC110 - others cannot tell it
            await anyio.sleep(0.005)


def said(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    """Return the messages that end so."""
    return [record.getMessage() for record in caplog.records if record.getMessage().endswith(text)]
