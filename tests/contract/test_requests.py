"""Every method of the client against a server that knows the contract alone.

``tests/contract/rows_*.py`` hold the calls. Each request is judged by openapi-core and by the names that the contract
describes; each reply is the contract's published example (or one made from its schema), which must come through the
models without loss. To try the rows of one part: ``pytest tests/contract/test_requests.py -k operation_id``.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from attrs import evolve

from tallyfy_async import Page, operations
from tallyfy_async.models import Model
from tallyfy_async.protocol.converter import unstructure
from tests.contract.document import Promise, example, promises, request_problems, response_problems
from tests.contract.row import Row
from tests.contract.scripted import BASE, Scripted
from tests.contract.table import ROWS, row_id
from tests.helpers import connect
from tests.models.test_payloads import same
from tests.resources.place import arranged, place

pytestmark = [pytest.mark.anyio, pytest.mark.once]
OAUTH = {one.id for one in operations() if one.call.startswith("tallyfy_async.")}


def test_the_judge_sees_what_is_wrong() -> None:
    headers = {"authorization": "Bearer t", "x-tallyfy-client": "APIClient", "accept": "application/json"}
    typed = headers | {"content-type": "application/json"}
    org = "/organizations/o"
    assert not request_problems("GET", f"{org}/runs", "per_page=100", headers, b"")
    assert request_problems("GET", f"{org}/runs", "per_page=many", headers, b"")
    assert request_problems("GET", f"{org}/runs", "per_paeg=1", headers, b"")
    assert request_problems("GET", f"{org}/rums", "", headers, b"")
    assert not request_problems("POST", f"{org}/runs", "", typed, b'{"checklist_id": "c"}')
    assert request_problems("POST", f"{org}/runs", "", typed, b'{"checklist_id": 1}')
    assert request_problems("POST", f"{org}/runs", "", typed, b'{"checklist_id": "c", "nmae": "x"}')
    assert request_problems("POST", f"{org}/runs", "", typed, b"{}")


def test_the_judge_takes_both_spellings_where_both_were_seen() -> None:
    def judged(operation: str, **row: str) -> list[str]:
        promise = promises()[operation]
        status = next(iter(promise.answers))
        body = json.dumps({"data": {**promise_row(promise), **row}}).encode()
        path = promise.path.replace("{org}", "0" * 32)
        return response_problems(promise, path, int(status), "application/json", body)

    def promise_row(promise: Promise) -> Any:
        return {**example(promise)[2]["data"]}

    assert not judged("create_guest", created_at="2025-01-10 08:30:00")
    assert not judged("create_guest", created_at="2025-01-10T08:30:00Z")
    assert judged("create_guest", created_at="10.01.2025")
    assert judged("create_guest", created_at="2025-01-10 08:30")
    assert not judged("launch_run", created_at="2025-01-10T08:30:00Z")
    assert judged("launch_run", created_at="2025-01-10 08:30:00")


def test_every_operation_has_a_row() -> None:
    assert {row.operation for row in ROWS} | OAUTH >= set(promises())


async def scripted(row: Row) -> tuple[Scripted, Any]:
    """Run a row against the scripted server; return it and the result."""
    async with place() as empty:
        at = await arranged(empty, row.arrange)
        server = Scripted()
        settings: Any = {"base_url": BASE, "transport": server, "allow_unverified": True}
        async with connect(at.sandbox, **settings) as tallyfy:
            result = await row.call(evolve(at, tallyfy=tallyfy, org=tallyfy.organization()))
    return server, result


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("row", ROWS, ids=row_id)
async def test_the_request_is_the_contract_s(row: Row) -> None:
    server, result = await scripted(row)
    assert not server.problems
    assert server.operations[-1].id == row.operation
    read = back_of(result)
    if read is not None:
        payload = example(promises()[row.operation])[2]
        wrapped = isinstance(payload, dict) and "data" in payload
        sent = payload["data"] if wrapped else payload
        assert same(sent, read), read


def back_of(result: Any) -> Any:
    """Return the payload that a result was made from, None where it is none of the plain kinds."""
    if isinstance(result, Model):
        return unstructure(result)
    if isinstance(result, Page):
        return [unstructure(one) for one in result]
    return None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("row", [row for row in ROWS if promises()[row.operation].confidence == "inferred"], ids=row_id)
async def test_inferred_operations_warn_once(row: Row) -> None:
    async with place() as empty:
        at = await arranged(empty, row.arrange)
        async with connect(at.sandbox, base_url=BASE, transport=Scripted()) as tallyfy:
            there = evolve(at, tallyfy=tallyfy, org=tallyfy.organization())
            with pytest.warns(UserWarning, match="inferred"):
                await row.call(there)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                await row.call(there)
