"""Hands events to handlers: once each, for a bounded time, and whatever a handler does, the others go on."""

from __future__ import annotations

import inspect
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from attrs import define, frozen

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.telemetry import logger
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.shelter import SelfCancelledError, run_in_child
from tallyfy_async.webhooks.consumer import Queue, Running
from tallyfy_async.webhooks.dedupe import DedupeStore, MemoryDedupe, Verdict
from tallyfy_async.webhooks.events import AnyEvent
from tallyfy_async.webhooks.letters import DeadLetter, DeadLetters, OnDeadLetter, Reason, told_of
from tallyfy_async.webhooks.outcomes import Handled, Result, Statistics
from tallyfy_async.webhooks.refusals import Refusal, refusal
from tallyfy_async.webhooks.routing import Handlers, Route

_CLOCK: Final = SystemClock()
_MARGIN: Final = 15.0
"""Seconds by which a claim outlives the handler's deadline: for the store, and a handler that is slow to end."""
_STORE_PATIENCE: Final = 10.0
_FIRST_POLL: Final = 0.02
_LONGEST_POLL: Final = 0.5
_SETTLED: Final = {
    Verdict.DUPLICATE: Result.DUPLICATE,
    Verdict.BUSY: Result.BUSY,
    Verdict.STALE: Result.STALE,
}


@frozen
class _Failure:
    reason: Reason
    error: Exception | None = None


@define(eq=False)
class _Call:
    """A call of a handler under a claim, whether it came to its end, and whether the store remembers that."""

    route: Route
    event: AnyEvent
    key: str
    order: int
    owner: str
    ended: bool = False
    remembered: bool = False

    async def run(self) -> None:
        await self.route.handler(self.event)
        self.ended = True


