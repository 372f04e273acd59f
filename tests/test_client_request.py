from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tallyfy_async import (
    ConfigurationError,
    EndpointNotFoundError,
    EndpointRemovedError,
    EndpointRenamedError,
    NotFoundError,
    Outcome,
    RequestOptions,
    ServerError,
)
from tallyfy_async.protocol.migration import MIGRATIONS, Kind
from tallyfy_async.sandbox import Fault
from tallyfy_async.transport.manual_clock import ManualClock
from tests.helpers import connect, small_sandbox

pytestmark = pytest.mark.anyio


async def test_a_raw_read_brings_back_everything() -> None:
    sandbox = small_sandbox()
    org = sandbox.credentials.organization
    async with connect(sandbox, clock=ManualClock()) as client:
        response = await client.request("get", f"/organizations/{org}/runs", params={"per_page": 3, "q": "a b"})
        assert response.status == 200
        assert response.data == response.payload["data"] == json.loads(response.content)["data"]
        assert response.meta["pagination"]["per_page"] == 3
        assert response.headers["Content-Type"] == "application/json"
        assert (response.request_id, response.attempts, response.elapsed) == ("sandbox-00000001", 1, 0.0)
        (request,) = sandbox.stats.received
        assert (request.method, dict(request.query)) == ("GET", {"per_page": "3", "q": "a b"})
        assert request.headers["x-tallyfy-client"] == "APIClient"
        assert "content-type" not in request.headers


@pytest.mark.parametrize("path", ["me", "/me"])
async def test_a_path_is_relative_to_the_base_url(path: str) -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    async with connect(sandbox) as client:
        assert (await client.request("GET", path)).data["id"] == 1001
        assert sandbox.stats.received[0].path == "/api/me"


async def test_a_raw_write_sends_json() -> None:
    sandbox = small_sandbox()
    org = f"organizations/{sandbox.credentials.organization}"
    template = list(sandbox.world.tenants[sandbox.credentials.organization].checklists)[2]
    async with connect(sandbox) as client:
        body = {"checklist_id": template, "name": "Zoë"}
        response = await client.request("POST", f"{org}/runs", json=body)
        assert (response.status, response.data["name"]) == (201, "Zoë")
        await client.request("DELETE", f"{org}/runs/{response.data['id']}")
        launch, archive = sandbox.stats.received
        assert json.loads(launch.body) == body
        assert [launch.headers["content-type"], archive.headers["content-type"]] == ["application/json"] * 2
        assert archive.body == b""


async def test_a_path_is_encoded_once() -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    async with connect(sandbox) as client:
        for path in ("/guests/a b@example.com", "/guests/a%20b%40example.com", "/guests/Zoë{x}\\"):
            with pytest.raises(EndpointNotFoundError):
                await client.request("GET", path)
        assert [one.path for one in sandbox.stats.received] == [
            "/api/guests/a%20b@example.com",
            "/api/guests/a%20b%40example.com",
            "/api/guests/Zo%C3%AB%7Bx%7D%5C",
        ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "https://evil.example/me"),
        ("GET", "//evil.example/me"),
        ("GET", "/me?with=x"),
        ("GET", "/me#x"),
        ("GET", "/organizations/../me"),
        ("GET", "./me"),
        ("GET", "/organizations/%2e%2e/me"),
        ("GET", "/organizations/%2E./me"),
        ("GET", "/a\nb"),
        ("GET", None),
        ("GET", "/\ud800"),
        ("GET /me", "/me"),
        ("", "/me"),
        ("GÉT", "/me"),
        (None, "/me"),
    ],
)
async def test_what_is_no_plain_request_is_refused(method: Any, path: Any) -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    async with connect(sandbox) as client:
        with pytest.raises(ConfigurationError, match=r"method must|path must"):
            await client.request(method, path)
    assert sandbox.stats.requests == 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"params": ["a"]}, "params must be a mapping"),
        ({"params": {"a": object()}}, "query parameter 'a' cannot carry a object"),
        ({"options": {"timeout": 3}}, "options must be RequestOptions"),
    ],
)
async def test_wrong_arguments_of_a_raw_request_are_refused(given: dict[str, Any], message: str) -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    async with connect(sandbox) as client:
        with pytest.raises(ConfigurationError, match=message):
            await client.request("GET", "/me", **given)
    assert sandbox.stats.requests == 0


