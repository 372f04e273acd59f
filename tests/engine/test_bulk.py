from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from attrs import define, field

from tallyfy_async import errors
from tallyfy_async.engine import bulk
from tallyfy_async.engine.bulk import Job, Report, Row, State
from tallyfy_async.errors import ConfigurationError, Outcome

pytestmark = pytest.mark.anyio


@define
class Works:
    """Jobs that can be counted: what was begun, what landed, how many at once."""

    begun: list[str] = field(factory=list)
    landed: list[str] = field(factory=list)
    now: int = 0
    most: int = 0

    async def do(self, key: str, rounds: int = 2) -> str:
        self.begun.append(key)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            for _ in range(rounds):
                await checkpoint()
            self.landed.append(key)
            for _ in range(rounds):
                await checkpoint()
        finally:
            self.now -= 1
        return key.upper()

    def job(self, key: str, rounds: int = 2) -> tuple[str, Callable[[], Awaitable[str]]]:
        return key, lambda: self.do(key, rounds)

    def jobs(self, count: int) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        return [self.job(f"k{number:02}") for number in range(count)]


def failing(error: BaseException) -> Callable[[], Awaitable[Any]]:
    async def fail() -> None:
        await checkpoint()
        raise error

    return fail


def states(report: Report[Any]) -> dict[str, State]:
    return {row.key: row.state for row in report}


async def test_every_job_gets_its_row_in_order() -> None:
    works = Works()
    report = await bulk.run(works.jobs(20), concurrency=4)
    assert [(row.key, row.state, row.result, row.problem) for row in report] == [
        (f"k{number:02}", State.DONE, f"K{number:02}", None) for number in range(20)
    ]
    assert works.most == 4
    assert report.complete
    assert len(report) == len(report.done) == report.count(State.DONE) == 20
    assert "k03" in report
    assert report["k03"].result == "K03"
    assert repr(report) == "<Report of 20: 20 done, 0 refused, 0 unknown, 0 not run>"


NOT_SENT: list[errors.TallyfyError] = [errors.NotSentError("x"), errors.AuthError("x"), errors.ClientClosedError("x")]
REFUSED: list[Exception] = [
    errors.ValidationError("x", status=422, fields={"name": ["is required", "is wrong"]}),
    errors.RateLimitError("x", status=429),
    ConfigurationError("x"),
    errors.KickoffError("x", fields={"Start": "is required"}),
]
UNKNOWN: list[Exception] = [
    errors.IndeterminateError("x"),
    errors.ServerError("x", status=502),
    errors.PaginationError("x", seen=1),
    ValueError("x"),
    ExceptionGroup("x", [ValueError("y")]),
]
OUTCOMES = [
    *((error, State.NOT_RUN) for error in NOT_SENT),
    *((error, State.REFUSED) for error in REFUSED),
    *((error, State.UNKNOWN) for error in UNKNOWN),
    (errors.DecodeError("x", path="data.id"), State.DONE),
    (errors.DecodeError("x", path="data.id", outcome=Outcome.REFUSED), State.REFUSED),
]


@pytest.mark.parametrize(("error", "state"), OUTCOMES, ids=[f"{type(e).__name__}-{s.value}" for e, s in OUTCOMES])
async def test_an_error_is_an_outcome(error: Exception, state: State) -> None:
    works = Works()
    report = await bulk.run([("bad", failing(error)), works.job("good")], concurrency=1, stop_on=())
    assert states(report) == {"bad": state, "good": State.DONE}
    problem = report["bad"].problem
    assert problem is not None
    assert (problem.kind, str(problem)) == (type(error).__name__, f"{type(error).__name__}: {error}")
    assert report["bad"].result is None


