"""Handlers, stores and callbacks that fail, hang or are cancelled take neither the others nor the process down."""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tallyfy_async import StoreError
from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.webhooks import (
    AnyEvent,
    DeadLetter,
    Dispatcher,
    MemoryDedupe,
    Reason,
    Result,
    TaskCompleted,
    Verdict,
)
from tests.webhooks.rig import SlowStore, completed, passing, results

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("many", [False, True])
async def test_a_handler_that_raises_or_hangs_leaves_a_dead_letter_and_the_others_go_on(many: bool) -> None:
    told: list[DeadLetter] = []
    clock = ManualClock(autojump=False)
    dispatcher, heard = Dispatcher(deadline=5, on_dead_letter=told.append, clock=clock), []

    @dispatcher.on.any(name="raises")
    async def raises(event: AnyEvent) -> None:
        raise KeyError("hunter2")

    @dispatcher.on.any(name="hangs", deadline=9)
    async def hangs(event: AnyEvent) -> None:
        await clock.sleep(10_000)

    if many:

        @dispatcher.on.any(name="works")
        async def works(event: AnyEvent) -> None:
            await clock.sleep(1)
            heard.append(event)

    one = completed()
    async with passing(clock), dispatcher.running(workers=1, grace=100):
        dispatcher.offer(one)
        dispatcher.offer(completed(identifier="t2"))
    assert len(heard) == 2 * many
    assert Counter((letter.handler, letter.reason, letter.error) for letter in dispatcher.dead_letters) == {
        ("raises", Reason.RAISED, "KeyError"): 2,
        ("hangs", Reason.TIMEOUT, None): 2,
    }
    assert told == list(dispatcher.dead_letters)
    assert 18 <= clock.monotonic() < 30
    assert "hunter2" not in repr(told)
    assert isinstance(told[0].exception, KeyError)
    assert 'raise KeyError("hunter2")' in told[0].lines
    statistics = dispatcher.statistics
    assert (statistics.failed, statistics.handled, statistics.in_hand) == (4, 2 * many, 0)


async def test_what_failed_may_come_again_and_what_worked_does_not() -> None:
    dispatcher, calls = Dispatcher(), Counter[str]()

    @dispatcher.on.any(name="flaky")
    async def flaky(event: AnyEvent) -> None:
        calls["flaky"] += 1
        if calls["flaky"] == 1:
            raise OSError

    @dispatcher.on.any(name="works")
    async def works(event: AnyEvent) -> None:
        calls["works"] += 1

    one = completed()
    assert results(await dispatcher.handle(one)) == [Result.FAILED, Result.HANDLED]
    (letter,) = dispatcher.dead_letters.take()
    assert not len(dispatcher.dead_letters)
    assert results(await dispatcher.retry(letter)) == [Result.HANDLED]
    assert results(await dispatcher.retry(letter)) == [Result.DUPLICATE]
    assert results(await dispatcher.handle(one)) == [Result.DUPLICATE, Result.DUPLICATE]
    assert calls == {"flaky": 2, "works": 1}


async def test_a_handler_that_cancels_itself_ends_nobody_else(anyio_backend: str) -> None:
    dispatcher, heard = Dispatcher(), []

    @dispatcher.on.any()
    async def handler(event: TaskCompleted) -> None:
        heard.append(event.task_id)
        if anyio_backend == "asyncio" and event.task_id == "t0":
            import asyncio

            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        elif anyio_backend == "asyncio" and event.task_id == "t1":
            import asyncio

            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await anyio.lowlevel.checkpoint()
        elif event.task_id in {"t0", "t1"}:
            raise OSError

    async with dispatcher.running(workers=1):
        for number in range(4):
            dispatcher.offer(completed(identifier=f"t{number}"))
    assert heard == ["t0", "t1", "t2", "t3"]
    assert dispatcher.statistics.handled == 2
    kind = Reason.CANCELLED if anyio_backend == "asyncio" else Reason.RAISED
    assert [letter.reason for letter in dispatcher.dead_letters] == [kind, kind]


