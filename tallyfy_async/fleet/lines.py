"""Lines: the calls of one process that wait for the same buckets, first come, first served."""

from __future__ import annotations

import hashlib
from collections import deque
from functools import partial

import anyio
from attrs import define, field, frozen

from tallyfy_async.fleet.decisions import HORIZON, Asked, Verdict
from tallyfy_async.transport.limiter import RateLimit

_MANY = 1000
"""Users in organizations that are kept before those are forgotten for whom nobody waits."""
_PLENTY = 1e9
_LONG_AGO = float("-inf")


def interval_of(rate: RateLimit, patience: float) -> float:
    """Return the seconds between calls at which a bucket keeps a cap in every rolling minute.

    A full bucket and a minute of its refilling, with what comes late on our side and on the way, make the cap.
    """
    return _minute(patience) / (rate.per_minute - rate.burst)


def _minute(patience: float) -> float:
    """Return the seconds within which calls may be let in that reach the server in one minute."""
    return 60.0 + 2 * patience


@define(eq=False)
class Bucket:
    """What this process knows of the cap of one user or one organization; times are those of the monotonic clock.

    Attributes:
        name: its name on the server.
        rate: the cap.
        patience: seconds that a call may begin late.
        interval: seconds from one call to the next.
        due: when the next call of this process's part may begin.
        outage: the last outage in which it was used.
        spent: whether it was used since without the server's knowing.
        paused_until: the end of a pause that the server told this process by a 429.

    """

    name: str
    rate: RateLimit
    patience: float
    interval: float = field(init=False)
    due: float = field(default=_LONG_AGO, init=False)
    outage: int = field(default=0, init=False)
    spent: bool = field(default=False, init=False)
    paused_until: float = field(default=_LONG_AGO, init=False)

    def __attrs_post_init__(self) -> None:
        self.interval = interval_of(self.rate, self.patience)

    def asked(self) -> Asked:
        """Return what is asked of the server."""
        return Asked(name=self.name, interval=self.interval, burst=self.rate.burst, spent=self.spent)

    def interval_of_part(self, fleet: int) -> float:
        """Return the seconds between calls at which so many processes together keep the cap without a server.

        Each makes no more than its whole part of the calls of a minute, whenever it begins; with more processes than
        calls in a minute that is one, and only the rate holds.
        """
        whole = max(1.0, min(self.rate.per_minute, _PLENTY) // fleet)
        return max(fleet * self.interval, _minute(self.patience) / whole)

    def matters(self, now: float) -> bool:
        """Whether something is known of it that the server does not know, and that is not long past."""
        return max(self.paused_until, self.due + self.rate.burst * self.interval) > now


@define
class Outage:
    """The time without the server: which one it is, since when, and for how many processes each one counts."""

    number: int = 0
    began: float = _LONG_AGO
    fleet: int = 1
    _fewer_since: float | None = field(default=None, init=False)

    def begin(self, now: float) -> None:
        """Note that the server is away from now on."""
        self.number, self.began = self.number + 1, now

    def reckon(self, fleet: int, now: float, lease: float) -> None:
        """Note how many processes there are; fewer count when they have been fewer for the time of a lease."""
        if fleet >= self.fleet:
            self.fleet, self._fewer_since = fleet, None
        elif self._fewer_since is None:
            self._fewer_since = now
        elif now - self._fewer_since > lease:
            self.fleet, self._fewer_since = fleet, None


@frozen
class Turn:
    """When a call may begin, and until when."""

    due: float
    ends: float


@define(eq=False)
class Line:
    """Those who wait for the same buckets: of one user, or of one user in one organization.

    Attributes:
        buckets: what they wait for.
        lock: whoever holds it is first.
        waiting: how many there are, the first included.
        turns: what was granted and is still to be used.
        again: when to ask again, because the server named that time.
        waited: whether it did.

    """

    buckets: tuple[Bucket, ...]
    lock: anyio.Lock = field(factory=partial(anyio.Lock, fast_acquire=True), init=False)
    waiting: int = field(default=0, init=False)
    turns: deque[Turn] = field(factory=deque[Turn], init=False)
    again: float = field(default=_LONG_AGO, init=False)
    waited: bool = field(default=False, init=False)

    def rests_until(self) -> float:
        """Return when it makes sense to take a slot."""
        paused = max(bucket.paused_until for bucket in self.buckets)
        return paused if self.turns and self.turns[-1].due >= paused else max(paused, self.again)

    def first_turn(self, now: float) -> Turn | None:
        """Return the next turn that is not over nor within a pause, None where there is none."""
        paused = max(bucket.paused_until for bucket in self.buckets)
        while self.turns and (self.turns[0].ends < now or self.turns[0].due < paused):
            self.turns.popleft()
        return self.turns[0] if self.turns else None

    def heard(self, verdict: Verdict, sent: float, now: float, patience: float) -> None:
        """Take what the server answered to a question that was sent then. Its time lies between ``sent`` and now."""
        for bucket in self.buckets:
            bucket.spent = False
        self.turns.extend(Turn(now + wait, sent + wait + patience) for wait in verdict.waits)
        self.waited = not verdict.waits
        self.again = now + verdict.again if self.waited else _LONG_AGO

    def part_due(self, outage: Outage, now: float, jitter: float) -> float:
        """Return when the next call of this process's part of the rate may begin.

        The first one of an outage comes an interval after those that the server may have granted ahead.
        """
        for bucket in self.buckets:
            if bucket.outage != outage.number:
                bucket.outage = outage.number
                wait = HORIZON + bucket.interval_of_part(outage.fleet) * (1 + jitter)
                bucket.due = max(bucket.due, outage.began + wait)
        return max(now, *(max(bucket.due, bucket.paused_until) for bucket in self.buckets))

    def use_part(self, outage: Outage, due: float) -> None:
        """Note that a call of this process's part begins then."""
        for bucket in self.buckets:
            bucket.due = max(bucket.due, due) + bucket.interval_of_part(outage.fleet)

    def take_part(self, outage: Outage, now: float, jitter: float, patience: float) -> None:
        """Take a turn of this process's part of the rate without the server, or note when there will be one."""
        due = self.part_due(outage, now, jitter)
        self.waited, self.again = False, due
        if due <= now + HORIZON:
            self.turns.append(Turn(due, due + patience))
            self.use_part(outage, due)
            for bucket in self.buckets:
                bucket.spent = True

    def idle(self, now: float) -> bool:
        """Whether nobody would miss it."""
        return not self.waiting and all(turn.ends < now for turn in self.turns)


@define(eq=False)
class Lines:
    """The lines and the buckets of a process; those that nobody would miss are forgotten.

    Attributes:
        prefix: begins the buckets' names on the server.
        per_user: the cap of each user.
        per_organization: the cap of each organization, None for none.
        patience: seconds that a call may begin late.
        lines: by user and, if organizations are capped, organization.
        buckets: by name.

    """

    prefix: str
    per_user: RateLimit
    per_organization: RateLimit | None
    patience: float
    lines: dict[tuple[str | None, str | None], Line] = field(
        factory=dict[tuple[str | None, str | None], Line], init=False
    )
    buckets: dict[str, Bucket] = field(factory=dict[str, Bucket], init=False)
    _many: int = field(default=_MANY, init=False)

    def line(self, whose: str | None, organization: str | None, now: float) -> Line:
        """Return the line of a user in an organization."""
        key = (whose, None if self.per_organization is None else organization)
        line = self.lines.get(key)
        if line is None:
            if len(self.lines) >= self._many:
                self._forget(now)
            buckets = [self.user(whose)]
            if self.per_organization is not None and organization is not None:
                buckets.append(self._bucket("organization", organization, self.per_organization))
            line = self.lines[key] = Line(tuple(buckets))
        return line

    def user(self, whose: str | None) -> Bucket:
        """Return the bucket of a user."""
        return self._bucket("user", whose or "", self.per_user)

    def _bucket(self, kind: str, who: str, rate: RateLimit) -> Bucket:
        name = f"{self.prefix}:{kind}:{hashlib.sha256(who.encode()).hexdigest()}"
        bucket = self.buckets.get(name)
        if bucket is None:
            bucket = self.buckets[name] = Bucket(name, rate, self.patience)
        return bucket

    def _forget(self, now: float) -> None:
        self.lines = {key: line for key, line in self.lines.items() if not line.idle(now)}
        self._many = max(_MANY, 2 * len(self.lines))
        used = {bucket.name for line in self.lines.values() for bucket in line.buckets}
        self.buckets = {name: one for name, one in self.buckets.items() if name in used or one.matters(now)}
