"""Hundreds of browsers that read, complete, and leave in the middle: plain sockets, so that leaving is leaving."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections import Counter
from random import Random
from typing import Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream
from attrs import define, field

PATIENCE = 90.0
"""Seconds after which an answer does not come: longer than the service gives itself."""
_RESET = struct.pack("ii", 1, 0)


@define(eq=False)
class Crowd:
    """What the browsers of one run saw.

    Attributes:
        url: of the service.
        people: who the browsers are.
        seconds: how long they come.
        statuses: of the whole answers.
        left: requests whose browser left before it had read the answer, by method.
        broken: answers that ended short or did not come.
        came: people who asked for something that takes their token.
        completed: ids of tasks whose completion was answered with 200.
        most: requests that were under way at once.
        under_way: those that are now.
        took: seconds until the last of them was answered.

    """

    url: str
    people: list[str]
    seconds: float
    statuses: Counter[int] = field(factory=Counter[int], init=False)
    left: Counter[str] = field(factory=Counter[str], init=False)
    broken: Counter[str] = field(factory=Counter[str], init=False)
    came: set[str] = field(factory=set[str], init=False)
    completed: set[str] = field(factory=set[str], init=False)
    most: int = field(default=0, init=False)
    under_way: int = field(default=0, init=False)
    took: float = field(default=0.0, init=False)
    _until: float = field(default=0.0, init=False)

    async def come(self, number: int, seed: int = 0) -> None:
        """Let so many browsers come at once, and go on until the time is over and something of each kind happened."""
        began = time.monotonic()
        self._until = began + self.seconds
        async with anyio.create_task_group() as group:
            for one in range(number):
                group.start_soon(_Browser(self, Random(f"{seed} {one}")).browse)
        self.took = time.monotonic() - began

    @property
    def goes_on(self) -> bool:
        """Whether browsers go on: a machine that is busy elsewhere gets more time, though not for ever."""
        late = time.monotonic() - self._until
        few = len(self.completed) < 10 or self.left["POST"] < 3 or self.left["GET"] < 10
        return late < 0 or (few and late < 60)

    def told(self) -> str:
        """Return the figures in one line."""
        answered, left = self.statuses.total(), self.left.total()
        return (
            f"{answered + left:,} requests, in {self.took:.1f} s, at most {self.most} at once:"
            f" answers {dict(sorted(self.statuses.items()))}, {left:,} left early {dict(self.left)},"
            f" {self.broken.total()} broken {dict(self.broken)}, {len(self.completed):,} tasks completed"
        )


@define(eq=False)
class _Browser:
    """One after another request, on one connection for as long as it lasts."""

    crowd: Crowd
    chance: Random
    stream: SocketStream | None = None
    tasks: list[str] = field(factory=list[str])
    email: str = ""

    async def browse(self) -> None:
        self.email = self.chance.choice(self.crowd.people)
        try:
            while self.crowd.goes_on:
                await self.act()
        finally:
            await self.leave()

    async def act(self) -> None:
        """Read one's tasks or what was completed, or complete one of those that were read."""
        draw = self.chance.random()
        if draw < 0.3 and self.tasks:
            task = self.tasks.pop()
            body = await self.ask("POST", f"/tasks/{task}/complete")
            if body is not None and "status" in body:
                self.crowd.completed.add(task)
        elif draw < 0.4:
            await self.ask("GET", "/completed")
        else:
            self.crowd.came.add(self.email)
            body = await self.ask("GET", "/tasks")
            if isinstance(body, list):
                self.tasks = [task["id"] for task in body]
                self.chance.shuffle(self.tasks)

    async def ask(self, method: str, path: str) -> Any:
        """Send a request; return the answer's JSON, None where the browser left before or the answer broke."""
        crowd = self.crowd
        patience = self.chance.expovariate(1 / 0.3) if self.chance.random() < 0.3 else PATIENCE
        crowd.under_way += 1
        crowd.most = max(crowd.most, crowd.under_way)
        found = None
        try:
            with anyio.move_on_after(patience) as scope:
                found = await self._asked(method, path)
        except (anyio.EndOfStream, OSError, anyio.BrokenResourceError) as error:
            crowd.broken[type(error).__name__] += 1
            await self.leave()
        finally:
            crowd.under_way -= 1
        if scope.cancelled_caught:
            if patience == PATIENCE:
                crowd.broken["no answer"] += 1
            else:
                crowd.left[method] += 1
            await self.leave()
        if found is None:
            return None
        status, body = found
        crowd.statuses[status] += 1
        return body

    async def _asked(self, method: str, path: str) -> tuple[int, Any]:
        where = urlsplit(self.crowd.url)
        if self.stream is None:
            self.stream = await anyio.connect_tcp("127.0.0.1", where.port or 80)
        head = f"{method} {path} HTTP/1.1\r\nHost: {where.netloc}\r\nX-Forwarded-Email: {self.email}\r\n"
        await self.stream.send(f"{head}Content-Length: 0\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += await self.stream.receive()
        first, _, rest = received.partition(b"\r\n\r\n")
        lines = first.decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        while len(rest) < length:
            rest += await self.stream.receive()
        status = int(lines[0].split()[1])
        return status, json.loads(rest) if status < 500 else None

    async def leave(self) -> None:
        """Close the connection, half of the times as a process that was killed does: with a reset."""
        stream, self.stream = self.stream, None
        if stream is not None:
            if self.chance.random() < 0.5:
                raw = stream.extra(SocketAttribute.raw_socket)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with anyio.CancelScope(shield=True):
                await stream.aclose()
