"""One unit from the server to a destination."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import TypeVar

from anyio.to_thread import run_sync
from attrs import define, field, frozen

from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.drift import Walk
from tallyfy_async.engine.page import Page
from tallyfy_async.errors import (
    EndpointNotFoundError,
    ExportError,
    InsufficientScopeError,
    PaginationError,
    PermissionDeniedError,
    TallyfyError,
)
from tallyfy_async.export.kinds import Row
from tallyfy_async.export.target import digest
from tallyfy_async.export.walking import Source
from tallyfy_async.fleet.destinations.base import Batch, Writer
from tallyfy_async.fleet.units import Unit, UnitMark, is_newest_first
from tallyfy_async.protocol.redaction import redact
from tallyfy_async.transport.shelter import run_in_child

T = TypeVar("T")


@frozen(kw_only=True)
class Outcome:
    """What became of a unit, as a value: an error that crosses a scheduler as one would be logged there.

    Attributes:
        mark: what was found; None where it was not read.
        refused: why the token may not read the kind, or that the server does not have it.
        shifted: why its round cannot be good, where the list changed too much.
        error: what was raised instead.

    """

    mark: UnitMark | None = None
    refused: TallyfyError | None = None
    shifted: PaginationError | None = None
    error: Exception | None = None


async def read(engine: Engine, writer: Writer, run: str, unit: Unit) -> Outcome:
    """Read a unit and commit it; what fails is returned, not raised."""
    try:
        return Outcome(mark=await _read(engine, writer, run, unit))
    except (PermissionDeniedError, InsufficientScopeError) as error:
        return Outcome(refused=error.twin())
    except EndpointNotFoundError as error:
        return Outcome(refused=error.twin()) if unit.what.optional else Outcome(error=error.twin())
    except PaginationError as error:
        return Outcome(shifted=error.twin())
    except TallyfyError as error:
        return Outcome(error=error.twin())
    except Exception as error:  # noqa: BLE001 - raised where the export was asked for
        return Outcome(error=error)


async def _read(engine: Engine, writer: Writer, run: str, unit: Unit) -> UnitMark:
    since = None if unit.since is None else datetime.fromisoformat(unit.since)
    source = Source(engine=engine, organization=unit.organization, since=since, concurrency=1, told=None)
    reading = _Reading(unit, source)
    await reading.read()
    mark = reading.mark()
    if not unit.probe:
        rows = [row for page in reading.pages for row in page]
        batch = Batch(rows=list(filter(source.is_wanted, rows)), ids=[row.id for row in rows])
        await commit(partial(writer.put, run, unit, batch, mark))
    return mark


async def commit(work: Callable[[], T]) -> T:
    """Have something written by a worker thread; a cancellation waits for it.

    Raises ExportError where it cannot be written, whatever a destination's driver raises then.
    """
    try:
        return await run_in_child(partial(run_sync, work), shield=True)
    except TallyfyError:
        raise
    except Exception as error:
        msg = f"the destination cannot be written: {redact(str(error)) or type(error).__name__}"
        raise ExportError(msg) from error


@define
class _Reading:
    """The pages of a unit as they come."""

    _unit: Unit
    _source: Source
    pages: list[Page[Row]] = field(factory=list[Page[Row]], init=False)
    _witness: int = field(default=0, init=False)
    _witnessed: str = field(default="", init=False)

    async def read(self) -> None:
        kind, fetch = self._unit.what, self._source.pages(self._unit.what)
        if kind.single:
            row = await self._source.read(kind)
            self.pages.append(Page(items=(row,), number=self._unit.first, pagination=None, fetch=fetch))
            return
        walk = Walk(kind.operation.id, "dedupe")
        for number in range(self._unit.first, self._unit.last + 1):
            page = await fetch(number)
            if number == 1 and not self._unit.probe and not is_newest_first(kind, self._unit.since):
                page = await self._look_ahead(page, fetch)
            walk.check(page, number)  # what comes again does no harm, nor is it news: the arithmetic of units tells
            self.pages.append(page)
            if not page.has_next or self._source.ends_at(kind, page):
                break

    async def _look_ahead(self, first: Page[Row], fetch: Callable[[int], Awaitable[Page[Row]]]) -> Page[Row]:
        """Note what the last full page holds before any page that counts is read; return the first page.

        That one is read again after the other: it was needed to know which one that is.
        """
        self._witness = max(first.total_pages or 1, 1) - 1
        if self._witness > 1:
            self._witnessed = _ids(await fetch(self._witness))
            return await fetch(1)
        if self._witness == 1:
            self._witnessed = _ids(first)
        return first

    def mark(self) -> UnitMark:
        """Return what was found."""
        last, totals = self.pages[-1], [page.total for page in self.pages if page.total is not None]
        return UnitMark(
            first=self._unit.first,
            reached=last.number,
            rows=sum(map(len, self.pages)),
            most=max(totals, default=0),
            fewest=min(totals, default=0),
            pages=max(max(page.total_pages or 0, page.number + page.has_next) for page in self.pages),
            ended=not last.has_next,
            stopped=self._source.ends_at(self._unit.what, last),
            shrank=any(after < before for before, after in pairwise(totals)),
            ids=_ids(last),
            witness=self._witness,
            witnessed=self._witnessed,
        )


def _ids(page: Page[Row]) -> str:
    return digest([row.id for row in page])
