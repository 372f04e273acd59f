"""The Slack bot, driven by requests that are signed as Slack signs them; the Slack that it answers is on a socket."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anyio
import httpx
import pytest
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tallyfy_async.sandbox import Fault, Sandbox
from tests.examples.rig import a_task, enter, example
from tests.helpers import small_sandbox
from tests.webhooks.served import served

pytestmark = [pytest.mark.anyio, pytest.mark.once]
SIGNING_SECRET = "not-so-secret"


@pytest.fixture
def anyio_backend() -> str:
    """Return the only event loop that slack_bolt runs on."""
    return "asyncio"


class Slack:
    """Knows its users' addresses, and keeps what is said to them."""

    def __init__(self, users: dict[str, str]) -> None:
        self.users = users
        self.said: list[dict[str, Any]] = []
        self.authorized: set[str] = set()
        self.url = ""
        self.app = Starlette(
            routes=[
                Route("/api/auth.test", self.auth_test, methods=["POST"]),
                Route("/api/users.info", self.users_info, methods=["GET", "POST"]),
                Route("/respond", self.respond, methods=["POST"]),
            ]
        )

    async def auth_test(self, request: Request) -> Response:
        self.authorized.add(request.headers["authorization"])
        known = {
            "ok": True,
            "url": self.url,
            "team": "T",
            "user": "bot",
            "team_id": "T1",
            "user_id": "U0",
            "bot_id": "B0",
        }
        return JSONResponse(known)

    async def users_info(self, request: Request) -> Response:
        asked = {**dict(request.query_params), **dict(parse_qsl((await request.body()).decode()))}
        if asked["user"] not in self.users:
            return JSONResponse({"ok": False, "error": "user_not_found"})
        email = self.users[asked["user"]]
        return JSONResponse({"ok": True, "user": {"id": asked["user"], "profile": {"email": email} if email else {}}})

    async def respond(self, request: Request) -> Response:
        self.said.append(await request.json())
        return PlainTextResponse("ok")

    async def next_words(self) -> dict[str, Any]:
        """Return what is said next; the bot says it after it has answered the request."""
        for _ in range(1000):
            if self.said:
                return self.said.pop(0)
            await anyio.sleep(0.01)
        raise TimeoutError


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with small_sandbox().serve() as made:
        yield made


@pytest.fixture
def slack(sandbox: Sandbox) -> Iterator[Slack]:
    email, _ = a_task(sandbox)
    slack = Slack({"U1": email.upper(), "U2": "nobody@example.com", "U3": ""})
    with served(slack.app) as url:
        slack.url = url
        yield slack


@pytest.fixture
def bot(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, slack: Slack) -> Iterator[ModuleType]:
    place = f"{slack.url}/api/"
    enter(monkeypatch, sandbox, SLACK_BOT_TOKEN="xoxb-1", SLACK_SIGNING_SECRET=SIGNING_SECRET, SLACK_API_URL=place)
    with example("chat_bot/bot.py") as module:
        yield module


@asynccontextmanager
async def running(bot: ModuleType) -> AsyncIterator[httpx.AsyncClient]:
    app = bot.create_app()
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bot.test") as client,
    ):
        yield client


async def post(client: httpx.AsyncClient, *, secret: str = SIGNING_SECRET, age: int = 0, **form: str) -> int:
    """Send what Slack would send, signed; return the status."""
    body = urlencode(form)
    at = str(int(time.time()) - age)
    signature = SignatureVerifier(secret).generate_signature(timestamp=at, body=body)
    assert signature is not None
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": signature,
    }
    return (await client.post("/slack/events", content=body, headers=headers)).status_code


async def command(client: httpx.AsyncClient, slack: Slack, user: str = "U1", **how: Any) -> int:
    """Type ``/tasks``."""
    place = {"team_id": "T1", "channel_id": "C1", "response_url": f"{slack.url}/respond", "trigger_id": "1"}
    return await post(client, **how, command="/tasks", text="", user_id=user, **place)


async def click(client: httpx.AsyncClient, slack: Slack, value: str, user: str = "U1") -> int:
    """Click the button of a task."""
    payload = {
        "type": "block_actions",
        "user": {"id": user, "team_id": "T1"},
        "team": {"id": "T1"},
        "channel": {"id": "C1"},
        "response_url": f"{slack.url}/respond",
        "trigger_id": "1",
        "actions": [{"type": "button", "action_id": "complete", "block_id": "b", "value": value}],
    }
    return await post(client, payload=json.dumps(payload))


