"""Whole organizations out, many at once, by one event loop or by Dask's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError, TallyfyError
from tallyfy_async.export.kinds import chosen
from tallyfy_async.export.report import ExportReport
from tallyfy_async.fleet.access import Access
from tallyfy_async.fleet.crew import Crew, OwnLoop
from tallyfy_async.fleet.destinations.base import Begun, Destination, FleetPlan
from tallyfy_async.fleet.lists import Clerk, Desk, ListWalk, RefusedError
from tallyfy_async.fleet.report import FleetProgress, FleetReport
from tallyfy_async.fleet.together import together
from tallyfy_async.fleet.units import PAGES
from tallyfy_async.organization import Organization
from tallyfy_async.telemetry import logger
from tallyfy_async.transport.clock import Clock, SystemClock

if TYPE_CHECKING:
    from distributed import Client

Told = Callable[[FleetProgress], object]

_AT_ONCE = 32
"""Organizations that are open at once."""
_CONCURRENCY = 8


async def export(
    organizations: Iterable[Organization],
    *,
    to: Destination,
    dask: Client | None = None,
    access: Access | None = None,
    kinds: Iterable[str] | None = None,
    since: datetime | None = None,
    pages: int = PAGES,
    concurrency: int = _CONCURRENCY,
    resume: bool = True,
    progress: Told | None = None,
) -> FleetReport:
    """Export whole organizations: each list in units of some pages, which are read by this event loop or by Dask.

    Called again after a kill, an error or a cancellation, of whichever process, it goes on where it was, without loss
    or doubles: every unit is committed together with its checkpoint. After an export that ended, it reads everything
    again, writes what differs and removes what is gone.

    Args:
        organizations: what ``tallyfy.organization(id)`` returns, of one client or of several.
        to: ``NDJSON(directory)``, ``Parquet(directory)``, ``SQLite(directory)`` or ``PostgreSQL(address)``.
        dask: a ``distributed.Client``, whose workers then read; None for this event loop.
        access: how workers log in, ``Access.of(tallyfy)``; needed with ``dask``.
        kinds: names among ``export.KINDS``; all of them if left out.
        since: pass over what was changed before this moment, and remove nothing; see ``export.to_sqlite``.
        pages: pages of a unit. What a killed worker was reading is read again.
        concurrency: units under way at once in this event loop. Dask's workers have one for each of their threads.
        resume: False begins anew although an export was interrupted.
        progress: called with a FleetProgress after every unit; may be asynchronous. What it raises is logged and
            ignored.

    A kind that the token may not read is named in the organization's ``refused``. Raises what calls raise,
    PermissionDeniedError where everything is refused; PaginationError where a list keeps ending
    short; ConfigurationError for wrong arguments; ExportError where another export has taken over the destination; what
    the destination raises where it cannot be written.
    """
    wishes = _Wishes(pages=pages, concurrency=concurrency, since=since, progress=progress)
    orgs = _by_id(organizations)
    clock: Clock = _clock(orgs)
    plan = FleetPlan(kinds=chosen(kinds), since=since, started=datetime.fromtimestamp(clock.time(), UTC), resume=resume)
    crew = await _crew(orgs, to, dask, access, concurrency)
    begun_at = clock.monotonic()
    clerk = Clerk(to.ledger())
    try:
        begun = await clerk.do(clerk.ledger.begin, plan)
        async with crew:
            job = _Job(wishes, plan, begun, clerk, crew, clock)
            await job.run(orgs)
        await clerk.do(clerk.ledger.complete)
    finally:
        clerk.ledger.close()
    return FleetReport(
        organizations={name: job.reports[name] for name in orgs},
        started=begun.started,
        seconds=clock.monotonic() - begun_at,
        resumed=begun.resumed,
        units=job.units,
    )


def _by_id(organizations: Iterable[Any]) -> dict[str, Organization]:
    if isinstance(organizations, str | Organization):  # the one is an iterable of letters, the other none
        msg = "organizations must be an iterable of organizations: [tallyfy.organization(id), …]"
        raise ConfigurationError(msg)
    found: dict[str, Organization] = {}
    for org in organizations:
        if not isinstance(org, Organization):
            msg = f"organizations must be what tallyfy.organization(id) returns, not {type(org).__name__}"
            raise ConfigurationError(msg)
        found[org.id] = org
    return found


def _clock(orgs: Mapping[str, Organization]) -> Clock:
    for org in orgs.values():
        return org._pipeline.clock  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the client's own time
    return SystemClock()


async def _crew(
    orgs: Mapping[str, Organization], to: Destination, dask: Any, access: Access | None, concurrency: int
) -> Crew:
    if dask is None:
        return OwnLoop(orgs, to, concurrency)
    if access is None:
        msg = "with dask, say how its workers log in: access=Access.of(tallyfy)"
        raise ConfigurationError(msg)
    from tallyfy_async.fleet.dask_crew import DaskCrew  # noqa: PLC0415 - an extra

    await access.prepare(orgs.values())
    return DaskCrew.of(dask, access, to)


@frozen(kw_only=True)
class _Wishes:
    """Arguments of an export; raises ConfigurationError for wrong ones."""

    pages: int
    concurrency: int
    since: datetime | None
    progress: Told | None

    def __attrs_post_init__(self) -> None:
        _check_since(self.since)
        for name, value in (("pages", self.pages), ("concurrency", self.concurrency)):
            if type(value) is not int or value < 1:
                msg = f"{name} must be a whole number of at least 1"
                raise ConfigurationError(msg)

    async def tell(self, told: FleetProgress) -> None:
        """Tell of progress; what the listener raises is logged and ignored."""
        if self.progress is None:
            return
        try:
            heard = self.progress(told)
            if isawaitable(heard):
                await heard
        except Exception as error:  # noqa: BLE001 - who watches must not break what it watches
            logger.error("progress raised %s and is ignored", type(error).__name__)


def _check_since(since: object) -> None:
    if since is not None and (not isinstance(since, datetime) or since.utcoffset() is None):
        msg = "since must be a datetime with a time zone: datetime(…, tzinfo=UTC)"
        raise ConfigurationError(msg)


@define(eq=False)
class _Job:
    """All organizations on their way."""

    _wishes: _Wishes
    _plan: FleetPlan
    _begun: Begun
    _clerk: Clerk
    _crew: Crew
    _clock: Clock
    reports: dict[str, ExportReport] = field(factory=dict[str, ExportReport], init=False)
    units: int = field(default=0, init=False)
    _refusals: list[TallyfyError] = field(factory=list[TallyfyError], init=False)

    async def run(self, orgs: Iterable[str]) -> None:
        """Export the organizations; the first error ends all and is raised bare."""
        self.reports.update((name, self._begun.done[name]) for name in orgs if name in self._begun.done)
        due = [partial(self._organization, name) for name in orgs if name not in self._begun.done]
        await together(due, at_once=_AT_ONCE)
        if self._refusals and not any(report.kinds for report in self.reports.values()):
            raise self._refusals[0].twin()

    async def _organization(self, organization: str) -> None:
        began = self._clock.monotonic()
        states = await self._clerk.do(self._clerk.ledger.open, organization)
        desk = self._desk()
        walks = [ListWalk(desk, organization, kind, states[kind.name]) for kind in self._plan.kinds]
        refusals: list[TallyfyError] = []
        await together([partial(self._list, walk, refusals) for walk in walks])
        self.units += sum(walk.units for walk in walks)
        done, refused = await self._clerk.do(self._clerk.ledger.report, organization)
        report = ExportReport(
            organization=organization,
            kinds=done,
            refused=refused,
            started=self._begun.started,
            seconds=self._clock.monotonic() - began,
            resumed=self._begun.resumed,
        )
        if done or not refused:
            await self._clerk.do(self._clerk.ledger.end, report)
        self._refusals.extend(refusals)
        self.reports[organization] = report

    def _desk(self) -> Desk:
        return Desk(
            clerk=self._clerk,
            crew=self._crew,
            run=self._begun.run,
            pages=self._wishes.pages,
            since=None if self._plan.since is None else self._plan.since.isoformat(),
            tell=self._wishes.tell,
        )

    async def _list(self, walk: ListWalk, refusals: list[TallyfyError]) -> None:
        try:
            await walk.run()
        except RefusedError as refused:
            refusals.append(refused.error)
            await self._clerk.do(self._clerk.ledger.refuse, walk.organization, walk.kind, str(refused.error))
            told = FleetProgress(organization=walk.organization, kind=walk.kind.name, rows=0, total=0, done=True)
            await self._wishes.tell(told)