class BrokenStore(MemoryDedupe):
    """Fails where it is told to."""

    failing: frozenset[str] = frozenset()

    async def claim(self, key: str, owner: str, *, order: int, lease: float) -> Verdict:
        if "claim" in self.failing:
            raise StoreError("the disk is full")
        return await super().claim(key, owner, order=order, lease=lease)

    async def done(self, key: str, owner: str, *, order: int) -> None:
        if "done" in self.failing:
            await anyio.sleep_forever()
        await super().done(key, owner, order=order)


async def test_a_store_that_fails() -> None:
    clock = ManualClock()
    store = BrokenStore(clock=clock)
    dispatcher, heard = Dispatcher(store=store, clock=clock), []

    @dispatcher.on.any()
    async def handler(event: AnyEvent) -> None:
        heard.append(event)

    store.failing = frozenset({"claim"})
    async with dispatcher.running(workers=1):
        dispatcher.offer(completed())
    (letter,) = dispatcher.dead_letters.take()
    assert (letter.reason, letter.error) == (Reason.STORE, "StoreError")
    assert not heard
    store.failing = frozenset()
    assert results(await dispatcher.retry(letter)) == [Result.HANDLED]
    assert dispatcher.statistics.store_failures == 0


async def test_a_store_that_does_not_take_the_end() -> None:
    clock = ManualClock(autojump=False)
    store = BrokenStore(clock=clock)
    dispatcher, heard = Dispatcher(store=store, clock=clock), []

    @dispatcher.on.any()
    async def handler(event: AnyEvent) -> None:
        heard.append(event)

    store.failing = frozenset({"done"})
    async with anyio.create_task_group() as group:
        group.start_soon(dispatcher.handle, completed())
        await anyio.wait_all_tasks_blocked()
        clock.advance(31)  # the handler's deadline
        await anyio.wait_all_tasks_blocked()
        assert dispatcher.statistics.store_failures == 0, "it is asked once more"
        clock.advance(11)
    assert len(heard) == 1
    assert dispatcher.statistics.store_failures == 1
    assert dispatcher.statistics.handled == 1


async def test_a_callback_of_dead_letters_that_fails_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    async def told(letter: DeadLetter) -> None:
        raise OSError("secret words")

    dispatcher = Dispatcher(on_dead_letter=told, dead_letters=2)

    @dispatcher.on.any(name="raises")
    async def raises(event: AnyEvent) -> None:
        raise OSError("secret words")

    for number in range(5):
        await dispatcher.handle(completed(identifier=f"t{number}"))
    assert "on_dead_letter failed: OSError" in caplog.text
    assert "task.completed: raises raised (OSError)" in caplog.text
    assert "secret words" not in caplog.text
    letters = dispatcher.dead_letters
    assert (len(letters), letters.total, letters.dropped) == (2, 5, 3)
    assert [letter.event.task_id for letter in letters] == ["t3", "t4"]


WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


async def test_what_a_handler_sets_in_its_context_ends_with_it() -> None:
    dispatcher, heard = Dispatcher(), []

    @dispatcher.on.any()
    async def handler(event: TaskCompleted) -> None:
        heard.append(WHO.get())
        WHO.set(event.task_id)

    WHO.set("whoever entered")
    async with dispatcher.running(workers=1):
        WHO.set("whoever offers")
        await anyio.wait_all_tasks_blocked()
        for number in range(4):
            dispatcher.offer(completed(identifier=f"t{number}"))
    assert heard == ["whoever entered"] * 4


