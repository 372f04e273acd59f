from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import anyio
import pytest

from tests.fleet.limiter.rig import Time
from tests.redis_server import RedisServer, served_redis


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    with served_redis() as server:
        yield server


@pytest.fixture
def server(redis_process: RedisServer) -> RedisServer:
    """A server that runs and is empty."""
    redis_process.start()
    redis_process.resume()
    with redis_process.admin() as admin:
        admin.flushall()
        admin.script_flush()
    return redis_process


@pytest.fixture
async def clock() -> AsyncGenerator[Time, None]:
    clock = Time()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.run)
        yield clock
        group.cancel_scope.cancel()
