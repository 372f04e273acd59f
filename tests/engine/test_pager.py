from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async import ConfigurationError, DecodeError, Page, Pager, PaginationError, PermissionDeniedError
from tallyfy_async.sandbox import UNSET, Fault, Sandbox
from tests.engine.pages import Shelf
from tests.helpers import connect, small_sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Sandbox:
    return small_sandbox()


def live_runs(sandbox: Sandbox) -> list[str]:
    truth = sandbox.truth()
    return [run for run in truth["runs"] if run not in truth["archived_runs"]]


async def test_awaiting_gives_the_first_page_each_time_anew(sandbox: Sandbox) -> None:
    async with connect(sandbox) as client:
        pager = client.organization().runs.list(per_page=10)
        assert sandbox.stats.requests == 0
        page, again = await pager, await pager
        assert sandbox.stats.requests == 2
    assert [run.id for run in page] == [run.id for run in again]
    assert (page.number, len(page), page.total, page.has_next) == (1, 10, len(live_runs(sandbox)), True)
    assert page.total_pages == -(-len(live_runs(sandbox)) // 10)
    assert page[0] is page.items[0]
    assert page[1:3] == page.items[1:3]
    assert page[-1] in page
    assert repr(page) == f"<Page 1 of {page.total_pages}: 10 of {page.total} items>"


async def test_pages_follow_each_other_up_to_the_last(sandbox: Sandbox) -> None:
    async with connect(sandbox) as client:
        page = await client.organization().runs.list(per_page=10)
        seen = [*page]
        while page.has_next:
            page = await page.next()
            seen += page
        with pytest.raises(PaginationError, match="is the last one") as caught:
            await page.next()
    assert {run.id for run in seen} == set(live_runs(sandbox))
    assert (caught.value.seen, caught.value.total) == (len(page), len(seen))


async def test_a_walk_gives_every_item_once_and_each_walk_begins_anew(sandbox: Sandbox) -> None:
    async with connect(sandbox) as client:
        pager = client.organization().runs.list(per_page=7)
        first = [run.id async for run in pager]
        second = [run.id async for run in pager]
    assert first == second
    assert sorted(first) == sorted(live_runs(sandbox))
    assert [received.query["page"] for received in sandbox.stats.received] == ["1", "2", "3", "4"][
        : len(first) // 7 + 1
    ] * 2


async def test_the_lists_own_maximum_is_asked_for(sandbox: Sandbox) -> None:
    async with connect(sandbox) as client:
        assert len(await client.organization().runs.list().collect()) == len(live_runs(sandbox))
    assert [received.query["per_page"] for received in sandbox.stats.received] == ["100"]


async def test_pages_can_be_walked() -> None:
    shelf = Shelf(25, 10)
    assert [[*page] async for page in shelf.pager.pages()] == [[*range(10)], [*range(10, 20)], [*range(20, 25)]]
    assert shelf.asked == [1, 2, 3]


@pytest.mark.parametrize(
    ("limit", "asked"),
    [(None, [1, 2, 3]), (0, []), (1, [1]), (10, [1]), (11, [1, 2]), (25, [1, 2, 3]), (99, [1, 2, 3])],
)
async def test_collecting_asks_for_no_more_than_it_needs(limit: int | None, asked: list[int]) -> None:
    shelf = Shelf(25, 10)
    assert await shelf.pager.collect(limit) == [*range(25)][:limit]
    assert shelf.asked == asked


async def test_wrong_numbers_are_refused() -> None:
    shelf = Shelf(25, 10)
    for limit in (-1, 1.5, True, "10"):
        with pytest.raises(ConfigurationError, match="limit must be a whole number of 0 or more"):
            await shelf.pager.collect(limit)  # type: ignore[arg-type]
    for concurrency in (0, -1, 2.0, True, "8"):
        with pytest.raises(ConfigurationError, match="concurrency must be a whole number of at least 1, or None"):
            shelf.pager.prefetch(concurrency)  # type: ignore[arg-type]
    assert shelf.asked == []


@pytest.mark.parametrize("per_page", [0, -1, True, 1.5, "10"])
def test_a_per_page_that_is_none_is_refused_before_anything_is_sent(sandbox: Sandbox, per_page: Any) -> None:
    with pytest.raises(ConfigurationError, match="per_page must be a whole number"):
        connect(sandbox).organization().runs.list(per_page=per_page)
    assert sandbox.stats.requests == 0


@pytest.mark.parametrize("total", [0, 1, 10, 11])
async def test_lists_of_every_length_end_rightly(total: int) -> None:
    shelf = Shelf(total, 10)
    assert await shelf.pager.collect() == [*range(total)]
    assert shelf.asked == [*range(1, max(1, -(-total // 10)) + 1)]


@pytest.mark.parametrize("style", ["auto", "list", "map", "null", "missing", "prev"])
async def test_links_of_every_spelling(style: str) -> None:
    sandbox = small_sandbox(links_style=style)
    async with connect(sandbox) as client:
        runs = await client.organization().runs.list(per_page=10).collect()
    assert sorted(run.id for run in runs) == sorted(live_runs(sandbox))


async def test_links_alone_lead_on_where_page_numbers_are_missing(sandbox: Sandbox) -> None:
    numbers = {"total_pages": UNSET, "current_page": UNSET, "total": UNSET}
    sandbox.faults.add(Fault(operation="list_runs", times=None, patch={"meta": {"pagination": numbers}}))
    async with connect(sandbox) as client:
        pager = client.organization().runs.list(per_page=10)
        assert len(await pager.collect()) == len(live_runs(sandbox))
        async with pager.prefetch() as items:
            assert len([run async for run in items]) == len(live_runs(sandbox))
        page = await pager
    assert (page.total, page.total_pages, page.has_next) == (None, None, True)
    assert repr(page) == "<Page 1 of ?: 10 of ? items>"


@pytest.mark.parametrize("meta", [UNSET, None, [], {}, {"pagination": []}, {"pagination": None}], ids=repr)
async def test_a_list_without_meta_is_one_page(sandbox: Sandbox, meta: Any) -> None:
    sandbox.faults.add(Fault(operation="list_runs", body={"data": []} if meta is UNSET else {"data": [], "meta": meta}))
    async with connect(sandbox) as client:
        page = await client.organization().runs.list()
    assert (page.total, page.total_pages, page.has_next, len(page)) == (None, None, False, 0)
    with pytest.raises(PaginationError):
        await page.next()


async def test_a_walk_that_would_end_short_is_an_error() -> None:
    def lie(number: int, values: dict[str, Any]) -> None:
        values["total"] = 26

    walk = aiter(Shelf(25, 10, lie).pager)
    seen = [await anext(walk) for _ in range(25)]
    for _ in range(3):  # who tries again must not take the end for a clean one
        with pytest.raises(PaginationError, match="ended after 25 of 26 items") as caught:
            await anext(walk)
        assert (caught.value.seen, caught.value.total) == (25, 26)
    assert seen == [*range(25)]


async def test_a_walk_that_ended_stays_ended() -> None:
    shelf = Shelf(25, 10)
    walk = aiter(shelf.pager)
    assert [item async for item in walk] == [*range(25)]
    for _ in range(3):
        with pytest.raises(StopAsyncIteration):
            await anext(walk)
    assert shelf.asked == [1, 2, 3]


@pytest.mark.parametrize("ahead", [False, True])
async def test_two_tasks_cannot_walk_at_once_and_nothing_is_lost(ahead: bool) -> None:
    shelf = Shelf(200, 10)
    gate = anyio.Event()
    seen: list[int] = []
    refused: list[str] = []

    async def fetch(number: int) -> Page[int]:
        await gate.wait()
        return await shelf.fetch(number)

    async def worker(items: AsyncIterator[int]) -> None:
        try:
            async for item in items:
                seen.append(item)
                await checkpoint()
        except ConfigurationError as error:
            refused.append(str(error))

    async def work(items: AsyncIterator[int]) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(worker, items)
            await anyio.wait_all_tasks_blocked()
            gate.set()

    if ahead:
        async with Pager(fetch).prefetch(4) as items:
            await work(items)
    else:
        await work(Pager(fetch).items())
    assert seen == [*range(200)]
    assert len(refused) == 3
    assert all(text.startswith("this walk is waiting for a page already: one task walks") for text in refused)


async def test_a_short_walk_is_an_error_over_the_wire_too(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(operation="list_runs", times=None, patch={"meta": {"pagination": {"total": 1000}}}))
    async with connect(sandbox) as client:
        with pytest.raises(PaginationError) as caught:
            await client.organization().runs.list(per_page=10).collect()
    assert (caught.value.seen, caught.value.total) == (len(live_runs(sandbox)), 1000)


async def test_more_items_than_announced_are_no_error() -> None:
    def lie(number: int, values: dict[str, Any]) -> None:
        values["total"] = 3

    assert await Shelf(25, 10, lie).pager.collect() == [*range(25)]


@pytest.mark.parametrize("ahead", [False, True])
async def test_a_page_number_that_does_not_move_is_an_error(ahead: bool) -> None:
    def stand_still(number: int, values: dict[str, Any]) -> None:
        values["current_page"] = min(number, 2)

    shelf = Shelf(50, 10, stand_still)
    with pytest.raises(PaginationError, match="page 3 was asked for and page 2 came") as caught:
        await everything(shelf, ahead)
    assert (caught.value.seen, caught.value.total) == (20, 50)


@pytest.mark.parametrize("ahead", [False, True])
async def test_an_empty_page_with_more_to_follow_is_an_error(ahead: bool) -> None:
    def empty(number: int, values: dict[str, Any]) -> None:
        if number == 2:
            values["items"] = ()

    with pytest.raises(PaginationError, match="page 2 is empty although more are said to follow") as caught:
        await everything(Shelf(50, 10, empty), ahead)
    assert caught.value.seen == 10


async def everything(shelf: Shelf, ahead: bool) -> list[int]:
    if not ahead:
        return await shelf.pager.collect()
    async with shelf.pager.prefetch(3) as items:
        return [item async for item in items]


async def test_a_page_that_failed_is_asked_for_again_and_nothing_comes_twice(sandbox: Sandbox) -> None:
    sandbox.faults.add(
        Fault(operation="list_runs", after=1, status=403), Fault(operation="list_runs", after=1, body="<html>")
    )
    async with connect(sandbox) as client:
        walk = aiter(client.organization().runs.list(per_page=10))
        seen = [(await anext(walk)).id for _ in range(10)]
        with pytest.raises(PermissionDeniedError):
            await anext(walk)
        with pytest.raises(DecodeError):
            await anext(walk)
        seen += [run.id async for run in walk]
    assert sorted(seen) == sorted(live_runs(sandbox))
    assert [received.query["page"] for received in sandbox.stats.received][:4] == ["1", "2", "2", "2"]


async def test_a_cancelled_fetch_is_asked_for_again() -> None:
    shelf = Shelf(25, 10)
    walk = aiter(shelf.pager)
    seen = [await anext(walk) for _ in range(10)]
    fetch = shelf.fetch

    async def endless(number: int) -> Page[int]:
        await anyio.sleep_forever()
        return await fetch(number)

    walk._pages._fetch = endless  # type: ignore[attr-defined]
    with anyio.move_on_after(0.01) as scope:
        await anext(walk)
    assert scope.cancelled_caught
    walk._pages._fetch = fetch  # type: ignore[attr-defined]
    seen += [item async for item in walk]
    assert seen == [*range(25)]
