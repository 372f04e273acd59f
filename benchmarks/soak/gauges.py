"""What can leak in this process, read from outside of the client."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from attrs import frozen

from benchmarks.harness import RowError, memory
from tallyfy_async import TallyfyClient
from tallyfy_async.transport.http import HTTPTransport

_SPAN = 10.0


@frozen(kw_only=True)
class Gauges:
    """One reading: running tasks, open descriptors, connections with an exchange under way, and slots taken."""

    tasks: int
    descriptors: int
    busy: int = 0
    taken: int = 0

    @classmethod
    def read(cls, client: TallyfyClient | None = None) -> Gauges:
        """Read this process, and a client's pool and limiter."""
        open_now = len(list(Path("/dev/fd").iterdir()))
        tasks = len(anyio.get_running_tasks())
        if client is None:
            return cls(tasks=tasks, descriptors=open_now)
        limiter = client._limiter  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        return cls(tasks=tasks, descriptors=open_now, busy=_pool(client).busy, taken=limiter.slots - limiter.free)

    def above(self, other: Gauges) -> Gauges:
        """Return by how much each is larger than in another reading; 0 where it is not."""
        return Gauges(
            tasks=max(0, self.tasks - other.tasks),
            descriptors=max(0, self.descriptors - other.descriptors),
            busy=max(0, self.busy - other.busy),
            taken=max(0, self.taken - other.taken),
        )

    @property
    def nothing(self) -> bool:
        """Whether every number is 0."""
        return not any((self.tasks, self.descriptors, self.busy, self.taken))


def _pool(client: TallyfyClient) -> Any:
    transport = client._transport.opened()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    if not isinstance(transport, HTTPTransport):
        msg = "the client has no pool of its own"
        raise RowError(msg)
    return vars(transport.client)["_transport"]


def resident() -> int | None:
    """Return the resident bytes of this process, None where they cannot be had."""
    return memory() if os.path.exists("/proc/self/status") else None  # noqa: PTH110 - no path is kept


def blocks() -> int:
    """Return how many blocks of memory Python's objects take, once what only cycles keep is gone."""
    gc.collect()
    return sys.getallocatedblocks()


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """Return by how much the second half of the samples (seconds, figure) grows: its fitted line, from end to end.

    0 for fewer than 10 samples in that half or less than 10 seconds: it would tell of caches that fill.
    """
    half = samples[len(samples) // 2 :]
    if len(half) < 10 or half[-1][0] - half[0][0] < _SPAN:
        return 0.0
    times, sizes = [at for at, _ in half], [size for _, size in half]
    middle, mean = sum(times) / len(times), sum(sizes) / len(sizes)
    spread = sum((at - middle) ** 2 for at in times)
    slope = sum((at - middle) * (size - mean) for at, size in half) / spread
    return slope * (times[-1] - times[0])
