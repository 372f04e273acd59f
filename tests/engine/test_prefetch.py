from __future__ import annotations

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async import ConfigurationError, NotFoundError, Page, PaginationError, TransportError
from tallyfy_async.sandbox import Fault
from tests.engine.pages import Shelf
from tests.helpers import connect, small_sandbox

pytestmark = pytest.mark.anyio


class SlowShelf(Shelf):
    """Answers only when let, and counts how many are asked at once."""

    def __init__(self, total: int, size: int, *, open_gate: bool = True) -> None:
        super().__init__(total, size)
        self.gate = anyio.Event()
        if open_gate:
            self.gate.set()
        self.now = 0
        self.most = 0

    async def fetch(self, number: int) -> Page[int]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            for _ in range(number % 3 + 1):
                await checkpoint()
            await self.gate.wait()
            return await super().fetch(number)
        finally:
            self.now -= 1


@pytest.mark.parametrize("concurrency", [1, 2, 8, 100])
async def test_items_come_in_order_and_whole(concurrency: int) -> None:
    shelf = SlowShelf(95, 10)
    async with shelf.pager.prefetch(concurrency) as items:
        assert [item async for item in items] == [*range(95)]
    assert sorted(shelf.asked) == [*range(1, 11)]
    assert shelf.most <= concurrency


@pytest.mark.parametrize("total", [0, 1, 10, 11])
async def test_short_lists(total: int) -> None:
    shelf = SlowShelf(total, 10)
    async with shelf.pager.prefetch() as items:
        assert [item async for item in items] == [*range(total)]


