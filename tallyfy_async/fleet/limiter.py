"""One pace for all processes of a fleet, by a Redis or Valkey server; redis.asyncio, so asyncio only."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, Self, SupportsIndex, TypeVar

import anyio

from tallyfy_async.auth.stores.redis_commands import Trouble, accepted, connected
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.fleet.decisions import Attendance, Decisions, RedisDecisions, Verdict
from tallyfy_async.fleet.leases import Leases
from tallyfy_async.fleet.lines import Bucket, Line, Outage, Turn, interval_of
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
_RETURN: Final = 2.0
"""Seconds for which a process keeps to its part when the server is back: by then the others have noticed as well."""
_ROUND: Final = 0.25
"""Seconds after which slots that are used no more are given back, in fleets of up to fifty."""
_MANY_LINES: Final = 1000
"""Users in organizations that are kept before those are forgotten for whom nobody waits."""
_LONG_AGO: Final = float("-inf")


class RedisLimiter:
    """The pace of a client, shared with every process that uses the same server and ``prefix``.

    Each user has a bucket of calls, and each organization too if you cap it: in no rolling minute do all processes
    together begin more than the cap. A 429 that one process gets holds its user back in all of them. While the server
    is away each process goes on with its equal part of the rate, says so once in the log, and returns by itself.

    Use it as ``async with RedisLimiter(url) as limiter``, entered and left by one task, and give it to clients:
    ``TallyfyClient(auth, limiter=limiter)``. It outlives them. All processes give the same caps and slots.

    Args:
        client: a ``redis.asyncio.Redis``, which stays the caller's, or a URL such as ``rediss://user:password@host/0``.
        per_user: the cap of each user, 600 in a minute if not given (contract: identity notes, "Rate limits"); it
            includes the burst.
        per_organization: the cap of each organization, whoever calls; None for none.
        at_once: exchanges of the whole fleet at once; None for no end. A process that dies frees its own when its
            ``lease`` ends.
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
        _check(per_user, per_organization)
        _check_numbers(at_once=at_once, slots=slots, processes=processes)
        _check_times(lease, patience)
        self._owned = isinstance(client, Secret)
        opened = connected(client) if isinstance(client, Secret) else accepted(client)
        self._server: Decisions = RedisDecisions(opened, clock, patience)
        self._rates = (per_user, per_organization)
        self._lease, self._patience, self._clock = lease, patience, clock
        self._prefix = f"{{{prefix}:pace}}"
        self._names = (f"{self._prefix}:members", f"{self._prefix}:slots")
        self._local = Limiter(slots, clock)
        self._leases = Leases(at_once, clock, self._ask_for_slots)
        self._lines: dict[tuple[str | None, str | None], Line] = {}
        self._buckets: dict[str, Bucket] = {}
        self._who = secrets.token_hex(8)
        self._guard = LoopGuard()
        self._children = Children()
        self._attending = anyio.Lock()
        self._wake = anyio.Event()
        self._untold: set[Bucket] = set()
        self._outage = Outage(fleet=processes)
        self._fewer_since: float | None = None
        self._met = False
        self._alone_until = _LONG_AGO
        self._many = _MANY_LINES
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
        answer = await run_in_child(self._told, shield=True)
        if isinstance(answer, Trouble) and not answer.down:
            await run_in_child(self._leave, shield=True)
            raise ConfigurationError(answer.message)
        await self._children.__aenter__()
        self._children.start(self._keep_attending)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the fleet, and close the connections that this limiter opened; a client that was given stays open."""
        self._guard.closed = True
        await self._children.__aexit__(None, None, None)
        await run_in_child(self._leave, shield=True)

    async def _leave(self) -> None:
        if not self.away:
            await self._heard(partial(self._server.leave, self._names, self._who))
        if self._owned:
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
        line = self._line(whose, organization)
        line.waiting += 1
        try:
            async with line.lock:
                while not await self._begins(line):
                    pass
        finally:
            line.waiting -= 1

    def _check_open(self) -> None:
        if not self._children.open or self._guard.closed:
            self._guard.check()
            msg = "enter the RedisLimiter first: async with RedisLimiter(…) as limiter"
            raise ConfigurationError(msg)

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
        sent = self._clock.monotonic()
        if not self.away and sent >= self._alone_until:
            buckets = [bucket.asked() for bucket in line.buckets]
            decide = partial(self._server.decide, self._names[0], buckets, line.waiting, waited=line.waited)
            answer = await self._heard(decide)
            if isinstance(answer, Verdict):
                self._reckon(answer.fleet)
                line.heard(answer, sent, self._clock.monotonic(), self._patience)
                return
        line.take_share(self._outage, self._clock.monotonic(), self._clock.random(), self._patience)

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
        bucket = self._bucket("user", whose or "", self._rates[0])
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

    def _line(self, whose: str | None, organization: str | None) -> Line:
        per_user, per_organization = self._rates
        key = (whose, None if per_organization is None else organization)
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) >= self._many:
                self._forget()
            buckets = [self._bucket("user", whose or "", per_user)]
            if per_organization is not None and organization is not None:
                buckets.append(self._bucket("organization", organization, per_organization))
            line = self._lines[key] = Line(tuple(buckets))
        return line

    def _bucket(self, kind: str, who: str, rate: RateLimit) -> Bucket:
        name = f"{self._prefix}:{kind}:{hashlib.sha256(who.encode()).hexdigest()}"
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(name, interval_of(rate, self._patience), rate.burst)
        return bucket

    def _forget(self) -> None:
        """Forget lines in which nobody waits, and buckets of theirs that hold nobody back."""
        self._lines = {key: line for key, line in self._lines.items() if not line.idle}
        self._many = max(_MANY_LINES, 2 * len(self._lines))
        used = {bucket.name for line in self._lines.values() for bucket in line.buckets}
        now = self._clock.monotonic()
        self._buckets = {name: one for name, one in self._buckets.items() if name in used or one.matters(now)}

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
        return calm if self._leases.most is None else min(calm, _ROUND * max(1.0, self.processes / 50))

    async def _ask_for_slots(self) -> None:
        self._check_open()
        await self._attend()

    async def _attend(self) -> None:
        await run_in_child(self._told, shield=True)

    async def _told(self) -> Attendance | Trouble:
        """Tell what this process knows and needs; return what the server said."""
        async with self._attending:
            sent = self._clock.monotonic()
            slots = self._leases.report()
            answer = await self._heard(partial(self._server.attend, self._names, self._who, self._lease, slots))
            if isinstance(answer, Trouble):
                self._leases.granted(max(1, (self._leases.most or 0) // self.processes), sent + self._lease)
                return answer
            self._reckon(answer.fleet)
            self._leases.granted(answer.slots, sent + self._lease)
            if self._met and not answer.known:  # it lost what it knew
                self._untold |= set(self._buckets.values())
            self._met = True
            await self._tell_pauses()
            return answer

    async def _tell_pauses(self) -> None:
        for bucket in tuple(self._untold):
            rest = bucket.paused_until - self._clock.monotonic()
            if rest > 0 and await self._heard(partial(self._server.pause, bucket.name, rest)) is not None:
                return
            self._untold.discard(bucket)

    async def _heard(self, question: Callable[[], Awaitable[T | Trouble]]) -> T | Trouble:
        """Return the server's answer, having noted whether there was one."""
        try:
            answer = await question()
        except Exception as error:  # noqa: BLE001 - of a foreign client; what goes wrong there must stop no call
            answer = Trouble(f"Redis at {self._server.place}: {type(error).__name__}", down=True)
        if not isinstance(answer, Trouble):
            if self.away:
                self.away, self._alone_until = False, self._clock.monotonic() + _RETURN
                logger.info("Redis at %s is back", self._server.place)
        elif not self.away:
            self.away = True
            self._outage.number, self._outage.began = self._outage.number + 1, self._clock.monotonic()
            self._wake.set()
            values = (answer.message, self.processes)
            logger.warning("%s; until it is back this process goes on with its part of the rate, one of %d", *values)
        return answer

    def _reckon(self, fleet: int) -> None:
        """Note how many processes there are; fewer count when they have been fewer for the time of a lease."""
        now = self._clock.monotonic()
        if fleet >= self._outage.fleet:
            self._outage.fleet, self._fewer_since = fleet, None
        elif self._fewer_since is None:
            self._fewer_since = now
        elif now - self._fewer_since > self._lease:
            self._outage.fleet, self._fewer_since = fleet, None


def _check(per_user: object, per_organization: object) -> None:
    given = [per_user] if per_organization is None else [per_user, per_organization]
    for rate in given:
        if not isinstance(rate, RateLimit) or rate.per_minute < rate.burst + 1:
            msg = "a cap of a fleet is a RateLimit whose per_minute is more than its burst"
            raise ConfigurationError(msg)


def _check_numbers(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if (name != "at_once" or number is not None) and (type(number) is not int or number < 1):
            msg = f"{name} must be a whole number of at least 1"
            raise ConfigurationError(msg)


def _check_times(lease: float, patience: float) -> None:
    if not 0 < 4 * patience <= lease < float("inf"):
        msg = "patience must be more than 0 s, and lease at least four times as much"
        raise ConfigurationError(msg)
