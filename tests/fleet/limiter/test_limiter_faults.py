"""Servers of a fleet that are away, slow, forgetful or lose answers."""

from __future__ import annotations

import logging

import anyio
import pytest

from tallyfy_async.fleet.limiter import RedisLimiter
from tests.fleet.limiter.rig import ADA, Time, begin, fast, joined, keeps, said, timed
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "tallyfy_async")
    return caplog


@pytest.mark.once
async def test_without_the_server_each_process_goes_on_with_its_part_and_says_so_once(
    server: RedisServer, clock: Time, caplog: pytest.LogCaptureFixture
) -> None:
    times: list[float] = []
    away: list[float] = []
    async with (
        joined(server, clock, per_user=fast(10, 4)) as one,
        joined(server, clock, per_user=fast(10, 4)) as two,
        anyio.create_task_group() as group,
    ):
        await clock.sleep(4)  # both know of each other

        async def work(limiter: RedisLimiter) -> None:
            while clock.monotonic() < 34:
                alone = limiter.away or clock.monotonic() < limiter._returning_until
                await begin(limiter, clock, away if alone else times)

        for limiter in (one, two):
            for _ in range(3):
                group.start_soon(work, limiter)
        for outage in (True, False, True, False):
            await clock.sleep(6)
            timed(one).deaf = timed(two).deaf = outage
        await clock.sleep(4)
        assert not one.away
        assert not two.away
    assert keeps([*times, *away], 10, 4)
    assert len(away) >= 0.85 * 160
    assert len(times) >= 0.85 * 140
    assert len(said(caplog, "goes on with its part of the rate, one of 2")) == 4
    assert len(said(caplog, " is back")) == 4


