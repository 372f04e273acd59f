"""Handlers hear of what they asked for, once, in their order, through a bounded queue."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tallyfy_async import ConfigurationError, WebhookError
from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.webhooks import (
    AnyEvent,
    Dispatcher,
    OrganizationEvent,
    ProcessCompleted,
    ProcessLaunched,
    TaskCompleted,
)
from tests.webhooks.rig import NOW, completed, event
from tests.webhooks.samples import EARLIER, LATER, ORGANIZATION, OTHER, organization_event, process, task

pytestmark = pytest.mark.anyio


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
