"""The server's limits: which are known, what a refusal says of them, and when it makes sense to come again.

Three of them are documented (contract: identity notes, "Rate limits"): 600 requests in a rolling minute for each user,
a throttle of a few seconds against bursts, and hourly caps of an organization on two actions. The numbers of the caps
stand in one document only and are the server's to change: a refusal tells the one that holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

HOUR = 3600.0
GUEST_INVITE = "Guest Invite"
COMMENT = "Comment"
HOURLY_CAPS: Mapping[str, int] = {GUEST_INVITE: 30, COMMENT: 120}
"""Actions that an organization may do so often in a rolling hour, by the words of the server's message."""
_ACTIONS: Mapping[str, str] = {
    "create_guest": GUEST_INVITE,
    "create_task_comment": COMMENT,
    "create_task_bot_comment": COMMENT,
    "report_task_problem": COMMENT,
    "create_run_comment": COMMENT,
    "report_run_problem": COMMENT,
    "create_checklist_comment": COMMENT,
    "report_checklist_problem": COMMENT,
    "comment_step_legacy": COMMENT,
}
_FORM = re.compile(r"hourly limit for (?P<action>.{1,80}?) \((?P<limit>\d{1,9}) per hour per organization\)")
_CODE = "RATE_LIMIT_EXCEEDED"
_LONGEST = 10 * 365 * 86400.0
_MOST = 10**9


@frozen
class HourlyCap:
    """What a refusal says of an hourly cap: the action in the server's words, and how often an hour it may be done."""

    action: str
    limit: int


def action_of(operation: str) -> str | None:
    """Return the capped action that an operation always counts as, by its id; None where it counts as none.

    A comment that mentions new addresses invites guests as well; that cannot be seen from its operation.
    """
    return _ACTIONS.get(operation)


def hourly_cap(code: str | None, message: str) -> HourlyCap | None:
    """Return the hourly cap that a 429 speaks of, None where it is a burst.

    The code alone does not tell: a burst may carry it too. Source: identity notes of the contract, "Rate limits".
    """
    match = _FORM.search(message) if code in {None, _CODE} else None
    return None if match is None else HourlyCap(_known(match["action"]), int(match["limit"]))


def resumes_at(wall: float, seconds: float) -> datetime:
    """Return the time ``seconds`` after ``wall``, epoch seconds, aware and in UTC; at most ten years ahead."""
    return datetime.fromtimestamp(wall + min(max(0.0, seconds), _LONGEST), UTC)


def refusal(code: str | None, message: str, retry_after: float | None, wall: float) -> dict[str, Any]:
    """Return what a 429 tells beyond its words, as arguments of RateLimitError."""
    cap = hourly_cap(code, message)
    return {
        "retry_after": retry_after,
        "action": None if cap is None else cap.action,
        "limit": None if cap is None else cap.limit,
        "resumes_at": None if retry_after is None else resumes_at(wall, retry_after),
    }


def remaining(headers: Mapping[str, str]) -> int | None:
    """Return how many calls ``X-RateLimit-Remaining`` still allows, None where it is absent or no count."""
    text = headers.get("x-ratelimit-remaining")
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:12]), _MOST)


def _known(action: str) -> str:
    """Return an action by the name that we know it by, whatever its case and number."""
    plain = action.strip().casefold()
    return next((name for name in HOURLY_CAPS if plain in {name.casefold(), f"{name.casefold()}s"}), action.strip())
