from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio


async def walk(api: Api, path: str, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    page = pages = 1
    while page <= pages:
        reply = await api.get(path, page=page, **params)
        meta = reply["meta"]["pagination"]
        assert (meta["current_page"], meta["count"]) == (page, len(reply["data"]))
        rows += reply["data"]
        page, pages = page + 1, meta["total_pages"]
    assert len(rows) == meta["total"]
    return rows


async def test_every_run_and_task_is_listed_once(api: Api) -> None:
    truth = api.sandbox.truth()
    runs = await walk(api, "{org}/runs", per_page=7, archived="true")
    tasks = await walk(api, "{org}/tasks", per_page=100, archived="true")
    assert [row["id"] for row in runs] == truth["runs"]
    assert [row["id"] for row in tasks] == truth["tasks"]
    live = await walk(api, "{org}/runs", per_page=100)
    assert {r["id"] for r in live} == set(truth["runs"]) - set(truth["archived_runs"])
    only = await walk(api, "{org}/tasks", per_page=100, archived="only")
    assert {r["id"] for r in only} == set(truth["archived_tasks"])
    by_run = [t["id"] for run in runs for t in await walk(api, f"{{org}}/runs/{run['id']}/tasks", per_page=100)]
    oneoff = [t["id"] for t in tasks if t["run_id"] is None]
    assert sorted(by_run + oneoff) == sorted(truth["tasks"])


async def test_both_base_styles(api: Api) -> None:
    root = api.sandbox.url.removesuffix("/api")
    headers = {"Authorization": f"Bearer {api.token}", "X-Tallyfy-Client": "n8n"}
    assert (await api.http.get(f"{root}/me", headers=headers)).json() == await api.get("/me")


@pytest.mark.parametrize(
    ("path", "default", "most"),
    [("{org}/runs", 10, 100), ("{org}/tasks", 10, 100), ("{org}/checklists", 10, 100), ("{org}/users", 9999, 9999)],
)
async def test_page_sizes(api: Api, path: str, default: int, most: int) -> None:
    assert (await api.get(path))["meta"]["pagination"]["per_page"] == default
    assert (await api.get(path, per_page=100_000))["meta"]["pagination"]["per_page"] == most
    for nonsense in ("0", "-1", "abc", "²"):
        assert (await api.get(path, per_page=nonsense))["meta"]["pagination"]["per_page"] == default
    assert (await api.get(path, limit=1))["meta"]["pagination"]["per_page"] == default


async def test_page_past_the_end_is_empty(api: Api) -> None:
    reply = await api.get("{org}/runs", page=99)
    assert reply["data"] == []
    assert reply["meta"]["pagination"]["current_page"] == 99


async def test_page_size_is_a_setting(make: Callable[..., Api]) -> None:
    api = make(page_sizes={"list_users": (3, 5)})
    assert len((await api.get("{org}/users"))["data"]) == 3
    assert len((await api.get("{org}/users", per_page=50))["data"]) == 5


async def test_links_lead_from_page_to_page(api: Api) -> None:
    first = await api.get("{org}/runs", per_page=9, sort="-created_at")
    links = first["meta"]["pagination"]["links"]
    assert set(links) == {"next"}
    headers = {"Authorization": f"Bearer {api.token}", "X-Tallyfy-Client": "x"}
    second = (await api.http.get(links["next"], headers=headers)).json()
    assert second["meta"]["pagination"]["current_page"] == 2
    assert "previous" in second["meta"]["pagination"]["links"]
    assert not {r["id"] for r in first["data"]} & {r["id"] for r in second["data"]}


async def test_link_spells_blanks_as_percent_20(api: Api) -> None:
    reply = await api.call("GET", "{org}/tasks?sort=a%20b%26&per_page=1")
    assert "?sort=a%20b%26&per_page=1&page=2" in reply.json()["meta"]["pagination"]["links"]["next"]


async def test_plus_is_a_plus(api: Api) -> None:
    run = next(r for r in api.tenant.runs.values() if r.archived_at is None)
    run.name = "one two"
    api.tenant.changed()
    blank = (await api.call("GET", "{org}/runs?q=one%20two")).json()["meta"]["pagination"]["total"]
    plus = (await api.call("GET", "{org}/runs?q=one+two")).json()["meta"]["pagination"]["total"]
    assert (blank, plus) == (1, 0)


@pytest.mark.parametrize(
    ("style", "expected"),
    [("auto", []), ("list", []), ("map", {}), ("null", None), ("missing", "absent"), ("prev", [])],
)
async def test_links_styles_on_a_single_page(make: Callable[..., Api], style: str, expected: Any) -> None:
    meta = (await make(links_style=style).get("{org}/users"))["meta"]["pagination"]
    assert meta.get("links", "absent") == expected


async def test_prev_spelling(make: Callable[..., Api]) -> None:
    meta = (await make(links_style="prev").get("{org}/users", per_page=5, page=2))["meta"]["pagination"]
    assert set(meta["links"]) == {"prev", "next"}


async def test_without_pagination_drops_meta(api: Api) -> None:
    reply = await api.get("{org}/tasks", without_pagination="true")
    assert set(reply) == {"data"}
    assert len(reply["data"]) == len(api.sandbox.truth()["tasks"]) - len(api.sandbox.truth()["archived_tasks"])
    assert "meta" in await api.get("{org}/checklists", without_pagination="true")


@pytest.mark.parametrize(
    ("spelling", "pattern"),
    [
        ("Z", r"T\d\d:\d\d:\d\dZ$"),
        ("millis", r"\.000Z$"),
        ("micros", r"\.000000Z$"),
        ("offset", r":\d\d\+00:00$"),
        ("space", r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"),
    ],
)
async def test_date_spellings(make: Callable[..., Api], spelling: str, pattern: str) -> None:
    api = make(date_spelling=spelling)
    for path in ("{org}/runs", "{org}/tasks", "{org}/users", "{org}/checklists"):
        row = (await api.get(path))["data"][0]
        assert re.search(pattern, row["created_at"]), path


async def test_default_spellings_differ_by_record(api: Api) -> None:
    assert (await api.get("{org}/runs"))["data"][0]["created_at"].endswith(".000Z")
    assert re.search(r":\d\dZ$", (await api.get("{org}/tasks"))["data"][0]["created_at"])
    assert (await api.get("/me"))["data"]["created_at"].endswith("+00:00")


async def test_me_and_organizations(api: Api) -> None:
    me = (await api.get("/me"))["data"]
    assert (me["email"], me["role"]) == (api.sandbox.credentials.username, "Admin")
    assert (await api.get("{org}/me"))["data"]["id"] == me["id"]
    rows = (await api.get("/me/organizations"))["data"]
    assert [row["id"] for row in rows] == list(api.sandbox.world.tenants)
    assert (rows[0]["user_role"], rows[0]["user_status"]) == ("admin", "active")
    assert rows[0]["settings"] == rows[0]["team_size"] == []
    active = [m for m in api.tenant.members.values() if m.status == "active"]
    assert rows[0]["users_count"] == len(active)


async def test_members_in_php_dress(api: Api) -> None:
    rows = (await api.get("{org}/users"))["data"]
    flags = {repr(row["is_active"]) for row in rows if row["status"] == "active"}
    assert flags == {"True", "1", "'1'"}
    invited = next(row for row in rows if row["status"] == "invited")
    assert invited["username"] is invited["type"] is invited["activated_at"] is None
    assert invited["approved_at"] is not None


async def test_member_filters_and_includes(api: Api) -> None:
    rows = (await api.get("{org}/users", q="HOPPER"))["data"]
    assert [row["last_name"] for row in rows] == ["Hopper"]
    ids = [row["id"] for row in (await api.get("{org}/users", sort="-id"))["data"]]
    assert ids == sorted(ids, reverse=True)
    row = (await api.get("{org}/users/1001", **{"with": "groups,stats,country,nonsense"}))["data"]
    assert set(row["stats"]["data"]) >= {"tasks_completed", "processes_launched"}
    assert isinstance(row["groups"]["data"], list)
    assert (row["country"]["data"]["id"], row["country"]["data"]["iso2"]) == (row["country_id"], "IN")
    assert "nonsense" not in row


async def test_one_member_is_for_administrators(api: Api) -> None:
    standard = next(m for m in api.tenant.members.values() if m.role == "Standard" and m.status == "active")
    api.token = (await api.login(username=standard.user.email)).json()["access_token"]
    assert (await api.call("GET", "{org}/users/1001")).status_code == 403
    assert (await api.call("GET", "{org}/users")).status_code == 200


async def test_checklists_pinned_first_then_updated(api: Api) -> None:
    rows = (await api.get("{org}/checklists", per_page=100))["data"]
    assert [row["is_pinned"] for row in rows] == sorted((row["is_pinned"] for row in rows), reverse=True)
    rest = [row["last_updated"] for row in rows if not row["is_pinned"]]
    assert rest == sorted(rest)
    backwards = (await api.get("{org}/checklists", per_page=100, sort_by="-updated"))["data"]
    assert [r["last_updated"] for r in backwards if not r["is_pinned"]] == rest[::-1]


async def test_checklist_includes_are_wrapped_and_inlined_keys_bare(api: Api) -> None:
    listed = (await api.get("{org}/checklists"))["data"][0]
    assert "steps" not in listed
    row = (await api.get(f"{{org}}/checklists/{listed['id']}", **{"with": "steps,tags,prerun"}))["data"]
    assert isinstance(row["prerun"], list)
    assert len(row["steps"]["data"]) == row["steps_count"]
    assert [step["position"] for step in row["steps"]["data"]] == list(range(1, row["steps_count"] + 1))
    assert isinstance(row["tags"]["data"], list)
    assert any(step["deadline"] == [] for step in row["steps"]["data"])


async def test_archived_checklist_reads_like_an_unknown_one(api: Api) -> None:
    row = next(iter(api.tenant.checklists.values()))
    row.archived_at = 1
    reply = await api.call("GET", f"{{org}}/checklists/{row.id}")
    assert (reply.status_code, reply.json()["code"]) == (404, "RESOURCE_NOT_FOUND")
    only = (await api.get("{org}/checklists", archived="only"))["data"]
    assert [r["id"] for r in only] == [row.id]
    assert row.id not in {r["id"] for r in (await api.get("{org}/checklists", per_page=100))["data"]}
    assert row.id in {r["id"] for r in (await api.get("{org}/checklists", per_page=100, archived="yes"))["data"]}


@pytest.mark.parametrize(
    ("params", "test"),
    [
        ({"status": "complete"}, lambda r: r["status"] == "complete"),
        ({"status": "problem"}, lambda r: r["status"] in {"problem", "issue"}),
        ({"starred": "true"}, lambda r: r["starred"]),
        ({"status": "starred"}, lambda r: r["starred"]),
        ({"type": "form"}, lambda r: r["type"] == "form"),
        ({"status": "delayed"}, lambda r: r["late_tasks"] > 0),
        ({"untagged": "true"}, None),
        ({"task_status": "completed"}, lambda r: r["progress"]["complete"] > 0),
        ({"archived": "only"}, lambda r: r["status"] == "archived" and r["archived_at"]),
        ({"q": "globex"}, lambda r: "Globex" in r["name"]),
    ],
)
async def test_run_filters(make: Callable[..., Api], params: dict[str, str], test: Any) -> None:
    api = make(runs=60, tasks=600)
    every = (await api.get("{org}/runs", without_pagination="true", archived="true"))["data"]
    wide = params if "archived" in params else {**params, "archived": "true"}
    found = (await api.get("{org}/runs", without_pagination="true", **wide))["data"]
    assert 0 < len(found) < len(every)
    if test is not None and params != {"status": "delayed"}:
        words = {
            r["id"]
            for r in every
            if test(r) and (params.get("status") in {None, "starred"} or r["status"] != "archived")
        }
        live = {r["id"] for r in found if params.get("status") in {None, "starred"} or r["status"] != "archived"}
        assert live == words
    assert all(test(r) or r["status"] == "archived" for r in found) if test else True


async def test_run_filters_by_relation(api: Api) -> None:
    run = next(r for r in api.tenant.runs.values() if r.archived_at is None and r.task_ids)
    owner = api.tenant.tasks_of(run)[0].users[0]
    for name, value in (
        ("checklist_id", run.checklist_id),
        ("blueprint_id", run.checklist_id),
        ("owners", f"{owner},1"),
    ):
        ids = {row["id"] for row in (await api.get("{org}/runs", per_page=100, **{name: value}))["data"]}
        assert run.id in ids, name
    none = await api.get("{org}/runs", owners="99999")
    assert none["data"] == []
    assert none["meta"]["pagination"]["total_pages"] == 1


async def test_unknown_status_words_are_refused(api: Api) -> None:
    for path in ("{org}/runs", "{org}/tasks", "{org}/me/tasks"):
        reply = await api.call("GET", path, params={"status": "nonsense"})
        assert (reply.status_code, list(reply.json()["errors"])) == (422, ["status"])
    assert (await api.get("{org}/runs", status="archived"))["data"] == []


async def test_run_order(api: Api) -> None:
    names = [row["name"] for row in (await api.get("{org}/runs", per_page=100, sort="name"))["data"]]
    assert names == sorted(names, key=str.casefold)
    dates = [row["created_at"] for row in (await api.get("{org}/runs", per_page=100, sort_by="-created_at"))["data"]]
    assert dates == sorted(dates, reverse=True)


async def test_run_includes(api: Api) -> None:
    run = next(r for r in api.tenant.runs.values() if r.status == "active" and r.archived_at is None)
    words = "checklist,tasks,tasks.form_fields,tags,next_task,tasks_meta,ko_form_fields,form_fields,assets"
    row = (await api.get(f"{{org}}/runs/{run.id}", **{"with": words}))["data"]
    assert row["checklist"]["data"]["id"] == run.checklist_id
    assert [task["id"] for task in row["tasks"]["data"]] == [t.id for t in api.tenant.tasks_of(run)]
    assert all("data" in task["form_fields"] for task in row["tasks"]["data"])
    upcoming = [t for t in api.tenant.tasks_of(run) if t.is_open]
    assert row["next_task"]["data"][0]["id"] == min(upcoming, key=lambda t: t.deadline).id
    assert row["tasks_meta"]["data"] == row["progress"]
    assert {f["id"]: f["field_value"] for f in row["ko_form_fields"]["data"] if f["field_value"]} == run.prerun
    assert row["assets"] == {"data": []}


async def test_progress_leaves_hidden_tasks_out(api: Api) -> None:
    hidden = next(t for t in api.tenant.tasks.values() if t.status == "auto-skipped")
    run = api.tenant.runs[hidden.run_id]
    row = (await api.get(f"{{org}}/runs/{run.id}"))["data"]
    visible = [t for t in api.tenant.tasks_of(run) if t.status != "auto-skipped"]
    assert row["progress"]["total"] == len(visible) < len(run.task_ids)
    listed = (await api.get(f"{{org}}/runs/{run.id}/tasks", per_page=100))["data"]
    assert "auto-skipped" in {task["status"] for task in listed}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("{org}/templates", "ENDPOINT_NOT_FOUND"),
        ("/organization", "ENDPOINT_NOT_FOUND"),
        ("/", "ENDPOINT_NOT_FOUND"),
        ("{org}/runs//tasks", "ENDPOINT_NOT_FOUND"),
        ("{org}/runs/nope", "RESOURCE_NOT_FOUND"),
        ("{org}/tasks/%2F..%2Fx", "RESOURCE_NOT_FOUND"),
        ("{org}/users/99", "RESOURCE_NOT_FOUND"),
        ("{org}/users/me", "RESOURCE_NOT_FOUND"),
        ("{org}/checklists/0", "RESOURCE_NOT_FOUND"),
    ],
)
async def test_not_found(api: Api, path: str, code: str) -> None:
    reply = await api.call("GET", path)
    assert (reply.status_code, reply.json()["code"], reply.json()["error"]) == (404, code, True)


