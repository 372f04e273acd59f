"""What an export of many organizations tells: its progress and its report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from tallyfy_async.export.report import ExportReport


@frozen(kw_only=True)
class FleetProgress:
    """How far one kind of one organization is.

    Attributes:
        organization: id of the organization.
        kind: its name.
        rows: rows read so far in this round, those of an interrupted export included.
        total: rows that the server announced, None where it did not yet.
        done: whether the kind is complete.

    """

    organization: str
    kind: str
    rows: int
    total: int | None
    done: bool = False


@frozen(kw_only=True)
class FleetReport:
    """What an export of many organizations did.

    Attributes:
        organizations: id -> its report.
        started: when the export began, in UTC, by the clock of this machine; for one that was resumed, when it first
            did. A later export with ``since=report.started`` brings what changed; take off some minutes where this
            clock may be ahead of the server's.
        seconds: time that this call took.
        resumed: whether it went on with an export that was interrupted.
        units: units that were read by this call, those that were read again included.

    """

    organizations: Mapping[str, ExportReport]
    started: datetime
    seconds: float
    resumed: bool
    units: int

    @property
    def rows(self) -> int:
        """Rows of all organizations in the destination."""
        return sum(one.rows for one in self.organizations.values())

    @property
    def written(self) -> int:
        """Rows that were new or differed."""
        return sum(one.written for one in self.organizations.values())

    @property
    def removed(self) -> int:
        """Rows that were gone."""
        return sum(one.removed for one in self.organizations.values())

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON values."""
        return {
            "started": self.started.isoformat(),
            "seconds": self.seconds,
            "resumed": self.resumed,
            "units": self.units,
            "organizations": {name: one.to_dict() for name, one in self.organizations.items()},
        }
