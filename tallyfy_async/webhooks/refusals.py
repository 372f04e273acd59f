"""Why a delivery is refused, and the HTTP status that says so."""

from __future__ import annotations

import enum

from tallyfy_async.errors import WebhookError


class Refusal(enum.Enum):
    """Why a delivery is refused; ``status`` is the HTTP answer."""

    MALFORMED = "malformed"
    SECRET = "secret"  # noqa: S105 - a word
    """The secret is missing or wrong."""
    ORGANIZATION = "organization"
    """``X-Tallyfy-orgID`` is missing or names another organization."""
    METHOD = "method"
    """A webhook is a POST."""
    TIMEOUT = "timeout"
    """The body did not come in time."""
    TOO_LARGE = "too_large"
    CONTENT_TYPE = "content_type"
    """A webhook is ``application/json``."""
    FULL = "full"
    """The queue is full: nothing more is taken until the handlers have caught up."""
    CLOSED = "closed"
    """The dispatcher does not run, or is being shut down."""

    @property
    def status(self) -> int:
        """The HTTP status that tells it."""
        return _STATUSES[self]


_STATUSES = {
    Refusal.MALFORMED: 400,
    Refusal.SECRET: 401,
    Refusal.ORGANIZATION: 403,
    Refusal.METHOD: 405,
    Refusal.TIMEOUT: 408,
    Refusal.TOO_LARGE: 413,
    Refusal.CONTENT_TYPE: 415,
    Refusal.FULL: 503,
    Refusal.CLOSED: 503,
}


def refusal(kind: Refusal, message: str) -> WebhookError:
    """Return the error of a refused delivery."""
    error = WebhookError(message)
    error.kind, error.status = kind.value, kind.status
    return error
