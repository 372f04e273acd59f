from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async.errors import ConfigurationError, DecodeError
from tallyfy_async.protocol.dates import format_date, format_moment, format_request, format_response, parse_response

MOMENT = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# A day less at either end, so that no zone leaves the calendar.
MOMENTS = st.builds(
    lambda moment, zone: moment.astimezone(zone),
    st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1 < moment.toordinal() < date.max.toordinal()),
    ZONES,
)


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-15T10:30:00Z",
        "2025-01-15T10:30:00.000Z",
        "2025-01-15T10:30:00.000000Z",
        "2025-01-15T10:30:00+00:00",
        "2025-01-15 10:30:00",
        "2025-01-15T12:30:00+02:00",
        "2025-01-15T00:30:00.000-10:00",
    ],
)
def test_every_spelling_is_the_same_moment_in_utc(text: str) -> None:
    parsed = parse_response(text)
    assert parsed == MOMENT
    assert parsed.tzinfo is UTC


def test_microseconds_are_kept() -> None:
    assert parse_response("2025-01-15T10:30:00.123456Z").microsecond == 123456
    assert parse_response("2025-01-15T10:30:00.120Z").microsecond == 120000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2025-01-15",
        "20250115T103000Z",
        "2025-W03-3T10:30:00",
        "2025-01-15T10:30Z",
        "2025-01-15X10:30:00",
        "2025-02-30T10:30:00Z",
        "0000-00-00 00:00:00",
        "2025-01-15T10:30:00 secret",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_anything_else_is_a_decode_error_that_does_not_repeat_the_text(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_response(text, path="data[0].deadline")
    assert caught.value.path == "data[0].deadline"
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "value", [None, 1736937000, 1.5, True, [], {}, b"2025-01-15T10:30:00Z", list("2025-01-15T10:30:00Z")]
)
def test_other_types_are_a_decode_error(value: object) -> None:
    with pytest.raises(DecodeError, match=type(value).__name__):
        parse_response(value)  # type: ignore[arg-type]


@given(st.text())
def test_no_text_ends_in_another_exception(text: str) -> None:
    with contextlib.suppress(DecodeError):
        assert parse_response(text).tzinfo is UTC


@given(MOMENTS)
def test_a_request_reads_back_as_the_same_second(moment: datetime) -> None:
    text = format_request(moment)
    assert len(text) == 19
    assert parse_response(text) == moment.astimezone(UTC).replace(microsecond=0)


@given(MOMENTS)
def test_a_reply_reads_back_as_the_same_microsecond(moment: datetime) -> None:
    assert parse_response(format_response(moment)) == moment


def test_spellings() -> None:
    cet = timezone(timedelta(hours=1))
    assert format_request(datetime(2026, 12, 1, 0, 30, 59, 999999, tzinfo=cet)) == "2026-11-30 23:30:59"
    assert format_request(datetime(7, 1, 2, tzinfo=UTC)) == "0007-01-02 00:00:00"
    assert format_response(MOMENT) == "2025-01-15T10:30:00.000Z"
    assert format_response(MOMENT.replace(microsecond=1)) == "2025-01-15T10:30:00.000001Z"
    assert format_date(date(2026, 12, 1)) == "2026-12-01"
    assert format_moment(date(2026, 12, 1)) == "2026-12-01 00:00:00"
    assert format_moment(date(33, 4, 3)) == "0033-04-03 00:00:00"
    assert format_moment(datetime(2026, 12, 1, 5, tzinfo=cet)) == "2026-12-01 04:00:00"


@pytest.mark.parametrize("form", [format_request, format_moment, format_response])
def test_a_naive_datetime_is_refused_with_the_remedy(form: object) -> None:
    with pytest.raises(ConfigurationError, match=r"tzinfo=UTC"):
        form(MOMENT.replace(tzinfo=None))  # type: ignore[operator]


def test_what_leaves_the_calendar_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="years 1 to 9999"):
        format_request(datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))))


def test_a_day_is_no_moment() -> None:
    with pytest.raises(ConfigurationError, match=r"\.date\(\)"):
        format_date(MOMENT)
