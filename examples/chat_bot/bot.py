"""A Slack bot: ``/tasks`` lists what waits for you in Tallyfy, each with a button that completes it as you.

It needs ``pip install tallyfy-async slack_bolt aiohttp starlette uvicorn`` and runs, in this folder, as
``uvicorn --factory bot:create_app``. Environment: SLACK_BOT_TOKEN (scopes commands, users:read.email) and
SLACK_SIGNING_SECRET; TALLYFY_CLIENT_ID, TALLYFY_CLIENT_SECRET and TALLYFY_ORGANIZATION of the application;
TALLYFY_BASE_URL and SLACK_API_URL for another Tallyfy and another Slack. The address to give to Slack, for the command
and for interactivity, is ``https://your.host/slack/events``.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from html import escape
from typing import Any

from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.routing import Route

from tallyfy_async import (
    APIError,
    ClientCredentials,
    OnBehalfOf,
    Page,
    RequestOptions,
    TallyfyClient,
    TallyfyError,
    TokenRequestError,
    ValidationError,
)
from tallyfy_async.errors import Outcome
from tallyfy_async.models import Task
from tallyfy_async.organization import Organization

MOST = 10
QUICK = RequestOptions(deadline=20)  # seconds: Slack was told "wait", the person still looks at the screen
EXPECTED = (TallyfyError, SlackApiError, KeyError)  # the last where Slack shows no address of a user


class Desk:
    """Finds out who is asking, and answers."""

    def __init__(self, slack: AsyncWebClient, tallyfy: TallyfyClient, application: ClientCredentials, tenant: str):
        self._slack, self._tallyfy, self._application, self._tenant = slack, tallyfy, application, tenant
        self._acting_for = lru_cache(maxsize=1000)(self._derived)

    def _derived(self, email: str) -> Organization:
        member = OnBehalfOf(application=self._application, organization=self._tenant, email=email)
        return self._tallyfy.with_options(auth=member).organization()

    async def _org_of(self, slack_user: str) -> Organization:
        known = await self._slack.users_info(user=slack_user)
        return self._acting_for(known["user"]["profile"]["email"].lower())

    async def tasks(self, ack: AsyncAck, command: Mapping[str, Any], respond: AsyncRespond) -> None:
        await ack()  # Slack waits for three seconds, Tallyfy may take longer
        try:
            org = await self._org_of(command["user_id"])
            page = await org.me.tasks.list(status="active", per_page=MOST, options=QUICK)
        except EXPECTED as error:
            await respond(in_words(error))
        else:
            await respond(summary(page), blocks=[shown(task) for task in page])

    async def complete(
        self, ack: AsyncAck, body: Mapping[str, Any], action: Mapping[str, Any], respond: AsyncRespond
    ) -> None:
        await ack()
        try:
            done = await completed(await self._org_of(body["user"]["id"]), action["value"])
        except EXPECTED as error:
            await respond(in_words(error), replace_original=False)
        else:
            await respond(f":white_check_mark: {safe(done.title)}", replace_original=False)


def create_app() -> Starlette:
    """Return the bot as an ASGI application, configured by the environment."""
    tenant = os.environ["TALLYFY_ORGANIZATION"]
    application = ClientCredentials(
        client_id=os.environ["TALLYFY_CLIENT_ID"], client_secret=os.environ["TALLYFY_CLIENT_SECRET"]
    )
    base_url = os.environ.get("TALLYFY_BASE_URL", "https://go.tallyfy.com/api")
    bolt = AsyncApp(token=os.environ["SLACK_BOT_TOKEN"], signing_secret=os.environ["SLACK_SIGNING_SECRET"])
    bolt.client.base_url = os.environ.get("SLACK_API_URL", bolt.client.base_url)
    handler = AsyncSlackRequestHandler(bolt)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with TallyfyClient(application, organization=tenant, base_url=base_url) as tallyfy:
            desk = Desk(bolt.client, tallyfy, application, tenant)
            bolt.command("/tasks")(desk.tasks)
            bolt.action("complete")(desk.complete)
            yield

    return Starlette(routes=[Route("/slack/events", handler.handle, methods=["POST"])], lifespan=lifespan)


async def completed(org: Organization, task_id: str) -> Task:
    """Complete a task of a run or a one-off task; which of the two it is decides the call."""
    task = await org.tasks.get(task_id, options=QUICK)
    if task.run_id is None:
        return await org.tasks.complete(task_id, options=QUICK)
    return await org.runs.tasks.complete(task.run_id, task_id, options=QUICK)


def safe(text: str | None) -> str:
    """Return text as Slack wants it, so that no title mentions everybody."""
    return escape(text or "", quote=False)


def summary(page: Page[Task]) -> str:
    if not page:
        return "Nothing is waiting for you."
    return f"{page.total or len(page)} tasks are waiting for you."


def shown(task: Task) -> dict[str, Any]:
    """Return a task as a block of Slack's, with its button."""
    due = f" (due {task.deadline:%d %B})" if task.deadline is not None else ""
    button = {
        "type": "button",
        "action_id": "complete",
        "value": task.id,
        "text": {"type": "plain_text", "text": "Complete"},
    }
    text = {"type": "plain_text", "text": f"{task.title or 'Without a title'}{due}"[:3000]}
    return {"type": "section", "text": text, "accessory": button}


def in_words(error: Exception) -> str:
    """Say to a person what went wrong, and whether to try again."""
    if not isinstance(error, TallyfyError):
        return "Slack does not tell me who you are."
    if isinstance(error, ValidationError) and error.fields:
        return safe("Not yet: " + " ".join(message for messages in error.fields.values() for message in messages))
    if isinstance(error, TokenRequestError) and error.status in {404, 422}:
        return "I do not know you in Tallyfy."
    if error.outcome is Outcome.UNKNOWN:
        return "Tallyfy did not answer: look whether it was done before you try again."
    if isinstance(error, APIError) and error.status < 429:
        return f"Tallyfy says: {safe(error.message)}"
    return "Tallyfy does not answer well. Try again in a minute."
