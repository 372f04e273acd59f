"""The API's two date formats.

Requests carry ``YYYY-MM-DD HH:MM:SS`` in UTC, replies ISO 8601 (seed 002). Replies were seen in five spellings:
``…T10:00:00Z``, ``….000Z``, ``….000000Z``, ``…+00:00`` and ``2025-01-15 10:30:00`` without zone, which is UTC
(identity notes of the contract, "Requests").
"""

from datetime import UTC, date, datetime
from typing import Any

from tallyfy_async.errors import ConfigurationError, DecodeError

_SHORTEST = len("2025-01-15 10:30:00")


def format_request(value: datetime) -> str:
    """Format a moment for a request: ``YYYY-MM-DD HH:MM:SS`` in UTC, fractions of a second cut off.

    Raises ConfigurationError for a naive datetime and for a moment that leaves the years 1 to 9999 in UTC.
    Source: seed 002.
    """
    return _to_utc(value).replace(tzinfo=None).isoformat(" ", "seconds")


def format_date(value: date) -> str:
    """Format a day: ``YYYY-MM-DD``.

    Raises ConfigurationError for a datetime, because its day depends on a time zone.
    """
    if isinstance(value, datetime):
        msg = "a date is expected, not a datetime: pass value.date() of the time zone that you mean"
        raise ConfigurationError(msg)
    return value.isoformat()


def format_moment(value: datetime | date) -> str:
    """Format a moment, or the first second in UTC of a day, for a request.

    ``date(2026, 12, 1)`` becomes ``2026-12-01 00:00:00``. Raises ConfigurationError for a naive datetime.
    """
    return format_request(value) if isinstance(value, datetime) else f"{value.isoformat()} 00:00:00"


def format_response(value: datetime) -> str:
    """Format a moment the way replies do: ISO 8601 Zulu with milliseconds, microseconds only where there are any.

    Raises ConfigurationError for a naive datetime.
    """
    moment = _to_utc(value)
    return (
        moment.replace(tzinfo=None).isoformat("T", "microseconds" if moment.microsecond % 1000 else "milliseconds")
        + "Z"
    )


def parse_response(text: str, *, path: str = "body") -> datetime:
    """Parse a moment of a reply into an aware datetime in UTC, microseconds kept.

    Takes the five spellings and any other ISO 8601 offset; a text without zone is UTC. ``path`` is where the text
    stands in the payload. Raises DecodeError, which does not repeat the text, for anything else.
    """
    moment = try_response(text)
    if moment is None:
        msg = f"{path}: expected an ISO 8601 date and time, got another {type(text).__name__}"
        raise DecodeError(msg, path=path)
    return moment


def try_response(text: Any) -> datetime | None:
    """Parse as :func:`parse_response` does; return None for what is no moment."""
    try:
        # fromisoformat alone would also take week dates, compact dates and bare days.
        if len(text) >= _SHORTEST and text[7] == "-" and text[10] in "T " and text[16] == ":":
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is UTC:
                return moment
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, KeyError):
        pass
    return None


def _to_utc(value: datetime) -> datetime:
    if value.utcoffset() is None:
        msg = "a naive datetime is ambiguous: pass an aware one, such as datetime(2026, 12, 1, tzinfo=UTC)"
        raise ConfigurationError(msg)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        msg = "the datetime leaves the years 1 to 9999 when it is converted to UTC"
    raise ConfigurationError(msg)
