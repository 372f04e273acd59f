"""Lists of tasks, read from the benchmark server by the package and by the official ``tallyfy``, and checked.

Both give models. The package reads ``tasks``, the official SDK asks for the pages of ``get_my_tasks`` one after
another, which is the only way that it has. A walk fails unless every task came once, in order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import anyio

from benchmarks.harness import RowError, peer
from benchmarks.payload import PER_PAGE, task_id
from tallyfy_async import Pager, TallyfyClient
from tallyfy_async.models import Task

ORGANIZATION = "f1e2d3c4b5a697887766554433221100"
TOKEN = "a" * 900
"""As long as what Passport sends."""


def tasks_of(client: TallyfyClient) -> Pager[Task]:
    """Return the list that the server has."""
    return client.organization(ORGANIZATION).tasks.list()


def read(url: str, window: int) -> int:
    """Read every task below a base URL, with so many pages ahead, 0 for one after another; return how many came."""
    return anyio.run(_read, url, window)


async def _read(url: str, window: int) -> int:
    async with TallyfyClient(TOKEN, base_url=url) as client:
        return await walk(client, window)


async def walk(client: TallyfyClient, window: int) -> int:
    """Read every task, with so many pages ahead, 0 for one after another; return how many came."""
    if not window:
        return await _drain(aiter(tasks_of(client)))
    async with tasks_of(client).prefetch(window) as tasks:
        return await _drain(tasks)


async def _drain(tasks: AsyncIterator[Task]) -> int:
    """Take every task, check it, and return how many came."""
    seen = 0
    async for task in tasks:
        check(task.id, seen)
        seen += 1
    return seen


def read_officially(url: str) -> int:
    """Read every task below a base URL with the official SDK; return how many came."""
    seen = 0
    for page in official_pages(url):
        for task in page:
            check(task.id, seen)
            seen += 1
    return seen


def official_pages(url: str) -> Iterator[list[Any]]:
    """Give the pages of the official SDK's models, as many as the server says that there are."""
    sdk = peer("tallyfy").TallyfySDK(api_key=TOKEN, base_url=url)
    with closing(sdk.session):
        number, last = 1, 1
        while number <= last:
            page = sdk.tasks.get_my_tasks(ORGANIZATION, page=number, per_page=PER_PAGE)
            number, last = number + 1, page.meta.total_pages
            yield page.data


def check(found: str | None, index: int) -> None:
    """Raise RowError unless this is the id of the task at an index of the list."""
    if found != task_id(index):
        msg = f"task {index} is not the one that was served"
        raise RowError(msg)


def check_all(seen: int, pages: int) -> None:
    """Raise RowError unless as many tasks came as so many pages have."""
    if seen != pages * PER_PAGE:
        msg = f"{seen} tasks of {pages * PER_PAGE}"
        raise RowError(msg)
