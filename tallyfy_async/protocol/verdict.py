"""The retry table as one pure function.

==================================================  =====  ==============================================
what happened                                       SAFE   WRITE
==================================================  =====  ==============================================
never sent (connect refused or timed out, DNS)      again  again
429                                                 again  again
429 of an hourly cap that does not tell when        stop   stop
502, 503, 504; reply lost or cut                    again  stop
500                                                 once   stop
Retry-After above the cap or above the time left    stop   stop
anything else                                       stop   stop
==================================================  =====  ==============================================

A 401 is not here: the token manager answers it.
"""

from __future__ import annotations

from attrs import frozen

from tallyfy_async import errors
from tallyfy_async.protocol.operation import Safety


@frozen(kw_only=True)
class RetryLimits:
    """Bounds of the retries of one call, times in seconds.

    Attributes:
        attempts: sends of one call in all, the first included.
        initial: back-off before the second attempt; it doubles from attempt to attempt.
        maximum: largest back-off.
        retry_after_cap: a longer ``Retry-After`` is not waited for.

    """

    attempts: int = 4
    initial: float = 0.5
    maximum: float = 8.0
    retry_after_cap: float = 60.0


@frozen
class Stop:
    """The call ends with its error."""


@frozen
class After:
    """The call is sent again after so many seconds."""

    seconds: float


Verdict = Stop | After
_STOP = Stop()
_PASSING = frozenset({500, 502, 503, 504})


def verdict(  # noqa: PLR0917 - all that the table depends on
    safety: Safety, failure: BaseException, attempt: int, limits: RetryLimits, remaining: float, jitter: float
) -> Verdict:
    """Say whether, and after how many seconds, a call is sent again.

    ``attempt`` counts the sends so far, ``remaining`` is what is left of the deadline in seconds, ``jitter`` a random
    number in [0, 1): the back-off lies between half and the whole of its step, and a ``Retry-After`` is spread upwards
    by at most a tenth and a quarter second, so that callers refused together do not come back together.
    """
    if attempt >= _allowed(safety, failure, limits):
        return _STOP
    asked = getattr(failure, "retry_after", None)
    if asked is None:
        step = min(limits.maximum, limits.initial * 2.0 ** min(attempt - 1, 60))
        seconds = step * (0.5 + 0.5 * jitter)
    elif asked > limits.retry_after_cap:
        return _STOP
    else:
        seconds = asked + jitter * (0.25 + asked * 0.1)
    return After(seconds) if seconds < remaining else _STOP


def _allowed(safety: Safety, failure: BaseException, limits: RetryLimits) -> int:
    """Return how many sends this failure allows."""
    if not may_resend(safety, failure):
        return 0
    once_more = isinstance(failure, errors.ServerError) and failure.status == 500
    return min(2, limits.attempts) if once_more else limits.attempts


def may_resend(safety: Safety, failure: BaseException) -> bool:
    """Whether sending the call again cannot do its work twice, and may do it at all."""
    match failure:
        case errors.RateLimitError():
            return failure.action is None or failure.retry_after is not None
        case errors.NotSentError():
            return True
        case errors.ServerError():
            return safety is not Safety.WRITE and failure.status in _PASSING
        case errors.TransportError():
            return safety is Safety.SAFE
        case _:
            return False
