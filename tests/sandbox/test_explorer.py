"""What people, tools and web pages of other origins get: Swagger UI, the contract, CORS; and bodies judged by it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tallyfy_async.sandbox import contract
from tallyfy_async.sandbox.problems import Invalid

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
PAGE = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}


def root(api: Api) -> str:
    return api.sandbox.url.removesuffix("/api")


async def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    page = await api.http.get(root(api) + "/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    for name in re.findall(r"(?:src|href)=\"(/[^\"]+)\"", page.text):
        asset = await api.http.get(root(api) + name)
        assert (asset.status_code, len(asset.content) > 500) == (200, True), name
    for name in ("../__init__.py", "%2e%2e%2f__init__.py", "__init__.py", "nope.js"):
        assert (await api.http.get(f"{root(api)}/_sandbox/ui/{name}")).status_code == 404
    assert api.sandbox.credentials.personal_token not in page.text


async def test_the_contract_is_served_with_what_the_sandbox_knows(api: Api) -> None:
    served = (await api.http.get(root(api) + "/openapi.json")).json()
    assert served["servers"] == [{"url": api.sandbox.url}]
    named = {
        details["operationId"]
        for entry in served["paths"].values()
        for details in entry.values()
        if isinstance(details, dict) and "operationId" in details
    }
    assert {"list_runs", "launch_run", "create_token"} <= named
    for path, entry in served["paths"].items():
        for method in entry.keys() & {"get", "put", "post", "patch", "delete"}:
            [server] = entry[method].get("servers", served["servers"])
            url = server["url"] + re.sub(r"\{\w+\}", "7", path)
            reply = await api.http.request(method, url, headers={"Accept": "application/json"})
            assert "ENDPOINT_NOT_FOUND" not in reply.text, (method, path)


async def test_web_pages_may_call_the_api(api: Api) -> None:
    wanted = {"Access-Control-Request-Headers": "authorization,content-type,x-tallyfy-client"}
    asked = await api.call("OPTIONS", "{org}/runs", headers={"Authorization": None, **PAGE, **wanted})
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "PUT" in asked.headers["access-control-allow-methods"]
    assert "x-tallyfy-client" in asked.headers["access-control-allow-headers"]
    reply = await api.call("GET", "/me", headers={"Origin": "https://app.example"})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")
    assert "Retry-After" in reply.headers["access-control-expose-headers"]


async def test_web_pages_may_not_read_the_sandbox_s_own_routes(api: Api) -> None:
    reply = await api.http.get(root(api) + "/_sandbox/stats", headers={"Origin": "https://app.example"})
    assert reply.status_code == 200
    assert "access-control-allow-origin" not in reply.headers
    asked = await api.http.options(root(api) + "/_sandbox/revoke", headers=PAGE)
    assert "access-control-allow-origin" not in asked.headers


@pytest.mark.parametrize(
    ("operation", "body", "errors"),
    [
        ("launch_run", {}, {"checklist_id": "The checklist id field is required."}),
        ("launch_run", {"checklist_id": None}, {"checklist_id": "The checklist id field is required."}),
        ("launch_run", {"checklist_id": 7}, {"checklist_id": "The checklist id must be a string."}),
        (
            "launch_run",
            {"checklist_id": "c", "starred": "x"},
            {"starred": "The starred field must be true or false."},
        ),
        ("launch_run", {"checklist_id": "c", "users": 7}, {"users": "The users must be an array."}),
        ("launch_run", {"checklist_id": "c", "prerun": [], "users": {}, "name": None, "unknown": 1}, None),
        ("get_run", {"anything": 1}, None),
    ],
)
def test_bodies_are_judged_as_laravel_does(operation: str, body: Any, errors: dict[str, str] | None) -> None:
    if errors is None:
        contract.check_body(operation, body)
        return
    with pytest.raises(Invalid) as caught:
        contract.check_body(operation, body)
    assert caught.value.errors == {name: [message] for name, message in errors.items()}
