"""10,000 callers who find the token expired, against 10,000 tasks that sleep as long as a token request takes.

On asyncio and on trio, with tokens kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import Goal, Line, alternate, server
from benchmarks.storm import CALLERS, in_memory, sleepers, storm


def measure(rounds: int) -> Iterator[Line]:
    """Measure the refresh storm on asyncio and trio."""
    with server() as url:
        for backend in ("asyncio", "trio"):
            ours, peer = alternate(
                rounds if backend == "asyncio" else min(rounds, 3),
                partial(storm, url, in_memory, backend),
                partial(sleepers, backend),
            )
            yield Line(
                row="refresh_storm",
                case=f"{CALLERS:,} callers, one refresh, against sleepers, {backend}",
                unit="ms",
                ours=ours,
                peer=peer,
                goal=Goal(1.3, stretch=1.0) if backend == "asyncio" else None,
            )
