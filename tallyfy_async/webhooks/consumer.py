"""The bounded queue and the workers that empty it."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import anyio
from anyio.lowlevel import checkpoint
from attrs import define, field

from tallyfy_async.transport.clock import Clock
from tallyfy_async.transport.shelter import Children, run_in_child
from tallyfy_async.webhooks.events import AnyEvent
from tallyfy_async.webhooks.letters import Reason

if TYPE_CHECKING:
    from types import TracebackType

    from tallyfy_async.webhooks.dispatcher import Dispatcher

_TELLING: Final = 10.0
"""Seconds for the callback to hear of what a shutdown left; after them, it is told no more."""

_IN_A_ROW: Final = 16
"""Events that a worker may finish without letting others have their turn."""


@define(eq=False)
class Queue:
    """Events that wait for a worker.

    Attributes:
        most: how many may wait.
        closed: whether no more are taken.
        in_hand: how many are being handled.

    """

    # A memory object stream of anyio can lose an item between its sender and a receiver that is cancelled.
    most: int
    closed: bool = False
    in_hand: int = 0
    _events: deque[AnyEvent] = field(factory=deque[AnyEvent])
    _filled: anyio.Semaphore = field(factory=lambda: anyio.Semaphore(0, fast_acquire=True))
    _emptied: anyio.Event = field(factory=anyio.Event)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def is_full(self) -> bool:
        """Whether no more may wait."""
        return len(self._events) >= self.most

    def put(self, event: AnyEvent) -> None:
        """Add an event."""
        self._events.append(event)
        self._filled.release()

    async def take(self) -> AnyEvent:
        """Wait for an event and take it in hand; :meth:`finished` gives it out of hand."""
        await self._filled.acquire()
        self.in_hand += 1
        return self._events.popleft()

    def finished(self) -> None:
        """Count an event as handled."""
        self.in_hand -= 1
        if not self.in_hand and not self._events:
            self._emptied.set()

    async def emptied(self) -> None:
        """Wait until no event waits or is in hand."""
        while self.in_hand or self._events:
            self._emptied = anyio.Event()
            await self._emptied.wait()

    def rest(self) -> list[AnyEvent]:
        """Take all events that wait."""
        rest = list(self._events)
        self._events.clear()
        return rest


class Running:
    """A context in which a dispatcher's queue is worked off; made by :meth:`Dispatcher.running`."""

    def __init__(
        self, dispatcher: Dispatcher, queue: Callable[[], Queue], *, workers: int, grace: float, clock: Clock
    ) -> None:
        self._dispatcher, self._make_queue = dispatcher, queue
        self._workers, self._grace, self._clock = workers, grace, clock
        self._children = Children()
        # Shielded, so that what was taken is handled although the scope around the body is cancelled; the exit ends it.
        self._scope = anyio.CancelScope(shield=True)
        self._left: list[AnyEvent] = []
        self._queue: Queue | None = None

    async def __aenter__(self) -> Dispatcher:
        queue = self._make_queue()
        self._dispatcher.opened(queue)
        self._queue = queue
        self._scope = anyio.CancelScope(shield=True)
        await self._children.__aenter__()
        self._children.start(self._serve, queue)
        return self._dispatcher

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._queue is None:
            return
        queue, self._queue = self._queue, None
        queue.closed = True
        try:
            await run_in_child(lambda: self._drained(queue), shield=True)
        finally:
            self._scope.cancel()
            try:
                await self._children.__aexit__(None, None, None)
            finally:
                self._left += queue.rest()
                self._dispatcher.opened(None)
                await run_in_child(self._bury, shield=True)

    async def _serve(self, queue: Queue) -> None:
        with self._scope:
            async with anyio.create_task_group() as group:
                for _ in range(self._workers):
                    group.start_soon(self._work, queue)

    async def _work(self, queue: Queue) -> None:
        for number in itertools.count(1):
            event = await queue.take()
            try:
                await self._dispatcher.work_off(event)
            except BaseException:  # a cancellation, be it in a group, as nurseries of trio's own raise it
                self._left.append(event)
                raise
            finally:
                queue.finished()
            if not number % _IN_A_ROW:  # repetitions, and what nobody wants, may come to no scheduling point
                await checkpoint()

    async def _drained(self, queue: Queue) -> None:
        with self._clock.timeout(self._grace):
            await queue.emptied()

    async def _bury(self) -> None:
        left, self._left = self._left, []
        until = self._clock.monotonic() + _TELLING
        for event in left:
            await self._dispatcher.bury(event, None, Reason.SHUTDOWN, tell=self._clock.monotonic() < until)
