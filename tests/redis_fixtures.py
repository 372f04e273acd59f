"""Fixtures of a Redis or Valkey server, for the conftest of a folder that needs one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