async def test_a_problem_holds_what_the_error_told() -> None:
    error = errors.ValidationError(
        "wrong", status=422, code="E", request_id="r1", fields={"name": ["is required", "is wrong"]}
    )
    error.add_note("Bearer abcdefghijkl was refused")
    report = await bulk.run({"a": failing(error)})
    problem = report["a"].problem
    assert problem is not None
    assert (problem.status, problem.code, problem.request_id) == (422, "E", "r1")
    assert problem.fields == {"name": "is required is wrong"}
    assert "abcdefghijkl" not in problem.message
    assert "Bearer … was refused" in problem.message


async def test_jobs_may_be_a_mapping_pairs_or_asynchronous() -> None:
    works = Works()

    async def later() -> AsyncIterator[Any]:
        for job in works.jobs(3):
            await checkpoint()
            yield job

    sources: list[Any] = [dict(works.jobs(3)), tuple(works.jobs(3)), (job for job in works.jobs(3)), later()]
    sources.append([Job(key=key, work=work) for key, work in works.jobs(3)])
    for source in sources:
        report = await bulk.run(source)
        assert states(report) == dict.fromkeys(["k00", "k01", "k02"], State.DONE)


async def test_a_source_is_asked_only_for_what_there_is_room_for() -> None:
    works, asked = Works(), Counter[str]()

    def source() -> Iterator[Any]:
        for job in works.jobs(10):
            asked["times"] += 1
            assert works.now < 3
            yield job

    report = await bulk.run(source(), concurrency=3)
    assert (asked["times"], len(report.done), works.most) == (10, 10, 3)


async def test_jobs_that_await_nothing_leave_room_for_others() -> None:
    async def at_once() -> int:
        return 1

    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append(report.count(State.DONE))
            await checkpoint()

    work = bulk.run({str(number): at_once for number in range(50)}, concurrency=1)
    report = work.report
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await work
        group.cancel_scope.cancel()
    assert len(set(seen)) > 10


async def test_progress_is_told_after_every_row() -> None:
    told: list[tuple[str, int]] = []

    def plainly(row: Row[str], report: Report[str]) -> None:
        told.append((row.key, report.count(State.DONE)))

    async def with_time(row: Row[str], report: Report[str]) -> None:
        await checkpoint()
        plainly(row, report)

    for hook in (plainly, with_time):
        told.clear()
        await bulk.run(Works().jobs(3), concurrency=1, on_progress=hook)
        assert told == [("k00", 1), ("k01", 2), ("k02", 3)]


async def test_who_watches_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_row: Row[str], _report: Report[str]) -> None:
        raise ValueError("s3cret")

    report = await bulk.run(Works().jobs(3), on_progress=broken)
    assert report.complete
    assert "on_progress raised ValueError and is ignored" in caplog.text
    assert "s3cret" not in caplog.text


async def test_rows_under_way_are_unknown_to_whoever_reads_the_report() -> None:
    seen: list[dict[str, State]] = []
    work: bulk.Bulk[None]

    async def look() -> None:
        saved: Report[Any] = Report.from_json(work.report.to_json())
        seen.append(states(saved))

    work = bulk.run([("a", look), ("b", look)], concurrency=1)
    assert repr(work) == "<Bulk not run yet: <Report of 0: 0 done, 0 refused, 0 unknown, 0 not run>>"
    await work
    assert seen == [{"a": State.UNKNOWN, "b": State.NOT_RUN}, {"a": State.DONE, "b": State.UNKNOWN}]
    assert repr(work).startswith("<Bulk run: ")


def earlier() -> Report[str]:
    return Report.of(
        [
            Row(key="done", state=State.DONE, result="old"),
            Row(key="unknown", state=State.UNKNOWN),
            Row(key="refused", state=State.REFUSED),
            Row(key="not run", state=State.NOT_RUN),
        ]
    )


async def test_what_is_done_is_not_run_again() -> None:
    keys = ["done", "unknown", "refused", "not run", "new"]
    works, report = Works(), earlier()
    assert await bulk.run([works.job(key) for key in keys], resume=report, concurrency=1) is report
    assert works.begun == ["refused", "not run", "new"]
    assert report["done"].result == "old"
    assert states(report) == {**dict.fromkeys(keys, State.DONE), "unknown": State.UNKNOWN}
    assert not report.complete


