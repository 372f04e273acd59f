"""Many works at once, of which the first error is raised bare."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio

Work = Callable[[], Awaitable[None]]


async def together(works: Iterable[Work], *, at_once: int | None = None) -> None:
    """Run works at the same time, at most ``at_once``; the first error ends the others and is raised bare."""
    errors: list[Exception] = []
    room = None if at_once is None else anyio.Semaphore(at_once)

    async def one(work: Work) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - raised bare when the others have ended
            errors.append(error)
            group.cancel_scope.cancel()
        finally:
            if room is not None:
                room.release()

    async with anyio.create_task_group() as group:
        for work in works:
            if room is not None:
                await room.acquire()
            group.start_soon(one, work)
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # or their tracebacks would keep this frame alive
