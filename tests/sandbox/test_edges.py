from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from tallyfy_async.sandbox import Fault

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio


async def test_lifespan_is_answered(api: Api) -> None:
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    await api.sandbox.app({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


async def test_other_protocols_are_refused(api: Api) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match="websocket"):
        await api.sandbox.app({"type": "websocket"}, never, never)


async def test_client_that_leaves_early_is_not_served(api: Api) -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/api/oauth/token", "headers": [], "query_string": b""}
    await api.sandbox.app(scope, receive, send)
    assert api.sandbox.stats.requests == 0


async def test_latency_delays_replies_and_not_effects(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    monkeypatch.setattr(anyio, "sleep", nap)
    api.sandbox.configure(latency=0.05)
    assert (await api.login()).status_code == 200
    assert await api.use(api.token) == 200
    assert naps == [0.05]


@pytest.mark.parametrize("header", ["Basic ###", "Basic " + "gICA", "Basic OnNlY3JldA=="])
async def test_broken_basic_authentication(make: Callable[..., Api], header: str) -> None:
    api = make(client_auth="headers")
    data = {"grant_type": "client_credentials"}
    reply = await api.http.post(api.sandbox.url + "/oauth/token", data=data, headers={"Authorization": header})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


async def test_refresh_without_a_token(api: Api) -> None:
    reply = await api.refresh("")
    assert (reply.status_code, reply.json()["hint"]) == (400, "Check the `refresh_token` parameter")


async def test_token_endpoint_is_for_post(api: Api) -> None:
    reply = await api.http.get(api.sandbox.url + "/oauth/token")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


async def test_session_of_a_disabled_member_ends(api: Api) -> None:
    token = (await api.login()).json()["access_token"]
    api.tenant.members[1001].status = "disabled"
    assert (await api.call("GET", "{org}/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_application_token_stays_out_of_organizations(api: Api) -> None:
    api.token = (await api.form(grant_type="client_credentials")).json()["access_token"]
    reply = await api.call("GET", "{org}/runs")
    assert (reply.status_code, reply.json()["message"]) == (401, "Unauthenticated.")


async def test_run_filters_by_tag_group_and_folder(api: Api) -> None:
    group = next(iter(api.tenant.groups))
    tag = next(iter(api.tenant.tags.values()))
    checklist = next(c for c in api.tenant.checklists.values() if not any(f.required for f in c.prerun))
    made = await api.call("POST", "{org}/folders", json={"name": "Engines", "folder_type": "run"})
    folder = made.json()["data"]["id"]
    body = {"checklist_id": checklist.id, "tags": [tag.id, "unknown"], "groups": [group], "folders": [folder, "f1"]}
    run = (await api.call("POST", "{org}/runs", json=body)).json()["data"]
    parent = {"checklist_id": checklist.id, "parent_id": run["id"]}
    child = (await api.call("POST", "{org}/runs", json=parent)).json()["data"]
    assert child["parent_id"] == run["id"]
    for params in ({"tag": tag.id}, {"tag_ids": f"{tag.id},x"}, {"groups": group}, {"folder": folder}):
        ids = {row["id"] for row in (await api.get("{org}/runs", without_pagination="true", **params))["data"]}
        assert run["id"] in ids, params
        assert child["id"] not in ids or params == {"groups": group}
    assert (await api.get(f"{{org}}/runs/{run['id']}?with=tags"))["data"]["tags"]["data"][0]["tag_id"] == tag.id
    tagged = await api.get("{org}/tasks", without_pagination="true", tag=tag.title)
    assert run["id"] in {row["run_id"] for row in tagged["data"]}


async def test_tasks_by_text_and_day_of_creation(api: Api) -> None:
    run = next(r for r in api.tenant.runs.values() if r.archived_at is None and r.task_ids)
    run.name = "Zanzibar"
    task = api.tenant.tasks_of(run)[0]
    task.title = "Quetzal"
    by_run = (await api.get("{org}/tasks", q="zanzibar", without_pagination="true"))["data"]
    assert {row["id"] for row in by_run} == set(run.task_ids)
    assert [row["id"] for row in (await api.get("{org}/tasks", q="QUETZAL"))["data"]] == [task.id]
    day = (await api.get(f"{{org}}/tasks/{task.id}"))["data"]["created_at"][:10]
    for created in (day, f"{day}:{day}", f"2000-01-01:{day}"):
        rows = (await api.get("{org}/tasks", created=created, without_pagination="true"))["data"]
        assert task.id in {row["id"] for row in rows}
    assert (await api.get("{org}/tasks", created="2000-01-01"))["data"] == []


async def test_links_of_a_page_come_back_to_the_same_host(api: Api) -> None:
    """A proxy or a port forward keeps its address: links are built from the Host that the client named."""
    reply = await api.call("GET", "{org}/runs", headers={"Host": "tallyfy.test:81"})
    assert reply.json()["meta"]["pagination"]["links"]["next"].startswith("http://tallyfy.test:81/api/organizations/")


async def test_same_sandbox_in_process_and_served_at_once(api: Api) -> None:
    with api.sandbox.serve():
        async with httpx.AsyncClient() as outside:
            headers = {"Authorization": f"Bearer {api.token}", "X-Tallyfy-Client": "x"}
            served = (await outside.get(f"{api.sandbox.url}/me", headers=headers)).json()
    assert served == await api.get("/me")


async def test_fault_on_a_reply_that_is_no_json_object(api: Api) -> None:
    api.sandbox.configure(refresh_path="cookie")
    api.sandbox.faults.add(Fault(operation="refresh_token", patch={"expires_in": 1}))
    assert (await api.form("/oauth/token/refresh")).text == "Refreshed."


async def test_runs_of_a_template_that_is_gone(api: Api) -> None:
    run = next(r for r in api.tenant.runs.values() if r.archived_at is None and r.task_ids)
    del api.tenant.checklists[run.checklist_id]
    row = (await api.get(f"{{org}}/runs/{run.id}?with=checklist,ko_form_fields,tasks"))["data"]
    assert row["checklist"] is None
    assert row["ko_form_fields"] == {"data": []}
    reply = await api.call("PUT", f"{{org}}/runs/{run.id}", json={"name": "still", "prerun": {"x": 1}})
    assert reply.json()["data"]["name"] == "still"
    assert (await api.get(f"{{org}}/tasks/{run.task_ids[0]}?with=step"))["data"]["step"] is None
