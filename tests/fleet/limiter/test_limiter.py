"""The pace of several processes, as limiters beside each other, in which no real time passes."""

from __future__ import annotations

import pickle
from functools import partial

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async import ClientClosedError, ClientLoopError, ConfigurationError, RateLimit
from tallyfy_async.fleet.decisions import RedisDecisions
from tallyfy_async.fleet.leases import Leases
from tallyfy_async.fleet.limiter import RedisLimiter
from tallyfy_async.fleet.scripts import ATTEND, DECIDE, PAUSE
from tallyfy_async.transport.pace import Pace
from tests.fleet.limiter.rig import ADA, BOB, Time, TimedDecisions, begin, fast, joined, keeps, most_within, timed
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_a_full_bucket_lets_its_burst_begin_at_once_and_then_one_after_the_other(
    server: RedisServer, clock: Time
) -> None:
    times: list[float] = []
    async with joined(server, clock, per_user=fast(10, 4)) as limiter:
        pace: Pace = limiter
        await pace.acquire(ADA)
        limiter.release()
        await clock.sleep(10)
        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(begin, limiter, clock, times)
    assert [round(time - times[0], 2) for time in times] == [0, 0, 0, 0, *(n / 10 for n in range(1, 9))]


async def test_the_cap_of_a_minute_holds_with_its_burst_and_with_lateness() -> None:
    limiter = RedisLimiter("redis://localhost", per_user=RateLimit(per_minute=600, burst=10))
    (bucket,) = limiter._lines.line(ADA, None, 0).buckets
    assert bucket.rate.burst + (60 + 2 * 0.5) / bucket.interval == pytest.approx(600)


@pytest.mark.once
async def test_processes_share_a_user_s_rate_in_equal_parts(server: RedisServer, clock: Time) -> None:
    of_each: list[list[float]] = [[], [], [], []]
    async with anyio.create_task_group() as group:

        async def work(times: list[float]) -> None:
            async with joined(server, clock, per_user=fast(10, 3)) as limiter:
                while clock.monotonic() < 15:
                    await begin(limiter, clock, times)

        for times in of_each:
            group.start_soon(work, times)
    together = [time for times in of_each for time in times]
    assert keeps(together, 10, 3)
    assert len(together) >= 0.95 * 150
    assert max(map(len, of_each)) - min(map(len, of_each)) <= 8


async def test_users_do_not_wait_for_each_other(server: RedisServer, clock: Time) -> None:
    ada: list[float] = []
    bob: list[float] = []
    async with (
        joined(server, clock, per_user=fast(1), slots=2) as limiter,
        anyio.create_task_group() as group,
    ):
        for _ in range(20):
            group.start_soon(begin, limiter, clock, ada)
        await clock.sleep(0.5)
        await begin(limiter, clock, bob, whose=BOB)
        assert bob == [0.5]
        group.cancel_scope.cancel()


@pytest.mark.once
async def test_an_organization_s_cap_holds_for_all_of_its_users_and_no_others(server: RedisServer, clock: Time) -> None:
    acme: list[float] = []
    other: list[float] = []
    settings = {"per_user": fast(8, 2), "per_organization": fast(10, 2)}
    async with (
        joined(server, clock, **settings) as one,
        joined(server, clock, **settings) as two,
        anyio.create_task_group() as group,
    ):

        async def work(limiter: RedisLimiter, whose: str, organization: str, times: list[float]) -> None:
            while clock.monotonic() < 10:
                await begin(limiter, clock, times, whose=whose, organization=organization)

        for limiter in (one, two):
            group.start_soon(work, limiter, ADA, "acme", acme)
            group.start_soon(work, limiter, BOB, "acme", acme)
            group.start_soon(work, limiter, "carol", "other", other)
    assert keeps(acme, 10, 2)
    assert len(acme) >= 0.9 * 100
    assert keeps(other, 8, 2)
    assert len(other) >= 0.95 * 80


async def test_callers_of_a_line_come_in_their_order(server: RedisServer, clock: Time) -> None:
    order: list[int] = []

    async def come(limiter: RedisLimiter, number: int) -> None:
        await limiter.acquire(ADA)
        order.append(number)
        limiter.release()

    async with joined(server, clock, per_user=fast(20, 3), slots=2) as limiter, anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(come, limiter, number)
            await checkpoint()
    assert order == sorted(order)


