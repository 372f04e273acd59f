from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import httpx
import pytest
from tenacity import (
    retry_if_exception,
    retry_if_exception_type,
    retry_never,
    stop_after_attempt,
    stop_after_delay,
    stop_never,
    wait_fixed,
    wait_incrementing,
)

from tallyfy_async import (
    ConfigurationError,
    IndeterminateError,
    NotFoundError,
    RateLimitError,
    RequestOptions,
    RetryPolicy,
    ServerError,
    TallyfyError,
)
from tallyfy_async.engine import retry as retry_module
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.engine.flaky import Flaky, lost
from tests.helpers import connect, small_sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Sandbox:
    return small_sandbox()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def sends(sandbox: Sandbox, clock: ManualClock, policy: RetryPolicy | int, **fault: Any) -> int:
    """Return how often a read is sent that fails for ever."""
    sandbox.faults.add(Fault(operation="get_me", times=None, **{"status": 503, **fault}))
    async with connect(sandbox, clock=clock, retry=policy) as client:
        with pytest.raises(TallyfyError):
            await client.me.get()
    return sandbox.stats.requests


@pytest.mark.parametrize(("retry", "expected"), [(0, 1), (1, 2), (5, 6), (RetryPolicy(attempts=2), 2)])
async def test_the_number_of_attempts(sandbox: Sandbox, clock: ManualClock, retry: Any, expected: int) -> None:
    assert await sends(sandbox, clock, retry) == expected


async def test_back_off_doubles_up_to_its_maximum(sandbox: Sandbox, clock: ManualClock) -> None:
    await sends(sandbox, clock, RetryPolicy(attempts=7, initial=1, maximum=4))
    steps = [1, 2, 4, 4, 4, 4]
    assert all(step / 2 <= slept <= step for step, slept in zip(steps, clock.slept, strict=True))


async def test_a_stop_object_of_the_user(sandbox: Sandbox, clock: ManualClock) -> None:
    assert await sends(sandbox, clock, RetryPolicy(stop=stop_after_attempt(6))) == 6


async def test_stop_objects_of_the_user_combine(sandbox: Sandbox, clock: ManualClock) -> None:
    policy = RetryPolicy(stop=stop_after_attempt(2) | stop_after_delay(1000))
    assert await sends(sandbox, clock, policy) == 2


async def test_a_stop_object_that_never_stops_ends_with_the_deadline(sandbox: Sandbox, clock: ManualClock) -> None:
    policy = RetryPolicy(stop=stop_never, wait=wait_fixed(10))
    assert await sends(sandbox, clock, policy) == 12
    assert clock.monotonic() == 110


async def test_a_wait_object_of_the_user(sandbox: Sandbox, clock: ManualClock) -> None:
    await sends(sandbox, clock, RetryPolicy(wait=wait_incrementing(start=3, increment=4)))
    assert clock.slept == [3, 7, 11]


async def test_a_longer_retry_after_wins_over_the_users_wait(sandbox: Sandbox, clock: ManualClock) -> None:
    await sends(sandbox, clock, RetryPolicy(wait=wait_fixed(3), attempts=2), headers={"Retry-After": "9"})
    assert clock.slept == [9]


async def test_a_shorter_retry_after_does_not(sandbox: Sandbox, clock: ManualClock) -> None:
    await sends(sandbox, clock, RetryPolicy(wait=wait_fixed(3), attempts=2), headers={"Retry-After": "1"})
    assert clock.slept == [3]


async def test_a_wait_that_would_outlast_the_deadline_is_not_begun(sandbox: Sandbox, clock: ManualClock) -> None:
    assert await sends(sandbox, clock, RetryPolicy(wait=wait_fixed(121))) == 1
    assert clock.slept == []


async def test_a_retry_object_of_the_user_may_choose_more(sandbox: Sandbox, clock: ManualClock) -> None:
    policy = RetryPolicy(retry=retry_if_exception_type(NotFoundError))
    assert await sends(sandbox, clock, policy, status=404) == 4


async def test_a_retry_object_of_the_user_may_choose_less(sandbox: Sandbox, clock: ManualClock) -> None:
    assert await sends(sandbox, clock, RetryPolicy(retry=retry_never)) == 1


async def test_a_retry_object_of_the_user_may_look_at_the_error(sandbox: Sandbox, clock: ManualClock) -> None:
    policy = RetryPolicy(retry=retry_if_exception(lambda error: isinstance(error, ServerError) and error.status == 501))
    assert await sends(sandbox, clock, policy, status=501) == 4


async def test_no_policy_sends_a_write_again_that_may_have_landed(sandbox: Sandbox, clock: ManualClock) -> None:
    policy = RetryPolicy(retry=retry_if_exception_type(), stop=stop_never, wait=wait_fixed(1))
    transport = Flaky(sandbox, [lost] * 5)
    async with connect(sandbox, clock=clock, transport=transport, retry=policy) as client:
        with pytest.raises(IndeterminateError):
            await client.request("POST", "/nowhere", json={})
        assert transport.sent == 1
        sandbox.faults.add(Fault(path="/nowhere", status=503, times=None))
        with pytest.raises(IndeterminateError):
            await client.request("POST", "/nowhere", json={})
    assert transport.sent == 2


async def test_no_policy_waits_beyond_the_cap(sandbox: Sandbox, clock: ManualClock) -> None:
    policy = RetryPolicy(retry=retry_if_exception_type(RateLimitError))
    assert await sends(sandbox, clock, policy, status=429, headers={"Retry-After": "61"}) == 1


async def test_the_cap_can_be_moved(sandbox: Sandbox, clock: ManualClock) -> None:
    policy = RetryPolicy(retry_after_cap=100, attempts=2)
    assert await sends(sandbox, clock, policy, status=429, headers={"Retry-After": "90"}) == 2


