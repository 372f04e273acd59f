"""Reading a compressed page of 100 tasks: processor time of the client, unpacking and models included.

The server refuses whoever does not ask for compression. Information only: against the official SDK, against httpx,
which builds no models, and against the same page uncompressed, which tells what unpacking costs.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from benchmarks.harness import Line, server
from benchmarks.sampling import Job, lines


def measure(rounds: int) -> Iterator[Line]:
    """Measure reading a compressed page."""
    with server() as url:
        ours = Job(side="tallyfy_async", what="page", url=f"{url}/gzip", calls=20)
        yield from lines("gzip", "100 tasks", rounds, [ours, evolve(ours, side="tallyfy")])
        yield from lines("gzip", "100 tasks", rounds, [ours, evolve(ours, side="httpx")])
        yield from lines("gzip", "100 tasks", rounds, [ours, evolve(ours, url=url)], against="no compression")
