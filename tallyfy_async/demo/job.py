"""What the demo does with the API."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import anyio
from attrs import frozen

from tallyfy_async.auth.grants import PasswordGrant
from tallyfy_async.client import TallyfyClient
from tallyfy_async.demo.tally import Report, Seen, Truth, Watch
from tallyfy_async.engine.pager import Pager
from tallyfy_async.engine.policy import RetryPolicy
from tallyfy_async.errors import ConfigurationError, TallyfyError
from tallyfy_async.models.processes import Task
from tallyfy_async.models.templates import Checklist
from tallyfy_async.organization import Organization
from tallyfy_async.sandbox.settings import Credentials

WIDTH = 8
"""Pages that are fetched ahead, of each list."""

# Bad weather may hit one page several times in a row, and a local server is back sooner than a real one.
_RETRY = RetryPolicy(attempts=10, initial=0.2, maximum=1.0)


@frozen(kw_only=True)
class Listing:
    """One list on its way.

    Attributes:
        name: for the progress bar.
        first: the list with pages of one item, which tells the total cheaply.
        pager: the list.
        seen: what came so far.

    """

    name: str
    first: Pager[Any]
    pager: Pager[Any]
    seen: Seen


class Screen(Protocol):
    """Shows the progress."""

    def reading(self, lists: Sequence[Listing], watch: Watch) -> AbstractContextManager[object]:
        """Show the lists while the context lasts."""
        ...


Look = Callable[[TallyfyClient, str], Awaitable[Truth]]


async def look(client: TallyfyClient, url: str) -> Truth:
    """Ask the sandbox at the base URL ``url`` for the truth, past the client's counters."""
    control = client.with_options(auth="not-needed", base_url=url.removesuffix("/api"), hooks=())
    truth = await control.request("GET", "/_sandbox/truth")
    stats = await control.request("GET", "/_sandbox/stats")
    return Truth.of(truth.payload, stats.payload)


async def on_sandbox(
    url: str, login: Credentials, screen: Screen, *, run_page: int, task_page: int, look: Look = look
) -> Report:
    """Read everything, launch a run, complete a task, and compare with the sandbox's own truth.

    ``run_page`` and ``task_page`` are items per page. Raises TallyfyError and its kinds.
    """
    grant = PasswordGrant(
        client_id=login.client_id,
        client_secret=login.client_secret,
        username=login.username,
        password=login.password,
    )
    watch = Watch()
    async with TallyfyClient(grant, base_url=url, hooks=[watch], retry=_RETRY) as tallyfy:
        org = tallyfy.organization(login.organization)
        started = time.perf_counter()
        runs, tasks, pages = await _read(org, watch, screen, run_page=run_page, task_page=task_page)
        completed = await _launch_and_complete(org, runs, tasks)
        seconds = time.perf_counter() - started
        return Report(
            runs=runs,
            tasks=tasks,
            pages=pages,
            requests=watch.requests,
            retries=watch.retries,
            seconds=seconds,
            launched=1,
            completed=completed,
            truth=await look(tallyfy, url),
        )


async def elsewhere(url: str, token: str, organization: str | None, screen: Screen) -> Report:
    """Read everything from any server, with a personal access token and the largest pages that the lists serve.

    Without ``organization``, the only one of the token's user. Raises TallyfyError and its kinds.
    """
    watch = Watch()
    async with TallyfyClient(token, base_url=url, hooks=[watch]) as tallyfy:
        started = time.perf_counter()
        org = tallyfy.organization(organization or await _only_organization(tallyfy))
        runs, tasks, pages = await _read(org, watch, screen, run_page=None, task_page=None)
        seconds = time.perf_counter() - started
    return Report(runs=runs, tasks=tasks, pages=pages, requests=watch.requests, retries=watch.retries, seconds=seconds)


async def _only_organization(client: TallyfyClient) -> str:
    found = await client.organizations.list().collect()
    if len(found) == 1:
        return found[0].id
    msg = "name one with --organization: this token's user belongs to " + (
        ", ".join(f"{organization.id} ({organization.name})" for organization in found) or "no organization"
    )
    raise ConfigurationError(msg)


async def _read(
    org: Organization, watch: Watch, screen: Screen, *, run_page: int | None, task_page: int | None
) -> tuple[Seen, Seen, int]:
    """Read all runs and all tasks at the same time; return them and the number of pages that it took."""
    lists = (
        Listing(
            name="runs",
            first=org.runs.list(archived="true", per_page=1),
            pager=org.runs.list(archived="true", per_page=run_page),
            seen=Seen(),
        ),
        Listing(
            name="tasks",
            first=org.tasks.list(archived="true", per_page=1),
            pager=org.tasks.list(archived="true", per_page=task_page),
            seen=Seen(),
        ),
    )
    await _together([_announce(listing) for listing in lists])
    before = watch.pages
    with screen.reading(lists, watch):
        await _together([_walk(listing) for listing in lists])
    return lists[0].seen, lists[1].seen, watch.pages - before


def _announce(listing: Listing) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        listing.seen.announced = (await listing.first).total

    return ask


def _walk(listing: Listing) -> Callable[[], Awaitable[None]]:
    async def walk() -> None:
        async with listing.pager.prefetch(WIDTH) as items:
            async for item in items:
                listing.seen.add(item.id)

    return walk


async def _together(jobs: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run jobs at the same time; the first error ends the others and is raised bare."""
    errors: list[TallyfyError] = []

    async def run(job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except TallyfyError as error:
            errors.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(run, job)
    if errors:
        raise errors[0]


async def _launch_and_complete(org: Organization, runs: Seen, tasks: Seen) -> int:
    """Launch a run and complete one of its tasks; note what is new; return the number of tasks completed."""
    template = await _launchable(org)
    run = await org.runs.launch(template.id, name=f"{template.title}, launched by the demo")
    runs.add(run.id)
    new = await org.runs.tasks.list(run.id, with_=["form_fields"]).collect()
    for task in new:
        tasks.add(task.id)
    chosen = next((task for task in new if _completable(task)), None)
    if chosen is None:
        msg = f"the template {template.title!r} has no task that can be completed without answers"
        raise ConfigurationError(msg)
    approval = True if chosen.task_type == "approval" else None
    done = await org.runs.tasks.complete(run.id, chosen.id, is_approved=approval)
    return int(done.status == "completed")


async def _launchable(org: Organization) -> Checklist:
    """Return a template that can be launched without kick-off answers."""
    async for template in org.checklists.list():
        if template.steps_count != 0 and not any(field.required for field in template.prerun or ()):
            return template
    msg = "every template demands kick-off answers"
    raise ConfigurationError(msg)


def _completable(task: Task) -> bool:
    open_ = task.status in {"not-started", "in-progress"} and not task.problem and not task.everyone_must_complete
    return open_ and not any(field.required for field in task.form_fields or ())
