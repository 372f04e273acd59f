from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest

from tests.fleet.limiter.rig import Time
from tests.redis_fixtures import redis_process, server

__all__ = ["clock", "redis_process", "server"]


@pytest.fixture
async def clock() -> AsyncGenerator[Time, None]:
    clock = Time()
    async with anyio.create_task_group() as group:
        group.start_soon(clock.run)
        yield clock
        group.cancel_scope.cancel()
