from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from tallyfy_async import (
    AttemptRecord,
    DecodeError,
    Hooks,
    PersonalTokenRevokedError,
    RequestOptions,
    RequestTimeoutError,
    ServerError,
    TallyfyClient,
    TokenRequestError,
)
from tallyfy_async.engine.trail import Trail, _split  # pyright: ignore[reportPrivateUsage]
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.telemetry import CallHooks, CallRecord
from tallyfy_async.transport.manual_clock import ManualClock
from tests.engine.flaky import Flaky, Slow, lost, refused
from tests.helpers import connect, user_grant

pytestmark = pytest.mark.anyio


class Diary(Hooks):
    """Writes down, in order, what it hears of each call."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self.headers = headers
        self.lines: list[str] = []
        self.calls: list[CallRecord] = []
        self.records: list[AttemptRecord] = []

    def on_call(self, record: CallRecord) -> CallHooks:
        self.calls.append(record)
        self.lines.append(f"call {record.operation}")
        return Page(self, record.operation)

    def on_attempt(self, record: AttemptRecord) -> None:
        self.records.append(record)


class Page(CallHooks):
    def __init__(self, diary: Diary, name: str) -> None:
        self.diary, self.name = diary, name

    def on_send(self, attempt: int) -> Mapping[str, str] | None:
        self.diary.lines.append(f"send {self.name} {attempt}")
        return self.diary.headers

    def on_attempt(self, record: AttemptRecord) -> None:
        self.diary.lines.append(f"attempt {record.attempt} {record.status} {record.error}")

    def on_end(self, error: BaseException | None) -> None:
        self.diary.lines.append(f"end {self.name} {None if error is None else type(error).__name__}")


async def test_a_call_is_told_from_begin_to_end(sandbox: Sandbox, clock: ManualClock) -> None:
    diary = Diary()
    sandbox.faults.add(Fault(status=503))
    async with connect(sandbox, clock=clock, hooks=[diary], transport=Flaky(sandbox, [refused])) as client:
        await client.me.get()
    assert diary.lines == [
        "call get_me",
        "send get_me 1",
        "attempt 1 None NotSentError",
        "send get_me 2",
        "attempt 2 503 ServerError",
        "send get_me 3",
        "attempt 3 200 None",
        "end get_me None",
    ]
    assert diary.calls == [
        CallRecord(
            operation="get_me",
            method="GET",
            path="/me",
            base_url="http://sandbox.localhost/api",
            server_address="sandbox.localhost",
            server_port=80,
        )
    ]


async def test_a_call_that_fails_is_told_with_what_the_caller_gets(sandbox: Sandbox, clock: ManualClock) -> None:
    diary = Diary()
    sandbox.faults.add(Fault(status=503, times=None))
    async with connect(sandbox, clock=clock, hooks=[diary], retry=1) as client:
        with pytest.raises(ServerError):
            await client.me.get()
    assert diary.lines[-2:] == ["attempt 2 503 ServerError", "end get_me ServerError"]
    assert diary.lines.count("end get_me ServerError") == 1


async def test_an_attempt_that_the_deadline_cuts_is_told(sandbox: Sandbox, clock: ManualClock) -> None:
    diary = Diary()
    options = RequestOptions(deadline=5)
    async with connect(sandbox, clock=clock, hooks=[diary], transport=Slow(sandbox, clock, 60)) as client:
        with pytest.raises(RequestTimeoutError):
            await client.me.get(options=options)
        await client.me.get(options=options)
    assert diary.lines[1:4] == ["send get_me 1", "attempt 1 None RequestTimeoutError", "end get_me RequestTimeoutError"]
    assert diary.records[0].elapsed == 5
    assert diary.lines[4:] == ["call get_me", "send get_me 1", "attempt 1 200 None", "end get_me None"]


async def test_a_deadline_that_ends_before_a_slot_is_free_cuts_no_attempt(sandbox: Sandbox, clock: ManualClock) -> None:
    diary = Diary()
    clock.autojump = False
    transport = Slow(sandbox, clock, 60)

    async def call_late(client: TallyfyClient) -> None:
        with pytest.raises(RequestTimeoutError):
            await client.me.get(options=RequestOptions(deadline=5))
        diary.lines.append("too late")

    async with (
        connect(sandbox, clock=clock, transport=transport, max_connections=1) as busy,
        anyio.create_task_group() as group,
    ):
        group.start_soon(busy.me.get)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(call_late, busy.with_options(hooks=[diary]))
        await anyio.wait_all_tasks_blocked()
        clock.advance(5)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert diary.lines == ["call get_me", "end get_me RequestTimeoutError", "too late"]


async def test_an_attempt_whose_caller_is_cancelled_is_told(
    sandbox: Sandbox, clock: ManualClock, anyio_backend: str
) -> None:
    diary = Diary()
    cancelled = {"asyncio": "CancelledError", "trio": "Cancelled"}[anyio_backend]
    clock.autojump = False
    async with (
        connect(sandbox, clock=clock, hooks=[diary], transport=Slow(sandbox, clock, 60)) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(client.me.get)
        await anyio.wait_all_tasks_blocked()
        clock.advance(2)
        group.cancel_scope.cancel()
    assert diary.lines == ["call get_me", "send get_me 1", "attempt 1 None Cancelled", f"end get_me {cancelled}"]
    assert diary.records[0].elapsed == 2


async def test_a_failure_before_anything_was_sent_is_no_send(sandbox: Sandbox, clock: ManualClock) -> None:
    diary = Diary()
    sandbox.faults.add(Fault(operation="create_token", status=429, headers={"Retry-After": "250"}))
    async with connect(sandbox, clock=clock, hooks=[diary], retry=0) as personal:
        with pytest.raises(TokenRequestError):
            await personal.with_options(auth=user_grant(sandbox)).me.get()
    assert diary.lines == [
        "call get_me",
        "call create_token",
        "send create_token 1",
        "attempt 1 429 RateLimitError",
        "end create_token RateLimitError",
        "attempt 0 None TokenRequestError",
        "end get_me TokenRequestError",
    ]
    assert (diary.calls[1].path, diary.calls[1].base_url) == ("/oauth/token", "http://sandbox.localhost/api")


async def test_a_reply_that_cannot_be_used_is_told_with_its_status(sandbox: Sandbox, clock: ManualClock) -> None:
    diary = Diary()
    async with connect(sandbox, clock=clock, hooks=[diary]) as client:
        org = client.organization()
        template = await anext(aiter(org.checklists.list()))
        asset = await org.files.upload(
            b"abc", filename="a.txt", subject_type="Checklist", subject_id=template.id, uploaded_from="ko_field"
        )
        diary.records.clear()
        sandbox.faults.add(Fault(operation="get_me", body="<html>"))
        with pytest.raises(DecodeError) as caught:
            await client.me.get()
        with pytest.raises(DecodeError, match="larger"):
            async with org.files.download(asset.id, max_bytes=2):
                pass
    assert (caught.value.status, caught.value.request_id) == (200, diary.records[0].request_id)
    told = [(one.operation, one.status, one.error, one.request_id) for one in diary.records]
    assert told == [
        ("get_me", 200, "DecodeError", "sandbox-00000003"),
        ("download_file", 200, "DecodeError", "sandbox-00000004"),
    ]


@pytest.mark.once
@pytest.mark.parametrize(
    ("url", "template", "shown"),
    [
        ("https://a.org/api/oauth/token", "/oauth/token", ("https://a.org/api", "/oauth/token")),
        ("https://a.org/oauth/token", "/oauth/token", ("https://a.org", "/oauth/token")),
        ("https://a.org/x/token?tenant=7", "/oauth/token", ("https://a.org", "/x/token")),
        ("https://a.org/token", "/oauth/token", ("https://a.org", "/token")),
        ("https://a.org:8/api/u/ada@b.c/t", "/u/{email}/t", ("https://a.org:8/api", "/u/{email}/t")),
        ("https://a.org/users/ada@b.c", "/u/{email}/t", ("https://a.org", "/u/{email}/t")),
    ],
)
def test_where_a_token_request_goes_holds_no_id(url: str, template: str, shown: tuple[str, str]) -> None:
    assert _split(url, template) == shown


async def test_headers_of_followers_are_sent_with_every_attempt(sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.faults.add(Fault(status=503))
    hooks = [Diary({"X-One": "1"}), Diary({"x-two": "2", "X-Three": "not this"}), Diary()]
    async with connect(sandbox, clock=clock, hooks=hooks) as client:
        await client.me.get(options=RequestOptions(headers={"x-three": "3"}))
    for received in sandbox.stats.received:
        assert [received.headers[name] for name in ("x-one", "x-two", "x-three")] == ["1", "2", "3"]
    assert len(sandbox.stats.received) == 2


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer mine"}, {"X-A": "two\r\nX-B: lines"}, {"bad name": "x"}, [("X-A", "1")]]
)
async def test_headers_that_cannot_be_are_ignored_and_logged(
    sandbox: Sandbox, clock: ManualClock, headers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(sandbox, clock=clock, hooks=[Diary(headers)]) as client:
        await client.me.get()
    assert [record.getMessage() for record in caplog.records] == ["hook on_send of Page raised and is ignored"]
    received = sandbox.stats.received[0].headers
    assert received["authorization"] == f"Bearer {sandbox.credentials.personal_token}"
    assert not {"x-a", "x-b"} & set(received)


class Rude(Hooks):
    """Raises wherever it can."""

    def on_call(self, record: CallRecord) -> CallHooks:
        return RudeCall()


class RudeCall(CallHooks):
    def on_send(self, attempt: int) -> Mapping[str, str] | None:
        raise RuntimeError("secret-of-the-hook")

    def on_attempt(self, record: AttemptRecord) -> None:
        raise RuntimeError("secret-of-the-hook")

    def on_end(self, error: BaseException | None) -> None:
        raise RuntimeError("secret-of-the-hook")


class RudeFirst(Hooks):
    def on_call(self, record: CallRecord) -> CallHooks:
        raise RuntimeError("secret-of-the-hook")


async def test_followers_that_raise_are_ignored(
    sandbox: Sandbox, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    diary = Diary()
    async with connect(sandbox, clock=clock, hooks=[Rude(), RudeFirst(), diary]) as client:
        await client.me.get()
    assert diary.lines == ["call get_me", "send get_me 1", "attempt 1 200 None", "end get_me None"]
    assert {record.getMessage() for record in caplog.records} == {
        "hook on_call of RudeFirst raised and is ignored",
        "hook on_send of RudeCall raised and is ignored",
        "hook on_attempt of RudeCall raised and is ignored",
        "hook on_end of RudeCall raised and is ignored",
    }
    assert "secret-of-the-hook" not in caplog.text


async def test_the_follower_that_came_first_leaves_last(sandbox: Sandbox, clock: ManualClock) -> None:
    left: list[str] = []

    class Leaving(CallHooks):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_end(self, error: BaseException | None) -> None:
            left.append(self.name)

    class Named(Hooks):
        def __init__(self, name: str) -> None:
            self.name = name

        def on_call(self, record: CallRecord) -> CallHooks:
            return Leaving(self.name)

    async with connect(sandbox, clock=clock, hooks=[Named("outer"), Named("inner")]) as client:
        await client.me.get()
    assert left == ["inner", "outer"]


async def test_a_lost_reply_and_a_refused_login_are_ends(sandbox: Sandbox, clock: ManualClock) -> None:
    diary = Diary()
    transport = Flaky(sandbox, [lost])
    async with connect(sandbox, clock=clock, hooks=[diary], transport=transport) as client:
        sandbox.faults.add(Fault(operation="get_me", status=401, times=None))
        with pytest.raises(PersonalTokenRevokedError):
            await client.me.get()
    assert diary.lines == [
        "call get_me",
        "send get_me 1",
        "attempt 1 None TransportError",
        "send get_me 2",
        "attempt 2 401 AuthenticationError",
        "attempt 2 None PersonalTokenRevokedError",
        "end get_me PersonalTokenRevokedError",
    ]


async def test_a_download_ends_when_its_body_can_be_read(sandbox: Sandbox, clock: ManualClock) -> None:
    diary = Diary()
    async with connect(sandbox, clock=clock, hooks=[diary]) as client:
        org = client.organization()
        template = await anext(aiter(org.checklists.list()))
        asset = await org.files.upload(
            b"abc", filename="a.txt", subject_type="Checklist", subject_id=template.id, uploaded_from="ko_field"
        )
        diary.lines.clear()
        async with org.files.download(asset.id) as file:
            assert diary.lines[-1] == "end download_file None"
            assert b"".join([piece async for piece in file]) == b"abc"
    assert diary.lines[-1] == "end download_file None"


async def test_without_hooks_there_is_no_trail(
    sandbox: Sandbox, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trail, "begin", None)
    async with connect(sandbox, clock=clock) as client:
        await client.me.get()
    assert sandbox.stats.by_operation["get_me"] == 1


async def test_logs_of_retries_carry_fields(
    sandbox: Sandbox, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(Fault(status=503))
    with caplog.at_level(logging.INFO, "tallyfy_async"):
        async with connect(sandbox, clock=clock) as client:
            await client.me.get()
    (record,) = caplog.records
    fields = vars(record)
    assert (fields["operation"], fields["attempt"], fields["status"]) == ("get_me", 1, 503)
    assert fields["request_id"] == "sandbox-00000001"
    assert fields["retry_in"] == clock.slept[0]
