"""What many functions check of their arguments before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime

from tallyfy_async.errors import ConfigurationError


def check_since(since: object) -> None:
    """Raise ConfigurationError for anything but a datetime with a time zone and None."""
    if since is None:
        return
    if not isinstance(since, datetime) or since.utcoffset() is None:
        msg = "since must be a datetime with a time zone: datetime(…, tzinfo=UTC)"
        raise ConfigurationError(msg)
    try:
        since.astimezone(UTC)
    except OverflowError:
        msg = "since must lie in the years 1 to 9999 in UTC too"
        raise ConfigurationError(msg) from None


def check_progress(progress: object) -> None:
    """Raise ConfigurationError for anything but a function and None."""
    if progress is not None and not callable(progress):
        msg = "progress must be a function that takes what is told, or None"
        raise ConfigurationError(msg)


def check_number(name: str, value: object, *, or_none: bool = False) -> None:
    """Raise ConfigurationError for anything but a whole number of at least 1, and None where that has a meaning."""
    if (value is not None or not or_none) and (type(value) is not int or value < 1):
        msg = f"{name} must be a whole number of at least 1{', or None' if or_none else ''}"
        raise ConfigurationError(msg)
