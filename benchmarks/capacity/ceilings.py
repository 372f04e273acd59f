"""What saturates first, and how long 10,000 organizations take: arithmetic on the published and measured numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import field, frozen

from benchmarks.capacity import published as p
from tallyfy_async.export.kinds import KINDS, Kind
from tallyfy_async.protocol.limits import HOUR

ORGANIZATIONS = 10_000
TOKENS = {f"tokens, {most} a minute": most for most in (p.TOKENS_IF_NARROW, p.TOKENS_PER_MINUTE)}
"""Token requests a minute, by the name of what bounds them: which of the two holds is not known."""


def latency() -> float:
    """Return the seconds of a reply, the mean."""
    return p.NETWORK + p.WORK * math.exp(p.SPREAD**2 / 2)


@frozen(kw_only=True)
class Ceiling:
    """What bounds the calls of a fleet.

    Attributes:
        name: of what runs out.
        rate: calls a second that it allows.

    """

    name: str
    rate: float


def ceilings(processes: int, organizations: int, cpu: float = p.PAGE_CPU) -> list[Ceiling]:
    """Return what bounds so many processes, each on a core, that read so many organizations, each by a user of its own.

    ``cpu`` is what a call takes of a core, in seconds. A question to Redis goes before each call.
    """
    own = p.defaults()
    attending = processes * 3 / own.lease * p.REDIS_ATTENDANCE  # each tells three times in a lease that it lives
    return [
        Ceiling(name="processors", rate=processes / cpu),
        Ceiling(name="connections", rate=processes * own.connections / latency()),
        Ceiling(name="users' limits", rate=organizations * p.USER_PER_MINUTE / 60),
        Ceiling(name="Redis", rate=max(0.0, 1 - attending) / p.REDIS_DECISION),
    ]


def older(organizations: int) -> list[Ceiling]:
    """Return what the limits of the older document allow."""
    return [
        Ceiling(name="organizations' minute", rate=organizations * p.ORGANIZATION_PER_MINUTE / 60),
        Ceiling(name="organizations' hour", rate=organizations * p.ORGANIZATION_PER_HOUR / HOUR),
    ]


def first(found: list[Ceiling]) -> Ceiling:
    """Return what saturates first."""
    return min(found, key=lambda one: one.rate)


@frozen(kw_only=True)
class Size:
    """A class of organizations; how large they are is assumed.

    Attributes:
        name: of the class.
        share: the part of all organizations.
        tasks: that one has.

    """

    name: str
    share: float
    tasks: int

    def rows(self, kind: Kind) -> int:
        """Return how many rows of a kind one has."""
        return math.ceil(self.tasks * _SHARES.get(kind.name, 0.0))

    @property
    def calls(self) -> int:
        """Calls of one export: at least one for each list."""
        return sum(max(1, math.ceil(self.rows(kind) / (kind.operation.max_per_page or 100))) for kind in KINDS)

    def hours(self, per_hour: float) -> float:
        """Return the hours of one export at a rate."""
        return self.calls / per_hour

    @property
    def tokens(self) -> int:
        """Token requests of one export at its user's limit: one for each begun life of a token."""
        return math.ceil(self.hours(60 * p.USER_PER_MINUTE) * HOUR / p.ACCESS_LIFE)


_SHARES: Mapping[str, float] = {"tasks": 1, "runs": 0.1, "checklists": 0.01, "guests": 0.04, "users": 0.02}
"""Rows of a kind for each task; of all others there is one page. Assumed."""
SIZES = (
    Size(name="small", share=0.7, tasks=500),
    Size(name="medium", share=0.25, tasks=5_000),
    Size(name="large", share=0.05, tasks=50_000),
)


@frozen(kw_only=True)
class Plan:
    """The export of many organizations, all sizes mixed.

    Attributes:
        organizations: how many.
        sizes: how large they are.

    """

    organizations: int = ORGANIZATIONS
    sizes: tuple[Size, ...] = field(default=SIZES)

    def count(self, size: Size) -> int:
        """Return how many organizations are of a size."""
        return round(self.organizations * size.share)

    @property
    def calls(self) -> int:
        """Calls in all."""
        return sum(self.count(size) * size.calls for size in self.sizes)

    @property
    def tasks(self) -> int:
        """Tasks in all."""
        return sum(self.count(size) * size.tasks for size in self.sizes)

    @property
    def tokens(self) -> int:
        """Token requests in all, where none lives already."""
        return sum(self.count(size) * size.tokens for size in self.sizes)

    @property
    def redis_bytes(self) -> int:
        """Bytes in Redis: a token and a bucket for each organization."""
        return self.organizations * (p.TOKEN_BYTES + p.BUCKET_BYTES)

    def hours(self, processes: int) -> dict[str, float]:
        """Return the hours that each of what bounds it takes, as if it were alone."""
        found = {one.name: self.calls / one.rate / HOUR for one in ceilings(processes, self.organizations)}
        largest = max(self.sizes, key=lambda size: size.calls)
        found["users' limits"] = largest.hours(60 * p.USER_PER_MINUTE)
        return found | {name: self.tokens / most / 60 for name, most in TOKENS.items()}

    def slowest(self, processes: int, tokens: str) -> str:
        """Return what takes longest, where of the bounds of token requests the one of that name holds."""
        hours = {name: value for name, value in self.hours(processes).items() if name == tokens or name not in TOKENS}
        return max(hours, key=lambda name: hours[name])

    def by_one(self) -> float:
        """Return the hours that all of it takes where one user reads all organizations."""
        return self.calls / p.USER_PER_MINUTE / 60

    def older_hours(self) -> float:
        """Return the hours that the largest organization takes within 1,000 calls an hour."""
        return max(size.hours(p.ORGANIZATION_PER_HOUR) for size in self.sizes)
