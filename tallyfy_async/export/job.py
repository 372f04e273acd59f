"""A whole organization: all kinds at once, into one target."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import anyio
from attrs import define, field, frozen

from tallyfy_async.engine.arguments import check_number, check_progress, check_since
from tallyfy_async.errors import (
    EndpointNotFoundError,
    InsufficientScopeError,
    PermissionDeniedError,
    TallyfyError,
)
from tallyfy_async.export.kinds import NAMES, Kind, chosen
from tallyfy_async.export.ndjson import NDJSONTarget
from tallyfy_async.export.report import ExportReport, KindReport
from tallyfy_async.export.sqlite import SQLiteTarget
from tallyfy_async.export.target import Mark, Opening, Plan, Target
from tallyfy_async.export.walking import Keeper, KindWalk, Source, Told, unbounded
from tallyfy_async.organization import Organization

_AHEAD = 8


async def to_sqlite(
    org: Organization,
    path: str | os.PathLike[str],
    *,
    kinds: Iterable[str] | None = None,
    since: datetime | None = None,
    concurrency: int | None = _AHEAD,
    resume: bool = True,
    progress: Told | None = None,
) -> ExportReport:
    """Export an organization to a SQLite file: one table a kind, with ``id``, a few columns and the JSON as ``json``.

    Called again after a kill, an error or a cancellation, it goes on where it was, without loss or doubles. After an
    export that ended, it reads everything again, writes what differs and removes what is gone.

    Args:
        org: the organization, ``tallyfy.organization()``.
        path: the file; it is made if missing. Others may read it meanwhile.
        kinds: names among ``export.KINDS``; all of them if left out. Steps come with checklists, comments and answers
            with tasks.
        since: pass over what was changed before this moment, and remove nothing. Runs are then read newest change
            first, and only as far as needed; the other lists know no such order and are read whole. It trusts the
            server's ``last_updated``, which a new comment or a completed task of a run may leave as it was.
        concurrency: pages ahead of each list, None for as many as the client's limiter lets run.
        resume: False begins anew although an export was interrupted.
        progress: called with a Progress after every page; may be asynchronous. What it raises is logged and ignored.

    A kind that the token may not read is named in ``report.refused``. Raises what calls raise, PermissionDeniedError
    where every kind is refused; PaginationError where a list keeps ending short; ConfigurationError for wrong
    arguments and for a file that is something else or cannot be opened; ExportError where it cannot be written any
    more, such as on a full disk, and where another export has taken it over.
    """
    wishes = _Wishes(kinds=kinds, since=since, concurrency=concurrency, resume=resume, progress=progress)
    return await _export(org, SQLiteTarget(place := Path(path)), place, wishes)


async def to_ndjson(
    org: Organization,
    directory: str | os.PathLike[str],
    *,
    kinds: Iterable[str] | None = None,
    since: datetime | None = None,
    concurrency: int | None = _AHEAD,
    resume: bool = True,
    progress: Told | None = None,
) -> ExportReport:
    """Export an organization to a directory of its own: ``<kind>.ndjson``, one JSON object a line.

    Files of an earlier export are replaced kind by kind, each when its list was read to the end; with ``since`` the
    rows that did not change stay in them. Arguments, resuming and errors are those of :func:`to_sqlite`.
    """
    wishes = _Wishes(kinds=kinds, since=since, concurrency=concurrency, resume=resume, progress=progress)
    return await _export(org, NDJSONTarget(place := Path(directory)), place, wishes)


@frozen(kw_only=True)
class _Wishes:
    """The arguments of an export; raises ConfigurationError for wrong ones."""

    kinds: Iterable[str] | None
    since: datetime | None
    concurrency: int | None
    resume: bool
    progress: Told | None

    def __attrs_post_init__(self) -> None:
        check_since(self.since)
        check_number("concurrency", self.concurrency, or_none=True)
        check_progress(self.progress)

    def plan(self, organization: str, now: float) -> Plan:
        return Plan(
            organization=organization,
            kinds=chosen(self.kinds),
            since=self.since,
            started=datetime.fromtimestamp(now, UTC),
            resume=self.resume,
            owner=uuid4().hex,
        )


async def _export(org: Organization, target: Target, place: Path, wishes: _Wishes) -> ExportReport:
    engine = org._pipeline  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - rows are read raw, past the models
    begun = engine.clock.monotonic()
    plan = wishes.plan(org.id, engine.clock.time())
    source = Source(
        engine=engine,
        organization=org.id,
        since=wishes.since,
        concurrency=unbounded(wishes.concurrency),
        told=wishes.progress,
    )
    keeper = Keeper(target, place)
    try:
        opening = await keeper.open(plan)
        job = _Job(source, keeper, opening)
        await job.run(plan.kinds)
        await keeper.do(target.complete)
    finally:
        target.close()
    return job.report(engine.clock.monotonic() - begun)


@define(eq=False)
class _Job:
    """All kinds on their way."""

    _source: Source
    _keeper: Keeper
    _opening: Opening
    _marks: dict[str, Mark] = field(factory=dict[str, Mark], init=False)
    _refusals: list[TallyfyError] = field(factory=list[TallyfyError], init=False)
    _errors: list[Exception] = field(factory=list[Exception], init=False)

    async def run(self, kinds: Iterable[Kind]) -> None:
        """Export the kinds at the same time; the first error ends the others and is raised bare."""
        async with anyio.create_task_group() as group:
            for kind in kinds:
                group.start_soon(self._one, kind, group.cancel_scope)
        if not self._errors and not any(mark.status == "done" for mark in self._marks.values()):
            self._errors.extend(self._refusals)
        if self._errors:
            try:
                raise self._errors[0]
            finally:
                self._errors.clear()  # or their tracebacks would keep this frame alive

    async def _one(self, kind: Kind, scope: anyio.CancelScope) -> None:
        walk = KindWalk(self._source, self._keeper, kind, self._opening.marks[kind.name])
        try:
            await self._walk(walk)
        except Exception as error:  # noqa: BLE001 - raised bare when the others have ended
            self._errors.append(error)
            scope.cancel()
        self._marks[kind.name] = walk.mark

    async def _walk(self, walk: KindWalk) -> None:
        try:
            await walk.run()
        except (PermissionDeniedError, InsufficientScopeError, EndpointNotFoundError) as error:
            if isinstance(error, EndpointNotFoundError) and not walk.kind.optional:
                raise
            self._refusals.append(error.twin())
            await walk.refuse(str(error))

    def report(self, seconds: float) -> ExportReport:
        """Return what was done."""
        marks = {name: self._marks[name] for name in NAMES if name in self._marks}  # not in the order of their ends
        return ExportReport(
            organization=self._source.organization,
            kinds={name: _report(mark) for name, mark in marks.items() if mark.status == "done"},
            refused={name: mark.message for name, mark in marks.items() if mark.status == "refused"},
            started=self._opening.started,
            seconds=seconds,
            resumed=self._opening.resumed,
        )


def _report(mark: Mark) -> KindReport:
    return KindReport(rows=mark.rows, written=mark.written, removed=mark.removed, unsettled=mark.shrank)
