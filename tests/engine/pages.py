"""Lists made by hand, for what no server does on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tallyfy_async import Page, Pager
from tallyfy_async.protocol.response import Pagination

Change = Callable[[int, dict[str, Any]], None]


def page_of(items: Sequence[int], number: int, pagination: Pagination | None, fetch: Any) -> Page[int]:
    return Page(items=tuple(items), number=number, pagination=pagination, fetch=fetch)


class Shelf:
    """A list of numbers; counts what is asked of it."""

    def __init__(self, total: int, size: int, change: Change | None = None) -> None:
        self.total = total
        self.size = size
        self.change = change
        self.asked: list[int] = []
        self.errors: dict[int, list[BaseException]] = {}

    async def fetch(self, number: int) -> Page[int]:
        self.asked.append(number)
        if self.errors.get(number):
            raise self.errors[number].pop(0)
        items = range(self.total)[(number - 1) * self.size : number * self.size]
        values: dict[str, Any] = {
            "total": self.total,
            "count": len(items),
            "per_page": self.size,
            "current_page": number,
            "total_pages": max(1, -(-self.total // self.size)),
        }
        if self.change is not None:
            self.change(number, values)
        items = values.pop("items", items)
        return page_of(items, number, None if values.get("none") else Pagination(**values), self.fetch)

    @property
    def pager(self) -> Pager[int]:
        return Pager(self.fetch)
