"""Foreign work that must not end the task that calls it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from attrs import define, field

T = TypeVar("T")


class SelfCancelledError(Exception):
    """The work was cancelled, but by none of the scopes around it."""


@define(eq=False)
class _Work(Generic[T]):
    make: Callable[[], Awaitable[T]]
    results: list[T] = field(factory=list[Any])
    error: Exception | None = None

    async def run(self) -> None:
        try:
            self.results.append(await self.make())
        except Exception as error:  # noqa: BLE001 - handed to the parent, which raises it bare
            self.error = error


async def run_alone(make: Callable[[], Awaitable[T]]) -> T:
    """Await ``make()`` in a child task; return what it returns, or raise what it raises, bare.

    On asyncio a coroutine can end in CancelledError although nobody cancelled its task: where it awaited a future that
    was. That would end the calling task in silence; here it is a SelfCancelledError.
    """
    work: _Work[T] = _Work(make)
    async with anyio.create_task_group() as group:
        group.start_soon(work.run)
    if work.error is not None:
        error, work.error = work.error, None
        raise error
    if not work.results:
        await checkpoint_if_cancelled()
        raise SelfCancelledError
    return work.results[0]
