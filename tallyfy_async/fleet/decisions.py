"""What a process asks of the Redis server of its fleet: each question is one script, and ends in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from tallyfy_async.auth.stores.redis_commands import RedisCommands, Trouble, check_asyncio
from tallyfy_async.fleet.scripts import ATTEND, DECIDE, LEAVE, PAUSE
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import Clock

if TYPE_CHECKING:
    from redis.asyncio import Redis


@frozen(kw_only=True)
class Asked:
    """What is asked of one bucket.

    Attributes:
        name: the bucket's name on the server.
        interval: seconds from one call to the next.
        burst: calls that may begin at once.
        spent: whether it was used without the server.

    """

    name: str
    interval: float
    burst: int
    spent: bool


@frozen(kw_only=True)
class Verdict:
    """What the server said: seconds from then on, until which of the calls may begin, or until it wants to be asked.

    Attributes:
        fleet: how many processes there are.
        waits: when each of the calls that are allowed may begin; empty where none is.
        again: when to ask again, where none is.

    """

    fleet: int
    waits: tuple[float, ...] = ()
    again: float = 0.0


@frozen(kw_only=True)
class Attendance:
    """What the server said to a process that told that it lives.

    Attributes:
        known: whether the server knew it.
        fleet: how many processes there are.
        slots: how many exchanges the process may run.

    """

    known: bool
    fleet: int
    slots: int


class Decisions(Protocol):
    """The server of a fleet, as its limiters see it. Trouble is returned, not raised."""

    place: str

    def check_loop(self) -> None:
        """Raise ConfigurationError on an event loop that this cannot work on."""
        ...

    async def decide(self, members: str, buckets: Sequence[Asked], wanted: int, *, waited: bool) -> Verdict | Trouble:
        """Count calls that are about to begin, up to ``wanted``, or tell when to come again."""
        ...

    async def pause(self, bucket: str, seconds: float) -> Trouble | None:
        """Let nobody who uses a bucket begin for so long."""
        ...

    async def attend(
        self, names: Sequence[str], who: str, lease: float, slots: tuple[int, int, int, bool]
    ) -> Attendance | Trouble:
        """Tell that a process lives; ``slots`` are the fleet's, those in use, those wanted, and whether it had any."""
        ...

    async def leave(self, names: Sequence[str], who: str) -> Trouble | None:
        """Tell that a process ends."""
        ...

    async def aclose(self) -> None:
        """Close the connections that were opened for this; a client that was given stays open."""
        ...


HORIZON = 0.25
"""Seconds for which a call may be let in ahead. What another process learns meanwhile comes too late for it."""


class RedisDecisions(RedisCommands):
    """The server of a fleet by redis.asyncio."""

    def __init__(self, client: Redis | Secret, clock: Clock, patience: float) -> None:
        super().__init__(client, clock)
        self._time, self._patience = clock, patience
        self._scripts = {text: self.client.register_script(text) for text in (DECIDE, PAUSE, ATTEND, LEAVE)}

    def check_loop(self) -> None:
        """Raise ConfigurationError under trio."""
        check_asyncio("RedisLimiter", "rate_limit")

    async def decide(self, members: str, buckets: Sequence[Asked], wanted: int, *, waited: bool) -> Verdict | Trouble:
        """Count calls, or tell when to come again; see Decisions."""
        answer = await self.run(DECIDE, *asked(members, buckets, wanted, waited=waited))
        return answer if isinstance(answer, Trouble) else verdict(answer)

    async def pause(self, bucket: str, seconds: float) -> Trouble | None:
        """Let nobody begin; see Decisions."""
        answer = await self.run(PAUSE, [bucket], [seconds * 1000])
        return answer if isinstance(answer, Trouble) else None

    async def attend(
        self, names: Sequence[str], who: str, lease: float, slots: tuple[int, int, int, bool]
    ) -> Attendance | Trouble:
        """Tell that a process lives; see Decisions."""
        most, running, wanted, had = slots
        arguments = [who, round(lease * 1000), most, running, wanted, int(had)]
        answer = await self.run(ATTEND, names, arguments)
        return answer if isinstance(answer, Trouble) else attendance(answer)

    async def leave(self, names: Sequence[str], who: str) -> Trouble | None:
        """Tell that a process ends; see Decisions."""
        answer = await self.run(LEAVE, names, [who])
        return answer if isinstance(answer, Trouble) else None

    async def run(self, script: str, names: Sequence[str], arguments: Sequence[Any]) -> list[int] | Trouble:
        """Run a script, and return its answer unless it comes too late."""
        with self._time.timeout(self._patience):
            return await self.answer(lambda: self._scripts[script](keys=list(names), args=list(arguments)))
        return Trouble(f"Redis at {self.place}: no answer within {self._patience:g} s", down=True)


def asked(
    members: str, buckets: Sequence[Asked], wanted: int, *, waited: bool
) -> tuple[list[str], list[int | float | str]]:
    """Return the keys and the arguments of a decision."""
    arguments: list[int | float | str] = [wanted, HORIZON * 1000, int(waited)]
    for bucket in buckets:
        arguments += [repr(bucket.interval * 1000), bucket.burst, int(bucket.spent)]
    return [members, *(bucket.name for bucket in buckets)], arguments


def verdict(answer: list[int]) -> Verdict:
    """Return what the answer to a decision means."""
    granted, fleet, *micros = answer
    if not granted:
        return Verdict(fleet=fleet, again=micros[0] / 1e6)
    return Verdict(fleet=fleet, waits=tuple(each / 1e6 for each in micros))


def attendance(answer: list[int]) -> Attendance:
    """Return what the answer of the attendance means."""
    known, fleet, slots = answer
    return Attendance(known=bool(known), fleet=fleet, slots=slots)
