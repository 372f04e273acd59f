"""The pace from end to end: caps, bursts, what remains, the budget of retries, latency, and who comes first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from tenacity import stop_after_attempt

from tallyfy_async import (
    AttemptRecord,
    ConfigurationError,
    Hooks,
    NotSentError,
    Outcome,
    PasswordGrant,
    PermissionDeniedError,
    RateLimit,
    RateLimitError,
    RequestOptions,
    RetryPolicy,
    ServerError,
    TallyfyClient,
)
from tallyfy_async.engine import bulk
from tallyfy_async.engine.report import State
from tallyfy_async.sandbox import Fault, Sandbox, Settings
from tallyfy_async.transport.manual_clock import ManualClock
from tests.engine.flaky import refused
from tests.helpers import connect, user_grant

pytestmark = pytest.mark.anyio

CAP = "You've reached the hourly limit for Comment (120 per hour per organization). Please try again later."


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def served(clock: ManualClock, **settings: Any) -> Sandbox:
    sizes: dict[str, Any] = {"templates": 3, "runs": 30, "tasks": 50, "users": 5}
    return Sandbox(Settings(**{**sizes, **settings}), clock=clock.time)


def seconds_until(error: RateLimitError, clock: ManualClock) -> float:
    assert error.resumes_at is not None
    return (error.resumes_at - datetime.fromtimestamp(clock.time(), UTC)).total_seconds()


async def a_run(client: TallyfyClient) -> str:
    return (await anext(aiter(client.organization().runs.list()))).id


async def capped(client: TallyfyClient, run: str) -> RateLimitError:
    with pytest.raises(RateLimitError) as caught:
        await client.organization().threads.comment_on_run(run, "one more")
    return caught.value


class Watched(httpx.AsyncBaseTransport):
    """Serves so many at once, each after a while by the manual clock, and keeps who was sent when."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock, capacity: int, seconds: float = 0.2) -> None:
        self._inner = httpx.ASGITransport(app=sandbox.app)
        self._clock, self._seconds = clock, seconds
        self._free = anyio.Semaphore(capacity)
        self.sent: list[str] = []
        self.most = self.now = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.url.params.get("name", request.url.path))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            async with self._free:
                await self._clock.sleep(self._seconds)
                return await self._inner.handle_async_request(request)
        finally:
            self.now -= 1


class Ear(Hooks):
    """Remembers attempts."""

    def __init__(self) -> None:
        self.heard: list[AttemptRecord] = []

    def on_attempt(self, record: AttemptRecord) -> None:
        self.heard.append(record)


