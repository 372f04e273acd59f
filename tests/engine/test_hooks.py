from __future__ import annotations

import logging
from typing import Any

import pytest

from tallyfy_async import (
    AttemptRecord,
    AuthenticationError,
    Hooks,
    NotFoundError,
    Outcome,
    RateLimitError,
    ServerError,
    TallyfyClient,
    TokenRecord,
    TokenRequestError,
)
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.engine.flaky import Flaky, refused
from tests.helpers import connect, user_grant

pytestmark = pytest.mark.anyio


class Ear(Hooks):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.attempts: list[AttemptRecord] = []
        self.tokens: list[TokenRecord] = []
        self.failures: list[Exception] = []

    def on_attempt(self, record: AttemptRecord) -> None:
        self.attempts.append(record)

    async def on_token(self, record: TokenRecord) -> None:
        self.tokens.append(record)

    def on_auth_failure(self, error: Exception) -> None:
        self.failures.append(error)


class Mouth(Hooks):
    """Raises at whatever it hears."""

    def on_attempt(self, record: AttemptRecord) -> None:
        raise RuntimeError("secret-of-the-hook")

    async def on_token(self, record: TokenRecord) -> None:
        raise RuntimeError("secret-of-the-hook")

    def on_auth_failure(self, error: Exception) -> None:
        raise RuntimeError("secret-of-the-hook")


def heard(ear: Ear) -> list[tuple[int, int | None, str | None]]:
    return [(record.attempt, record.status, record.error) for record in ear.attempts]


async def test_a_call_that_succeeds_is_one_attempt(sandbox: Sandbox, clock: ManualClock) -> None:
    ear = Ear()
    async with connect(sandbox, clock=clock, hooks=[ear]) as client:
        await client.me.get()
    assert ear.attempts == [
        AttemptRecord(
            operation="get_me",
            method="GET",
            path="/me",
            attempt=1,
            status=200,
            error=None,
            elapsed=0.0,
            retry_in=None,
            request_id="sandbox-00000001",
            server_address="sandbox.localhost",
            server_port=80,
        )
    ]


async def test_every_attempt_is_told_with_the_wait_that_follows(sandbox: Sandbox, clock: ManualClock) -> None:
    ear = Ear()
    sandbox.faults.add(Fault(status=503), Fault(status=429, headers={"Retry-After": "3"}))
    async with connect(sandbox, clock=clock, hooks=[ear], transport=Flaky(sandbox, [refused])) as client:
        await client.me.get()
    assert heard(ear) == [
        (1, None, "NotSentError"),
        (2, 503, "ServerError"),
        (3, 429, "RateLimitError"),
        (4, 200, None),
    ]
    waits = [record.retry_in for record in ear.attempts]
    assert waits == [*clock.slept[:3], None]
    assert waits[2] is not None
    assert waits[2] >= 3


async def test_what_a_cap_holds_back_is_no_attempt(sandbox: Sandbox, clock: ManualClock) -> None:
    ear = Ear()
    body = {"message": "You've reached the hourly limit for Comment (120 per hour per organization)."}
    sandbox.faults.add(Fault(operation="create_run_comment", status=429, body=body, times=None))
    async with connect(sandbox, clock=clock, hooks=[ear]) as client:
        for _ in range(3):
            with pytest.raises(RateLimitError):
                await client.organization().threads.comment_on_run("r", "hello")
    assert heard(ear) == [(1, 429, "RateLimitError")]


async def test_a_failure_before_the_call_was_sent_has_no_status(sandbox: Sandbox, clock: ManualClock) -> None:
    ear = Ear()
    clock.advance(1000)
    sandbox.faults.add(Fault(operation="create_token", status=429, headers={"Retry-After": "250"}))
    async with connect(sandbox, clock=clock, hooks=[ear], retry=0) as personal:
        client = personal.with_options(auth=user_grant(sandbox))
        for _ in range(2):
            ear.attempts.clear()
            with pytest.raises(TokenRequestError) as caught:
                await client.me.get()
    assert (caught.value.status, caught.value.outcome) == (429, Outcome.NOT_SENT)
    told = [record for record in ear.attempts if record.operation == "get_me"]
    assert [(record.status, record.request_id, record.error) for record in told] == [(None, None, "TokenRequestError")]
    assert told[0].elapsed == 0


