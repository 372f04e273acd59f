"""Whatever ends a dispatcher, at whatever moment, loses no event."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.webhooks import (
    AnyEvent,
    Dispatcher,
    MemoryDedupe,
    Reason,
    Result,
    TaskCompleted,
)
from tests.webhooks.rig import SlowStore, completed, passing, results
from tests.webhooks.samples import LATER

pytestmark = pytest.mark.anyio


async def test_what_the_grace_does_not_suffice_for_becomes_dead_letters() -> None:
    clock, cut = ManualClock(autojump=False), []
    dispatcher = Dispatcher(clock=clock, deadline=1_000)

    @dispatcher.on.any(name="quick")
    async def quick(event: AnyEvent) -> None: ...

    @dispatcher.on.any(name="slow")
    async def slow(event: TaskCompleted) -> None:
        try:
            await clock.sleep(500)
        except anyio.get_cancelled_exc_class():
            cut.append(event.task_id)
            raise

    async with passing(clock), dispatcher.running(workers=2, grace=7):
        for number in range(5):
            dispatcher.offer(completed(identifier=f"t{number}"))
    assert 7 <= clock.monotonic() < 10
    assert sorted(cut) == ["t0", "t1"]
    letters = dispatcher.dead_letters.take()
    assert sorted(letter.event.task_id for letter in letters) == [f"t{number}" for number in range(5)]
    assert {(letter.reason, letter.handler) for letter in letters} == {(Reason.SHUTDOWN, None)}
    async with passing(clock):
        again = [await dispatcher.retry(letter) for letter in letters]
    assert sorted(Counter(result for one in again for result in results(one)).items(), key=str) == [
        (Result.DUPLICATE, 2),
        (Result.HANDLED, 8),
    ]


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_handler_in_a_nursery_of_trio_s_own_loses_nothing(error: type[Exception] | None) -> None:
    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            if error is not None:
                raise error

    async def main() -> None:
        clock = ManualClock(autojump=False)
        dispatcher = Dispatcher(clock=clock, deadline=1_000)

        @dispatcher.on.any(name="slow")
        async def slow(event: AnyEvent) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
                await trio.sleep_forever()

        async with passing(clock), dispatcher.running(grace=7):
            dispatcher.offer(completed())
        assert [letter.reason for letter in dispatcher.dead_letters] == [Reason.SHUTDOWN]
        store = dispatcher._store
        assert isinstance(store, MemoryDedupe)
        assert not len(store)  # it may come again at once

    trio.run(main)


async def test_the_body_s_error_leaves_bare_and_the_queue_is_worked_off_first() -> None:
    dispatcher, heard = Dispatcher(), []

    @dispatcher.on.any()
    async def handler(event: AnyEvent) -> None:
        await anyio.lowlevel.checkpoint()
        heard.append(event)

    async def fail() -> None:
        async with dispatcher.running():
            dispatcher.offer(completed())
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()
    assert len(heard) == 1
    with anyio.CancelScope() as scope:
        async with dispatcher.running():
            dispatcher.offer(completed(LATER))
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert len(heard) == 2


async def test_a_cancelled_handling_is_free_again() -> None:
    dispatcher, begun, calls = Dispatcher(), anyio.Event(), Counter[str]()

    @dispatcher.on.any()
    async def handler(event: AnyEvent) -> None:
        calls["begun"] += 1
        begun.set()
        if calls["begun"] == 1:
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(dispatcher.handle, completed())
        await begun.wait()
        assert results(await dispatcher.handle(completed())) == [Result.BUSY]
        group.cancel_scope.cancel()
    assert results(await dispatcher.handle(completed())) == [Result.HANDLED]


async def test_a_storm_of_cancellations_leaves_nothing_in_hand() -> None:
    dispatcher, handled = Dispatcher(), Counter[str]()

    @dispatcher.on.any()
    async def handler(event: TaskCompleted) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        handled[event.task_id] += 1

    async def one(number: int, steps: int) -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(dispatcher.handle, completed(identifier=f"t{number}"))
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    async with anyio.create_task_group() as group:
        for number, steps in itertools.product(range(20), range(20)):
            group.start_soon(one, number, steps)
    for number in range(20):
        await dispatcher.handle(completed(identifier=f"t{number}"))
    assert handled == {f"t{number}": 1 for number in range(20)}


async def test_a_native_cancellation_of_the_body_loses_nothing(anyio_backend: str) -> None:
    if anyio_backend == "trio":
        pytest.skip("trio cancels through scopes only")
    import asyncio

    dispatcher, heard, entered = Dispatcher(), Counter[str](), anyio.Event()

    @dispatcher.on.any()
    async def handler(event: TaskCompleted) -> None:
        await anyio.lowlevel.checkpoint()
        heard[event.task_id] += 1

    async def serve() -> None:
        async with dispatcher.running(workers=2):
            for number in range(20):
                dispatcher.offer(completed(identifier=f"t{number}"))
            entered.set()
            await anyio.sleep_forever()

    task = asyncio.create_task(serve())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == {f"t{number}": 1 for number in range(20)}
    assert not len(dispatcher.dead_letters)
    assert not dispatcher.is_running


async def test_natively_cancelled_handlings_are_free_again(anyio_backend: str) -> None:
    if anyio_backend == "trio":
        pytest.skip("trio cancels through scopes only")
    import asyncio

    dispatcher, heard = Dispatcher(), Counter[str]()

    @dispatcher.on.any()
    async def handler(event: TaskCompleted) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        heard[event.task_id] += 1

    for steps in range(25):
        one = completed(identifier=f"t{steps}")
        task = asyncio.create_task(dispatcher.handle(one))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await dispatcher.handle(one)
    assert heard == {f"t{steps}": 1 for steps in range(25)}


@pytest.mark.parametrize("native", [False, True])
async def test_a_shutdown_at_any_moment_loses_nothing(native: bool, anyio_backend: str) -> None:
    if native and anyio_backend == "trio":
        pytest.skip("trio cancels through scopes only")

    async def one(steps: int, grace: float) -> None:
        dispatcher, calls = Dispatcher(store=SlowStore()), Counter[str]()

        @dispatcher.on.any()
        async def handler(event: TaskCompleted) -> None:
            for _ in range(2):
                await anyio.lowlevel.checkpoint()
            calls[event.task_id] += 1

        async def serve() -> None:
            async with dispatcher.running(workers=2, grace=grace):
                for number in range(5):
                    dispatcher.offer(completed(identifier=f"t{number}"))
                await anyio.sleep_forever()

        await ended_after(serve, steps, native)
        left = [letter.event.task_id for letter in dispatcher.dead_letters]
        offered = dispatcher.statistics.offered
        assert offered in {0, 5}
        assert len(left) + sum(calls.values()) >= offered
        assert sorted({*left, *calls}) == [f"t{number}" for number in range(offered)]
        for letter in dispatcher.dead_letters:
            await dispatcher.retry(letter)
        assert calls == {f"t{number}": 1 for number in range(offered)}

    for steps in range(25):
        await one(steps, 100.0)
        await one(steps, 0.0)


async def ended_after(serve: Callable[[], Any], steps: int, native: bool) -> None:
    """Run until so many scheduling points have passed, then cancel."""
    if native:
        import asyncio

        task = asyncio.create_task(serve())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return
    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
