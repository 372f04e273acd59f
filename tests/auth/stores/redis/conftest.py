from __future__ import annotations

import pytest

from tallyfy_async.auth.stores import redis_commands
from tests.redis_fixtures import redis_process, server

__all__ = ["anyio_backend", "patience", "redis_process", "server"]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, as redis.asyncio does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as a busy machine may stand still; what is about patience sets its own."""
    monkeypatch.setattr(redis_commands, "PATIENCE", 30.0)
