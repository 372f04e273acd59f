from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import weakref
from collections.abc import Awaitable, Callable

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from tallyfy_async.transport.shelter import Children, SelfCancelledError, run_in_child

pytestmark = pytest.mark.anyio


class Boom(BaseException):
    """Not an Exception: nothing may swallow it."""


class Work:
    """Work that waits until it is let go, and tells how it ended."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.go = anyio.Event()
        self.ended = "not at all"

    async def __call__(self) -> str:
        self.begun.set()
        try:
            await self.go.wait()
            await checkpoint()  # a cancelled scope would strike here
        except BaseException:
            self.ended = "cut"
            raise
        self.ended = "whole"
        return "value"


async def test_the_value_comes_back() -> None:
    async def work() -> int:
        await checkpoint()
        return 42

    assert await run_in_child(work) == 42
    assert await run_in_child(work, shield=True) == 42


@pytest.mark.parametrize("shield", [False, True])
@pytest.mark.parametrize("kind", [ValueError, Boom, TimeoutError, ExceptionGroup])
async def test_an_error_comes_back_bare(shield: bool, kind: type[BaseException]) -> None:
    thrown = ExceptionGroup("of the work's own", [ValueError()]) if kind is ExceptionGroup else kind("why")

    async def work() -> None:
        await checkpoint()
        raise thrown

    with pytest.raises(kind) as caught:
        await run_in_child(work, shield=shield)
    assert caught.value is thrown
    assert caught.value.__context__ is None


async def test_an_error_leaves_no_cycle_behind() -> None:
    class Marker:
        pass

    async def work() -> None:
        raise ValueError

    async def caller() -> weakref.ref[Marker]:
        marker = Marker()
        with contextlib.suppress(ValueError):
            await run_in_child(work)
        return weakref.ref(marker)

    gc.collect()
    gc.disable()
    try:
        assert (await caller())() is None
    finally:
        gc.enable()


async def test_context_variables_flow_in() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("outside")

    async def work() -> str:
        return variable.get()

    assert await run_in_child(work) == "outside"


async def test_an_anyio_scope_cuts_the_child_and_waits_for_it() -> None:
    work = Work()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(run_in_child, work)
            await work.begun.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert work.ended == "cut"


async def test_a_shielded_child_outlives_an_anyio_scope() -> None:
    work = Work()

    async def release() -> None:
        await work.begun.wait()
        scope.cancel()
        for _ in range(5):
            await checkpoint()
        assert work.ended == "not at all"
        work.go.set()

    async with anyio.create_task_group() as group:
        group.start_soon(release)
        with anyio.CancelScope() as scope:
            await run_in_child(work, shield=True)
            await checkpoint()  # trio hands the value over and strikes here
            pytest.fail("the caller must see its cancellation")
    assert scope.cancelled_caught
    assert work.ended == "whole"


async def test_a_scope_that_is_cancelled_before_keeps_unshielded_work_from_running_on() -> None:
    work = Work()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_in_child(work)
    assert scope.cancelled_caught
    assert work.ended in {"cut", "not at all"}


def on_asyncio(main: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("shield", [False, True])
def test_a_native_cancellation(shield: bool, times: int) -> None:
    async def main() -> None:
        work = Work()
        task = asyncio.create_task(run_in_child(work, shield=shield))
        await work.begun.wait()
        for _ in range(times):
            task.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        assert work.ended == ("not at all" if shield else "cut")
        work.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.ended == ("whole" if shield else "cut")

    on_asyncio(main)


@pytest.mark.parametrize("shield", [False, True])
def test_wait_for(shield: bool) -> None:
    async def main() -> None:
        work = Work()
        struck_at: list[str] = []

        class Told(asyncio.Task[str]):
            def cancel(self, msg: object = None) -> bool:
                struck_at.append(work.ended)
                if shield:
                    work.go.set()
                return super().cancel(msg)

        task = Told(run_in_child(work, shield=shield), loop=asyncio.get_running_loop())
        await work.begun.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.005)
        assert struck_at[0] == "not at all"
        assert work.ended == ("whole" if shield else "cut")

    on_asyncio(main)


@pytest.mark.parametrize("shield", [False, True])
def test_work_that_awaits_what_was_cancelled_has_no_value(shield: bool) -> None:
    async def main() -> None:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()

        async def work() -> str:
            return await gone

        with pytest.raises(SelfCancelledError):
            await run_in_child(work, shield=shield)
        task = asyncio.create_task(run_in_child(work, shield=shield))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    on_asyncio(main)


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_cancellation_that_comes_in_a_group_is_one(error: type[Exception] | None) -> None:
    """Nurseries of trio's own raise it so, beside what their tasks raise when they are cancelled."""
    seen: list[type[BaseException]] = []

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            if error is not None:
                raise error

    async def work() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            await trio.sleep_forever()

    async def main() -> None:
        with trio.move_on_after(0) as scope:
            try:
                await run_in_child(work)
            except BaseException as caught:
                seen.append(type(caught))
                raise
        assert scope.cancelled_caught

    trio.run(main)
    assert seen == [trio.Cancelled]


