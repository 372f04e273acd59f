"""What makes cancellation safe: work in a child task, and knowing the event loop.

A native ``task.cancel()`` of an asyncio task cuts whatever it awaits, shielded or not. A child of an anyio task group
is cancelled by its scope only, and httpcore and our own shields understand scopes: so whatever must be ended cleanly,
an HTTP exchange or a token refresh, runs in a child. Outcomes come back as values, so that no exception is ever wrapped
in a group.

A coroutine on asyncio can also end in CancelledError although nobody cancelled its task: where it awaited a future that
was. A task group takes that for its own and says nothing; here it is an error.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import EventLoopToken, checkpoint_if_cancelled, current_token
from attrs import define, field

from tallyfy_async.errors import ClientClosedError, ClientLoopError

T = TypeVar("T")


class SelfCancelledError(RuntimeError):
    """The work was cancelled, but by none of the scopes around it."""


@define(eq=False)
class _Result(Generic[T]):
    value: T | None = None
    error: BaseException | None = None
    ended: bool = False
    """Whether the work came to an end of its own, with value or error."""

    async def run(self, work: Callable[[], Awaitable[T]]) -> None:
        try:
            self.value = await work()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - handed to the parent, which raises it bare
            self.error = error
        if _holds_cancellation(self.error):
            await checkpoint_if_cancelled()
        self.ended = True

    async def run_shielded(self, work: Callable[[], Awaitable[T]]) -> None:
        with anyio.CancelScope(shield=True):
            await self.run(work)

    def take(self) -> T:
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
            return self.value  # type: ignore[return-value]  # done without error: the value is there
        finally:
            del error  # or the traceback and this frame would keep each other alive


def _holds_cancellation(error: BaseException | None) -> bool:
    """Whether a cancellation comes in a group, as out of a nursery of trio's own."""
    if not isinstance(error, BaseExceptionGroup):
        return False
    group = cast("BaseExceptionGroup[BaseException]", error)
    return group.subgroup(anyio.get_cancelled_exc_class()) is not None


async def run_in_child(work: Callable[[], Awaitable[T]], *, shield: bool = False) -> T:
    """Run ``work`` in a child task and return what it returns, or raise what it raises, bare.

    Cancelling the caller cancels the child through its scope and waits for it. With ``shield`` the child runs to its
    end first, so ``work`` must bound its own time. Raises SelfCancelledError where the work ends cancelled by nobody.
    """
    result: _Result[T] = _Result()
    async with anyio.create_task_group() as group:
        group.start_soon(result.run_shielded if shield else result.run, work)
    if not result.ended:
        await checkpoint_if_cancelled()
        msg = "the work was cancelled by something that it awaited"
        raise SelfCancelledError(msg)
    return result.take()


class Children:
    """A context manager that owns child tasks; leaving it cancels them.

    What the body raises leaves the context bare, never in a group, because the children must not raise: hand them work
    that catches its own errors.
    """

    def __init__(self) -> None:
        self._group: TaskGroup | None = None

    @property
    def open(self) -> bool:
        """Whether children can be started: the context is entered and not left."""
        return self._group is not None

    async def __aenter__(self) -> Self:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    def start(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Start ``work`` as a child task."""
        if self._group is None:
            msg = "no children before the context is entered"
            raise RuntimeError(msg)
        self._group.start_soon(work, *arguments)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._group is None:
            return
        group, self._group = self._group, None
        group.cancel_scope.cancel()
        await group.__aexit__(None, None, None)  # the group never sees the body's own error: it would wrap it


@define(eq=False)
class LoopGuard:
    """Remembers the event loop and the process of the first use, and refuses any other, and every use after the end."""

    _token: EventLoopToken | None = field(default=None, init=False)
    _process: int = field(factory=os.getpid, init=False)
    closed: bool = field(default=False, init=False)

    def check(self) -> None:
        """Bind to the running loop; raise ClientLoopError for another one or another process, ClientClosedError."""
        if os.getpid() != self._process:
            msg = "this client was made in another process: make a client after the fork, in each child"
            raise ClientLoopError(msg)
        if self.closed:
            msg = "this client is closed: make a new one"
            raise ClientClosedError(msg)
        token = current_token()
        if self._token is None:
            self._token = token
        elif self._token != token:
            msg = (
                "this client belongs to another event loop: make one client per event loop "
                "(one asyncio.run or trio.run around all its use)"
            )
            raise ClientLoopError(msg)
