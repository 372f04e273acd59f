"""What jobs do; workers import it."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import anyio

from tallyfy_async import Organization
from tallyfy_async.fleet.stations import Station
from tallyfy_async.models import Run, Tag


async def tag(org: Organization, *, title: str) -> Tag:
    return await org.tags.create(title=title, color="#ffffff")


async def launch(org: Organization, *, checklist: str, name: str) -> Run:
    return await org.runs.launch(checklist, name=name)


async def missing(org: Organization) -> Any:
    return await org.tags.get("0" * 32)


async def broken(org: Organization) -> None:
    raise LookupError(f"nothing in {org.id[:0]}here")


async def unsendable(org: Organization, *, title: str) -> Any:
    await tag(org, title=title)
    return threading.Lock()


async def tag_and_die(org: Organization, *, title: str) -> None:
    await tag(org, title=title)
    os.kill(os.getpid(), signal.SIGKILL)


async def gives_up(org: Organization) -> None:
    raise anyio.get_cancelled_exc_class()


def clients(dask_worker: Any) -> int:
    """Return how many clients a worker holds."""
    return sum(isinstance(plugin, Station) for plugin in dask_worker.plugins.values())