async def test_retry_by_client_by_call_and_by_pager(sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.faults.add(Fault(status=503, times=None))
    async with connect(sandbox, clock=clock, retry=1) as client:
        runs = client.organization().runs
        for options, expected in ((None, 2), (RequestOptions(retry=2), 3), (RequestOptions(retry=0), 1)):
            sandbox.stats.reset()
            with pytest.raises(ServerError):
                await client.me.get(options=options)
            with pytest.raises(ServerError):
                await runs.list(options=options)
            with pytest.raises(ServerError):
                await runs.list(options=options).collect()
            assert sandbox.stats.requests == 3 * expected
        sandbox.stats.reset()
        with pytest.raises(ServerError):
            await client.with_options(retry=6).me.get()
        assert sandbox.stats.requests == 7


async def test_each_page_has_attempts_of_its_own(sandbox: Sandbox, clock: ManualClock) -> None:
    async with connect(sandbox, clock=clock, retry=2) as client:
        tasks = client.organization().tasks.list(per_page=50)
        for page in range(5):
            sandbox.faults.add(Fault(operation="list_tasks", after=0 if page == 0 else 1, times=2, status=503))
        expected = (await client.organization().tasks.list(per_page=1, options=RequestOptions(retry=20))).total
        sandbox.faults.clear()
        pages = tasks.pages()
        items = 0
        for _ in range(5):
            sandbox.faults.add(Fault(operation="list_tasks", times=2, status=503))
            items += len(await anext(pages))
            sandbox.faults.clear()
            if items == expected:
                break
    assert items == expected


class ThriceEach(httpx.AsyncBaseTransport):
    """Refuses the first two sends of every URL in turn with 503 and 429."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = httpx.ASGITransport(app=sandbox.app)
        self.seen: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.seen[str(request.url)] += 1
        match self.seen[str(request.url)]:
            case 1:
                return httpx.Response(503)
            case 2:
                return httpx.Response(429, headers={"Retry-After": "1"})
            case _:
                return await self._inner.handle_async_request(request)


async def test_200_calls_at_once_share_one_policy_and_all_get_through(sandbox: Sandbox, clock: ManualClock) -> None:
    transport = ThriceEach(sandbox)
    policy = RetryPolicy(wait=wait_fixed(2), stop=stop_after_attempt(3), budget=None)
    answers: Counter[int] = Counter()
    async with connect(sandbox, clock=clock, transport=transport, retry=policy, deadline=10_000) as client:

        async def call(number: int) -> None:
            response = await client.request("GET", "/me", params={"number": number})
            answers[response.attempts] += 1

        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(call, number)
        assert client._limiter.free == 20
    assert answers == {3: 200}
    assert set(transport.seen.values()) == {3}


async def test_tenacity_is_entered_neither_on_success_nor_where_the_table_says_stop(
    sandbox: Sandbox, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = 0
    real = retry_module.Retrying

    def counting(*arguments: Any) -> Any:
        nonlocal entered
        entered += 1
        return real(*arguments)

    monkeypatch.setattr(retry_module, "Retrying", counting)
    async with connect(sandbox, clock=clock) as client:
        await client.me.get()
        assert entered == 0
        sandbox.faults.add(Fault(status=404))
        with pytest.raises(NotFoundError):
            await client.me.get()
        assert entered == 0
        sandbox.faults.add(Fault(status=503, times=2))
        await client.me.get()
        assert entered == 1


def test_a_number_of_retries_for_one_call_keeps_the_rest_of_the_policy() -> None:
    own = RetryPolicy(attempts=9, initial=3.0, retry_after_cap=7.0, budget=None, stop=stop_after_attempt(5))
    assert own.for_call(None) is own
    given = RetryPolicy(attempts=2)
    assert own.for_call(given) is given
    assert own.for_call(2) == RetryPolicy(attempts=3, initial=3.0, retry_after_cap=7.0, budget=None)


@pytest.mark.parametrize(
    "wrong", [{"attempts": 0}, {"initial": -1.0}, {"maximum": -0.1}, {"retry_after_cap": -1.0}], ids=str
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="attempts >= 1"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize("retry", [-1, True, 1.5, "3"])
def test_a_retry_that_is_none_is_refused(retry: Any) -> None:
    with pytest.raises(ConfigurationError, match="RetryPolicy or a number"):
        RequestOptions(retry=retry)
    with pytest.raises(ConfigurationError, match="RetryPolicy or a number"):
        RetryPolicy.of(retry)


async def test_callers_refused_together_do_not_come_back_together(sandbox: Sandbox, clock: ManualClock) -> None:
    back: list[float] = []
    together = anyio.Event()

    class Watched(Flaky):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            back.append(clock.monotonic())
            if len(back) == 10:
                together.set()
            await together.wait()
            return await super().handle_async_request(request)

    sandbox.faults.add(Fault(status=429, times=10, headers={"Retry-After": "5"}))
    async with connect(sandbox, clock=clock, transport=Watched(sandbox)) as client, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(client.me.get)
    again = back[10:]
    assert back[:10] == [0.0] * 10
    assert len(again) == 10
    assert len(set(again)) >= 5
    assert all(5 <= moment <= 7 for moment in again)


async def test_a_429_holds_back_calls_that_have_not_begun(sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.faults.add(Fault(status=429, headers={"Retry-After": "5"}))
    async with connect(sandbox, clock=clock, retry=0) as client:
        with pytest.raises(RateLimitError):
            await client.me.get()
        assert clock.monotonic() == 0
        await client.with_options(timeout=3).me.get()
        assert clock.monotonic() >= 5
