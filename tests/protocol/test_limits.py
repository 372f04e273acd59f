from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tallyfy_async.errors import RateLimitError
from tallyfy_async.protocol.limits import HOURLY_CAPS, action_of, hourly_cap, remaining, resumes_at
from tallyfy_async.protocol.operation import Safety
from tallyfy_async.protocol.response import Headers, Reply, failure
from tallyfy_async.protocol.verdict import After, RetryLimits, Stop, verdict

CODE = "RATE_LIMIT_EXCEEDED"
WALL = 1_780_000_000.0


def words(action: str, limit: int) -> str:
    return f"You've reached the hourly limit for {action} ({limit} per hour per organization). Please try again later."


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Guest Invite", "Guest Invite"),
        ("guest invites", "Guest Invite"),
        ("COMMENT", "Comment"),
        ("Export", "Export"),
    ],
)
@pytest.mark.parametrize("code", [CODE, None])
def test_an_hourly_cap_is_known_by_the_form_of_its_message(code: str | None, said: str, meant: str) -> None:
    cap = hourly_cap(code, words(said, 7))
    assert cap is not None
    assert (cap.action, cap.limit) == (meant, 7)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CODE, "Too Many Attempts."),
        (CODE, ""),
        ("SEAT_POOL_EXHAUSTED", words("Comment", 120)),
        (CODE, "hourly limit for Comment (many per hour per organization)"),
        (CODE, f"hourly limit for {'x' * 81} (3 per hour per organization)"),
        (CODE, "hourly limit for Comment (3 per hour per user)"),
    ],
)
def test_anything_else_is_a_burst(code: str, message: str) -> None:
    assert hourly_cap(code, message) is None


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("create_guest", "Guest Invite"),
        ("create_task_comment", "Comment"),
        ("create_checklist_comment", "Comment"),
        ("report_run_problem", "Comment"),
        ("update_task_comment", None),
        ("list_guests", None),
    ],
)
def test_which_operations_count(operation: str, action: str | None) -> None:
    assert action_of(operation) == action


def test_the_documented_caps() -> None:
    assert HOURLY_CAPS == {"Guest Invite": 30, "Comment": 120}


@pytest.mark.parametrize(
    ("text", "count"),
    [("17", 17), ("0", 0), ("", None), ("-1", None), ("many", None), ("²", None), ("1, 2", None), ("9" * 5000, 10**9)],
)
def test_what_remains(text: str, count: int | None) -> None:
    assert remaining(Headers([("X-RateLimit-Remaining", text)])) == count


def test_without_the_header_nothing_is_known_to_remain() -> None:
    assert remaining(Headers()) is None


@pytest.mark.parametrize(("seconds", "later"), [(0.0, 0.0), (90.0, 90.0), (-5.0, 0.0)])
def test_the_time_at_which_it_makes_sense_again(seconds: float, later: float) -> None:
    assert resumes_at(WALL, seconds) == datetime.fromtimestamp(WALL + later, UTC)


@pytest.mark.parametrize("seconds", [1e12, 1e300])
def test_a_time_beyond_all_calendars_is_ten_years_ahead(seconds: float) -> None:
    assert resumes_at(WALL, seconds) - datetime.fromtimestamp(WALL, UTC) == timedelta(days=3650)


def refused(message: str, asked: str | None = None, body: str = '{{"message": "{}", "code": "{}"}}') -> RateLimitError:
    headers = Headers([] if asked is None else [("Retry-After", asked)])
    reply = Reply(status=429, headers=headers, content=body.format(message, CODE).encode())
    error = failure("POST", "/organizations/{org}/guests", reply, WALL)
    assert isinstance(error, RateLimitError)
    return error


def test_the_error_of_a_burst_tells_when() -> None:
    error = refused("Too Many Attempts.", "20")
    assert (error.action, error.limit, error.retry_after) == (None, None, 20.0)
    assert error.resumes_at == datetime.fromtimestamp(WALL + 20, UTC)
    assert refused("Too Many Attempts.").resumes_at is None


@pytest.mark.parametrize(
    "body", ['{{"message": "{}", "code": "{}"}}', '{{"error": {{"message": "{}", "code": "{}"}}}}']
)
def test_the_error_of_an_hourly_cap_tells_action_and_limit(body: str) -> None:
    error = refused(words("Guest Invite", 30), "1800", body)
    assert (error.action, error.limit, error.retry_after) == ("Guest Invite", 30, 1800.0)
    assert error.resumes_at == datetime.fromtimestamp(WALL + 1800, UTC)


@pytest.mark.parametrize("safety", [Safety.SAFE, Safety.WRITE])
def test_an_hourly_cap_is_waited_for_only_where_the_server_says_for_how_long(safety: Safety) -> None:
    message = words("Comment", 120)
    assert verdict(safety, refused(message), 1, RetryLimits(), 10_000, 0.0) == Stop()
    assert verdict(safety, refused(message, "61"), 1, RetryLimits(), 10_000, 0.0) == Stop()
    assert verdict(safety, refused(message, "30"), 1, RetryLimits(), 10_000, 0.0) == After(30.0)
    assert verdict(safety, refused("Too Many Attempts."), 1, RetryLimits(), 10_000, 0.0) == After(0.25)
