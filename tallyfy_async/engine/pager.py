"""A list of the API and the ways to read it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from tallyfy_async.engine.arguments import check_number
from tallyfy_async.engine.drift import OnDrift, Walk, check_on_drift
from tallyfy_async.engine.page import Page
from tallyfy_async.engine.prefetch import Prefetch
from tallyfy_async.engine.walk import Items, Pages
from tallyfy_async.errors import ConfigurationError

__all__ = ["Page", "Pager"]

T = TypeVar("T")


def _unbounded() -> int:
    return sys.maxsize


@frozen(eq=False)
class Pager(Generic[T]):
    """A list of the API, not fetched yet.

    ``await pager`` fetches the first page, each time anew. ``async for item in pager`` walks over all items, each time
    from the start; after an error, ``anext`` on the same iterator asks for the same page again, and items already given
    do not come again. The walk raises PaginationError rather than end short, and again at every ``anext`` after it. One
    task walks: where another asks the same iterator for a page that the first is waiting for, it gets
    ConfigurationError.

    A list may change while it is walked over. Every walk drops an item whose ``id`` came on one of the last pages (of
    4,000 items at least; items without an id always come). ``on_drift`` says what to do about that, and about a total
    that does not stay as it was: ``"dedupe"`` logs one warning and goes on, ``"raise"`` raises PaginationError. What
    was deleted in front of a walk moves items onto pages already read, so that they do not come: ``"raise"`` is for
    those who must have all of them. As many items put in as were deleted between two pages leave the total as it was,
    which cannot be told from an order that is not stable: ``"dedupe"`` raises at the end then, for want of items.
    """

    _fetch: Callable[[int], Awaitable[Page[T]]]
    _name: str = field(default="list", kw_only=True, alias="name")
    _width: Callable[[], int] = field(default=_unbounded, kw_only=True, repr=False, alias="width")

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        return self._fetch(1).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        return self.items()

    def items(self, *, on_drift: OnDrift = "dedupe") -> AsyncIterator[T]:
        """Walk item by item, as ``async for item in pager`` does. Raises ConfigurationError for another word."""
        return Items(self.pages(on_drift=on_drift))

    def pages(self, *, on_drift: OnDrift = "dedupe") -> AsyncIterator[Page[T]]:
        """Walk page by page. Raises ConfigurationError for another word."""
        return Pages(self._fetch, self._walks(on_drift)())

    async def collect(self, limit: int | None = None, *, on_drift: OnDrift = "dedupe") -> list[T]:
        """Return all items, or the first ``limit`` of them, as a list. Raises ConfigurationError for a wrong limit."""
        if limit is not None and (type(limit) is not int or limit < 0):
            msg = "limit must be a whole number of 0 or more"
            raise ConfigurationError(msg)
        items: list[T] = []
        pages = self.pages(on_drift=on_drift)
        if limit == 0:
            return items
        async for page in pages:
            items += page.items
            if limit is not None and len(items) >= limit:
                del items[limit:]
                break
        return items

    def prefetch(self, concurrency: int | None = 8, *, on_drift: OnDrift = "dedupe") -> Prefetch[T]:
        """Return a context manager giving the items in order, with pages fetched ahead.

        ``concurrency`` is the most pages ahead, None for as many as the client's limiter lets run, which is the bound
        in any case. A reader slower than the fetches has fewer pages ahead, down to one. Lists whose number of pages
        the server does not tell come one page ahead. Where the list is seen to change, the pages ahead are fetched
        again. Leaving the context ends the fetches that are under way. Raises ConfigurationError below 1, and on
        entering one context twice at a time.
        """
        check_number("concurrency", concurrency, or_none=True)
        bound, width = sys.maxsize if concurrency is None else concurrency, self._width
        return Prefetch(self._fetch, self._walks(on_drift), lambda: max(1, min(bound, width())))

    def _walks(self, on_drift: OnDrift) -> Callable[[], Walk]:
        check_on_drift(on_drift)
        return partial(Walk, self._name, on_drift)
