"""The retries of one call, run by tenacity; loaded on a first failure only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import define, field
from tenacity import AsyncRetrying, RetryCallState, stop_any
from tenacity.stop import stop_base

from tallyfy_async.engine.policy import RetryPolicy
from tallyfy_async.errors import Outcome, RateLimitError
from tallyfy_async.protocol.operation import Safety
from tallyfy_async.protocol.verdict import After, Stop, Verdict
from tallyfy_async.transport.budget import RetryBudget
from tallyfy_async.transport.clock import Clock

T = TypeVar("T")


@define(eq=False)
class Retrying:
    """The retries of one call, entered on its first failure.

    Attributes:
        policy: what is allowed.
        safety: of the operation.
        clock: sleeps and jitters.
        budget: what retries of failures are paid from.
        remaining: returns the seconds left of the deadline.
        noted: hears of each failure and of the seconds until the next attempt, None where there is none.

    """

    policy: RetryPolicy
    safety: Safety
    clock: Clock
    budget: RetryBudget
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

        stops = [_Late(self.remaining), _Broke(self.policy.budget, self.budget)]
        executor = AsyncRetrying(
            sleep=self.clock.sleep,
            retry=self._retry,
            wait=self._wait,
            stop=stop_any(*stops) if self.policy.stop is None else stop_any(self.policy.stop, *stops),
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


class _Broke(stop_base):
    """Stops where the budget of retries is used up; asked last, so that only a retry that happens is paid for."""

    def __init__(self, share: float | None, budget: RetryBudget) -> None:
        self._share = share
        self._budget = budget

    def __call__(self, retry_state: RetryCallState) -> bool:
        failure = _failure(retry_state)
        if failure is None or self._share is None or _is_free(failure) or self._budget.spend():
            return False
        failure.add_note(f"Not sent again: too many calls fail, only {self._share:.0%} may be (RetryPolicy.budget).")
        return True


def _is_free(failure: BaseException) -> bool:
    """Whether sending again loads nobody: everybody is held back after a 429, and what was not sent made no work."""
    return isinstance(failure, RateLimitError) or getattr(failure, "outcome", None) is Outcome.NOT_SENT


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None and state.outcome.failed else None
