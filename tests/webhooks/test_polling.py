"""Finding what delivery missed, and the whole loop against the sandbox: complete a task, the handler hears of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tallyfy_async import ConfigurationError, Organization
from tallyfy_async.models import Run, Task
from tallyfy_async.protocol.converter import structure
from tallyfy_async.testing import connect
from tallyfy_async.webhooks import (
    AnyEvent,
    Dispatcher,
    MemoryDedupe,
    OrganizationEvent,
    ProcessCompleted,
    ProcessLaunched,
    SenderCheck,
    TaskCompleted,
    Verdict,
    WebhookApp,
    catch_up,
    dedupe_key,
    parse_event,
)
from tallyfy_async.webhooks.polling import run_payload, task_payload
from tests.helpers import small_sandbox, until
from tests.webhooks.samples import ORGANIZATION
from tests.webhooks.served import served

pytestmark = pytest.mark.anyio


class Work:
    """An organization of a sandbox, and a dispatcher that keeps what it hears of."""

    def __init__(self, sandbox: Any, org: Organization) -> None:
        self.sandbox, self.org = sandbox, org
        self.tenant = sandbox.world.tenants[org.id]
        self.template = ""
        self.dispatcher = Dispatcher()
        self.heard: list[AnyEvent] = []

        @self.dispatcher.on.any(name="keep")
        async def keep(event: AnyEvent) -> None:
            self.heard.append(event)

    async def build(self, title: str = "Loop") -> str:
        """Make a template of three steps."""
        made = await self.org.checklists.create(title=title, type="procedure")
        for step in ("A", "B", "C"):
            await self.org.checklists.steps.create(made.id, title=step)
        return made.id

    async def finish(self, run_id: str) -> int:
        """Complete the tasks of a run; return how many there were."""
        done = 0
        for task in self.tenant.tasks_of(self.tenant.runs[run_id]):
            if task.is_open:
                done += 1
                await self.org.runs.tasks.complete(run_id, task.id)
        return done


@asynccontextmanager
async def work(*, socket: bool = False) -> AsyncIterator[Work]:
    sandbox = small_sandbox()
    if socket:
        with sandbox.serve():
            async with built(sandbox) as at:
                yield at
    else:
        async with built(sandbox) as at:
            yield at


@asynccontextmanager
async def built(sandbox: Any) -> AsyncIterator[Work]:
    async with connect(sandbox) as client:
        at = Work(sandbox, client.organization())
        at.template = await at.build()
        yield at


def now() -> datetime:
    return datetime.now(UTC)


async def test_launches_and_completions_are_found_once_and_in_order() -> None:
    async with work() as at:
        began = now()
        run = await at.org.runs.launch(at.template, name="Found")
        done = await at.finish(run.id)
        assert done
        found = await catch_up(at.org, at.dispatcher, began)
        mine = [event for event in at.heard if getattr(event, "process_id", None) == run.id]
        kinds = [type(event) for event in mine]
        assert kinds == [ProcessLaunched, *[TaskCompleted] * done, ProcessCompleted]
        assert all(event.polled for event in at.heard)
        assert found.handled == found.found == len(at.heard)
        assert (found.failed, found.since >= began) == (0, True)
        launched, *_, completed = mine
        assert isinstance(launched, ProcessLaunched)
        assert launched.payload.completed_at is None
        assert launched.payload.name == "Found"
        assert isinstance(completed, ProcessCompleted)
        assert completed.moment is not None
        again = await catch_up(at.org, at.dispatcher, began - timedelta(hours=1))
        assert again.handled == 0 or again.found > found.found
        assert len([event for event in at.heard if getattr(event, "process_id", None) == run.id]) == len(mine)
        nothing = await catch_up(at.org, at.dispatcher, now() + timedelta(hours=1))
        assert (nothing.found, nothing.handled) == (0, 0)
        await at.org.runs.archive(run.id)
        at.dispatcher = Dispatcher()
        assert (await catch_up(at.org, at.dispatcher, began)).found >= 2, "archived ones are found too"


async def test_only_some_templates() -> None:
    async with work() as at:
        began = now()
        await at.org.runs.launch(at.template, name="Mine")
        await at.org.runs.launch(await at.build("Other"), name="Other")
        await catch_up(at.org, at.dispatcher, began, checklist_ids=[at.template], overlap=timedelta())
        assert {event.checklist_id for event in at.heard if not isinstance(event, OrganizationEvent)} == {at.template}


async def test_what_a_handler_failed_with_is_looked_for_again() -> None:
    async with work() as at:
        failing = True

        @at.dispatcher.on.process_launched(name="flaky")
        async def flaky(event: ProcessLaunched) -> None:
            if failing and event.payload.name == "Flaky":
                raise OSError

        began = now()
        await at.org.runs.launch(at.template, name="Flaky")
        found = await catch_up(at.org, at.dispatcher, began)
        assert found.failed == 1
        assert found.since <= now()
        (letter,) = at.dispatcher.dead_letters
        assert found.since == letter.event.moment
        failing = False
        again = await catch_up(at.org, at.dispatcher, found.since)
        assert (again.handled, again.failed) == (1, 0)


async def test_what_is_in_hand_elsewhere_is_looked_for_again() -> None:
    """A process that was killed in a handler leaves a claim, which ends some time after the next process began."""
    async with work() as at:
        run = await at.org.runs.launch(at.template, name="Claimed")
        store = MemoryDedupe()
        dispatcher, heard = Dispatcher(store=store), []

        @dispatcher.on.process_launched(name="launched")
        async def launched(event: ProcessLaunched) -> None:
            heard.append(event.process_id)

        began = now() - timedelta(minutes=1)
        key = f"launched|{at.org.id}/process/launched/{run.id}"
        assert await store.claim(key, "the dead one", order=0, lease=1_000) is Verdict.CLAIMED
        found = await catch_up(at.org, dispatcher, began, checklist_ids=at.template)
        assert (found.found, found.handled, found.failed) == (1, 0, 0)
        assert found.since == run.started_at
        await store.release(key, "the dead one")
        again = await catch_up(at.org, dispatcher, found.since, overlap=timedelta(), checklist_ids=at.template)
        assert (again.handled, heard) == (1, [run.id])


@pytest.mark.parametrize("wrong", [datetime(2026, 1, 1), "2026-01-01T00:00:00Z", 1.0, None])  # noqa: DTZ001 - the point
async def test_a_moment_without_a_zone_is_refused(wrong: Any) -> None:
    async with work() as at:
        with pytest.raises(ConfigurationError, match="aware"):
            await catch_up(at.org, at.dispatcher, wrong)
        with pytest.raises(ConfigurationError, match="0 or more"):
            await catch_up(at.org, at.dispatcher, now(), overlap=timedelta(seconds=-1))


async def test_everything_there_ever_was() -> None:
    async with work() as at:
        run = await at.org.runs.launch(at.template, name="Old")
        await catch_up(at.org, at.dispatcher, datetime.min.replace(tzinfo=UTC), checklist_ids=at.template)
        assert [event.process_id for event in at.heard if isinstance(event, ProcessLaunched)] == [run.id]


TASK: dict[str, Any] = {
    "id": "t1",
    "title": "Review",
    "alias": "review",
    "status": "completed",
    "run_id": "r1",
    "checklist_id": "c1",
    "completed_at": "2026-03-01T10:00:00.417Z",
    "completer_id": 7,
    "owners": {"users": [7], "guests": ["g@example.com"], "groups": []},
    "taskdata": {"f1": "yes", "f2": 3},
    "form_fields": {"data": [{"id": "f1", "alias": "ok", "label": "OK?"}]},
    "run": {"data": {"id": "r1", "name": "Run", "checklist_id": "c1", "checklist_title": "T", "status": "active"}},
}


def test_a_polled_task_looks_like_a_delivered_one() -> None:
    event = parse_event(task_payload(structure(TASK, Task), ORGANIZATION), organization=ORGANIZATION)
    assert isinstance(event, TaskCompleted)
    assert not event.unread
    payload = event.payload
    assert (event.alias, event.process_id, event.checklist_id) == ("review", "r1", "c1")
    assert payload.completer is not None
    assert payload.completer.id == "7"
    assert payload.this_task.captures is not None
    assert payload.this_task.captures["f1"].alias == "ok"
    assert payload.this_task.captures["f2"].value == 3
    assert payload.this_task.owners is not None
    assert payload.this_task.owners.guests == ("g@example.com",)
    live = {"this_task": {"id": "t1", "completed_at": "2026-03-01T10:00:00Z"}}
    assert dedupe_key(event) == dedupe_key(parse_event(live, organization=ORGANIZATION))
    alone = structure({"id": "t2", "title": "One-off", "completed_at": TASK["completed_at"]}, Task)
    one_off = parse_event(task_payload(alone, ORGANIZATION), organization=ORGANIZATION)
    assert isinstance(one_off, TaskCompleted)
    assert one_off.process_id is None


def test_a_polled_run_looks_like_a_delivered_one() -> None:
    sent = {"id": "r1", "name": "Run", "progress": {"percent": 100, "total": 3, "complete": 3}}
    run = structure({**sent, "completed_at": "2026-03-01T10:00:00.417Z", "users": [7]}, Run)
    launched = parse_event(run_payload(run, completed=False), organization=ORGANIZATION)
    completed = parse_event(run_payload(run, completed=True), organization=ORGANIZATION)
    assert isinstance(launched, ProcessLaunched)
    assert isinstance(completed, ProcessCompleted)
    live = {"id": "r1", "name": "Run", "checklist_id": "c1", "completed_at": "2026-03-01T10:00:00Z"}
    assert dedupe_key(completed) == dedupe_key(parse_event(live, organization=ORGANIZATION))
    assert dedupe_key(launched) == dedupe_key(parse_event({**live, "completed_at": None}, organization=ORGANIZATION))


async def test_the_loop_closes_and_polling_adds_only_what_was_missed() -> None:
    """Launch and complete at the sandbox, which posts to the receiver; some deliveries are lost on the way."""
    secret = "s3cret-of-the-loop"
    async with work(socket=True) as at:
        app = WebhookApp(at.dispatcher, SenderCheck(at.org.id, secret=secret))
        with served(app) as url:
            at.tenant.checklists[at.template].webhook = f"{url}/hooks/{secret}"
            began = now()
            run = await at.org.runs.launch(at.template, name="Loop")
            done = await at.finish(run.id)
            await at.sandbox.webhooks.settled()
            await until(lambda: len(at.heard) == done + 2)
            kinds = Counter(type(event) for event in at.heard)
            assert kinds == {ProcessLaunched: 1, TaskCompleted: done, ProcessCompleted: 1}
            assert not any(event.unread or event.polled for event in at.heard)
            assert not any(event.extra for event in at.heard)
            at.tenant.checklists[at.template].webhook = f"{url}/hooks/wrong"
            missed = await at.org.runs.launch(at.template, name="Missed")
            await at.sandbox.webhooks.settled()
            assert app.statistics.refused == {"secret": 1}
            before = len(at.heard)
            found = await catch_up(at.org, at.dispatcher, began, checklist_ids=[at.template], overlap=timedelta())
            assert found.found >= before + 1
            assert [event.process_id for event in at.heard[before:] if isinstance(event, ProcessLaunched)] == [
                missed.id
            ]
            assert found.handled == 1
            at.tenant.checklists[at.template].webhook = f"{url}/hooks/{secret}"
            async with httpx.AsyncClient(trust_env=False) as client:
                headers = {"X-Tallyfy-orgID": at.org.id}
                late = at.sandbox.webhooks.deliveries[-1]
                assert late.outcome == "failed"
                reply = await client.post(f"{url}/hooks/{secret}", json=late.payload, headers=headers)
                assert reply.status_code == 200
            await until(lambda: at.dispatcher.statistics.in_hand + at.dispatcher.statistics.queued == 0)
            assert len(at.heard) == before + 1, "the delivery that was late is the event that was polled"


async def test_an_organization_wide_subscription_is_heard_of() -> None:
    async with work(socket=True) as at:
        app = WebhookApp(at.dispatcher, at.org.id)
        with served(app) as url:
            me = await at.org.me.get()
            await at.org.webhooks.add_watcher(me.id, webhook=f"{url}/all")
            await at.org.runs.launch(at.template, name="Watched")
            await at.sandbox.webhooks.settled()
            await until(lambda: at.heard)
            event = at.heard[0]
            assert isinstance(event, OrganizationEvent)
            assert event.event == "process.launched"
            assert event.payload.process is not None
            assert event.payload.process["name"] == "Watched"
