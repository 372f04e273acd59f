from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallyfy_async.auth.stores import redis_commands
from tests.redis_server import RedisServer, served_redis


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, as redis.asyncio does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as a busy machine may stand still; what is about patience sets its own."""
    monkeypatch.setattr(redis_commands, "PATIENCE", 30.0)


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
    return redis_process
