"""The refresh storm with tokens kept outside the process, against as many tasks that only sleep.

Files are encrypted, locked by the kernel and written through to the disk; the Redis server is a process of its own. The
row fails unless there was one refresh, every caller got its token, and the store holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from tempfile import TemporaryDirectory

from benchmarks.harness import Goal, Line, RowError, alternate, server
from benchmarks.redis_server import redis_if_any
from benchmarks.storm import CALLERS, in_files, in_redis, sleepers, storm


def measure(rounds: int) -> Iterator[Line]:
    """Measure the refresh storm with a file and, where there is one, with a Redis server."""
    with ExitStack() as stack:
        url = stack.enter_context(server())
        stores = {"file": in_files(stack.enter_context(TemporaryDirectory(prefix="benchmarks-")))}
        redis = redis_if_any(stack)
        if isinstance(redis, str):
            stores["redis"] = in_redis(redis)
        storms = [partial(storm, url, store, "asyncio") for store in stores.values()]
        *ours, peer = alternate(rounds, *storms, partial(sleepers, "asyncio"))
        for store, samples in zip(stores, ours, strict=True):
            case = f"{CALLERS:,} callers, one refresh, {store} store, against sleepers"
            yield Line(row="store_storm", case=case, unit="ms", ours=samples, peer=peer, goal=Goal(1.3))
    if isinstance(redis, RowError):
        raise redis