async def test_tasks_are_listed_with_buttons_for_the_one_who_asks(
    bot: ModuleType, slack: Slack, sandbox: Sandbox
) -> None:
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    async with running(bot) as client:
        assert await command(client, slack) == 200
        said = await slack.next_words()
    buttons = [block["accessory"] for block in said["blocks"]]
    tasks = [tenant.tasks[button["value"]] for button in buttons]
    assert 0 < len(tasks) <= bot.MOST
    (user,) = [one for one in sandbox.world.users.values() if one.email == slack.users["U1"].lower()]
    assert all(user.id in task.users and task.is_open for task in tasks)
    assert [block["text"]["text"].partition(" (due ")[0] for block in said["blocks"]] == [task.title for task in tasks]
    assert said["text"].endswith(" tasks are waiting for you.")
    assert slack.authorized == {"Bearer xoxb-1"}


async def test_a_button_completes_as_the_one_who_clicks(bot: ModuleType, slack: Slack, sandbox: Sandbox) -> None:
    email, task = a_task(sandbox)
    task.title = "Ask <!channel> & co"
    async with running(bot) as client:
        assert await click(client, slack, task.id) == 200
        said = await slack.next_words()
    assert said == {"text": ":white_check_mark: Ask &lt;!channel&gt; &amp; co", "replace_original": False}
    assert sandbox.world.users[task.completer_id].email == email
    assert not task.is_open


async def test_what_is_missing_is_said(bot: ModuleType, slack: Slack, sandbox: Sandbox) -> None:
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    demanding = next(
        task
        for task in tenant.tasks.values()
        if task.run_id and task.is_open and any(one.required and one.id not in task.taskdata for one in task.captures)
    )
    async with running(bot) as client:
        assert await click(client, slack, demanding.id) == 200
        assert (await slack.next_words())["text"].startswith("Not yet: ")
        assert await click(client, slack, "unknown") == 200
        assert (await slack.next_words())["text"].startswith("Tallyfy says: ")
    assert demanding.is_open


async def test_whom_tallyfy_does_not_know(bot: ModuleType, slack: Slack) -> None:
    async with running(bot) as client:
        assert await command(client, slack, "U2") == 200
        assert (await slack.next_words())["text"] == "I do not know you in Tallyfy."


@pytest.mark.parametrize("user", ["U3", "U9"])
async def test_whom_slack_does_not_tell(user: str, bot: ModuleType, slack: Slack, sandbox: Sandbox) -> None:
    async with running(bot) as client:
        assert await command(client, slack, user) == 200
        assert (await slack.next_words())["text"] == "Slack does not tell me who you are."
        assert await click(client, slack, "1", user) == 200
        assert (await slack.next_words())["text"] == "Slack does not tell me who you are."
    assert sandbox.stats.requests == 0


async def test_trouble_is_put_in_words(bot: ModuleType, slack: Slack, sandbox: Sandbox) -> None:
    _, task = a_task(sandbox)
    async with running(bot) as client:
        sandbox.faults.add(Fault(operation="complete_run_task", status=502, stage="after"))
        assert await click(client, slack, task.id) == 200
        assert "look whether it was done" in (await slack.next_words())["text"]
        sandbox.faults.add(Fault(operation="list_my_tasks", status=429, headers={"Retry-After": "70"}, times=None))
        assert await command(client, slack) == 200
        assert (await slack.next_words())["text"].startswith("Tallyfy does not answer well")


async def test_an_empty_list(bot: ModuleType, slack: Slack, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(operation="list_my_tasks", body={"data": []}))
    async with running(bot) as client:
        await command(client, slack)
        said = await slack.next_words()
    assert (said["text"], said.get("blocks", [])) == ("Nothing is waiting for you.", [])


async def test_what_slack_did_not_sign_is_refused(bot: ModuleType, slack: Slack, sandbox: Sandbox) -> None:
    async with running(bot) as client:
        assert await command(client, slack, secret="another") == 401
        assert await command(client, slack, age=600) == 401  # a replay
    assert not slack.said
    assert sandbox.stats.requests == 0
