"""Walks over a list, page by page and item by item.

Iterators are classes, so that no cancel scope or task group ever spans a ``yield``, and so that a page whose fetch
failed can be asked for again. A walk ends where the server says that the last page was reached; if fewer items came
than the list had all along, that is an error, never a short list.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self, TypeVar

from attrs import define, field

from tallyfy_async.engine.drift import Walk
from tallyfy_async.engine.page import Page
from tallyfy_async.errors import ConfigurationError

T = TypeVar("T")


@define(eq=False)
class Pages(AsyncIterator[Page[T]]):
    """A walk page by page.

    After an error, the next ``anext`` asks for the same page again; a list that ended short ends so each time. Raises
    ConfigurationError where one task asks while another waits.
    """

    _fetch: Callable[[int], Awaitable[Page[T]]]
    _walk: Walk
    _given: Page[T] | None = field(default=None, init=False)
    _asked: bool = field(default=False, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Page[T]:
        if self._asked:  # two answers to one question would overwrite each other
            msg = "this walk is waiting for a page already: one task walks, and hands items to the others"
            raise ConfigurationError(msg)
        self._asked = True
        try:
            return await self._next()
        finally:
            self._asked = False

    async def _next(self) -> Page[T]:
        if self._given is not None:
            page, self._given = self._given, None
            self._walk.pass_by(page)
        if self._walk.ended:
            self._walk.check_end()
            raise StopAsyncIteration
        page = await self._turn(self._walk.number)
        self._given = page
        return page

    async def _turn(self, number: int) -> Page[T]:
        page = await self._fetch(number)
        self._walk.hear(page)
        return self._walk.admit(page, number)


@define(eq=False)
class Items(AsyncIterator[T]):
    """A walk item by item over an iterator of pages."""

    _pages: AsyncIterator[Page[T]]
    _rest: Iterator[T] = field(factory=lambda: iter(()), init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._rest:
                return item
            self._rest = iter((await anext(self._pages)).items)