@pytest.mark.parametrize("store", [MemoryDedupe, SlowStore])
@pytest.mark.parametrize("ending", ["returns", "raises"])
async def test_a_task_that_a_handler_cancels_just_before_its_end(ending: str, store: Any, anyio_backend: str) -> None:
    if anyio_backend == "trio":
        pytest.skip("trio cancels through scopes only")
    import asyncio

    told: list[DeadLetter] = []
    dispatcher, log = Dispatcher(store=store(), on_dead_letter=told.append), Counter[str]()

    @dispatcher.on.any(name="cancels")
    async def cancels(event: TaskCompleted) -> None:
        current = asyncio.current_task()
        assert current is not None
        if event.task_id == "cancelled":
            current.cancel()
        log["called"] += 1
        if ending == "raises":
            raise OSError

    @dispatcher.on.any(name="long")
    async def long(event: TaskCompleted) -> None:
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        log["long"] += 1

    async with dispatcher.running():
        dispatcher.offer(completed(identifier="another"))
        dispatcher.offer(completed(identifier="cancelled"))
    assert log == {"called": 2, "long": 2}
    assert [letter.reason for letter in told] == [Reason.RAISED] * 2 * (ending == "raises")
    assert list(dispatcher.dead_letters) == told
    again = results(await dispatcher.handle(completed(identifier="cancelled")))
    assert again == [Result.FAILED if ending == "raises" else Result.DUPLICATE, Result.DUPLICATE]


async def test_a_store_whose_answer_was_cancelled_leaves_a_dead_letter(anyio_backend: str) -> None:
    if anyio_backend == "trio":
        pytest.skip("trio cancels through scopes only")
    import asyncio

    class Cut(MemoryDedupe):
        async def claim(self, key: str, owner: str, *, order: int, lease: float) -> Verdict:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
            return Verdict.CLAIMED

    dispatcher = Dispatcher(store=Cut())
    for name in ("one", "two"):

        @dispatcher.on.any(name=name)
        async def handler(event: AnyEvent) -> None: ...

    async with dispatcher.running():
        dispatcher.offer(completed())
    assert Counter((letter.handler, letter.reason) for letter in dispatcher.dead_letters) == {
        ("one", Reason.STORE): 1,
        ("two", Reason.STORE): 1,
    }


async def test_a_dead_letter_keeps_no_variables_and_ends_no_coroutine_that_shares_its_error() -> None:
    """The error is another task's too, which goes on after it: its frame is in the traceback, and must stay alive."""
    dispatcher, lived = Dispatcher(), []
    failed, shared = anyio.Event(), list[Exception]()

    def fail() -> None:
        raise OSError("hunter2")

    async def elsewhere() -> None:
        try:
            fail()
        except OSError as error:
            shared.append(error)
        failed.set()
        await anyio.lowlevel.checkpoint()
        lived.append(True)

    @dispatcher.on.any()
    async def handler(event: TaskCompleted) -> None:
        password = "hunter2"  # noqa: F841 - what must not be kept
        await failed.wait()
        raise ValueError("hunter2") from ExceptionGroup("both", [KeyError("hunter2"), *shared])

    async with anyio.create_task_group() as group:
        group.start_soon(elsewhere)
        await dispatcher.handle(completed())
    assert lived == [True]
    (letter,) = dispatcher.dead_letters
    assert "hunter2" not in repr(letter)
    assert "raise ValueError" in letter.lines
    first = letter.exception
    assert isinstance(first, ValueError)
    assert isinstance(first.__cause__, ExceptionGroup)
    for error in (first, first.__cause__, *first.__cause__.exceptions):
        assert error.__traceback__ is None


async def test_a_handler_that_leaves_a_scope_open_disturbs_nobody_else() -> None:
    """Such as one that breaks out of an asynchronous generator in the middle of a timeout."""
    dispatcher, heard = Dispatcher(), Counter[str]()
    scopes: list[anyio.CancelScope] = []

    @dispatcher.on.any()
    async def handler(event: TaskCompleted) -> None:
        if event.task_id == "t0":
            scopes.append(anyio.CancelScope())
            scopes[0].__enter__()
        await anyio.wait_all_tasks_blocked()
        heard[event.task_id] += 1

    async with dispatcher.running(workers=3):
        for number in range(6):
            dispatcher.offer(completed(identifier=f"t{number}"))
            await anyio.lowlevel.checkpoint()
    assert heard == {f"t{number}": 1 for number in range(6)}
    assert dispatcher.statistics.handled + dispatcher.statistics.failed == 6
