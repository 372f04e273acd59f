"""When a call is sent again: the settings around the verdict, with room for tenacity objects of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.operation import Safety
from tallyfy_async.protocol.verdict import After, RetryLimits, Verdict, may_resend, verdict

if TYPE_CHECKING:
    from tenacity.retry import retry_base
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base


@frozen(kw_only=True)
class RetryPolicy:
    """When a call is sent again, and how long to wait before. Times in seconds.

    The numbers shape the built-in policy. tenacity objects of your own replace its parts: ``stop`` the number of
    attempts, ``wait`` the back-off (a longer ``Retry-After`` still wins), ``retry`` the choice of failures. None of
    them can send a write again that may have landed, wait for longer than ``retry_after_cap`` on the server's word, or
    go beyond the call's deadline.

    Attributes:
        attempts: sends of one call in all, the first included.
        initial: back-off before the second attempt; it doubles from attempt to attempt, with jitter.
        maximum: largest back-off.
        retry_after_cap: a call whose server asks for a longer wait fails at once with RateLimitError, and until then so
            do the calls of the same user, unsent; the rest of a wait that is short enough is waited for.
        budget: share of all calls, over everything that shares the client's connections, that may be sent again after
            the server failed or its reply was lost; None for no bound. Five retries for each connection, at least ten,
            are saved up, so that small programs and short outages do not meet it; where it is used up, a failure is
            raised at once. A 429 and a request that was never sent cost nothing: the one pauses everybody anyway, the
            other gave the server no work.
        stop: a tenacity stop object.
        wait: a tenacity wait object.
        retry: a tenacity retry object.

    Raises ConfigurationError for numbers out of range.
    """

    attempts: int = 4
    initial: float = 0.5
    maximum: float = 8.0
    retry_after_cap: float = 60.0
    budget: float | None = 0.2
    stop: stop_base | None = None
    wait: wait_base | None = None
    retry: retry_base | None = None

    def __attrs_post_init__(self) -> None:
        times = (self.initial, self.maximum, self.retry_after_cap)
        if type(self.attempts) is not int or self.attempts < 1 or not all(_is_time(seconds) for seconds in times):
            msg = "RetryPolicy needs attempts >= 1 and times that are not negative"
            raise ConfigurationError(msg)
        if self.budget is not None and not (_is_time(self.budget) and self.budget <= 1):
            msg = "RetryPolicy needs a budget between 0 and 1, or None"
            raise ConfigurationError(msg)

    @classmethod
    def of(cls, value: RetryPolicy | int) -> RetryPolicy:
        """Return a policy; an int is the number of retries after the first attempt, 0 for none."""
        if isinstance(value, RetryPolicy):
            return value
        if type(value) is not int or value < 0:
            msg = "retry must be a RetryPolicy or a number of retries, 0 or more"
            raise ConfigurationError(msg)
        return cls(attempts=value + 1)

    def for_call(self, value: RetryPolicy | int | None) -> RetryPolicy:
        """Return the policy of one call: an int changes the number of retries, in the place of ``stop`` too."""
        if value is None or isinstance(value, RetryPolicy):
            return self if value is None else value
        return evolve(self, attempts=value + 1, stop=None)

    def backoff(self, attempt: int) -> float:
        """Return the seconds of the built-in back-off after so many sends, 1 or more, before jitter."""
        return min(self.maximum, self.initial * 2.0 ** min(attempt - 1, 60))

    def judge(self, safety: Safety, failure: BaseException, attempt: int, remaining: float, jitter: float) -> Verdict:
        """Say whether the policy lets a call with this failure go on, and after how long by its own back-off."""
        attempts = self.attempts if self.stop is None else attempt + 1
        limits = RetryLimits(
            attempts=attempts, initial=self.initial, maximum=self.maximum, retry_after_cap=self.retry_after_cap
        )
        decision = verdict(safety, failure, attempt, limits, remaining, jitter)
        if self.retry is None or isinstance(decision, After) or attempt >= attempts:
            return decision
        if not _can_ask(safety, failure, self.retry_after_cap):
            return decision
        return After(self.backoff(attempt))


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _can_ask(safety: Safety, failure: BaseException, cap: float) -> bool:
    """Whether the user's own retry object may choose: reads always, writes only where nothing can happen twice."""
    asked = getattr(failure, "retry_after", None)
    return (safety is Safety.SAFE or may_resend(safety, failure)) and (asked is None or asked <= cap)
