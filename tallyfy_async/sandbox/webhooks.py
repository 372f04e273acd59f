"""Webhooks on their way out (processes.md section 10): one attempt each, in the order of events for every URL.

They leave after the answer to the call that caused them, from threads that live as long as there is something to post.
"""

import heapq
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any, Literal

import anyio.to_thread
from attrs import define, evolve, field, frozen

from . import posting
from .activity import Record, activity
from .exchange import encode
from .faults import Faults
from .records import Event, JsonObject, Run, Task
from .settings import Settings
from .stats import Stats
from .views import webhooks as views
from .views.lens import Lens
from .world import Tenant, World

Source = Literal["template", "step", "task", "rule", "organization"]
Outcome = Literal["sent", "failed", "skipped", "lost", "ended"]
MOST_KEPT = 1000
MOST_THREADS = 32
_MOST_SAID = 200
"""Characters of an error that are kept: it may quote whatever a receiver sent."""
_PATIENCE = 1.0
_ENDED: Mapping[str, Any] = {"outcome": "ended", "error": "the server ended"}
_PROCESS = ("process.launched", "process.completed")


def _read_only(value: str) -> str:
    return repr(posting.without_login(value))


@frozen(kw_only=True)
class Delivery:
    """A webhook and what became of it.

    `outcome` is `sent` for a status of 2xx, else `failed`; `skipped` where the settings exclude the host, `lost` where
    a fault lost it, `ended` where the server ended before its turn. `status` is the receiver's, `error` says why there
    is none. `number` counts webhooks in the order of events; a copy has the number of its original.
    """

    number: int
    organization: str
    event: str
    """`process.launched`, `task.completed`, …; `rule.emitted` for automations."""
    source: Source
    """Who named the URL."""
    url: str = field(repr=_read_only)
    body: bytes = field(repr=False)
    record: Record
    """What it tells of: ("run", id) or ("task", id)."""
    parent: Record | None = None
    outcome: Outcome = "sent"
    status: int | None = None
    error: str | None = None

    @property
    def payload(self) -> JsonObject:
        """Return the decoded body."""
        data: JsonObject = json.loads(self.body)
        return data

    def as_dict(self) -> JsonObject:
        """Return it as plain values, for programs elsewhere."""
        names = ("number", "organization", "event", "source", "url", "outcome", "status", "error")
        return {**{name: getattr(self, name) for name in names}, "payload": self.payload}


def due(lens: Lens, events: Iterable[Event]) -> Iterator[Delivery]:
    """Render what events make the server send, in their order."""
    around = cache(partial(views.process_around, lens))  # a launch assigns many tasks of one run
    for event in events:
        for source, url in _addresses(lens.tenant, event):
            kind = "task" if isinstance(event.record, Task) else "run"
            yield Delivery(
                number=0,
                organization=lens.tenant.id,
                event=event.name,
                source=source,
                url=url,
                body=encode(_payload(lens, event, source, around)),
                record=(kind, event.record.id),
                parent=("run", event.record.run_id) if isinstance(event.record, Task) and event.record.run_id else None,
            )


def _payload(lens: Lens, event: Event, source: Source, around: Callable[[str], JsonObject | None]) -> JsonObject:
    if source == "organization":
        return views.organization(lens, event, around)
    return views.process(lens, event.record) if isinstance(event.record, Run) else views.task(lens, event.record)


def _addresses(tenant: Tenant, event: Event) -> Iterator[tuple[Source, str]]:
    """Say who is told: for a task its own URL, else that of its step, else that of the template; then subscriptions."""
    if event.url is not None:
        yield "rule", event.url
        return
    if isinstance(event.record, Task) and event.name == "task.completed":
        yield from _of_task(tenant, event.record)
    elif isinstance(event.record, Run) and event.name in _PROCESS:
        yield from _of_template(tenant, event.record.checklist_id)
    for watcher in tenant.watchers.values():
        yield "organization", watcher.webhook


def _of_task(tenant: Tenant, task: Task) -> Iterator[tuple[Source, str]]:
    checklist = tenant.checklists.get(task.checklist_id or "")
    step = next((step for step in (checklist.steps if checklist else ()) if step.id == task.step_id), None)
    if task.webhook:
        yield "task", task.webhook
    elif step is not None and step.webhook:
        yield "step", step.webhook
    else:
        yield from _of_template(tenant, task.checklist_id)


def _of_template(tenant: Tenant, checklist_id: str | None) -> Iterator[tuple[Source, str]]:
    checklist = tenant.checklists.get(checklist_id or "")
    if checklist is not None and checklist.webhook:
        yield "template", checklist.webhook


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_SAID]


