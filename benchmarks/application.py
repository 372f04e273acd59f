"""A bare ASGI application that answers like :mod:`benchmarks.server`, for calls that never leave the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from benchmarks.payload import TASK

_HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(TASK))],
}
_BODY = {"type": "http.response.body", "body": TASK}


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer every request with one task."""
    assert scope["type"] == "http"
    while (await receive())["more_body"]:
        pass
    await send(_HEAD)
    await send(_BODY)
