"""A loopback receiver that waits, and clients of all manners."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from attrs import define, field

from tallyfy_async import Secret
from tallyfy_async.auth.loopback import LoopbackReceiver
from tests.faults.rig import until


@define
class Wait:
    """A receiver whose wait is under way in another task."""

    receiver: LoopbackReceiver
    outcome: list[Any] = field(factory=list)

    @property
    def port(self) -> int:
        return int(re.findall(r":(\d+)/", self.receiver.redirect_uri)[0])

    async def say(self, raw: str, host: str = "127.0.0.1") -> str:
        """Send bytes as they are; return the whole answer."""
        async with await anyio.connect_tcp(host, self.port) as stream:
            await stream.send(raw.encode("latin-1"))
            return "".join([part.decode() async for part in stream])

    async def get(self, target: str, **headers: str) -> str:
        """Ask as a browser does."""
        return await self.say(self.head("GET", target, **headers))

    def head(self, method: str, target: str, **headers: str) -> str:
        named = {"Host": f"127.0.0.1:{self.port}", "Accept": "text/html", **headers}
        lines = [f"{method} {target} HTTP/1.1", *(f"{n.replace('_', '-')}: {v}" for n, v in named.items())]
        return "\r\n".join([*lines, "", ""])

    async def post(self, target: str, body: str, **headers: str) -> str:
        """Hand over a fragment as the relaying page does."""
        given = {"Origin": f"http://127.0.0.1:{self.port}", "Content_Length": str(len(body)), **headers}
        return await self.say(self.head("POST", target, **given) + body)


@asynccontextmanager
async def waiting(
    recognizes: Callable[[Secret], bool] | None = None, *, made: LoopbackReceiver | None = None, **settings: Any
) -> AsyncIterator[Wait]:
    """Start to wait for a redirect, with a receiver of the settings or one that listens; in the end it must be over."""
    async with AsyncExitStack() as stack:
        receiver = made or await stack.enter_async_context(LoopbackReceiver(**settings))
        wait = Wait(receiver)

        async def listen() -> None:
            try:
                wait.outcome.append(await receiver.receive(recognizes))
            except Exception as error:  # noqa: BLE001 - an outcome like any other
                wait.outcome.append(error)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                await anyio.wait_all_tasks_blocked()
                yield wait
                await until(lambda: bool(wait.outcome))


def status(reply: str) -> int:
    return int(reply.split(" ", 2)[1])


def ended(wait: Wait, address: str) -> None:
    assert [outcome.reveal() for outcome in wait.outcome] == [address]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
