"""A web service before Tallyfy: everybody sees and completes the tasks of their own, and hears what was completed.

It needs ``pip install tallyfy-async fastapi uvicorn`` and runs, in this folder, as ``uvicorn --factory
service:create_app`` (``--loop uvloop`` where uvloop is installed). Environment: TALLYFY_CLIENT_ID,
TALLYFY_CLIENT_SECRET and TALLYFY_ORGANIZATION of the application; HOOK_SECRET; TALLYFY_BASE_URL for another Tallyfy;
PATIENCE, the seconds that a request has (5). People are told apart by X-Forwarded-Email: let a login proxy set it and
nobody else reach the service. The address to give to Tallyfy for webhooks is ``https://your.host/hooks/HOOK_SECRET``.
"""

import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse
from hangup import HangUp

from tallyfy_async import (
    APIError,
    ClientCredentials,
    OnBehalfOf,
    RateLimitError,
    RequestOptions,
    ServerError,
    TallyfyClient,
    TallyfyError,
    TokenRequestError,
    TransportError,
)
from tallyfy_async.errors import Outcome
from tallyfy_async.organization import Organization
from tallyfy_async.webhooks import Dispatcher, SenderCheck, TaskCompleted, WebhookApp


class Members:
    """Clients that act for one member each and share the connections, the limiter and the pace of one client.

    Those used last are kept, because a member's token is worth keeping.
    """

    def __init__(self, shared: TallyfyClient, application: ClientCredentials, organization: str, most: int = 1000):
        self._shared, self._application, self._organization, self._most = shared, application, organization, most
        self._clients: dict[str, TallyfyClient] = {}

    def acting_for(self, email: str) -> Organization:
        client = self._clients.pop(email, None) or self._derived(email)
        self._clients[email] = client
        if len(self._clients) > self._most:
            del self._clients[next(iter(self._clients))]
        return client.organization()

    def _derived(self, email: str) -> TallyfyClient:
        member = OnBehalfOf(application=self._application, organization=self._organization, email=email)
        return self._shared.with_options(auth=member)


class Deadline:
    """One moment for all the calls of a request, however many there are."""

    def __init__(self, seconds: float) -> None:
        self._end = anyio.current_time() + seconds

    @property
    def options(self) -> RequestOptions:
        return RequestOptions(deadline=max(0.01, self._end - anyio.current_time()))


async def deadline(request: Request) -> Deadline:
    return Deadline(request.app.state.patience)


async def organization(request: Request, x_forwarded_email: Annotated[str, Header()]) -> Organization:
    members: Members = request.app.state.members
    return members.acting_for(x_forwarded_email.strip().lower())


Mine = Annotated[Organization, Depends(organization)]
InTime = Annotated[Deadline, Depends(deadline)]


async def my_tasks(org: Mine, until: InTime) -> list[dict[str, Any]]:
    page = await org.me.tasks.list(status="active", per_page=20, options=until.options)
    return [{"id": task.id, "title": task.title, "due": task.deadline} for task in page]


async def complete(task_id: str, org: Mine, until: InTime) -> dict[str, Any]:
    task = await org.tasks.get(task_id, options=until.options)
    if task.run_id is None:
        task = await org.tasks.complete(task_id, options=until.options)
    else:
        task = await org.runs.tasks.complete(task.run_id, task_id, options=until.options)
    return {"id": task.id, "status": task.status}


async def recently_completed(request: Request) -> list[dict[str, Any]]:
    return list(request.app.state.recent)


async def failed(_request: Request, error: Exception) -> JSONResponse:
    """Tell people what they can do about it; the rest is for us to look into."""
    match error:
        case APIError(status=403 | 404 | 409 | 422):
            return JSONResponse({"detail": error.message}, error.status)
        case TokenRequestError(status=404 | 422):
            return JSONResponse({"detail": "You are no member of this organization"}, 403)
        case (
            RateLimitError()
            | ServerError()
            | TransportError()
            | TokenRequestError(status=None | 429 | 500 | 502 | 503 | 504)
        ):
            later = max(1, round(getattr(error, "retry_after", None) or 5))
            unknown = {"unknown": error.outcome is Outcome.UNKNOWN}  # a completion that may have landed
            return JSONResponse({"detail": "Tallyfy does not answer well", **unknown}, 503, {"Retry-After": str(later)})
        case _:
            return JSONResponse({"detail": "This service and Tallyfy do not agree"}, 502)


def create_app() -> FastAPI:
    """Return the service, configured by the environment."""
    tenant = os.environ["TALLYFY_ORGANIZATION"]
    application = ClientCredentials(
        client_id=os.environ["TALLYFY_CLIENT_ID"], client_secret=os.environ["TALLYFY_CLIENT_SECRET"]
    )
    base_url = os.environ.get("TALLYFY_BASE_URL", "https://go.tallyfy.com/api")
    dispatcher = Dispatcher()
    recent: deque[dict[str, Any]] = deque(maxlen=100)

    @dispatcher.on.task_completed()
    async def completed(event: TaskCompleted) -> None:
        task, person = event.payload.this_task, event.payload.completer
        recent.appendleft({"id": task.id, "title": task.title, "by": None if person is None else person.email})

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            TallyfyClient(application, organization=tenant, base_url=base_url, max_connections=20) as tallyfy,
            dispatcher.running(),
        ):
            app.state.tallyfy, app.state.members = tallyfy, Members(tallyfy, application, tenant)
            yield

    app = FastAPI(lifespan=lifespan, title="Tasks")
    app.state.patience, app.state.recent = float(os.environ.get("PATIENCE", "5")), recent
    app.state.dispatcher = dispatcher
    app.get("/tasks")(my_tasks)
    app.post("/tasks/{task_id}/complete")(complete)
    app.get("/completed")(recently_completed)
    app.mount("/hooks", WebhookApp(dispatcher, SenderCheck(tenant, secret=os.environ["HOOK_SECRET"])))
    app.add_middleware(HangUp)
    app.add_exception_handler(TallyfyError, failed)
    return app
