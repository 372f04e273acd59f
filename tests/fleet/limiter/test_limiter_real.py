"""A limiter by redis.asyncio, and what happens to a real server."""

from __future__ import annotations

import asyncio
import logging
import time

import anyio
import pytest

from tallyfy_async import ConfigurationError
from tallyfy_async.fleet.limiter import RedisLimiter
from tests.fleet.limiter.rig import ADA, fast, said, until
from tests.redis_server import PASSWORD, RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, as redis.asyncio does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tallyfy_async")


async def test_a_server_that_was_killed_and_comes_back(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with RedisLimiter(server.url, per_user=fast(50, patience=5), patience=5, lease=20) as limiter:
        await limiter.acquire(ADA)
        limiter.release()
        server.stop()
        for _ in range(3):
            await limiter.acquire(ADA)
            limiter.release()
        assert limiter.away
        server.start()
        await until(lambda: not limiter.away)
        await limiter.acquire(ADA)
        limiter.release()
    assert len(said(caplog, "one of 1")) == len(said(caplog, " is back")) == 1
    assert PASSWORD not in caplog.text


async def test_a_server_that_hangs_holds_no_call_longer_than_the_patience(server: RedisServer) -> None:
    async with RedisLimiter(server.url, per_user=fast(50), patience=0.5) as limiter:
        await limiter.acquire(ADA)
        server.pause()
        try:
            began = time.monotonic()
            await limiter.acquire(ADA)
            assert limiter.away
            assert time.monotonic() - began < 5  # on a machine that has other things to do as well
        finally:
            server.resume()
        await until(lambda: not limiter.away)


async def test_a_server_that_forgot_the_scripts_is_told_them_again(server: RedisServer) -> None:
    async with RedisLimiter(server.url, per_user=fast(50, patience=5), patience=5, lease=20) as limiter:
        await limiter.acquire(ADA)
        with server.admin() as admin:
            admin.script_flush()
        await limiter.acquire(ADA)
        assert not limiter.away


async def test_a_server_that_refuses_us_is_told_at_once_without_its_password(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = RedisLimiter(server.url.replace(PASSWORD, "wrong-password"), patience=5, lease=20)
    with pytest.raises(ConfigurationError, match="AuthenticationError") as caught:
        await limiter.__aenter__()
    assert "wrong-password" not in repr(caught.value)
    assert not caplog.records, "nothing goes on"


@pytest.mark.parametrize("steps", range(0, 40, 4))
async def test_who_is_cancelled_natively_while_he_enters_or_leaves_closes_his_connections(
    server: RedisServer, steps: int
) -> None:
    async def enter_and_leave() -> None:
        async with RedisLimiter(server.url, patience=5, lease=20):
            await asyncio.sleep(0)

    task = asyncio.create_task(enter_and_leave())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with server.admin() as admin:
        await until(lambda: len(admin.client_list()) == 1)
        assert not admin.exists("{tallyfy_async:pace}:members")


@pytest.mark.parametrize("steps", range(0, 24, 2))
async def test_a_native_cancellation_anywhere_leaves_nothing_taken(server: RedisServer, steps: int) -> None:
    async with RedisLimiter(server.url, per_user=fast(200, 9, 5), at_once=3, slots=2, patience=5, lease=20) as limiter:
        tasks = [asyncio.create_task(limiter.acquire(ADA)) for _ in range(3)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in ended:
            if outcome is None:
                limiter.release()
        assert limiter._local.free == 2
        assert (limiter._leases.running, limiter._leases.waiting) == (0, 0)
        assert all(line.waiting == 0 for line in limiter._lines.lines.values())
        with anyio.fail_after(20):
            await limiter.acquire(ADA)
        limiter.release()
