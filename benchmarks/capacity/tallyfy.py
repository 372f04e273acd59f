"""A simulated Tallyfy: it counts calls in rolling windows, and refuses with 429 and ``Retry-After``.

That the windows roll is published. That a refused request does not count is not; Laravel's throttle has it so. The
replies tell how many remain, as the published headers have it. There is nothing else that it could run out of.
"""

from __future__ import annotations

import json
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
    """So many calls in any so many seconds: of one user, or of one organization where it caps an action."""

    most: int = USER_PER_MINUTE
    seconds: float = WINDOW
    action: str | None = None

    @property
    def refusal(self) -> bytes:
        """The body of a 429 (contract: identity notes, "Rate limits")."""
        if self.action is None:
            return b'{"message": "Too Many Attempts."}'
        reached = f"You've reached the hourly limit for {self.action} ({self.most} per hour per organization)."
        return json.dumps({"message": f"{reached} Please try again later.", "code": "RATE_LIMIT_EXCEEDED"}).encode()


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
        limits: what is allowed, all of it at once.
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
        """Answer a request. Who has the same URL is the same user, in the same organization."""
        del progress
        began = self.clock.monotonic()
        await self.clock.sleep(self.line.network / 2)
        full, wait = self._full(request.url)
        if full is not None:
            self.refused.append(self.clock.monotonic())
            await self.clock.sleep(self.line.network / 2)
            headers = [("retry-after", str(max(1, math.ceil(wait)))), ("x-ratelimit-remaining", "0")]
            return Reply(status=429, headers=Headers(headers), content=full.refusal)
        headers = self._count(request.url)
        await self.clock.sleep(self.line.takes(self.chance) + self.line.network / 2)
        elapsed = self.clock.monotonic() - began
        return Reply(status=200, headers=Headers(headers), content=b"{}", elapsed=elapsed)

    def _full(self, who: str) -> tuple[Limit | None, float]:
        """Return the limit that has no room for the longest, if any, and the seconds until it has."""
        now, full, wait = self.clock.monotonic(), None, 0.0
        for limit, recent in zip(self.limits, self._recent[who], strict=True):
            while recent and recent[0] + limit.seconds <= now:
                recent.popleft()
            if len(recent) >= limit.most and (rest := recent[0] + limit.seconds - now) > wait:
                full, wait = limit, rest
        return full, wait

    def _count(self, who: str) -> list[tuple[str, str]]:
        """Count a request; return the headers that tell how many remain."""
        self.admitted.append(self.clock.monotonic())
        for recent in self._recent[who]:
            recent.append(self.clock.monotonic())
        left = [limit.most - len(recent) for limit, recent in zip(self.limits, self._recent[who], strict=True)]
        return [("x-ratelimit-remaining", str(min(left)))] if left else []

    async def open(self, request: Request) -> tuple[Reply, Incoming | None]:
        """Answer, with nothing left to read."""
        return await self.exchange(request), None

    def to_origins(self, origins: tuple[str, ...]) -> Transport:
        """Return itself: there is one origin."""
        del origins
        return self

    async def aclose(self) -> None:
        """Keep the lines: everybody shares them."""
