"""What the processes share: the package's RedisLimiter with a simulated server.

Its scripts are run as they are (:mod:`benchmarks.capacity.memory`). Simulated are the way to the server, the one thread
that it has, and the times when it is away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import redis.asyncio
from attrs import Factory, define, field
from redis.exceptions import ConnectionError as RedisConnectionError

from benchmarks.capacity.memory import Memory
from benchmarks.capacity.published import REDIS_DECISION, REDIS_TRIP
from benchmarks.simulated import SimulatedClock


@define(eq=False)
class Server:
    """The simulated Redis: one thread that answers in the order of coming.

    Attributes:
        clock: its time.
        trip: seconds to it and back.
        work: seconds that its thread is busy with a question.
        outages: when it is away, as beginnings and ends; it comes back without its memory.
        memory: what it knows.
        questions: when it was asked what it answered.
        waited: seconds that they waited for the thread, in all.

    """

    clock: SimulatedClock
    trip: float = REDIS_TRIP
    work: Callable[[], float] = lambda: REDIS_DECISION
    outages: tuple[tuple[float, float], ...] = ()
    memory: Memory = field(init=False, default=Factory(lambda self: Memory(self.clock.time), takes_self=True))
    questions: list[float] = field(factory=list[float], init=False)
    waited: float = field(default=0.0, init=False)
    _busy: float = field(default=0.0, init=False)
    _lives: int = field(default=0, init=False)

    async def ask(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> list[int] | int:
        """Run a script when its turn has come; raise as redis-py does where nobody listens."""
        await self.clock.sleep(self.trip / 2)
        await self.clock.sleep(self.queue())
        answer = self.memory.run(script, keys, args)
        await self.clock.sleep(self.trip / 2)
        return answer

    def queue(self) -> float:
        """Return the seconds until a question that comes now is answered."""
        now = self.clock.monotonic()
        if any(begin <= now < end for begin, end in self.outages):
            msg = "refused"
            raise RedisConnectionError(msg)
        self._live(sum(end <= now for _, end in self.outages))
        begins = max(now, self._busy)
        self._busy = begins + self.work()
        self.questions.append(now)
        self.waited += begins - now
        return self._busy - now

    def _live(self, lives: int) -> None:
        """Forget everything after a time away."""
        if lives != self._lives:
            self._lives = lives
            self.memory.clear()


class Wire(redis.asyncio.Redis):
    """A process's client of the simulated server, as the package takes one; it opens no connection.

    Attributes:
        cut: whether nothing gets through any more.

    """

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self.cut = False

    def register_script(self, script: Any) -> Any:
        """Return what runs a script."""
        return partial(self._run, script)

    async def _run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> list[int] | int:
        if self.cut:
            msg = "cut"
            raise RedisConnectionError(msg)
        return await self._server.ask(script, keys, args)