@pytest.mark.parametrize("field", ["headers", "query"])
def test_options_take_mappings(field: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{field} must be a mapping"):
        RequestOptions(**{field: [("a", "b")]})  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [object(), {1, 2}, float("nan"), {"a": b"x"}, "\ud800"])
async def test_a_body_that_is_no_json_is_refused(body: Any) -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    async with connect(sandbox) as client:
        with pytest.raises(ConfigurationError, match="JSON"):
            await client.request("POST", "/me", json=body)
    assert sandbox.stats.requests == 0


@pytest.mark.parametrize("row", MIGRATIONS, ids=lambda row: str(row.row))
async def test_an_endpoint_of_the_past_is_refused_before_it_is_sent(row: Any) -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    path = row.path.replace("{org}", sandbox.credentials.organization).replace("{type}", "slack")
    path = "/".join("a" * 32 if part.startswith("{") else part for part in path.split("/"))
    kind = EndpointRenamedError if row.kind is Kind.RENAMED else EndpointRemovedError
    async with connect(sandbox) as client:
        with pytest.raises(kind) as caught:
            await client.request(row.methods[0] if row.methods else "GET", path)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert (caught.value.replacement is None) is (row.replacement_path is None)
    assert sandbox.stats.requests == 0


async def test_errors_name_the_path_as_it_was_given() -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    path = f"/organizations/{sandbox.credentials.organization}/runs/{'a' * 32}"
    async with connect(sandbox) as client:
        with pytest.raises(NotFoundError) as caught:
            await client.request("GET", path)
    assert str(caught.value) == f"GET {path} -> 404: Resource not found (sandbox-00000001)"


async def test_raw_reads_are_tried_again_and_raw_writes_are_not() -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    clock = ManualClock()
    async with connect(sandbox, clock=clock) as client:
        sandbox.faults.add(Fault(status=503, times=2))
        response = await client.request("GET", "/me")
        assert (response.attempts, len(clock.slept)) == (3, 2)
        sandbox.faults.add(Fault(status=503, times=2))
        with pytest.raises(ServerError) as caught:
            await client.request("PUT", "/me", json={})
        assert caught.value.outcome is Outcome.UNKNOWN
        assert sandbox.stats.requests == 4
        with pytest.raises(ServerError):
            await client.request("GET", "/me", options=RequestOptions(retry=0))
        assert sandbox.stats.requests == 5


@pytest.mark.parametrize(
    ("body", "payload", "data", "meta"),
    [
        (b"", None, None, None),
        ([1], [1], [1], None),
        ({"id": 1}, {"id": 1}, {"id": 1}, None),
        ({"data": None, "meta": {}}, {"data": None, "meta": {}}, None, {}),
        ("text", "text", "text", None),
    ],
)
async def test_any_json_is_a_raw_reply(body: Any, payload: Any, data: Any, meta: Any) -> None:
    sandbox = small_sandbox(runs=1, tasks=1)
    async with connect(sandbox) as client:
        sandbox.faults.add(Fault(body=json.dumps(body) if isinstance(body, str) else body))
        response = await client.request("GET", "/me")
        assert (response.payload, response.data, response.meta) == (payload, data, meta)
        assert "text" not in repr(response)


async def test_a_request_may_send_a_form_with_files(tmp_path: Path) -> None:
    path = tmp_path / "plan.txt"
    path.write_bytes(b"the plan")
    sandbox = small_sandbox()
    org = sandbox.credentials.organization
    checklist = next(iter(sandbox.world.tenants[org].checklists))
    fields = {"subject_id": checklist, "subject_type": "Checklist", "uploaded_from": "ko_field"}
    async with connect(sandbox) as tallyfy:
        reply = await tallyfy.request("POST", f"/organizations/{org}/file", files={"name": path}, json=fields)
        async with tallyfy.organization(org).files.download(reply.data["id"]) as file:
            assert await file.read() == b"the plan"
        with pytest.raises(ConfigurationError, match="files must be a mapping"):
            await tallyfy.request("POST", f"/organizations/{org}/file", files=[path])  # type: ignore[arg-type]
