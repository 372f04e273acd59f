"""Whole organizations out, many at once, by one event loop or by Dask's workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

from attrs import define, evolve, field

from tallyfy_async.engine.arguments import check_number, check_progress, check_since
from tallyfy_async.errors import (
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    EndpointNotFoundError,
    InvalidClientError,
    NotFoundError,
    PaginationError,
    ReauthenticationRequiredError,
    TallyfyError,
    TokenRequestError,
)
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
from tallyfy_async.telemetry import inform, logger
from tallyfy_async.transport.clock import Clock

if TYPE_CHECKING:
    from distributed import Client

Told = Callable[[FleetProgress], object]

_AT_ONCE = 32
"""Organizations that are open at once."""
_CONCURRENCY = 8
_OF_DATA = (NotFoundError, EndpointNotFoundError, PaginationError, DecodeError)
"""What is wrong with one organization, whoever asks."""


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

    A kind that the token may not read is named in the organization's ``refused``. An organization whose own login is
    dead, which does not exist, or one of whose lists cannot be understood does not stop the others: its error is logged
    with its id, the first one is raised when the others have ended, and the next call goes on with what is missing. Any
    other error stops the export.

    Raises what calls raise, PermissionDeniedError where everything is refused; PaginationError where a list keeps
    ending short; ConfigurationError for wrong arguments; ExportError where the destination cannot be written, such as
    on a full disk, and where another export has taken it over.
    """
    _check(to, since, pages, concurrency, progress)
    orgs = _by_id(organizations)
    clock: Clock = _clock(orgs)
    plan = FleetPlan(
        kinds=chosen(kinds),
        since=None if since is None else since.astimezone(UTC),  # the same moment in another zone is the same export
        started=datetime.fromtimestamp(clock.time(), UTC),
        resume=resume,
    )
    crew = _crew(orgs, to, dask, access, concurrency)
    begun_at = clock.monotonic()
    clerk = Clerk(to.ledger())
    try:
        begun = await clerk.do(clerk.ledger.begin, plan)
        tell = partial(inform, "progress", progress)
        desk = Desk(clerk=clerk, crew=crew, plan=plan, run=begun.run, pages=pages, tell=tell)
        job = _Job(orgs, desk, begun, None if dask is None else access, clock)
        async with crew:
            await job.run()
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


def _is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, Iterable) and not isinstance(value, str)


def _by_id(organizations: object) -> dict[str, Organization]:
    if not _is_iterable(organizations):
        msg = "organizations must be an iterable of organizations: [tallyfy.organization(id), …]"
        raise ConfigurationError(msg)
    found: dict[str, Organization] = {}
    for org in organizations:
        if not isinstance(org, Organization):
            msg = f"organizations must be what tallyfy.organization(id) returns, not {type(org).__name__}"
            raise ConfigurationError(msg)
        found[org.id] = org
    if not found:
        msg = "organizations must name at least one; an iterator that was used before is empty"
        raise ConfigurationError(msg)
    return found


def _check(to: Any, since: Any, pages: Any, concurrency: Any, progress: Any) -> None:
    check_since(since)
    check_number("pages", pages)
    check_number("concurrency", concurrency)
    check_progress(progress)
    if not callable(getattr(to, "ledger", None)) or not callable(getattr(to, "writer", None)):
        msg = f"to must be a destination such as fleet.NDJSON(directory), not {type(to).__name__}"
        raise ConfigurationError(msg)


def _clock(orgs: Mapping[str, Organization]) -> Clock:
    return next(iter(orgs.values()))._pipeline.clock  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the client's own time


def _tokens(org: Organization) -> object:
    return org._pipeline.tokens  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - tells who logs in alike


def _is_dead_login(error: TallyfyError) -> bool:
    """Whether the server refuses a user's tokens or password; not where it refuses everybody's, or fails."""
    if isinstance(error, TokenRequestError):
        return error.status in {400, 401} and not isinstance(error, InvalidClientError)
    return isinstance(error, ReauthenticationRequiredError | AuthenticationError)


def _crew(
    orgs: Mapping[str, Organization], to: Destination, dask: Any, access: Access | None, concurrency: int
) -> Crew:
    if dask is None:
        return OwnLoop(orgs, to, concurrency)
    if not isinstance(access, Access):
        msg = "with dask, say how its workers log in: access=Access.of(tallyfy)"
        raise ConfigurationError(msg)
    from tallyfy_async.fleet.dask_crew import DaskCrew  # noqa: PLC0415 - an extra

    return DaskCrew.of(dask, access, to)


