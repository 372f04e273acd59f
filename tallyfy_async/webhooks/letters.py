"""Dead letters: events that no handler has dealt with, and why."""

from __future__ import annotations

import enum
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias, TypedDict, cast

from attrs import field, frozen

from tallyfy_async.telemetry import logger
from tallyfy_async.webhooks.events import AnyEvent


class Reason(enum.Enum):
    """Why a handler has not dealt with an event."""

    RAISED = "raised"
    TIMEOUT = "timeout"
    """The handler's deadline passed."""
    CANCELLED = "cancelled"
    """The handler was cancelled by something of its own."""
    STORE = "store"
    """The dedupe store failed, so that the handler was not called."""
    BUSY = "busy"
    """An older event of the same subject was in hand for too long."""
    SHUTDOWN = "shutdown"
    """The dispatcher was shut down before its turn, or its end."""


@frozen(kw_only=True)
class DeadLetter:
    """An event that a handler has not dealt with; ``dispatcher.retry`` gives it another try.

    Attributes:
        event: the event.
        handler: name of the handler; None: any that wants the event.
        reason: why.
        error: name of the error's class, None where there was none.
        exception: the error itself; it and those that led to it have no tracebacks, whose variables would be kept.
        lines: the error's traceback as text, innermost call last: lines of code, no values.
        at: when, in epoch seconds.

    """

    event: AnyEvent
    handler: str | None
    reason: Reason
    error: str | None = None
    exception: Exception | None = field(default=None, repr=False, eq=False)
    lines: str = field(default="", repr=False, eq=False)
    at: float


class _Told(TypedDict):
    error: str | None
    exception: Exception | None
    lines: str


def told_of(error: Exception | None) -> _Told:
    """Return what a dead letter tells of an error, and take its tracebacks off."""
    if error is None:
        return {"error": None, "exception": None, "lines": ""}
    lines = "".join(traceback.format_tb(error.__traceback__))
    _strip(error)
    return {"error": type(error).__name__, "exception": error, "lines": lines}


def _strip(error: BaseException) -> None:
    # Frames are not cleared: one may be of a coroutine that goes on elsewhere, which clearing would end.
    found: list[BaseException | None] = [error]
    seen: set[int] = set()
    while found:
        one = found.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            found += [one.__cause__, one.__context__]
            if isinstance(one, BaseExceptionGroup):
                found += cast("BaseExceptionGroup[BaseException]", one).exceptions


OnDeadLetter: TypeAlias = Callable[[DeadLetter], Awaitable[object] | object]


class DeadLetters:
    """The last dead letters, oldest first.

    Attributes:
        most: how many are kept; the oldest give way.
        total: how many there ever were.
        dropped: how many gave way.

    """

    def __init__(self, most: int = 1_000) -> None:
        self.most = most
        self.total = 0
        self.dropped = 0
        self._letters: deque[DeadLetter] = deque()

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._letters))

    def add(self, letter: DeadLetter) -> None:
        """Keep a letter, and say in the log that there is one."""
        where = letter.handler or "no handler"
        logger.error("webhook event %s: %s %s (%s)", letter.event.kind, where, letter.reason.value, letter.error or "-")
        self.total += 1
        self._letters.append(letter)
        while len(self._letters) > self.most:
            self._letters.popleft()
            self.dropped += 1

    def take(self) -> list[DeadLetter]:
        """Return the letters and keep none of them."""
        letters = list(self._letters)
        self._letters.clear()
        return letters
