from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from tallyfy_async import errors
from tallyfy_async.protocol.operation import Safety
from tallyfy_async.protocol.verdict import After, RetryLimits, Stop, may_resend, verdict

LIMITS = RetryLimits()
PLENTY = 1000.0
KINDS = {429: errors.RateLimitError, 401: errors.AuthenticationError, 422: errors.ValidationError}


def status(code: int, **details: Any) -> errors.APIError:
    """Return the error of a reply with that status."""
    kind = errors.ServerError if code >= 500 else KINDS.get(code, errors.APIError)
    return kind("message", status=code, **details)


NEVER_SENT = errors.NotSentError("connect refused")
LOST = errors.TransportError("reply cut")
SLOW = errors.RequestTimeoutError("no reply in time")
UNDECODABLE = errors.DecodeError("no JSON")
AGAIN, ONCE, STOP = 4, 2, 1

TABLE = [
    ("never sent", NEVER_SENT, AGAIN, AGAIN),
    ("429", status(429), AGAIN, AGAIN),
    ("429 with Retry-After", status(429, retry_after=2.0), AGAIN, AGAIN),
    ("401", status(401), STOP, STOP),
    ("502", status(502), AGAIN, STOP),
    ("503", status(503), AGAIN, STOP),
    ("503 with Retry-After", status(503, retry_after=2.0), AGAIN, STOP),
    ("504", status(504), AGAIN, STOP),
    ("reply lost", LOST, AGAIN, STOP),
    ("reply late", SLOW, AGAIN, STOP),
    ("write may have landed", errors.IndeterminateError("lost"), AGAIN, STOP),
    ("500", status(500), ONCE, STOP),
    ("501", status(501), STOP, STOP),
    ("Retry-After above the cap", status(429, retry_after=60.1), STOP, STOP),
    ("503, Retry-After above the cap", status(503, retry_after=3600.0), STOP, STOP),
    ("Retry-After above the time left", status(429, retry_after=59.0), STOP, STOP),
    ("400", status(400), STOP, STOP),
    ("403", status(403), STOP, STOP),
    ("404", status(404), STOP, STOP),
    ("409", status(409), STOP, STOP),
    ("422", status(422), STOP, STOP),
    ("undecodable 2xx", UNDECODABLE, STOP, STOP),
    ("wrong arguments", errors.ConfigurationError("bad"), STOP, STOP),
    ("no token", errors.TokenRequestError("refused", status=503, retry_after=1.0), STOP, STOP),
    ("foreign", ValueError("bug"), STOP, STOP),
]


def sends(safety: Safety, failure: BaseException, remaining: float) -> int:
    """Return how often a call is sent whose every attempt fails so."""
    attempt = 1
    while isinstance(verdict(safety, failure, attempt, LIMITS, remaining, 0.5), After):
        attempt += 1
    return attempt


