"""What the demo counts, and the verdict over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self

from attrs import define, field, frozen

from tallyfy_async.telemetry import AttemptRecord, Hooks

_PAGES = frozenset({"list_runs", "list_tasks", "list_run_tasks"})
_TOKENS = frozenset({"create_token", "refresh_token"})
_NUMBERS = ("pages", "items", "missing", "doubled", "foreign", "launched", "completed", "requests", "rate", "seconds")
_TRUE_NUMBERS = ("launched", "completed", "token_requests", "token_lives", "lives_used")
_CAUSES = {
    "NotSentError": "connection refused",
    "RequestTimeoutError": "no reply in time",
    "TransportError": "connection dropped",
}


@define(eq=False)
class Watch(Hooks):
    """Counts what the client tells of its attempts.

    Attributes:
        requests: attempts, token requests included.
        token_requests: those to the token endpoint.
        pages: pages of runs and tasks that came.
        retries: cause of a failed attempt -> how often it led to another attempt.

    """

    requests: int = 0
    token_requests: int = 0
    pages: int = 0
    retries: Counter[str] = field(factory=Counter[str])

    def on_attempt(self, record: AttemptRecord) -> None:
        """Count one attempt."""
        self.requests += 1
        self.token_requests += record.operation in _TOKENS
        self.pages += record.operation in _PAGES and record.error is None
        if record.retry_in is not None:
            self.retries[cause(record)] += 1


def cause(record: AttemptRecord) -> str:
    """Say in a few words why an attempt failed."""
    if record.status is None:
        return _CAUSES.get(record.error or "", record.error or "unknown")
    known = record.status in HTTPStatus.__members__.values()
    return f"{record.status} {HTTPStatus(record.status).phrase.lower() if known else ''}".strip()


@define(eq=False)
class Seen:
    """The ids of one list, as often as they came.

    Attributes:
        announced: items that the server says the list has, None where it does not tell.
        ids: id -> times.
        items: sum of the times.

    """

    announced: int | None = None
    ids: Counter[str] = field(factory=Counter[str])
    items: int = 0

    def add(self, identity: str) -> None:
        """Note one item."""
        self.ids[identity] += 1
        self.items += 1

    @property
    def doubled(self) -> int:
        """Items that came before."""
        return self.items - len(self.ids)

    def missing(self, expected: frozenset[str] | None) -> int | None:
        """Count what did not come: of the ids ``expected``, else of the announced number; None if neither is known."""
        if expected is not None:
            return len(expected - self.ids.keys())
        return None if self.announced is None else max(0, self.announced - len(self.ids))

    def foreign(self, expected: frozenset[str] | None) -> int:
        """Count the ids that came and are not among the ``expected`` ones."""
        return 0 if expected is None else len(self.ids.keys() - expected)


@frozen(kw_only=True)
class Truth:
    """What the sandbox itself knows at the end.

    Attributes:
        runs, tasks: ids of all of them.
        token_requests: requests that the token endpoint got.
        token_lives: access tokens that it issued.
        lives_used: those with which a call was accepted.
        launched, completed: effects of calls.

    """

    runs: frozenset[str] = field(repr=False)
    tasks: frozenset[str] = field(repr=False)
    token_requests: int
    token_lives: int
    lives_used: int
    launched: int
    completed: int

    @classmethod
    def of(cls, truth: Mapping[str, Any], stats: Mapping[str, Any]) -> Self:
        """Return the truth from the replies to GET /_sandbox/truth and GET /_sandbox/stats."""
        return cls(
            runs=frozenset(truth["runs"]),
            tasks=frozenset(truth["tasks"]),
            token_requests=stats["token_total"],
            token_lives=stats["token_lives"],
            lives_used=stats["lives_used"],
            launched=stats["launched"],
            completed=stats["completed"],
        )


@frozen(kw_only=True)
class Report:
    """The end of a demo.

    Attributes:
        runs, tasks: what was read.
        pages: pages that were read.
        requests: HTTP requests, token requests and retries included.
        retries: cause -> number.
        seconds: wall time from the login on.
        launched, completed: writes that the client knows to have landed.
        truth: what the sandbox says, None on other servers.

    """

    runs: Seen
    tasks: Seen
    pages: int
    requests: int
    retries: Mapping[str, int]
    seconds: float
    launched: int = 0
    completed: int = 0
    truth: Truth | None = None

    @property
    def items(self) -> int:
        """Runs and tasks that came."""
        return self.runs.items + self.tasks.items

    @property
    def missing(self) -> int | None:
        """Runs and tasks that did not come; None where nobody knows how many there are."""
        counts = (self.runs.missing(self._true_runs), self.tasks.missing(self._true_tasks))
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    @property
    def doubled(self) -> int:
        """Runs and tasks that came more than once."""
        return self.runs.doubled + self.tasks.doubled

    @property
    def foreign(self) -> int:
        """Runs and tasks that came and are not the organization's."""
        return self.runs.foreign(self._true_runs) + self.tasks.foreign(self._true_tasks)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def _true_runs(self) -> frozenset[str] | None:
        return None if self.truth is None else self.truth.runs

    @property
    def _true_tasks(self) -> frozenset[str] | None:
        return None if self.truth is None else self.truth.tasks

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers and the verdict as JSON values."""
        truth = None if self.truth is None else {name: getattr(self.truth, name) for name in _TRUE_NUMBERS}
        return {
            "problems": self.problems(),
            **{name: getattr(self, name) for name in _NUMBERS},
            "runs": self.runs.items,
            "tasks": self.tasks.items,
            "retries": dict(self.retries),
            "truth": truth,
        }

    def problems(self) -> list[str]:
        """Return what went wrong, in words; empty where the demo holds what it promises."""
        counts = {
            f"{self.missing} items are missing": self.missing,
            f"{self.doubled} items came more than once": self.doubled,
            f"{self.foreign} items are not the organization's": self.foreign,
        }
        found = [words for words, count in counts.items() if count]
        return found if self.truth is None else [*found, *self._contradictions(self.truth)]

    def _contradictions(self, truth: Truth) -> list[str]:
        found: list[str] = []
        if truth.token_requests != truth.token_lives:
            found.append(f"{truth.token_requests} token requests brought {truth.token_lives} tokens")
        if truth.lives_used != truth.token_lives:
            found.append(f"{truth.token_lives - truth.lives_used} tokens were never used")
        for what, known, happened in (
            ("launched", self.launched, truth.launched),
            ("completed", self.completed, truth.completed),
        ):
            if known != happened:
                found.append(f"the client {what} {known}, the sandbox counts {happened}")
        return found
