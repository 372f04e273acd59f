"""The two date languages of the API: what requests may say and the five spellings of replies."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from .settings import DateSpelling

_FORMATS: dict[DateSpelling, str] = {
    "Z": "%Y-%m-%dT%H:%M:%SZ",
    "millis": "%Y-%m-%dT%H:%M:%S.000Z",
    "micros": "%Y-%m-%dT%H:%M:%S.000000Z",
    "offset": "%Y-%m-%dT%H:%M:%S+00:00",
    "space": "%Y-%m-%d %H:%M:%S",
}
_REQUEST = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?\Z")
_DAY = 24 * 3600
_FIRST, _LAST = -30_610_224_000, 253_370_764_800
"""The years 1000 to 9998: what a DATETIME column of MySQL holds, with room to add to."""


@lru_cache(maxsize=1 << 16)
def _spell(moment: int, spelling: DateSpelling) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(_FORMATS[spelling])


def spell(moment: int | None, spelling: DateSpelling) -> str | None:
    """Write a moment as a reply does. None stays None."""
    return None if moment is None else _spell(moment, spelling)


def read(text: object) -> int | None:
    """Read a date of a request: `YYYY-MM-DD HH:MM:SS` in UTC, ISO 8601, or a day. None when it is no date.

    Source: seed 002 and the field-value notes (an integer is refused).
    """
    if not isinstance(text, str) or not _REQUEST.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return seconds if _FIRST <= seconds <= _LAST else None


def day(moment: int) -> str:
    """Return the UTC day of a moment as YYYY-MM-DD."""
    return _spell(moment, "space")[:10]


def working_day(moment: int) -> int:
    """Move a moment on a Saturday or Sunday to the same time on Monday, as the server does with deadlines."""
    weekday = datetime.fromtimestamp(moment, UTC).weekday()
    return moment + max(0, 7 - weekday) * _DAY if weekday > 4 else moment
