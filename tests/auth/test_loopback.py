"""The loopback receiver: who is heard, who is sent away, and what ends the wait."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from tallyfy_async import ConfigurationError, RedirectError, Secret
from tallyfy_async.auth.authorize import AuthorizationRequest
from tallyfy_async.auth.logins import AuthorizationCode, ImplicitToken
from tallyfy_async.auth.loopback import LoopbackReceiver
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.listening import Wait, ended, is_free, status, waiting
from tests.auth.redirects import CODE, answer, token_answer
from tests.faults.rig import until

pytestmark = pytest.mark.anyio


async def test_a_code_comes_through_the_loopback() -> None:
    async with LoopbackReceiver() as receiver:
        request = AuthorizationRequest.code(client_id="42", redirect_uri=receiver.redirect_uri)
    async with waiting(request.recognizes) as wait:
        target = answer(request, to="/callback", code=CODE)
        reply = await wait.get(target)
    assert status(reply) == 200
    assert "You can close this window" in reply
    assert CODE not in reply
    ended(wait, wait.receiver.redirect_uri + target.removeprefix("/callback"))
    grant = request.redeem(wait.outcome[0])
    assert isinstance(grant, AuthorizationCode)
    assert grant.code.reveal() == CODE


async def test_pages_are_kept_by_nobody_and_run_nothing_foreign() -> None:
    async with waiting() as wait:
        reply = await wait.get("/callback?code=%3Cscript%3E")
    head, _, body = reply.partition("\r\n\r\n")
    assert "Cache-Control: no-store" in head
    assert "Referrer-Policy: no-referrer" in head
    assert "X-Content-Type-Options: nosniff" in head
    assert "Connection: close" in head
    assert f"Content-Length: {len(body)}" in head
    nonce = re.findall(r"script-src 'nonce-([\w-]{20,})'; ", head)
    assert re.findall(r"<script nonce=\"([\w-]+)\">", body) == nonce
    assert "default-src 'none'" in head
    assert "history.replaceState" in body
    assert "%3Cscript%3E" not in body


async def test_a_denied_consent_gets_another_page() -> None:
    async with waiting() as wait:
        reply = await wait.get("/callback?error=access_denied&error_description=%3Cb%3Eno%3C/b%3E")
    assert "did not let you in" in reply
    assert "<b>" not in reply


async def test_a_fragment_is_relayed_by_a_page() -> None:
    async with LoopbackReceiver(flow="implicit") as receiver:
        request = AuthorizationRequest.implicit(client_id="42", redirect_uri=receiver.redirect_uri)
    async with waiting(request.recognizes, flow="implicit") as wait:
        page = await wait.get("/callback")
        assert status(page) == 200
        assert "location.hash" in page
        assert "history.replaceState" in page
        assert "connect-src 'self'" in page
        assert wait.outcome == []
        fragment = token_answer(request).partition("#")[2]
        assert "no content" not in await wait.post("/callback", "")
        assert wait.outcome == []
        reply = await wait.post("/callback", fragment)
    assert status(reply) == 200
    assert "text/plain" in reply
    assert "<" not in reply
    ended(wait, f"{wait.receiver.redirect_uri}#{fragment}")
    assert isinstance(request.redeem(wait.outcome[0]), ImplicitToken)


async def test_query_and_fragment_are_both_handed_on_so_that_they_are_refused_together() -> None:
    async with waiting(flow="implicit") as wait:
        await wait.post("/callback?x=1", "access_token=t&state=s")
    ended(wait, f"{wait.receiver.redirect_uri}?x=1#access_token=t&state=s")


async def test_an_implicit_answer_may_stand_in_the_query() -> None:
    async with waiting(flow="implicit") as wait:
        assert status(await wait.get("/callback?access_token=t&state=s")) == 200
    ended(wait, f"{wait.receiver.redirect_uri}?access_token=t&state=s")


OTHERS: dict[str, tuple[int, Callable[[Wait], Awaitable[str]]]] = {
    "path": (404, lambda wait: wait.get("/favicon.ico")),
    "longer path": (404, lambda wait: wait.get("/callback/?code=x")),
    "nothing": (400, lambda wait: wait.get("/callback")),
    "state alone": (400, lambda wait: wait.get("/callback?state=x")),
    "head": (405, lambda wait: wait.say(wait.head("HEAD", "/callback?code=x"))),
    "post": (405, lambda wait: wait.post("/callback", "code=x")),
    "options": (405, lambda wait: wait.say(wait.head("OPTIONS", "/callback?code=x"))),
    "rebound name": (421, lambda wait: wait.get("/callback?code=x", Host=f"evil.example:{wait.port}")),
    "localhost": (421, lambda wait: wait.get("/callback?code=x", Host=f"localhost:{wait.port}")),
    "no port": (421, lambda wait: wait.get("/callback?code=x", Host="127.0.0.1")),
    "no host": (400, lambda wait: wait.say("GET /callback?code=x HTTP/1.1\r\n\r\n")),
    "two hosts": (400, lambda wait: wait.get("/callback?code=x", host="evil.example")),
    "absolute": (400, lambda wait: wait.get("http://evil.example/callback?code=x")),
    "http/2": (400, lambda wait: wait.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    "tls": (400, lambda wait: wait.say("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")),
    "folded": (400, lambda wait: wait.say(wait.head("GET", "/callback?code=x")[:-2] + "X: a\r\n b: c\r\n\r\n")),
    "chunked": (400, lambda wait: wait.get("/callback?code=x", Transfer_Encoding="chunked")),
    "many headers": (400, lambda wait: wait.get("/callback?code=x", **{f"X{n}": "x" for n in range(80)})),
    "large": (431, lambda wait: wait.get("/callback?code=x", Cookie="x" * 5_000_000)),
    "many fields": (400, lambda wait: wait.get("/callback?code=x&" + "&".join("x=1" for _ in range(80)))),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name.replace(" ", "_")) for name, case in OTHERS.items()])
async def test_row_114_wrong_clients_are_sent_away_and_end_nothing(
    case: tuple[int, Callable[[Wait], Awaitable[str]]],
) -> None:
    expected, ask = case
    async with waiting() as wait:
        assert status(await ask(wait)) == expected
        assert wait.outcome == []
        assert status(await wait.get("/callback?code=right", Cookie="x" * 20_000)) == 200
    ended(wait, f"{wait.receiver.redirect_uri}?code=right")


POSTS = {
    "foreign origin": (403, "access_token=x", {"Origin": "https://evil.example"}),
    "opaque origin": (403, "access_token=x", {"Origin": "null"}),
    "no length": (411, "", {"Content_Length": "many"}),
    "too long": (413, "", {"Content_Length": "40000"}),
    "nothing in it": (400, "state=x", {}),
    "no text": (400, "\xff\xfe\x00", {}),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name.replace(" ", "_")) for name, case in POSTS.items()])
async def test_row_114_wrong_relays_are_sent_away(case: tuple[int, str, dict[str, str]]) -> None:
    expected, body, headers = case
    async with waiting(flow="implicit") as wait:
        assert status(await wait.post("/callback", body, **headers)) == expected
        assert wait.outcome == []
        assert status(await wait.post("/callback", "access_token=right")) == 200
    ended(wait, f"{wait.receiver.redirect_uri}#access_token=right")


async def test_row_114_answers_to_other_logins_end_nothing() -> None:
    async with waiting(lambda redirect: redirect.reveal().endswith("state=mine")) as wait:
        reply = await wait.get("/callback?code=x&state=theirs")
        assert (status(reply), "does not belong to the login" in reply) == (400, True)
        assert wait.outcome == []
        assert status(await wait.get("/callback?code=x&state=mine")) == 200
    ended(wait, f"{wait.receiver.redirect_uri}?code=x&state=mine")


async def test_row_114_slow_and_silent_clients_hold_nobody_up() -> None:
    async with waiting() as wait:
        crowd = [await anyio.connect_tcp("127.0.0.1", wait.port) for _ in range(100)]
        for number, stream in enumerate(crowd):
            if number % 2:
                await stream.send(b"GET /callback?code=slow HTTP/1.1\r\nHost:")
        await until(lambda: len(wait.receiver._talks) == 64)
        assert status(await wait.get("/callback?code=right")) == 200
    ended(wait, f"{wait.receiver.redirect_uri}?code=right")
    for stream in crowd:
        await stream.aclose()


async def test_row_114_a_slow_client_is_cut_off_after_its_time() -> None:
    clock = ManualClock(autojump=False)
    async with waiting(clock=clock) as wait:
        async with await anyio.connect_tcp("127.0.0.1", wait.port) as slow:
            await slow.send(b"GET /callb")
            await until(lambda: len(wait.receiver._talks) == 1)
            clock.advance(10)
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await slow.receive()
        assert status(await wait.get("/callback?code=right")) == 200
    ended(wait, f"{wait.receiver.redirect_uri}?code=right")


async def test_row_114_a_failing_accept_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    async with LoopbackReceiver(clock=clock) as receiver:
        listener = receiver._listener
        assert listener is not None
        accept, failures = listener.accept, [OSError(24, "Too many open files"), ConnectionAbortedError()]

        async def flaky() -> SocketStream:
            if failures:
                raise failures.pop()
            return await accept()

        monkeypatch.setattr(listener, "accept", flaky)
        async with waiting(made=receiver) as wait:
            assert status(await wait.get("/callback?code=right")) == 200
    ended(wait, f"{receiver.redirect_uri}?code=right")
    assert clock.slept == [0.1, 0.1]


async def test_row_114_clients_that_leave_are_not_missed() -> None:
    async with waiting(flow="implicit") as wait:
        for raw in ("", "GET /call", wait.head("POST", "/callback", Origin=f"http://127.0.0.1:{wait.port}")):
            async with await anyio.connect_tcp("127.0.0.1", wait.port) as stream:
                await stream.send(raw.replace("\r\n\r\n", "\r\nContent-Length: 9\r\n\r\n").encode() or b" ")
        assert status(await wait.post("/callback", "access_token=right")) == 200
    ended(wait, f"{wait.receiver.redirect_uri}#access_token=right")


async def test_row_114_one_valid_request_and_the_port_is_free() -> None:
    async with waiting() as wait:
        await wait.get("/callback?code=right")
    assert is_free(wait.port)
    with pytest.raises(OSError):
        await wait.get("/callback?code=second")
    with pytest.raises(ConfigurationError, match="stopped listening"):
        await wait.receiver.receive()


async def test_row_114_of_two_answers_at_once_one_is_taken() -> None:
    replies: list[int] = []
    async with waiting() as wait, anyio.create_task_group() as group:

        async def ask(number: int) -> None:
            try:
                replies.append(status(await wait.get(f"/callback?code={number}")))
            except (OSError, anyio.BrokenResourceError, IndexError):
                replies.append(0)  # the receiver was gone already

        for number in range(10):
            group.start_soon(ask, number)
    assert replies.count(200) == 1
    assert len(wait.outcome) == 1
    assert isinstance(wait.outcome[0], Secret)


async def test_row_114_it_listens_on_the_loopback_address_alone() -> None:
    async with waiting() as wait:
        assert not is_free(wait.port)
        # Another address of the same machine: a listener on 0.0.0.0 would answer there.
        with pytest.raises(OSError):
            await anyio.connect_tcp("127.0.0.2", wait.port)
        await wait.get("/callback?code=right")
    for host in ("0.0.0.0", "localhost", "192.0.2.1", "::", ""):
        with pytest.raises(ConfigurationError, match="host must be"):
            LoopbackReceiver(host=host)


async def test_row_114_the_port_is_free_after_a_cancellation() -> None:
    receiver = LoopbackReceiver()
    with anyio.CancelScope() as scope:
        async with receiver, anyio.create_task_group() as group:
            port = Wait(receiver).port
            group.start_soon(receiver.receive)
            await anyio.wait_all_tasks_blocked()
            idle = await anyio.connect_tcp("127.0.0.1", port)
            assert not is_free(port)
            scope.cancel()
            await anyio.sleep(1)
    assert scope.cancelled_caught
    await idle.aclose()
    assert is_free(port)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio has no native cancellation
async def test_row_114_the_port_is_free_after_a_native_cancellation() -> None:
    async def listen() -> None:
        async with LoopbackReceiver() as receiver:
            ports.append(Wait(receiver).port)
            await receiver.receive()

    ports: list[int] = []
    task = asyncio.create_task(listen())
    await until(lambda: bool(ports))
    idle = await anyio.connect_tcp("127.0.0.1", ports[0])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await idle.aclose()
    assert is_free(ports[0])


async def test_row_114_the_wait_ends_at_its_deadline() -> None:
    clock = ManualClock(autojump=False)
    async with waiting(clock=clock, timeout=300) as wait:
        await wait.get("/callback")
        clock.advance(299)
        await anyio.wait_all_tasks_blocked()
        assert wait.outcome == []
        clock.advance(1)
    assert isinstance(wait.outcome[0], RedirectError)
    assert "within 300 s" in str(wait.outcome[0])
    assert is_free(wait.port)


async def test_ipv6_has_its_own_spelling() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with waiting(host="::1") as wait:
        assert wait.receiver.redirect_uri == f"http://[::1]:{wait.port}/callback"
        raw = wait.head("GET", "/callback?code=x", Host=f"[::1]:{wait.port}")
        assert status(await wait.say(raw, "::1")) == 200
    ended(wait, f"{wait.receiver.redirect_uri}?code=x")


async def test_a_taken_port_is_told_before_anything_opens() -> None:
    async with LoopbackReceiver() as first:
        with pytest.raises(ConfigurationError, match=r"port \d+ of 127.0.0.1 cannot be listened on: Address"):
            await LoopbackReceiver(port=Wait(first).port).__aenter__()


async def test_wrong_use_is_told() -> None:
    receiver = LoopbackReceiver()
    for use in (receiver.receive, lambda: anyio.sleep(len(receiver.redirect_uri))):
        with pytest.raises(ConfigurationError, match="enter the receiver first"):
            await use()
    async with receiver:
        pass
    with pytest.raises(ConfigurationError, match="listens once"):
        await receiver.__aenter__()
    with pytest.raises(ConfigurationError, match="stopped listening"):
        await receiver.receive()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 70_000),
        ("port", True),
        ("path", "callback"),
        ("path", "/a?b"),
        ("path", "/\r\n"),
        ("timeout", 0),
        ("timeout", "5"),
        ("flow", "magic"),
    ],
)
def test_wrong_arguments(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        LoopbackReceiver(**{name: value})


async def test_what_the_callers_own_check_raises_ends_the_wait_bare() -> None:
    def broken(redirect: Secret) -> bool:
        raise LookupError(type(redirect).__name__)

    async with waiting(broken) as wait:
        assert await wait.get("/callback?code=x") == ""
    assert isinstance(wait.outcome[0], LookupError)


async def test_an_answer_counts_although_the_browser_has_left() -> None:
    async with waiting() as wait:
        with socket.create_connection(("127.0.0.1", wait.port)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            rude.sendall(wait.head("GET", "/callback?code=x").encode())
    ended(wait, f"{wait.receiver.redirect_uri}?code=x")
