"""What became of many jobs: one row each, saved and loaded as JSON."""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, Self, TypeVar

from attrs import define, field, frozen

from tallyfy_async.errors import ConfigurationError, KickoffError, Outcome, TallyfyError
from tallyfy_async.protocol.converter import structure, unstructure
from tallyfy_async.protocol.redaction import redact

T = TypeVar("T")
_FORMAT = 1


class State(enum.Enum):
    """What became of a row."""

    DONE = "done"
    """It took effect."""
    REFUSED = "refused"
    """The server, or the check before anything was sent, said no: nothing happened."""
    UNKNOWN = "unknown"
    """It may have taken effect: read back before running it again."""
    NOT_RUN = "not_run"
    """It did not come to its turn, or nothing of it reached the server."""


@frozen(kw_only=True)
class Problem:
    """Why a row is not simply done: an error as plain values, so that it can be saved.

    Attributes:
        kind: name of the error's class.
        message: what the error says, notes included, secrets masked.
        status: HTTP status, None where no reply came.
        code: the machine-readable code of the reply.
        request_id: the server's name for the request.
        fields: field -> what is wrong with it, of a ValidationError or a KickoffError.

    """

    kind: str
    message: str
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    fields: Mapping[str, str] = field(factory=dict[str, str])

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Return an error without its traceback, which would keep the row's data alive."""
        notes: list[str] = getattr(error, "__notes__", [])
        fields: Mapping[str, Any] = getattr(error, "fields", {})
        return cls(
            kind=type(error).__name__,
            message=redact("\n".join([str(error), *notes])),
            status=getattr(error, "status", None),
            code=getattr(error, "code", None),
            request_id=getattr(error, "request_id", None),
            fields={name: told if isinstance(told, str) else " ".join(told) for name, told in fields.items()},
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


UNDER_WAY = Problem(kind="Unfinished", message="it was under way when this was written, or when the work was cut off")


@frozen(kw_only=True)
class Row(Generic[T]):
    """What became of one job.

    Attributes:
        key: the job's key.
        state: what became of it.
        result: what the job returned. None unless it is done, and after a report was loaded from CSV.
        reference: the ``id`` of the result, where it has one.
        problem: why it is not simply done. A row that is done has one where only the reply could not be used.
        mark: tells whether a later job of the same key is the same job, None where nobody can tell.

    """

    key: str
    state: State = State.NOT_RUN
    result: T | None = None
    reference: str | None = None
    problem: Problem | None = None
    mark: str | None = None


def row_of_result(key: str, result: T, mark: str | None) -> Row[T]:
    """Return the row of a job that returned."""
    found = getattr(result, "id", None)
    reference = None if found is None else str(found)
    return Row(key=key, state=State.DONE, result=result, reference=reference, mark=mark)


def row_of_error(key: str, error: BaseException, mark: str | None) -> Row[Any]:
    """Return the row of a job that raised: unless the error says that nothing happened, it may have landed."""
    return Row(key=key, state=_state_of(error), problem=Problem.of(error), mark=mark)


def _state_of(error: BaseException) -> State:
    if isinstance(error, ConfigurationError | KickoffError):
        return State.REFUSED
    outcome = error.outcome if isinstance(error, TallyfyError) else None
    return {Outcome.NOT_SENT: State.NOT_RUN, Outcome.REFUSED: State.REFUSED, Outcome.DONE: State.DONE}.get(
        outcome or Outcome.UNKNOWN, State.UNKNOWN
    )


@define(eq=False, repr=False)
class Report(Generic[T]):
    """The rows of a bulk in the order of their keys' first mention; readable while it runs, and afterwards.

    Attributes:
        stopped: why no more rows were begun, None where nothing stopped them.

    """

    stopped: Problem | None = None
    _rows: dict[str, Row[T]] = field(factory=dict[str, Row[T]], init=False)
    _counts: Counter[State] = field(factory=Counter[State], init=False)

    def put(self, row: Row[T]) -> None:
        """Write a row in place of the one of the same key."""
        if (earlier := self._rows.get(row.key)) is not None:
            self._counts[earlier.state] -= 1
        self._rows[row.key] = row
        self._counts[row.state] += 1

    def get(self, key: str) -> Row[T] | None:
        """Return the row of a key, None where there is none."""
        return self._rows.get(key)

    def count(self, state: State) -> int:
        """Return how many rows are in a state."""
        return self._counts[state]

    @property
    def done(self) -> tuple[Row[T], ...]:
        """The rows that took effect."""
        return self._of(State.DONE)

    @property
    def refused(self) -> tuple[Row[T], ...]:
        """The rows that were refused, for good unless something is corrected."""
        return self._of(State.REFUSED)

    @property
    def unknown(self) -> tuple[Row[T], ...]:
        """The rows that may have taken effect, those under way included."""
        return self._of(State.UNKNOWN)

    @property
    def not_run(self) -> tuple[Row[T], ...]:
        """The rows of which nothing reached the server."""
        return self._of(State.NOT_RUN)

    @property
    def complete(self) -> bool:
        """Whether every row is done."""
        return self._counts[State.DONE] == len(self._rows)

    def _of(self, state: State) -> tuple[Row[T], ...]:
        return tuple(row for row in self._rows.values() if row.state is state)

    def __getitem__(self, key: str) -> Row[T]:
        return self._rows[key]

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[Row[T]]:
        return iter(tuple(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        told = ", ".join(f"{self._counts[state]} {state.value.replace('_', ' ')}" for state in State)
        return f"<Report of {len(self)}: {told}{f'; stopped: {self.stopped.kind}' if self.stopped else ''}>"

    def to_json(self) -> str:
        """Return the report as JSON text, models as the API's JSON; a result that JSON cannot carry is left out."""
        rows = [_plain_row(row) for row in self._rows.values()]
        whole = {"tallyfy_bulk": _FORMAT, "rows": rows, "stopped": self.stopped and unstructure(self.stopped)}
        return json.dumps(whole, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, kind: Any = None) -> Self:
        """Return the report that :meth:`to_json` wrote.

        ``kind`` is what the results are, such as ``Run``; without it they are JSON values. Raises ConfigurationError
        for a text that is no report, DecodeError for a result that is not of that kind.
        """
        try:
            whole = json.loads(text)
            rows = [_read_row(entry) for entry in _opened(whole, "rows")]
            stopped = _read_problem(whole["stopped"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            msg = "this is no report that to_json wrote"
            raise ConfigurationError(msg) from None
        return cls.of((_of_kind(row, kind) for row in rows), stopped=stopped)

    @classmethod
    def of(cls, rows: Iterable[Row[T]], *, stopped: Problem | None = None) -> Self:
        """Return a report of these rows."""
        report = cls(stopped=stopped)
        for row in rows:
            report.put(row)
        return report


def _plain_row(row: Row[Any]) -> dict[str, Any]:
    problem = row.problem and unstructure(row.problem)
    plain = {"key": row.key, "state": row.state.value, "reference": row.reference, "mark": row.mark, "problem": problem}
    return {**plain, "result": _plain(row.result)}


def _plain(result: Any) -> Any:
    try:
        return json.loads(json.dumps(unstructure(result), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None


def _opened(whole: Mapping[str, Any], name: str) -> Any:
    if whole["tallyfy_bulk"] != _FORMAT:
        raise ValueError
    return whole[name]


def _read_row(entry: Mapping[str, Any]) -> Row[Any]:
    texts = [entry["key"], *(one for name in ("reference", "mark") if (one := entry[name]) is not None)]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError
    return Row(
        key=entry["key"],
        state=State(entry["state"]),
        result=entry["result"],
        reference=entry["reference"],
        mark=entry["mark"],
        problem=_read_problem(entry["problem"]),
    )


def _read_problem(entry: Mapping[str, Any] | None) -> Problem | None:
    return None if entry is None else Problem(**entry)


def _of_kind(row: Row[Any], kind: Any) -> Row[Any]:
    if kind is None or row.result is None:
        return row
    result = structure(row.result, kind, path=f"rows[{row.key!r}].result")
    return Row(key=row.key, state=row.state, result=result, reference=row.reference, problem=row.problem, mark=row.mark)
