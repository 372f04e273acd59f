"""Jobs on Dask's workers: the outcomes and the report of bulk.run, and no job twice."""

from __future__ import annotations

import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from distributed import Client, LocalCluster
from tenacity import stop_after_attempt

from tallyfy_async import ConfigurationError, Outcome, RetryPolicy, TallyfyError, TransportError, bulk, fleet
from tallyfy_async.fleet import Access
from tallyfy_async.fleet.stations import bare
from tallyfy_async.models import Tag
from tests.fleet.bulk import works
from tests.fleet.export.dask_rig import Rig, rigged
from tests.fleet.export.place import connect, made

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rigged(tmp_path_factory.mktemp("dask") / "tokens") as found:
        yield found


@pytest.fixture(scope="module")
def dask(rig: Rig) -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, threads_per_worker=4, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _titles(rig: Rig) -> list[str]:
    tenant = rig.sandbox.world.tenants[rig.sandbox.credentials.organization]
    return [tag.title for tag in tenant.tags.values()]


@pytest.mark.once
async def test_each_job_has_its_outcome(rig: Rig, dask: Client) -> None:
    before = len(_titles(rig))
    async with rig.client() as tallyfy:
        org = tallyfy.organization()
        jobs: dict[str, Any] = {f"tag {n}": partial(works.tag, title=f"{before} {n}") for n in range(6)}
        jobs |= {"missing": works.missing, "broken": works.broken, "mine": lambda org: org.get()}
        jobs |= {"odd": partial(works.unsendable, title=f"{before} odd")}
        told: list[str] = []
        report = await fleet.bulk(
            jobs,
            organization=org,
            dask=dask,
            access=Access.of(tallyfy),
            on_progress=lambda row, _: told.append(row.key),
        )
        assert [row.key for row in report] == list(jobs)
        assert sorted(told) == sorted(jobs)
        assert all(isinstance(report[f"tag {n}"].result, Tag) for n in range(6))
        found = {key: (report[key].state, report[key].problem.kind) for key in ("missing", "broken", "mine", "odd")}  # type: ignore[union-attr]
        assert found == {
            "missing": (bulk.State.REFUSED, "NotFoundError"),
            "broken": (bulk.State.UNKNOWN, "LookupError"),
            "mine": (bulk.State.REFUSED, "ConfigurationError"),
            "odd": (bulk.State.DONE, "TallyfyError"),
        }
        again = await fleet.bulk(jobs, organization=org, dask=dask, access=Access.of(tallyfy), resume=report)
    assert len(_titles(rig)) == before + 7
    assert again.count(bulk.State.DONE) == 7
    assert bulk.Report.from_json(report.to_json())["tag 1"].reference == report["tag 1"].reference


@pytest.mark.once
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_job_whose_worker_died_is_unknown_and_not_run_again(rig: Rig, dask: Client) -> None:
    jobs = {"dies": partial(works.tag_and_die, title="Once"), "lives": partial(works.tag, title="Twice?")}
    async with rig.client() as tallyfy:
        report = await fleet.bulk(
            jobs, organization=tallyfy.organization(), dask=dask, access=Access.of(tallyfy), concurrency=1
        )
    assert _titles(rig).count("Once") == 1
    assert _titles(rig).count("Twice?") == 1
    assert report["dies"].state is bulk.State.UNKNOWN
    assert report["lives"].state is bulk.State.DONE
    assert report["dies"].problem is not None
    assert report["dies"].problem.kind == "IndeterminateError"


