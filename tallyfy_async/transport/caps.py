"""What the server refuses for longer than a call may wait: it is not sent again before its time.

That is an action of an organization that met its hourly cap, and everything of a user after a 429 with a long wait.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator

from attrs import define, field

from tallyfy_async.errors import Outcome, RateLimitError
from tallyfy_async.protocol.limits import HOUR, HOURLY_CAPS, action_of, resumes_at
from tallyfy_async.transport.clock import Clock

_LEASE = 5.0
"""Seconds for which the first call after a refusal's time goes alone: one place may be free, or none."""
_REMEMBERED = 1000

_SWEEP = 600.0
"""Seconds after which what is over for long is looked for and forgotten."""
_EVERYTHING = ""

_Key = tuple[str, str]
"""Organization and gate: the capped action, or the id of an operation that met a cap nobody knows.

Or whose token, and everything.
"""


@define(eq=False)
class _Hold:
    since: float
    """On the monotonic clock, as ``until``."""
    until: float
    told: bool
    """Whether the server said when, or only we think so."""
    error: RateLimitError
    first: weakref.ref[object] | None = None
    """The call that goes first when the time is over; what it sends again goes under the same leave."""

    def stops(self, caller: object, now: float) -> bool:
        return now < self.until and (self.first is None or self.first() is not caller)

    def let_in(self, caller: object, now: float) -> None:
        self.until, self.told, self.first = now + _LEASE, True, weakref.ref(caller)


@define(eq=False)
class HourlyCaps:
    """What is known of caps and long waits that calls met. It refuses on the server's word, never on its own count."""

    clock: Clock
    _holds: dict[_Key, _Hold] = field(factory=dict[_Key, _Hold], init=False)
    _landed: dict[_Key, deque[float]] = field(factory=dict[_Key, deque[float]], init=False)
    _sweep_at: float = field(default=float("-inf"), init=False)

    @property
    def idle(self) -> bool:
        """Whether nobody is held, so that there is nothing to check."""
        return not self._holds

    def check(
        self, operation: str, organization: str | None, whose: str | None, caller: object, *, claim: bool = True
    ) -> None:
        """Raise RateLimitError, with outcome NOT_SENT, for a call that is not allowed again yet.

        When that time has come, one caller goes first, which is the one that asks with ``claim``; the others wait until
        the server let it pass, or for five seconds.
        """
        now = self.clock.monotonic()
        holds = [hold for key in _keys(operation, organization, whose) if (hold := self._holds.get(key)) is not None]
        for hold in holds:
            if hold.stops(caller, now):
                raise self._refusal(hold, hold.until - now)
        if claim:
            for hold in holds:
                hold.let_in(caller, now)

    def passed(self, whose: str | None, began: float) -> None:
        """Learn that the server did not refuse a call that began then for being one too many."""
        if whose is not None:
            self._lift((whose, _EVERYTHING), began)

    def landed(self, operation: str, organization: str | None, began: float) -> None:
        """Learn that a call which began then did its work: its action counts, and is allowed again if it was not.

        A call that was under way when another one was refused says nothing of what is allowed since.
        """
        action = action_of(operation)
        if organization is None or (action is None and not self._holds):
            return
        key = (organization, action or operation)
        self._lift(key, began)
        if action is not None:
            now = self.clock.monotonic()
            self._landed.setdefault(key, deque(maxlen=_REMEMBERED)).append(now)
            self._sweep(now)

    def reached(self, error: RateLimitError, operation: str, organization: str | None) -> None:
        """Learn that an organization met an hourly cap, and complete the error with the time at which it ends.

        That is what the server says; else when the oldest call of our own record leaves the hour; else in an hour.
        """
        action = error.action or operation
        gate = action if action in HOURLY_CAPS else _gate(operation)
        rest = error.retry_after
        if rest is None:
            rest = self._rest(error, (organization or "", action))
            error.resumes_at = resumes_at(self.clock.time(), rest)
        if organization is not None:
            self._hold((organization, gate), error, rest)

    def told_to_wait(self, error: RateLimitError, whose: str | None) -> None:
        """Learn that the server refuses everything of a user for longer than its callers want to wait.

        Without ``whose`` it holds nobody: requests for tokens are held by their manager.
        """
        if whose is not None and error.retry_after is not None:
            self._hold((whose, _EVERYTHING), error, error.retry_after)

    def _hold(self, key: _Key, error: RateLimitError, rest: float) -> None:
        now = self.clock.monotonic()
        self._sweep(now)
        self._holds[key] = _Hold(now, now + rest, error.retry_after is not None, error.twin())

    def _lift(self, key: _Key, began: float) -> None:
        hold = self._holds.get(key)
        if hold is not None and began >= hold.since:
            del self._holds[key]

    def _sweep(self, now: float) -> None:
        """Forget, now and then, calls of more than an hour ago and waits that were over then."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP
        self._holds = {key: hold for key, hold in self._holds.items() if now < hold.until + HOUR}
        for record in self._landed.values():
            _forget(record, now)
        self._landed = {key: record for key, record in self._landed.items() if record}

    def _rest(self, error: RateLimitError, key: _Key) -> float:
        now, record = self.clock.monotonic(), self._landed.get(key)
        if record is not None:
            _forget(record, now)
        if not record:
            return HOUR
        leaves = max(0, len(record) - (error.limit or len(record)))
        return record[min(leaves, len(record) - 1)] + HOUR - now

    def _refusal(self, hold: _Hold, rest: float) -> RateLimitError:
        error = hold.error.twin()
        error.outcome, error.request_id = Outcome.NOT_SENT, None
        error.retry_after = rest if hold.told else None
        error.resumes_at = resumes_at(self.clock.time(), rest)
        what = "everything" if error.action is None else f"{error.action} for this organization"
        error.add_note(f"Not sent: the server refused {what} until then.")
        return error


def _keys(operation: str, organization: str | None, whose: str | None) -> Iterator[_Key]:
    if organization is not None:
        yield organization, _gate(operation)
    if whose is not None:
        yield whose, _EVERYTHING


def _gate(operation: str) -> str:
    return action_of(operation) or operation


def _forget(record: deque[float], now: float) -> None:
    while record and record[0] <= now - HOUR:
        record.popleft()