class Dispatcher:
    """Hands events to the handlers that want them.

    Each handler hears of each event once, however often it is delivered, and whatever the other handlers do. A handler
    that raises, or takes longer than its deadline, leaves a dead letter; its event may then come again, by
    :meth:`retry`, a repetition or :func:`catch_up`. What a handler did is remembered after it ended: a crash of the
    process in between lets the event come a second time. A handler that swallows its cancellation is waited for.

    Args:
        store: remembers which events were handled; by default in memory, so until the end of the process.
        queue: events that may wait for a worker; beyond that deliveries are refused.
        deadline: seconds that a handler has for one event, unless it says otherwise.
        on_dead_letter: called with each dead letter; may be asynchronous. What it raises is logged.
        dead_letters: how many of them are kept in ``dead_letters``.
        clock: time.

    Attributes:
        on: registers handlers: ``@dispatcher.on.task_completed(alias="review")``.
        dead_letters: the last events that were not dealt with.

    Raises ConfigurationError for arguments that cannot work.

    """

    def __init__(
        self,
        *,
        store: DedupeStore | None = None,
        queue: int = 1_000,
        deadline: float = 30.0,
        on_dead_letter: OnDeadLetter | None = None,
        dead_letters: int = 1_000,
        clock: Clock = _CLOCK,
    ) -> None:
        if queue < 1 or dead_letters < 1:
            msg = "queue and dead_letters must be 1 or more"
            raise ConfigurationError(msg)
        self.on = Handlers(deadline)
        self.dead_letters = DeadLetters(dead_letters)
        self._store: DedupeStore = MemoryDedupe(clock=clock) if store is None else store
        self._most = queue
        self._on_dead_letter = on_dead_letter
        self._clock = clock
        self._queue: Queue | None = None
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        state = "not running" if self._queue is None else f"{len(self._queue)} of {self._most} queued"
        return f"<Dispatcher {state}>"

    @property
    def is_running(self) -> bool:
        """Whether events can be offered: inside ``running()``."""
        return self._queue is not None and not self._queue.closed

    @property
    def statistics(self) -> Statistics:
        """What was done so far."""
        queue = self._queue
        return Statistics(
            **{name: self._counts[name] for name in Statistics.counted()},
            queued=0 if queue is None else len(queue),
            in_hand=0 if queue is None else queue.in_hand,
            dead_letters=self.dead_letters.total,
        )

    def running(self, *, workers: int = 8, grace: float = 10.0) -> Running:
        """Return a context manager in which offered events are handled, ``workers`` at a time.

        On leaving it takes no more events, and waits for at most ``grace`` seconds until those taken are handled; then
        the handlers are cancelled, and what is left becomes dead letters. What the body raises leaves it bare. Raises
        ConfigurationError for arguments that cannot work, and on entering while it runs already.
        """
        if workers < 1 or not 0 <= grace < float("inf"):
            msg = "workers must be 1 or more, and grace a number of seconds"
            raise ConfigurationError(msg)
        return Running(self, partial(Queue, self._most), workers=workers, grace=grace, clock=self._clock)

    def offer(self, event: AnyEvent) -> None:
        """Take an event for the workers, at once.

        Raises WebhookError of kind ``full`` or ``closed``, both of status 503, where it cannot be taken.
        """
        queue = self._queue
        if queue is None or queue.closed:
            self._counts["closed"] += 1
            raise refusal(Refusal.CLOSED, "the dispatcher is not running: offer events inside running()")
        if queue.is_full:
            self._counts["full"] += 1
            raise refusal(Refusal.FULL, "the queue is full")
        self._counts["offered"] += 1
        queue.put(event)

    async def handle(self, event: AnyEvent) -> tuple[Handled, ...]:
        """Have an event handled now, past the queue; return how each handler that wants it fared."""
        return await run_in_child(partial(self._handle, event, None))

    async def retry(self, letter: DeadLetter) -> tuple[Handled, ...]:
        """Give a dead letter another try, with the handler that it is of."""
        return await run_in_child(partial(self._handle, letter.event, letter.handler))

    def opened(self, queue: Queue | None) -> None:
        """Take a queue into use, or none: called by ``running()``."""
        if queue is not None and self._queue is not None:
            msg = "this dispatcher runs already"
            raise ConfigurationError(msg)
        self._queue = queue

    async def work_off(self, event: AnyEvent) -> None:
        """Have a queued event handled; raise nothing but a cancellation by a scope around the caller."""
        try:
            await self._handle(event, None)
        except anyio.get_cancelled_exc_class():
            await checkpoint_if_cancelled()
            await self.bury(event, None, Reason.CANCELLED)
        except Exception as error:  # noqa: BLE001 - of a store or a clock that keeps to no rule
            await self.bury(event, None, Reason.STORE, error)

    async def bury(
        self,
        event: AnyEvent,
        handler: str | None,
        reason: Reason,
        error: Exception | None = None,
        *,
        tell: bool = True,
    ) -> None:
        """Make a dead letter, and ``tell`` the callback."""
        letter = DeadLetter(event=event, handler=handler, reason=reason, at=self._clock.time(), **told_of(error))
        self.dead_letters.add(letter)
        if tell and self._on_dead_letter is not None:
            told = partial(_told, self._on_dead_letter, letter)
            await self._quietly("on_dead_letter", partial(run_in_child, told))

    async def _handle(self, event: AnyEvent, name: str | None) -> tuple[Handled, ...]:
        routes = self.on.matching(event, name)
        if not routes:
            self._counts["unmatched"] += 1
            return ()
        if len(routes) == 1:
            return (await self._one(routes[0], event),)
        found: dict[str, Handled] = {}

        async def one(route: Route) -> None:
            found[route.name] = await self._one(route, event)

        async with anyio.create_task_group() as group:
            for route in routes:
                group.start_soon(one, route)
        return tuple(found[route.name] for route in routes)

    async def _one(self, route: Route, event: AnyEvent) -> Handled:
        result = await self._settled(route, event)
        self._counts[result.value] += 1
        return Handled(handler=route.name, result=result)

    async def _settled(self, route: Route, event: AnyEvent) -> Result:
        key, order = route.key(event)
        call = _Call(route, event, key, order, secrets.token_hex(8))
        try:
            verdict = await self._claimed(call)
            if verdict is Verdict.CLAIMED:
                return await self._handled(call)
        except anyio.get_cancelled_exc_class():
            await self._ended(call)
            await checkpoint_if_cancelled()
            await self.bury(event, route.name, Reason.STORE)  # by no scope: the store awaited what was cancelled
            return Result.FAILED
        except Exception as error:  # noqa: BLE001 - also of a store of the user's own
            await self.bury(event, route.name, Reason.STORE, error)
            return Result.FAILED
        if verdict is Verdict.WAIT:
            await self.bury(event, route.name, Reason.BUSY)
            return Result.FAILED
        return _SETTLED[verdict]

    async def _claimed(self, call: _Call) -> Verdict:
        """Claim, waiting while an older event of the subject is in hand, so that the newer one is handled after it."""
        lease = call.route.deadline + _MARGIN
        verdict = await self._store.claim(call.key, call.owner, order=call.order, lease=lease)
        if verdict is not Verdict.WAIT:
            return verdict
        until, pause = self._clock.monotonic() + 2 * lease, _FIRST_POLL
        while verdict is Verdict.WAIT and self._clock.monotonic() < until:
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL)
            verdict = await self._store.claim(call.key, call.owner, order=call.order, lease=lease)
        return verdict

    async def _handled(self, call: _Call) -> Result:
        failure = await self._called(call)
        await self._ended(call)
        if failure is None:
            return Result.HANDLED
        await self.bury(call.event, call.route.name, failure.reason, failure.error)
        return Result.FAILED

    async def _called(self, call: _Call) -> _Failure | None:
        """Call the handler in a task of its own: what it does to its task, its context and its scopes ends with it."""
        error: Exception | None = None
        try:
            with self._clock.timeout(call.route.deadline) as scope:
                await run_in_child(call.run)
                scope.shield = True  # what a handler did is remembered although a cancellation comes just now
                await self._store.done(call.key, call.owner, order=call.order)
                call.remembered = True
        except anyio.get_cancelled_exc_class():
            await checkpoint_if_cancelled()
            # By no scope: the store awaited what was cancelled, and is asked again, or the event loop comes to its end.
            return None if call.ended else _Failure(Reason.CANCELLED)
        except SelfCancelledError:
            return _Failure(Reason.CANCELLED)
        except Exception as raised:  # noqa: BLE001 - the handler's own, or the store's, which is asked again
            error = raised
        if call.ended:
            return None
        return _Failure(Reason.TIMEOUT) if error is None else _Failure(Reason.RAISED, error)

    async def _ended(self, call: _Call) -> None:
        """Have the store remember that the handler ended, or that it did not."""
        if call.ended and not call.remembered:
            await self._quietly("done", partial(self._store.done, call.key, call.owner, order=call.order))
        elif not call.ended:
            await self._quietly("release", partial(self._store.release, call.key, call.owner))

    async def _quietly(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do what belongs to the end of an event, also when cancelled; say in the log that it failed."""
        try:
            with self._clock.timeout(_STORE_PATIENCE) as scope:
                scope.shield = True
                await work()
        except Exception as error:  # noqa: BLE001 - also of a store of the user's own
            logger.error("webhooks: %s failed: %s", what, type(error).__name__)
        else:
            if not scope.cancelled_caught:
                return
            logger.error("webhooks: %s took longer than %g s", what, _STORE_PATIENCE)
        self._counts["store_failures"] += what != "on_dead_letter"


async def _told(callback: OnDeadLetter, letter: DeadLetter) -> None:
    answer: Any = callback(letter)
    if inspect.isawaitable(answer):
        await answer
