from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from attrs import evolve, frozen

from tallyfy_async import ConfigurationError, Organization, Page, Pager, PaginationError
from tallyfy_async.engine import drift
from tallyfy_async.models import Task
from tallyfy_async.protocol.response import Pagination
from tests.helpers import connect, small_sandbox

pytestmark = pytest.mark.anyio

Ways = pytest.mark.parametrize("ahead", [None, 1, 4])


@frozen
class Row:
    id: Any = None
    name: str = ""


class Moving:
    """A list whose rows change just before the n-th request is answered."""

    def __init__(self, rows: list[Row], size: int = 10, *, clamp: bool = False, in_order: bool = True) -> None:
        self.rows = rows
        self.size = size
        self.clamp = clamp
        self.in_order = in_order
        self.requests: list[int] = []
        self.before: dict[int, Callable[[], None]] = {}

    async def fetch(self, number: int) -> Page[Row]:
        while self.in_order and number > max(self.requests, default=0) + 1:  # trio starts tasks in any order
            await checkpoint()
        self.requests.append(number)
        self.before.get(len(self.requests), lambda: None)()
        total, pages = len(self.rows), max(1, -(-len(self.rows) // self.size))
        current = min(number, pages) if self.clamp else number
        items = tuple(self.rows[(current - 1) * self.size : current * self.size])
        pagination = Pagination(total=total, current_page=current, total_pages=pages)
        return Page(items=items, number=number, pagination=pagination, fetch=self.fetch)

    @property
    def pager(self) -> Pager[Row]:
        return Pager(self.fetch, name="list_rows")

    def put_in_front(self, *ids: Any) -> None:
        self.rows[:0] = [Row(id_) for id_ in ids]

    def cut(self, count: int) -> None:
        del self.rows[:count]


class Backwards(Moving):
    """Answers what is asked at once from the last page to the first."""

    def __init__(self, rows: list[Row], size: int = 10) -> None:
        super().__init__(rows, size, in_order=False)
        self.under_way: set[int] = set()
        self.turned = 0

    async def fetch(self, number: int) -> Page[Row]:
        self.under_way.add(number)
        try:
            for _ in range(10):  # until those behind have been asked too
                await checkpoint()
            while number + 1 in self.under_way:
                await checkpoint()
            self.turned += max(self.requests[-1:], default=0) > number
            return await super().fetch(number)
        finally:
            self.under_way.discard(number)


def rows(count: int) -> list[Row]:
    return [Row(number) for number in range(count)]


async def walk(pager: Pager[Row], ahead: int | None, seen: list[Any], **options: Any) -> list[Any]:
    """Walk to the end, or to the error, adding the ids to ``seen``."""
    if ahead is None:
        return await note(pager.items(**options), seen)
    async with pager.prefetch(ahead, **options) as items:
        return await note(items, seen)


async def note(items: AsyncIterator[Row], seen: list[Any]) -> list[Any]:
    async for row in items:
        seen.append(row.id)  # noqa: PERF401 - what came before an error counts
    return seen


def warnings_of(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno == logging.WARNING]


@Ways
async def test_what_is_pushed_onto_a_later_page_comes_once(ahead: int | None, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Moving(rows(60))
    shelf.before[3] = lambda: shelf.put_in_front("a", "b", "c")
    shelf.before[5] = lambda: shelf.put_in_front("d")
    assert await walk(shelf.pager, ahead, []) == [*range(60)]
    (warning,) = warnings_of(caplog)
    assert warning.startswith("list_rows: the list changed under the walk: on page 3 its total went from 60 to 63 and")
    assert "3 of 10 items had come before" in warning


@pytest.mark.parametrize("ahead", [4, 8, 20])
@pytest.mark.parametrize("every", [7, 25])
async def test_what_is_pushed_past_pages_fetched_before_comes_too(ahead: int, every: int) -> None:
    shelf = Backwards(rows(600))
    for request in range(2, 4000, every):
        shelf.before[request] = lambda request=request: shelf.put_in_front(f"new {request}")  # type: ignore[misc]
    seen = await walk(shelf.pager, ahead, [])
    assert [id_ for id_ in seen if isinstance(id_, int)] == [*range(600)]
    assert shelf.turned > 20


@pytest.mark.parametrize("ahead", [4, 8, 20])
async def test_one_change_costs_one_window(ahead: int) -> None:
    shelf = Moving(rows(600))
    shelf.before[10] = lambda: shelf.put_in_front("a")
    assert await walk(shelf.pager, ahead, []) == [*range(600)]
    assert 61 <= len(shelf.requests) <= 61 + ahead


async def test_pages_answered_backwards_are_fetched_once_where_nothing_moves(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Backwards(rows(600))
    assert await walk(shelf.pager, 8, []) == [*range(600)]
    assert sorted(shelf.requests) == [*range(1, 61)]
    assert shelf.turned > 20
    assert warnings_of(caplog) == []


@Ways
async def test_drift_can_be_raised(ahead: int | None, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Moving(rows(60))
    shelf.before[3] = lambda: shelf.put_in_front("a", "b", "c")
    seen: list[Any] = []
    with pytest.raises(
        PaginationError, match="changed under the walk: on page 3 its total went from 60 to 63"
    ) as caught:
        await walk(shelf.pager, ahead, seen, on_drift="raise")
    assert seen == [*range(20)]
    assert (caught.value.seen, caught.value.total) == (20, 63)
    assert warnings_of(caplog) == []


async def test_a_walk_stopped_by_drift_stays_stopped() -> None:
    shelf = Moving(rows(60))
    shelf.before[3] = lambda: shelf.put_in_front("a")
    items = shelf.pager.items(on_drift="raise")
    for _ in range(20):
        await anext(items)
    for _ in range(2):
        with pytest.raises(PaginationError, match="on page 3"):
            await anext(items)
    assert shelf.requests == [1, 2, 3, 3]


@Ways
@pytest.mark.parametrize("on_drift", ["dedupe", "raise"])
async def test_a_list_that_stays_is_walked_silently(
    ahead: int | None, on_drift: str, caplog: pytest.LogCaptureFixture
) -> None:
    for count in (0, 1, 10, 35):
        assert await walk(Moving(rows(count)).pager, ahead, [], on_drift=on_drift) == [*range(count)]
    assert warnings_of(caplog) == []


@Ways
async def test_an_order_that_is_not_stable_is_never_a_short_list(ahead: int | None) -> None:
    shelf = Moving(rows(40))

    def shuffle() -> None:
        shelf.rows[5], shelf.rows[35] = shelf.rows[35], shelf.rows[5]  # 35 is passed over, 5 comes again

    shelf.before[2] = shuffle
    seen: list[Any] = []
    with pytest.raises(PaginationError, match="the list ended after 39 of 40 items") as caught:
        await walk(shelf.pager, ahead, seen)
    assert seen == [number for number in range(40) if number != 35]
    assert (caught.value.seen, caught.value.total) == (39, 40)
    shelf.rows, shelf.requests = rows(40), []
    with pytest.raises(PaginationError, match="on page 4 1 of 10 items had come before"):
        await walk(shelf.pager, ahead, [], on_drift="raise")


@Ways
@pytest.mark.parametrize("clamp", [False, True])
async def test_a_page_that_is_past_the_end_by_now_ends_the_walk(
    ahead: int | None, clamp: bool, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Moving(rows(40), clamp=clamp)
    shelf.before[4] = lambda: shelf.rows.__delitem__(slice(25, None))
    assert await walk(shelf.pager, ahead, []) == [*range(30)]
    (warning,) = warnings_of(caplog)
    assert "its total went from 40 to 25 and its number of pages went from 4 to 3" in warning
    shelf.rows, shelf.requests = rows(40), []
    with pytest.raises(PaginationError, match="on page 4 its total went from 40 to 25") as caught:
        await walk(shelf.pager, ahead, [], on_drift="raise")
    assert (caught.value.seen, caught.value.total) == (30, 25)


async def test_the_last_page_given_instead_of_one_past_the_end_brings_what_is_new() -> None:
    shelf = Moving([*rows(20), *[Row(name=str(number)) for number in range(20, 40)]], clamp=True)

    def change() -> None:
        shelf.rows[:] = [*rows(10), Row("new"), *[Row(name=str(number)) for number in range(20, 24)]]

    shelf.before[4] = change
    items = [row async for row in shelf.pager]
    assert items[:30] == [*rows(20), *[Row(name=str(number)) for number in range(20, 30)]]
    assert items[30:] == [Row("new")]


async def test_a_stuck_page_number_is_still_an_error() -> None:
    shelf = Moving(rows(40))

    async def stuck(number: int) -> Page[Row]:
        page = await shelf.fetch(number)
        assert page.pagination is not None
        return evolve(page, pagination=evolve(page.pagination, current_page=min(number, 2)))

    with pytest.raises(PaginationError, match="page 3 was asked for and page 2 came"):
        await Pager(stuck).collect()


async def test_items_without_an_id_always_come(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Moving([Row(name=str(number)) for number in range(30)])
    shelf.before[2] = lambda: shelf.put_in_front(None)
    names = [row.name async for row in shelf.pager]
    assert names == [*map(str, range(10)), *map(str, range(9, 30))]
    assert len(warnings_of(caplog)) == 1


async def test_an_id_twice_on_one_page_is_the_servers_own_affair(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Moving([Row(1, "a"), Row(1, "b"), Row(2), Row(2)], size=2)
    assert await shelf.pager.collect(on_drift="raise") == shelf.rows
    assert warnings_of(caplog) == []


async def test_rows_added_behind_the_walk_that_it_did_not_see_are_told(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Moving(rows(40))
    shelf.before[4] = lambda: shelf.put_in_front("a", "b")
    assert [page.total async for page in shelf.pager.pages()] == [40, 40, 40, 42, 42]
    shelf.rows, shelf.requests = rows(40), []
    shelf.before[4] = lambda: shelf.rows.extend([Row("a"), Row("b")])
    assert await walk(shelf.pager, None, []) == [*range(40), "a", "b"]
    assert len(warnings_of(caplog)) == 2


async def test_a_walk_that_ends_with_another_number_than_the_total_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def fetch(number: int) -> Page[Row]:
        return Page(items=(Row(1), Row(2)), number=1, pagination=Pagination(total=1), fetch=fetch)

    assert len(await Pager(fetch).collect()) == 2
    assert "2 items came and its total is 1 now" in warnings_of(caplog)[0]
    with pytest.raises(PaginationError, match="2 items came and its total is 1 now") as caught:
        await Pager(fetch).collect(on_drift="raise")
    assert (caught.value.seen, caught.value.total) == (2, 1)


async def test_the_newest_total_counts_whatever_the_order_of_arrival(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Moving(rows(40), in_order=False)

    async def fetch(number: int) -> Page[Row]:
        if number == 3:
            await anyio.wait_all_tasks_blocked()  # page 4 has arrived with a total of 40
            shelf.rows = [row for row in shelf.rows if row.id not in {20, 21}]
        return await shelf.fetch(number)

    async with Pager(fetch).prefetch(4) as items:
        assert [row.id async for row in items] == [number for number in range(40) if number not in {20, 21}]
    assert len(warnings_of(caplog)) == 1


async def test_each_walk_warns_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Moving(rows(30))
    shelf.before[2] = shelf.before[6] = lambda: shelf.put_in_front("x")
    pager = shelf.pager
    for _ in range(2):
        await pager.collect()
        shelf.before.pop(2, None)
    assert len(warnings_of(caplog)) == 2


@pytest.mark.parametrize("word", ["dedup", "", None, True, ["raise"]])
async def test_another_word_is_refused_at_once(word: Any) -> None:
    shelf = Moving(rows(30))
    for ask in (shelf.pager.items, shelf.pager.pages, shelf.pager.prefetch):
        with pytest.raises(ConfigurationError, match="on_drift must be 'dedupe' or 'raise'"):
            ask(on_drift=word)
    with pytest.raises(ConfigurationError, match="on_drift must be 'dedupe' or 'raise'"):
        await shelf.pager.collect(0, on_drift=word)
    assert shelf.requests == []


@pytest.mark.parametrize(("size", "most"), [(10, 70), (50, 100)])
async def test_a_walk_remembers_a_bounded_number_of_ids(size: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "REMEMBERED", 35)
    pages = Moving(rows(500), size).pager.pages()
    held: list[int] = []
    async for page in pages:
        memory = pages._walk._memory  # type: ignore[attr-defined]
        known = memory._young | memory._old
        held.append(len(known))
        assert known >= {row.id for row in page}
    assert max(held) <= most
    assert min(held[4:]) >= 35


@pytest.mark.parametrize("pushed", [5, 15, 30])
async def test_what_the_memory_holds_comes_once(pushed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "REMEMBERED", 30)
    shelf = Moving(rows(100))
    shelf.before[6] = lambda: shelf.put_in_front(*[f"new {number}" for number in range(pushed)])
    assert [row.id async for row in shelf.pager if isinstance(row.id, int)] == [*range(100)]


async def new_task(org: Organization, owner: int, number: int) -> Task:
    deadline = datetime.now(UTC) + timedelta(days=3)
    return await org.tasks.create(
        title=f"Drift {number}", owners={"users": [owner], "guests": [], "groups": []}, deadline=deadline
    )


@Ways
async def test_tasks_that_are_created_while_the_list_is_read(
    ahead: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox = small_sandbox()
    async with connect(sandbox) as client:
        org = client.organization()
        owner = (await org.users.list())[0].id
        pager = org.tasks.list(sort="newest", per_page=10)
        there = [task.id for task in await pager.collect()]
        assert warnings_of(caplog) == []
        seen: list[str] = []
        if ahead is None:
            await read_and_create(pager.items(), org, owner, seen)
        else:
            async with pager.prefetch(ahead) as items:
                await read_and_create(items, org, owner, seen)
        assert seen == there
        assert len(await pager.collect()) == len(there) + 5
    (warning,) = warnings_of(caplog)
    assert warning.startswith("list_tasks: the list changed under the walk: on page ")


async def read_and_create(items: AsyncIterator[Task], org: Organization, owner: int, seen: list[str]) -> None:
    async for task in items:
        if len(seen) % 35 == 0 and len(seen) < 175:
            await new_task(org, owner, len(seen))
        seen.append(task.id)


@Ways
async def test_tags_that_are_deleted_while_the_list_is_read(
    ahead: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(small_sandbox()) as client:
        org = client.organization()
        for number in range(40):
            await org.tags.create(title=f"tag {number}", color="#00ff00")
        pager = org.tags.list(per_page=5)
        there = [tag.id for tag in await pager.collect()]
        end = [there[-1], there[-2], there[-3], there[-4], there[-5], there[-6]]

        async def cut(items: AsyncIterator[Any], seen: list[str]) -> None:
            async for tag in items:
                if not seen:
                    for doomed in end:
                        await org.tags.delete(doomed)
                seen.append(tag.id)

        seen: list[str] = []
        if ahead is None:
            await cut(pager.items(), seen)
        else:
            async with pager.prefetch(ahead) as items:
                await cut(items, seen)
        assert [tag for tag in seen if tag not in end] == there[:-6]
        assert len(seen) == len({*seen})
        pages = pager.pages(on_drift="raise")
        await org.tags.delete((await anext(pages))[0].id)
        with pytest.raises(PaginationError, match="on page 2 its total went from") as caught:
            await anext(pages)
        assert (caught.value.seen, caught.value.total) == (5, len(there) - 7)
    assert len(warnings_of(caplog)) == 1
