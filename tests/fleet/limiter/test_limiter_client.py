"""A limiter in the clients that it is given to."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tallyfy_async import ConfigurationError, RateLimit, RateLimitError, TallyfyClient
from tallyfy_async.fleet import RedisLimiter
from tallyfy_async.sandbox import Fault, Sandbox
from tests.fleet.limiter.rig import Time, fast, joined
from tests.helpers import connect, small_sandbox
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Sandbox:
    return small_sandbox()


async def test_a_client_and_those_derived_from_it_go_by_the_limiter_and_leave_it_open(
    server: RedisServer, clock: Time, sandbox: Sandbox
) -> None:
    async with joined(server, clock, per_user=fast(10)) as limiter:
        async with connect(sandbox, limiter=limiter, clock=clock) as client:
            derived = client.with_options(timeout=5)
            await client.me.get()  # the first one takes a turn to see that there is no token
            began = clock.monotonic()
            for _ in range(5):
                await client.me.get()
                await derived.me.get()
            assert clock.monotonic() - began == pytest.approx(1.0, abs=0.01)
            assert len(limiter._lines.lines) == 1
            assert "RedisLimiter" in repr(client)
        await limiter.acquire("somebody else")
        limiter.release()


async def test_what_is_told_apart_is_the_user_and_the_organization(
    server: RedisServer, clock: Time, sandbox: Sandbox
) -> None:
    settings: dict[str, Any] = {"per_user": fast(10), "per_organization": fast(5)}
    async with (
        joined(server, clock, **settings) as limiter,
        connect(sandbox, limiter=limiter, clock=clock) as client,
    ):
        await client.me.get()
        await client.organization().get()
        await client.organization().runs.list()
        lines = list(limiter._lines.lines)
    assert lines == [(client.tokens.key, None), (client.tokens.key, sandbox.credentials.organization)]


async def test_a_429_of_one_process_holds_the_user_back_in_the_other(
    server: RedisServer, clock: Time, sandbox: Sandbox
) -> None:
    sandbox.faults.add(Fault(path="/me", status=429, headers={"Retry-After": "30"}, times=1))
    async with (
        joined(server, clock, per_user=fast(10, 5)) as one,
        joined(server, clock, per_user=fast(10, 5)) as two,
        connect(sandbox, limiter=one, clock=clock) as first,
        connect(sandbox, limiter=two, clock=clock) as second,
        anyio.create_task_group() as group,
    ):
        group.start_soon(first.me.get)
        await clock.sleep(0.3)
        assert sandbox.stats.by_status[429] == 1
        await second.me.get()
        assert clock.monotonic() >= 30
    assert sandbox.stats.by_status == {429: 1, 200: 2}


async def test_a_wait_that_is_too_long_for_a_call_is_told(server: RedisServer, clock: Time, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(path="/me", status=429, headers={"Retry-After": "300"}, times=1))
    async with (
        joined(server, clock) as limiter,
        connect(sandbox, limiter=limiter, clock=clock) as client,
    ):
        for _ in range(2):
            with pytest.raises(RateLimitError):
                await client.me.get()
    assert sandbox.stats.requests == 1


async def test_a_body_that_is_read_keeps_its_slot_until_it_is_closed(
    server: RedisServer, clock: Time, sandbox: Sandbox
) -> None:
    async with (
        joined(server, clock, at_once=2, slots=4) as limiter,
        connect(sandbox, limiter=limiter, clock=clock) as client,
    ):
        async with client.organization().runs.list().prefetch(concurrency=3) as runs:
            async for _ in runs:
                assert limiter._leases.running <= 2
        assert (limiter._local.free, limiter._leases.running) == (4, 0)


@pytest.mark.once
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate_limit": RateLimit(per_minute=60)}, "give no rate_limit"),
        ({"max_connections": 19}, "max_connections of at least its slots"),
        ({"limiter": 600}, "limiter must be a limiter"),
        ({"limiter": RedisLimiter}, "limiter must be a limiter"),
    ],
)
def test_settings_that_contradict_a_limiter_are_refused(settings: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"limiter": RedisLimiter("redis://localhost"), **settings}
    with pytest.raises(ConfigurationError, match=said):
        TallyfyClient("token", **given)


@pytest.mark.once
def test_a_derived_client_has_no_limiter_of_its_own() -> None:
    client = TallyfyClient("token", limiter=RedisLimiter("redis://localhost"))
    other: Any = {"limiter": RedisLimiter("redis://localhost")}
    with pytest.raises(ConfigurationError, match="limiter belong to the shared connections"):
        client.with_options(**other)
