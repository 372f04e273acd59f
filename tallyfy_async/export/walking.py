"""One kind from the server to the target: its list page by page, again where the list lost rows meanwhile.

A row that is removed moves all that follow it one place to the front, so one of them slips onto a page that was read
before. Two things tell: the total went down; and, where a row was added meanwhile so that the total stayed, the row
that was the last one when the walk began does not come at its place. Nothing tells where both happen within one round
trip, between the first page and the look at the end, or among the last pages ahead: to see that too would take looks at
the end before the first page and after the last one, two round trips more for every list.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from attrs import define, evolve, field, frozen

from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.drift import Walk
from tallyfy_async.engine.page import Page
from tallyfy_async.engine.plan import Call
from tallyfy_async.engine.prefetch import Ahead, Lead
from tallyfy_async.errors import ConfigurationError, ExportError, PaginationError, TallyfyError
from tallyfy_async.export.kinds import Kind, Row, changed_at, row_of
from tallyfy_async.export.report import Progress
from tallyfy_async.export.target import Mark, Opening, Plan, Target, digest
from tallyfy_async.protocol.response import item, listing
from tallyfy_async.telemetry import inform
from tallyfy_async.transport.shelter import Children, run_in_child

T = TypeVar("T")
Told = Callable[[Progress], object]

_ROUNDS = 4
"""How often a list is read at most that loses rows each time."""


@define(eq=False)
class Keeper:
    """Lets one worker thread at a time into a target, and never leaves one alone there.

    The work runs in a shielded child, so a cancellation waits for the commit under way.
    """

    target: Target
    place: object
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)

    async def open(self, plan: Plan) -> Opening:
        """Open the target; raise ConfigurationError where that cannot be done."""
        try:
            return await self.do(self.target.open, plan)
        except ExportError as error:
            if error.__cause__ is None:
                raise
            raise ConfigurationError(str(error)) from error.__cause__

    async def do(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a method of the target; raise ExportError where it cannot be written."""
        async with self._turn:
            try:
                return await run_in_child(partial(run_sync, partial(work, *arguments)), shield=True)
            except (OSError, sqlite3.Error) as error:
                if isinstance(error, TallyfyError):
                    raise
                msg = f"{self.place} cannot be written: {error}"
                raise ExportError(msg) from error

    async def put(self, kind: Kind, rows: list[Row], mark: Mark) -> Mark:
        """Commit rows and mark."""
        return await self.do(self.target.put, kind, rows, mark)

    async def finish(self, kind: Kind, mark: Mark, *, prune: bool) -> Mark:
        """Close a kind."""
        return await self.do(partial(self.target.finish, kind, mark, prune=prune))


@frozen(kw_only=True)
class Source:
    """Where rows come from.

    Attributes:
        engine: performs the calls.
        organization: its id.
        since: rows changed before are passed over; None for everything.
        concurrency: pages ahead of each list.
        told: hears of progress.

    """

    engine: Engine
    organization: str
    since: datetime | None
    concurrency: int
    told: Told | None

    async def read(self, kind: Kind) -> Row:
        """Read the only record of a kind."""
        call = Call.plan(kind.operation, {"org": self.organization}, query=kind.query)
        return row_of(kind, item((await self._engine(kind).call(call)).payload), "data")

    def pages(self, kind: Kind) -> Callable[[int], Awaitable[Page[Row]]]:
        """Return what fetches a page of a kind by its number."""
        query: dict[str, Any] = {**kind.query}
        if self.since is not None:
            query.update(kind.newest_first)
        size, engine = kind.operation.max_per_page, self._engine(kind)

        async def fetch(number: int) -> Page[Row]:
            whole = query if size is None else {**query, "page": number, "per_page": size}
            call = Call.plan(kind.operation, {"org": self.organization}, query=whole)
            found = listing((await engine.call(call)).payload)
            items = tuple([row_of(kind, one, f"data[{at}]") for at, one in enumerate(found.items)])
            return Page(items=items, number=number, pagination=found.pagination, fetch=fetch)

        return fetch

    def _engine(self, kind: Kind) -> Engine:
        """Return what performs the calls; it warns of no route that the export tells of itself where it is missing."""
        return evolve(self.engine, unverified=None) if kind.optional else self.engine

    def is_wanted(self, row: Row) -> bool:
        """Whether a row was changed since, or may have been: the server's dates are whole seconds."""
        if self.since is None:
            return True
        changed = changed_at(row)
        return changed is None or changed >= self.since.replace(microsecond=0)

    def ends_at(self, kind: Kind, page: Page[Row]) -> bool:
        """Whether all that follows a page was changed before."""
        return self.since is not None and bool(kind.newest_first) and not all(map(self.is_wanted, page))

    def width(self) -> int:
        """Return how many pages ahead are of use now."""
        return max(1, min(self.concurrency, self.engine.limiter.width))


