"""One pace for all processes of a fleet, by a Redis or Valkey server; redis.asyncio, so asyncio only."""

from __future__ import annotations

import math
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, SupportsIndex, TypeVar

import anyio

from tallyfy_async.auth.stores.redis_commands import Trouble
from tallyfy_async.engine.arguments import check_number
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.fleet.decisions import HORIZON, Attendance, Decisions, RedisDecisions, Verdict
from tallyfy_async.fleet.leases import Leases
from tallyfy_async.fleet.lines import Bucket, Line, Lines, Outage, Turn
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.telemetry import logger
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.limiter import Limiter, RateLimit
from tallyfy_async.transport.shelter import Children, LoopGuard, run_in_child

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

_CLOCK: Final = SystemClock()
PER_USER: Final = RateLimit(per_minute=600, burst=10)
"""What the server allows each user in a rolling minute (contract: identity notes, "Rate limits")."""
_REST: Final = 1.0
"""Seconds after which a server that is away is tried again, give or take a half."""


class RedisLimiter:
    """The pace of a client, shared with every process that uses the same server and ``prefix``.

    Each user has a bucket of calls, and each organization too if you cap it: in no rolling minute do all processes
    together begin more than the cap. A 429 that one process gets holds its user back in all of them. While the server
    is away each process goes on with its equal part of the rate, says so once in the log, and returns by itself; a
    process that alone has lost the server does so too, and its part then comes on top of what the others use.

    Use it as ``async with RedisLimiter(url) as limiter``, entered and left by one task, and give it to clients:
    ``TallyfyClient(auth, limiter=limiter)``. It outlives them. All processes give the same caps and slots.

    Args:
        client: a ``redis.asyncio.Redis``, which stays the caller's, or a URL such as ``rediss://user:password@host/0``.
        per_user: the cap of each user, 600 in a minute if not given (contract: identity notes, "Rate limits"); it
            includes the burst.
        per_organization: the cap of each organization, whoever calls; None for none.
        at_once: exchanges of the whole fleet at once; None for no end. A process that dies frees its own when its
            ``lease`` ends. Without the server each process runs its equal part, at least one.
        slots: exchanges of this process at once; its clients' ``max_connections`` must not be fewer.
        processes: how many to reckon with until the server has told.
        lease: seconds for which a process counts that is heard of no more.
        patience: seconds that an answer of the server may take, and that a call may begin late; the caps are kept by
            going slower by so much.
        prefix: begins the names of all keys on the server.
        clock: time; the caps go by the server's own.

    Attributes:
        slots: exchanges of this process at once.
        budget: how much may be sent again.
        caps: what is known of the hourly caps of organizations; each process learns them by itself.
        processes: how many there are, by the server's last word.
        away: whether the server does not answer.

    Raises ConfigurationError for wrong arguments, without the extra ``redis``, and when used under trio.

    """

    def __init__(
        self,
        client: Redis | str | Secret,
        *,
        per_user: RateLimit = PER_USER,
        per_organization: RateLimit | None = None,
        at_once: int | None = None,
        slots: int = 20,
        processes: int = 1,
        lease: float = 10.0,
        patience: float = 0.5,
        prefix: str = "tallyfy_async",
        clock: Clock = _CLOCK,
    ) -> None:
        client = Secret(client) if isinstance(client, str) else client  # no URL in the clear in a traceback
        _check(per_user, per_organization, prefix)
        check_number("at_once", at_once, or_none=True)
        check_number("slots", slots)
        check_number("processes", processes)
        _check_times(lease, patience)
        self._server: Decisions = RedisDecisions(client, clock, patience)
        self._lease, self._patience, self._clock = lease, patience, clock
        keys = f"{{{prefix}:pace}}"  # in braces, so that a cluster keeps them in one place
        self._names = (f"{keys}:members", f"{keys}:slots")
        self._lines = Lines(keys, per_user, per_organization, patience)
        self._local = Limiter(slots, clock)
        self._leases = Leases(at_once, clock, self._ask_for_slots)
        self._who = secrets.token_hex(8)
        self._guard = LoopGuard()
        self._children = Children()
        self._attending = anyio.Lock()
        self._wake = anyio.Event()
        self._untold: set[Bucket] = set()
        self._outage = Outage(fleet=processes)
        self._met = False
        self._returning_until = -math.inf
        self._slots_meanwhile = 0
        self.away = False
        self.slots = slots
        self.budget, self.caps = self._local.budget, self._local.caps

    def __repr__(self) -> str:
        state = "is away" if self.away else f"{self.processes} processes"
        return f"<RedisLimiter {self._server.place} {state}, {self._local!r}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        msg = "a RedisLimiter is not pickled, because it holds connections: make one in each process"
        raise TypeError(msg)

    async def __aenter__(self) -> Self:
        """Join the fleet; where the server is away, begin without it.

        Raises ConfigurationError where the server refuses us, and for a second time.
        """
        self._server.check_loop()
        self._guard.check()
        if self._children.open:
            msg = "this RedisLimiter is entered already"
            raise ConfigurationError(msg)
        try:
            _check_welcome(await run_in_child(self._told, shield=True))
        except BaseException:
            await run_in_child(self._leave, shield=True)
            raise
        await self._children.__aenter__()
        self._children.start(self._keep_attending)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the fleet, and close the connections that this limiter opened; a client that was given stays open."""
        self._guard.closed = True
        try:
            await self._children.__aexit__(None, None, None)
        finally:
            await run_in_child(self._leave, shield=True)

    async def _leave(self) -> None:
        if not self.away:
            await self._tell_pauses()
            await self._heard(partial(self._server.leave, self._names, self._who))
        await self._server.aclose()

    @property
    def processes(self) -> int:
        """How many processes there are, by the server's last word."""
        return self._outage.fleet

    @property
    def width(self) -> int:
        """How many exchanges may run at once now in this process; see Pace."""
        return self._local.width

    async def acquire(self, whose: str | None = None, organization: str | None = None) -> None:
        """Wait for the turn of a user in an organization, then for a slot; see Pace.

        Raises ConfigurationError before the limiter is entered, ClientClosedError after it is closed.
        """
        self._check_open()
        line = self._lines.line(whose, organization, self._clock.monotonic())
        line.waiting += 1
        try:
            async with line.lock:
                while not await self._begins(line):
                    pass
        finally:
            line.waiting -= 1

    def _check_open(self) -> None:
        if not (self._children.open or self._guard.closed):
            msg = "enter the RedisLimiter first: async with RedisLimiter(…) as limiter"
            raise ConfigurationError(msg)
        self._guard.check()

    async def _begins(self, line: Line) -> bool:
        """Wait until it makes sense to take slots, take them, and use a turn; return whether there was one."""
        while (rest := line.rests_until() - self._clock.monotonic()) > 0:
            await self._clock.sleep(rest)
        self._check_open()
        await self._local.acquire()
        leased = False
        try:
            await self._leases.take()
            leased = True
            if await self._use_turn(line):
                return True
        except BaseException:
            self._return_slots(leased=leased)
            raise
        self._return_slots(leased=True)
        return False

    def _return_slots(self, *, leased: bool) -> None:
        self._local.release()
        if leased:
            self._leases.give()

    async def _use_turn(self, line: Line) -> bool:
        """Use a turn that was granted, or ask for one. A turn whose caller is cancelled stays for the next one."""
        turn = line.first_turn(self._clock.monotonic())
        if turn is None:
            self._check_open()
            # Heard out when it is cut, as what was granted belongs to those who wait behind.
            await run_in_child(partial(self._ask, line), shield=True)
            turn = line.first_turn(self._clock.monotonic())
        if turn is None:
            return False
        if (rest := turn.due - self._clock.monotonic()) > 0:
            await self._clock.sleep(rest)
        return self._still(line, turn)

    def _still(self, line: Line, turn: Turn) -> bool:
        """Take a turn, unless a pause began or it came too late."""
        if line.first_turn(self._clock.monotonic()) is not turn:
            return False
        line.turns.popleft()
        return True

    async def _ask(self, line: Line) -> None:
        """Ask the server for turns; while it is away take one of this process's part, where it is time for one."""
        sent, returning = self._clock.monotonic(), self._returns()
        if not self.away and not (returning and self._part_due(line) > sent + HORIZON):
            buckets, wanted = [bucket.asked() for bucket in line.buckets], 1 if returning else line.waiting
            decide = partial(self._server.decide, self._names[0], buckets, wanted, waited=line.waited)
            answer = await self._heard(decide)
            if isinstance(answer, Verdict):
                now = self._clock.monotonic()
                self._outage.reckon(answer.fleet, now, self._lease)
                line.heard(answer, sent, now, self._patience)
                if returning and answer.waits:
                    line.use_part(self._outage, sent)
                return
        line.take_part(self._outage, self._clock.monotonic(), self._clock.random(), self._patience)

    def _returns(self) -> bool:
        """Whether the server is back, but others may not know it yet: then both have to agree, it and the parts."""
        return self._clock.monotonic() < self._returning_until

    def _part_due(self, line: Line) -> float:
        return line.part_due(self._outage, self._clock.monotonic(), self._clock.random())

    def park(self) -> None:
        """Note that an exchange has only a body left to read; see Pace."""
        self._local.park()
        self._leases.give()

    def release(self, *, parked: bool = False) -> None:
        """End an exchange; see Pace."""
        self._local.release(parked=parked)
        if not parked:
            self._leases.give()

    def pause(self, seconds: float, whose: str | None = None) -> None:
        """Hold back every exchange of a user that has not begun, in all processes; see Pace."""
        bucket = self._lines.user(whose)
        until = self._clock.monotonic() + seconds
        if until > bucket.paused_until:
            bucket.paused_until = until
            self._untold.add(bucket)
            self._wake.set()

    def succeeded(self, key: str | None, began: float, latency: float) -> None:
        """Learn how long an exchange took; see Pace."""
        self._local.succeeded(key, began, latency)

    def refused(self, began: float) -> None:
        """Learn that an exchange was one too many; see Pace."""
        self._local.refused(began)

    def remain(self, count: int, began: float, whose: str | None = None) -> None:
        """Learn how many exchanges remain; see Pace."""
        self._local.remain(count, began, whose)

    async def _keep_attending(self) -> None:
        """Tell the server from time to time that this process lives, and at once whom it has to hold back."""
        while True:
            with self._clock.timeout(self._interval()):
                await self._wake.wait()
            self._wake = anyio.Event()
            await self._attend()

    def _interval(self) -> float:
        if self.away:
            return _REST * (0.5 + self._clock.random())
        calm = self._lease / 3
        return calm if self._leases.most is None else min(calm, self._leases.longest_poll)

    async def _ask_for_slots(self) -> None:
        self._check_open()
        await self._attend()

    async def _attend(self) -> None:
        await run_in_child(self._told, shield=True)

    async def _told(self) -> Attendance | Trouble:
        """Tell what this process knows and needs; return what the server said."""
        async with self._attending:
            ends = self._clock.monotonic() + self._lease
            report = self._leases.report()
            answer = await self._heard(partial(self._server.attend, self._names, self._who, self._lease, report))
            if isinstance(answer, Trouble):
                self._leases.granted(self._leases.part(self.processes), ends, self.processes)
                return answer
            self._outage.reckon(answer.fleet, self._clock.monotonic(), self._lease)
            if self._met and not answer.known and not self._returns():  # it lost what it knew
                self._rejoin(self._leases.running)
            self._met = True
            slots = min(answer.slots, self._slots_meanwhile) if self._returns() else answer.slots
            self._leases.granted(slots, ends, self.processes)
            await self._tell_pauses()
            return answer

    def _rejoin(self, slots: int) -> None:
        """Keep to this process's part until the others have noticed as well, and tell again what holds users back."""
        now = self._clock.monotonic()
        self._slots_meanwhile = slots
        self._returning_until = now + max(1.5 * _REST, self._leases.longest_poll) + 2 * self._patience
        self._untold |= {bucket for bucket in self._lines.buckets.values() if bucket.paused_until > now}

    async def _tell_pauses(self) -> None:
        for bucket in tuple(self._untold):
            self._untold.discard(bucket)  # first, because another pause may begin meanwhile
            rest = bucket.paused_until - self._clock.monotonic()
            if rest > 0 and await self._heard(partial(self._server.pause, bucket.name, rest)) is not None:
                self._untold.add(bucket)
                return

    async def _heard(self, question: Callable[[], Awaitable[T | Trouble]]) -> T | Trouble:
        """Return the server's answer, having noted whether there was one."""
        try:
            answer = await question()
        except Exception as error:  # noqa: BLE001 - of a foreign client; what goes wrong there must stop no call
            answer = Trouble(f"Redis at {self._server.place}: {type(error).__name__}", down=True)
        if not isinstance(answer, Trouble):
            if self.away:
                self.away = False
                self._rejoin(self._leases.part(self.processes))
                logger.info("Redis at %s is back", self._server.place)
        elif not self.away:
            self.away = True
            self._outage.begin(self._clock.monotonic())
            self._wake.set()
            values = (answer.message, self.processes)
            if answer.down or self._children.open:  # whoever refuses us at the beginning is told by an error
                logger.warning(
                    "%s; until it is back this process goes on with its part of the rate, one of %d", *values
                )
        return answer


def _check_welcome(answer: Attendance | Trouble) -> None:
    if isinstance(answer, Trouble) and not answer.down:
        raise ConfigurationError(answer.message)


def _check(per_user: Any, per_organization: Any, prefix: Any) -> None:
    given = [per_user] if per_organization is None else [per_user, per_organization]
    for rate in given:
        if not isinstance(rate, RateLimit) or rate.per_minute < rate.burst + 1:
            msg = "a cap of a fleet is a RateLimit whose per_minute is more than its burst"
            raise ConfigurationError(msg)
    if not isinstance(prefix, str) or not prefix:
        msg = "prefix must be a text that is not empty"
        raise ConfigurationError(msg)


def _check_times(lease: Any, patience: Any) -> None:
    if {type(lease), type(patience)} - {int, float} or not 0 < 4 * patience <= lease < math.inf:
        msg = "patience must be more than 0 s, and lease at least four times as much"
        raise ConfigurationError(msg)
