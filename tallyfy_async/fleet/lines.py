"""Lines: the calls of one process that wait for the same buckets, first come, first served."""

from __future__ import annotations

from collections import deque
from functools import partial

import anyio
from attrs import define, field, frozen

from tallyfy_async.fleet.decisions import HORIZON, Asked, Verdict
from tallyfy_async.transport.limiter import RateLimit

_LONG_AGO = float("-inf")


def interval_of(rate: RateLimit, patience: float) -> float:
    """Return the seconds between calls at which a bucket keeps a cap in every rolling minute.

    A full bucket and a minute of its refilling, with what comes late on our side and on the way, make the cap.
    """
    return (60.0 + 2 * patience) / (rate.per_minute - rate.burst)


@define(eq=False)
class Bucket:
    """What this process knows of the cap of one user or one organization; times are those of the monotonic clock.

    Attributes:
        name: its name on the server.
        interval: seconds from one call to the next.
        burst: calls that may begin at once.
        due: when the next call may begin while the server is away.
        outage: the last outage in which it was used, 0 for none since the server was asked.
        paused_until: the end of a pause that the server told this process by a 429.

    """

    name: str
    interval: float
    burst: int
    due: float = field(default=_LONG_AGO, init=False)
    outage: int = field(default=0, init=False)
    paused_until: float = field(default=_LONG_AGO, init=False)

    def asked(self) -> Asked:
        """Return what is asked of the server."""
        return Asked(name=self.name, interval=self.interval, burst=self.burst, spent=bool(self.outage))

    def matters(self, now: float) -> bool:
        """Whether something is known of it that the server does not know."""
        return bool(self.outage) or self.paused_until > now


@define
class Outage:
    """The time without the server: which one it is, since when, and for how many processes each one counts."""

    number: int = 0
    began: float = _LONG_AGO
    fleet: int = 1


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
            bucket.outage = 0
        self.turns.extend(Turn(now + wait, sent + wait + patience) for wait in verdict.waits)
        self.waited = not verdict.waits
        self.again = now + verdict.again if self.waited else _LONG_AGO

    def take_share(self, outage: Outage, now: float, jitter: float, patience: float) -> None:
        """Take a turn of this process's share of the rate, or note when there will be one.

        The first one of an outage comes an interval after those that the server may have granted ahead.
        """
        for bucket in self.buckets:
            if bucket.outage != outage.number:
                bucket.outage = outage.number
                bucket.due = max(bucket.due, outage.began + HORIZON + bucket.interval * outage.fleet * (1 + jitter))
        due = max(now, *(max(bucket.due, bucket.paused_until) for bucket in self.buckets))
        self.waited, self.again = False, due
        if due <= now + HORIZON:
            self.turns.append(Turn(due, due + patience))
            for bucket in self.buckets:
                bucket.due = max(bucket.due, due) + bucket.interval * outage.fleet

    @property
    def idle(self) -> bool:
        """Whether nobody would miss it."""
        return not (self.waiting or self.turns)
