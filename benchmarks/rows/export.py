"""A whole organization over a line of 50 ms: the export, against the official SDK, which reads it one after another.

The organization is that of a sandbox in another process: 100 runs, 1,500 tasks, everything that belongs to them. Ours
counts from before the client is made to after the SQLite file is closed. The official SDK has no list of all tasks, so
it reads those of each run, and the steps of each template; what it reads is not even written. It hardly varies, so two
rounds are enough. As information: the export's own requests, sent one after another through the official SDK, and the
export of what did not change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import anyio
from attrs import frozen

from benchmarks.harness import Goal, Line, RowError, alternate, line_of, peer, running
from tallyfy_async import TallyfyClient, export
from tallyfy_async.export.kinds import KINDS

_DELAY = 0.05
_RUNS, _TASKS = 100, 1_500
_INCLUDES = "form_fields,threads,tags,assets,summary"


@frozen(kw_only=True)
class Place:
    """Where the organization is."""

    url: str
    token: str
    organization: str


def _rate(work: Callable[[], int], wanted: int) -> float:
    """Return how often a minute so many tasks, and all the rest, are read."""
    started = perf_counter()
    if (seen := work()) != wanted:
        msg = f"{seen} tasks of {wanted}"
        raise RowError(msg)
    return 60 / (perf_counter() - started)


def ours(place: Place, file: str) -> int:
    """Export to a file; return how many tasks are in it."""
    return anyio.run(_export, place, file)


async def _export(place: Place, file: str) -> int:
    async with TallyfyClient(place.token, base_url=place.url) as client:
        report = await export.to_sqlite(client.organization(place.organization), file)
    return report.kinds["tasks"].rows


def afresh(place: Place) -> int:
    """Export to a new file."""
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        return ours(place, str(Path(folder, "organization.db")))


def officially(place: Place) -> int:
    """Read everything with the methods of the official SDK; return how many tasks of runs came."""
    sdk, org = peer("tallyfy").TallyfySDK(api_key=place.token, base_url=place.url), place.organization
    with closing(sdk.session):
        sdk.organizations.get_organization(org)
        sdk.users.get_organization_users(org, with_groups=True)
        sdk.users.get_organization_guests(org)
        sdk.groups.get_groups(org)
        sdk.tags.get_tags(org)
        for tree in ("checklist", "run"):
            sdk.folders.get_folders(org, folder_type=tree)
        for template in sdk.templates.get_all_templates(org).data:
            sdk.templates.get_template_steps(org, template.id)
        runs = _pages(partial(sdk.tasks.get_organization_runs, org, archived="true", with_data="tags,folders,assets"))
        read = sdk.tasks.get_tasks_for_process
        return sum(len(_pages(partial(read, org, process_id=run.id, with_=_INCLUDES))) for run in runs)


def _pages(read: Callable[..., Any]) -> list[Any]:
    rows: list[Any] = []
    number, last = 1, 1
    while number <= last:
        page = read(page=number)
        rows += page.data
        number, last = number + 1, page.meta.total_pages
    return rows


def in_turn(place: Place) -> int:
    """Send the export's own requests one after another, through the official SDK; return how many tasks came."""
    sdk, seen = peer("tallyfy").TallyfySDK(api_key=place.token, base_url=place.url), 0
    with closing(sdk.session):
        for kind in KINDS:
            path = kind.operation.path.strip("/").format(org=place.organization)
            paged = kind.operation.max_per_page is not None
            number, last = 1, 1
            while number <= last:
                sent = {**kind.query, "page": number, "per_page": 100} if paged else kind.query
                reply = sdk._make_request("GET", path, params=sent)  # noqa: SLF001 - it has no public way to do that
                last = reply["meta"]["pagination"]["total_pages"] if paged else 1
                seen += len(reply["data"]) if kind.name == "tasks" else 0
                number += 1
    return seen


def measure(rounds: int) -> Iterator[Line]:
    """Measure an export, the official SDK, its requests one after another, and an export of what is there already."""
    words = ("--latency", str(_DELAY), "--runs", str(_RUNS), "--tasks", str(_TASKS))
    with running("tallyfy_async.sandbox", *words) as process, TemporaryDirectory(prefix="benchmarks-") as folder:
        told = json.loads(line_of(process))
        place = Place(url=told["url"], token=told["personal_token"], organization=told["organization"])
        of_runs = officially(place)  # the one-off tasks are out of its reach
        kept = partial(ours, place, str(Path(folder, "kept.db")))
        new, again, official, turns = alternate(
            min(rounds, 2),
            partial(_rate, partial(afresh, place), _TASKS),
            partial(_rate, kept, _TASKS),
            partial(_rate, partial(officially, place), of_runs),
            partial(_rate, partial(in_turn, place), _TASKS),
        )
    case = f"an organization of {_TASKS:,} tasks at {_DELAY * 1e3:.0f} ms"
    line = partial(Line, row="export", unit="a minute", best=max)
    yield line(case=f"{case}, against the official SDK", ours=new, peer=official, goal=Goal(5, ">=", stretch=8))
    yield line(case=f"{case}, against the same requests one after another", ours=new, peer=turns)
    yield line(case=f"{case}, again and unchanged, against the first time", ours=again, peer=new)
