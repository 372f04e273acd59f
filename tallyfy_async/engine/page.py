"""One page of a list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

from attrs import field, frozen

from tallyfy_async.errors import PaginationError
from tallyfy_async.protocol.response import Pagination

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
