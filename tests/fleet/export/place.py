"""A realm of three small organizations, the destinations, and what each holds of one organization."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
from attrs import frozen

from benchmarks.fleet.realm import grants, realm
from tallyfy_async import Organization, TallyfyClient, fleet
from tallyfy_async.fleet import FleetReport
from tallyfy_async.sandbox import Sandbox
from tests.export.place import Place as Plain
from tests.export.place import World, world_of
from tests.helpers import connect as connect_alone

SMALL = {"list_tasks": (6, 6), "list_runs": (3, 3), "list_checklists": (2, 2)}
SIZES: dict[str, Any] = {"templates": 3, "runs": 12, "tasks": 40, "users": 4, "record": True, "page_sizes": SMALL}


def made(organizations: int = 3, **settings: Any) -> Sandbox:
    return realm(organizations, **{**SIZES, **settings})


def connect(sandbox: Sandbox, **settings: Any) -> TallyfyClient:
    """Return a client with a credential for each organization."""
    found = grants(sandbox)
    return connect_alone(sandbox, organizations=found, **settings)


def orgs_of(sandbox: Sandbox, tallyfy: TallyfyClient) -> list[Organization]:
    return [tallyfy.organization(organization) for organization in sandbox.credentials.organizations]


@frozen(kw_only=True)
class Place:
    """A destination."""

    to: Any
    name: str

    async def export(self, orgs: list[Organization], **wishes: Any) -> FleetReport:
        return await fleet.export(orgs, to=self.to, **{"pages": 2, **wishes})

    def files(self) -> list[Path]:
        """Return all files of the organizations."""
        return [*self.to.path.glob("*/*")]

    def world(self, organization: str) -> World:
        """Return what is there of an organization; no id is there twice."""
        if self.name in {"ndjson", "sqlite"}:
            path = self.to.path / (f"{organization}.db" if self.name == "sqlite" else organization)
            return Plain(path=path, is_file=self.name == "sqlite").world() if path.exists() else {}
        world: World = {}
        for kind, key, text in self._rows(organization):
            assert key not in world.setdefault(kind, {})
            world[kind][key] = json.loads(text)
        return world

    def _rows(self, organization: str) -> Iterator[tuple[str, str, str]]:
        yield from self._parquet(organization) if self.name == "parquet" else self._postgres(organization)

    def _parquet(self, organization: str) -> Iterator[tuple[str, str, str]]:
        from pyarrow.parquet import read_table

        for file in sorted((self.to.path / organization).glob("*.parquet")):
            table = read_table(file)
            for key, text in zip(table["id"].to_pylist(), table["json"].to_pylist(), strict=True):
                yield file.stem, key, text

    def _postgres(self, organization: str) -> Iterator[tuple[str, str, str]]:
        import psycopg

        with psycopg.connect(self.to.address) as connection:
            found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [self.to.schema])
            for (name,) in found.fetchall():
                if not name.startswith("export_"):
                    rows = connection.execute(
                        f'SELECT id, json::text FROM "{self.to.schema}"."{name}" WHERE organization = %s',  # type: ignore[arg-type]
                        [organization],
                    )
                    yield from ((name, key, text) for key, text in rows)


def files(name: str, path: Path) -> Place:
    kinds = {"ndjson": fleet.NDJSON, "sqlite": fleet.SQLite, "parquet": fleet.Parquet}
    return Place(to=kinds[name](path), name=name)


def truth(sandbox: Sandbox) -> World:
    """Return the first organization as plain requests read it."""

    async def ask() -> World:
        async with connect_alone(sandbox) as tallyfy:
            return await world_of(tallyfy)

    return anyio.run(ask)
