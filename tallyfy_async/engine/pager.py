"""Lists: pages, walks over them, and pages fetched ahead.

Iterators are classes, so that no cancel scope or task group ever spans a ``yield``, and so that a page whose fetch
failed can be asked for again. A walk ends where the server says that the last page was reached; if fewer items came
than it announced, that is an error, never a short list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

import anyio
from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError, PaginationError
from tallyfy_async.protocol.response import Pagination
from tallyfy_async.transport.shelter import Children

T = TypeVar("T")


@frozen(kw_only=True, eq=False)
class Page(Sequence[T], Generic[T]):
    """One page of a list: a sequence of its items.

    Attributes:
        items: the items.
        number: number of the page, from 1.
        pagination: what the server said of the whole, None where it said nothing.

    """

    items: tuple[T, ...]
    number: int
    pagination: Pagination | None
    _fetch: Callable[[int], Awaitable[Page[T]]] = field(repr=False, alias="fetch")

    @property
    def total(self) -> int | None:
        """Items of the whole list, None where the server does not tell."""
        return self.pagination.total if self.pagination is not None else None

    @property
    def total_pages(self) -> int | None:
        """Pages of the whole list, None where the server does not tell."""
        return self.pagination.total_pages if self.pagination is not None else None

    @property
    def has_next(self) -> bool:
        """Whether another page follows."""
        return self.pagination is not None and self.pagination.has_next

    async def next(self) -> Page[T]:
        """Fetch the page that follows; raise PaginationError where there is none."""
        if not self.has_next:
            msg = f"page {self.number} is the last one"
            raise PaginationError(msg, seen=len(self.items), total=self.total)
        return await self._fetch(self.number + 1)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"<Page {self.number} of {self.total_pages or '?'}: {len(self)} of {self.total or '?'} items>"


@define
class _Walk:
    """What has been seen on a walk, and whether it may end."""

    number: int = 1
    seen: int = 0
    ended: bool = False

    def check(self, page: Page[Any], asked: int) -> None:
        """Raise PaginationError for a page other than the one asked for."""
        current = page.pagination.current_page if page.pagination is not None else None
        if current is not None and current != asked:
            msg = f"page {asked} was asked for and page {current} came: the walk would not move on"
            raise PaginationError(msg, seen=self.seen, total=page.total)
        if page.has_next and not page.items:
            msg = f"page {asked} is empty although more are said to follow"
            raise PaginationError(msg, seen=self.seen, total=page.total)

    def pass_by(self, page: Page[Any]) -> None:
        """Count a page that was given out; raise PaginationError where the list ends short."""
        self.seen += len(page)
        self.number += 1
        if page.has_next:
            return
        self.ended = True
        if page.total is not None and self.seen < page.total:
            msg = f"the list ended after {self.seen} of {page.total} items"
            raise PaginationError(msg, seen=self.seen, total=page.total)


@define(eq=False)
class _Pages(AsyncIterator[Page[T]]):
    """A walk page by page. After an error, the next ``anext`` asks for the same page again."""

    _fetch: Callable[[int], Awaitable[Page[T]]]
    _walk: _Walk = field(factory=_Walk, init=False)
    _given: Page[T] | None = field(default=None, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page[T]:
        if self._given is not None:
            page, self._given = self._given, None
            self._walk.pass_by(page)
        if self._walk.ended:
            raise StopAsyncIteration
        page = await self._turn(self._walk.number)
        self._given = page
        return page

    async def _turn(self, number: int) -> Page[T]:
        page = await self._fetch(number)
        self._walk.check(page, number)
        return page


@define(eq=False)
class _Items(AsyncIterator[T]):
    """A walk item by item over an iterator of pages."""

    _pages: AsyncIterator[Page[T]]
    _rest: Iterator[T] = field(factory=lambda: iter(()), init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._rest:
                return item
            self._rest = iter(await anext(self._pages))


@frozen(eq=False)
class Pager(Generic[T]):
    """A list of the API, not fetched yet.

    ``await pager`` fetches the first page, each time anew. ``async for item in pager`` walks over all items, each time
    from the start; after an error, ``anext`` on the same iterator asks for the same page again, and items already given
    do not come again. The walk raises PaginationError rather than end short.
    """

    _fetch: Callable[[int], Awaitable[Page[T]]]

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        return self._fetch(1).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        return _Items(self.pages())

    def pages(self) -> AsyncIterator[Page[T]]:
        """Walk page by page."""
        return _Pages(self._fetch)

    async def collect(self, limit: int | None = None) -> list[T]:
        """Return all items, or the first ``limit`` of them, as a list."""
        if limit is not None and limit < 0:
            msg = "limit must be 0 or more"
            raise ConfigurationError(msg)
        items: list[T] = []
        if limit == 0:
            return items
        async for page in self.pages():
            items.extend(page)
            if limit is not None and len(items) >= limit:
                return items[:limit]
        return items

    def prefetch(self, concurrency: int = 8) -> Prefetch[T]:
        """Return a context manager giving the items in order, with up to ``concurrency`` pages fetched ahead.

        Leaving the context ends the fetches that are under way. Raises ConfigurationError below 1.
        """
        if concurrency < 1:
            msg = "concurrency must be at least 1"
            raise ConfigurationError(msg)
        return Prefetch(self._fetch, concurrency)


@define(eq=False)
class _Slot(Generic[T]):
    """A page that is being fetched; its outcome is a value, so that the child task never raises."""

    number: int
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    landed: anyio.Event = field(factory=anyio.Event)
    page: Page[T] | None = None
    error: Exception | None = None

    async def fill(self, fetch: Callable[[int], Awaitable[Page[T]]]) -> None:
        with self.scope:
            try:
                self.page = await fetch(self.number)
            except Exception as error:  # noqa: BLE001 - handed to the reader, who raises it
                self.error = error
            finally:
                self.landed.set()

    def take(self) -> Page[T]:
        if self.error is not None:
            raise self.error
        if self.page is None:
            raise _ended()
        return self.page


def _ended() -> ConfigurationError:
    msg = "this prefetch has ended: take its items inside its context, or ask for a new one"
    return ConfigurationError(msg)


@define(eq=False)
class _Ahead(_Pages[T]):
    """A walk with an ordered window of fetches under way. The window moves only as pages are taken."""

    _children: Children
    _width: int
    _window: deque[_Slot[T]] = field(factory=deque[_Slot[T]], init=False)

    async def _turn(self, number: int) -> Page[T]:
        if not self._children.open:
            raise _ended()
        if not self._window:
            self._start(number)
        slot = self._window[0]
        await slot.landed.wait()
        try:
            page = slot.take()
            self._walk.check(page, number)
        except Exception:
            self._empty()  # the next anext asks for this page, and those behind it, again
            raise
        self._window.popleft()
        self._fill_window(page)
        return page

    def _empty(self) -> None:
        while self._window:
            self._window.popleft().scope.cancel()

    def _fill_window(self, page: Page[T]) -> None:
        if not page.has_next:
            self._empty()
            return
        last = page.total_pages if page.total_pages is not None else page.number + 1
        following = self._window[-1].number + 1 if self._window else page.number + 1
        for number in range(following, min(last, page.number + self._width) + 1):
            self._start(number)

    def _start(self, number: int) -> None:
        slot: _Slot[T] = _Slot(number)
        self._window.append(slot)
        self._children.start(slot.fill, self._fetch)


@define(eq=False)
class Prefetch(Generic[T]):
    """The context manager of :meth:`Pager.prefetch`; entering it gives an iterator of items."""

    _fetch: Callable[[int], Awaitable[Page[T]]]
    _concurrency: int
    _children: Children = field(factory=Children, init=False)

    async def __aenter__(self) -> AsyncIterator[T]:
        await self._children.__aenter__()
        return _Items(_Ahead(self._fetch, self._children, self._concurrency))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._children.__aexit__(kind, error, traceback)