async def test_what_is_unknown_is_run_again_on_demand_only() -> None:
    works, report = Works(), earlier()
    await bulk.run([works.job(key) for key in ("done", "unknown")], resume=report, retry_unknown=True)
    assert works.begun == ["unknown"]
    assert report["unknown"].state is State.DONE


async def test_a_key_may_not_change_its_job_once_it_may_have_landed() -> None:
    works = Works()
    jobs = [Job(key="a", work=lambda: works.do("a"), mark="new"), Job(key="b", work=lambda: works.do("b"), mark="x")]
    for state in (State.DONE, State.UNKNOWN):
        report: Report[str] = Report.of([Row(key="a", state=state, mark="old")])
        with pytest.raises(ConfigurationError, match=f"'a' is {state.value} in the report, but was another job"):
            await bulk.run(jobs, resume=report)
        assert works.begun == []
    report = Report.of([Row(key="a", state=State.REFUSED, mark="old"), Row(key="b", state=State.DONE)])
    await bulk.run(jobs, resume=report)
    assert works.begun == ["a"]
    assert report["a"].mark == "new"


async def test_two_jobs_of_one_key() -> None:
    works = Works()
    with pytest.raises(ConfigurationError, match="two jobs have the key 'k00'"):
        await bulk.run([*works.jobs(2), works.job("k00")])
    assert works.begun == []
    late = bulk.run(iter([*works.jobs(2), works.job("k00"), works.job("never")]), concurrency=1)
    with pytest.raises(ConfigurationError, match="two jobs have the key 'k00'"):
        await late
    assert states(late.report) == {"k00": State.DONE, "k01": State.DONE}


async def test_a_source_that_fails_lets_the_others_end() -> None:
    works = Works()

    async def source() -> AsyncIterator[Any]:
        for job in works.jobs(3):
            yield job
        raise OSError("gone")

    work = bulk.run(source(), concurrency=2)
    with pytest.raises(OSError, match="gone"):
        await work
    assert states(work.report) == dict.fromkeys(["k00", "k01", "k02"], State.DONE)


async def test_a_hopeless_error_begins_no_more_jobs() -> None:
    works = Works()

    async def closed() -> None:
        while "long" not in works.begun:
            await checkpoint()
        raise errors.ClientClosedError("closed")

    jobs = [*works.jobs(1), ("closed", closed), works.job("long", 9)]
    report = await bulk.run([*jobs, works.job("never")], concurrency=3)
    assert states(report) == {
        "k00": State.DONE,
        "closed": State.NOT_RUN,
        "long": State.DONE,
        "never": State.NOT_RUN,
    }
    assert report.stopped is not None
    assert report.stopped.kind == "ClientClosedError"
    assert repr(report).endswith("; stopped: ClientClosedError>")
    await bulk.run([works.job("closed"), works.job("never")], resume=report)
    assert report.stopped is None
    assert report.complete


async def test_it_stops_on_what_the_caller_says() -> None:
    jobs = [("a", failing(errors.NotFoundError("x", status=404))), Works().job("b")]
    report = await bulk.run(jobs, concurrency=1, stop_on=(errors.APIError,))
    assert states(report) == {"a": State.REFUSED, "b": State.NOT_RUN}


async def test_an_interrupt_is_raised_bare_when_the_others_have_ended() -> None:
    works = Works()

    async def stop() -> None:
        while "other" not in works.begun:
            await checkpoint()
        raise KeyboardInterrupt

    work = bulk.run([("stop", stop), works.job("other", 9), works.job("never")], concurrency=2)
    with pytest.raises(KeyboardInterrupt):
        await work
    assert states(work.report) == {"stop": State.UNKNOWN, "other": State.DONE, "never": State.NOT_RUN}


async def test_it_is_run_once() -> None:
    work = bulk.run(Works().jobs(2))
    await work
    with pytest.raises(ConfigurationError, match=r"resume=bulk\.report"):
        await work


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "3", None])
def test_wrong_concurrency(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="concurrency must be a whole number of at least 1"):
        bulk.run([], concurrency=wrong)


