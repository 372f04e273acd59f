"""Full-text search over templates, processes, tasks and snippets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, Required, TypedDict, TypeVar, Unpack, overload

from attrs import field, frozen

from tallyfy_async.engine.pager import Page, Pager
from tallyfy_async.engine.plan import Call, RequestOptions
from tallyfy_async.errors import ConfigurationError, DecodeError
from tallyfy_async.models.search import (
    BlueprintHit,
    ProcessHit,
    SearchCondition,
    SearchHit,
    SnippetHit,
    TaskHit,
    Where,
    WhereGroup,
)
from tallyfy_async.protocol.converter import structure
from tallyfy_async.protocol.operation import Operation
from tallyfy_async.protocol.response import Listing, buckets
from tallyfy_async.resources.base import Resource, query_of

SEARCH = Operation(
    id="search",
    method="GET",
    path="/organizations/{org}/search",
    scopes="unknown",
    call="org.search.query",
    max_per_page=100,
)

T = TypeVar("T", bound=SearchHit)

_KINDS: dict[str, type[SearchHit]] = {
    "blueprint": BlueprintHit,
    "process": ProcessHit,
    "task": TaskHit,
    "snippet": SnippetHit,
    "capture": SearchHit,
    "step": SearchHit,
}
_OTHER_WORDS = {"checklist": "blueprint", "template": "blueprint", "run": "process"}


@frozen(kw_only=True, eq=False)
class SearchResults:
    """What a search found, by kind: the first page of each, whose ``next()`` fetches the next one of that kind.

    Attributes:
        blueprint: templates.
        process: processes.
        task: tasks of processes and one-off tasks.
        snippet: snippets.
        capture: form fields.
        step: steps of templates.
        extra: kinds that were answered beyond these, name -> JSON objects.

    """

    blueprint: Page[BlueprintHit]
    process: Page[ProcessHit]
    task: Page[TaskHit]
    snippet: Page[SnippetHit]
    capture: Page[SearchHit]
    step: Page[SearchHit]
    extra: Mapping[str, tuple[Any, ...]] = field(factory=dict[str, tuple[Any, ...]])


class _Query(TypedDict, total=False):
    search: Required[str]
    on: Required[Iterable[str]]
    tags: bool
    per_page: int


class SearchArguments(TypedDict, total=False):
    """Arguments of a walk over what a search finds."""

    where: SearchCondition | None
    tags: bool
    per_page: int | None
    options: RequestOptions | None


@frozen(eq=False)
class Search(Resource):
    """Full-text search."""

    async def query(
        self,
        text: str,
        *,
        on: Iterable[str] = ("blueprint", "process", "task"),
        where: SearchCondition | None = None,
        tags: bool = False,
        per_page: int | None = None,
        options: RequestOptions | None = None,
    ) -> SearchResults:
        """Search several kinds of objects with one request (contract: search).

        ``on`` are kinds: blueprint (template), process, task, snippet, capture, step. ``where`` narrows the hits, as
        ``Where("title", "=", "Onboarding")`` does; ``tags`` brings theirs along. ``per_page``, at most 100, counts for
        each kind by itself. Hits of tasks lack their run: ``tasks.get(hit.id)`` tells it. Raises ConfigurationError for
        an empty text and for unknown kinds.
        """
        asked = {
            **_asked({"search": text, "on": on, "tags": tags, "per_page": per_page}),
            **_filter(where),
        }
        response = await self._call(SEARCH, query={**asked, "page": 1}, options=options)
        found = _buckets(response.payload)

        def page(name: str, kind: type[T]) -> Page[T]:
            return _page(name, kind, found, 1, self._fetcher(name, kind, asked, options))

        return SearchResults(
            blueprint=page("blueprint", BlueprintHit),
            process=page("process", ProcessHit),
            task=page("task", TaskHit),
            snippet=page("snippet", SnippetHit),
            capture=page("capture", SearchHit),
            step=page("step", SearchHit),
            extra={name: tuple(listing.items) for name, listing in found.items() if name not in _KINDS},
        )

    @overload
    def list(self, text: str, on: Literal["blueprint"], **given: Unpack[SearchArguments]) -> Pager[BlueprintHit]: ...
    @overload
    def list(self, text: str, on: Literal["process"], **given: Unpack[SearchArguments]) -> Pager[ProcessHit]: ...
    @overload
    def list(self, text: str, on: Literal["task"], **given: Unpack[SearchArguments]) -> Pager[TaskHit]: ...
    @overload
    def list(self, text: str, on: Literal["snippet"], **given: Unpack[SearchArguments]) -> Pager[SnippetHit]: ...
    @overload
    def list(self, text: str, on: Literal["capture", "step"], **given: Unpack[SearchArguments]) -> Pager[SearchHit]: ...
    def list(self, text: str, on: str, **given: Unpack[SearchArguments]) -> Pager[Any]:
        """Search one kind of objects and walk over all pages; arguments as those of ``query`` (contract: search)."""
        if strange := given.keys() - SearchArguments.__annotations__.keys():
            msg = f"search.list() got an unexpected keyword argument {min(strange)!r}"
            raise TypeError(msg)
        words = {"search": text, "on": on, "tags": given.get("tags"), "per_page": given.get("per_page")}
        asked, options = {**_asked(words), **_filter(given.get("where"))}, given.get("options")
        Call.plan(SEARCH, self._values, query={**asked, "page": 1}, options=options)  # wrong arguments are told here
        return self._pager(SEARCH, self._fetcher(on, _KINDS[on], asked, options))

    def _fetcher(
        self, name: str, kind: type[T], asked: Mapping[str, Any], options: RequestOptions | None
    ) -> Callable[[int], Awaitable[Page[T]]]:
        async def fetch(number: int) -> Page[T]:
            query = {**asked, "on": name, "page": number}
            response = await self._call(SEARCH, query=query, options=options)
            return _page(name, kind, _buckets(response.payload), number, fetch)

        return fetch


def _asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the query of a search without its page; raise ConfigurationError for what no search can be."""
    query = query_of(_Query, {name: value for name, value in given.items() if value is not None}, "search")
    if not query["search"].strip():
        msg = "search: the text is empty"
        raise ConfigurationError(msg)
    if not 1 <= query.setdefault("per_page", 100) <= 100:
        msg = "search: per_page must be a whole number from 1 to 100"
        raise ConfigurationError(msg)
    if not query.get("tags"):
        query.pop("tags", None)  # the server knows the word true only
    for name in query["on"].split(","):
        if name not in _KINDS:
            near = _OTHER_WORDS.get(name) or "".join(get_close_matches(name, [*_KINDS], 1))
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(_KINDS)}"
            msg = f"search: on does not know {name!r}: {hint}"
            raise ConfigurationError(msg)
    return query


def _filter(where: Any) -> dict[str, Any]:
    if where is None:
        return {}
    if not isinstance(where, Where | WhereGroup):
        msg = "search: where must be a condition, such as Where('title', '=', 'Onboarding')"
        raise ConfigurationError(msg)
    return {"filter": where.as_query()}


def _buckets(payload: Any) -> dict[str, Listing]:
    return {} if payload == [] else buckets(payload)  # PHP's empty map: nothing was found


def _page(
    name: str, kind: type[T], found: Mapping[str, Listing], number: int, fetch: Callable[[int], Awaitable[Page[T]]]
) -> Page[T]:
    """Return one page of a bucket; a bucket that is not there is empty, but never in the middle of a walk."""
    if name not in found and number > 1:
        msg = f"{name}: expected object, got nothing"
        raise DecodeError(msg, path=name)
    listing = found.get(name, Listing(items=[]))
    items = tuple(structure(one, kind, path=f"{name}.data[{at}]") for at, one in enumerate(listing.items))
    return Page(items=items, number=number, pagination=listing.pagination, fetch=fetch)
