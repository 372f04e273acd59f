"""The retry table, row by row, through the whole pipeline; counted where the requests arrive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import formatdate

import pytest

from tallyfy_async import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DecodeError,
    IndeterminateError,
    NotFoundError,
    NotSentError,
    Outcome,
    PermissionDeniedError,
    PersonalTokenRevokedError,
    RateLimitError,
    RequestOptions,
    ServerError,
    TallyfyClient,
    TallyfyError,
    TransportError,
    ValidationError,
)
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.engine.flaky import Accident, Flaky, lost, refused
from tests.helpers import connect, small_sandbox, user_grant

pytestmark = pytest.mark.anyio

Send = Callable[[TallyfyClient, RequestOptions | None], Awaitable[object]]


async def read(client: TallyfyClient, options: RequestOptions | None = None) -> object:
    return await client.me.get(options=options)


async def write(client: TallyfyClient, options: RequestOptions | None = None) -> object:
    """Rename a run; the sandbox answers with it."""
    run = small_runs(client)
    return await client.request("PUT", run, json={"name": "New"}, options=options)


def small_runs(client: TallyfyClient) -> str:
    organization = client.organization().id
    return f"/organizations/{organization}/runs/{RUNS[organization]}"


RUNS: dict[str, str] = {}


@pytest.fixture
def sandbox() -> Sandbox:
    sandbox = small_sandbox()
    truth = sandbox.truth()
    RUNS[sandbox.credentials.organization] = next(run for run in truth["runs"] if run not in truth["archived_runs"])
    return sandbox


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def plan(sandbox: Sandbox, times: int | None, **fault: object) -> None:
    sandbox.faults.add(Fault(times=times, **fault))  # type: ignore[arg-type]


async def failure(send: Send, client: TallyfyClient, options: RequestOptions | None = None) -> TallyfyError:
    with pytest.raises(TallyfyError) as caught:
        await send(client, options)
    return caught.value


@pytest.mark.parametrize("send", [read, write])
async def test_never_sent_is_sent_again(sandbox: Sandbox, clock: ManualClock, send: Send) -> None:
    transport = Flaky(sandbox, [refused] * 3)
    async with connect(sandbox, transport=transport, clock=clock) as client:
        await send(client, None)
    assert (transport.sent, sandbox.stats.requests) == (4, 1)


@pytest.mark.parametrize("send", [read, write])
async def test_never_sent_ends_after_four_attempts(sandbox: Sandbox, clock: ManualClock, send: Send) -> None:
    transport = Flaky(sandbox, [refused] * 9)
    async with connect(sandbox, transport=transport, clock=clock) as client:
        error = await failure(send, client)
    assert isinstance(error, NotSentError)
    assert transport.sent == 4
    waits = clock.slept
    assert [0.25 <= waits[0] <= 0.5, 0.5 <= waits[1] <= 1, 1 <= waits[2] <= 2] == [True] * 3
    assert len(waits) == 3


@pytest.mark.parametrize("send", [read, write])
async def test_429_is_sent_again(sandbox: Sandbox, clock: ManualClock, send: Send) -> None:
    plan(sandbox, 3, status=429)
    async with connect(sandbox, clock=clock) as client:
        await send(client, None)
    assert sandbox.stats.by_status == {429: 3, 200: 1}


@pytest.mark.parametrize("send", [read, write])
async def test_429_ends_after_four_attempts(sandbox: Sandbox, clock: ManualClock, send: Send) -> None:
    plan(sandbox, None, status=429)
    async with connect(sandbox, clock=clock) as client:
        error = await failure(send, client)
    assert isinstance(error, RateLimitError)
    assert error.outcome is Outcome.REFUSED
    assert sandbox.stats.requests == 4


@pytest.mark.parametrize("send", [read, write])
@pytest.mark.parametrize("style", ["seconds", "date", "fraction"])
async def test_retry_after_is_kept_and_spread(sandbox: Sandbox, clock: ManualClock, send: Send, style: str) -> None:
    value = {"seconds": "7", "date": formatdate(clock.time() + 7, usegmt=True), "fraction": "7.0"}[style]
    plan(sandbox, 1, status=429, headers={"Retry-After": value})
    async with connect(sandbox, clock=clock) as client:
        await send(client, None)
    assert sandbox.stats.requests == 2
    assert 7 <= clock.monotonic() <= 7 + 0.25 + 0.7 + 0.25


async def test_a_date_in_the_past_means_at_once(sandbox: Sandbox, clock: ManualClock) -> None:
    plan(sandbox, 1, status=429, headers={"Retry-After": formatdate(clock.time() - 100, usegmt=True)})
    async with connect(sandbox, clock=clock) as client:
        await read(client)
    assert clock.monotonic() < 0.5


@pytest.mark.parametrize("value", ["soon", "", "-1", "nan", "Mon, 99 Foo 2026"])
async def test_a_retry_after_that_is_none_falls_back(sandbox: Sandbox, clock: ManualClock, value: str) -> None:
    plan(sandbox, 1, status=429, headers={"Retry-After": value})
    async with connect(sandbox, clock=clock) as client:
        await read(client)
    assert sandbox.stats.requests == 2
    assert clock.monotonic() < 2


@pytest.mark.parametrize("send", [read, write])
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_above_the_cap_ends_the_call(
    sandbox: Sandbox, clock: ManualClock, send: Send, status: int
) -> None:
    plan(sandbox, None, status=status, headers={"Retry-After": "61"})
    async with connect(sandbox, clock=clock) as client:
        error = await failure(send, client)
    assert isinstance(error, RateLimitError | ServerError)
    assert error.retry_after == 61
    assert sandbox.stats.requests == 1
    assert clock.monotonic() == 0


async def test_retry_after_above_the_time_left_ends_the_call(sandbox: Sandbox, clock: ManualClock) -> None:
    plan(sandbox, None, status=429, headers={"Retry-After": "20"})
    async with connect(sandbox, clock=clock, deadline=19) as client:
        error = await failure(read, client)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 20
    assert (sandbox.stats.requests, clock.monotonic()) == (1, 0)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_gateway_errors_are_sent_again_for_reads(sandbox: Sandbox, clock: ManualClock, status: int) -> None:
    plan(sandbox, 3, status=status)
    async with connect(sandbox, clock=clock) as client:
        await read(client)
    assert sandbox.stats.by_status == {status: 3, 200: 1}
    plan(sandbox, None, status=status)
    async with connect(sandbox, clock=clock) as client:
        error = await failure(read, client)
    assert isinstance(error, ServerError)
    assert sandbox.stats.requests == 8


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520])
async def test_server_errors_end_a_write_with_an_unknown_outcome(
    sandbox: Sandbox, clock: ManualClock, status: int
) -> None:
    plan(sandbox, None, status=status)
    async with connect(sandbox, clock=clock) as client:
        error = await failure(write, client)
    assert isinstance(error, ServerError)
    assert (error.status, error.outcome) == (status, Outcome.UNKNOWN)
    assert sandbox.stats.requests == 1


async def test_503_with_retry_after_is_kept_for_reads(sandbox: Sandbox, clock: ManualClock) -> None:
    plan(sandbox, 1, status=503, headers={"Retry-After": "9"})
    async with connect(sandbox, clock=clock) as client:
        await read(client)
    assert 9 <= clock.monotonic() <= 10.2


async def test_500_is_sent_once_more_for_reads(sandbox: Sandbox, clock: ManualClock) -> None:
    plan(sandbox, 1, status=500)
    async with connect(sandbox, clock=clock) as client:
        await read(client)
    plan(sandbox, None, status=500)
    async with connect(sandbox, clock=clock) as client:
        assert isinstance(await failure(read, client), ServerError)
    assert sandbox.stats.by_status == {500: 3, 200: 1}


async def test_a_lost_reply_is_asked_for_again_for_reads(sandbox: Sandbox, clock: ManualClock) -> None:
    transport = Flaky(sandbox, [lost] * 3)
    async with connect(sandbox, transport=transport, clock=clock) as client:
        await read(client)
    assert transport.sent == 4


async def test_a_lost_reply_ends_a_write(sandbox: Sandbox, clock: ManualClock) -> None:
    transport = Flaky(sandbox, [lost] * 3)
    async with connect(sandbox, transport=transport, clock=clock) as client:
        error = await failure(write, client)
    assert isinstance(error, IndeterminateError)
    assert error.outcome is Outcome.UNKNOWN
    assert isinstance(error.__cause__, TransportError)
    assert transport.sent == 1


@pytest.mark.parametrize("send", [read, write])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (402, APIError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (418, APIError),
        (422, ValidationError),
    ],
)
async def test_other_refusals_end_the_call(
    sandbox: Sandbox, clock: ManualClock, send: Send, status: int, kind: type[APIError]
) -> None:
    plan(sandbox, None, status=status, body={"message": "no"})
    async with connect(sandbox, clock=clock) as client:
        error = await failure(send, client)
    assert type(error) is kind
    assert error.outcome is Outcome.REFUSED
    assert (sandbox.stats.requests, clock.slept) == (1, [])


@pytest.mark.parametrize("send", [read, write])
async def test_an_undecodable_success_ends_the_call(sandbox: Sandbox, clock: ManualClock, send: Send) -> None:
    plan(sandbox, None, status=200, body="<html>")
    async with connect(sandbox, clock=clock) as client:
        error = await failure(send, client)
    assert isinstance(error, DecodeError)
    assert error.outcome is Outcome.DONE
    assert sandbox.stats.requests == 1


@pytest.mark.parametrize("send", [read, write])
async def test_a_401_is_answered_once_by_the_manager(sandbox: Sandbox, clock: ManualClock, send: Send) -> None:
    async with connect(sandbox, clock=clock).with_options(auth=user_grant(sandbox)) as client:
        await client.tokens.get()
        sandbox.faults.add(Fault(path="/", revoke=True))
        await send(client, None)
    assert sandbox.stats.by_status[401] == 1
    assert sandbox.stats.token_requests["refresh_token"]["ok"] == 1
    assert clock.slept == []


@pytest.mark.parametrize("send", [read, write])
async def test_a_401_to_the_new_token_as_well_ends_the_call(sandbox: Sandbox, clock: ManualClock, send: Send) -> None:
    plan(sandbox, None, path="^(?!/oauth)", status=401)
    async with connect(sandbox, clock=clock).with_options(auth=user_grant(sandbox)) as client:
        error = await failure(send, client)
    assert isinstance(error, AuthenticationError)
    assert sandbox.stats.by_status[401] == 2
    assert sandbox.stats.token_requests["refresh_token"].total() == 1


async def test_a_401_to_a_personal_token_ends_the_call(sandbox: Sandbox, clock: ManualClock) -> None:
    plan(sandbox, None, status=401)
    async with connect(sandbox, clock=clock) as client:
        error = await failure(write, client)
    assert isinstance(error, PersonalTokenRevokedError)
    assert error.outcome is Outcome.REFUSED
    assert isinstance(error.__cause__, AuthenticationError)
    assert sandbox.stats.requests == 1


async def test_a_retry_after_a_401_does_not_renew_again(sandbox: Sandbox, clock: ManualClock) -> None:
    async with connect(sandbox, clock=clock).with_options(auth=user_grant(sandbox)) as client:
        await client.tokens.get()
        for status in (401, 503, 401):
            plan(sandbox, 1, operation="get_me", status=status)
        error = await failure(read, client)
    assert isinstance(error, AuthenticationError)
    assert sandbox.stats.token_requests["refresh_token"].total() == 1
    assert sandbox.stats.by_operation["get_me"] == 3


@pytest.mark.parametrize("accident", [refused, lost])
async def test_the_error_of_the_last_attempt_is_told(sandbox: Sandbox, clock: ManualClock, accident: Accident) -> None:
    plan(sandbox, None, status=503)
    transport = Flaky(sandbox, [accident] * 3)
    async with connect(sandbox, transport=transport, clock=clock) as client:
        error = await failure(read, client)
    assert isinstance(error, ServerError)
    assert transport.sent == 4