async def test_a_decision_serves_several_callers(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with joined(server, clock, per_user=fast(100, 20)) as limiter:
        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(begin, limiter, clock, times)
        assert timed(limiter).asked[DECIDE] <= 200 / 8
    assert keeps(times, 100, 20)


@pytest.mark.parametrize("steps", range(14))
async def test_who_is_cancelled_anywhere_takes_nothing_along(server: RedisServer, clock: Time, steps: int) -> None:
    times: list[float] = []
    async with joined(server, clock, per_user=fast(2), at_once=3, slots=2) as limiter:
        await begin(limiter, clock, times)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(begin, limiter, clock, times)
                for _ in range(steps):
                    await checkpoint()
                scope.cancel()
        assert limiter._local.free == 2
        assert (limiter._leases.running, limiter._leases.waiting) == (0, 0)
        (line,) = limiter._lines.lines.values()
        assert line.waiting == 0
        began = clock.monotonic()
        for _ in range(3):
            await begin(limiter, clock, times)
        assert clock.monotonic() - began <= 2.0  # three turns, and at most one that lapsed
    assert keeps(times, 2, 1)


async def test_a_turn_whose_caller_left_serves_the_next_one(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with joined(server, clock, per_user=fast(5)) as limiter:
        await begin(limiter, clock, times)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(begin, limiter, clock, times)
                while not limiter._lines.lines[ADA, None].turns:
                    await checkpoint()
                scope.cancel()
        await begin(limiter, clock, times)
    assert times == [0, pytest.approx(0.2, abs=0.001)]


async def test_what_is_granted_to_one_who_is_cancelled_meanwhile_serves_the_next_one(
    server: RedisServer, clock: Time
) -> None:
    times: list[float] = []
    async with joined(server, clock, per_user=fast(0.5)) as limiter:
        timed(limiter).delay = 0.1
        async with anyio.create_task_group() as group:
            group.start_soon(begin, limiter, clock, times)
            await clock.sleep(0.15)  # it is granted, and the answer on its way
            group.cancel_scope.cancel()
        await begin(limiter, clock, times)
    assert times[0] == pytest.approx(0.2, abs=0.01)  # on trio it is his who was cancelled too late


async def test_a_turn_that_nobody_used_in_time_lapses(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with joined(server, clock, per_user=fast(20)) as limiter:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(begin, limiter, clock, times)
            while len(limiter._lines.lines[ADA, None].turns if limiter._lines.lines else ()) < 3:
                await checkpoint()
            group.cancel_scope.cancel()
        left = list(limiter._lines.lines[ADA, None].turns)
        clock.advance(1)
        assert limiter._lines.lines[ADA, None].first_turn(clock.monotonic()) is None
        await begin(limiter, clock, times)
    assert left
    assert times[-1] >= 1


async def test_a_pause_holds_the_user_back_in_every_process_and_nobody_else(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with (
        joined(server, clock, per_user=fast(10, 5)) as one,
        joined(server, clock, per_user=fast(10, 5)) as two,
    ):
        await begin(one, clock, times)
        one.pause(30, ADA)
        one.pause(2, ADA)
        await clock.sleep(0.01)
        bob: list[float] = []
        await begin(two, clock, bob, whose=BOB)
        assert bob[0] < 0.1
        after: list[float] = []
        async with anyio.create_task_group() as group:
            for limiter in (one, two):
                for _ in range(20):
                    group.start_soon(begin, limiter, clock, after)
        assert 30 <= min(after) < 30.3
        assert keeps(after, 10, 5)
        assert most_within(after, 0.09) == 1


async def test_a_pause_of_one_who_leaves_at_once_holds_the_others_back(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with joined(server, clock) as one:
        async with joined(server, clock) as two:
            two.pause(30, ADA)
        await begin(one, clock, times)
    assert 30 <= times[0] < 30.3


async def test_a_longer_pause_that_begins_while_one_is_told_is_told_too(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with joined(server, clock) as one, joined(server, clock) as two:
        timed(one).delay = 0.1
        one.pause(2, ADA)
        while timed(one).asked[PAUSE] < 1:
            await clock.sleep(0.05)
        one.pause(30, ADA)
        await clock.sleep(3)
        await begin(two, clock, times)
    assert times[0] >= 30


async def test_a_pause_takes_back_the_turns_that_were_given(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with joined(server, clock, per_user=fast(20)) as limiter, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(begin, limiter, clock, times)
        await clock.sleep(0.12)
        limiter.pause(5, ADA)
        begun = len(times)
        await clock.sleep(4)
        assert len(times) == begun
    assert len(times) == 10
    assert 5.12 <= times[begun] < 5.5


@pytest.mark.once
async def test_no_herd_comes_back_after_a_pause(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    asked = 0
    async with anyio.create_task_group() as group:

        async def work(number: int) -> None:
            nonlocal asked
            async with joined(server, clock, per_user=fast(10, 5)) as limiter:
                if number == 0:
                    limiter.pause(20, ADA)
                await clock.sleep(0.1)
                async with anyio.create_task_group() as waiting:
                    for _ in range(5):
                        waiting.start_soon(begin, limiter, clock, times)
                asked += timed(limiter).asked[DECIDE]

        for number in range(8):
            group.start_soon(work, number)
    assert len(times) == 40
    assert 20 <= min(times) < 20.2
    assert most_within(times, 0.09) == 1
    assert keeps(times, 10, 1)
    assert asked <= 3 * 40


@pytest.mark.once
async def test_slots_of_the_fleet_are_shared_and_come_free(server: RedisServer, clock: Time) -> None:
    running = most = 0
    done = [0, 0, 0]
    async with anyio.create_task_group() as group:

        async def call(limiter: RedisLimiter, number: int) -> None:
            nonlocal running, most
            await limiter.acquire(ADA)
            running += 1
            most = max(most, running)
            await clock.sleep(0.4)
            running -= 1
            limiter.release()
            done[number] += 1

        async def work(number: int) -> None:
            async with joined(server, clock, per_user=fast(1000, 50), at_once=6) as limiter:
                await clock.sleep(number)
                async with anyio.create_task_group() as calls:
                    for _ in range(30):
                        calls.start_soon(call, limiter, number)

        for number in range(3):
            group.start_soon(work, number)
    assert done == [30, 30, 30]
    assert most == 6
    assert clock.monotonic() < 90 * 0.4 / 6 * 1.5 + 2


@pytest.mark.once
async def test_more_processes_than_slots_all_come_to_their_turn(server: RedisServer, clock: Time) -> None:
    ended: list[float] = []
    async with anyio.create_task_group() as group:

        async def work() -> None:
            async with joined(server, clock, per_user=fast(1000, 50), at_once=2) as limiter:
                for _ in range(4):
                    await begin(limiter, clock, [], takes=0.5)
                ended.append(clock.monotonic())

        for _ in range(5):
            group.start_soon(work)
    assert len(ended) == 5
    assert max(ended) < 5 * 4 * 0.5 / 2 * 2.5


async def test_the_slots_of_one_who_died_come_free_with_his_lease(server: RedisServer, clock: Time) -> None:
    times: list[float] = []
    async with (
        joined(server, clock, per_user=fast(100, 9), at_once=2) as dead,
        joined(server, clock, per_user=fast(100, 9), at_once=2) as alive,
    ):
        await dead.acquire(ADA)
        await dead.acquire(ADA)
        timed(dead).deaf = True
        await begin(alive, clock, times)
    assert 10 <= times[0] < 11


async def test_while_the_server_is_told_what_runs_nothing_else_begins(clock: Time) -> None:
    told: list[int] = []

    async def tell() -> None:
        told.append(leases.report()[1])
        await clock.sleep(1)
        leases.granted(2, clock.monotonic() + 10, 1)

    leases = Leases(4, clock, tell)
    leases.granted(4, 100, 1)
    await leases.take()
    async with anyio.create_task_group() as group:
        group.start_soon(tell)
        await clock.sleep(0.1)
        await leases.take()
        assert clock.monotonic() >= 1
    assert leases.running == 2
    assert told[0] == 1


@pytest.mark.once
async def test_the_more_processes_there_are_the_less_often_each_one_asks_for_slots(
    server: RedisServer, clock: Time
) -> None:
    settings = {"at_once": 1, "lease": 600.0}
    async with joined(server, clock, **settings) as holder, joined(server, clock, **settings) as other:
        await holder.acquire(ADA)
        ends = (clock.time() + 500) * 1000
        with server.admin() as admin:
            admin.zadd("{tallyfy_async:pace}:members", {f"process {number}": ends for number in range(500)})
        await clock.sleep(1)
        before, began = timed(other).asked[ATTEND], clock.monotonic()
        with clock.timeout(60):
            await other.acquire(ADA)
        assert clock.monotonic() - began == 60
        assert 10 < timed(other).asked[ATTEND] - before < 60
        holder.release()


@pytest.mark.once
async def test_slots_of_the_fleet_are_no_more_after_the_server_lost_its_memory(
    server: RedisServer, clock: Time
) -> None:
    running = most = 0
    async with anyio.create_task_group() as group:

        async def call(limiter: RedisLimiter) -> None:
            nonlocal running, most
            await limiter.acquire(ADA)
            running += 1
            most = max(most, running)
            await clock.sleep(1.0)
            running -= 1
            limiter.release()

        async def work() -> None:
            async with (
                joined(server, clock, per_user=fast(1000, 50), at_once=6) as limiter,
                anyio.create_task_group() as calls,
            ):
                for _ in range(20):
                    calls.start_soon(call, limiter)

        for _ in range(3):
            group.start_soon(work)
        await clock.sleep(3.3)
        with server.admin() as admin:
            admin.flushall()
    assert most == 6


async def test_a_body_that_is_read_needs_no_slot_of_the_fleet(server: RedisServer, clock: Time) -> None:
    async with joined(server, clock, per_user=fast(100, 9), at_once=1, slots=3) as limiter:
        await limiter.acquire(ADA)
        limiter.park()
        await limiter.acquire(ADA)
        assert limiter._local.free == 1
        limiter.release()
        limiter.release(parked=True)
        assert (limiter._local.free, limiter._leases.running) == (3, 0)


async def test_what_it_learns_of_the_server_goes_to_the_pace_of_the_process(server: RedisServer, clock: Time) -> None:
    async with joined(server, clock, slots=8) as limiter:
        limiter.remain(3, 0.0, ADA)
        assert limiter.width == 3
        clock.advance(61)
        assert limiter.width == 8
        await limiter.acquire(ADA)
        limiter.refused(clock.monotonic())
        assert limiter.width < 8
        limiter.succeeded("get_me", clock.monotonic(), 0.1)
        limiter.release()


async def test_it_counts_the_processes(server: RedisServer, clock: Time) -> None:
    async with joined(server, clock) as one:
        async with joined(server, clock) as two:
            assert two.processes == 2
            await clock.sleep(4)
            assert one.processes == 2
        await clock.sleep(30)
        assert one.processes == 1
        assert "1 processes" in repr(one)


async def test_many_users_are_not_remembered_for_ever(
    server: RedisServer, clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallyfy_async.fleet.lines._MANY", 10)
    async with joined(server, clock, per_user=fast(10), per_organization=fast(10)) as limiter:
        limiter._lines._many = 10
        limiter.pause(50, "paused")
        for number in range(50):
            await begin(limiter, clock, [], whose=f"user {number}", organization=f"organization {number}")
        assert len(limiter._lines.lines) <= 10
        assert len(limiter._lines.buckets) <= 21
        assert limiter._lines.user("paused").paused_until == 50


async def test_names_on_the_server_tell_nobody_who_calls(server: RedisServer, clock: Time) -> None:
    async with joined(server, clock, per_organization=fast(10)) as limiter:
        await begin(limiter, clock, [], whose="https://go.tallyfy.com|ada@example.com", organization="f1e2d3")
        with server.admin() as admin:
            names = b" ".join(admin.keys("{tallyfy_async:pace}*"))
    assert names
    assert b"ada" not in names
    assert b"f1e2d3" not in names


async def test_before_it_is_entered_and_after_it_is_closed_it_lets_nobody_begin(
    server: RedisServer, clock: Time
) -> None:
    with pytest.raises(ConfigurationError, match="enter the RedisLimiter first"):
        await RedisLimiter(server.url).acquire(ADA)
    async with joined(server, clock) as limiter:
        await limiter.acquire(ADA)
        limiter.release()
        with pytest.raises(ConfigurationError, match="entered already"):
            await limiter.__aenter__()
    for use in (limiter.acquire, limiter.__aenter__):
        with pytest.raises(ClientClosedError):
            await use()


async def test_who_waits_when_it_is_closed_is_told_so(server: RedisServer, clock: Time) -> None:
    refused = 0

    async def come(limiter: RedisLimiter) -> None:
        nonlocal refused
        try:
            await limiter.acquire(ADA)
        except ClientClosedError:
            refused += 1

    async with anyio.create_task_group() as group, joined(server, clock, per_user=fast(1)) as limiter:
        await limiter.acquire(ADA)
        for _ in range(3):
            group.start_soon(come, limiter)
        await clock.sleep(0.5)
    assert refused == 3
    assert limiter._lines.lines[ADA, None].waiting == 0


async def test_who_waits_for_a_slot_when_it_is_closed_is_told_so(server: RedisServer, clock: Time) -> None:
    async with joined(server, clock, at_once=1) as other:
        await other.acquire(BOB)
        async with anyio.create_task_group() as group:

            async def come(limiter: RedisLimiter) -> None:
                with pytest.raises(ClientClosedError):
                    await limiter.acquire(ADA)

            async with joined(server, clock, at_once=1) as limiter:
                group.start_soon(come, limiter)
                await clock.sleep(0.5)
        assert (limiter._local.free, limiter._leases.running, limiter._leases.waiting) == (20, 0, 0)
        other.release()


async def test_who_waits_for_a_connection_when_it_is_closed_is_told_so(server: RedisServer, clock: Time) -> None:
    async with anyio.create_task_group() as group:

        async def come(limiter: RedisLimiter) -> None:
            with pytest.raises(ClientClosedError):
                await limiter.acquire(BOB)

        async with joined(server, clock, slots=1) as limiter:
            await limiter.acquire(ADA)
            group.start_soon(come, limiter)
            await clock.sleep(0.5)
        limiter.release()
    assert limiter._local.free == 1


async def test_who_is_cancelled_while_he_enters_leaves_the_fleet(server: RedisServer, clock: Time) -> None:
    limiter = RedisLimiter(server.url, clock=clock)
    assert isinstance(limiter._server, RedisDecisions)
    limiter._server = TimedDecisions(server, limiter._server, clock)
    timed(limiter).delay = 0.1
    with clock.timeout(0.15):
        async with limiter:
            await clock.sleep(60)
    with server.admin() as admin:
        assert not admin.exists("{tallyfy_async:pace}:members")


async def test_another_event_loop_is_refused(anyio_backend: str, server: RedisServer, clock: Time) -> None:
    async def use(limiter: RedisLimiter) -> None:
        with anyio.fail_after(5), pytest.raises(ClientLoopError):
            await limiter.acquire(ADA)

    async with joined(server, clock) as limiter:
        await anyio.to_thread.run_sync(partial(anyio.run, use, limiter, backend=anyio_backend))


async def test_what_its_body_raises_comes_bare(server: RedisServer, clock: Time) -> None:
    async def fail() -> None:
        async with joined(server, clock):
            await clock.sleep(5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_it_is_for_asyncio_and_says_so(anyio_backend: str, server: RedisServer) -> None:
    limiter = RedisLimiter(server.url, patience=5, lease=20)
    if anyio_backend == "trio":
        with pytest.raises(ConfigurationError, match="needs asyncio"):
            await limiter.__aenter__()
        return
    async with limiter:
        await limiter.acquire(ADA)
        limiter.release()
    with server.admin() as admin:
        assert not admin.exists("{tallyfy_async:pace}:members")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"per_user": RateLimit(per_minute=5, burst=5)}, "more than its burst"),
        ({"per_user": 600}, "is a RateLimit"),
        ({"per_organization": RateLimit(per_minute=1)}, "more than its burst"),
        ({"at_once": 0}, "at_once must be a whole number"),
        ({"slots": 1.5}, "slots must be a whole number"),
        ({"processes": None}, "processes must be"),
        ({"patience": 0}, "patience must be"),
        ({"lease": 1}, "at least four times"),
        ({"lease": "10"}, "at least four times"),
        ({"prefix": ""}, "prefix must be a text"),
        ({"client": "http://localhost"}, "the URL must look like"),
        ({"client": 3}, "client must be a"),
    ],
)
@pytest.mark.once
def test_wrong_arguments_are_refused(settings: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"client": "redis://localhost", **settings}
    with pytest.raises(ConfigurationError, match=said):
        RedisLimiter(**given)  # type: ignore[arg-type]


@pytest.mark.once
def test_it_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="make one in each process"):
        pickle.dumps(RedisLimiter("redis://localhost"))
