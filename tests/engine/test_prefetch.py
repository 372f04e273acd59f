from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async import ConfigurationError, NotFoundError, Page, Pager, PaginationError, TransportError
from tallyfy_async.engine.prefetch import Lead
from tallyfy_async.sandbox import Fault
from tallyfy_async.transport.http import asgi_transport
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
        self.steps = 0
        self.now = 0
        self.most = 0

    async def fetch(self, number: int) -> Page[int]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            for _ in range(number % 3 + 1 + self.steps):
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


class Door:
    """An ASGI application in front of another; lets in what waits only when told."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.waiting: list[anyio.Event] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        turn = anyio.Event()
        self.waiting.append(turn)
        await turn.wait()
        await self.app(scope, receive, send)

    async def let_in(self, expected: int) -> None:
        """Wait for so many requests, see that no more come, and let them in."""
        while len(self.waiting) < expected:
            await checkpoint()
        await settle()
        assert len(self.waiting) == expected
        for turn in self.waiting:
            turn.set()
        self.waiting.clear()


async def test_the_server_sees_the_window_and_no_more() -> None:
    sandbox = small_sandbox()
    async with connect(sandbox) as client:
        expected = [task.id for task in await client.organization().tasks.list().collect()]
    assert len(expected) > 100
    door = Door(sandbox.app)
    seen: list[str] = []

    async def read() -> None:
        async with client.organization().tasks.list(per_page=10).prefetch(4) as items:
            seen.extend([task.id async for task in items])

    sandbox.stats.reset()
    async with connect(sandbox, transport=asgi_transport(door)) as client:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                left = -(-len(expected) // 10) - 1
                await door.let_in(1)
                while left:
                    await door.let_in(min(4, left))
                    left -= min(4, left)
    assert seen == expected
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


class Tides(Shelf):
    """Answers everything that was asked since the last tide at once."""

    def __init__(self, total: int, size: int = 1) -> None:
        super().__init__(total, size)
        self.tide = anyio.Event()

    async def fetch(self, number: int) -> Page[int]:
        await self.tide.wait()
        return await super().fetch(number)

    async def turn(self) -> None:
        """Answer, and let the reader read what came."""
        await settle()
        tide, self.tide = self.tide, anyio.Event()
        tide.set()
        await settle()


async def settle() -> None:
    """Let others do what they can without waiting; quicker than ``anyio.wait_all_tasks_blocked`` on asyncio."""
    for _ in range(100):
        await checkpoint()


@pytest.mark.parametrize(
    ("concurrency", "pages", "tides"), [(1, 12, 12), (10, 100, 11), (20, 100, 6), (50, 100, 6), (None, 100, 6)]
)
async def test_a_fast_reader_has_the_whole_window_under_way_from_the_start(
    concurrency: int | None, pages: int, tides: int
) -> None:
    shelf = Tides(pages)
    seen: list[int] = []

    async def read() -> None:
        async with Pager(shelf.fetch, width=lambda: 20).prefetch(concurrency) as items:
            seen.extend([item async for item in items])

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for _ in range(tides):
            assert seen == []
            await shelf.turn()
    assert seen == [*range(pages)]


async def test_a_slow_reader_has_one_page_ahead() -> None:
    shelf = SlowShelf(100, 1)
    ahead: list[int] = []
    async with shelf.pager.prefetch(8) as items:
        for taken in range(1, 31):
            await anext(items)
            await settle()
            ahead.append(max(shelf.asked) - taken)
        assert ahead == [8] * 8 + [7, 6, 5, 4, 3, 2] + [1] * 16
        assert [item async for item in items] == [*range(30, 100)]


async def test_a_reader_that_becomes_fast_has_the_whole_window_again() -> None:
    shelf = SlowShelf(100, 1)
    async with shelf.pager.prefetch(8) as items:
        for _ in range(20):
            await anext(items)
            await settle()
        shelf.most, shelf.steps = 0, 50
        assert [item async for item in items] == [*range(20, 100)]
    assert shelf.most == 8


class TestLead:
    def test_it_begins_as_wide_as_it_may(self) -> None:
        assert [Lead(lambda width=width: width).size for width in (1, 8, 20)] == [1, 8, 20]  # type: ignore[misc]

    def test_it_gives_up_what_lay_ready_for_a_whole_round(self) -> None:
        lead = Lead(lambda: 8)
        for ready in (8, 7, 6, 5, 6, 7, 8):
            lead.taken(ready, 8)
            assert lead.size == 8
        lead.taken(8, 8)
        assert lead.size == 4

    def test_a_wait_begins_a_new_round(self) -> None:
        lead = Lead(lambda: 8)
        for _ in range(5):
            lead.taken(0, 8)
            for _ in range(7):
                lead.taken(7, 8)
        assert lead.size == 8

    def test_pages_given_up_and_not_read_yet_count_for_nothing(self) -> None:
        lead = Lead(lambda: 8)
        for _ in range(8):
            lead.taken(6, 8)
        for held in (7, 6, 5, 4):
            lead.taken(held, held)
            assert lead.size == 3
        for _ in range(30):
            lead.taken(1, 3)
        assert lead.size == 3

    def test_it_doubles_when_the_reader_waits(self) -> None:
        lead = Lead(lambda: 10)
        for _ in range(10):
            lead.taken(10, 10)
        sizes = [lead.size]
        for _ in range(5):
            lead.taken(0, 1)
            sizes.append(lead.size)
        assert sizes == [1, 2, 4, 8, 10, 10]

    def test_it_follows_the_limiter_down_and_up(self) -> None:
        width = 8
        lead = Lead(lambda: width)
        width = 2
        assert lead.size == 2
        lead.taken(0, 2)
        width = 0
        assert lead.size == 1
        width = 8
        assert lead.size == 8


async def test_the_window_is_no_wider_than_the_clients_limiter() -> None:
    sandbox = small_sandbox()
    async with connect(sandbox, max_connections=5) as client:
        pager = client.organization().tasks.list(per_page=10)
        async with pager.prefetch(None) as items:
            await anext(items)
            await anyio.wait_all_tasks_blocked()
            assert sandbox.stats.requests == 6
            client._limiter.remain(2, began=client._limiter.clock.monotonic())
            for _ in range(30):
                await anext(items)
            await anyio.wait_all_tasks_blocked()
            assert sandbox.stats.requests == 6
            assert len([task async for task in items]) > 100
    assert sandbox.stats.max_concurrency <= 5


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
    async with shelf.pager.prefetch(4) as items:
        assert [await anext(items) for _ in range(25)] == seen
        for _ in range(3):
            with pytest.raises(PaginationError, match="ended after 25 of 26"):
                await anext(items)
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


async def test_an_error_of_a_page_is_freed_at_once() -> None:
    shelf = SlowShelf(1000, 10)
    shelf.errors[3] = [TransportError("taken")]
    shelf.errors[5] = [TransportError("never taken")]
    errors = [weakref.ref(shelf.errors[number][0]) for number in (3, 5)]
    async with shelf.pager.prefetch(4) as items:
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await anext(items)
            await settle()
            assert [error() is None for error in errors] == [False, False]
            with pytest.raises(TransportError, match="taken"):
                await anext(items)
            await settle()
            assert [error() for error in errors] == [None, None]
        finally:
            gc.enable()


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


async def test_one_prefetch_is_entered_once_at_a_time() -> None:
    shelf = SlowShelf(35, 10)
    prefetch = shelf.pager.prefetch(2)
    async with prefetch as items:
        assert await anext(items) == 0
        with pytest.raises(ConfigurationError, match="this prefetch is entered already"):
            await prefetch.__aenter__()
        assert [item async for item in items] == [*range(1, 35)]
    async with prefetch as items:
        assert [item async for item in items] == [*range(35)]


async def test_two_prefetches_of_one_pager_are_independent() -> None:
    shelf = SlowShelf(35, 10)
    async with shelf.pager.prefetch(2) as one, shelf.pager.prefetch(2) as two:
        assert [await anext(one), await anext(two), await anext(one), await anext(two)] == [0, 0, 1, 1]
        assert [item async for item in one] == [item async for item in two] == [*range(2, 35)]