class Failing(httpx.AsyncBaseTransport):
    """Answers nothing but one status, or refuses the connection."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        if self.status is None:
            refused(request)
        return httpx.Response(self.status or 0)


async def settle() -> None:
    """Let everybody go as far as they can without time."""
    for _ in range(50):
        await checkpoint()


@asynccontextmanager
async def in_order(clock: ManualClock, step: float = 0.05) -> AsyncIterator[TaskGroup]:
    """Run tasks on a clock that moves only when nobody can go on without it, so that as many run at once as may."""
    clock.autojump, over = False, False

    async def move() -> None:
        while not over:
            await settle()
            clock.advance(step)

    async with anyio.create_task_group() as mover:
        mover.start_soon(move)
        async with anyio.create_task_group() as group:
            yield group
        over = True
    clock.autojump = True


async def test_an_hourly_cap_is_told_with_action_limit_and_time(clock: ManualClock) -> None:
    sandbox = served(clock, comments_per_hour=3)
    async with connect(sandbox, clock=clock) as client:
        run, comment = await a_run(client), client.organization().threads.comment_on_run
        for _ in range(3):
            await comment(run, "well said")
            clock.advance(600)
        before, now = sandbox.stats.requests, clock.monotonic()
        error = await capped(client, run)
        assert (error.action, error.limit, error.outcome) == ("Comment", 3, Outcome.REFUSED)
        assert error.retry_after == 1800
        assert seconds_until(error, clock) == pytest.approx(1800)
        assert sandbox.stats.requests == before + 1, "it is not sent again"
        again = await capped(client, run)
        assert (again.action, again.limit, again.outcome) == ("Comment", 3, Outcome.NOT_SENT)
        assert again.resumes_at == error.resumes_at
        assert sandbox.stats.requests == before + 1, "the next one is not sent at all"
        assert (await client.me.get()).id, "everything else goes on"
        assert (clock.monotonic(), client._limiter.width) == (now, 20), "at once, as many as before"
        clock.advance(1801)
        await comment(run, "at last")


async def test_what_a_cap_holds_takes_no_turn_of_the_rate_cap(clock: ManualClock) -> None:
    sandbox = served(clock, comments_per_hour=0)
    async with connect(sandbox, clock=clock, rate_limit=RateLimit(per_minute=60), deadline=1000) as client:
        run = await a_run(client)
        await capped(client, run)
        now = clock.monotonic()
        for _ in range(100):
            await capped(client, run)
        assert clock.monotonic() == now


async def test_what_a_cap_holds_waits_for_no_slot(clock: ManualClock) -> None:
    sandbox = served(clock, comments_per_hour=0)
    async with connect(sandbox, clock=clock, max_connections=1) as client:
        run = await a_run(client)
        await capped(client, run)
        await client._limiter.acquire()
        assert (await capped(client, run)).outcome is Outcome.NOT_SENT
        client._limiter.release()


async def test_those_in_the_queue_are_not_sent_when_the_cap_is_met_meanwhile(clock: ManualClock) -> None:
    sandbox = served(clock, comments_per_hour=0)
    async with connect(sandbox, clock=clock, max_connections=1) as client:
        run = await a_run(client)
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(capped, client, run)
    assert sandbox.stats.by_operation["create_run_comment"] == 1


@pytest.mark.parametrize(("status", "waits"), [(401, False), (429, True)])
async def test_who_goes_first_after_a_cap_does_not_hold_itself(clock: ManualClock, status: int, waits: bool) -> None:
    sandbox = served(clock, comments_per_hour=1)
    async with connect(sandbox, clock=clock) as personal:
        client = personal.with_options(auth=user_grant(sandbox))
        run, comment = await a_run(client), client.organization().threads.comment_on_run
        await comment(run, "one")
        await capped(client, run)
        clock.advance(3601)
        await client.me.get()
        sandbox.faults.add(Fault(operation="create_run_comment", status=status))
        now = clock.monotonic()
        await comment(run, "two")
        assert clock.monotonic() - now < 2
        assert (clock.monotonic() > now) is waits


async def long_wait(client: TallyfyClient, path: str = "/me") -> RateLimitError:
    with pytest.raises(RateLimitError) as caught:
        await client.request("GET", path)
    return caught.value


async def test_a_wait_above_the_cap_pauses_nobody_and_sends_nothing_more_until_then(clock: ManualClock) -> None:
    sandbox, ear = served(clock), Ear()
    async with connect(sandbox, clock=clock, hooks=[ear]) as client:
        sandbox.faults.add(Fault(status=429, headers={"Retry-After": "300", "X-Request-Id": "r"}))
        first = await long_wait(client)
        assert (first.outcome, first.retry_after) == (Outcome.REFUSED, 300)
        clock.advance(100)
        found = await long_wait(client, "/organizations/o/runs")
        assert (found.outcome, found.retry_after, found.request_id) == (Outcome.NOT_SENT, 200, None)
        assert (found.method, found.path, found.action) == ("GET", "/organizations/o/runs", None)
        assert found.resumes_at == first.resumes_at
        assert (sandbox.stats.requests, clock.monotonic()) == (1, 100), "at once"
        assert [record.status for record in ear.heard] == [429], "what is not sent is no attempt"
        clock.advance(199)
        await client.me.get()
        assert 300 <= clock.monotonic() < 302, "a short rest of the wait is waited for"
        for _ in range(3):
            await client.me.get()
        assert sandbox.stats.requests == 5


async def test_after_a_long_wait_one_goes_first(clock: ManualClock) -> None:
    sandbox = served(clock)
    transport = Watched(sandbox, clock, capacity=100)
    async with connect(sandbox, clock=clock, transport=transport) as client:
        sandbox.faults.add(Fault(status=429, headers={"Retry-After": "300"}, times=2))
        await long_wait(client)
        clock.advance(300)
        async with in_order(clock) as group:
            for _ in range(10):
                group.start_soon(long_wait, client)
        assert len(transport.sent) == 2, "one, and as it is refused again, nobody else"
        clock.advance(300)
        async with in_order(clock) as group:
            for _ in range(10):
                group.start_soon(client.me.get)
        assert len(transport.sent) == 12


async def test_a_long_wait_of_one_user_holds_no_other(clock: ManualClock) -> None:
    sandbox = served(clock)
    async with connect(sandbox, clock=clock) as client:
        sandbox.faults.add(Fault(status=429, headers={"Retry-After": "300"}))
        await long_wait(client)
        known = sandbox.credentials
        other = client.with_options(
            auth=PasswordGrant(
                client_id=known.client_id,
                client_secret=known.client_secret,
                username=known.username,
                password=known.password,
            )
        )
        assert (await other.me.get()).id
        assert (await long_wait(client)).outcome is Outcome.NOT_SENT
        assert (await long_wait(client.with_options(headers={"X-A": "b"}))).outcome is Outcome.NOT_SENT
        assert clock.monotonic() == 0


class TwoUsers(httpx.AsyncBaseTransport):
    """Tells each user what remains for them."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        left = "1" if request.headers["authorization"].endswith("poor") else "590"
        return httpx.Response(200, json={"data": {}}, headers={"X-RateLimit-Remaining": left})


