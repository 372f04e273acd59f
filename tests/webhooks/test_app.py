"""The receiver: what it answers, what it refuses, and that nothing it took is lost."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from tallyfy_async import ConfigurationError
from tallyfy_async.transport.manual_clock import ManualClock
from tallyfy_async.webhooks import AnyEvent, Dispatcher, SenderCheck, TaskCompleted, WebhookApp
from tests.helpers import until
from tests.webhooks.samples import ORGANIZATION, OTHER, organization_event, process, task
from tests.webhooks.served import served

pytestmark = pytest.mark.anyio

HEADERS = {"X-Tallyfy-orgID": ORGANIZATION, "Content-Type": "application/json"}


class Place:
    """A dispatcher that keeps what it hears of, and a receiver before it."""

    def __init__(self, sender: SenderCheck | str = ORGANIZATION, queue: int = 100, **settings: Any) -> None:
        self.dispatcher = Dispatcher(queue=queue)
        self.app = WebhookApp(self.dispatcher, sender, **settings)
        self.heard: list[AnyEvent] = []

        @self.dispatcher.on.any(name="keep")
        async def keep(event: AnyEvent) -> None:
            self.heard.append(event)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://hooks.test")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[httpx.AsyncClient]:
        async with self.dispatcher.running(), self.client() as client:
            yield client


async def test_a_delivery_is_answered_at_once_and_handled_later() -> None:
    place, gate = Place(), anyio.Event()

    @place.dispatcher.on.any(name="slow")
    async def slow(event: AnyEvent) -> None:
        await gate.wait()

    async with place.running() as client:
        for body in (task(), process(), process(completed_at="2026-01-01T00:00:00Z"), organization_event()):
            reply = await client.post("/", json=body, headers=HEADERS)
            assert (reply.status_code, reply.text) == (200, "accepted\n")
        gate.set()
    assert sorted(type(event).__name__ for event in place.heard) == [
        "OrganizationEvent",
        "ProcessCompleted",
        "ProcessLaunched",
        "TaskCompleted",
    ]
    assert {event.organization for event in place.heard} == {ORGANIZATION}
    assert place.app.statistics.accepted == 4
    assert ORGANIZATION not in repr(place.app)


async def test_replays_are_answered_and_handled_once() -> None:
    place = Place()
    async with place.running() as client:
        for _ in range(5):
            assert (await client.post("/", json=task(), headers=HEADERS)).status_code == 200
            await anyio.wait_all_tasks_blocked()
    assert len(place.heard) == 1
    assert place.dispatcher.statistics.duplicates == 4


REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no json": (400, "malformed", {"content": b"{"}),
    "no webhook": (400, "malformed", {"json": {"id": 1}}),
    "empty": (400, "malformed", {"content": b""}),
    "deep": (400, "malformed", {"content": b'{"event": "x", "deep": ' + b"[" * 400 + b"]" * 400 + b"}"}),
    "no header": (403, "organization", {"json": task(), "headers": {"X-Tallyfy-orgID": ""}}),
    "wrong organization": (403, "organization", {"json": task(), "headers": {"X-Tallyfy-orgID": OTHER}}),
    "text": (415, "content_type", {"json": task(), "headers": {"Content-Type": "text/plain"}}),
    "form": (
        415,
        "content_type",
        {"data": {"a": "1"}, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ),
    "no type": (415, "content_type", {"json": task(), "headers": {"Content-Type": ""}}),
    "large": (413, "too_large", {"json": task(title="x" * 20_000)}),
    "read": (405, "method", {"method": "GET"}),
    "put": (405, "method", {"method": "PUT", "json": task()}),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refusals(name: str) -> None:
    status, kind, request = REFUSED[name]
    request = {"method": "POST", **request, "headers": {**HEADERS, **request.get("headers", {})}}
    place = Place(max_bytes=10_000)
    async with place.running() as client:
        reply = await client.request(url="/", **request)
        assert reply.status_code == status
        assert place.app.statistics.refused == {kind: 1}
        assert reply.headers.get("Allow") == ("POST" if status == 405 else None)
        assert (await client.post("/", json=task(), headers=HEADERS)).status_code == 200
    assert len(place.heard) == 1


async def test_the_media_type_may_have_parameters() -> None:
    place = Place()
    async with place.running() as client:
        for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.tallyfy+json"):
            headers = {**HEADERS, "Content-Type": kind}
            assert (await client.post("/", content=json.dumps(task()), headers=headers)).status_code == 200


async def test_secrets_in_the_address() -> None:
    place = Place(SenderCheck(ORGANIZATION, secret="open sesame", secret_in="basic"))
    async with place.running() as client:
        reply = await client.post("/", json=task(), headers=HEADERS)
        assert (reply.status_code, reply.headers["WWW-Authenticate"]) == (401, 'Basic realm="webhooks"')
        assert (await client.post("/", json=task(), headers=HEADERS, auth=("x", "open sesame"))).status_code == 200
    place = Place(SenderCheck(ORGANIZATION, secret="open sesame"))
    async with place.running() as client:
        assert (await client.post("/hooks/open", json=task(), headers=HEADERS)).status_code == 401
        assert (await client.post("/hooks/open%20sesame", json=task(), headers=HEADERS)).status_code == 200
    place = Place(SenderCheck(ORGANIZATION, secret="open sesame", secret_in="query"))
    async with place.running() as client:
        assert (await client.post("/?secret=open+sesame", json=task(), headers=HEADERS)).status_code == 200
        assert (await client.post("/", json=task(), headers=HEADERS)).status_code == 401


async def test_a_full_queue_and_a_dispatcher_at_rest() -> None:
    place, gate = Place(queue=2), anyio.Event()

    @place.dispatcher.on.any(name="stuck")
    async def stuck(event: AnyEvent) -> None:
        await gate.wait()

    async with place.client() as client:
        assert (await client.post("/", json=task(), headers=HEADERS)).status_code == 503
        async with place.dispatcher.running(workers=1):
            statuses = []
            for number in range(6):
                statuses.append((await client.post("/", json=task(f"t{number}"), headers=HEADERS)).status_code)
                await anyio.wait_all_tasks_blocked()
            assert statuses == [200] * 3 + [503] * 3
            gate.set()
        assert (await client.post("/", json=task(), headers=HEADERS)).status_code == 503
    assert len(place.heard) == 3
    assert place.app.statistics.refused == {"full": 3, "closed": 2}
    assert place.dispatcher.statistics.full == 3


async def call(app: WebhookApp, messages: list[dict[str, Any]], **scope: Any) -> list[Any]:
    """Call the application with messages of its server; after them nothing comes."""
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        return await anyio.sleep_forever()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    await app({"type": "http", "method": "POST", "path": "/", "headers": headers, **scope}, receive, send)
    return sent


async def test_a_sender_that_goes_away_or_falls_asleep() -> None:
    clock = ManualClock(autojump=False)
    place = Place(clock=clock, body_timeout=3)
    half = {"type": "http.request", "body": b"{", "more_body": True}
    async with place.dispatcher.running():
        assert await call(place.app, [half, {"type": "http.disconnect"}]) == []
        async with anyio.create_task_group() as group:
            sent: list[Any] = []

            async def slowly() -> None:
                sent.extend(await call(place.app, [dict(half)]))

            group.start_soon(slowly)
            await anyio.wait_all_tasks_blocked()
            clock.advance(4)
    assert sent[0]["status"] == 408
    assert place.app.statistics.abandoned == 1
    assert place.app.statistics.refused == {"timeout": 1}


async def test_a_body_without_a_length_is_cut_at_the_limit() -> None:
    place = Place(max_bytes=100_000)
    messages = [{"type": "http.request", "body": b"[" * 10_000, "more_body": True} for _ in range(100)]
    async with place.dispatcher.running():
        sent = await call(place.app, messages)
    assert sent[0]["status"] == 413
    assert len(messages) == 100 - 11, "the rest is not even read"


async def test_other_scopes() -> None:
    place = Place()
    assert await call(place.app, [], type="websocket") == [{"type": "websocket.close", "code": 1003}]
    sent = await call(place.app, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], type="lifespan")
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not place.dispatcher.is_running


def test_a_sender_that_was_never_named_is_no_application() -> None:
    with pytest.raises(ConfigurationError):
        WebhookApp(Dispatcher(), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"max_bytes": 0}, {"body_timeout": 0}, {"body_timeout": float("inf")}])
def test_arguments_that_cannot_work(settings: Any) -> None:
    with pytest.raises(ConfigurationError):
        Place(**settings)


def alone(place: Place) -> Any:
    return place.app


def in_starlette(place: Place) -> Any:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with place.dispatcher.running():
            yield

    routes = [Mount("/hooks", place.app), Route("/one", place.app)]
    return Starlette(routes=routes, lifespan=lifespan)


def in_fastapi(place: Place) -> Any:
    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with place.dispatcher.running(workers=4):
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/hooks", place.app)
    app.add_route("/one", place.app)  # type: ignore[arg-type]
    return app


@pytest.mark.parametrize("make", [alone, in_starlette, in_fastapi])
async def test_behind_a_real_server(make: Any) -> None:
    secret = "s3cret"
    place = Place(SenderCheck([ORGANIZATION, OTHER], secret=secret, secret_in="basic"))
    with served(make(place)) as url:
        async with httpx.AsyncClient(base_url=url, auth=("tallyfy", secret), trust_env=False) as client:
            statuses: Counter[int] = Counter()

            async def deliver(number: int) -> None:
                headers = {**HEADERS, "X-Tallyfy-orgID": OTHER if number % 2 else ORGANIZATION}
                reply = await client.post("/hooks/", json=task(f"t{number % 50}"), headers=headers)
                statuses[reply.status_code] += 1

            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(deliver, number)
            assert statuses == {200: 100}
            assert (await client.post("/one", json=process(), headers=HEADERS)).status_code == 200
            large = await client.post("/hooks/", content=b"x" * 3_000_000, headers=HEADERS)
            assert large.status_code == 413
            await until(lambda: len(place.heard) == 51)
            await client.post("/hooks/", json=task("last"), headers=HEADERS)
    assert sum(isinstance(event, TaskCompleted) and event.task_id == "last" for event in place.heard) == 1
    assert len(place.heard) == 52
    assert place.dispatcher.statistics.duplicates + place.dispatcher.statistics.busy == 50
    assert not place.dispatcher.is_running
    assert not len(place.dispatcher.dead_letters)


def test_a_body_of_bytes_that_never_ends_is_cut_by_a_real_server() -> None:
    place = Place(body_timeout=0.2)
    with served(place.app) as url:
        host, port = url.removeprefix("http://").split(":")
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        with socket.create_connection((host, int(port)), 10) as wire:
            wire.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 1000\r\n\r\n{{".encode())
            assert wire.recv(1000).startswith(b"HTTP/1.1 408")
