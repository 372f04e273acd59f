"""The numbers that everything here starts from: what is published, what was measured, and what is assumed.

Nothing of this was tried against the real Tallyfy.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from attrs import fields, frozen

from benchmarks.harness import ROOT, RowError
from tallyfy_async.config import ClientConfig
from tallyfy_async.export import job
from tallyfy_async.protocol.limits import HOUR

USER_PER_MINUTE = 600
"""Requests of one user in a rolling minute (contract: identity notes, "Rate limits")."""
ORGANIZATION_PER_MINUTE = 100
"""Requests of one organization a minute, as an older document has it (the same notes)."""
ORGANIZATION_PER_HOUR = 1_000
"""Requests of one organization an hour, as the same older document has it."""
WINDOW = 60.0

ACCESS_LIFE = HOUR
"""Seconds that an access token lives (seed 002)."""
TOKENS_PER_MINUTE = 60
"""Token requests of one address a minute. Published is only that the endpoint throttles, not how much: this is what
Laravel's throttle does unless told otherwise."""

NETWORK = 0.05
"""Seconds to the server and back; assumed."""
WORK = 0.15
"""Seconds that the server works on an answer, the median; a refusal takes none. Assumed."""
SPREAD = 0.3
"""Standard deviation of the logarithm of that time; assumed."""

REDIS_TRIP = 0.001
"""Seconds to Redis and back in a data centre; assumed."""
REDIS_DECISION = 40e-6
"""Seconds that a decision keeps Redis' one thread busy: 24 us were measured by :mod:`benchmarks.capacity.measured`, the
rest is for many connections, which it had not."""
REDIS_ATTENDANCE = 30e-6
"""The same for the message of one of 1,000 processes that it lives; measured, as above."""
BUCKET_BYTES = 200
"""Bytes of a bucket in Redis, its key included; measured, as above."""
TOKEN_BYTES = 3_300
"""Bytes of a stored token in Redis, its key included; measured, as above."""
PAGE_CPU = 0.02
"""Seconds of processor time for a page of 100 tasks from the socket into SQLite; measured, as above."""

_WHOLE = re.compile(r"^\| whole call .*?\| (\d+) us +\| 100 % +\| (\d+) us +\| 100 % +\|$", re.MULTILINE)


@frozen(kw_only=True)
class Defaults:
    """What a client does unless told otherwise.

    Attributes:
        connections: exchanges at once.
        deadline: seconds of a call with its retries and waits.
        ahead: pages of a list that an export asks for ahead.

    """

    connections: int
    deadline: float
    ahead: int


def defaults() -> Defaults:
    """Return the package's own."""
    config: Any = fields(ClientConfig)
    return Defaults(
        connections=config.max_connections.default,
        deadline=config.deadline.default,
        ahead=job._AHEAD,  # noqa: SLF001 - the default of the public functions' argument
    )


def call_cpu(page: Path = ROOT / "docs" / "performance.md") -> float:
    """Return the seconds of processor time that a small call takes among twenty, from the measured table of a page."""
    found = _WHOLE.search(page.read_text("utf-8"))
    if found is None:
        msg = f"{page.name} has no row of the whole call"
        raise RowError(msg)
    return int(found[2]) / 1e6