async def test_a_user_near_the_quota_does_not_narrow_another(clock: ManualClock) -> None:
    async with TallyfyClient("poor", base_url="https://t.test/api", transport=TwoUsers(), clock=clock) as poor:
        rich = poor.with_options(auth="rich")
        await poor.request("GET", "/me")
        assert poor._limiter.width == 1
        for client in (rich, poor, rich):
            await client.request("GET", "/me")
            assert poor._limiter.width == 20


async def test_a_capped_action_stops_a_bulk_of_it_and_nothing_is_taken_for_done(clock: ManualClock) -> None:
    sandbox = served(clock, guest_invites_per_hour=5)
    async with connect(sandbox, clock=clock) as client:
        create, me = client.organization().guests.create, client.me.get
        jobs = [(f"{n}", lambda n=n: create(email=f"g{n}@acme.org")) for n in range(40)]
        others = [(f"me {n}", me) for n in range(40)]
        report = await bulk.run([job for pair in zip(jobs, others, strict=True) for job in pair], concurrency=4)
    done = [row.key for row in report if row.state is State.DONE]
    assert len([key for key in done if not key.startswith("me")]) == 5
    assert len([key for key in done if key.startswith("me")]) == 40
    assert sandbox.stats.by_operation["create_guest"] <= 5 + 4, "what was under way when the first was refused"


async def test_another_organization_is_not_held(clock: ManualClock) -> None:
    sandbox = served(clock, comments_per_hour=0, organizations=2)
    async with connect(sandbox, clock=clock) as client:
        run = await a_run(client)
        await capped(client, run)
        before = sandbox.stats.requests
        with pytest.raises(PermissionDeniedError):
            await client.organization(sandbox.credentials.organizations[1]).threads.comment_on_run(run, "hello")
        assert sandbox.stats.requests == before + 1


async def test_a_cap_that_does_not_tell_when_ends_by_our_own_record(clock: ManualClock) -> None:
    sandbox = served(clock)
    async with connect(sandbox, clock=clock) as client:
        run = await a_run(client)
        await client.organization().threads.comment_on_run(run, "hello")
        clock.advance(1000)
        body = {"message": CAP, "code": "RATE_LIMIT_EXCEEDED"}
        sandbox.faults.add(Fault(operation="create_run_comment", status=429, body=body, times=None))
        before = sandbox.stats.requests
        error = await capped(client, run)
        assert (error.retry_after, error.limit) == (None, 120)
        assert seconds_until(error, clock) == pytest.approx(2600)
        assert (sandbox.stats.requests, clock.slept) == (before + 1, []), "an unknown wait is not waited for"


async def test_a_short_wait_for_a_cap_is_waited_for(clock: ManualClock) -> None:
    sandbox = served(clock, comments_per_hour=1)
    async with connect(sandbox, clock=clock) as client:
        run, comment = await a_run(client), client.organization().threads.comment_on_run
        await comment(run, "one")
        clock.advance(3570)
        await comment(run, "two")
        assert 3600 <= clock.monotonic() < 3610
        assert sandbox.stats.by_operation["create_run_comment"] == 3


async def test_a_burst_tells_when_and_narrows_once(clock: ManualClock) -> None:
    sandbox = served(clock, rate_limit_per_minute=40, rate_limit_code=True)
    async with connect(sandbox, clock=clock, deadline=1000, retry=RetryPolicy(attempts=10)) as client:
        async with anyio.create_task_group() as group:
            for _ in range(120):
                group.start_soon(client.me.get)
        assert sandbox.stats.by_status[200] == 120
        assert clock.monotonic() < 200
        clock.advance(60)
        for _ in range(40):
            await client.me.get(options=RequestOptions(retry=0))
        with pytest.raises(RateLimitError) as caught:
            await client.me.get(options=RequestOptions(retry=0))
        assert caught.value.action is None
        assert caught.value.retry_after is not None
        assert seconds_until(caught.value, clock) == pytest.approx(caught.value.retry_after)
    assert sandbox.stats.by_status[429] < 30


