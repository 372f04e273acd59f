"""Serve: ``python -m tests.oauth_server FOLDER`` prints its port and lives until its standard input ends."""

# Django and the toolkit carry no types.
# pyright: basic, reportAttributeAccessIssue=false
# mypy: disable-error-code="import-untyped, misc"

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn
from django.core.handlers.asgi import ASGIHandler

from tallyfy_async.sandbox.server import listening_socket
from tests.oauth_server.project import configure, populate


class OneThread(ASGIHandler):
    """Django, all of whose synchronous code runs in one thread: starting one for every request takes longer than it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await self.handle(scope, receive, send)


def main(folder: Path) -> None:
    """Serve on a free port until the parent process closes the pipe or is gone."""
    configure(folder)
    populate()
    listener = listening_socket("127.0.0.1", 0)
    config = uvicorn.Config(
        OneThread(), lifespan="off", ws="none", log_level="warning", access_log=False, timeout_keep_alive=60
    )
    server = uvicorn.Server(config)

    def end_with_parent() -> None:
        sys.stdin.read()
        server.should_exit = server.force_exit = True

    threading.Thread(target=end_with_parent, daemon=True).start()
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    server.run(sockets=[listener])


main(Path(sys.argv[1]))
