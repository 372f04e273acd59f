"""Discrete time: the clock moves from timer to timer, and between two moves every task runs until it waits."""

from __future__ import annotations

import asyncio
from typing import Any

import trio
import trio.testing
from trio._core import _run as trio_run

from tallyfy_async.transport.manual_clock import ManualClock

_ENOUGH = 400
# What a task that has ended sets off goes from callback to callback before another task is seen to be ready.
_CYCLES = 4


def native() -> bool:
    """Whether the running loop has native task cancellation."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def same_order_every_time(monkeypatch: Any) -> None:
    """Make trio, which shuffles the tasks that are ready, shuffle them alike in every run."""
    monkeypatch.setattr(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)


def shuffle_from(seed: int) -> None:
    """Begin trio's shuffling anew."""
    trio_run._r.seed(seed)


async def settle() -> None:
    """Let everything run that can run without the clock."""
    if not native():
        await trio.testing.wait_all_tasks_blocked()
        return
    quiet = 0
    # A cancelled task whose shielded child is still busy spins, so it never looks blocked: hence the bound.
    for _ in range(_ENOUGH):
        await asyncio.sleep(0)
        ready = any(_ready(task) for task in asyncio.all_tasks() if task is not asyncio.current_task())
        quiet = 0 if ready else quiet + 1
        if quiet == _CYCLES:
            return


def _ready(task: Any) -> bool:
    waits_for = task._fut_waiter
    return waits_for is None or waits_for.done()


async def pass_time(clock: ManualClock, seconds: float) -> None:
    """Move the clock on, stopping at every timer for what it sets off."""
    end = clock.monotonic() + seconds
    await settle()
    while (timer := clock._timers.first) is not None and timer.due <= end:
        clock._move_to(timer.due)
        await settle()
    clock._move_to(end)
    await settle()


def living() -> int:
    """Return how many tasks there are, the current one included."""
    return len(asyncio.all_tasks()) if native() else trio.lowlevel.current_statistics().tasks_living