async def test_the_width_halves_once_for_a_burst_and_grows_back_after_it(clock: ManualClock) -> None:
    sandbox = served(clock)
    transport = Watched(sandbox, clock, capacity=100)
    sandbox.faults.add(Fault(status=429, times=20, headers={"Retry-After": "5"}))
    async with connect(sandbox, clock=clock, transport=transport) as client:
        async with in_order(clock) as group:
            for _ in range(20):
                group.start_soon(client.me.get)
        assert 10 <= client._limiter.width < 14
        for _ in range(200):
            await client.me.get()
        assert client._limiter.width == 20


async def test_a_burst_without_a_word_pauses_by_the_backoff(clock: ManualClock) -> None:
    sandbox = served(clock)
    sandbox.faults.add(Fault(status=429, times=3))
    async with connect(sandbox, clock=clock, retry=RetryPolicy(initial=4.0, maximum=100.0)) as client:
        await client.me.get()
        assert clock.monotonic() >= 4 + 8 + 16
        assert client._limiter.free == 20


async def test_no_more_are_under_way_than_the_server_says_remain(clock: ManualClock) -> None:
    sandbox = served(clock)
    transport = Watched(sandbox, clock, capacity=100)
    async with connect(sandbox, clock=clock, transport=transport) as client:
        sandbox.faults.add(Fault(status=404, headers={"X-RateLimit-Remaining": "4"}))
        with pytest.raises(Exception, match="404"):
            await client.me.get()
        assert client._limiter.width == 4, "whatever the status"
        async with in_order(clock) as group:
            for _ in range(30):
                group.start_soon(client.me.get)
        assert transport.most == 4
        clock.advance(60)
        async with in_order(clock) as group:
            for _ in range(30):
                group.start_soon(client.me.get)
        assert transport.most == 20


async def sends(transport: Failing, clock: ManualClock, calls: int, error: type[Exception], **policy: Any) -> list[str]:
    """Make failing calls one after the other and return the notes of their errors."""
    notes: list[str] = []
    sandbox = served(clock)
    settings: dict[str, Any] = {"retry": RetryPolicy(**policy), "deadline": 1000}
    async with connect(sandbox, clock=clock, transport=transport, max_connections=4, **settings) as client:
        for _ in range(calls):
            with pytest.raises(error) as caught:
                await client.me.get()
            notes += getattr(caught.value, "__notes__", [])
    return notes


async def test_a_failing_server_gets_no_storm_of_retries(clock: ManualClock) -> None:
    transport = Failing(503)
    notes = await sends(transport, clock, 100, ServerError)
    assert 138 <= transport.sent <= 140, "a hundred, twenty saved up, and a fifth of a hundred"
    assert set(notes) == {"Not sent again: too many calls fail, only 20% may be (RetryPolicy.budget)."}
    assert 85 <= len(notes) <= 95


async def test_the_share_is_a_setting(clock: ManualClock) -> None:
    transport = Failing(503)
    await sends(transport, clock, 100, ServerError, budget=0)
    assert transport.sent == 120


async def test_without_a_budget_every_call_has_all_its_attempts(clock: ManualClock) -> None:
    transport = Failing(503)
    assert await sends(transport, clock, 100, ServerError, budget=None) == []
    assert transport.sent == 400


@pytest.mark.parametrize(("status", "error"), [(429, RateLimitError), (None, NotSentError)])
async def test_what_loads_nobody_is_free(clock: ManualClock, status: int | None, error: type[Exception]) -> None:
    transport = Failing(status)
    assert await sends(transport, clock, 50, error) == []
    assert transport.sent == 200


async def test_one_policy_earns_and_spends(clock: ManualClock) -> None:
    transport = Failing(503)
    sandbox = served(clock)
    options = RequestOptions(retry=1)
    settings: dict[str, Any] = {"max_connections": 1, "deadline": 1000}
    async with connect(
        sandbox, clock=clock, transport=transport, retry=RetryPolicy(budget=None, initial=3.0), **settings
    ) as client:
        for _ in range(30):
            with pytest.raises(ServerError) as caught:
                await client.me.get(options=options)
            assert not hasattr(caught.value, "__notes__"), "a number of retries leaves the budget as it is"
        assert transport.sent == 60
        assert min(seconds for seconds in clock.slept if seconds) >= 1.5, "and the back-off"
        own, before = RequestOptions(retry=RetryPolicy(attempts=2, budget=0.5)), transport.sent
        for _ in range(100):
            with pytest.raises(ServerError):
                await client.me.get(options=own)
        assert 155 <= transport.sent - before <= 160, "a hundred, ten saved up, and half of a hundred"