async def test_the_last_failure_is_told_once_with_no_wait(sandbox: Sandbox, clock: ManualClock) -> None:
    ear = Ear()
    sandbox.faults.add(Fault(status=503, times=None))
    async with connect(sandbox, clock=clock, hooks=[ear], retry=1) as client:
        with pytest.raises(ServerError):
            await client.me.get()
    assert heard(ear) == [(1, 503, "ServerError"), (2, 503, "ServerError")]
    assert ear.attempts[1].retry_in is None


async def test_records_hold_templates_instead_of_ids(sandbox: Sandbox, clock: ManualClock) -> None:
    ear = Ear()
    async with connect(sandbox, clock=clock, hooks=[ear]) as client:
        with pytest.raises(NotFoundError):
            await client.organization().runs.get("0" * 32)
    assert heard(ear) == [(1, 404, "NotFoundError")]
    assert ear.attempts[0].path == "/organizations/{org}/runs/{run_id}"
    assert ear.attempts[0].operation == "get_run"


async def test_a_401_and_its_answer_are_told(sandbox: Sandbox, clock: ManualClock) -> None:
    ear = Ear()
    async with connect(sandbox, clock=clock).with_options(auth=user_grant(sandbox), hooks=[ear]) as client:
        await client.tokens.get()
        ear.attempts.clear()
        sandbox.faults.add(Fault(operation="get_me", status=401))
        await client.me.get()
    assert [(record.operation, record.attempt, record.status) for record in ear.attempts] == [
        ("get_me", 1, 401),
        ("refresh_token", 1, 200),
        ("get_me", 2, 200),
    ]
    assert ear.attempts[0].retry_in == 0.0
    assert [record.generation for record in ear.tokens] == [1, 2]


async def test_a_failure_to_authenticate_is_told(sandbox: Sandbox, clock: ManualClock) -> None:
    ear = Ear()
    async with connect(sandbox, clock=clock).with_options(auth=user_grant(sandbox), hooks=[ear]) as client:
        sandbox.faults.add(Fault(operation="get_me", status=401, times=None))
        with pytest.raises(AuthenticationError):
            await client.me.get()
    assert [type(error) for error in ear.failures] == [AuthenticationError]


async def test_all_hooks_hear_and_one_that_raises_is_ignored(
    sandbox: Sandbox, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    client: TallyfyClient
    async with connect(sandbox, clock=clock).with_options(auth=user_grant(sandbox), hooks=[Mouth(), ear]) as client:
        sandbox.faults.add(Fault(operation="get_me", status=401, times=None))
        with caplog.at_level(logging.ERROR, "tallyfy_async"), pytest.raises(AuthenticationError):
            await client.me.get()
    assert len(ear.attempts) >= 3
    assert len(ear.tokens) == 2
    assert ear.failures
    told = {record.getMessage() for record in caplog.records}
    assert told == {
        f"hook {name} of Mouth raised and is ignored" for name in ("on_attempt", "on_token", "on_auth_failure")
    }
    assert "secret-of-the-hook" not in caplog.text


async def test_retries_are_logged_without_a_secret(
    sandbox: Sandbox, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(Fault(status=503))
    with caplog.at_level(logging.DEBUG, "tallyfy_async"):
        async with connect(sandbox, clock=clock) as client:
            await client.me.get()
    messages: list[Any] = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len(messages) == 1
    assert messages[0].startswith("get_me: attempt 1 failed (GET /me -> 503: ")
    assert sandbox.credentials.personal_token not in caplog.text