@pytest.mark.once
async def test_processes_that_return_one_after_the_other_keep_the_cap(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    away: list[bool] = []
    async with anyio.create_task_group() as group:

        async def work() -> None:
            async with joined(server, clock, per_user=fast(40, 2)) as limiter:
                await clock.sleep(4)  # all know of each other
                timed(limiter).deaf = True
                while clock.monotonic() < 10:
                    await begin(limiter, clock, times)
                away.append(limiter.away)
                timed(limiter).deaf = False
                while clock.monotonic() < 16:
                    await begin(limiter, clock, times)
                away.append(limiter.away)

        for _ in range(8):
            group.start_soon(work)
    assert away == [True] * 8 + [False] * 8
    assert keeps(times, 40, 2 + 8)
    assert len(times) >= 0.9 * 12 * 40


async def test_one_that_is_cut_off_uses_no_more_than_its_part(server: RedisServer, clock: Time) -> None:
    cut: list[float] = []
    async with (
        joined(server, clock, per_user=fast(10, 4)) as one,
        joined(server, clock, per_user=fast(10, 4)) as two,
        joined(server, clock, per_user=fast(10, 4)) as three,
    ):
        await clock.sleep(4)
        assert {two.processes, three.processes} == {3}
        timed(one).deaf = True
        ends = clock.monotonic() + 10
        while clock.monotonic() < ends:
            await begin(one, clock, cut)
    assert keeps(cut, 10 / 3, 1)
    assert len(cut) >= 0.85 * 10 * 10 / 3


async def test_who_begins_without_the_server_reckons_with_as_many_as_it_was_told(
    server: RedisServer, clock: Time, caplog: pytest.LogCaptureFixture
) -> None:
    times: list[float] = []
    limiter = joined(server, clock, per_user=fast(10), processes=5, at_once=10)
    server.stop()
    async with limiter as one:
        assert one.away
        for _ in range(10):
            await begin(one, clock, times)
        assert keeps(times, 2, 1)
        assert one._leases.usable == 2
        server.start()
        await clock.sleep(3)
        assert not one.away
        await clock.sleep(12)
        assert one.processes == 1
    assert len(said(caplog, "one of 5")) == 1


async def test_a_pause_holds_without_the_server_and_is_told_when_it_is_back(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    others: list[float] = []
    async with (
        joined(server, clock, per_user=fast(10)) as one,
        joined(server, clock, per_user=fast(10)) as two,
    ):
        timed(one).deaf = True
        await begin(one, clock, times)
        one.pause(30, ADA)
        await clock.sleep(10)
        timed(one).deaf = False
        await clock.sleep(3)
        await begin(two, clock, others)
        await begin(one, clock, times)
    assert others[0] >= times[0] + 30 - 0.01
    assert times[1] >= times[0] + 30 - 0.01


@pytest.mark.once
async def test_a_failover_that_forgets_everything_allows_no_second_burst_and_no_one_is_lost(
    server: RedisServer, clock: Time
) -> None:
    times: list[float] = []
    async with (
        joined(server, clock, per_user=fast(10, 8)) as one,
        joined(server, clock, per_user=fast(10, 8)) as two,
        anyio.create_task_group() as group,
    ):
        one.pause(9, "carol")

        async def work(limiter: RedisLimiter) -> None:
            while clock.monotonic() < 8:
                await begin(limiter, clock, times)

        group.start_soon(work, one)
        group.start_soon(work, two)
        await clock.sleep(4)
        with server.admin() as admin:
            admin.flushall()
        await clock.sleep(3.6)
        assert (one.processes, two.processes) == (2, 2)
        carol: list[float] = []
        await begin(two, clock, carol, whose="carol")
        assert carol[0] >= 9
    assert keeps(times, 10, 8 + 1)
    assert len(times) >= 0.9 * 80


async def test_lost_answers_leave_no_slot_taken(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with (
        joined(server, clock, per_user=fast(100, 9), at_once=4) as one,
        joined(server, clock, per_user=fast(100, 9), at_once=4) as two,
    ):
        timed(one).losing = True
        async with anyio.create_task_group() as group:
            for _ in range(9):
                group.start_soon(begin, one, clock, times)
        timed(one).losing = False
        await clock.sleep(3)
        began = clock.monotonic()
        held: list[float] = []
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(lambda: begin(two, clock, held, takes=1))
        assert max(held) - began < 1
    assert len(times) == 9


@pytest.mark.once
@pytest.mark.parametrize(("delay", "away"), [(0.2, False), (0.6, True)])
async def test_a_slow_link_keeps_the_cap_and_one_that_is_too_slow_counts_as_none(
    server: RedisServer, clock: Time, delay: float, *, away: bool
) -> None:
    times: list[float] = []
    async with (
        joined(server, clock, per_user=fast(10, 3)) as one,
        joined(server, clock, per_user=fast(10, 3)) as two,
        anyio.create_task_group() as group,
    ):
        await clock.sleep(4)
        timed(one).delay = delay / 2

        async def work(limiter: RedisLimiter) -> None:
            ends = clock.monotonic() + 10
            while clock.monotonic() < ends:
                await begin(limiter, clock, times)

        group.start_soon(work, one)
        await clock.sleep(5)
        assert one.away is away
        assert len(times) > 10
        if not away:
            group.start_soon(work, two)
    assert keeps(times, 10, 3 + (5 if delay else 0))  # late by up to the patience


async def test_a_clock_of_the_server_that_goes_back_stops_nobody(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with joined(server, clock, per_user=fast(10, 3), at_once=2) as limiter:
        for _ in range(10):
            await begin(limiter, clock, times)
        timed(limiter).skew = -3600
        for _ in range(10):
            await begin(limiter, clock, times)
    assert times[-1] < 8


async def test_something_foreign_that_goes_wrong_stops_no_call(
    server: RedisServer, clock: Time, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        msg = "of the client, with words in it"
        raise RuntimeError(msg)

    times: list[float] = []
    async with joined(server, clock, per_user=fast(10)) as limiter:
        with monkeypatch.context() as patched:
            patched.setattr(limiter._server, "run", broken)
            await begin(limiter, clock, times)
            await clock.sleep(3)
            assert limiter.away
        await clock.sleep(3)
        assert not limiter.away
    assert "RuntimeError" in said(caplog, "one of 1")[0]
    assert "with words" not in caplog.text
