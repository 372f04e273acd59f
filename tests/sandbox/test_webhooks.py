"""Which webhooks the sandbox posts, to whom, and what they carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest

from tallyfy_async.sandbox.contract import document

from .receiver import Receiver, complete, kind, receiving, reopen, template
from .steps import launch
from .workflow import Workflow

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@cache
def validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    dialect = "https://json-schema.org/draft/2020-12/schema"
    components = document()["components"]
    wanted = {"$ref": f"#/components/schemas/{schema}"}
    return jsonschema_rs.Draft202012Validator({"$schema": dialect, "components": components, "allOf": [wanted]})


def conforms(body: Any) -> None:
    words = {"event": "WebhookOrganizationEvent", "this_task": "WebhookTaskPayload"}
    schema = next((name for key, name in words.items() if key in body), "WebhookProcessPayload")
    assert [str(error) for error in validator(schema).iter_errors(body)] == []
    described = document()["components"]["schemas"][schema]
    assert set(body) <= set(described["properties"]) or described.get("additionalProperties")


def test_the_validator_notices() -> None:
    assert not validator("WebhookTaskPayload").is_valid({"this_task": {"id": 7}})
    assert not validator("WebhookProcessPayload").is_valid({"id": "x"})


async def test_a_run_of_n_tasks_makes_n_plus_two_posts(api: Api, receiver: Receiver) -> None:
    titles = ["One", "Two", "Three"]
    checklist = await template(api, *titles, webhook=f"{receiver.url}/hook")
    run = await launch(api, checklist_id=checklist.id)
    for title in titles:
        await complete(api, run, title)
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched", "task One", "task Two", "task Three", "completed"]
    assert {post.path for post in receiver.posts} == {"/hook"}
    for post in receiver.posts:
        assert post.headers["X-Tallyfy-orgID"] == api.sandbox.credentials.organization
        assert post.headers["Content-Type"] == "application/json"
        conforms(post.body)
    last = receiver.bodies[-1]
    assert (last["status"], last["progress"], last["id"]) == ("complete", 100, run["id"])
    first = receiver.bodies[0]
    assert (first["status"], first["progress"], first["prerun_status"]) == ("in-progress", 0, "completed")
    deliveries = api.sandbox.webhooks.deliveries
    assert [one.number for one in deliveries] == [1, 2, 3, 4, 5]
    assert {(one.outcome, one.status, one.source) for one in deliveries} == {("sent", 200, "template")}
    assert [one.payload for one in deliveries] == receiver.bodies


async def test_every_payload_holds_what_came_before(api: Api, receiver: Receiver) -> None:
    flow = Workflow(api)
    await flow.build()
    api.tenant.checklists[flow.id].webhook = receiver.url
    await flow.launch(prerun={flow.ids["ko"]: "Yes"})
    await flow.answer(text="first", date="2026-12-01 10:00:00")
    await flow.complete("A")
    await flow.complete("B")
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched", "task A", "task B"]
    launched, first, second = receiver.bodies
    aliases = {field.label: field.alias for task in ("A",) for field in flow.task(task).captures}
    kickoff = next(f.alias for f in api.tenant.checklists[flow.id].prerun if f.label == "ko")
    assert launched["ko-form-fields"] == {kickoff: "Yes"}
    assert launched["prerun"] == {flow.ids["ko"]: "Yes"}
    seen = {kickoff: "Yes", aliases["text"]: "first", aliases["date"]: "2026-12-01T10:00:00Z"}
    assert first["form-fields"] == second["form-fields"] == seen
    given = first["this_task"]["captures"]
    assert given[flow.ids["text"]] == {"alias": aliases["text"], "label": "text", "value": "first"}
    assert given.keys() == {flow.ids["text"], flow.ids["date"]}
    assert first["process"]["process_forms"] == {flow.ids["A"]: given} == second["process"]["process_forms"]
    assert second["this_task"]["captures"] == []
    assert (first["next_task"]["title"], second["next_task"]["title"]) == ("B", "C")
    assert first["next_task"]["captures"] == []
    assert (
        first["completer"]["email"] == api.sandbox.credentials.username == first["this_task"]["completed_by"]["email"]
    )
    assert first["process-tasks"] == {flow.task(t).alias: flow.task(t).id for t in "ABCD"}
    assert first["template"]["id"] == flow.id
    assert first["process"]["organization_id"] == api.tenant.id
    for body in receiver.bodies:
        conforms(body)


async def test_guests_files_tags_groups_and_date_format(make: Callable[..., Api], receiver: Receiver) -> None:
    api = make(webhook_date_field_format="d/m/Y h:i A T")
    flow = Workflow(api)
    await flow.build()
    api.tenant.checklists[flow.id].webhook = receiver.url
    tag, group = next(iter(api.tenant.tags)), next(iter(api.tenant.groups))
    await flow.launch(tags=[tag], groups=[group], users=[api.tenant.members[1001].user.id])
    task = flow.task("A")
    path = f"{{org}}/runs/{flow.run['id']}/tasks/{task.id}"
    owners = {"users": [1001], "guests": ["eve@partner.org"], "groups": []}
    answers = {flow.ids["date"]: "2026-12-01T18:30:00Z"}
    reply = await api.call("PUT", path, json={"owners": owners, "taskdata": answers, "deadline": "2026-12-03 17:00:00"})
    assert reply.status_code == 200
    where = {"subject_id": flow.run["id"], "subject_type": "Run", "uploaded_from": flow.ids["file"]}
    file = {"name": ("a.pdf", b"%PDF-", "application/pdf")}
    uploaded = await api.call("POST", "{org}/file", data=where, files=file)
    assert uploaded.status_code in {200, 201}, uploaded.text
    await flow.complete("A")
    await api.sandbox.webhooks.settled()
    launched, done = receiver.bodies
    conforms(launched)
    conforms(done)
    code = api.tenant.guests["eve@partner.org"].code
    link = f"https://go.tallyfy.com/guest-all-task/{api.tenant.id}/{code}"
    assert done["guest-links"] == {"eve@partner.org": {"link_for_guest": link}}
    assert done["this_task"]["owners"]["guests"] == ["eve@partner.org"]
    assert done["this_task"]["deadline"] == "2026-12-03T17:00:00Z"
    assert done["process"]["tags"][0]["id"] == tag
    assert launched["groups"] == [{"group_id": group, "name": api.tenant.groups[group].name}]
    assert launched["users"][0]["user_id"] == 1001
    spelled = done["this_task"]["captures"][flow.ids["date"]]["value"]
    assert spelled.startswith(("01/12/2026", "02/12/2026"))
    assert spelled.split()[2] in {"AM", "PM"}
    (asset,) = done["this_task"]["assets"]
    assert (asset["filename"], asset["version"]) == ("a.pdf", "1")
    assert asset["public_link"].endswith(f"{api.tenant.id}/file/{asset['id']}/dl")
    api.tenant.timezone = "Nowhere/At all"
    await flow.complete("B")
    await api.sandbox.webhooks.settled()
    assert receiver.bodies[2]["this_task"]["assets"] == []
    assert receiver.bodies[2]["form-fields"].popitem()[1] == "01/12/2026 06:30 PM UTC"
    assert (await api.get("{org}"))["data"]["webhook_date_field_format"] == "d/m/Y h:i A T"


async def test_a_step_outranks_the_template_and_a_task_its_step(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", "Two", "Three", webhook=f"{receiver.url}/template")
    for step, name in zip(checklist.steps, ("One", "Two"), strict=False):
        path = f"{{org}}/checklists/{checklist.id}/steps/{step.id}"
        body = {"title": name, "webhook": f"{receiver.url}/step"}
        assert (await api.call("PUT", path, json=body)).status_code == 200
    run = await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    two = next(t for t in api.tenant.tasks_of(api.tenant.runs[run["id"]]) if t.title == "Two")
    path = f"{{org}}/runs/{run['id']}/tasks/{two.id}"
    assert (await api.call("PUT", path, json={"webhook": f"{receiver.url}/task"})).status_code == 200
    for title in ("One", "Two", "Three"):
        await complete(api, run, title)
        await api.sandbox.webhooks.settled()
    seen = [(post.path, kind(post.body)) for post in receiver.posts]
    assert sorted(seen[-2:]) == [("/template", "completed"), ("/template", "task Three")]
    assert seen[:3] == [("/template", "launched"), ("/step", "task One"), ("/task", "task Two")]
    assert [one.source for one in api.sandbox.webhooks.deliveries[:3]] == ["template", "step", "task"]


async def test_reopened_and_completed_again(api: Api, receiver: Receiver, clock: Clock) -> None:
    checklist = await template(api, "One", "Two", webhook=receiver.url)
    run = await launch(api, checklist_id=checklist.id)
    task = await complete(api, run, "One")
    clock.now += 5
    await complete(api, run, "One")  # completed already: the same moment again
    await reopen(api, task)
    clock.now += 60
    await complete(api, run, "One")
    await complete(api, run, "Two")
    await reopen(api, task)
    clock.now += 60
    await complete(api, run, "One")
    await api.sandbox.webhooks.settled()
    task_one = ["task One"]
    assert receiver.kinds == ["launched", *task_one * 3, "task Two", "completed", *task_one, "completed"]
    moments = [body["this_task"]["completed_at"] for body in receiver.bodies if kind(body) == "task One"]
    assert moments[0] == moments[1]
    assert len(set(moments)) == 3
    ends = [body["completed_at"] for body in receiver.bodies if kind(body) == "completed"]
    assert ends[0] < ends[1]


async def test_a_refused_completion_tells_nobody(make: Callable[..., Api], receiver: Receiver) -> None:
    api = make(complete_twice="error")
    checklist = await template(api, "One", "Two", webhook=receiver.url)
    run = await launch(api, checklist_id=checklist.id)
    await complete(api, run, "One")
    await complete(api, run, "One", status=422)
    await complete(api, run, "Two", status=404, task_id="0" * 32)
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched", "task One"]


async def test_everyone_must_complete_posts_once(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", "Two", webhook=receiver.url)
    run = await launch(api, checklist_id=checklist.id)
    task = next(t for t in api.tenant.tasks_of(api.tenant.runs[run["id"]]) if t.title == "One")
    mine = next(m.user.id for m in api.tenant.members.values() if m.user.email == api.sandbox.credentials.username)
    other = next(user for user, m in api.tenant.members.items() if user != mine and m.status == "active")
    task.everyone_must_complete, task.users = True, [mine, other]
    await complete(api, run, "One")
    await complete(api, run, "One", override_user=other)
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched", "task One"]


async def test_one_off_tasks(api: Api, receiver: Receiver) -> None:
    checklist = await template(api, "One", webhook=f"{receiver.url}/template", can_add_oot=True)
    run = await launch(api, checklist_id=checklist.id)
    owners = {"users": [1001], "guests": [], "groups": []}
    new = {"title": "Call", "task_type": "task", "owners": owners, "deadline": "2026-12-03 17:00:00"}
    ids: list[str] = []
    for more in ({"webhook": f"{receiver.url}/own"}, {}, {"run_id": run["id"]}):
        reply = await api.call("POST", "{org}/tasks", json=new | more)
        assert reply.status_code == 201, reply.text
        ids.append(reply.json()["data"]["id"])
    for ident in ids[:2]:
        assert (await api.call("POST", "{org}/completed-tasks", json={"task_id": ident})).status_code == 200
    reply = await api.call("POST", f"{{org}}/runs/{run['id']}/completed-tasks", json={"task_id": ids[2]})
    assert reply.status_code == 200
    await api.sandbox.webhooks.settled()
    by_path = {path: [p.body for p in receiver.posts if p.path == path] for path in ("/own", "/template")}
    (alone,) = by_path["/own"]
    conforms(alone)
    assert alone["this_task"]["id"] == ids[0]
    assert alone["next_task"] == alone["form-fields"] == []
    assert alone["process-tasks"] == {ids[0]: ids[0]}
    assert "process" not in alone
    assert [kind(body) for body in by_path["/template"]] == ["launched", "task Call"]
    assert by_path["/template"][1]["process-tasks"][ids[2]] == ids[2]


async def test_a_rule_posts_when_it_begins_to_hold(api: Api, receiver: Receiver) -> None:
    flow = Workflow(api)
    await flow.build()
    emit = {
        "action_type": "webhook",
        "action_verb": "emit_webhook",
        "alias_name": "tell",
        "target_step_id": flow.ids["B"],
    }
    await flow.rule([flow.when("text", "equals", "go")], emit | {"webhook_url": f"{receiver.url}/rule"})
    await flow.launch()
    await flow.answer(text="wait")
    await flow.answer(text="go")
    await flow.answer(text="go")
    await api.sandbox.webhooks.settled()
    assert [(post.path, kind(post.body)) for post in receiver.posts] == [("/rule", "task B")]
    await flow.answer(text="stop")
    await flow.answer(text="go")
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["task B", "task B"]
    conforms(receiver.bodies[0])
    (one, _) = api.sandbox.webhooks.deliveries
    assert (one.source, one.event) == ("rule", "rule.emitted")


async def test_a_rule_that_hides_the_last_task_completes_the_run(api: Api, receiver: Receiver) -> None:
    flow = Workflow(api)
    await flow.build()
    hide = [flow.then("hide", name) for name in "BCD"]
    await flow.rule([flow.when("A", "completed", "any_time")], *hide)
    api.tenant.checklists[flow.id].webhook = receiver.url
    await flow.launch()
    await flow.complete("A")
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["launched", "task A", "completed"]
    assert receiver.bodies[1]["next_task"] == []


def subscription(api: Api, url: str) -> tuple[str, dict[str, str]]:
    mine = next(m.user.id for m in api.tenant.members.values() if m.user.email == api.sandbox.credentials.username)
    words = {"object_type": "organization", "notification_type": "webhook", "frequency": "electric"}
    return f"{{org}}/users/{mine}/add-watcher", words | {"object_id": api.tenant.id, "webhook": url}


async def test_a_subscription_hears_of_tasks_outside_of_any_run(api: Api, receiver: Receiver) -> None:
    path, body = subscription(api, receiver.url)
    assert (await api.call("POST", path, json=body)).status_code == 200
    owners = {"users": [1001], "guests": [], "groups": []}
    new = {"title": "Call", "task_type": "task", "owners": owners, "deadline": "2026-12-03 17:00:00"}
    made = (await api.call("POST", "{org}/tasks", json=new)).json()["data"]
    assert (await api.call("POST", "{org}/completed-tasks", json={"task_id": made["id"]})).status_code == 200
    await api.sandbox.webhooks.settled()
    assert receiver.kinds == ["task.assigned", "task.completed"]
    for one in receiver.bodies:
        conforms(one)
        assert (one["task"]["id"], one["task"]["run_id"]) == (made["id"], None)
        assert "process" not in one


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("ada:p%40ss@127.0.0.1:1", 200),
        ("[::1]:1", 200),
        ("[::1", 422),
        ("ada@example.com", 422),
        ("ada@", 422),
        ("a b@127.0.0.1", 422),
    ],
)
async def test_addresses_of_subscriptions(api: Api, host: str, status: int) -> None:
    path, body = subscription(api, f"http://{host}/in")
    assert (await api.call("POST", path, json=body)).status_code == status


async def test_a_subscription_of_the_organization_hears_all_seven_events(api: Api, receiver: Receiver) -> None:
    path, body = subscription(api, f"{receiver.url}/all")
    subscribed = await api.call("POST", path, json=body)
    assert subscribed.status_code == 200, subscribed.text
    checklist = await template(api, "One", webhook=f"{receiver.url}/template")
    run = await launch(api, checklist_id=checklist.id)
    (task,) = api.tenant.tasks_of(api.tenant.runs[run["id"]])
    said = await api.call("POST", f"{{org}}/tasks/{task.id}/comment", json={"content": "hello"})
    await api.call("POST", f"{{org}}/tasks/{task.id}/bot-comment", json={"content": "beep"})
    issue = (await api.call("POST", f"{{org}}/tasks/{task.id}/problem", json={"content": "stuck"})).json()["data"]
    solved = {"thread_id": issue["id"], "content": "fixed"}
    assert (await api.call("POST", f"{{org}}/tasks/{task.id}/resolved-threads", json=solved)).status_code == 200
    owners = {"users": [*task.users, 1002], "guests": [], "groups": []}
    await api.call("PUT", f"{{org}}/runs/{run['id']}/tasks/{task.id}", json={"owners": owners})
    await api.call("PUT", f"{{org}}/runs/{run['id']}/tasks/{task.id}", json={"owners": owners})
    await complete(api, run, "One")
    await api.sandbox.webhooks.settled()
    bodies = [post.body for post in receiver.posts if post.path == "/all"]
    assert [body["event"] for body in bodies] == [
        "process.launched",
        "task.assigned",
        "task.comment_added",
        "task.issue_raised",
        "task.issue_resolved",
        "task.assigned",
        "task.completed",
        "process.completed",
    ]
    for one in bodies:
        conforms(one)
        assert one["process"]["id"] == run["id"]
        assert "task" not in one or (one["task"]["id"], one["task"]["run_id"]) == (task.id, run["id"])
    assert bodies[2]["comment"]["id"] == said.json()["data"]["id"]
    assert [kind(p.body) for p in receiver.posts if p.path == "/template"] == ["launched", "task One", "completed"]
    (watcher,) = (w for w in api.tenant.watchers.values() if w.webhook.endswith("/all"))
    ended = await api.call("DELETE", f"{{org}}/remove-watcher/{watcher.id}")
    assert ended.status_code == 200, ended.text
    seen = len(bodies)
    await launch(api, checklist_id=checklist.id)
    await api.sandbox.webhooks.settled()
    assert sum(post.path == "/all" for post in receiver.posts) == seen