@define(eq=False)
class _Item:
    delivery: Delivery
    ended: threading.Event
    """The server has ended since."""
    delay: float = 0.0
    late: int = 0
    """Later webhooks that pass it first."""
    released: bool = False
    lane: "_Lane | None" = None


@define(eq=False)
class _Lane:
    """What waits for one URL. The first entry stays while it is posted."""

    key: object
    waiting: deque[_Item] = field(factory=deque[_Item])
    busy: bool = False


class Webhooks:
    """Post webhooks, and remember the last 1000 with what became of them."""

    def __init__(self, settings: Callable[[], Settings], faults: Faults, stats: Stats) -> None:
        self._settings, self._faults, self._stats = settings, faults, stats
        self._changed = threading.Condition()
        self._lanes: dict[object, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._held: list[_Item] = []
        self._delayed: list[tuple[float, int, _Lane]] = []
        """A heap: moment of the monotonic clock, what settles a tie, lane."""
        self._workers: set[threading.Thread] = set()
        self._waker: threading.Thread | None = None
        self._exchanges: set[posting.Exchange] = set()
        self._ended = threading.Event()
        self._kept: deque[Delivery] = deque(maxlen=MOST_KEPT)
        self._unlogged: deque[Delivery] = deque(maxlen=MOST_KEPT)
        self._number = 0
        self._pending = 0

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Return the last 1000 in the order in which they ended."""
        with self._changed:
            return tuple(self._kept)

    @property
    def pending(self) -> int:
        """Count what is on its way."""
        with self._changed:
            return self._pending

    def clear(self) -> None:
        """Forget what was delivered."""
        with self._changed:
            self._kept.clear()

    def wait(self, within: float = 30.0) -> None:
        """Block until everything has gone out, also what a fault holds back. Raise TimeoutError after the seconds."""
        self._wait(within, threading.Event())

    async def settled(self, within: float = 30.0) -> None:
        """Wait as `wait()` does, without blocking the event loop."""
        left = threading.Event()
        try:
            await anyio.to_thread.run_sync(partial(self._wait, within, left), abandon_on_cancel=True)
        finally:  # a thread that waits on for nobody would keep the program from ending
            left.set()
            with self._changed:
                self._changed.notify_all()

    def _wait(self, within: float, left: threading.Event) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: left.is_set() or self._is_idle(), within):
                raise TimeoutError(f"{self._pending} webhooks are still on their way")

    def _is_idle(self) -> bool:
        for item in self._held:
            self._line_up(item)
        self._held.clear()
        self._hire()
        return self._pending == 0

    def queue(self, deliveries: Iterable[Delivery]) -> Callable[[], None]:
        """Take webhooks in their order; none leaves before the returned function is called."""
        with self._changed:
            items = [item for delivery in deliveries for item in self._admit(delivery)]
        return partial(self._release, items)

    def _admit(self, delivery: Delivery) -> Iterator[_Item]:
        self._number += 1
        delivery = evolve(delivery, number=self._number)
        if self._settings().webhook_hosts == "loopback" and not posting.is_loopback(delivery.url):
            self._note(evolve(delivery, outcome="skipped", error="webhook_hosts is loopback"))
            return
        fault = self._faults.pick_delivery(delivery.url, delivery.event)
        copies, late, delay = (fault.copies, fault.late, fault.delay) if fault else (1, 0, 0.0)
        if copies == 0:
            self._note(evolve(delivery, outcome="lost", error="a fault lost it"))
        self._pending += copies
        for _ in range(copies):
            item = _Item(delivery, self._ended, delay=delay, late=late)
            if late:
                self._held.append(item)
            else:
                self._line_up(item)
            yield item
        self._overtake(delivery)

    def _overtake(self, delivery: Delivery) -> None:
        """Count a webhook against those that wait to be passed by it."""
        for item in [i for i in self._held if i.delivery.url == delivery.url and i.delivery.number < delivery.number]:
            item.late -= 1
            if item.late == 0:
                self._held.remove(item)
                self._line_up(item)

    def _line_up(self, item: _Item) -> None:
        """Put an item behind those for its URL; one with a delay waits by itself."""
        key: object = item if item.delay else item.delivery.url
        item.lane = self._lanes.setdefault(key, _Lane(key))
        item.lane.waiting.append(item)
        self._rouse(item.lane)

    def _release(self, items: Iterable[_Item]) -> None:
        with self._changed:
            for item in items:
                item.released = True
            for lane in {id(item.lane): item.lane for item in items if item.lane is not None}.values():
                self._rouse(lane)

    def _rouse(self, lane: _Lane) -> None:
        """Have a lane's first webhook posted when it may go, one with a delay when its time has come."""
        if lane.busy or not lane.waiting or not lane.waiting[0].released:
            return
        lane.busy = True
        if delay := lane.waiting[0].delay:
            heapq.heappush(self._delayed, (time.monotonic() + delay, id(lane), lane))
            self._changed.notify_all()
        else:
            self._ready.append(lane)
        self._hire()

    def _hire(self) -> None:
        """Start the threads that are needed. Where none is to be had, webhooks wait; what caused them must not fail."""
        wanted = [self._work] if self._ready and len(self._workers) < MOST_THREADS else []
        if self._delayed and self._waker is None:
            wanted.append(self._wake)
        for work in wanted:
            thread = threading.Thread(target=work, name="tallyfy-sandbox-webhooks", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return
            if work == self._work:
                self._workers.add(thread)
            else:
                self._waker = thread

    def _wake(self) -> None:
        """Hand over what was delayed when its time has come."""
        with self._changed:
            while self._delayed:
                left = self._delayed[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                else:
                    self._ready.append(heapq.heappop(self._delayed)[2])
                    self._hire()
            self._waker = None

    def _work(self) -> None:
        while (lane := self._next()) is not None:
            done = self._deliver(lane.waiting[0])
            with self._changed:
                lane.waiting.popleft()
                lane.busy = False
                self._pending -= 1
                self._note(done)
                self._rouse(lane)
                if not lane.waiting:
                    del self._lanes[lane.key]
                self._changed.notify_all()

    def _next(self) -> _Lane | None:
        with self._changed:
            if self._ready:
                return self._ready.popleft()
            self._workers.discard(threading.current_thread())
            return None

    def _deliver(self, item: _Item) -> Delivery:
        delivery = item.delivery
        headers = {"Content-Type": "application/json", "X-Tallyfy-orgID": delivery.organization, "Connection": "close"}
        exchange = posting.Exchange(delivery.url, headers, delivery.body, self._settings().webhook_timeout)
        with self._changed:
            self._exchanges.add(exchange)  # before the look at `ended`, so that whoever ends the server finds it
        try:
            status = None if item.ended.is_set() else exchange.send()
        except Exception as error:  # noqa: BLE001 - whatever an address or a receiver brings about, the thread lives on
            if not item.ended.is_set():
                return evolve(delivery, outcome="failed", error=_said(error))
            status = None
        finally:
            with self._changed:
                self._exchanges.discard(exchange)
        if status is None:
            return evolve(delivery, **_ENDED)
        return evolve(delivery, outcome="sent" if 200 <= status < 300 else "failed", status=status)

    def _note(self, delivery: Delivery) -> None:
        self._kept.append(delivery)
        self._stats.webhook(delivery.outcome)
        if delivery.outcome in {"sent", "failed"}:
            self._unlogged.append(delivery)

    def log(self, world: World) -> None:
        """Write what has ended since into the feeds of the organizations. Only the thread that owns the world may."""
        while self._unlogged:
            one = self._unlogged.popleft()
            tenant = world.tenants.get(one.organization)
            if tenant is not None:
                word = f"webhook_{one.outcome}"
                said = one.error if one.status is None else f"status {one.status}"
                text = f"{word}: {posting.without_login(one.url)} ({said})"
                activity(
                    tenant, "emitted", one.record, text, now=world.now(), actor=None, parent=one.parent, field=word
                )

    def end(self) -> None:
        """Drop what has not gone out, and end what is under way."""
        with self._changed:
            self._ended.set()
            self._ended = threading.Event()
            gone, self._held = self._held, []
            for lane in [*self._ready, *(lane for *_, lane in self._delayed)]:
                lane.busy = False
            self._ready.clear()
            self._delayed.clear()
            for lane in [*self._lanes.values()]:
                while len(lane.waiting) > lane.busy:
                    gone.append(lane.waiting.pop())
                if not lane.busy:
                    del self._lanes[lane.key]
            for item in sorted(gone, key=lambda item: item.delivery.number):
                self._note(evolve(item.delivery, **_ENDED))
            self._pending -= len(gone)
            self._changed.notify_all()
            threads, exchanges = [*self._workers], [*self._exchanges]
            if self._waker is not None:
                threads.append(self._waker)
        until = time.monotonic() + _PATIENCE
        for thread in threads:
            while thread.is_alive() and time.monotonic() < until:
                for exchange in exchanges:
                    exchange.abort()  # again and again: one that is about to connect does not hear it
                thread.join(_PATIENCE / 20)
