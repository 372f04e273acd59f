"""The two receivers of the row ``webhook``: ``python -m benchmarks.receivers ours|bare`` prints its URL and serves.

Both are Starlette applications behind uvicorn: ``ours`` has a ``WebhookApp`` mounted and a handler that counts,
``bare`` a route that decodes the JSON body, counts and answers. ``GET /counted`` tells the count.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from benchmarks.cpu import pin
from benchmarks.rows.webhook import ORGANIZATION
from tallyfy_async.sandbox.server import listening_socket
from tallyfy_async.webhooks import AnyEvent, Dispatcher, WebhookApp


def ours() -> Starlette:
    """Return an application with our receiver and a handler."""
    dispatcher = Dispatcher(queue=100_000)
    counted = 0

    @dispatcher.on.any()
    async def count(_event: AnyEvent) -> None:
        nonlocal counted
        counted += 1

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncGenerator[None]:
        async with dispatcher.running():
            yield

    async def tell(_request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(counted))

    routes = [Mount("/hooks", WebhookApp(dispatcher, ORGANIZATION)), Route("/counted", tell)]
    return Starlette(routes=routes, lifespan=lifespan)


def bare() -> Starlette:
    """Return an application with a route that decodes what comes."""
    counted = 0

    async def receive(request: Request) -> PlainTextResponse:
        nonlocal counted
        assert (await request.json())["this_task"]
        counted += 1
        return PlainTextResponse("accepted\n")

    async def tell(_request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(counted))

    return Starlette(routes=[Route("/hooks/", receive, methods=["POST"]), Route("/counted", tell)])


SIDES: dict[str, Callable[[], Starlette]] = {"ours": ours, "bare": bare}


def main(side: str) -> None:
    """Serve a side on a free port of the loopback interface until it is ended."""
    pin(-1)
    listener = listening_socket("127.0.0.1", 0)
    config = uvicorn.Config(SIDES[side](), lifespan="on", ws="none", log_config=None, access_log=False)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # whoever connects waits in the backlog
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
