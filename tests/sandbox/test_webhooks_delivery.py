"""How the sandbox posts webhooks: after the answer, once, in order, with a time limit; and how they go wrong."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import pytest

from tallyfy_async.sandbox import Delivery, DeliveryFault, Fault, Sandbox, Settings
from tallyfy_async.sandbox.faults import parse
from tallyfy_async.sandbox.posting import is_loopback, without_login

from .conftest import SMALL, Api
from .receiver import Receiver, complete, kind, receiving, template
from .steps import launch

if TYPE_CHECKING:
    from .conftest import Clock

pytestmark = pytest.mark.anyio
NAME = "tallyfy-sandbox-webhooks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def outcomes(api: Api) -> list[tuple[str, int | None]]:
    return [(one.outcome, one.status) for one in api.sandbox.webhooks.deliveries]


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110 - nobody tells of it
            await anyio.sleep(0.005)


async def feed(api: Api) -> list[str]:
    rows = (await api.get("{org}/activity-feeds", verb="emitted"))["data"]
    return [row["description"][0] for row in reversed(rows)]


async def test_failures_are_told_in_the_feed_and_never_repeated(api: Api, receiver: Receiver) -> None:
    receiver.statuses = [200, 500, 404, 302]
    receiver.location = f"{receiver.url}/elsewhere"
    checklist = await template(api, "One", "Two", webhook=f"{receiver.url}/hook?secret=s3cret")
    run = await launch(api, checklist_id=checklist.id)
    await complete(api, run, "One")
    await complete(api, run, "Two")
    await api.sandbox.webhooks.settled()
    assert outcomes(api) == [("sent", 200), ("failed", 500), ("failed", 404), ("failed", 302)]
    assert [post.path for post in receiver.posts] == ["/hook?secret=s3cret"] * 4
    said = await feed(api)
    assert said == [
        f"webhook_sent: {receiver.url}/hook (status 200)",
        *(f"webhook_failed: {receiver.url}/hook (status {status})" for status in (500, 404, 302)),
    ]
    (row,) = (await api.get("{org}/activity-feeds", field="webhook_sent"))["data"]
    assert (row["source"], row["auditable_id"], row["type"]) == (["Webhook"], run["id"], ["Process"])
    assert api.sandbox.report()["webhooks"] == {"sent": 1, "failed": 3}


async def test_nobody_listens(api: Api) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/hook"
        checklist = await template(api, "One", webhook=url)
        await launch(api, checklist_id=checklist.id)
        await api.sandbox.webhooks.settled()
    (one,) = api.sandbox.webhooks.deliveries
    assert (one.outcome, one.status) == ("failed", None)
    assert "ConnectionRefusedError" in str(one.error)
    assert "ConnectionRefusedError" in (await feed(api))[0]


@pytest.mark.parametrize("url", ["http://localhost:0x1/", "http://[::1/hook", "http://127.0.0.1:99999/x"])
async def test_addresses_that_are_none(make: Callable[..., Api], url: str) -> None:
    api = make(webhook_hosts="any")
    checklist = await template(api, "One")
    checklist.webhook = url
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    (one,) = api.sandbox.webhooks.deliveries
    assert (one.outcome, one.status) == ("failed", None)
    assert len(await feed(api)) == 1


@pytest.mark.parametrize("answer", [b"", b"SMTP ready\r\n", b"HTTP/1.1 2"], ids=["silence", "no HTTP", "half a line"])
async def test_a_receiver_that_breaks_off(api: Api, answer: bytes) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_answer_once, args=(listener, answer))
        thread.start()
        checklist = await template(api, "One", webhook=f"http://127.0.0.1:{listener.getsockname()[1]}")
        await launch(api, checklist_id=checklist.id)
        await api.sandbox.webhooks.settled()
        await anyio.to_thread.run_sync(thread.join)
    assert outcomes(api) == [("failed", None)]


def _answer_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1 << 20)
        connection.sendall(answer)


async def test_a_receiver_that_dribbles_runs_out_of_time(make: Callable[..., Api]) -> None:
    api = make(webhook_timeout=0.2)
    done = threading.Event()

    def dribble(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                while not done.wait(0.02):
                    connection.sendall(b"H")
            except OSError:
                pass

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=dribble, args=(listener,))
        thread.start()
        checklist = await template(api, "One", webhook=f"http://127.0.0.1:{listener.getsockname()[1]}")
        await launch(api, checklist_id=checklist.id)
        await api.sandbox.webhooks.settled()
        done.set()
        await anyio.to_thread.run_sync(thread.join)
    (one,) = api.sandbox.webhooks.deliveries
    assert (one.outcome, one.error) == ("failed", "TimeoutError: timed out")


async def test_a_slow_receiver_holds_up_neither_calls_nor_others(make: Callable[..., Api], receiver: Receiver) -> None:
    api = make(webhook_timeout=60)
    receiver.gate.clear()
    slow = await template(api, "One", webhook=f"{receiver.url}/slow")
    with receiving() as quick_one:
        quick = await template(api, "One", webhook=quick_one.url)
        run = await launch(api, checklist_id=slow.id)
        await complete(api, run, "One")
        await launch(api, checklist_id=quick.id)
        assert await anyio.to_thread.run_sync(quick_one.entered.wait, 10)
        assert await anyio.to_thread.run_sync(receiver.entered.wait, 10)
        assert receiver.posts == []
        with pytest.raises(TimeoutError, match="still on their way"):
            api.sandbox.webhooks.wait(within=0.01)
        assert api.sandbox.webhooks.pending >= 3
        receiver.gate.set()
        await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched", "task One", "completed"]
    assert receiver.most_at_once == {"/slow": 1}


async def test_nothing_leaves_before_the_answer_or_the_end_of_its_caller(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", webhook=receiver.url)
    api.sandbox.configure(latency=3600)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: launch(api, checklist_id=checklist.id))
        await until(lambda: api.sandbox.webhooks.pending == 1)
        with pytest.raises(TimeoutError):
            await api.sandbox.webhooks.settled(within=0.05)
        assert receiver.posts == []
        group.cancel_scope.cancel()
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched"]


async def test_an_answer_that_a_fault_holds_up_holds_up_no_webhook(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", webhook=receiver.url)
    api.sandbox.faults.add(Fault(operation="launch_run", delay_after=3600))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: launch(api, checklist_id=checklist.id))
        await until(lambda: len(receiver.posts) == 1)
        group.cancel_scope.cancel()
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched"]


async def test_an_answer_that_is_lost_has_its_effect_told(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", webhook=receiver.url)
    api.sandbox.faults.add(
        Fault(operation="launch_run", status=503, stage="after"), Fault(operation="launch_run", status=503)
    )
    for _ in range(2):
        assert (await api.call("POST", "{org}/runs", json={"checklist_id": checklist.id})).status_code == 503
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched"]


async def test_concurrent_calls_keep_the_order_of_events(api: Api, receiver: Receiver) -> None:
    titles = [f"T{number}" for number in range(40)]
    checklist = await template(api, *titles, webhook=receiver.url)
    run = await launch(api, checklist_id=checklist.id)
    api.sandbox.configure(latency=0.02)
    async with anyio.create_task_group() as group:
        for title in titles:
            group.start_soon(complete, api, run, title)
    await api.sandbox.webhooks.settled()
    progress = [body["process"]["progress"] for body in receiver.bodies if "process" in body]
    assert len(progress) == 40
    assert progress == sorted(progress)
    assert receiver.kinds[-1] == "completed"
    assert receiver.most_at_once == {"/": 1}
    assert [one.number for one in api.sandbox.webhooks.deliveries] == list(range(1, 43))


async def test_many_urls_at_once(make: Callable[..., Api], receiver: Receiver) -> None:
    api = make(webhook_timeout=60)
    for number in range(50):
        await template(api, "One", webhook=f"{receiver.url}/{number}")
    receiver.gate.clear()
    hooked = [c for c in api.tenant.checklists.values() if c.webhook]
    for checklist in hooked:
        await launch(api, checklist_id=checklist.id)
    assert sum(thread.name == NAME for thread in threading.enumerate()) <= 32
    receiver.gate.set()
    await api.sandbox.webhooks.settled()
    assert {one.outcome for one in api.sandbox.webhooks.deliveries} == {"sent"}
    assert sorted(post.path for post in receiver.posts) == sorted(f"/{number}" for number in range(50))


async def test_no_thread_to_be_had_fails_no_call(api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    checklist = await template(api, "One", webhook=receiver.url)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        run = await launch(api, checklist_id=checklist.id)
    assert api.sandbox.webhooks.pending == 1
    await complete(api, run, "One")
    checklist.webhook = f"{receiver.url}/other"
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    assert sorted(receiver.kinds) == ["completed", "launched", "launched", "task One"]


async def test_hosts_elsewhere_are_left_alone(api: Api) -> None:
    checklist = await template(api, "One", webhook="https://hooks.acme.org/x?key=s3cret")
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    (one,) = api.sandbox.webhooks.deliveries
    assert (one.outcome, one.status, one.error) == ("skipped", None, "webhook_hosts is loopback")
    assert "s3cret" not in repr(one)
    assert await feed(api) == []


async def test_off(make: Callable[..., Api], receiver: Receiver) -> None:
    api = make(webhooks="off")
    checklist = await template(api, "One", webhook=receiver.url)
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    assert (api.sandbox.webhooks.deliveries, receiver.posts) == ((), [])
    api.sandbox.configure(webhooks="on")
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched"]


@pytest.mark.parametrize(
    ("url", "mine"),
    [
        ("http://localhost:1/x", True),
        ("http://hooks.localhost./x", True),
        ("http://127.8.9.1", True),
        ("http://a:b@[::1]:80/", True),
        ("http://127.0.0.1.evil.org/", False),
        ("http://10.0.0.1/", False),
        ("http://localhost.evil.org/", False),
        ("http://127.0.0.1@evil.org/", False),
        ("http://[::1/", False),
        ("http://", False),
    ],
)
def test_what_is_this_machine(url: str, mine: bool) -> None:
    assert is_loopback(url) is mine


def test_addresses_for_people() -> None:
    assert without_login("http://ada:pw@127.0.0.1:80/x?key=1#f") == "http://127.0.0.1:80/x"
    assert without_login("http://[::1/x") == "an address that is none"


async def test_a_login_in_the_address(api: Api, receiver: Receiver) -> None:
    url = receiver.url.replace("//", "//ada:p%40ss@")
    checklist = await template(api, "One", webhook=f"{url}/in/é?token=a%20b")
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    (post,) = receiver.posts
    assert (post.headers["Authorization"], post.path) == ("Basic YWRhOnBAc3M=", "/in/%C3%A9?token=a%20b")
    assert "p%40ss" not in (await feed(api))[0]


async def test_deliveries_that_are_doubled_lost_and_overtaken(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", "Two", "Three", webhook=receiver.url)
    api.sandbox.faults.add(
        DeliveryFault(event="process.launched", copies=2),
        DeliveryFault(event="task.completed", late=2),
        DeliveryFault(event="task.completed", after=1, copies=0),
    )
    run = await launch(api, checklist_id=checklist.id)
    for title in ("One", "Two", "Three"):
        await complete(api, run, title)
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched", "launched", "task Two", "task One", "completed"]
    assert api.sandbox.report()["webhooks"] == {"sent": 5, "lost": 1}
    assert api.sandbox.faults.struck == 3
    assert [row["struck"] for row in api.sandbox.faults.remaining()] == [1, 1, 1]


async def test_what_is_held_back_goes_when_somebody_waits(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", webhook=receiver.url)
    api.sandbox.faults.add(DeliveryFault(url=receiver.url, late=5))
    await launch(api, checklist_id=checklist.id)
    assert api.sandbox.webhooks.pending == 1
    assert receiver.posts == []
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched"]


async def test_a_delayed_delivery_holds_up_no_other(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", webhook=receiver.url)
    api.sandbox.faults.add(DeliveryFault(url="^http", event="process.launched", delay=3600))
    run = await launch(api, checklist_id=checklist.id)
    await complete(api, run, "One")
    await until(lambda: api.sandbox.webhooks.pending == 1)
    assert receiver.kinds == ["task One", "completed"]
    api.sandbox.close()
    assert outcomes(api) == [("sent", 200), ("sent", 200), ("ended", None)]
    api.sandbox.faults.add(DeliveryFault(delay=0.01))
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    assert receiver.kinds[2:] == ["launched"]


def test_a_script_of_deliveries_in_json() -> None:
    (read,) = parse(b'[{"webhook": {"event": "task.completed", "copies": 2}}]')
    assert read == DeliveryFault(event="task.completed", copies=2)
    with pytest.raises(ValueError, match="unknown keys"):
        parse(b'[{"webhook": {"copy": 2}}]')
    with pytest.raises(ValueError, match="copies"):
        parse(b'[{"webhook": {"copies": -1}}]')
    assert not DeliveryFault(url="http://a").matches("http://b", "task.completed")
    assert DeliveryFault(url="^.*b$").matches("http://b", "x")


async def test_over_a_socket_and_by_the_control_routes(receiver: Receiver) -> None:
    sandbox = Sandbox(Settings(**SMALL))
    with sandbox.serve():
        async with httpx.AsyncClient() as http:
            api = Api(sandbox, http)
            checklist = await template(api, "One", webhook=f"{receiver.url}/in")
            root = sandbox.issuer + "/_sandbox"
            script = [{"webhook": {"event": "process.completed", "copies": 0}}]
            assert (await http.post(f"{root}/faults", json=script)).status_code == 200
            run = await launch(api, checklist_id=checklist.id)
            await complete(api, run, "One")
            await sandbox.webhooks.settled()
            told = (await http.get(f"{root}/webhooks")).json()
            assert told["pending"] == 0
            assert sorted((one["event"], one["outcome"], one["status"]) for one in told["deliveries"]) == [
                ("process.completed", "lost", None),
                ("process.launched", "sent", 200),
                ("task.completed", "sent", 200),
            ]
            assert json.dumps(told["deliveries"][0]["payload"])
            assert (await http.get(f"{root}/stats")).json()["webhooks"] == {"sent": 2, "lost": 1}
            assert (await http.delete(f"{root}/webhooks")).json() == {"pending": 0, "deliveries": []}
    assert receiver.kinds == ["launched", "task One"]


async def test_the_end_of_the_server_ends_what_is_under_way(receiver: Receiver) -> None:
    receiver.gate.clear()
    sandbox = Sandbox(Settings(**SMALL))
    with sandbox.serve():
        async with httpx.AsyncClient() as http:
            api = Api(sandbox, http)
            checklist = await template(api, "One", webhook=receiver.url)
            sandbox.faults.add(DeliveryFault(event="task.completed", late=9), DeliveryFault(after=2, delay=3600))
            run = await launch(api, checklist_id=checklist.id)
            await launch(api, checklist_id=checklist.id)
            assert await anyio.to_thread.run_sync(receiver.entered.wait, 10)
            await complete(api, run, "One")
            assert sandbox.webhooks.pending == 4
    assert sandbox.webhooks.pending == 0
    assert {one.outcome for one in sandbox.webhooks.deliveries} == {"ended"}
    assert sorted(one.number for one in sandbox.webhooks.deliveries) == [1, 2, 3, 4]
    assert [thread for thread in threading.enumerate() if thread.name == NAME] == []
    receiver.gate.set()
    with sandbox.serve():
        async with httpx.AsyncClient() as http:
            await launch(Api(sandbox, http), checklist_id=checklist.id)
            await sandbox.webhooks.settled()
    assert sandbox.webhooks.deliveries[-1].outcome == "sent"


async def test_the_feed_is_kept_in_the_file(receiver: Receiver, clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "world.db"
    sandbox = Sandbox(Settings(**SMALL), clock=clock, db=file)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as http:
        api = Api(sandbox, http)
        checklist = await template(api, "One", webhook=receiver.url)
        await launch(api, checklist_id=checklist.id)
        await sandbox.webhooks.settled()
    sandbox.close()
    again = Sandbox(Settings(**SMALL), clock=clock, db=file)
    tenant = again.world.tenants[again.credentials.organization]
    assert [entry.text for entry in tenant.activities if entry.verb == "emitted"] == [
        f"webhook_sent: {receiver.url} (status 200)"
    ]
    assert tenant.checklists[checklist.id].webhook == receiver.url
    again.close()


def test_the_record_is_bounded() -> None:
    sandbox = Sandbox(Settings(**SMALL, webhook_hosts="loopback"))
    one = Delivery(
        number=0, organization="o", event="e", source="task", url="https://a.org", body=b"{}", record=("task", "t")
    )
    sandbox.webhooks.queue([one] * 1100)()
    kept: Any = sandbox.webhooks.deliveries
    assert (len(kept), kept[-1].number) == (1000, 1100)
    assert kind({"event": "x"}) == "x"
    sandbox.webhooks.clear()
    assert sandbox.webhooks.deliveries == ()