def test_wrong_arguments() -> None:
    for jobs in ("abc", b"abc", 5, None):
        with pytest.raises(ConfigurationError, match="jobs must be a mapping"):
            bulk.run(jobs)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"resume must be a Report, not str: load it with Report\.from_json"):
        bulk.run([], resume="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [("a", 5), (5, print), "ab", ("a",), None, ["a", print, 3]])
async def test_a_wrong_job_is_told_before_any_is_begun(wrong: Any) -> None:
    works = Works()
    with pytest.raises(ConfigurationError, match="a job must be a pair of a key and a function"):
        await bulk.run([*works.jobs(1), wrong])
    assert works.begun == []


async def test_nothing_to_do() -> None:
    report: Report[Any] = await bulk.run([])
    assert len(report) == 0
    assert report.complete


async def by_scope(work: bulk.Bulk[str], step: int) -> bool:
    """Cancel the scope of a bulk after some rounds; tell whether it was under way then."""
    under_way = False
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def fire() -> None:
            nonlocal under_way
            for _ in range(step):
                await checkpoint()
            under_way = True
            scope.cancel()

        group.start_soon(fire)
        with scope:
            await work
        group.cancel_scope.cancel()
    return under_way


async def by_task(work: bulk.Bulk[str], step: int) -> bool:
    """Cancel the task of a bulk after some rounds of the event loop; tell whether it was under way then."""

    async def run() -> Report[str]:
        return await work

    task = asyncio.create_task(run())
    for _ in range(step):
        await asyncio.sleep(0)
    under_way = task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return under_way


async def sweep(cut: Callable[[bulk.Bulk[str], int], Awaitable[bool]], source: Callable[[list[Any]], Any]) -> None:
    """Cut a bulk at every step: what landed is written down, and going on does nothing twice."""
    for step in range(400):
        works = Works()

        async def watch(_row: Row[str], _report: Report[str]) -> None:
            await checkpoint()

        work = bulk.run(source(works.jobs(7)), concurrency=3, on_progress=watch)
        under_way = await cut(work, step)
        assert works.now == 0
        found = states(work.report)
        assert all(found[key] in {State.DONE, State.UNKNOWN} for key in works.begun)
        assert all(state is State.NOT_RUN for key, state in found.items() if key not in works.begun)
        assert {key for key, state in found.items() if state is State.DONE} <= set(works.landed)
        saved: Report[str] = Report.from_json(work.report.to_json())
        assert states(saved) == found
        await bulk.run(works.jobs(7), resume=saved, concurrency=3)
        assert max(Counter(works.landed).values()) == 1
        assert {row.key for row in saved.unknown} == {key for key, state in found.items() if state is State.UNKNOWN}
        await bulk.run(works.jobs(7), resume=saved, retry_unknown=True)
        assert saved.complete
        assert set(works.landed) == {f"k{number:02}" for number in range(7)}
        if not under_way:
            assert step > 8
            return
    pytest.fail("it never ended by itself")


async def slowly(jobs: list[Any]) -> AsyncIterator[Any]:
    for job in jobs:
        await checkpoint()
        yield job


@pytest.mark.parametrize("source", [list, iter, slowly])
async def test_a_cancellation_at_any_moment_forgets_nothing(source: Any) -> None:
    await sweep(by_scope, source)


@pytest.mark.parametrize("source", [list, iter, slowly])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_native_cancellation_at_any_moment_forgets_nothing(source: Any) -> None:
    await sweep(by_task, source)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_job_that_cancels_itself_ends_alone() -> None:
    works = Works()
    jobs = [("odd", failing(asyncio.CancelledError())), *works.jobs(3)]
    report = await bulk.run(jobs, concurrency=1)
    assert states(report) == {"odd": State.UNKNOWN, **dict.fromkeys(["k00", "k01", "k02"], State.DONE)}
