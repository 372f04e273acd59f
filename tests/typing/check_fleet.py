"""The fleet's public API as type checkers see it: checked by mypy --strict and pyright strict, never run."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, assert_type

from distributed import Client

from tallyfy_async import Organization, RateLimit, TallyfyClient, bulk, fleet
from tallyfy_async.fleet import Access, FleetProgress, FleetReport, RedisLimiter


async def launch(org: Organization, name: str) -> str:
    return (await org.runs.launch("0" * 32, name=name)).id


def told(progress: FleetProgress) -> None:
    assert_type((progress.organization, progress.kind, progress.rows), tuple[str, str, int])
    assert_type(progress.total, int | None)


async def told_later(progress: FleetProgress) -> None:
    assert_type(progress.done, bool)


async def exports(tallyfy: TallyfyClient, dask: Client, since: datetime) -> None:
    orgs = [tallyfy.organization()]
    report = await fleet.export(orgs, to=fleet.NDJSON("out"), progress=told, since=since)
    assert_type(report, FleetReport)
    assert_type((report.rows, report.written, report.removed), tuple[int, int, int])
    assert_type(report.started, datetime)
    access = Access.of(tallyfy, limiter="redis://host/0", per_user=RateLimit(per_minute=600, burst=10), processes=4)
    assert_type(access, Access)
    for to in (fleet.SQLite("out"), fleet.Parquet("out"), fleet.PostgreSQL("postgresql://host/db", schema="tallyfy")):
        await fleet.export(iter(orgs), to=to, dask=dask, access=access, kinds=["tasks"], progress=told_later)
    await fleet.export(orgs, to="out")  # type: ignore[arg-type]
    await fleet.export(orgs, fleet.NDJSON("out"))  # type: ignore[call-arg]


async def names() -> AsyncIterator[tuple[str, Any]]:
    yield "ada", partial(launch, name="Ada")


async def launches(org: Organization, dask: Client, access: Access) -> None:
    jobs: Mapping[str, Any] = {"ada": partial(launch, name="Ada")}
    several = fleet.bulk(jobs, organization=org, dask=dask, access=access, concurrency=4)
    assert_type(several, bulk.Bulk[Any])
    report = await several
    assert_type(report, bulk.Report[Any])
    assert_type(report.complete, bool)
    await fleet.bulk(names(), organization=org)
    fleet.bulk(jobs)  # type: ignore[call-arg]


async def paces(tallyfy_token: str) -> None:
    async with RedisLimiter("redis://host/0", per_user=RateLimit(per_minute=600), at_once=50) as limiter:
        assert_type(limiter, RedisLimiter)
        assert_type((limiter.processes, limiter.away), tuple[int, bool])
        async with TallyfyClient(tallyfy_token, limiter=limiter) as tallyfy:
            assert_type(tallyfy, TallyfyClient)
    RedisLimiter("redis://host/0", rate=600)  # type: ignore[call-arg]
