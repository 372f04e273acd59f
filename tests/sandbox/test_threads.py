from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tallyfy_async.sandbox.views.lens import Lens
from tallyfy_async.sandbox.views.threads import threads as view

from .steps import finish, launch, refused, tasks_of

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio


async def say(api: Api, path: str, **body: Any) -> dict[str, Any]:
    reply = await api.call("POST", path, json={"content": "Hm."} | body)
    assert reply.status_code in {200, 201}, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def test_comments_are_hidden_from_guests_unless_told(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    path = f"{{org}}/tasks/{task.id}/comment"
    hidden = await say(api, path)
    shown = await say(api, path, state="open", label="advice")
    assert (hidden["state"], hidden["label"], hidden["author_id"]) == ("hide-for-guests", "comment", 1001)
    rows = (await api.get(f"{{org}}/tasks/{task.id}?with=threads,threads_count"))["data"]
    assert [row["id"] for row in rows["threads"]["data"]] == [hidden["id"], shown["id"]]
    assert rows["threads_count"] == 2
    lens = Lens(tenant=api.tenant, settings=api.sandbox.settings, now=0, for_guests=True)
    assert [row["id"] for row in view(lens, task.id)] == [shown["id"]]


async def test_mentions_live_in_the_content(api: Api) -> None:
    path = f"{{org}}/tasks/{tasks_of(api, await launch(api))[0].id}/comment"
    name = api.tenant.members[1002].user.full_name
    row = await say(api, path, content="@[1002] ask @[99] and @[1002], not @1003", sent_to=[1003])
    assert row["content"] == f"<strong>{name}</strong> ask @[99] and <strong>{name}</strong>, not @1003"
    assert row["sent_to"] == [1002]
    quiet = await say(api, path.replace("/comment", "/bot-comment"), content="@[1002]")
    assert (quiet["sent_to"], quiet["author_type"]) == ([], "bot")


async def test_an_issue_blocks_its_task_until_it_is_resolved(api: Api) -> None:
    run = await launch(api)
    task = next(t for t in tasks_of(api, run) if t.task_type == "task")
    path = f"{{org}}/tasks/{task.id}"
    first, second = [await say(api, f"{path}/problem", content="Broken") for _ in range(2)]
    assert first["label"] == "problem"
    assert (await api.get(f"{{org}}/runs/{run['id']}"))["data"]["status"] == "problem"
    row = (await api.get(f"{path}?with=issues"))["data"]
    assert (row["problem"], row["is_completable"], row["run_status"]) == (True, False, "problem")
    assert [issue["id"] for issue in row["issues"]["data"]] == [first["id"], second["id"]]
    assert (await finish(api, task)).status_code == 422
    await say(api, f"{path}/comment", label="resolve")
    assert task.problem
    solution = await say(api, f"{path}/resolved-threads", thread_id=first["id"], content="Glued")
    assert solution["label"] == "resolve"
    assert task.problem
    await say(api, f"{path}/resolved-threads", thread_id=second["id"])
    rows = (await api.get(f"{path}?with=threads"))["data"]
    assert not rows["problem"]
    assert rows["threads"]["data"][0]["resolve_id"] == solution["id"]
    assert (await api.get(f"{{org}}/runs/{run['id']}"))["data"]["status"] == "active"
    assert (await finish(api, task)).status_code == 200


async def test_an_issue_reopens_a_completed_task(api: Api) -> None:
    task = next(t for t in tasks_of(api, await launch(api)) if t.task_type == "task")
    await finish(api, task)
    await say(api, f"{{org}}/tasks/{task.id}/problem")
    assert (task.status, task.completed_at, task.problem) == ("in-progress", None, True)


async def test_an_issue_of_a_run_freezes_its_tasks(api: Api) -> None:
    run = await launch(api)
    path, task = f"{{org}}/runs/{run['id']}", tasks_of(api, run)[0]
    issue = await say(api, f"{path}/problem", content="Stop everything")
    row = (await api.get(path))["data"]
    assert (row["status"], row["has_open_issue"]) == ("issue", True)
    for word in ("problem", "issue"):
        found = (await api.get("{org}/runs", status=word, without_pagination="true"))["data"]
        assert run["id"] in {row["id"] for row in found}
    assert list(await refused(api, "PUT", f"{path}/tasks/{task.id}", {"title": "x"})) == ["run"]
    assert (await finish(api, task)).status_code == 422
    await say(api, f"{path}/resolved-threads", thread_id=issue["id"])
    row = (await api.get(path))["data"]
    assert (row["status"], row["has_open_issue"]) == ("active", False)
    assert (await finish(api, task)).status_code == 200


async def test_a_complete_run_is_complete_again_after_its_issue(api: Api) -> None:
    run = await launch(api)
    for task in tasks_of(api, run):
        assert (await finish(api, task)).status_code == 200
    path, row = f"{{org}}/runs/{run['id']}", api.tenant.runs[run["id"]]
    assert row.status == "complete"
    issue = await say(api, f"{path}/problem")
    assert row.status == "issue"
    await say(api, f"{path}/resolved-threads", thread_id=issue["id"])
    assert row.status == "complete"


async def test_edit_and_delete(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    path = f"{{org}}/tasks/{task.id}/comment"
    row = await say(api, path, state="open")
    changed = (await api.call("PUT", f"{path}/{row['id']}", json={"content": "Oh."})).json()["data"]
    assert (changed["content"], changed["state"]) == ("Oh.", "open")
    await api.call("PUT", f"{path}/{row['id']}", json={"content": "Oh.", "label": "problem"})
    assert task.problem
    assert (await api.call("DELETE", f"{path}/{row['id']}")).status_code == 200
    assert not task.problem
    assert (await api.get(f"{{org}}/tasks/{task.id}?with=threads"))["data"]["threads"]["data"] == []
    await refused(api, "PUT", f"{path}/{row['id']}", {"content": "Gone"}, 404)
    await refused(api, "DELETE", f"{path}/{row['id']}", None, 404)


async def test_refusals(api: Api) -> None:
    run = await launch(api)
    task = tasks_of(api, run)[0]
    path = f"{{org}}/tasks/{task.id}"
    assert list(await refused(api, "POST", f"{path}/comment", {})) == ["content"]
    assert list(await refused(api, "POST", f"{path}/comment", {"content": "x", "state": "shut"})) == ["state"]
    assert list(await refused(api, "POST", f"{path}/comment", {"content": "x", "label": "praise"})) == ["label"]
    assert list(await refused(api, "POST", f"{path}/problem", {"content": ""})) == ["content"]
    issue = await say(api, f"{path}/problem")
    assert list(await refused(api, "POST", f"{path}/resolved-threads", {"thread_id": issue["id"]})) == ["content"]
    await refused(api, "POST", f"{path}/resolved-threads", {"thread_id": "nope", "content": "x"}, 404)
    await refused(api, "POST", "{org}/tasks/nope/comment", {"content": "x"}, 404)
    await say(api, f"{path}/resolved-threads", thread_id=issue["id"])
    again = {"thread_id": issue["id"], "content": "x"}
    assert list(await refused(api, "POST", f"{path}/resolved-threads", again)) == ["thread_id"]
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    await refused(api, "POST", f"{path}/comment", {"content": "x"}, 404)


async def test_hourly_caps(make: Callable[..., Api], clock: Clock) -> None:
    api = make(comments_per_hour=2, guest_invites_per_hour=1)
    run = await launch(api)
    path = f"{{org}}/tasks/{tasks_of(api, run)[0].id}/comment"
    invites = {"content": "@[eva@guest.org] and @[max@guest.org]"}
    reply = await api.call("POST", path, json=invites)
    assert reply.status_code == 429
    assert "Guest Invite" in reply.json()["message"]
    assert not {"eva@guest.org", "max@guest.org"} & set(api.tenant.guests)
    await say(api, path, content="@[Eva@guest.org]")
    assert "eva@guest.org" in api.tenant.guests
    clock.now += 60
    await say(api, f"{{org}}/checklists/{run['checklist_id']}/comment")
    reply = await api.call("POST", path, json={"content": "One too many"})
    assert (reply.status_code, reply.json()["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert reply.headers["Retry-After"] == "3540"
    clock.now += 3540
    await say(api, path, content="Once more, @[eva@guest.org]")


async def test_threads_go_with_their_run(api: Api) -> None:
    run = await launch(api)
    task = tasks_of(api, run)[0]
    await say(api, f"{{org}}/tasks/{task.id}/comment")
    await say(api, f"{{org}}/runs/{run['id']}/comment")
    rows = [*api.tenant.threads_of(task.id), *api.tenant.threads_of(run["id"])]
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    assert {row.archived_at for row in rows} == {api.tenant.runs[run["id"]].archived_at}
    await api.call("PUT", f"{{org}}/runs/{run['id']}/activate")
    assert {row.archived_at for row in rows} == {None}
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    await api.call("DELETE", f"{{org}}/runs/{run['id']}/delete")
    assert not api.tenant.threads_of(task.id)


async def test_the_feed_tells_of_comments_and_issues(api: Api) -> None:
    task = tasks_of(api, await launch(api))[0]
    issue = await say(api, f"{{org}}/tasks/{task.id}/problem", content="Broken")
    await say(api, f"{{org}}/tasks/{task.id}/resolved-threads", thread_id=issue["id"])
    told = [(entry.verb, entry.parent) for entry in api.tenant.activities[-2:]]
    assert told == [("issue-reported", ("task", task.id)), ("issue-resolved", ("task", task.id))]