async def test_the_server_sees_the_window_and_no_more() -> None:
    sandbox = small_sandbox()
    sandbox.faults.add(Fault(operation="list_tasks", times=None, delay=0.01))
    async with connect(sandbox) as client:
        pager = client.organization().tasks.list(per_page=10)
        expected = [task.id for task in await pager.collect()]
        sandbox.stats.reset()
        async with pager.prefetch(4) as items:
            assert [task.id async for task in items] == expected
    assert len(expected) > 100
    assert sandbox.stats.max_concurrency == 4
    assert sandbox.stats.requests == -(-len(expected) // 10)


async def test_nothing_is_fetched_before_the_first_item_is_asked_for() -> None:
    shelf = SlowShelf(95, 10)
    async with shelf.pager.prefetch(4):
        await anyio.wait_all_tasks_blocked()
    assert shelf.asked == []


async def test_the_window_moves_only_as_items_are_taken() -> None:
    shelf = SlowShelf(1000, 10)
    async with shelf.pager.prefetch(4) as items:
        for taken in range(1, 31):
            await anext(items)
            await anyio.wait_all_tasks_blocked()
            page = -(-taken // 10)
            assert sorted(shelf.asked) == [*range(1, page + 5)]


async def test_leaving_early_ends_the_fetches_that_are_under_way() -> None:
    shelf = SlowShelf(1000, 10)
    async with shelf.pager.prefetch(4) as items:
        async for item in items:
            shelf.gate = anyio.Event()
            await anyio.wait_all_tasks_blocked()
            assert (item, shelf.now) == (0, 4)
            break
    assert shelf.now == 0
    assert sorted(shelf.asked) == [1]


async def test_leaving_early_gives_all_slots_back() -> None:
    sandbox = small_sandbox()
    sandbox.faults.add(Fault(operation="list_tasks", after=1, times=None, delay=60))
    async with connect(sandbox) as client:
        async with client.organization().tasks.list(per_page=10).prefetch(4) as items:
            await anext(items)
            await anyio.wait_all_tasks_blocked()
            assert client._limiter.free == 16
        assert client._limiter.free == 20


@pytest.mark.parametrize("at", [1, 2, 5, 10])
async def test_after_an_error_the_same_page_comes_next(at: int) -> None:
    shelf = SlowShelf(95, 10)
    shelf.errors[at] = [TransportError("one"), NotFoundError("two", status=404)]
    seen: list[int] = []
    errors: list[str] = []
    async with shelf.pager.prefetch(4) as items:
        while True:
            try:
                seen.append(await anext(items))
            except StopAsyncIteration:
                break
            except (TransportError, NotFoundError) as error:
                errors.append(str(error))
                assert seen == [*range((at - 1) * 10)]
    assert errors == ["one", "404: two"]
    assert seen == [*range(95)]


async def test_a_short_walk_is_an_error_ahead_too() -> None:
    shelf = Shelf(25, 10, lambda _, values: values.update(total=26))
    seen: list[int] = []

    async def walk() -> None:
        async with shelf.pager.prefetch(4) as items:
            async for item in items:
                seen.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(PaginationError, match="ended after 25 of 26"):
        await walk()
    assert seen == [*range(25)]


async def test_a_list_that_shrinks_ends_at_its_new_end() -> None:
    def shrink(number: int, values: dict[str, object]) -> None:
        if number >= 3:
            values["total"], values["total_pages"] = 30, 3

    shelf = Shelf(90, 10, shrink)
    async with shelf.pager.prefetch(8) as items:
        assert [item async for item in items] == [*range(30)]


async def test_a_list_that_grows_is_walked_to_its_new_end() -> None:
    def grow(number: int, values: dict[str, object]) -> None:
        if number == 1:
            values["total"], values["total_pages"] = 20, 2

    shelf = Shelf(90, 10, grow)
    async with shelf.pager.prefetch(8) as items:
        assert [item async for item in items] == [*range(90)]


async def test_waiting_for_an_item_can_be_cancelled_and_taken_up_again() -> None:
    shelf = SlowShelf(95, 10, open_gate=False)
    async with shelf.pager.prefetch(4) as items:
        for _ in range(3):
            with anyio.move_on_after(0.005) as scope:
                await anext(items)
            assert scope.cancelled_caught
        shelf.gate.set()
        assert [item async for item in items] == [*range(95)]
    assert sorted(shelf.asked) == [*range(1, 11)]


class Boom(BaseException):
    """Not an Exception: nothing may swallow it."""


@pytest.mark.parametrize("kind", [ValueError, Boom, StopAsyncIteration, TransportError])
async def test_what_the_user_raises_leaves_bare(kind: type[BaseException]) -> None:
    shelf = SlowShelf(1000, 10)
    thrown = kind("the user's own")

    async def body() -> None:
        async with shelf.pager.prefetch(4) as items:
            async for item in items:
                if item == 15:
                    raise thrown

    with pytest.raises(kind) as caught:
        await body()
    assert caught.value is thrown
    assert shelf.now == 0


async def test_an_error_of_a_page_leaves_bare() -> None:
    shelf = SlowShelf(1000, 10)
    shelf.errors[3] = [TransportError("why")]

    async def walk() -> None:
        async with shelf.pager.prefetch(4) as items:
            async for _ in items:
                pass

    with pytest.raises(TransportError, match="why"):
        await walk()


async def test_a_scope_around_it_all_ends_it() -> None:
    shelf = SlowShelf(1000, 10, open_gate=False)
    with anyio.move_on_after(0.01) as scope:
        async with shelf.pager.prefetch(4) as items:
            await anext(items)
    assert scope.cancelled_caught
    assert shelf.now == 0


def test_a_native_cancellation_arrives_bare() -> None:
    async def main() -> None:
        shelf = SlowShelf(1000, 10, open_gate=False)

        async def body() -> None:
            async with shelf.pager.prefetch(4) as items:
                await anext(items)

        task = asyncio.create_task(body())
        await anyio.wait_all_tasks_blocked()
        assert shelf.now == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert shelf.now == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def test_items_asked_for_after_the_end_are_refused_and_never_hang() -> None:
    shelf = SlowShelf(95, 10)
    async with shelf.pager.prefetch(4) as items:
        assert await anext(items) == 0
        shelf.gate = anyio.Event()
    assert [await anext(items) for _ in range(9)] == [*range(1, 10)]
    with anyio.fail_after(1), pytest.raises(ConfigurationError, match="has ended"):
        await anext(items)


async def test_another_task_that_waits_for_an_item_at_the_end_is_refused() -> None:
    shelf = SlowShelf(95, 10, open_gate=False)

    async def reader() -> None:
        with pytest.raises(ConfigurationError, match="has ended"):
            await anext(items)

    async with anyio.create_task_group() as group, shelf.pager.prefetch(4) as items:
        group.start_soon(reader)
        await anyio.wait_all_tasks_blocked()


async def test_two_prefetches_of_one_pager_are_independent() -> None:
    shelf = SlowShelf(35, 10)
    async with shelf.pager.prefetch(2) as one, shelf.pager.prefetch(2) as two:
        assert [await anext(one), await anext(two), await anext(one), await anext(two)] == [0, 0, 1, 1]
        assert [item async for item in one] == [item async for item in two] == [*range(2, 35)]
