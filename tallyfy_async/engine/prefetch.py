"""Pages fetched ahead: an ordered window of fetches under way, as wide as the reader can use."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

import anyio
from attrs import define, field

from tallyfy_async.engine.drift import Walk
from tallyfy_async.engine.page import Page
from tallyfy_async.engine.walk import Items, Pages
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.transport.shelter import Children

T = TypeVar("T")


@define(eq=False)
class _Slot(Generic[T]):
    """A page that is being fetched; its outcome is a value, so that the child task never raises."""

    number: int
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    landed: anyio.Event = field(factory=anyio.Event)
    page: Page[T] | None = None
    error: Exception | None = None

    async def fill(self, fetch: Callable[[int], Awaitable[Page[T]]], walk: Walk) -> None:
        with self.scope:
            try:
                self.page = await fetch(self.number)
                walk.hear(self.page)
            except Exception as error:  # noqa: BLE001 - handed to the reader, who raises it
                self.error = error
            finally:
                self.landed.set()

    def take(self) -> Page[T]:
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
            if self.page is None:
                raise _ended()
            return self.page
        finally:
            del error  # or the traceback and this frame would keep each other alive

    def give_up(self) -> None:
        self.error = None  # its traceback holds this slot
        self.scope.cancel()


def _ended() -> ConfigurationError:
    msg = "this prefetch has ended: take its items inside its context, or ask for a new one"
    return ConfigurationError(msg)


@define(eq=False)
class Lead:
    """How many pages the window runs ahead of the reader.

    It begins as wide as ``most`` allows. A reader that found two pages or more waiting at every take of a whole round
    is slower than the fetches: all but one of those are given up. A reader that has to wait gets twice the width.
    """

    most: Callable[[], int]
    _size: int = field(init=False)
    _takes: int = field(default=0, init=False)
    _least: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._size = self.most()

    @property
    def size(self) -> int:
        """Pages ahead now, at least 1."""
        return max(1, min(self._size, self.most()))

    def taken(self, ready: int, held: int) -> None:
        """Hear how many of the pages ahead lay ready when the reader asked for the next one."""
        if ready == 0:
            self._size = max(self._size, min(2 * self._size, self.most()))
            self._takes = 0
            return
        if held > self.size:  # given up and not read yet: they say nothing about what the new size is worth
            return
        self._least = ready if self._takes == 0 else min(self._least, ready)
        self._takes += 1
        if self._takes >= self.size:
            self._size = max(1, self.size - self._least + 1)
            self._takes = 0


@define(eq=False)
class Ahead(Pages[T]):
    """A walk with an ordered window of fetches under way. The window moves only as pages are taken."""

    _children: Children
    _lead: Lead
    _window: deque[_Slot[T]] = field(factory=deque[_Slot[T]], init=False)

    async def _turn(self, number: int) -> Page[T]:
        if not self._children.open:
            raise _ended()
        if not self._window:
            self._start(number)
        slot, ready = self._window[0], self._ready()
        await slot.landed.wait()
        try:
            page = self._walk.admit(slot.take(), number)
        except Exception:
            self._empty()  # the next anext asks for this page, and those behind it, again
            raise
        self._lead.taken(ready, len(self._window))
        self._window.popleft()
        if self._walk.moved:
            self._empty()  # what was fetched before the rows moved leaves out what they pushed past it
        self._fill_window(page)
        return page

    def _ready(self) -> int:
        """Return how many pages can be taken without waiting."""
        count = 0
        for slot in self._window:
            if not slot.landed.is_set():
                break
            count += 1
        return count

    def _empty(self) -> None:
        while self._window:
            self._window.popleft().give_up()

    def _fill_window(self, page: Page[T]) -> None:
        if not page.has_next:
            self._empty()
            return
        last = page.total_pages if page.total_pages is not None else page.number + 1
        following = self._window[-1].number + 1 if self._window else page.number + 1
        for number in range(following, min(last, page.number + self._lead.size) + 1):
            self._start(number)

    def _start(self, number: int) -> None:
        slot: _Slot[T] = _Slot(number)
        self._window.append(slot)
        self._children.start(slot.fill, self._fetch, self._walk)


@define(eq=False)
class Prefetch(Generic[T]):
    """The context manager of :meth:`Pager.prefetch`; entering it gives an iterator of items."""

    _fetch: Callable[[int], Awaitable[Page[T]]]
    _walk: Callable[[], Walk]
    _most: Callable[[], int]
    _children: Children = field(factory=Children, init=False)

    async def __aenter__(self) -> AsyncIterator[T]:
        if self._children.open:
            msg = "this prefetch is entered already"
            raise ConfigurationError(msg)
        await self._children.__aenter__()
        return Items(Ahead(self._fetch, self._walk(), self._children, Lead(self._most)))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._children.__aexit__(kind, error, traceback)