@pytest.mark.parametrize(("failure", "safe", "write"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table_row_by_row(failure: BaseException, safe: int, write: int) -> None:
    assert sends(Safety.SAFE, failure, 58.0) == safe
    assert sends(Safety.WRITE, failure, 58.0) == write


@pytest.mark.parametrize(
    ("failure", "count"),
    [(status(429), AGAIN), (NEVER_SENT, AGAIN), (status(503), AGAIN), (status(500), ONCE), (LOST, STOP), (SLOW, STOP)],
)
def test_a_token_refresh_is_sent_again_after_an_answer_only(failure: BaseException, count: int) -> None:
    assert sends(Safety.ANSWERED, failure, PLENTY) == count


FAILURES = st.one_of(
    st.builds(errors.NotSentError, st.just("x")),
    st.builds(errors.TransportError, st.just("x")),
    st.builds(errors.RequestTimeoutError, st.just("x")),
    st.builds(errors.IndeterminateError, st.just("x")),
    st.builds(errors.DecodeError, st.just("x")),
    st.builds(status, st.sampled_from([400, 401, 403, 404, 409, 422, 500, 501, 502, 503, 504, 507])),
    st.builds(
        lambda code, seconds: status(code, retry_after=seconds),
        st.sampled_from([429, 500, 502, 503, 504]),
        st.none() | st.floats(0, 200),
    ),
)
JITTER = st.floats(0, 1, exclude_max=True)
ATTEMPTS = st.integers(1, 5000)
REMAINING = st.floats(-100, 1e6)
LIMIT_SETS = st.builds(
    RetryLimits,
    attempts=st.integers(1, 6000),
    initial=st.floats(0, 60),
    maximum=st.floats(0, 600),
    retry_after_cap=st.floats(0, 600),
)


@given(FAILURES, ATTEMPTS, LIMIT_SETS, JITTER)
def test_a_write_of_unknown_outcome_is_never_sent_again(
    failure: errors.TallyfyError, attempt: int, limits: RetryLimits, jitter: float
) -> None:
    assume(failure.outcome in {errors.Outcome.UNKNOWN, errors.Outcome.DONE})
    assert isinstance(verdict(Safety.WRITE, failure, attempt, limits, PLENTY, jitter), Stop)
    assert not may_resend(Safety.WRITE, failure)


@given(st.sampled_from(Safety), FAILURES, ATTEMPTS, LIMIT_SETS, REMAINING, JITTER)
def test_no_wait_outlasts_the_deadline_or_the_attempts(  # noqa: PLR0917 - what a verdict depends on
    safety: Safety, failure: errors.TallyfyError, attempt: int, limits: RetryLimits, remaining: float, jitter: float
) -> None:
    decision = verdict(safety, failure, attempt, limits, remaining, jitter)
    if isinstance(decision, After):
        assert 0 <= decision.seconds < remaining
        assert attempt < limits.attempts
        assert may_resend(safety, failure)


@given(FAILURES, ATTEMPTS, LIMIT_SETS, REMAINING, JITTER)
def test_a_write_is_never_sent_again_where_a_read_is_not(
    failure: errors.TallyfyError, attempt: int, limits: RetryLimits, remaining: float, jitter: float
) -> None:
    decisions = [verdict(safety, failure, attempt, limits, remaining, jitter) for safety in Safety]
    read, write, refresh = decisions
    assert isinstance(read, After) or isinstance(write, Stop)
    assert isinstance(read, After) or isinstance(refresh, Stop)
    assert isinstance(write, Stop) or write == read


def wait(attempt: int, limits: RetryLimits, jitter: float, retry_after: float | None = None) -> float:
    """Return the seconds before the attempt that follows ``attempt``."""
    failure = status(429, retry_after=retry_after)
    decision = verdict(Safety.SAFE, failure, attempt, evolve(limits, attempts=attempt + 1), float("inf"), jitter)
    assert isinstance(decision, After)
    return decision.seconds


@given(st.integers(1, 3000), LIMIT_SETS, JITTER)
def test_back_off_never_shrinks_and_never_passes_its_maximum(attempt: int, limits: RetryLimits, jitter: float) -> None:
    assert wait(attempt, limits, jitter) <= wait(attempt + 1, limits, jitter) <= limits.maximum


@given(st.integers(1, 60), LIMIT_SETS, JITTER)
def test_jitter_leaves_between_half_and_the_whole_step(attempt: int, limits: RetryLimits, jitter: float) -> None:
    step = min(limits.maximum, limits.initial * 2.0 ** (attempt - 1))
    assert step / 2 <= wait(attempt, limits, jitter) <= step


@given(st.floats(0, 60), JITTER)
def test_a_retry_after_is_never_undercut_and_spread_a_little(asked: float, jitter: float) -> None:
    assert asked <= wait(1, LIMITS, jitter, asked) <= asked * 1.1 + 0.25


def test_the_defaults_double_from_half_a_second_to_eight() -> None:
    steps = [wait(attempt, LIMITS, 0.999_999_999) for attempt in range(1, 8)]
    assert steps == pytest.approx([0.5, 1, 2, 4, 8, 8, 8])
    assert [wait(attempt, LIMITS, 0.0) for attempt in range(1, 8)] == [0.25, 0.5, 1, 2, 4, 4, 4]


@pytest.mark.parametrize("remaining", [0.0, -1.0, 0.25])
def test_nothing_is_tried_at_the_end_of_the_deadline(remaining: float) -> None:
    assert isinstance(verdict(Safety.SAFE, status(503), 1, LIMITS, remaining, 0.0), Stop)


def test_the_cap_itself_is_still_waited_for() -> None:
    assert isinstance(verdict(Safety.SAFE, status(429, retry_after=60.0), 1, LIMITS, PLENTY, 0.0), After)


def test_one_attempt_means_no_retry() -> None:
    assert isinstance(verdict(Safety.SAFE, NEVER_SENT, 1, RetryLimits(attempts=1), PLENTY, 0.0), Stop)
