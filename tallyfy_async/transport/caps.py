"""Hourly caps of an organization: what was refused for one is not sent again before its time."""

from __future__ import annotations

from collections import deque

from attrs import define, field

from tallyfy_async.errors import Outcome, RateLimitError
from tallyfy_async.protocol.limits import HOUR, HOURLY_CAPS, action_of, resumes_at
from tallyfy_async.transport.clock import Clock

_LEASE = 5.0
"""Seconds for which the first call after a refusal's time goes alone: one place may be free, or none."""
_REMEMBERED = 1000

_Key = tuple[str, str]
"""Organization and gate: the capped action, or the id of an operation that met a cap nobody knows."""


@define(eq=False)
class _Hold:
    since: float
    """On the monotonic clock, as ``until``."""
    until: float
    told: bool
    """Whether the server said when, or only we think so."""
    error: RateLimitError


@define(eq=False)
class HourlyCaps:
    """What is known of the hourly caps that calls met. It never refuses on its own count, only on the server's word."""

    clock: Clock
    _holds: dict[_Key, _Hold] = field(factory=dict[_Key, _Hold], init=False)
    _landed: dict[_Key, deque[float]] = field(factory=dict[_Key, deque[float]], init=False)

    def check(self, operation: str, organization: str | None) -> None:
        """Raise RateLimitError, with outcome NOT_SENT, for a call whose action is not allowed again yet.

        When that time has come, one call goes through; the others wait until it landed, or for five seconds.
        """
        if not self._holds or organization is None:
            return
        hold = self._holds.get((organization, _gate(operation)))
        if hold is None:
            return
        now = self.clock.monotonic()
        if now >= hold.until:
            hold.until, hold.told = now + _LEASE, True
            return
        raise self._refusal(hold, hold.until - now)

    def landed(self, operation: str, organization: str | None, began: float) -> None:
        """Learn that a call which began then did its work: its action counts, and is allowed again if it was not.

        A call that was under way when another one was refused says nothing of what is allowed since.
        """
        action = action_of(operation)
        if organization is None or (action is None and not self._holds):
            return
        key = (organization, action or operation)
        hold = self._holds.get(key)
        if hold is not None and began >= hold.since:
            del self._holds[key]
        if action is not None:
            now = self.clock.monotonic()
            record = self._landed.setdefault(key, deque(maxlen=_REMEMBERED))
            record.append(now)
            _forget(record, now)

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
            now = self.clock.monotonic()
            self._holds[organization, gate] = _Hold(now, now + rest, error.retry_after is not None, error.twin())

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
        error.outcome = Outcome.NOT_SENT
        error.retry_after = rest if hold.told else None
        error.resumes_at = resumes_at(self.clock.time(), rest)
        error.add_note(f"Not sent: the server refused {error.action or 'this'} for this organization until then.")
        return error


def _gate(operation: str) -> str:
    return action_of(operation) or operation


def _forget(record: deque[float], now: float) -> None:
    while record and record[0] <= now - HOUR:
        record.popleft()
