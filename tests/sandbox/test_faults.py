from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tallyfy_async.sandbox import UNSET, Fault, Faults
from tallyfy_async.sandbox.faults import parse

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio


async def statuses(api: Api, path: str, times: int) -> list[int]:
    return [(await api.call("GET", path)).status_code for _ in range(times)]


async def test_after_and_times(api: Api) -> None:
    api.sandbox.faults.add(Fault(operation="get_me", after=1, times=2, status=503))
    assert await statuses(api, "/me", 5) == [200, 503, 503, 200, 200]
    assert api.sandbox.faults.struck == 2
    assert api.sandbox.faults.remaining()[0]["struck"] == 2


async def test_for_ever_and_clear(api: Api) -> None:
    api.sandbox.faults.add(Fault(path="/me", times=None, status=500))
    assert await statuses(api, "/me", 3) == [500, 500, 500]
    api.sandbox.faults.clear()
    assert await statuses(api, "/me", 1) == [200]


async def test_matching(api: Api) -> None:
    org = api.sandbox.credentials.organization
    api.sandbox.faults.add(Fault(method="post", times=None, status=418))
    assert (await api.login()).status_code == 418
    assert await statuses(api, "/me", 1) == [200]
    api.sandbox.faults.clear()
    api.sandbox.faults.add(Fault(path=f"^/organizations/{org}/runs$", times=None, status=418))
    assert await statuses(api, "{org}/runs", 1) == [418]
    assert await statuses(api, "{org}/tasks", 1) == [200]
    api.sandbox.faults.clear()
    api.sandbox.faults.add(Fault(path="/nowhere", times=None, status=418))
    assert await statuses(api, "/nowhere/at/all", 1) == [418]


async def test_first_of_the_script_wins_and_spent_ones_step_aside(api: Api) -> None:
    api.sandbox.faults.add(Fault(path="/me", status=500), Fault(path="/me", status=502), Fault(path="/me", status=503))
    assert await statuses(api, "/me", 4) == [500, 502, 503, 200]


async def test_bodies_and_headers(api: Api) -> None:
    api.sandbox.faults.add(
        Fault(status=429, headers={"Retry-After": "7"}),
        Fault(status=502, body="<html>Bad gateway</html>"),
        Fault(body=b'{"half": ', content_type="application/json"),
        Fault(status=404, body={"error": {"code": "X"}}),
        Fault(headers={"X-More": "1"}),
    )
    replies = [await api.call("GET", "/me") for _ in range(5)]
    assert [reply.status_code for reply in replies] == [429, 502, 200, 404, 200]
    assert replies[0].headers["retry-after"] == "7"
    assert "message" in replies[0].json()
    assert replies[1].headers["content-type"].startswith("text/html")
    assert replies[2].content == b'{"half": '
    assert replies[3].json() == {"error": {"code": "X"}}
    assert replies[4].headers["x-more"] == "1"
    assert replies[4].json()["data"]["id"] == 1001


@pytest.mark.parametrize(("stage", "launched"), [("before", 0), ("after", 1)])
async def test_stage_decides_about_the_effect(api: Api, stage: Any, launched: int) -> None:
    checklist = next(c for c in api.tenant.checklists.values() if not any(f.required for f in c.prerun))
    api.sandbox.faults.add(Fault(operation="launch_run", status=503, stage=stage))
    reply = await api.call("POST", "{org}/runs", json={"checklist_id": checklist.id})
    assert (reply.status_code, api.sandbox.world.launched) == (503, launched)


async def test_lost_reply_spends_the_refresh_token(api: Api) -> None:
    old = (await api.login()).json()["refresh_token"]
    api.sandbox.faults.add(Fault(operation="create_token", status=502, stage="after"))
    assert (await api.refresh(old)).status_code == 502
    assert (await api.refresh(old)).status_code == 400
    assert (api.sandbox.stats.reuses, api.sandbox.token_lives) == (1, 2)
    assert dict(api.sandbox.stats.token_requests["refresh_token"]) == {"502": 1, "invalid_grant": 1}


