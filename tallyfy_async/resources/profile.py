"""Changes of a member's profile, by the member itself or by an administrator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tallyfy_async.models.identity import User, UserUpdate
from tallyfy_async.resources.merging import changes, merged

_NEEDED = ("first_name", "last_name", "timezone")


async def profile_changes(fields: Mapping[str, Any], read: Callable[[], Awaitable[User]], what: str) -> dict[str, Any]:
    """Return checked changes with the three that every update needs, as ``read`` finds them where they are not given.

    The server demands them, and older ones emptied what was left out. Raises ConfigurationError for wrong changes, for
    none at all, and where the member was read without one of the three.
    """
    body = changes(UserUpdate, fields, what)
    if body.keys() >= set(_NEEDED):
        return body
    user = await read()
    return merged(body, {name: getattr(user, name) for name in _NEEDED}, what)
