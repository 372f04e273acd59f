"""Many jobs at once: bounded, an outcome each, nothing that landed forgotten, to be gone on with later.

A row is written down as unknown before its job begins and corrected when it ends, so that a report read at any moment,
also after a cancellation or a crash, never takes for undone what may have landed. The pace is the limiter's: bulk only
bounds how many jobs wait there.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, Generic, TypeAlias, TypeGuard, TypeVar

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled
from attrs import define, field, frozen

from tallyfy_async.engine.arguments import check_number
from tallyfy_async.engine.report import UNDER_WAY, Problem, Report, Row, State, row_of_error, row_of_result
from tallyfy_async.engine.tables import CSVRow, read_csv, read_report, write_csv
from tallyfy_async.errors import ClientClosedError, ClientLoopError, ConfigurationError
from tallyfy_async.telemetry import inform

__all__ = [
    "Bulk",
    "CSVRow",
    "Job",
    "Problem",
    "Report",
    "Row",
    "State",
    "read_csv",
    "read_report",
    "run",
    "write_csv",
]

T = TypeVar("T")
CONCURRENCY = 10
NO_USE = (ClientClosedError, ClientLoopError)
"""Errors after which no job can succeed, whatever it does."""

Work: TypeAlias = Callable[[], Awaitable[T]]
Told: TypeAlias = Callable[[Row[Any], Report[Any]], object]


@frozen(kw_only=True)
class Job(Generic[T]):
    """One thing to do.

    Attributes:
        key: its name in the report.
        work: does it; called without arguments, once.
        mark: what tells it from another job that is later given the same key.

    """

    key: str
    work: Work[T]
    mark: str | None = None


Jobs: TypeAlias = (
    Mapping[str, Work[T]] | Iterable[Job[T] | tuple[str, Work[T]]] | AsyncIterable[Job[T] | tuple[str, Work[T]]]
)


def run(
    jobs: Jobs[T],
    *,
    concurrency: int = CONCURRENCY,
    on_progress: Told | None = None,
    resume: Report[T] | None = None,
    retry_unknown: bool = False,
    stop_on: tuple[type[BaseException], ...] = NO_USE,
) -> Bulk[T]:
    """Return a bulk of jobs; awaiting it runs them and gives the report.

    Args:
        jobs: a mapping of keys and functions without arguments that return awaitables, or pairs of both from any
            iterable or asynchronous iterable. What is no collection is asked for a job only when there is room for it.
        concurrency: how many jobs are under way at once.
        on_progress: called with the row and the report after every row; it may be asynchronous. What it raises is
            logged and ignored.
        resume: the report of an earlier bulk, which is written on. Rows that are done are not run again.
        retry_unknown: whether rows that may have landed are run again.
        stop_on: errors after which no further job is begun; those under way end.

    No job's error is raised: it is in the report. Raises ConfigurationError for wrong arguments, for keys that occur
    twice, and for a key that is done in the earlier report but was another job then; what the source of the jobs
    raises, after the jobs under way have ended.

    """

    async def prepare(_report: Report[Any]) -> Any:
        await checkpoint()
        return jobs

    _check_jobs(jobs)
    return plan(
        prepare,
        concurrency=concurrency,
        on_progress=on_progress,
        resume=resume,
        retry_unknown=retry_unknown,
        stop_on=stop_on,
    )


def plan(
    prepare: Callable[[Report[T]], Awaitable[Any]],
    *,
    concurrency: int,
    on_progress: Told | None,
    resume: Report[T] | None,
    retry_unknown: bool,
    stop_on: tuple[type[BaseException], ...],
) -> Bulk[T]:
    """Return a bulk whose jobs come from ``prepare`` when it is awaited; raise ConfigurationError if wrong."""
    check_number("concurrency", concurrency)
    _check_report(resume)
    report: Report[T] = Report() if resume is None else resume
    return Bulk(report, prepare, concurrency, on_progress, retry_unknown, stop_on)


def _check_report(resume: Any) -> None:
    if not isinstance(resume, Report | None):
        msg = f"resume must be a Report, not {type(resume).__name__}: load it with Report.from_json"
        raise ConfigurationError(msg)


def _check_jobs(jobs: Any) -> None:
    if isinstance(jobs, str | bytes) or not isinstance(jobs, Iterable | AsyncIterable):
        msg = "jobs must be a mapping of keys and functions, or an iterable of pairs of both"
        raise ConfigurationError(msg)


@define(eq=False, repr=False)
class Bulk(Generic[T]):
    """Jobs that are to be run; ``await`` it, once.

    Attributes:
        report: what became of each; readable before, during and after the run, also after a cancellation.

    """

    report: Report[T]
    _prepare: Callable[[Report[T]], Awaitable[Any]]
    _concurrency: int
    _on_progress: Told | None
    _retry_unknown: bool
    _stop_on: tuple[type[BaseException], ...]
    _source: AsyncIterator[Any] | Iterator[Any] = field(factory=lambda: iter(()), init=False)
    _turn: anyio.Lock = field(factory=anyio.Lock, init=False)
    _seen: set[str] = field(factory=set[str], init=False)
    _begun: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)
    _failure: BaseException | None = field(default=None, init=False)

    def __await__(self) -> Generator[Any, Any, Report[T]]:
        return self._run().__await__()

    def __repr__(self) -> str:
        return f"<Bulk {'run' if self._begun else 'not run yet'}: {self.report!r}>"

    async def _run(self) -> Report[T]:
        if self._begun:
            msg = "this bulk was run already: make a new one with resume=bulk.report to go on with it"
            raise ConfigurationError(msg)
        self._begun, self.report.stopped = True, None
        self._open(await self._prepare(self.report))
        try:
            async with anyio.create_task_group() as group:
                for _ in range(self._concurrency):
                    group.start_soon(self._worker)
        finally:
            if (close := getattr(self._source, "aclose", None)) is not None:
                await close()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return self.report

    def _open(self, jobs: Any) -> None:
        """Take hold of the jobs; where all of them are at hand, each gets its row now."""
        if _is_asynchronous(jobs):
            self._source = aiter(jobs)
            return
        entries: Iterable[Any] = jobs.items() if _is_map(jobs) else jobs
        if not isinstance(entries, Collection):
            self._source = iter(entries)
            return
        known = [self._job(entry) for entry in entries]
        for job in known:
            if job.key not in self.report:
                self.report.put(Row(key=job.key, mark=job.mark))
        self._seen.clear()
        self._source = iter(known)

    def _job(self, entry: Any) -> Job[T]:
        """Return a job that may be run under its key; raise ConfigurationError for any other."""
        job: Job[T] = _job_of(entry)
        if job.key in self._seen:
            msg = f"two jobs have the key {job.key!r}"
            raise ConfigurationError(msg)
        self._seen.add(job.key)
        earlier = self.report.get(job.key)
        landed = earlier is not None and earlier.state in {State.DONE, State.UNKNOWN}
        if landed and earlier is not None and None not in (job.mark, earlier.mark) and job.mark != earlier.mark:
            msg = f"{job.key!r} is {earlier.state.value} in the report, but was another job: give jobs keys that stay"
            raise ConfigurationError(msg)
        return job

    async def _worker(self) -> None:
        while (job := await self._next()) is not None:
            await self._perform(job)
            await checkpoint()  # a job need not have awaited anything

    async def _next(self) -> Job[T] | None:
        async with self._turn:
            try:
                while not self._ended:
                    job = self._job(await self._pull())
                    if self._is_due(job.key):
                        return job
            except (StopIteration, StopAsyncIteration):
                self._ended = True
            except Exception as error:  # noqa: BLE001 - raised when those under way have ended
                self._fail(error)
            return None

    async def _pull(self) -> Any:
        if isinstance(self._source, AsyncIterator):
            return await anext(self._source)
        for entry in self._source:
            return entry
        raise StopAsyncIteration

    def _is_due(self, key: str) -> bool:
        row = self.report.get(key)
        return row is None or row.state not in {State.DONE, State.UNKNOWN} or self._is_to_retry(row)

    def _is_to_retry(self, row: Row[T]) -> bool:
        return self._retry_unknown and row.state is State.UNKNOWN

    def _fail(self, error: BaseException) -> None:
        self._ended, self._failure = True, self._failure or error

    async def _perform(self, job: Job[T]) -> None:
        self.report.put(Row(key=job.key, state=State.UNKNOWN, problem=UNDER_WAY, mark=job.mark))
        try:
            row = row_of_result(job.key, await job.work(), job.mark)
        except anyio.get_cancelled_exc_class() as error:
            await checkpoint_if_cancelled()  # where it is not ours, the job cancelled itself and the others go on
            row = row_of_error(job.key, error, job.mark)
        except Exception as error:  # noqa: BLE001 - it is the row's outcome
            row = row_of_error(job.key, error, job.mark)
            self._consider(error)
        except BaseException as error:  # noqa: BLE001 - raised bare when those under way have ended
            self._fail(error)
            return
        self.report.put(row)
        await inform("on_progress", self._on_progress, row, self.report)

    def _consider(self, error: Exception) -> None:
        if isinstance(error, self._stop_on):
            self._ended = True
            self.report.stopped = self.report.stopped or Problem.of(error)


def _is_asynchronous(jobs: Any) -> TypeGuard[AsyncIterable[Any]]:
    return isinstance(jobs, AsyncIterable)


def _is_map(jobs: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(jobs, Mapping)


def _is_job(entry: Any) -> TypeGuard[Job[Any]]:
    return isinstance(entry, Job)


def _is_pair(entry: Any) -> TypeGuard[tuple[str, Work[Any]]]:
    match entry:
        case (str(), work):
            return callable(work)
        case _:
            return False


def _job_of(entry: Any) -> Job[Any]:
    if _is_job(entry):
        return entry
    if not _is_pair(entry):
        msg = "a job must be a pair of a key and a function without arguments: (key, lambda: org.runs.get(key))"
        raise ConfigurationError(msg)
    return Job(key=entry[0], work=entry[1])
