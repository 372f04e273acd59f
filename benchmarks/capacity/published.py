"""The numbers that everything here starts from: what is published, what was measured, and what is assumed.

Nothing of this was tried against the real Tallyfy.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from attrs import fields, frozen

from benchmarks.harness import ROOT, RowError
from tallyfy_async.config import ClientConfig
from tallyfy_async.credentials import TOKEN_CONNECTIONS
from tallyfy_async.export import job
from tallyfy_async.fleet import RedisLimiter
from tallyfy_async.protocol.limits import GUEST_INVITE, HOUR, HOURLY_CAPS

USER_PER_MINUTE = 600
"""Requests of one user in a rolling minute (contract: identity notes, "Rate limits")."""
ORGANIZATION_PER_MINUTE = 100
"""Requests of one organization a minute, as an older document has it (the same notes)."""
ORGANIZATION_PER_HOUR = 1_000
"""Requests of one organization an hour, as the same older document has it."""
WINDOW = 60.0
INVITES_PER_HOUR = HOURLY_CAPS[GUEST_INVITE]
"""Guests that may be invited to one organization in a rolling hour (the same notes)."""
BURST, BURST_SECONDS = 20, 2.0
"""Requests of one user in so many seconds. Published is a "burst throttle of a few seconds" without a number (the same
notes); assumed is the rate of the minute's limit, over two seconds."""

ACCESS_LIFE = HOUR
"""Seconds that an access token lives (seed 002)."""
TOKENS_PER_MINUTE = 600
"""Requests of one address a minute where nobody is signed in, as for a token (the same notes)."""
TOKENS_IF_NARROW = 60
"""The same, if the token endpoint has a throttle of its own: what Laravel's does unless told otherwise. Assumed."""

NETWORK = 0.05
"""Seconds to the server and back; assumed."""
WORK = 0.15
"""Seconds that the server works on an answer, the median; a refusal takes none. Assumed."""
SPREAD = 0.3
"""Standard deviation of the logarithm of that time; assumed."""

REDIS_TRIP = 0.001
"""Seconds to Redis and back in a data centre; assumed."""
REDIS_DECISION = 40e-6
"""Seconds that a decision keeps Redis' one thread busy: 18 and 24 us were measured by
:mod:`benchmarks.capacity.measured` on 2026-11-22, the rest is for many connections, which it had not."""
REDIS_ATTENDANCE = 30e-6
"""The same for the message of one of 1,000 processes that it lives; measured, as above."""
BUCKET_BYTES = 200
"""Bytes of a bucket in Redis, its key included; measured, as above."""
TOKEN_BYTES = 3_300
"""Bytes of a stored token in Redis, its key included; measured, as above."""
PAGE_CPU = 0.02
"""Seconds of processor time for a page of 100 tasks from the socket into SQLite; measured, as above."""
CLIENT_BYTES = 10_000
"""Bytes of a further client that has made no call yet; measured, as above."""
ORGANIZATION_BYTES = 3_500
"""Bytes of a further organization of a client, with a credential of its own; measured, as above."""

_WHOLE = re.compile(r"^\| whole call .*?\| (\d+) us +\| 100 % +\| (\d+) us +\| 100 % +\|$", re.MULTILINE)


@frozen(kw_only=True)
class Defaults:
    """What a client does unless told otherwise.

    Attributes:
        connections: exchanges at once.
        deadline: seconds of a call with its retries and waits.
        ahead: pages of a list that an export asks for ahead.
        lease: seconds for which a process counts in a RedisLimiter that is heard of no more.
        patience: seconds that an answer of Redis may take.

    """

    connections: int
    deadline: float
    ahead: int
    lease: float
    patience: float

    @property
    def to_tallyfy(self) -> int:
        """Connections of one client at most, for calls and tokens."""
        return self.connections + TOKEN_CONNECTIONS

    @property
    def to_redis(self) -> int:
        """Connections of one RedisLimiter at most: each slot may ask, and the process tells that it lives."""
        return self.connections + 1


def defaults() -> Defaults:
    """Return the package's own."""
    config: Any = fields(ClientConfig)
    limiter = inspect.signature(RedisLimiter).parameters
    return Defaults(
        connections=config.max_connections.default,
        deadline=config.deadline.default,
        ahead=job._AHEAD,  # noqa: SLF001 - the default of the public functions' argument
        lease=limiter["lease"].default,
        patience=limiter["patience"].default,
    )


def call_cpu(page: Path = ROOT / "docs" / "performance.md") -> float:
    """Return the seconds of processor time that a small call takes among twenty, from the measured table of a page."""
    found = _WHOLE.search(page.read_text("utf-8"))
    if found is None:
        msg = f"{page.name} has no row of the whole call"
        raise RowError(msg)
    return int(found[2]) / 1e6
