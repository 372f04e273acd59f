"""How the sandbox's posts meet hostile receivers, ends and full queues."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trustme

from tallyfy_async.sandbox import DeliveryFault
from tallyfy_async.sandbox.posting import Exchange
from tallyfy_async.sandbox.views import webhooks as views

from .conftest import Api
from .receiver import Receiver, complete, receiving, template
from .steps import launch
from .test_webhooks import subscription

pytestmark = [pytest.mark.anyio, pytest.mark.once]
BIG = b"x" * 4_000_000
"""More than any buffer of a connection holds."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110 - nobody tells of it
            await anyio.sleep(0.005)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Any, threading.Event], None]], int]]:
    """Serve one connection from a thread by a function that gets it and an event that is set at the end."""
    done = threading.Event()
    with ExitStack() as stack:

        def serve(serve_one: Callable[[Any, threading.Event], None]) -> int:
            listener = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
            listener.settimeout(20)

            def run() -> None:
                with suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        serve_one(connection, done)

            thread = threading.Thread(target=run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(done.set)
            return int(listener.getsockname()[1])

        yield serve


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Make a certificate for this machine that the program trusts."""
    authority = trustme.CA()
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


async def send(url: str, body: bytes = b"{}", limit: float = 30) -> int:
    exchange = Exchange(url, {"Content-Type": "application/json"}, body, limit)
    return await anyio.to_thread.run_sync(exchange.send)


async def test_an_encrypted_receiver(serve: Any, tls: ssl.SSLContext) -> None:
    heard: list[bytes] = []

    def answer(connection: socket.socket, _: threading.Event) -> None:
        with tls.wrap_socket(connection, server_side=True) as encrypted:
            heard.append(encrypted.recv(1 << 16) + encrypted.recv(1 << 16))
            encrypted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    port = serve(answer)
    assert await send(f"https://localhost:{port}/in?a=1") == 204
    assert heard[0].startswith(f"POST /in?a=1 HTTP/1.1\r\nHost: localhost:{port}\r\n".encode())
    assert heard[0].endswith(b"\r\n\r\n{}")


async def test_a_certificate_of_nobody_is_refused(serve: Any, tls: ssl.SSLContext, monkeypatch: Any) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    port = serve(lambda connection, _: tls.wrap_socket(connection, server_side=True).close())
    with pytest.raises(ssl.SSLCertVerificationError):
        await send(f"https://localhost:{port}")


def _read_slowly(connection: socket.socket, done: threading.Event) -> None:
    while connection.recv(1 << 16) and not done.wait(0.02):
        pass
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


def _dribble_a_handshake(connection: socket.socket, done: threading.Event) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"\x16\x03\x03\x3e\x80")  # a record of 16000 bytes
    while not done.wait(0.02):
        connection.sendall(b"\x02")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_receiver_that_reads_slowly_runs_out_of_time(scheme: str, serve: Any, tls: ssl.SSLContext) -> None:
    def read(connection: socket.socket, done: threading.Event) -> None:
        with ExitStack() as stack:
            if scheme == "https":
                connection = stack.enter_context(tls.wrap_socket(connection, server_side=True))
            _read_slowly(connection, done)

    with pytest.raises(TimeoutError):
        await send(f"{scheme}://localhost:{serve(read)}", BIG, limit=0.3)


async def test_a_handshake_that_dribbles_runs_out_of_time(serve: Any) -> None:
    with pytest.raises(TimeoutError):
        await send(f"https://127.0.0.1:{serve(_dribble_a_handshake)}", limit=0.2)


async def test_names_of_this_machine_are_not_looked_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    look_up = socket.getaddrinfo

    def elsewhere(host: Any, *more: Any, **words: Any) -> Any:
        asked.append(host)
        return look_up(host, *more, **words)

    monkeypatch.setattr(socket, "getaddrinfo", elsewhere)
    port = receiver.url.rpartition(":")[2]
    assert await send(f"http://hooks.localhost:{port}/x") == 200
    assert asked == ["127.0.0.1", "::1"]
    assert receiver.posts[0].headers["Host"] == f"hooks.localhost:{port}"


async def test_the_next_address_is_tried(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        dead, alive = unused.getsockname(), ("127.0.0.1", int(receiver.url.rpartition(":")[2]))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, alive)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert await send("http://hooks.acme.org/x") == 200
        found.pop()
        with pytest.raises(ConnectionRefusedError):
            await send("http://hooks.acme.org/x")
        found.pop()
        with pytest.raises(OSError, match="no address"):
            await send("http://hooks.acme.org/x")
    assert receiver.posts[0].headers["Host"] == "hooks.acme.org"


async def test_what_a_receiver_says_is_kept_short(api: Api, serve: Any) -> None:
    def shout(connection: socket.socket, _: threading.Event) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"no\tHTTP " + b"x" * 60_000 + b"\r\n")

    checklist = await template(api, "One", webhook=f"http://127.0.0.1:{serve(shout)}")
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    (one,) = api.sandbox.webhooks.deliveries
    assert str(one.error).startswith("BadStatusLine: no HTTP xxx")
    assert len(str(one.error)) == 200


async def test_an_error_that_nobody_thought_of_ends_one_delivery(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Exchange) -> int:
        raise RecursionError("too deep")

    checklist = await template(api, "One", webhook=receiver.url)
    with monkeypatch.context() as patch:
        patch.setattr(Exchange, "send", fail)
        await launch(api, checklist_id=checklist.id)
        await api.sandbox.webhooks.settled()
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    assert [(one.outcome, one.error) for one in api.sandbox.webhooks.deliveries] == [
        ("failed", "RecursionError: too deep"),
        ("sent", None),
    ]


async def test_many_delayed_deliveries_hold_up_no_other(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", webhook=receiver.url)
    api.sandbox.faults.add(DeliveryFault(event="process.launched", delay=3600, times=None, copies=40))
    run = await launch(api, checklist_id=checklist.id)
    await complete(api, run, "One")
    await until(lambda: api.sandbox.webhooks.pending == 40)
    assert receiver.kinds == ["task One", "completed"]
    api.sandbox.close()
    assert api.sandbox.webhooks.pending == 0
    assert api.sandbox.report()["webhooks"] == {"sent": 2, "ended": 40}


async def test_delays_end_in_their_order(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", webhook=receiver.url)
    api.sandbox.faults.add(
        DeliveryFault(event="process.launched", delay=0.3), DeliveryFault(event="task.completed", delay=0.01)
    )
    run = await launch(api, checklist_id=checklist.id)
    await complete(api, run, "One")
    await api.sandbox.webhooks.settled()
    assert sorted(receiver.kinds[:2]) == ["completed", "task One"]
    assert receiver.kinds[2] == "launched"


def _full_listener(stack: ExitStack) -> int:
    """Return the port of a listener that takes no further connection and refuses none."""
    listener = stack.enter_context(closing(socket.socket()))
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(5):
        waiting = stack.enter_context(closing(socket.socket()))
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_end_interrupts_whoever_connects(scheme: str, make: Callable[..., Api], serve: Any) -> None:
    api = make(webhook_timeout=60)
    with ExitStack() as stack:
        port = _full_listener(stack) if scheme == "http" else serve(lambda _, done: done.wait(60))
        checklist = await template(api, "One", webhook=f"{scheme}://127.0.0.1:{port}")
        await launch(api, checklist_id=checklist.id)
        connecting = api.sandbox.webhooks._exchanges  # pyright: ignore[reportPrivateUsage]
        await until(lambda: any(one._sock for one in connecting))  # pyright: ignore[reportPrivateUsage]
        await anyio.sleep(0.05)
        api.sandbox.close()
        assert [one.outcome for one in api.sandbox.webhooks.deliveries] == ["ended"]
        assert api.sandbox.webhooks.pending == 0


async def test_no_thread_to_be_had_is_made_up_for_by_whoever_waits(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    checklist = await template(api, "One", webhook=receiver.url)
    api.sandbox.faults.add(DeliveryFault(event="task.completed", delay=0.01))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        run = await launch(api, checklist_id=checklist.id)
        await complete(api, run, "One")
    assert api.sandbox.webhooks.pending == 3
    await api.sandbox.webhooks.settled()
    assert sorted(receiver.kinds) == ["completed", "launched", "task One"]


async def test_whoever_gives_up_waiting_leaves_no_thread_behind(make: Callable[..., Api], receiver: Receiver) -> None:
    api = make(webhook_timeout=60)
    receiver.gate.clear()
    checklist = await template(api, "One", webhook=receiver.url)
    await launch(api, checklist_id=checklist.id)
    waiting: Any = vars(api.sandbox.webhooks._changed)["_waiters"]  # pyright: ignore[reportPrivateUsage]
    async with anyio.create_task_group() as group:
        group.start_soon(api.sandbox.webhooks.settled, 600)
        await until(lambda: len(waiting) == 1)
        group.cancel_scope.cancel()
    await until(lambda: not waiting)


async def test_a_run_is_rendered_once_for_all_that_a_call_tells_of_it(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []
    render = views.process_around

    def counted(lens: Any, run_id: str) -> Any:
        rendered.append(run_id)
        return render(lens, run_id)

    monkeypatch.setattr(views, "process_around", counted)
    path, body = subscription(api, receiver.url)
    assert (await api.call("POST", path, json=body)).status_code == 200
    checklist = await template(api, *"ABCDE")
    run = await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["process.launched", *["task.assigned"] * 5]
    assert rendered == [run["id"]]