async def test_not_found_is_a_page_for_those_who_do_not_ask_for_json(api: Api) -> None:
    reply = await api.call("GET", "{org}/nope", headers={"Accept": "*/*"})
    assert reply.status_code == 404
    assert reply.headers["content-type"].startswith("text/html")


async def test_wrong_method_names_the_right_ones(api: Api) -> None:
    reply = await api.call("PATCH", "{org}/runs")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, POST")


async def test_every_reply_has_a_request_id_and_no_cookie(api: Api) -> None:
    replies = [await api.call("GET", path) for path in ("/me", "/nope", "{org}/runs")]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 3
    assert all("set-cookie" not in reply.headers for reply in replies)


async def test_burst_limit_per_user(make: Callable[..., Api], clock: Any) -> None:
    api = make(rate_limit_per_minute=3)
    left = [(await api.call("GET", "/me")).headers["x-ratelimit-remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    clock.now += 20
    reply = await api.call("GET", "/me")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "40")
    assert reply.json() == {"message": "Too Many Attempts."}
    api.sandbox.configure(rate_limit_code=True)
    assert (await api.call("GET", "/me")).json()["code"] == "RATE_LIMIT_EXCEEDED"
    other = next(m for m in api.tenant.members.values() if m.status == "active" and not m.default_admin)
    token = (await api.login(username=other.user.email)).json()["access_token"]
    assert await api.use(token) == 200
    clock.now += 41
    assert await api.use(api.token) == 200
