"""The destinations that need a server or a format of their own: the same main job."""

from __future__ import annotations

from pathlib import Path

import anyio
import psycopg
import pytest

from tallyfy_async import ConfigurationError, ServerError
from tallyfy_async.fleet import FleetProgress
from tallyfy_async.sandbox import Fault
from tests.export.place import world_of
from tests.fleet.export.place import Place, connect, files, made, orgs_of
from tests.fleet.export.test_fleet_export import change

pytestmark = [pytest.mark.anyio, pytest.mark.once]


async def through(place: Place) -> None:
    """Break off, cancel, complete, change, repeat: in the end everything is there once."""
    sandbox = made(2)
    sandbox.faults.add(Fault(operation="list_tasks", after=3, status=500, body={"message": "Oops."}, times=None))
    async with connect(sandbox, retry=0) as tallyfy:
        orgs = orgs_of(sandbox, tallyfy)
        with pytest.raises(ServerError):
            await place.export(orgs, pages=1)
        sandbox.faults.clear()
        left = [20]
        with anyio.CancelScope() as scope:

            def stop(_: FleetProgress) -> None:
                left[0] -= 1
                if not left[0]:
                    scope.cancel()

            await place.export(orgs, pages=1, progress=stop)
        assert scope.cancelled_caught
        first = await place.export(orgs, pages=1)
        assert first.resumed
        assert place.world(orgs[0].id) == await world_of(tallyfy)
        await change(orgs[0])
        second = await place.export(orgs)
        assert place.world(orgs[0].id) == await world_of(tallyfy)
        assert place.world(orgs[1].id)["tasks"].keys() == set(sandbox.truth(orgs[1].id)["tasks"])
        third = await place.export(orgs, since=second.started)
    kinds = second.organizations[orgs[0].id].kinds
    assert (kinds["runs"].removed, kinds["tags"].written, kinds["users"].written) == (1, 1, 0)
    assert second.organizations[orgs[1].id].written == 0
    assert (third.written, third.removed, third.rows) == (0, 0, second.rows)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_parquet(tmp_path: Path) -> None:
    place = files("parquet", tmp_path / "fleet")
    await through(place)
    names = {one.suffix for one in place.files()}
    assert ".parquet" in names
    assert not names & {".ndjson", ".part", ".new"}


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_postgres(schema: Place) -> None:
    await through(schema)
    with psycopg.connect(schema.to.address) as connection:
        for table in ("export_units", "export_seen"):
            assert connection.execute(f"SELECT count(*) FROM {schema.to.schema}.{table}").fetchone() == (0,)  # type: ignore[arg-type]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_postgres_holds_odd_texts(schema: Place) -> None:
    sandbox = made(1)
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    tag = next(iter(tenant.tags.values()))
    tag.title = 'NUL \0, half \ud83d, tab \t, \\N, \u2028 and "quotes"'
    async with connect(sandbox) as tallyfy:
        await schema.export([tallyfy.organization()], kinds=["tags"])
        again = await schema.export([tallyfy.organization()], kinds=["tags"])
    assert schema.world(tenant.id)["tags"][tag.id]["title"] == tag.title
    assert again.written == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_schema_of_something_else_is_refused(schema: Place) -> None:
    name = schema.to.schema
    with psycopg.connect(schema.to.address) as connection:
        connection.execute(f"CREATE SCHEMA {name} CREATE TABLE tags (id int)")  # type: ignore[arg-type]
    sandbox = made(1)
    async with connect(sandbox) as tallyfy:
        with pytest.raises(ConfigurationError, match="something else"):
            await schema.export([tallyfy.organization()])
