"""What the client sends for the rows of tests/contract: calls that the sandbox accepts, to start made-up calls from."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
from attrs import define, evolve, field, frozen

from tallyfy_async import TallyfyError
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.http import asgi_transport
from tests.contract.document import JSON, Promise, find
from tests.contract.row import Row
from tests.contract.scripted import whole
from tests.contract.table import ROWS
from tests.helpers import connect
from tests.resources.place import Place, arranged

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


@frozen(kw_only=True)
class Sent:
    """The variable parts of a request."""

    path: dict[str, str] = field(factory=dict[str, str])
    query: dict[str, str] = field(factory=dict[str, str])
    body: Any = None
    media_type: str | None = None
    token: str = field(repr=False)


def read(promise: Promise, request: httpx.Request, path: str, content: bytes) -> Sent:
    parts = zip(promise.path.split("/"), path.split("/"), strict=True)
    kind = request.headers.get("content-type", "").partition(";")[0] if content else None
    readers: dict[str | None, Callable[[], Any]] = {
        JSON: lambda: json.loads(content),
        FORM: lambda: dict(parse_qsl(content.decode(), keep_blank_values=True)),
        MULTIPART: lambda: fields(request.headers["content-type"], content),
    }
    return Sent(
        path={part[1:-1]: unquote(given) for part, given in parts if part.startswith("{")},
        query=dict(parse_qsl(request.url.query.decode(), keep_blank_values=True)),
        body=readers[kind]() if kind else None,
        media_type=kind,
        token=request.headers["authorization"].removeprefix("Bearer "),
    )


def fields(kind: str, content: bytes) -> dict[str, Any]:
    """Return the fields of a form, its file as bytes."""
    form = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + content)
    return {str(part.get_param("name", header="content-disposition")): value(part) for part in form.get_payload()}


def value(part: Message) -> Any:
    content = part.get_payload(decode=True)
    return content if part.get_filename() else content.decode()


@define
class Overhearing(httpx.AsyncBaseTransport):
    """Hands requests on until one performs an operation; that one it keeps, and refuses."""

    inner: httpx.AsyncBaseTransport
    operation: str
    heard: Sent | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await whole(request)
        path = request.url.raw_path.decode().removeprefix("/api").partition("?")[0]
        promise = find(request.method, path)
        if promise is None or promise.id != self.operation:
            again = httpx.Request(request.method, request.url, headers=request.headers, content=content)
            return await self.inner.handle_async_request(again)
        self.heard = read(promise, request, path, content)
        return httpx.Response(400, json={"error": True, "message": "heard"})


async def overhear(sandbox: Sandbox, row: Row) -> Sent:
    """Arrange a sandbox for a row and return what its call would send."""
    async with connect(sandbox) as tallyfy:
        empty = Place(sandbox=sandbox, tallyfy=tallyfy, org=tallyfy.organization())
        at = await arranged(empty, row.arrange)
    transport = Overhearing(asgi_transport(sandbox.app), row.operation)
    async with connect(sandbox, transport=transport, allow_unverified=True) as tallyfy:
        with suppress(TallyfyError):
            await row.call(evolve(at, tallyfy=tallyfy, org=tallyfy.organization()))
    assert transport.heard is not None
    return transport.heard


async def grant(sandbox: Sandbox, **form: str) -> Any:
    mine = sandbox.credentials
    form = {"client_id": mine.client_id, "client_secret": mine.client_secret, **form}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as http:
        return (await http.post(f"{sandbox.url}/oauth/token", data=form)).json()


async def by_hand(sandbox: Sandbox, operation: str) -> Sent:
    """Return a call of the operations that the client performs in its grants, and of those of applications."""
    mine = sandbox.credentials
    client = {"client_id": mine.client_id, "client_secret": mine.client_secret}
    password = {"grant_type": "password", "username": mine.username, "password": mine.password}
    org, email = {"org": mine.organization}, "eve@analytical-engines.com"
    if operation == "authorize":
        query = {"client_id": mine.client_id, "response_type": "token", "redirect_uri": mine.redirect_uris[-1]}
        return Sent(query=query, token="")
    if operation == "create_token":
        return Sent(body={**client, **password}, media_type=FORM, token="")
    if operation == "refresh_token":
        refresh = (await grant(sandbox, **password))["refresh_token"]
        body = {**client, "grant_type": "refresh_token", "refresh_token": refresh}
        return Sent(body=body, media_type=FORM, token="")
    token = (await grant(sandbox, grant_type="client_credentials"))["access_token"]
    if operation == "create_application_user":
        body = {"first_name": "Eve", "last_name": "Hopper", "email": email}
        return Sent(path=org, body=body, media_type=JSON, token=token)
    return Sent(path={**org, "email": mine.username}, token=token)


async def accepted(sandbox: Sandbox, operation: str) -> Sent:
    """Arrange a sandbox for a call of an operation, and return the call."""
    row = next((row for row in ROWS if row.operation == operation), None)
    return await by_hand(sandbox, operation) if row is None else await overhear(sandbox, row)
