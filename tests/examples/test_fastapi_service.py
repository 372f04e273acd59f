"""The web service: whose tasks it shows, what becomes of failures, deadlines, webhooks, and of browsers that leave."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from tallyfy_async import TallyfyClient
from tallyfy_async.sandbox import Fault, Sandbox
from tests.examples.rig import a_task, enter, example, members
from tests.helpers import small_sandbox, until
from tests.webhooks.served import served

pytestmark = [pytest.mark.anyio, pytest.mark.once]
WORD = "open-sesame"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with small_sandbox().serve() as made:
        yield made


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Iterator[ModuleType]:
    enter(monkeypatch, sandbox, HOOK_SECRET=WORD)
    with example("fastapi_service/service.py") as module:
        yield module


@asynccontextmanager
async def browser(app: Any, email: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """Run the service on this event loop, and give somebody who uses it."""
    headers = {"X-Forwarded-Email": email} if email else {}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://tasks.test", headers=headers) as one,
    ):
        yield one


def email_of(sandbox: Sandbox) -> str:
    return sandbox.credentials.username


async def test_everybody_has_the_tasks_of_their_own(service: ModuleType, sandbox: Sandbox) -> None:
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    app = service.create_app()
    async with browser(app) as anybody:
        lists = {}
        for member in members(sandbox)[:3]:
            reply = await anybody.get("/tasks", headers={"X-Forwarded-Email": f" {member.user.email.upper()}"})
            assert reply.status_code == 200
            lists[member.user.id] = [task["id"] for task in reply.json()]
        assert len(app.state.members._clients) == 3
    for user_id, ids in lists.items():
        assert ids
        assert all(user_id in tenant.tasks[task].users for task in ids)
    assert sandbox.stats.user_token_requests == {"ok": 3}
    assert sandbox.stats.token_requests == {"client_credentials": {"ok": 1}}


async def test_a_task_is_completed_as_the_one_who_asks(service: ModuleType, sandbox: Sandbox) -> None:
    email, task = a_task(sandbox)
    async with browser(service.create_app(), email) as one:
        reply = await one.post(f"/tasks/{task.id}/complete")
        assert (reply.status_code, reply.json()) == (200, {"id": task.id, "status": "completed"})
    completer = sandbox.world.users[task.completer_id]
    assert completer.email == email


async def test_what_a_person_can_do_something_about(service: ModuleType, sandbox: Sandbox) -> None:
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    demanding = next(
        task
        for task in tenant.tasks.values()
        if task.run_id
        and task.is_open
        and any(field.required and field.id not in task.taskdata for field in task.captures)
    )
    async with browser(service.create_app(), email_of(sandbox)) as one:
        assert (await one.get("/tasks", headers={"X-Forwarded-Email": "nobody@example.com"})).status_code == 403
        assert (await one.post("/tasks/unknown/complete")).status_code == 404
        assert (await one.post(f"/tasks/{demanding.id}/complete")).status_code == 422
    async with browser(service.create_app()) as nobody:
        assert (await nobody.get("/tasks")).status_code == 422


async def test_trouble_that_passes_is_told_apart(service: ModuleType, sandbox: Sandbox) -> None:
    email, task = a_task(sandbox)
    async with browser(service.create_app(), email) as one:
        sandbox.faults.add(Fault(operation="list_my_tasks", status=400))
        assert (await one.get("/tasks")).status_code == 502
        sandbox.faults.add(Fault(operation="complete_run_task", status=502, stage="after"))
        reply = await one.post(f"/tasks/{task.id}/complete")
        assert (reply.status_code, reply.json()["unknown"]) == (503, True)
        assert not task.is_open
        sandbox.faults.add(Fault(operation="list_my_tasks", status=429, headers={"Retry-After": "70"}, times=None))
        reply = await one.get("/tasks")
        assert (reply.status_code, reply.headers["Retry-After"], reply.json()["unknown"]) == (503, "70", False)


async def test_a_wrong_secret_is_no_passing_trouble(
    service: ModuleType, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYFY_CLIENT_SECRET", "wrong")
    async with browser(service.create_app(), email_of(sandbox)) as one:
        assert (await one.get("/tasks")).status_code == 502


async def test_a_request_ends_in_time_with_all_its_calls(service: ModuleType, sandbox: Sandbox) -> None:
    email, task = a_task(sandbox)
    app = service.create_app()
    async with browser(app, email) as one:
        assert (await one.get("/tasks")).status_code == 200
        app.state.patience = 0.3
        sandbox.configure(latency=600)
        assert (await one.post(f"/tasks/{task.id}/complete")).status_code == 503
    assert task.is_open


def test_the_second_call_of_a_request_has_what_the_first_left(service: ModuleType) -> None:
    async def ask() -> None:
        until = service.Deadline(10)
        assert 9 < until.options.deadline <= 10
        assert service.Deadline(-1).options.deadline == 0.01

    anyio.run(ask)


async def test_the_members_used_last_are_kept(service: ModuleType) -> None:
    application = service.ClientCredentials(client_id="1", client_secret="s")
    async with TallyfyClient(application, organization="o" * 32) as tallyfy:
        known = service.Members(tallyfy, application, "o" * 32, most=2)
        for email in ("a@x.de", "b@x.de", "a@x.de", "c@x.de"):
            known.acting_for(email)
        assert list(known._clients) == ["a@x.de", "c@x.de"]


on_a_socket = pytest.mark.parametrize("anyio_backend", ["asyncio"])  # the service's loop is uvicorn's anyway


@on_a_socket
async def test_what_is_completed_comes_back_as_a_webhook(service: ModuleType, sandbox: Sandbox) -> None:
    email, task = a_task(sandbox)
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    with served(service.create_app()) as url:
        for template in tenant.checklists.values():
            template.webhook = f"{url}/hooks/{WORD}"
        async with httpx.AsyncClient(base_url=url, headers={"X-Forwarded-Email": email}) as one:
            assert (await one.post(f"/tasks/{task.id}/complete")).status_code == 200
            await sandbox.webhooks.settled()
            recent = []
            for _ in range(200):
                recent = (await one.get("/completed")).json()
                if recent:
                    break
                await anyio.sleep(0.01)
            wrong = await one.post("/hooks/another-word", json={"id": "1"})
    assert {"id": task.id, "title": task.title, "by": email} in recent
    assert wrong.status_code == 401


def leave(url: str, method: str, path: str, email: str) -> None:
    """Send a request; hang up once the service has begun with it, without having read anything."""
    where = urlsplit(url)
    with socket.create_connection(("127.0.0.1", where.port or 80)) as stream:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-Email: {email}\r\nContent-Length: 0\r\n\r\n"
        stream.sendall(head.encode())
        stream.settimeout(0.2)
        with pytest.raises(TimeoutError):
            stream.recv(1)


@on_a_socket
async def test_a_browser_that_leaves_costs_nothing_more(service: ModuleType, sandbox: Sandbox) -> None:
    app = service.create_app()
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, headers={"X-Forwarded-Email": email_of(sandbox)}) as one:
            assert (await one.get("/tasks")).status_code == 200
        limiter = app.state.tallyfy._limiter
        sandbox.configure(latency=600)
        await anyio.to_thread.run_sync(leave, url, "GET", "/tasks", email_of(sandbox))
        await until(lambda: limiter.free == limiter.slots)
        sandbox.configure(latency=0)
        async with httpx.AsyncClient(base_url=url, headers={"X-Forwarded-Email": email_of(sandbox)}) as one:
            assert (await one.get("/tasks")).status_code == 200


@on_a_socket
async def test_a_completion_goes_on_when_its_browser_leaves(service: ModuleType, sandbox: Sandbox) -> None:
    email, task = a_task(sandbox)
    with served(service.create_app()) as url:
        sandbox.configure(latency=0.3)
        await anyio.to_thread.run_sync(leave, url, "POST", f"/tasks/{task.id}/complete", email)
        await until(lambda: not task.is_open)


GET = {"type": "http", "method": "GET"}


async def hang_up(app: Any, scope: dict[str, Any], left: anyio.Event) -> list[str]:
    """Call an application behind HangUp; return the types of what it sent."""
    sent: list[str] = []
    first: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if first:
            return first.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    with example("fastapi_service/hangup.py") as module:
        await module.HangUp(app)(scope, receive, send)
    return sent


async def test_an_answer_that_nobody_waits_for_is_cut() -> None:
    left = anyio.Event()

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        left.set()
        await anyio.sleep_forever()

    assert await hang_up(app, GET, left) == []


async def test_an_answer_that_has_begun_is_ended() -> None:
    left = anyio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start"})
        left.set()
        await anyio.wait_all_tasks_blocked()
        await send({"type": "http.response.body"})

    assert await hang_up(app, GET, left) == ["http.response.start", "http.response.body"]


async def test_what_the_application_raises_is_bare() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await hang_up(app, GET, anyio.Event())


@pytest.mark.parametrize("scope", [{"type": "lifespan"}, {"type": "http", "method": "POST"}], ids=str)
async def test_what_is_no_get_is_left_alone(scope: dict[str, Any]) -> None:
    left = anyio.Event()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        left.set()
        assert [(await receive())["type"], (await receive())["type"]] == ["http.request", "http.disconnect"]
        await send({"type": "done"})

    assert await hang_up(app, scope, left) == ["done"]
