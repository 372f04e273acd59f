"""Every method of the client against the sandbox; openapi-core judges what goes back and forth."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from attrs import define, evolve, field

from tallyfy_async import operations
from tallyfy_async.sandbox.routes import build
from tallyfy_async.transport.http import asgi_transport
from tests.contract.document import find, promises, request_problems, response_problems
from tests.contract.row import Row
from tests.contract.scripted import whole
from tests.contract.table import ROWS, row_id
from tests.helpers import connect
from tests.resources.place import arranged, place

pytestmark = [pytest.mark.anyio, pytest.mark.once]
SERVED = {operation.name for operation in build().operations}
CAPABILITIES = {
    "delete_process_view",
    "recover_password",
    "update_billing_info",
    "update_subscription",
    "list_roles",
    "get_role",
    "create_role",
    "update_role",
    "delete_role",
}
"""Inferred operations that seed 000 names as capabilities."""


def test_the_sandbox_serves_what_is_verified_documented_or_a_named_capability() -> None:
    promised = {one.id for one in promises().values() if one.confidence != "inferred"} | CAPABILITIES
    assert promised - SERVED == set()


def test_the_sandbox_serves_nothing_else() -> None:
    beside = {operation.name for operation in build().operations if operation.name not in promises()}
    assert beside == set()


def test_every_operation_of_the_contract_is_in_the_registry() -> None:
    assert {one.id for one in operations()} == set(promises())


@define
class Listening(httpx.AsyncBaseTransport):
    """Hands requests on and judges them and their replies."""

    inner: httpx.AsyncBaseTransport
    operations: list[str] = field(factory=list[str], init=False)
    problems: list[str] = field(factory=list[str], init=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await whole(request)
        path = re.sub(r"^/api", "", request.url.raw_path.decode().partition("?")[0])
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.problems += request_problems(request.method, path, request.url.query.decode(), headers, body)
        reply = await self.inner.handle_async_request(
            httpx.Request(request.method, request.url, headers=request.headers, content=body)
        )
        content = await reply.aread()
        promise = find(request.method, path)
        if promise is not None:
            self.operations.append(promise.id)
            self.problems += response_problems(
                promise, path, reply.status_code, reply.headers.get("content-type", ""), content
            )
        return httpx.Response(reply.status_code, headers=reply.headers, content=content)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("row", [row for row in ROWS if row.operation in SERVED], ids=row_id)
async def test_the_sandbox_answers(row: Row) -> None:
    async with place() as empty:
        at = await arranged(empty, row.arrange)
        listening = Listening(asgi_transport(at.sandbox.app))
        settings: Any = {"transport": listening, "allow_unverified": True}
        async with connect(at.sandbox, **settings) as tallyfy:
            await row.call(evolve(at, tallyfy=tallyfy, org=tallyfy.organization()))
    assert not listening.problems
    assert listening.operations[-1] == row.operation