async def test_patch_of_token_replies(api: Api) -> None:
    api.sandbox.faults.add(
        Fault(operation="create_token", patch={"expires_in": "3600", "refresh_token": UNSET, "extra": {"a": None}}),
        Fault(operation="create_token", patch={"expires_in": float("nan"), "token_type": "bearer"}),
    )
    first = (await api.login()).json()
    assert (first["expires_in"], first["extra"]) == ("3600", {"a": None})
    assert "refresh_token" not in first
    second = await api.login()
    assert '"expires_in":NaN' in second.text
    assert await api.use(first["access_token"]) == 200


async def test_patch_goes_deep(api: Api) -> None:
    api.sandbox.faults.add(Fault(operation="list_runs", patch={"meta": {"pagination": {"total": 1, "count": UNSET}}}))
    meta = (await api.get("{org}/runs"))["meta"]["pagination"]
    assert meta["total"] == 1
    assert "count" not in meta
    assert meta["per_page"] == 10


async def test_revoke_kills_the_presented_token(api: Api) -> None:
    tokens = (await api.login()).json()
    api.sandbox.faults.add(Fault(operation="get_me", revoke=True))
    assert await api.use(tokens["access_token"]) == 401
    assert await api.use(tokens["access_token"]) == 401
    fresh = (await api.refresh(tokens["refresh_token"])).json()
    assert await api.use(fresh["access_token"]) == 200


async def test_delays_run_before_and_after_the_effect(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, int]] = []

    async def nap(seconds: float) -> None:
        seen.append((seconds, api.sandbox.token_lives))

    monkeypatch.setattr(anyio, "sleep", nap)
    api.sandbox.faults.add(Fault(operation="create_token", delay=5, delay_after=7))
    assert (await api.login()).status_code == 200
    assert seen == [(5, 0), (7, 1)]


async def test_cancelled_before_the_effect_or_after_it(api: Api) -> None:
    for fault, lives in ((Fault(delay=60), 0), (Fault(delay_after=60), 1)):
        api.sandbox.faults.add(fault)
        with anyio.move_on_after(0.05) as scope:
            await api.login()
        assert scope.cancelled_caught
        assert api.sandbox.token_lives == lives
        assert api.sandbox.stats.concurrency == 0


async def test_probability_is_reproducible() -> None:
    def run(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add(Fault(times=None, probability=0.3, status=500))
        return [faults.pick("GET", "/x", None, "x") is not None for _ in range(200)]

    assert run(1) == run(1) != run(2)
    assert 30 < sum(run(1)) < 90


@pytest.mark.parametrize("name", ["some", "many"])
def test_weather_spares_logins_and_writes_and_lets_retries_through(name: Any) -> None:
    faults = Faults(3)
    faults.profile(name)
    assert all(faults.pick("POST", "/oauth/token", "create_token", "t") is None for _ in range(500))
    assert all(faults.pick("GET", "/me", "get_me", "m") is None for _ in range(500))
    writes = [faults.pick("POST", "/organizations/o/runs", "launch_run", f"w{n}") for n in range(2000)]
    assert {fault.status for fault in writes if fault} == {429}
    seen: Counter[int] = Counter()
    for number in range(3000):
        tries = 0
        while (fault := faults.pick("GET", "/organizations/o/tasks", "list_tasks", f"p{number}")) is not None:
            seen[fault.status or 0] += 1
            tries += 1
        assert tries <= 2
    assert seen[429] > 20
    assert seen[503] > 20
    faults.profile("none")
    assert all(faults.pick("GET", "/organizations/o/tasks", "list_tasks", "p") is None for _ in range(500))


def test_script_in_json() -> None:
    (fault,) = parse(b'[{"operation": "create_token", "times": null, "patch": {"a": {"$unset": true}, "b": null}}]')
    assert fault == Fault(operation="create_token", times=None, patch={"a": UNSET, "b": None})
    assert repr(fault.patch["a"]) == "UNSET"


@pytest.mark.parametrize("text", [b"{}", b"[1]", b'[{"statuss": 1}]', b"no json"])
def test_broken_scripts_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"list|object|statuss|Expecting"):
        parse(text)


