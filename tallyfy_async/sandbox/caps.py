"""Hourly caps of an organization (identity.md section 4). The burst limit of a user is the application's."""

from .problems import Problem
from .world import Tenant

HOUR = 3600.0


def spend(tenant: Tenant, action: str, *, most: int | None, now: float, times: int = 1) -> None:
    """Count `times` actions of an organization in the rolling hour; None as `most` counts without an end.

    `action` is the word of the message, such as "Guest Invite" or "Comment". Raise a 429 with RATE_LIMIT_EXCEEDED
    when they do not all fit; then none of them counts.
    """
    recent = [moment for moment in tenant.hourly.get(action, ()) if moment > now - HOUR]
    if most is not None and times and len(recent) + times > most:
        wait = recent[0] + HOUR - now if recent else HOUR
        raise _exceeded(action, most, max(1, int(wait + 0.999)))
    tenant.hourly[action] = recent + [now] * times


def _exceeded(action: str, most: int, wait: int) -> Problem:
    message = (
        f"You've reached the hourly limit for {action} ({most} per hour per organization). Please try again later."
    )
    body = {"message": message, "code": "RATE_LIMIT_EXCEEDED"}
    return Problem(429, body, {"Retry-After": str(wait), "X-RateLimit-Remaining": "0"})
