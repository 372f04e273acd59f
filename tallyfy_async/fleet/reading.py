"""One unit from the server to a destination."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from anyio.to_thread import run_sync
from attrs import define, field, frozen

from tallyfy_async.engine.call import Engine
from tallyfy_async.engine.drift import Walk
from tallyfy_async.engine.page import Page
from tallyfy_async.errors import (
    EndpointNotFoundError,
    InsufficientScopeError,
    PaginationError,
    PermissionDeniedError,
    TallyfyError,
)
from tallyfy_async.export.kinds import Kind, Row
from tallyfy_async.export.target import digest
from tallyfy_async.export.walking import Source
from tallyfy_async.fleet.destinations.base import Batch, Writer
from tallyfy_async.fleet.units import Unit, UnitMark, is_newest_first
from tallyfy_async.transport.shelter import run_in_child


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
    reading = _Reading(unit=unit, source=source)
    if unit.what.single:
        reading.take_only(await source.read(unit.what))
    else:
        await reading.walk()
    mark = reading.mark()
    if not unit.probe:
        batch = Batch(rows=[row for row in reading.rows if source.is_wanted(row)], ids=[row.id for row in reading.rows])
        await run_in_child(partial(run_sync, partial(writer.put, run, unit, batch, mark)), shield=True)
    return mark


@define(kw_only=True)
class _Reading:
    """The pages of a unit as they come."""

    unit: Unit
    source: Source
    rows: list[Row] = field(factory=list[Row])
    _totals: list[int] = field(factory=list[int], init=False)
    _pages: int = field(default=0, init=False)
    _reached: int = field(default=0, init=False)
    _ended: bool = field(default=False, init=False)
    _stopped: bool = field(default=False, init=False)
    _last_ids: str = field(default="", init=False)
    _witness: int = field(default=0, init=False)
    _witnessed: str = field(default="", init=False)

    async def walk(self) -> None:
        kind: Kind = self.unit.what
        fetch = self.source.pages(kind)
        walk = Walk(kind.operation.id, "dedupe", number=self.unit.first)
        for number in range(self.unit.first, self.unit.last + 1):
            page = await fetch(number)
            self._take(page, walk.admit(page, number))
            if number == 1 and not is_newest_first(kind, self.unit.since):
                await self._look_ahead(page, fetch)
            if self._ended or self._stopped:
                break

    async def _look_ahead(self, first: Page[Row], fetch: Callable[[int], Awaitable[Page[Row]]]) -> None:
        """Note what the last full page holds before the pages between are read."""
        if self.unit.probe or first.total_pages is None or first.total_pages < 2:
            return
        self._witness = first.total_pages - 1
        self._witnessed = _ids(first if self._witness == 1 else await fetch(self._witness))

    def take_only(self, row: Row) -> None:
        """Take the only record of a kind."""
        self.rows, self._reached, self._ended, self._last_ids = [row], self.unit.first, True, digest([row.id])

    def _take(self, page: Page[Row], fresh: Sequence[Row]) -> None:
        self.rows.extend(fresh)
        self._reached = page.number
        self._last_ids = _ids(page)
        if page.total is not None:
            self._totals.append(page.total)
        self._pages = max(self._pages, page.total_pages or 0, page.number + page.has_next)
        self._ended = not page.has_next
        self._stopped = self.source.ends_at(self.unit.what, page)

    def mark(self) -> UnitMark:
        """Return what was found."""
        return UnitMark(
            first=self.unit.first,
            reached=self._reached,
            rows=len(self.rows),
            most=max(self._totals, default=0),
            fewest=min(self._totals, default=0),
            pages=self._pages,
            ended=self._ended,
            stopped=self._stopped,
            ids=self._last_ids,
            witness=self._witness,
            witnessed=self._witnessed,
        )


def _ids(page: Page[Row]) -> str:
    return digest([row.id for row in page])
