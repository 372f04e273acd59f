"""What an export tells: its progress and its report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen


@frozen(kw_only=True)
class Progress:
    """How far one kind is.

    Attributes:
        kind: its name.
        rows: rows read so far, those of an interrupted export included.
        total: rows that the server announced, None where it did not yet.
        done: whether the kind is complete.

    """

    kind: str
    rows: int
    total: int | None
    done: bool = False


@frozen(kw_only=True)
class KindReport:
    """What became of one kind.

    Attributes:
        rows: rows in the target now.
        written: rows that were new or differed.
        removed: rows that were there and are gone on the server.
        unsettled: whether the list lost rows each time that it was read: it may lack some, and nothing was removed.

    """

    rows: int
    written: int
    removed: int
    unsettled: bool = False


@frozen(kw_only=True)
class ExportReport:
    """What an export did.

    Attributes:
        organization: its id.
        kinds: name -> what became of it, without those that were refused.
        refused: name of a kind that the token may not read, or that the server does not have -> the server's words.
        started: when the export began, in UTC, by the clock of this machine; for one that was resumed, when it first
            did. A later export with ``since=report.started`` brings what changed; take off some minutes where this
            clock may be ahead of the server's.
        seconds: time that this call took.
        resumed: whether it went on with an export that was interrupted.

    """

    organization: str
    kinds: Mapping[str, KindReport]
    refused: Mapping[str, str]
    started: datetime
    seconds: float
    resumed: bool

    @property
    def rows(self) -> int:
        """Rows of all kinds in the target."""
        return sum(one.rows for one in self.kinds.values())

    @property
    def written(self) -> int:
        """Rows that were new or differed."""
        return sum(one.written for one in self.kinds.values())

    @property
    def removed(self) -> int:
        """Rows that were gone."""
        return sum(one.removed for one in self.kinds.values())

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON values."""
        kinds = {
            name: {"rows": one.rows, "written": one.written, "removed": one.removed, "unsettled": one.unsettled}
            for name, one in self.kinds.items()
        }
        return {
            "organization": self.organization,
            "started": self.started.isoformat(),
            "seconds": self.seconds,
            "resumed": self.resumed,
            "kinds": kinds,
            "refused": dict(self.refused),
        }
