"""Everything that a crash report, a log or a pickle would show, searched for the mark of a secret."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Iterator
from typing import Any, Self

from tests.auth.invariants.authority import MARK


class Trap(logging.Handler):
    """Keeps what any logger says."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen = 0
        self.shown: list[str] = []
        self.complaints: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += 1
        text = f"{record.name}: {record.getMessage()} {record.args!r}"
        if record.exc_info is not None and record.exc_info[1] is not None:
            text += shown(record.exc_info[1])
        if MARK in text:
            self.shown.append(text)
        if record.name == "asyncio" and record.levelno >= logging.WARNING:
            self.complaints.append(text)

    def __enter__(self) -> Self:
        self._level = logging.root.level
        logging.root.addHandler(self)
        logging.root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        logging.root.setLevel(self._level)
        logging.root.removeHandler(self)


def shown(error: BaseException) -> str:
    """Return all that is shown of an error, of its causes and of what comes out of its pickle."""
    parts: list[str] = []
    for one in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        parts += [text for link in _chain(one) for text in _texts(link)]
    return "\n".join([*parts, repr(pickle.dumps(error))])


def _texts(error: BaseException) -> Iterator[str]:
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    yield from report.format(chain=False)
    yield from (str(error), repr(error), repr(error.args), repr(error.__dict__), *getattr(error, "__notes__", []))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk to every cause and context, also those that a traceback would not print."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [one.__cause__, one.__context__]


def leaked(text: str) -> list[str]:
    """Return the lines that show a secret, cut short."""
    return [line[:200] for line in text.splitlines() if MARK in line]


def reprs(*things: Any) -> str:
    return "\n".join(f"{thing!r} {thing!s} {thing:}" for thing in things)