@define(eq=False)
class KindWalk:
    """One kind on its way."""

    source: Source
    keeper: Keeper
    kind: Kind
    mark: Mark
    _most: int = field(default=0, init=False)

    async def run(self) -> Mark:
        """Export the kind and return its mark; raise what the calls and the target raise."""
        if self.mark.status == "done":
            await self._tell(self.mark.rows, self.mark.rows, done=True)
            return self.mark
        if self.mark.status == "refused":
            self.mark = Mark(whole=False)  # rows may have come before the refusal
        self.mark = evolve(self.mark, rounds=0)
        if self.kind.single:
            await self._read()
        else:
            await self._walk_until_settled()
        prune = self.source.since is None and not self.mark.shrank
        self.mark = await self.keeper.finish(self.kind, evolve(self.mark, status="done"), prune=prune)
        await self._tell(self.mark.rows, self.mark.rows, done=True)
        return self.mark

    async def refuse(self, why: str) -> None:
        """Note that the server does not give the kind."""
        self.mark = await self.keeper.put(self.kind, [], Mark(status="refused", message=why))
        await self._tell(0, 0, done=True)

    async def _read(self) -> None:
        row = await self.source.read(self.kind)
        wanted = [row] if self.source.is_wanted(row) else []
        self.mark = await self.keeper.put(self.kind, wanted, evolve(self.mark, page=1))

    async def _walk_until_settled(self) -> None:
        """Walk until a walk saw the list lose nothing, which may have moved rows onto pages that were read before."""
        while True:
            try:
                whole = await self._walk() and not self.mark.shrank
            except PaginationError:
                if self.mark.rounds + 1 >= _ROUNDS:
                    raise
                whole = False
            if whole or self.mark.rounds + 1 >= _ROUNDS:
                return
            again = Mark(rounds=self.mark.rounds + 1, whole=False, written=self.mark.written)
            self.mark = await self.keeper.put(self.kind, [], again)

    async def _walk(self) -> bool:
        """Read the list from the page committed last; tell whether that was still the page that it had been."""
        before, self._most = self.mark, 0
        walk = Walk(self.kind.operation.id, "dedupe", number=max(1, before.page), seen=before.seen)
        async with Children() as children:
            fetch = self.source.pages(self.kind)
            pages = Ahead(fetch, walk, children, Lead(self.source.width))
            async for page in pages:
                if not self.mark.page and page.has_next and not self._is_newest_first():
                    await self._look_at_the_end(page, fetch)
                if page.number != before.page:
                    await self._take(page, walk.seen)
                elif _ids(page) != before.ids:
                    return False
                if self.source.ends_at(self.kind, page):
                    break
        if self.mark.last:
            self.mark = evolve(self.mark, shrank=True)
        return True

    def _is_newest_first(self) -> bool:
        return self.source.since is not None and bool(self.kind.newest_first)

    async def _look_at_the_end(self, first: Page[Row], fetch: Callable[[int], Awaitable[Page[Row]]]) -> None:
        """Note which row is the last one now, while the pages ahead are on their way."""
        if first.total_pages is not None and first.total is not None:
            end = await fetch(first.total_pages)
            moved = not end or end.total != first.total
            self.mark = evolve(self.mark, last=end[-1].id if end else "", place=first.total, shrank=moved)

    async def _take(self, page: Page[Row], seen: int) -> None:
        shrank, last = self.mark.shrank or (page.total or 0) < self._most, self.mark.last
        for place, row in enumerate(page, seen + 1):
            if last and row.id == last:
                shrank, last = shrank or place != self.mark.place, ""
        self._most = max(self._most, page.total or 0)
        mark = evolve(self.mark, page=page.number, seen=seen, ids=_ids(page), shrank=shrank, last=last)
        self.mark = await self.keeper.put(self.kind, list(filter(self.source.is_wanted, page)), mark)
        await self._tell(seen + len(page), page.total)

    async def _tell(self, rows: int, total: int | None, *, done: bool = False) -> None:
        news = Progress(kind=self.kind.name, rows=rows, total=total, done=done)
        await inform("progress", self.source.told, news)


def _ids(page: Page[Row]) -> str:
    return digest([row.id for row in page])


def unbounded(concurrency: int | None) -> int:
    """Return the pages ahead; None is as many as the limiter lets run."""
    return sys.maxsize if concurrency is None else concurrency
