"""Stop working for browsers that have left. Plain ASGI: it fits FastAPI, Starlette and others."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class HangUp:
    """Cancels the answer to a GET when its browser hangs up before the answer begins.

    Frameworks do not do that by themselves: they compute answers that nobody hears. The client survives it: a call
    that is cut gives its connection and its slot back. Other methods go on, because half-done writes help nobody.
    """

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        failed: list[Exception] = []
        first = [await receive()]
        begun = False

        async def receive_again() -> Message:
            if not first:
                await anyio.sleep_forever()
            return first.pop()

        async def send_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            if not begun:
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            try:
                await self.app(scope, receive_again, send_on)
            except Exception as error:  # noqa: BLE001 - it is raised below, where no group wraps it
                failed.append(error)
            group.cancel_scope.cancel()
        if failed:
            raise failed[0]
