"""Ways to cut a call at a random moment, those of the event loop itself among them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import anyio

Work = Callable[[], Coroutine[Any, Any, None]]
Way = Callable[[Work, float], Coroutine[Any, Any, None]]
"""Runs the work, which raises nothing but its cancellation, and cuts it after so many seconds."""


async def by_timeout(work: Work, seconds: float) -> None:
    """Cut by a scope with a deadline."""
    with anyio.move_on_after(seconds):
        await work()


async def by_sibling(work: Work, seconds: float) -> None:
    """Cut by a task of the same group."""

    async def cut() -> None:
        await anyio.sleep(seconds)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(cut)
        await work()
        group.cancel_scope.cancel()


async def by_task_cancel(work: Work, seconds: float) -> None:
    """Cut by asyncio's ``task.cancel()``; raise what the work ends with instead."""
    task = asyncio.ensure_future(work())
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def by_wait_for(work: Work, seconds: float) -> None:
    """Cut by ``asyncio.wait_for``."""
    try:
        await asyncio.wait_for(work(), seconds)
    except TimeoutError:
        return


async def by_nursery(work: Work, seconds: float) -> None:
    """Cut by the scope of a trio nursery."""
    import trio

    done = trio.Event()

    async def told() -> None:
        await work()
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(told)
        with trio.move_on_after(seconds):
            await done.wait()
        nursery.cancel_scope.cancel()


WAYS: dict[str, tuple[Way, ...]] = {
    "asyncio": (by_task_cancel, by_wait_for, by_timeout, by_sibling),
    "trio": (by_nursery, by_timeout, by_sibling),
}


def moment(chance: Random) -> float:
    """Return seconds: often within a call, now and then before it begins or after it ends."""
    return 0.0 if chance.random() < 0.1 else chance.expovariate(1 / 0.04)