def test_a_native_cancellation_beats_the_error_of_the_work() -> None:
    async def main() -> None:
        async def work() -> None:
            task.cancel()
            await asyncio.sleep(0)
            raise ValueError

        task = asyncio.create_task(run_in_child(work, shield=True))
        with pytest.raises(asyncio.CancelledError):
            await task

    on_asyncio(main)


class Pest:
    """Children that run until they are cancelled."""

    def __init__(self) -> None:
        self.alive = 0
        self.cut = 0

    async def __call__(self) -> None:
        self.alive += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.alive -= 1
            self.cut += 1


@pytest.mark.parametrize("kind", [ValueError, Boom, StopAsyncIteration, ExceptionGroup])
async def test_what_the_body_raises_leaves_children_bare(kind: type[BaseException]) -> None:
    pest = Pest()
    thrown = ExceptionGroup("the body's own", [ValueError()]) if kind is ExceptionGroup else kind("why")

    async def body() -> None:
        async with Children() as children:
            for _ in range(3):
                children.start(pest)
            await anyio.wait_all_tasks_blocked()
            raise thrown

    with pytest.raises(kind) as caught:
        await body()
    assert caught.value is thrown
    assert (pest.alive, pest.cut) == (0, 3)


async def test_leaving_children_cancels_them() -> None:
    pest = Pest()
    async with Children() as children:
        children.start(pest)
        await anyio.wait_all_tasks_blocked()
        assert pest.alive == 1
    assert (pest.alive, pest.cut) == (0, 1)


async def test_the_body_of_children_is_not_cancelled_by_their_end() -> None:
    ended = False
    async with Children() as children:
        children.start(checkpoint)
        await anyio.wait_all_tasks_blocked()
        await checkpoint()
        ended = True
    assert ended


async def test_a_scope_around_children_ends_body_and_children() -> None:
    pest = Pest()
    with anyio.CancelScope() as scope:
        async with Children() as children:
            children.start(pest)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert (pest.alive, pest.cut) == (0, 1)


async def test_children_leave_no_scope_behind() -> None:
    async with Children():
        pass
    with anyio.CancelScope() as scope:
        await checkpoint()
    assert not scope.cancelled_caught


async def test_children_are_not_started_outside_the_context() -> None:
    children = Children()
    with pytest.raises(RuntimeError, match="before the context"):
        children.start(checkpoint)
    await children.__aexit__(None, None, None)


def test_a_native_cancellation_of_the_body_of_children_arrives_bare() -> None:
    async def main() -> None:
        pest = Pest()

        async def body() -> None:
            async with Children() as children:
                children.start(pest)
                await anyio.sleep_forever()

        task = asyncio.create_task(body())
        for _ in range(5):
            await asyncio.sleep(0)
        assert pest.alive == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert (pest.alive, pest.cut) == (0, 1)

    on_asyncio(main)


def test_a_native_cancellation_while_children_are_ending_is_not_lost() -> None:
    async def main() -> None:
        slow_end = asyncio.Event()
        held = asyncio.Event()

        async def child() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    held.set()
                    await slow_end.wait()

        async def body() -> None:
            async with Children() as children:
                children.start(child)
                await anyio.sleep(0.001)
            pytest.fail("the cancellation got lost")

        task = asyncio.create_task(body())
        await held.wait()
        task.cancel()
        await asyncio.sleep(0)
        slow_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    on_asyncio(main)