@define(eq=False)
class _Job:
    """All organizations on their way."""

    _orgs: Mapping[str, Organization]
    _desk: Desk
    _begun: Begun
    _access: Access | None
    _clock: Clock
    reports: dict[str, ExportReport] = field(factory=dict[str, ExportReport], init=False)
    units: int = field(default=0, init=False)
    _refusals: list[TallyfyError] = field(factory=list[TallyfyError], init=False)
    _failures: dict[str, TallyfyError] = field(factory=dict[str, TallyfyError], init=False)
    _logins: Counter[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._logins = Counter(id(_tokens(org)) for org in self._orgs.values())

    async def run(self) -> None:
        """Export the organizations; raise the first error bare."""
        self.reports.update(self._done())
        await together(
            [partial(self._organization, name) for name in self._orgs if name not in self.reports], at_once=_AT_ONCE
        )
        self._raise_failure()
        if self._refusals and not any(report.kinds for report in self.reports.values()):
            raise self._refusals[0].twin()

    def _raise_failure(self) -> None:
        if self._failures:
            name, error = next(iter(self._failures.items()))
            more = f", nor were {others} others: see the log" if (others := len(self._failures) - 1) else ""
            error.add_note(f"organization {name} was not exported{more}")
            raise error

    def _done(self) -> Mapping[str, ExportReport]:
        """Return the reports of organizations that an interrupted export completed, in as many kinds as asked for."""
        names = {kind.name for kind in self._desk.plan.kinds}
        found = {name: self._begun.done[name] for name in self._orgs if name in self._begun.done}
        return {
            name: evolve(
                report,
                kinds={kind: one for kind, one in report.kinds.items() if kind in names},
                refused={kind: why for kind, why in report.refused.items() if kind in names},
            )
            for name, report in found.items()
            if names <= report.kinds.keys() | report.refused.keys()
        }

    async def _organization(self, name: str) -> None:
        try:
            await self._export(name)
        except TallyfyError as error:
            if not self._is_its_own(name, error):
                raise  # as it would be the same for the others
            logger.error("organization %s cannot be exported, the others go on: %s", name, error)
            self._failures[name] = error.twin()
            await self._leave(name)

    def _is_its_own(self, name: str, error: TallyfyError) -> bool:
        """Whether an error concerns one organization: what is read of it, or a login that no other one has."""
        if isinstance(error, _OF_DATA):
            return True
        return _is_dead_login(error) and self._logins[id(_tokens(self._orgs[name]))] == 1

    async def _export(self, name: str) -> None:
        began, ledger = self._clock.monotonic(), self._desk.clerk.ledger
        if self._access is not None:
            await self._access.prepare([self._orgs[name]])
        states = await self._desk.clerk.do(ledger.open, name)
        walks = [ListWalk(self._desk, name, kind, states[kind.name]) for kind in self._desk.plan.kinds]
        refusals: list[TallyfyError] = []
        await together([partial(self._list, walk, refusals) for walk in walks])
        self.units += sum(walk.units for walk in walks)
        done, refused = await self._desk.clerk.do(ledger.report, name)
        report = ExportReport(
            organization=name,
            kinds=done,
            refused=refused,
            started=self._begun.started,
            seconds=self._clock.monotonic() - began,
            resumed=self._begun.resumed,
        )
        if done or not refused:
            await self._desk.clerk.do(ledger.end, report)
        else:
            await self._leave(name)
        self._refusals.extend(refusals)
        self.reports[name] = report

    async def _leave(self, name: str) -> None:
        """Release what an organization holds in the destination that is tried again by the next export."""
        await self._desk.clerk.do(self._desk.clerk.ledger.leave, name)

    async def _list(self, walk: ListWalk, refusals: list[TallyfyError]) -> None:
        try:
            await walk.run()
        except RefusedError as refused:
            refusals.append(refused.error)
            ledger = self._desk.clerk.ledger
            await self._desk.clerk.do(ledger.refuse, walk.organization, walk.kind, str(refused.error))
            told = FleetProgress(organization=walk.organization, kind=walk.kind.name, rows=0, total=0, done=True)
            await self._desk.tell(told)
