"""What every resource is made of: an engine, and the path values that its place implies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from attrs import field, frozen

from tallyfy_async.engine.call import Call, Engine, RequestOptions, Response
from tallyfy_async.engine.pager import Page, Pager
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation, comma
from tallyfy_async.protocol.response import item, listing

T = TypeVar("T")


def query_of(kind: type[Any], filters: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return checked filters as query parameters: ``with_`` is ``with``, lists are joined by commas."""
    texts = {name: (value,) if name in _LISTS and isinstance(value, str) else value for name, value in filters.items()}
    checked = write(kind, texts, what=what)
    return {
        "with" if name == "with_" else name: ",".join(map(str, value)) if isinstance(value, list) else value
        for name, value in checked.items()
    }


def with_of(includes: Iterable[str] | None) -> dict[str, Any]:
    """Return the ``with`` parameter of a read."""
    return {} if includes is None else {"with": comma(includes)}


_LISTS = frozenset({"with_", "folder", "tag_ids", "owners", "groups", "guests", "roles"})


@frozen(eq=False)
class Resource:
    """A noun of the API in its place: on the client, or in one organization."""

    _engine: Engine = field(repr=False)
    _values: Mapping[str, Any] = field(factory=dict)

    async def _call(
        self,
        operation: Operation,
        values: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        payload: Any = None,
        options: RequestOptions | None = None,
    ) -> Response:
        values = {**self._values, **(values or {})}
        return await self._engine.call(Call.plan(operation, values, query=query, payload=payload, options=options))

    async def _item(
        self,
        operation: Operation,
        kind: type[T],
        values: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        payload: Any = None,
        options: RequestOptions | None = None,
    ) -> T:
        response = await self._call(operation, values, query=query, payload=payload, options=options)
        return structure(item(response.payload), kind, path="data")

    def _list(
        self,
        operation: Operation,
        kind: type[T],
        values: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        per_page: int | None = None,
        options: RequestOptions | None = None,
    ) -> Pager[T]:
        if per_page is not None and (type(per_page) is not int or per_page < 1):
            msg = "per_page must be a whole number of at least 1"
            raise ConfigurationError(msg)
        size = per_page if per_page is not None else operation.max_per_page
        values = {**self._values, **(values or {})}

        def plan(number: int) -> Call:
            whole = {**(query or {}), "page": number, "per_page": size}
            return Call.plan(operation, values, query=whole, options=options)

        async def fetch(number: int) -> Page[T]:
            response = await self._engine.call(plan(number))
            found = listing(response.payload)
            items = tuple(structure(entry, kind, path=f"data[{at}]") for at, entry in enumerate(found.items))
            return Page(items=items, number=number, pagination=found.pagination, fetch=fetch)

        plan(1)  # wrong arguments are told here, not at the first page
        return Pager(fetch)
