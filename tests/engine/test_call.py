from __future__ import annotations

import math
from datetime import UTC, date, datetime
from typing import Any

import pytest

from tallyfy_async import ConfigurationError, NotFoundError, Operation, RequestOptions
from tallyfy_async.engine.plan import Call, encode_json
from tallyfy_async.sandbox import Fault, Sandbox
from tests.helpers import connect, small_sandbox

READ = Operation(id="read", method="GET", path="/organizations/{org}/things/{thing}", scopes="none", call="org.read")
WRITE = Operation(id="write", method="PUT", path="/organizations/{org}/things/{thing}", scopes="none", call="org.write")
VALUES = {"org": "o1", "thing": "a/b ü"}


@pytest.fixture
def sandbox() -> Sandbox:
    return small_sandbox()


def test_path_values_are_encoded_as_one_segment() -> None:
    assert Call.plan(READ, VALUES).url == "/organizations/o1/things/a%2Fb%20%C3%BC"


def test_queries_of_the_call_and_of_its_options_merge_and_options_win() -> None:
    options = RequestOptions(query={"page": 2, "extra": [1, 2]})
    call = Call.plan(READ, VALUES, query={"page": 1, "q": "a b+c", "none": None}, options=options)
    assert call.url.partition("?")[2] == "page=2&q=a%20b%2Bc&extra%5B%5D=1&extra%5B%5D=2"


@pytest.mark.parametrize(
    ("operation", "payload", "content", "content_type"),
    [
        (READ, None, None, None),
        (WRITE, None, None, "application/json"),
        (WRITE, {"ü": [1, None, True]}, '{"ü":[1,null,true]}'.encode(), "application/json"),
        (WRITE, {}, b"{}", "application/json"),
    ],
)
def test_bodies_and_their_type(
    operation: Operation, payload: Any, content: bytes | None, content_type: str | None
) -> None:
    call = Call.plan(operation, VALUES, payload=payload)
    assert (call.content, call.content_type) == (content, content_type)


@pytest.mark.parametrize("values", [{}, {"org": "o1"}, {"org": "", "thing": "x"}, {"org": "..", "thing": "x"}])
def test_path_values_that_are_missing_or_leave_their_segment_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"org|thing"):
        Call.plan(READ, values)


def circle() -> list[Any]:
    members: list[Any] = []
    members.append(members)
    return members


@pytest.mark.parametrize("payload", [{1, 2}, object(), math.nan, math.inf, b"bytes", date(2026, 1, 1), {(1, 2): 3}])
def test_what_json_cannot_carry_is_refused(payload: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written as JSON") as caught:
        encode_json({"value": payload})
    assert caught.value.__cause__ is None


def test_a_body_that_holds_itself_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
        encode_json(circle())


def test_dates_in_queries_have_the_request_format() -> None:
    moment = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)
    call = Call.plan(READ, VALUES, query={"at": moment, "on": date(2026, 12, 1), "yes": True})
    assert call.url.partition("?")[2] == "at=2026-12-01%2008%3A30%3A00&on=2026-12-01&yes=true"


def test_calls_and_options_show_neither_headers_nor_body() -> None:
    call = Call.plan(
        WRITE, VALUES, payload={"password": "hunter2"}, options=RequestOptions(headers={"X-Key": "hunter2"})
    )
    assert "content=" not in repr(call)
    assert "headers=(" not in repr(call)


@pytest.mark.anyio
async def test_a_response_tells_everything(sandbox: Sandbox) -> None:
    async with connect(sandbox) as client:
        organization = client.organization().id
        response = await client.request("get", f"organizations/{organization}/runs", params={"per_page": 2})
        assert (response.status, response.attempts) == (200, 1)
        assert response.request_id == "sandbox-00000001"
        assert response.headers["CONTENT-TYPE"] == "application/json"
        assert len(response.data) == 2
        assert response.meta["pagination"]["per_page"] == 2
        assert response.content.startswith(b'{"data":[')
        assert response.elapsed >= 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "data", "meta"),
    [
        ("", None, None),
        ("  \n", None, None),
        ([1, 2], [1, 2], None),
        ({"id": 1}, {"id": 1}, None),
        ({"data": 0}, 0, None),
    ],
)
async def test_a_response_without_envelope(sandbox: Sandbox, body: Any, data: Any, meta: Any) -> None:
    sandbox.faults.add(Fault(operation="get_me", status=200, body=body))
    async with connect(sandbox) as client:
        response = await client.request("GET", "/me")
    assert (response.data, response.meta) == (data, meta)


@pytest.mark.anyio
async def test_options_reach_the_wire(sandbox: Sandbox) -> None:
    async with connect(sandbox) as client:
        await client.me.get(options=RequestOptions(query={"with": "x"}, headers={"X-Trace": "1"}))
    received = sandbox.stats.received[0]
    assert received.query == {"with": "x"}
    assert received.headers["x-trace"] == "1"


@pytest.mark.anyio
async def test_a_404_names_the_organization_that_was_asked(sandbox: Sandbox) -> None:
    async with connect(sandbox) as client:
        with pytest.raises(NotFoundError) as caught:
            await client.organization().runs.get("0" * 32)
    assert caught.value.__notes__ == [f"Looked for in organization {sandbox.credentials.organization}."]
