"""A server that knows the contract and nothing else: it judges requests and answers with the contract's examples."""

from __future__ import annotations

import json
from typing import Any

import httpx
from attrs import define, field

from tests.contract.document import JSON, Promise, example, find, request_problems

BASE = "https://tallyfy.test/api"


async def whole(request: httpx.Request) -> bytes:
    """Return the body, a form's too, which is read while it is sent."""
    stream: Any = request.stream
    return b"".join([piece async for piece in stream])


@define
class Scripted(httpx.AsyncBaseTransport):
    """Answers every operation of the contract; notes what came in and what is wrong with it."""

    answers: dict[str, Any] = field(factory=dict[str, Any])
    """operationId -> payload to answer with instead of the example."""
    operations: list[Promise] = field(factory=list[Promise], init=False)
    requests: list[httpx.Request] = field(factory=list[httpx.Request], init=False)
    problems: list[str] = field(factory=list[str], init=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await whole(request)
        self.requests.append(request)
        path = request.url.raw_path.decode().removeprefix("/api").partition("?")[0]
        query = request.url.query.decode()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.problems += request_problems(request.method, path, query, headers, body)
        promise = find(request.method, path)
        if promise is None:
            return httpx.Response(404, json={"error": True, "message": "x", "code": "ENDPOINT_NOT_FOUND"})
        self.operations.append(promise)
        status, kind, payload = example(promise)
        payload = self.answers.get(promise.id, payload)
        if status == 204 or not kind:
            return httpx.Response(status)
        if kind != JSON:
            return httpx.Response(status, content=b"content", headers={"Content-Type": "application/octet-stream"})
        return httpx.Response(status, content=json.dumps(payload).encode(), headers={"Content-Type": JSON})
