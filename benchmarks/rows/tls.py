"""Reading one task over TLS, with a CA of the benchmark's own: processor time of the client for a call.

Connections are opened before it is measured, so that the figures hold the cost of records, not of handshakes.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from benchmarks.harness import Goal, Line, tls_server
from benchmarks.sampling import Job, lines

_GOALS = {1: Goal(1.15, stretch=0.6), 20: Goal(0.65, stretch=0.3)}


def measure(rounds: int) -> Iterator[Line]:
    """Measure reading a task over TLS."""
    with tls_server() as (url, ca):
        ours = Job(side="tallyfy_async", url=url, ca=ca, at_once=tuple(_GOALS), connections=100)
        stock = evolve(ours, side="httpx", connections=1_000)
        yield from lines("tls", "GET of a task over TLS", rounds, [ours, stock], _GOALS)
        others = [evolve(ours, side=side) for side in ("aiohttp", "requests")]
        yield from lines("tls", "GET of a task over TLS", rounds, [ours, *others])
