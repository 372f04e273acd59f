"""What every resource is made of: an engine, and the path values that its place implies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cache
from types import GenericAlias
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast, get_origin, get_type_hints

from attrs import field, frozen

from tallyfy_async.engine.arguments import check_number
from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.pager import Page, Pager
from tallyfy_async.engine.plan import Call, RequestOptions, Response
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.converter import structure, write
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.protocol.response import item, listing

if TYPE_CHECKING:
    from tallyfy_async.engine.download import Download
    from tallyfy_async.transport.upload import FileSource

T = TypeVar("T")


def query_of(kind: Any, filters: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return checked filters as query parameters: ``with_`` is ``with``, lists are joined by commas.

    A single text may stand for a list of one. Raises ConfigurationError for filters that are wrong, and for an empty
    list, which the server would read as no filter at all.
    """
    lists = _lists(kind)
    given = {name: (value,) if name in lists and isinstance(value, str) else value for name, value in filters.items()}
    query: dict[str, Any] = {}
    for name, value in write(kind, given, what=what).items():
        if name not in lists:
            query[name] = value
        elif value:
            query["with" if name == "with_" else name] = ",".join(map(str, value))
        elif name != "with_":
            msg = f"{what}: {name} is empty, which the server takes for no filter at all: leave it out"
            raise ConfigurationError(msg)
    return query


@cache
def _lists(kind: Any) -> frozenset[str]:
    return frozenset(name for name, hint in get_type_hints(kind).items() if get_origin(hint) is Iterable)


class _Includes(TypedDict):
    with_: Iterable[str]


def with_of(includes: Iterable[str] | None) -> dict[str, Any]:
    """Return the ``with`` parameter of a read; raise ConfigurationError for what is no list of words."""
    return {} if includes is None else query_of(_Includes, {"with_": includes}, "")


def body_id(name: str, value: Any) -> str:
    """Return an id that travels in a body; raise ConfigurationError for what cannot be one."""
    if not isinstance(value, str) or not value.strip():
        msg = f"{name} must be a str that is not empty: pass the id as the API gives it"
        raise ConfigurationError(msg)
    return str.__str__(value)


def check_answers(name: str, answers: Mapping[str, Any] | None, place: str) -> None:
    """Raise ConfigurationError for answers under anything but field ids; ``place`` tells where the ids are."""
    for key in answers or ():
        if len(key) != 32 or set(key) - set("0123456789abcdef"):
            msg = (
                f"{name}: {key!r} is no field id (32 hex characters): the server drops answers under labels and "
                f"aliases. The ids are in {place}"
            )
            raise ConfigurationError(msg)


@frozen(eq=False)
class Resource:
    """A noun of the API in its place: on the client, or in one organization."""

    _engine: Engine = field(repr=False)
    _values: Mapping[str, Any] = field(factory=dict[str, Any])

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

    def _check_ids(self, operation: Operation, values: Mapping[str, Any]) -> None:
        """Raise ConfigurationError for ids that cannot be, for calls that read before they write."""
        operation.url({**self._values, **values})

    async def _upload(
        self,
        operation: Operation,
        kind: type[T],
        values: Mapping[str, Any] | None = None,
        *,
        part: str,
        source: FileSource,
        filename: str | None = None,
        content_type: str | None = None,
        fields: Mapping[str, str] | None = None,
        options: RequestOptions | None = None,
    ) -> T:
        """Send a form with one file, as the part named ``part``, and return the reply's object.

        Raises what every call raises, and UploadSourceError, ConfigurationError or OSError for the source.
        """
        from tallyfy_async.transport.upload import Form, file_part  # noqa: PLC0415 - lazy: few programs upload

        if not isinstance(cast("object", fields), Mapping | None):
            msg = "fields must be a mapping of names to texts"
            raise ConfigurationError(msg)
        file = await file_part(part, source, filename=filename, content_type=content_type)
        values = {**self._values, **(values or {})}
        call = Call.plan(operation, values, content=Form(fields or {}, [file]), options=options)
        return structure(item((await self._engine.call(call)).payload), kind, path="data")

    def _download(
        self,
        operation: Operation,
        values: Mapping[str, Any] | None = None,
        *,
        max_bytes: int | None = None,
        options: RequestOptions | None = None,
    ) -> Download:
        """Return a file that is downloaded when it is entered; more than ``max_bytes`` are a DecodeError."""
        from tallyfy_async.engine.download import Download  # noqa: PLC0415 - lazy: few programs download

        values = {**self._values, **(values or {})}
        return Download(self._engine, Call.plan(operation, values, max_bytes=max_bytes, options=options))

    def _list(
        self,
        operation: Operation,
        kind: type[T],
        values: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        per_page: int | None = None,
        paged: bool = True,
        options: RequestOptions | None = None,
    ) -> Pager[T]:
        check_number("per_page", per_page, or_none=True)
        size = per_page if per_page is not None else operation.max_per_page
        values = {**self._values, **(values or {})}

        def plan(number: int) -> Call:
            whole = {**(query or {}), "page": number, "per_page": size} if paged else query
            return Call.plan(operation, values, query=whole, options=options)

        async def fetch(number: int) -> Page[T]:
            response = await self._engine.call(plan(number))
            found = listing(response.payload)
            items = structure(found.items, GenericAlias(tuple, (kind, ...)), path="data")
            return Page(items=items, number=number, pagination=found.pagination, fetch=fetch)

        plan(1)  # wrong arguments are told here, not at the first page
        return self._pager(operation, fetch)

    def _pager(self, operation: Operation, fetch: Callable[[int], Awaitable[Page[T]]]) -> Pager[T]:
        limiter = self._engine.limiter
        return Pager(fetch, name=operation.id, width=lambda: limiter.width)
