"""A sandbox with many small pages, the two kinds of target, and what each holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tallyfy_async import NotFoundError, Organization, TallyfyClient, export
from tallyfy_async.export import ExportReport
from tallyfy_async.sandbox import Fault, Sandbox, Settings

ROUTES = {
    "users": "users?with=groups",
    "guests": "guests",
    "groups": "groups",
    "roles": "roles",
    "tags": "tags?all=true",
    "custom_fields": "custom-field-keys",
    "checklist_folders": "folders?folder_type=checklist",
    "run_folders": "folders?folder_type=run",
    "checklists": "checklists?archived=true&with=steps,tags",
    "runs": "runs?archived=true&with=tags,folders,assets",
    "tasks": "tasks?archived=true&with=form_fields,threads,tags,assets,summary",
}
World = dict[str, dict[str, Any]]
"""Kind -> id -> JSON."""
SMALL = {"list_tasks": (10, 10), "list_runs": (6, 6), "list_checklists": (2, 2), "list_users": (3, 3)}


def made(**settings: Any) -> Sandbox:
    sizes: dict[str, Any] = {"templates": 4, "runs": 20, "tasks": 90, "users": 5, "record": True, "page_sizes": SMALL}
    return Sandbox(Settings(**{**sizes, **settings}))


async def world_of(tallyfy: TallyfyClient) -> World:
    """Read everything without the code under test: page by page, with plain requests."""
    org = tallyfy.organization()
    whole = (await tallyfy.request("GET", f"organizations/{org.id}")).data
    world: World = {"organization": {whole["id"]: whole}}
    for kind, route in ROUTES.items():
        path, _, query = route.partition("?")
        params = dict(pair.split("=") for pair in query.split("&")) if query else {}
        world[kind] = {}
        number, last = 0, 1
        while number < last:
            number += 1
            reply = await tallyfy.request("GET", f"organizations/{org.id}/{path}", params={**params, "page": number})
            last = reply.meta["pagination"]["total_pages"] if reply.meta else 1
            world[kind].update((str(row["email" if kind == "guests" else "id"]), row) for row in reply.data)
    return world


@frozen(kw_only=True)
class Place:
    """A target in a directory of the test."""

    path: Path
    is_file: bool

    async def export(self, org: Organization, **wishes: Any) -> ExportReport:
        return await (export.to_sqlite if self.is_file else export.to_ndjson)(org, self.path, **wishes)

    def rows(self) -> Iterator[tuple[str, str, Any]]:
        """Give kind, id and JSON of every row."""
        yield from self._sqlite() if self.is_file else self._ndjson()

    def world(self) -> World:
        """Return what the target holds; no id is there twice."""
        world: World = {}
        for kind, key, data in self.rows():
            assert key not in world.setdefault(kind, {})
            world[kind][key] = data
        return world

    def _sqlite(self) -> Iterator[tuple[str, str, Any]]:
        with closing(sqlite3.connect(self.path)) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                if not name.startswith("export_"):
                    for key, text in database.execute(f'SELECT id, json FROM "{name}"'):
                        yield name, key, json.loads(text)

    def _ndjson(self) -> Iterator[tuple[str, str, Any]]:
        for file in self.path.glob("*.ndjson"):
            for line in file.read_bytes().splitlines():
                data = json.loads(line)
                yield file.stem, str(data["email" if file.stem == "guests" else "id"]), data


async def interrupted(place: Place, org: Organization, sandbox: Sandbox, kind: str, **wishes: Any) -> None:
    """Export a list that ends in an error after some pages; the next export meets none."""
    after = {"runs": 2, "tasks": 3}[kind]
    gone = {"message": "Gone."}
    sandbox.faults.add(Fault(operation=f"list_{kind}", after=after, status=404, body=gone, times=None))
    with pytest.raises(NotFoundError):
        await place.export(org, kinds=[kind], **wishes)
    sandbox.faults.clear()


async def remove(org: Organization, run_id: str) -> None:
    """Delete a run, which has to be archived for that."""
    await org.runs.archive(run_id)
    await org.runs.delete(run_id)