async def test_control_routes(api: Api) -> None:
    root = api.sandbox.url.removesuffix("/api") + "/_sandbox"

    async def control(method: str, name: str, body: Any = None) -> Any:
        reply = await api.http.request(method, f"{root}/{name}", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    await control("POST", "faults", [{"operation": "get_me", "status": 503}])
    assert await statuses(api, "/me", 2) == [503, 200]
    assert (await control("GET", "faults"))[0]["struck"] == 1
    assert await control("DELETE", "faults") == []
    assert await control("POST", "profile", {"profile": "many"}) == {"profile": "many"}
    assert await control("POST", "profile", {"profile": "none"}) == {"profile": "none"}
    await control("POST", "token-life", {"access_life": 9})
    tokens = (await api.login()).json()
    assert tokens["expires_in"] == 9
    truth = await control("GET", "truth")
    assert truth == api.sandbox.truth()
    other = next(t for t in api.sandbox.world.tenants if t != truth["organization"])
    assert (await control("GET", f"truth?organization={other}"))["runs"] == []
    stats = await control("GET", "stats")
    assert stats["by_operation"] == {"get_me": 2, "create_token": 1}
    assert stats["by_status"] == {"503": 1, "200": 2}
    assert (stats["token_lives"], stats["lives_used"], stats["faults"]) == (1, 0, 1)
    assert (await control("DELETE", "stats"))["requests"] == 0
    assert await control("POST", "revoke", {"access_token": tokens["access_token"]}) == {"revoked": 1}
    assert await api.use(tokens["access_token"]) == 401
    fresh = (await api.login()).json()["access_token"]
    assert await control("POST", "logout", {}) == {"revoked": 1}
    assert (await api.use(api.token), await api.use(fresh)) == (401, 200)
    personal = (await control("POST", "personal-token", {}))["personal_token"]
    assert await api.use(personal) == 200
    assert (await control("POST", "revoke", {}))["revoked"] == 2
    assert (await api.use(personal), await api.use(fresh)) == (401, 401)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("faults", {"no": "list"}),
        ("profile", {"profile": "storm"}),
        ("settings", {"nonsense": 1}),
        ("settings", {"league": 7}),
        ("logout", {"username": "nobody"}),
        ("revoke", {"access_token": "x"}),
    ],
)
async def test_bad_control_requests(api: Api, name: str, body: Any) -> None:
    reply = await api.http.post(api.sandbox.url.removesuffix("/api") + f"/_sandbox/{name}", json=body)
    assert reply.status_code == 400
    assert reply.json()["message"]


async def test_unknown_control_route_tells_the_known_ones(api: Api) -> None:
    reply = await api.http.get(api.sandbox.url.removesuffix("/api") + "/_sandbox/nope")
    assert reply.status_code == 404
    assert "GET /_sandbox/truth" in reply.json()["known"]
    assert api.sandbox.stats.requests == 0


async def test_recording_is_off_unless_asked(make: Callable[..., Api]) -> None:
    quiet, loud = make(), make(record=True)
    for api in (quiet, loud):
        await api.call("GET", "/me?x=1", headers={"X-Mine": "yes"})
    assert quiet.sandbox.stats.received == []
    (received,) = loud.sandbox.stats.received
    assert (received.method, received.path, received.operation) == ("GET", "/api/me", "get_me")
    assert (received.query, received.headers["x-mine"]) == ({"x": "1"}, "yes")
    assert loud.token not in repr(received)


async def test_concurrency_is_counted(api: Api) -> None:
    api.sandbox.faults.add(Fault(times=None, delay=0.05))
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(api.call, "GET", "/me")
    assert (api.sandbox.stats.max_concurrency, api.sandbox.stats.concurrency) == (5, 0)
