"""Many jobs at once on Dask's workers, with the outcomes and the report of ``tallyfy_async.bulk``.

Dask runs a task again whose worker died, and a write must not be sent twice. So each job has a claim at the scheduler
that can be taken once: whoever comes later tells that the job may have landed.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, TypeVar

from tallyfy_async.engine import bulk as engine
from tallyfy_async.engine.bulk import CONCURRENCY, NO_USE, Bulk, Job, Report, Told
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.fleet.access import Access
from tallyfy_async.organization import Organization

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
Work: TypeAlias = Callable[[Organization], Awaitable[T]]
Jobs: TypeAlias = Mapping[str, Work[Any]] | Iterable[Any] | AsyncIterable[Any]
_Call: TypeAlias = Callable[[Any], Awaitable[Any]]


def bulk(
    jobs: Jobs,
    *,
    organization: Organization,
    dask: Client | None = None,
    access: Access | None = None,
    concurrency: int = CONCURRENCY,
    on_progress: Told | None = None,
    resume: Report[Any] | None = None,
    retry_unknown: bool = False,
    stop_on: tuple[type[BaseException], ...] = NO_USE,
) -> Bulk[Any]:
    """Return a bulk of jobs in an organization; awaiting it runs them, on Dask's workers where ``dask`` is given.

    Args:
        jobs: what ``bulk.run`` takes, but each work is called with the organization. Workers get it by pickle, so it
            must be a function that they can import, or a ``functools.partial`` of one with keyword arguments:
            ``{"ada": partial(launch, name="Ada")}`` for ``async def launch(org, name)``. What it returns travels back.
        organization: the organization; each worker has its own client of it.
        dask: a ``distributed.Client``; None for this event loop.
        access: how workers log in, ``Access.of(tallyfy)``; needed with ``dask``.
        concurrency: jobs under way at once; workers run one for each of their threads.
        on_progress: that of ``bulk.run``.
        resume: that of ``bulk.run``.
        retry_unknown: that of ``bulk.run``.
        stop_on: that of ``bulk.run``.

    A job whose worker died under it is unknown, not run again: it may have landed. Raises ConfigurationError for wrong
    arguments, and what ``bulk.run`` raises.
    """
    calls = _each(jobs, _call(organization, dask, access))
    return engine.run(
        calls,
        concurrency=concurrency,
        on_progress=on_progress,
        resume=resume,
        retry_unknown=retry_unknown,
        stop_on=stop_on,
    )


def _call(organization: Any, dask: Client | None, access: Any) -> _Call:
    """Return what runs a work."""
    if not isinstance(organization, Organization):
        msg = f"organization must be what tallyfy.organization(id) returns, not {type(organization).__name__}"
        raise ConfigurationError(msg)
    if dask is None:
        return partial(_here, organization)
    if not isinstance(access, Access):
        msg = "with dask, say how its workers log in: access=Access.of(tallyfy)"
        raise ConfigurationError(msg)
    from tallyfy_async.fleet.dask_jobs import JobCrew  # noqa: PLC0415 - an extra

    return JobCrew.of(dask, access, organization).run


async def _here(organization: Organization, work: Work[Any]) -> Any:
    return await work(organization)


def _is_map(jobs: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(jobs, Mapping)


def _is_asynchronous(jobs: Any) -> TypeGuard[AsyncIterable[Any]]:
    return isinstance(jobs, AsyncIterable)


def _is_collection(jobs: Any) -> TypeGuard[Collection[Any]]:
    return isinstance(jobs, Collection)


def _is_iterable(jobs: Any) -> TypeGuard[Iterable[Any]]:
    return isinstance(jobs, Iterable)


def _is_job(entry: Any) -> TypeGuard[Job[Any]]:
    return isinstance(entry, Job)


def _each(jobs: Any, call: _Call) -> Any:
    """Return jobs whose works go through ``call``; what is no job is left for bulk to refuse."""
    if isinstance(jobs, str | bytes):
        return jobs
    if _is_map(jobs):
        return [_one(entry, call) for entry in jobs.items()]
    if _is_asynchronous(jobs):
        return _each_later(jobs, call)
    if _is_collection(jobs):
        return [_one(entry, call) for entry in jobs]
    return (_one(entry, call) for entry in jobs) if _is_iterable(jobs) else jobs


async def _each_later(jobs: AsyncIterable[Any], call: _Call) -> AsyncIterator[Any]:
    source = aiter(jobs)
    try:
        async for entry in source:
            yield _one(entry, call)
    finally:
        if (close := getattr(source, "aclose", None)) is not None:
            await close()


def _one(entry: Any, call: _Call) -> Any:
    if _is_job(entry):
        return Job(key=entry.key, work=partial(call, entry.work), mark=entry.mark)
    match entry:
        case (str() as key, work) if callable(work):
            return key, partial(call, work)
        case _:
            return entry