async def test_an_attempt_that_the_users_own_stop_refuses_is_not_paid_for(clock: ManualClock) -> None:
    transport = Failing(503)
    await sends(transport, clock, 20, ServerError, stop=stop_after_attempt(2), budget=0)
    assert transport.sent == 40


@pytest.mark.parametrize("budget", [-0.1, 1.1, float("nan"), True, "0.2"])
def test_wrong_budgets_are_refused(budget: Any) -> None:
    with pytest.raises(ConfigurationError, match="budget between 0 and 1"):
        RetryPolicy(budget=budget)


async def test_a_server_that_queues_gets_fewer_at_once_and_is_no_slower_for_it(clock: ManualClock) -> None:
    sandbox = served(clock)
    transport = Watched(sandbox, clock, capacity=3)
    async with connect(sandbox, clock=clock, transport=transport, deadline=10_000) as client:
        await client.me.get()
        async with in_order(clock) as group:
            for _ in range(300):
                group.start_soon(client.me.get)
        assert transport.most == 20
        assert 2 <= client._limiter.width <= 10
        assert clock.monotonic() == pytest.approx(300 * 0.2 / 3, rel=0.1)


async def test_a_call_waits_for_those_before_it_and_for_nobody_else(clock: ManualClock) -> None:
    sandbox = served(clock)
    transport = Watched(sandbox, clock, capacity=100, seconds=0.01)
    async with connect(sandbox, clock=clock, transport=transport, max_connections=5, deadline=10_000) as client:

        async def ask(name: str) -> None:
            await client.request("GET", "/me", params={"name": name})

        await client.me.get()
        transport.sent.clear()
        clock.autojump = False
        async with anyio.create_task_group() as waiting:
            for number in range(500):
                waiting.start_soon(ask, f"early {number}")
            await settle()
            waiting.start_soon(ask, "interactive")
            await settle()
            for number in range(100):
                waiting.start_soon(ask, f"late {number}")
            await settle()
            async with in_order(clock, 0.01):
                assert len(transport.sent) == 5
                await drained(transport, 601)
    place = transport.sent.index("interactive")
    assert len(transport.sent) == 601
    assert abs(place - 500) < 5, "all who came before, nobody who came later, but for those who are let in together"


async def drained(transport: Watched, sent: int) -> None:
    while len(transport.sent) < sent or transport.now:
        await checkpoint()


async def test_a_bulk_lets_an_interactive_call_in_after_those_it_has_under_way(clock: ManualClock) -> None:
    sandbox = served(clock)
    transport = Watched(sandbox, clock, capacity=100, seconds=0.01)
    async with connect(sandbox, clock=clock, transport=transport, max_connections=5) as client:
        asked_at: list[int] = []

        async def job(number: int) -> None:
            if number == 300:
                group.start_soon(interactive)
            await client.request("GET", "/me", params={"name": f"bulk {number}"})

        async def interactive() -> None:
            asked_at.append(len(transport.sent))
            await client.request("GET", "/me", params={"name": "interactive"})

        async with anyio.create_task_group() as group:
            await bulk.run([(f"{n}", partial(job, n)) for n in range(600)], concurrency=16)
    waited = transport.sent.index("interactive") - asked_at[0]
    assert len(transport.sent) == 601
    assert 0 <= waited <= 16


async def test_reading_ahead_starves_nobody(clock: ManualClock) -> None:
    sandbox = served(clock, runs=200)
    transport = Watched(sandbox, clock, capacity=100, seconds=0.01)
    async with connect(sandbox, clock=clock, transport=transport, max_connections=4) as client:
        waits: list[int] = []

        async def interactive() -> None:
            before = len(transport.sent)
            await client.request("GET", "/me", params={"name": f"interactive {before}"})
            waits.append(transport.sent.index(f"interactive {before}") - before)

        pager = client.organization().runs.list(per_page=2)
        async with anyio.create_task_group() as group, pager.prefetch(concurrency=16) as items:
            seen = [group.start_soon(interactive) async for _ in items]
    assert len(waits) == len(seen) > 100
    assert max(waits) <= 16 + 8, "the pages asked for ahead, and the calls of the page before"
