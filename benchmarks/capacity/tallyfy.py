"""A simulated Tallyfy: it counts the calls of each user in rolling windows, and refuses with 429 and ``Retry-After``.

A refused request does not count, as in Laravel's throttle. The replies tell how many remain, as the published headers
have it. There is nothing else that it could run out of.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from random import Random

from attrs import define, field, frozen

from benchmarks.capacity.published import NETWORK, SPREAD, USER_PER_MINUTE, WINDOW, WORK
from benchmarks.simulated import SimulatedClock
from tallyfy_async.protocol.response import Headers, Reply
from tallyfy_async.transport.exchange import Incoming, Progress, Request, Transport


@frozen
class Limit:
    """So many calls of one user in any so many seconds."""

    most: int = USER_PER_MINUTE
    seconds: float = WINDOW


@frozen(kw_only=True)
class Line:
    """How long things take, in seconds: the way to the server and back, the server's work, and how much it varies."""

    network: float = NETWORK
    work: float = WORK
    spread: float = SPREAD

    def takes(self, chance: Random) -> float:
        """Return how long the server works this time: logarithms are normal, without spread it is always the same."""
        return chance.lognormvariate(math.log(self.work), self.spread) if self.work else 0.0


@define(eq=False)
class Tallyfy(Transport):
    """The server, and the lines to it.

    Attributes:
        clock: what it counts by.
        limits: what each user is allowed, all of it at once.
        line: how long things take.
        admitted: when requests were let in.
        refused: when requests were refused.

    """

    clock: SimulatedClock
    chance: Random
    limits: Sequence[Limit]
    line: Line = field(factory=Line)
    admitted: list[float] = field(factory=list[float], init=False)
    refused: list[float] = field(factory=list[float], init=False)
    _recent: defaultdict[str, list[deque[float]]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._recent = defaultdict(lambda: [deque() for _ in self.limits])

    async def exchange(self, request: Request, progress: Progress | None = None) -> Reply:
        """Answer a request of the user that its URL names."""
        del progress
        began = self.clock.monotonic()
        await self.clock.sleep(self.line.network / 2)
        wait, remain = self._count(request.url)
        if wait > 0:
            await self.clock.sleep(self.line.network / 2)
            headers = [("retry-after", str(max(1, math.ceil(wait)))), ("x-ratelimit-remaining", "0")]
            return Reply(status=429, headers=Headers(headers), content=b'{"message": "Too Many Attempts."}')
        await self.clock.sleep(self.line.takes(self.chance) + self.line.network / 2)
        headers = [] if remain is None else [("x-ratelimit-remaining", str(remain))]
        elapsed = self.clock.monotonic() - began
        return Reply(status=200, headers=Headers(headers), content=b"{}", elapsed=elapsed)

    def _count(self, user: str) -> tuple[float, int | None]:
        """Return the seconds until a request is let in, 0 where it is and counts, and how many remain then."""
        now, wait, remain = self.clock.monotonic(), 0.0, None
        for limit, recent in zip(self.limits, self._recent[user], strict=True):
            while recent and recent[0] + limit.seconds <= now:
                recent.popleft()
            if len(recent) >= limit.most:
                wait = max(wait, recent[0] + limit.seconds - now)
            left = limit.most - len(recent) - 1
            remain = left if remain is None else min(remain, left)
        if wait > 0:
            self.refused.append(now)
            return wait, None
        self.admitted.append(now)
        for recent in self._recent[user]:
            recent.append(now)
        return 0.0, remain

    async def open(self, request: Request) -> tuple[Reply, Incoming | None]:
        """Answer, with nothing left to read."""
        return await self.exchange(request), None

    def to_origins(self, origins: tuple[str, ...]) -> Transport:
        """Return itself: there is one origin."""
        del origins
        return self

    async def aclose(self) -> None:
        """Keep the lines: everybody shares them."""
