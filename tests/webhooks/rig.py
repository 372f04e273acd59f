"""Events, and a clock that passes, for tests of the dispatcher."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.webhooks import MemoryDedupe, Result, Verdict, parse_event
from tests.webhooks.samples import ORGANIZATION, TASK, task

NOW = TASK["this_task"]["completed_at"]


def event(body: dict[str, Any] | None = None, organization: str = ORGANIZATION) -> Any:
    return parse_event(task() if body is None else body, organization=organization)


def completed(at: str = NOW, identifier: str = "t1") -> Any:
    return event(task(identifier, completed_at=at))


@asynccontextmanager
async def passing(clock: ManualClock) -> AsyncIterator[None]:
    """Let a second pass whenever nobody has anything to do."""

    async def tick() -> None:
        while True:
            await anyio.wait_all_tasks_blocked()
            clock.advance(1)

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        yield
        group.cancel_scope.cancel()


def results(handled: Any) -> list[Result]:
    return [one.result for one in handled]


class SlowStore(MemoryDedupe):
    """Comes to a scheduling point in each of its methods, as those do that ask a disk or a server."""

    async def claim(self, key: str, owner: str, *, order: int, lease: float) -> Verdict:
        await anyio.lowlevel.checkpoint()
        return await super().claim(key, owner, order=order, lease=lease)

    async def done(self, key: str, owner: str, *, order: int) -> None:
        await anyio.lowlevel.checkpoint()
        await super().done(key, owner, order=order)

    async def release(self, key: str, owner: str) -> None:
        await anyio.lowlevel.checkpoint()
        await super().release(key, owner)
