"""Retry policies: tenacity's stop, wait and retry objects around the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import define, field, frozen
from tenacity import AsyncRetrying, RetryCallState, stop_any
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.operation import Safety
from tallyfy_async.protocol.verdict import After, RetryLimits, Stop, Verdict, may_resend, verdict
from tallyfy_async.transport.clock import Clock

T = TypeVar("T")


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
        retry_after_cap: a call whose server asks for a longer wait fails at once with RateLimitError.
        stop: a tenacity stop object.
        wait: a tenacity wait object.
        retry: a tenacity retry object.

    Raises ConfigurationError for numbers out of range.
    """

    attempts: int = 4
    initial: float = 0.5
    maximum: float = 8.0
    retry_after_cap: float = 60.0
    stop: stop_base | None = None
    wait: wait_base | None = None
    retry: retry_base | None = None

    def __attrs_post_init__(self) -> None:
        if self.attempts < 1 or min(self.initial, self.maximum, self.retry_after_cap) < 0:
            msg = "RetryPolicy needs attempts >= 1 and times that are not negative"
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
        return After(min(self.maximum, self.initial * 2.0 ** min(attempt - 1, 60)))


def _can_ask(safety: Safety, failure: BaseException, cap: float) -> bool:
    """Whether the user's own retry object may choose: reads always, writes only where nothing can happen twice."""
    asked = getattr(failure, "retry_after", None)
    return (safety is Safety.SAFE or may_resend(safety, failure)) and (asked is None or asked <= cap)


@define(eq=False)
class Retrying:
    """The retries of one call, entered on its first failure.

    Attributes:
        policy: what is allowed.
        safety: of the operation.
        clock: sleeps and jitters.
        remaining: returns the seconds left of the deadline.
        noted: hears of each failure and of the seconds until the next attempt, None where there is none.

    """

    policy: RetryPolicy
    safety: Safety
    clock: Clock
    remaining: Callable[[], float]
    noted: Callable[[BaseException, float | None], None]
    _decision: Verdict = field(factory=Stop, init=False)

    async def go_on(self, send: Callable[[], Awaitable[T]], first: Exception) -> T:
        """Take ``first`` as the outcome of the first attempt, and send again as the policy allows.

        Returns what ``send`` returns; raises the last failure.
        """
        pending: list[Exception] = [first]

        async def attempt() -> T:
            if pending:
                raise pending.pop()
            return await send()

        late = _Late(self.remaining)
        executor = AsyncRetrying(
            sleep=self.clock.sleep,
            retry=self._retry,
            wait=self._wait,
            stop=late if self.policy.stop is None else stop_any(self.policy.stop, late),
            before_sleep=self._before_sleep,
            reraise=True,
        )
        try:
            return await executor(attempt)
        except Exception as error:
            self.noted(error, None)
            raise

    def _retry(self, state: RetryCallState) -> bool:
        failure = _failure(state)
        if failure is None:
            return False
        self._decision = self.policy.judge(
            self.safety, failure, state.attempt_number, self.remaining(), self.clock.random()
        )
        allowed = isinstance(self._decision, After)
        return allowed and (self.policy.retry is None or bool(self.policy.retry(state)))

    def _wait(self, state: RetryCallState) -> float:
        seconds = self._decision.seconds if isinstance(self._decision, After) else 0.0
        if self.policy.wait is None:
            return seconds
        asked: float | None = getattr(_failure(state), "retry_after", None)
        return max(self.policy.wait(state), asked or 0.0)

    def _before_sleep(self, state: RetryCallState) -> None:
        failure = _failure(state)
        if failure is not None:
            self.noted(failure, state.upcoming_sleep)


class _Late(stop_base):
    """Stops before a wait that would outlast the deadline."""

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining

    def __call__(self, retry_state: RetryCallState) -> bool:
        return retry_state.upcoming_sleep >= self._remaining()


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None and state.outcome.failed else None
