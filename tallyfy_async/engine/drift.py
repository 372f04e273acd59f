"""Lists that change while they are walked over: what came before, and totals that no longer fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar, get_args

from attrs import define, evolve, field

from tallyfy_async.engine.page import Page
from tallyfy_async.errors import ConfigurationError, PaginationError
from tallyfy_async.telemetry import logger

T = TypeVar("T")

OnDrift = Literal["dedupe", "raise"]

REMEMBERED = 4000
"""Ids that a walk remembers at least; at most twice as many (about 1 MB), or those of two pages where pages are larger.

Rows put in front of the walk push what was given onto later pages: an item of page n comes again on page n + j only
where more than j - 1 pages of rows came in between. 4,000 ids are 40 pages of 100: a list that grows by more while one
page is read outruns the walk, and no client has so many connections that its window is wider.
"""


def check_on_drift(value: object) -> None:
    """Raise ConfigurationError for anything but ``dedupe`` and ``raise``."""
    if not isinstance(value, str) or value not in get_args(OnDrift):
        msg = "on_drift must be 'dedupe' or 'raise'"
        raise ConfigurationError(msg)


def _ids(items: Sequence[Any]) -> list[Any]:
    try:
        return [item.id for item in items]
    except AttributeError:
        return [getattr(item, "id", None) for item in items]


@define(eq=False)
class _Memory:
    """The ids of the pages last given, in two generations, so that forgetting costs nothing."""

    _young: set[Any] = field(factory=set[Any], init=False)
    _old: set[Any] = field(factory=set[Any], init=False)

    def fresh(self, items: tuple[T, ...], ids: Sequence[Any]) -> tuple[T, ...]:
        """Return the items that did not come on an earlier page; those without an id are always new."""
        young, old = self._young, self._old
        if young.isdisjoint(ids) and old.isdisjoint(ids):
            return items
        return tuple([item for id_, item in zip(ids, items, strict=True) if id_ not in young and id_ not in old])

    def add(self, ids: Sequence[Any]) -> None:
        self._young.update(ids)
        self._young.discard(None)
        if len(self._young) >= REMEMBERED:
            self._old, self._young = self._young, set()


@define(eq=False)
class Walk:
    """What has been seen on a walk, and whether it may go on or end.

    Attributes:
        name: operationId of the list, for the log.
        on_drift: ``dedupe`` drops what comes again and warns once, ``raise`` raises at the first sign.
        number: the page that comes next.
        seen: items of the pages that were taken, each counted once.
        ended: whether the last page was taken.
        moved: whether the page admitted last showed that rows had come, gone or changed places.

    """

    name: str
    on_drift: OnDrift
    number: int = 1
    seen: int = 0
    ended: bool = False
    moved: bool = field(default=False, init=False)
    _total: int | None = field(default=None, init=False)
    _fewest: int | None = field(default=None, init=False)
    _before: tuple[int | None, int | None] = field(default=(None, None), init=False)
    _warned: bool = field(default=False, init=False)
    _memory: _Memory = field(factory=_Memory, init=False)

    def hear(self, page: Page[Any]) -> None:
        """Note the total of a page that arrived; pages fetched ahead arrive in any order, and the newest knows best."""
        if page.total is not None:
            self._total = page.total
            self._fewest = page.total if self._fewest is None else min(self._fewest, page.total)

    def admit(self, page: Page[T], asked: int) -> Page[T]:
        """Return a page without the items that came before.

        Raises PaginationError for a page other than the one asked for, and for drift where drift is to be raised.
        """
        past_the_end = self.check(page, asked)
        ids = _ids(page.items)
        items = self._memory.fresh(page.items, ids)
        if past_the_end:  # the server gave its last page instead: nothing shows that items without an id are new
            items = tuple([item for item, id_ in zip(items, _ids(items), strict=True) if id_ is not None])
        signs = [*self._changes(page), *self._repeats(page, len(page) - len(items))]
        self.moved = bool(signs)
        if signs:
            self._report(f"on page {asked} {' and '.join(signs)}")
        self._memory.add(ids)
        self._before = (page.total, page.total_pages)
        return page if len(items) == len(page) else evolve(page, items=items)

    def pass_by(self, page: Page[Any]) -> None:
        """Count a page that was given out."""
        self.seen += len(page)
        self.number += 1
        self.ended = not page.has_next

    def check_end(self) -> None:
        """Raise PaginationError where the list ended short, and for drift where drift is to be raised."""
        if self._fewest is not None and self.seen < self._fewest:
            raise self._error(f"the list ended after {self.seen} of {self._total} items")
        if self._total is not None and self.seen != self._total:
            self._report(f"{self.seen} items came and its total is {self._total} now")

    def check(self, page: Page[Any], asked: int) -> bool:
        """Tell whether the page asked for is past the list's new end; raise PaginationError where the walk is stuck."""
        current = page.pagination.current_page if page.pagination is not None else None
        if page.has_next and not page.items:
            raise self._error(f"page {asked} is empty although more are said to follow")
        if current is None or current == asked:
            return False
        if current == page.total_pages and current < asked:
            return True
        raise self._error(f"page {asked} was asked for and page {current} came: the walk would not move on")

    def _changes(self, page: Page[Any]) -> Iterable[str]:
        now = (page.total, page.total_pages)
        for what, old, new in zip(("its total", "its number of pages"), self._before, now, strict=True):
            if old is not None and new is not None and old != new:
                yield f"{what} went from {old} to {new}"

    def _repeats(self, page: Page[Any], count: int) -> Iterable[str]:
        if count:
            yield f"{count} of {len(page)} items had come before"

    def _report(self, what: str) -> None:
        """Raise PaginationError, or warn once a walk."""
        if self.on_drift == "raise":
            raise self._error(f"the list changed under the walk: {what}")
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s: the list changed under the walk: %s. What comes again is dropped; walk again for the list of now",
                self.name,
                what,
            )

    def _error(self, message: str) -> PaginationError:
        return PaginationError(message, seen=self.seen, total=self._total)
