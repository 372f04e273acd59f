"""What every target keeps: rows, and how far each kind is. Both are committed together.

The methods of a target block; the job calls them one at a time, from a worker thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from math import isfinite
from typing import Any, Literal, Protocol, cast

from attrs import frozen

from tallyfy_async.errors import ConfigurationError, ExportError
from tallyfy_async.export.kinds import Kind, Row

Status = Literal["walking", "done", "refused"]
FORMAT = 1


@frozen(kw_only=True)
class Mark:
    """How far one kind is.

    Attributes:
        status: ``walking`` while its list is read.
        page: the page committed last, 0 for none.
        seen: items of the pages before that one.
        ids: digest of that page's ids, which tells whether the list is still as it was.
        last: id of the row that was the last one when the walk began, until it has come; empty where that is no matter.
        place: how many rows there were up to that one: a walk that finds it earlier or later has missed some, or may.
        shrank: whether the list lost rows while it was read.
        rounds: how often it was begun again.
        whole: whether the target had no row of it when the export began.
        written: rows that were new or differed.
        removed: rows that were gone.
        rows: rows of it in the target, counted when it is done.
        message: why it was refused.

    """

    status: Status = "walking"
    page: int = 0
    seen: int = 0
    ids: str = ""
    last: str = ""
    place: int = 0
    shrank: bool = False
    rounds: int = 0
    whole: bool = True
    written: int = 0
    removed: int = 0
    rows: int = 0
    message: str = ""


@frozen(kw_only=True)
class Plan:
    """What is to be exported.

    Attributes:
        organization: its id.
        kinds: the kinds.
        since: rows that were changed before are passed over; None for everything.
        started: now, in UTC.
        resume: whether to go on with an export that was interrupted.
        owner: tells this export from another one that writes into the same target.

    """

    organization: str
    kinds: Sequence[Kind]
    since: datetime | None
    started: datetime
    resume: bool
    owner: str

    @property
    def identity(self) -> dict[str, str]:
        """What an interrupted export must have been for, to be gone on with."""
        since = "" if self.since is None else self.since.astimezone(UTC).isoformat()
        return {"organization": self.organization, "since": since}


@frozen(kw_only=True)
class Opening:
    """What a target held when it was opened.

    Attributes:
        resumed: whether an interrupted export is gone on with.
        started: when that one began, or this one does.
        marks: name of a kind -> how far it is.

    """

    resumed: bool
    started: datetime
    marks: Mapping[str, Mark]


class Target(Protocol):
    """A place that rows go to. Where it cannot be written, its methods raise what they meet, an OSError for one."""

    def open(self, plan: Plan) -> Opening:
        """Make or open the target; raise ConfigurationError for something else, or another organization's."""
        ...

    def put(self, kind: Kind, rows: Sequence[Row], mark: Mark) -> Mark:
        """Write rows and the mark, both or neither; return the mark with its counts."""
        ...

    def finish(self, kind: Kind, mark: Mark, *, prune: bool) -> Mark:
        """Close a kind, with ``prune`` without the rows that did not come; return the mark with its counts."""
        ...

    def complete(self) -> None:
        """Note that all kinds are done."""
        ...

    def close(self) -> None:
        """Release the target; what was committed stays."""
        ...


def text_of(row: Row) -> str:
    """Return a row's JSON on one line; equal rows give equal texts, whatever the order of their keys.

    Numbers that are too large for a float, which JSON can carry and Python reads as infinite, become null.
    """
    try:
        return _text(row.data)
    except ValueError:
        return _text(_finite(row.data))


def _text(data: object) -> str:
    dumps = partial(json.dumps, separators=(",", ":"), sort_keys=True, allow_nan=False)
    text = dumps(data, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can carry and UTF-8 cannot
        return dumps(data, ensure_ascii=True)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_finite(one) for one in cast("Sequence[Any]", value)]
    return None if isinstance(value, float) and not isfinite(value) else value


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold: half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def digest(ids: Sequence[str]) -> str:
    """Return what tells a page of these ids from any other."""
    return blake2b("\n".join(ids).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def taken(place: object) -> ExportError:
    """Return the error of an export whose target another one has taken over."""
    msg = f"{place}: another export writes here since this one began: run one at a time"
    return ExportError(msg)


def check_organization(place: object, found: object, wanted: str) -> None:
    """Raise ConfigurationError where a target is another organization's."""
    if found != wanted:
        msg = f"{place} holds an export of the organization {found}, not of {wanted}: give each its own"
        raise ConfigurationError(msg)


def mark_of(values: Mapping[str, Any]) -> Mark:
    """Return a mark as it was stored."""
    return Mark(**values)
