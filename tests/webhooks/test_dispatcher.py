"""Handlers hear of what they asked for, once, and cannot take the others or the process down."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tallyfy_async import ConfigurationError, StoreError, WebhookError
from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.webhooks import (
    AnyEvent,
    DeadLetter,
    Dispatcher,
    MemoryDedupe,
    OrganizationEvent,
    ProcessCompleted,
    ProcessLaunched,
    Reason,
    Result,
    TaskCompleted,
    Verdict,
    parse_event,
)
from tests.webhooks.samples import EARLIER, LATER, ORGANIZATION, OTHER, TASK, organization_event, process, task

pytestmark = pytest.mark.anyio

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


async def test_handlers_hear_of_what_they_asked_for() -> None:
    dispatcher, heard = Dispatcher(), Counter[str]()
    on = dispatcher.on

    def hear(name: str) -> Any:
        async def handler(event: AnyEvent) -> None:
            heard[f"{name}: {type(event).__name__}"] += 1

        return handler

    on.task_completed(alias="review-contract", name="1")(hear("alias"))
    on.task_completed(alias="another", name="2")(hear("other alias"))
    on.task_completed(checklist_id="template123abc", organization=ORGANIZATION, name="3")(hear("template"))
    on.task_completed(organization=OTHER, name="4")(hear("other organization"))
    on.process_launched(checklist_id="template789xyz123abc", name="5")(hear("launched"))
    on.process_launched(checklist_id="x", name="6")(hear("other launched"))
    on.process_completed(name="7")(hear("completed"))
    on.organization_event("task.comment_added", name="8")(hear("comment"))
    on.organization_event("task.issue_raised", name="9")(hear("issue"))
    on.any(name="10")(hear("any"))
    for body in (task(), process(), process(completed_at=LATER), organization_event()):
        await dispatcher.handle(event(body))
    assert heard == {
        "alias: TaskCompleted": 1,
        "template: TaskCompleted": 1,
        "launched: ProcessLaunched": 1,
        "completed: ProcessCompleted": 1,
        "comment: OrganizationEvent": 1,
        "any: TaskCompleted": 1,
        "any: ProcessLaunched": 1,
        "any: ProcessCompleted": 1,
        "any: OrganizationEvent": 1,
    }
    assert dispatcher.statistics.handled == 9
    assert await Dispatcher().handle(event()) == ()


async def test_typed_handlers_of_many_makes() -> None:
    dispatcher, heard = Dispatcher(), []

    @dispatcher.on.task_completed()
    async def by_task(event: TaskCompleted) -> None:
        heard.append(event.task_id)

    @dispatcher.on.process_launched()
    async def by_launch(event: ProcessLaunched) -> int:
        heard.append(event.process_id)
        return 7

    @dispatcher.on.process_completed()
    async def by_completion(event: ProcessCompleted) -> None:
        heard.append(event.payload.name)

    @dispatcher.on.organization_event()
    async def by_event(event: OrganizationEvent) -> None:
        heard.append(event.event)

    class Handler:
        async def __call__(self, event: TaskCompleted, more: str = "") -> None:
            heard.append(more)

        async def method(self, event: TaskCompleted) -> None:
            heard.append("method")

    dispatcher.on.task_completed()(Handler())
    dispatcher.on.task_completed(name="partial")(functools.partial(Handler(), more="partial"))
    dispatcher.on.task_completed()(Handler().method)
    handled = await dispatcher.handle(event())
    assert [one.handler.rpartition(">.")[2] for one in handled] == ["by_task", "Handler", "partial", "Handler.method"]
    assert sorted(heard) == ["", "method", "partial", "task003ghi789xyz"]


async def test_registrations_that_cannot_work() -> None:
    on = Dispatcher().on

    async def handler(event: AnyEvent) -> None: ...

    def plain(event: AnyEvent) -> None: ...

    wrong: tuple[Callable[[], Any], ...] = (
        lambda: on.any()(plain),  # type: ignore[arg-type, return-value]
        lambda: on.any(name="")(handler),
        lambda: on.any(deadline=0)(handler),
        lambda: on.any(deadline=float("inf"))(handler),
        lambda: on.task_completed(strategy="last"),  # type: ignore[arg-type]
        lambda: Dispatcher(queue=0),
        lambda: Dispatcher(deadline=-1),
        lambda: Dispatcher(dead_letters=0),
        lambda: Dispatcher().running(workers=0),
        lambda: Dispatcher().running(grace=float("inf")),
    )
    for one in wrong:
        with pytest.raises(ConfigurationError):
            one()
    on.any()(handler)
    with pytest.raises(ConfigurationError, match="there is a handler"):
        on.task_completed()(handler)


@pytest.mark.parametrize(
    ("strategy", "times", "expected"),
    [
        ("every", [NOW, NOW, LATER, EARLIER, LATER], [NOW, LATER, EARLIER]),
        ("first", [NOW, NOW, LATER, EARLIER], [NOW]),
        ("latest", [NOW, NOW, EARLIER, LATER, NOW, LATER], [NOW, LATER]),
    ],
)
async def test_strategies(strategy: Any, times: list[str], expected: list[str]) -> None:
    dispatcher, heard = Dispatcher(), []

    @dispatcher.on.task_completed(strategy=strategy)
    async def handler(event: TaskCompleted) -> None:
        heard.append(event.to_dict()["this_task"]["completed_at"].replace(".000Z", "Z"))

    for at in times:
        await dispatcher.handle(completed(at))
    assert heard == expected
    found = dispatcher.statistics
    assert found.handled == len(expected)
    assert found.duplicates + found.stale == len(times) - len(expected)
    assert found.stale == (2 if strategy == "latest" else 0)
    await dispatcher.handle(completed(identifier="another"))
    assert len(heard) == len(expected) + 1


async def test_the_newer_one_is_handled_after_the_older_one_that_is_in_hand() -> None:
    clock = ManualClock()
    dispatcher, log = Dispatcher(clock=clock), []

    @dispatcher.on.task_completed(strategy="latest")
    async def handler(event: TaskCompleted) -> None:
        log.append(("begin", event.order))
        await clock.sleep(5)
        log.append(("end", event.order))

    async with anyio.create_task_group() as group:
        group.start_soon(dispatcher.handle, completed(NOW))
        await anyio.lowlevel.checkpoint()
        group.start_soon(dispatcher.handle, completed(LATER))
        group.start_soon(dispatcher.handle, completed(EARLIER))
    orders = [order for _, order in log]
    assert orders == sorted(orders)
    assert [word for word, _ in log] == ["begin", "end"] * (len(log) // 2)
    assert orders[-1] == completed(LATER).order


async def test_a_storm_of_duplicates_is_handled_once() -> None:
    dispatcher, heard = Dispatcher(queue=2_000), Counter[str]()

    @dispatcher.on.any()
    async def handler(event: TaskCompleted) -> None:
        await anyio.lowlevel.checkpoint()
        heard[event.task_id] += 1

    async with dispatcher.running(workers=20):
        for number, _ in itertools.product(range(20), range(50)):
            dispatcher.offer(completed(identifier=f"t{number}"))
    assert heard == {f"t{number}": 1 for number in range(20)}
    found = dispatcher.statistics
    assert (found.offered, found.handled, found.duplicates + found.busy, found.dead_letters) == (1_000, 20, 980, 0)


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


async def test_the_queue_is_bounded_and_closed_outside_of_running() -> None:
    dispatcher, gate = Dispatcher(queue=3), anyio.Event()

    @dispatcher.on.any()
    async def handler(event: AnyEvent) -> None:
        await gate.wait()

    def refused() -> tuple[str, int]:
        with pytest.raises(WebhookError) as caught:
            dispatcher.offer(completed(identifier="more"))
        return caught.value.kind, caught.value.status

    assert refused() == ("closed", 503)
    async with dispatcher.running(workers=2) as same:
        assert same is dispatcher
        assert dispatcher.is_running
        for number in range(5):
            dispatcher.offer(completed(identifier=f"t{number}"))
            await anyio.wait_all_tasks_blocked()
        assert refused() == ("full", 503)
        found = dispatcher.statistics
        assert (found.queued, found.in_hand, found.full, found.offered) == (3, 2, 1, 5)
        assert "3 of 3 queued" in repr(dispatcher)
        with pytest.raises(ConfigurationError, match="runs already"):
            await dispatcher.running().__aenter__()
        gate.set()
    assert refused() == ("closed", 503)
    assert dispatcher.statistics.handled == 5
    async with dispatcher.running():
        dispatcher.offer(completed(identifier="again"))
    assert dispatcher.statistics.handled == 6


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


async def test_what_nobody_wants_leaves_the_others_their_turn() -> None:
    dispatcher, turns = Dispatcher(queue=1_000), 0
    async with dispatcher.running(workers=1):
        for number in range(1_000):
            dispatcher.offer(completed(identifier=f"t{number}"))
        while dispatcher.statistics.queued:
            await anyio.lowlevel.checkpoint()
            turns += 1
    assert turns > 20
    assert dispatcher.statistics.unmatched == 1_000
