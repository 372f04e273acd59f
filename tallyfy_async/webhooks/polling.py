"""Finding what single-attempt delivery missed, by asking the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.models.processes import Run, Task
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.webhooks.dispatcher import Dispatcher
from tallyfy_async.webhooks.events import AnyEvent, as_polled, parse_event
from tallyfy_async.webhooks.outcomes import Result

if TYPE_CHECKING:
    from tallyfy_async.models.owners import Owners
    from tallyfy_async.organization import Organization

_CLOCK: Final = SystemClock()
_OVERLAP: Final = timedelta(minutes=2)
_UNSETTLED: Final = frozenset({Result.FAILED, Result.BUSY})
_PLACE: Final = {"process.launched": 0, "task.completed": 1, "process.completed": 2}


@frozen(kw_only=True)
class CaughtUp:
    """What a look into the past brought.

    Attributes:
        since: pass this to the next :func:`catch_up`: when this one began, or the moment of the first event that is not
            settled, because a handler failed, or because it was in hand elsewhere and nobody knows yet how that ends.
        found: events in that time.
        handled: handlings of events that had been missed.
        failed: handlings that failed; there is a dead letter of each.

    """

    since: datetime
    found: int
    handled: int
    failed: int


async def catch_up(
    organization: Organization,
    dispatcher: Dispatcher,
    since: datetime,
    *,
    checklist_ids: str | Iterable[str] | None = None,
    overlap: timedelta = _OVERLAP,
    clock: Clock = _CLOCK,
) -> CaughtUp:
    """Find the launches and completions since a moment, and have those handled that no webhook brought.

    Events are marked ``polled``, have what the API's lists give, and come in the order in which they happened. They
    have the keys of the webhooks, so each is handled once, whichever comes first; across restarts only with a dedupe
    store that outlives them. Organization-wide events cannot be found. It reads the lists of completed tasks and of
    runs, archived ones too, to their ends, because the API sorts by no moment of completion (contract: list_tasks,
    list_runs).

    Args:
        organization: of a client.
        dispatcher: takes the events; it need not be running.
        since: an aware datetime, such as ``since`` of the last call's result.
        checklist_ids: only runs of these templates, with their tasks: those that have a webhook. None: all.
        overlap: look so much further back, because what was just written may not be listed yet, and because ``since``
            is of this machine's clock: let it be more than that may be ahead of the server's.
        clock: time.

    Raises ConfigurationError for a ``since`` that is no aware datetime and an ``overlap`` below 0, and what the lists
    raise; then nothing was handled.

    """
    first = _first(since, overlap)
    began = datetime.fromtimestamp(clock.time(), UTC)
    wanted = None if checklist_ids is None else _several(checklist_ids)
    events = [event async for event in _events(organization, first, wanted)]
    events.sort(key=lambda event: (event.order or 0, _PLACE[event.kind]))
    return await _fed(dispatcher, events, began)


def _first(since: datetime, overlap: timedelta) -> datetime:
    # The argument comes from wherever the caller kept it, so its type is looked at.
    if not _is_aware(since) or overlap < timedelta():
        msg = "since must be an aware datetime, such as datetime(2026, 12, 1, tzinfo=UTC), and overlap 0 or more"
        raise ConfigurationError(msg)
    try:
        # Moments are whole seconds in webhooks: the whole second of ``since`` belongs to it.
        return (since - overlap).astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _is_aware(moment: Any) -> bool:
    return isinstance(moment, datetime) and moment.utcoffset() is not None


def _several(checklist_ids: Iterable[str]) -> frozenset[str]:
    return frozenset([checklist_ids] if isinstance(checklist_ids, str) else checklist_ids)


async def _fed(dispatcher: Dispatcher, events: list[AnyEvent], began: datetime) -> CaughtUp:
    handled = failed = 0
    since = began
    for event in events:
        results = [one.result for one in await dispatcher.handle(event)]
        handled += results.count(Result.HANDLED)
        failed += results.count(Result.FAILED)
        if not _UNSETTLED.isdisjoint(results) and event.moment is not None:
            since = min(since, event.moment)
    return CaughtUp(since=since, found=len(events), handled=handled, failed=failed)


async def _events(
    organization: Organization, first: datetime, wanted: frozenset[str] | None
) -> AsyncIterator[AnyEvent]:
    async for task in organization.tasks.list(status="complete", archived="true", with_=["run", "form_fields"]):
        if _recent(task.completed_at, first) and _of(_checklist_id(task), wanted):
            yield _polled(task_payload(task, organization.id), organization.id)
    async for run in organization.runs.list(archived="true"):
        if not _of(run.checklist_id, wanted):
            continue
        if _recent(run.started_at or run.created_at, first):
            yield _polled(run_payload(run, completed=False), organization.id)
        if _recent(run.completed_at, first):
            yield _polled(run_payload(run, completed=True), organization.id)


def _polled(payload: dict[str, Any], organization: str) -> AnyEvent:
    return as_polled(parse_event(payload, organization=organization))


def _recent(moment: datetime | None, first: datetime) -> bool:
    return moment is not None and moment >= first


def _of(checklist_id: str | None, wanted: frozenset[str] | None) -> bool:
    return wanted is None or checklist_id in wanted


def _checklist_id(task: Task) -> str | None:
    return task.checklist_id or (None if task.run is None else task.run.checklist_id)


def run_payload(run: Run, *, completed: bool) -> dict[str, Any]:
    """Return a run as the webhook of its launch or completion has it; a launch knows of no completion."""
    payload = {"checklist_id": None, **run.to_dict()}
    return payload if completed else {**payload, "completed_at": None}


def task_payload(task: Task, organization: str) -> dict[str, Any]:
    """Return a completed task as a webhook has it, as far as a list tells."""
    sent = task.to_dict()
    names = ("id", "title", "alias", "status", "summary", "deadline", "position", "completed_at")
    this_task = {name: sent[name] for name in names if name in sent}
    completer = None if task.completer_id is None else {"id": task.completer_id}
    this_task |= {"completed_by": completer, "owners": _owners(task.owners), "captures": _captures(task)}
    payload: dict[str, Any] = {"this_task": this_task, "completer": completer}
    if task.run_id is not None:
        payload["process"] = {"id": task.run_id, "organization_id": organization, **_process(task.run)}
        payload["template"] = {"id": _checklist_id(task), "title": task.run and task.run.checklist_title}
    return payload


def _process(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    sent = run.to_dict()
    names = ("name", "summary", "status", "progress", "created_at", "prerun")
    return {name: sent[name] for name in names if name in sent}


def _owners(owners: Owners | None) -> dict[str, Any]:
    if owners is None:
        return {}
    users = [{"id": user.id, "email": user.email, "full_name": user.full_name} for user in owners.users or ()]
    return {"users": users, "guests": [guest.email for guest in owners.guests or () if guest.email]}


def _captures(task: Task) -> dict[str, Any]:
    """Return the answers of a task; aliases and labels are those of its fields, where the list brought them."""
    fields = {one.id: {"alias": one.alias, "label": one.label} for one in task.form_fields or ()}
    return {key: {**fields.get(key, {}), "value": value} for key, value in (task.taskdata or {}).items()}