@pytest.mark.once
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_what_ends_otherwise_is_told_for_what_it_is(
    rig: Rig, dask: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_this_process.py").write_text("async def job(org): pass")
    monkeypatch.syspath_prepend(tmp_path)
    jobs: dict[str, Any] = {
        "not there": import_module("of_this_process").job,
        "not sendable": partial(works.tag, title=threading.Lock()),
        "gives up": works.gives_up,
        "late": partial(works.tag, title="Late"),
    }
    async with rig.client() as tallyfy:
        org, access = tallyfy.organization(), Access.of(tallyfy)
        report = await fleet.bulk(jobs, organization=org, dask=dask, access=access)
    found = {row.key: (row.state, row.problem and row.problem.kind) for row in report}
    assert found == {
        "not there": (bulk.State.NOT_RUN, "NotSentError"),
        "not sendable": (bulk.State.REFUSED, "ConfigurationError"),
        "gives up": (bulk.State.UNKNOWN, "IndeterminateError"),
        "late": (bulk.State.DONE, None),
    }


@pytest.mark.once
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_worker_holds_one_client_for_all_jobs(rig: Rig, dask: Client) -> None:
    dask.wait_for_workers(1)  # where another test killed the last one
    [before] = dask.run(works.clients).values()
    retry = RetryPolicy(stop=stop_after_attempt(2))  # which does not equal its own copy
    async with rig.client(retry=retry) as tallyfy:
        jobs = {str(n): works.missing for n in range(3)}
        await fleet.bulk(jobs, organization=tallyfy.organization(), dask=dask, access=Access.of(tallyfy))
    assert [*dask.run(works.clients).values()] == [before + 1]


@pytest.mark.once
@pytest.mark.parametrize(
    "make", [LookupError, TransportError, httpx.ReadError, partial(ExceptionGroup, "of two")], ids=repr
)
def test_an_error_travels_without_what_it_was_raised_from(make: Any) -> None:
    request = httpx.Request("GET", "https://example.com", headers={"Authorization": "Bearer t0ken"})
    inner = httpx.ReadError("lost", request=request)
    error = make([inner]) if isinstance(make, partial) else make("lost")
    error.__cause__, error.__context__ = inner, inner
    sent = pickle.dumps(bare(error))
    assert b"t0ken" not in sent
    assert type(pickle.loads(sent)) in {type(error), TallyfyError}
    told = LookupError("Authorization: Bearer t0ken")
    told.add_note("Bearer t0ken")
    assert b"t0ken" not in pickle.dumps(bare(told))


@pytest.mark.once
def test_an_error_that_cannot_travel_keeps_what_is_known_of_its_effect() -> None:
    class OddError(TransportError):
        outcome = Outcome.NOT_SENT

    class MadeError(Exception):
        def __new__(cls, words: str) -> Self:
            return super().__new__(cls, words)

    for error in (OddError("lost"), MadeError("lost"), KeyError("a", threading.Lock()), OSError(2, "gone", "here")):
        known = bare(error)
        assert getattr(known, "outcome", None) is getattr(error, "outcome", None)
        assert "lost" in str(known) or "KeyError" in str(known) or str(known) == str(error)


async def test_without_dask_the_same_jobs_run_here() -> None:
    sandbox = made(1)

    async def source() -> AsyncIterator[Any]:
        yield "a", partial(works.tag, title="A")
        yield bulk.Job(key="b", work=partial(works.tag, title="B"), mark="b")

    async with connect(sandbox) as tallyfy:
        org = tallyfy.organization()
        for jobs in (source(), [("c", partial(works.tag, title="C"))], iter([("d", works.missing)])):
            report = await fleet.bulk(jobs, organization=org)
            assert len(report) in {1, 2}
        assert report["d"].state is bulk.State.REFUSED
        for wrong in ("abc", 5, [("a", None)], {"a": None}):
            with pytest.raises(ConfigurationError, match="job"):
                await fleet.bulk(wrong, organization=org)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"access=Access\.of"):
            fleet.bulk({}, organization=org, dask=object())  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"tallyfy\.organization"):
            fleet.bulk({}, organization=org.id)  # type: ignore[arg-type]
    titles = {tag.title for tag in sandbox.world.tenants[org.id].tags.values()}
    assert {"A", "B", "C"} <= titles


async def test_a_source_of_jobs_is_closed_when_no_more_are_begun() -> None:
    closed: list[bool] = []

    async def source() -> AsyncIterator[Any]:
        try:
            for name in "abc":
                yield name, works.broken
        finally:
            closed.append(True)

    async with connect(made(1)) as tallyfy:
        report = await fleet.bulk(source(), organization=tallyfy.organization(), stop_on=(LookupError,), concurrency=1)
    assert closed == [True]
    assert [row.key for row in report] == ["a"]
