"""The life of templates: create, change, archive, restore, delete, copy, and the kick-off form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.steps import launch, refused

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio
NAME = {"label": "Name", "field_type": "text", "required": False}
SIZE = {"label": "Size", "field_type": "dropdown", "required": True, "options": [{"id": 1, "text": "S"}]}


async def create(api: Api, **body: Any) -> dict[str, Any]:
    reply = await api.call("POST", "{org}/checklists", json={"title": "Hire", "type": "procedure"} | body)
    assert reply.status_code == 201, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def put(api: Api, made: dict[str, Any], **body: Any) -> dict[str, Any]:
    reply = await api.call("PUT", f"{{org}}/checklists/{made['id']}", json=body)
    assert reply.status_code == 200, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def light(api: Api) -> None:
    """Go on as a Light member."""
    member = next(m for m in api.tenant.members.values() if m.role == "Light" and m.status == "active")
    api.token = (await api.login(username=member.user.email)).json()["access_token"]


async def test_new_template_has_nothing_switched_on(api: Api) -> None:
    made = await create(api, steps=[{"title": "lost"}], automated_actions=[{}], nonsense=1)
    assert (made["status"], made["users"], made["groups"], made["prerun"]) == (None, [], [], [])
    flags = ("is_public", "can_add_oot", "auto_naming", "dual_version_enabled", "is_pinned", "is_featured")
    assert not any(made[flag] for flag in flags)
    assert (made["steps_count"], made["automated_actions"]) == (0, [])
    assert (int(made["owner_id"]), made["created_by"], made["last_updated_by"]) == (1001, 1001, 1001)
    assert "nonsense" not in made
    assert (await api.get(f"{{org}}/checklists/{made['id']}"))["data"] == made


async def test_create_takes_every_key(api: Api) -> None:
    group = next(iter(api.tenant.groups))
    body = {
        "summary": "s",
        "guidance": "g",
        "icon": "fa-star",
        "webhook": "https://hooks.org/a",
        "explanation_video": "https://video.org/b",
        "default_process_name_format": "{date}",
        "is_pinned": True,
        "starred": True,
        "is_public": True,
        "users": [1001, "1002"],
        "groups": [group],
        "user_id": 1003,
        "can_add_oot": True,
    }
    made = await create(api, owner_id="1002", **body)
    for key, value in body.items():
        if key not in {"users", "user_id", "starred"}:
            assert made[key] == value, key
    assert (made["users"], made["created_by"], int(made["owner_id"]), bool(made["starred"])) == (
        [1001, 1002],
        1003,
        1002,
        True,
    )


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({}, ["title", "type"]),
        ({"title": "", "type": "procedure"}, ["title"]),
        ({"title": "x" * 251, "type": "procedure"}, ["title"]),
        ({"title": "x", "type": "workflow"}, ["type"]),
        ({"title": "x", "type": "form", "summary": "y" * 2001}, ["summary"]),
        ({"title": "x", "type": "form", "default_process_name_format": "y" * 551}, ["default_process_name_format"]),
        ({"title": "x", "type": "form", "webhook": "nowhere"}, ["webhook"]),
        ({"title": "x", "type": "form", "explanation_video": "ftp:/x"}, ["explanation_video"]),
        ({"title": "x", "type": "form", "owner_id": 7}, ["owner_id.0"]),
        ({"title": "x", "type": "form", "users": [7]}, ["users.0"]),
        ({"title": "x", "type": "form", "folder_id": "0" * 32}, ["folder_id"]),
        ({"title": "x", "type": "form", "is_public": "perhaps"}, ["is_public"]),
        ({"title": "x", "type": "form", "prerun": [{"label": "a"}]}, ["prerun.0.field_type", "prerun.0.required"]),
        ({"title": "x", "type": "form", "prerun": [SIZE | {"options": []}]}, ["prerun.0.options"]),
        ({"title": "x", "type": "form", "prerun": [3]}, ["prerun.0"]),
        (
            {
                "title": "x",
                "type": "form",
                "prerun": [NAME | {"label": 3, "position": "x", "settings": 1, "list": 1.5}],
            },
            ["prerun.0.label", "prerun.0.position", "prerun.0.settings", "prerun.0.list"],
        ),
        (
            {
                "title": "x",
                "type": "form",
                "prerun": [SIZE | {"options": [{"id": 1, "text": 7, "label": 7, "value": 7}]}],
            },
            ["prerun.0.options.0.text", "prerun.0.options.0.label", "prerun.0.options.0.value"],
        ),
        ({"title": "x", "type": "form", "prerun": [SIZE | {"options": 5}]}, ["prerun.0.options"]),
        ({"title": "x", "type": "form", "prerun": [NAME | {"field_validation": [5]}]}, ["prerun.0.field_validation"]),
    ],
)
async def test_create_refusals(api: Api, body: dict[str, Any], keys: list[str]) -> None:
    assert list(await refused(api, "POST", "{org}/checklists", body)) == keys


async def test_update_empties_absent_people_and_leaves_the_rest(api: Api) -> None:
    group = next(iter(api.tenant.groups))
    made = await create(api, users=[1001], groups=[group], summary="s", prerun=[NAME])
    kept = await put(api, made, title="Hire", users=[1001], groups=[group])
    assert (kept["users"], kept["groups"]) == ([1001], [group])
    row = await put(api, made, title="Hired", guidance="g", description="dropped")
    assert (row["users"], row["groups"]) == ([], [])
    assert (row["title"], row["summary"], row["guidance"], row["prerun"]) == ("Hired", "s", "g", made["prerun"])
    assert list(await refused(api, "PUT", f"{{org}}/checklists/{made['id']}", {"summary": "s"})) == ["title"]
    await refused(api, "PUT", f"{{org}}/checklists/{'0' * 32}", {"title": "x"}, 404)


async def test_prerun_replaces_the_whole_kickoff_form(api: Api) -> None:
    made = await create(api, prerun=[NAME, SIZE])
    name, size = made["prerun"]
    assert name["alias"].startswith("name-")
    assert [(f["position"], f["checklist_id"]) for f in made["prerun"]] == [(1, made["id"]), (2, made["id"])]
    assert size["options"] == [{"id": 1, "text": "S", "value": None}]
    new = {"label": "When", "field_type": "date", "required": False, "position": 1}
    form = [{**size, "position": 2, "label": "How big"}, new]
    row = await put(api, made, title="Hire", prerun=form)
    assert [f["label"] for f in row["prerun"]] == ["When", "How big"]
    kept = row["prerun"][1]
    assert (kept["id"], kept["alias"], kept["created_at"]) == (size["id"], size["alias"], size["created_at"])
    assert row["prerun"][0]["id"] not in {name["id"], size["id"]}
    assert (await put(api, made, title="Hire", prerun=None))["prerun"] == row["prerun"]
    assert (await put(api, made, title="Hire", prerun=[]))["prerun"] == []


async def test_deleting_a_kickoff_field_takes_the_answers(api: Api) -> None:
    made = await create(api, prerun=[NAME, {**NAME, "label": "Other"}])
    name, other = (field["id"] for field in made["prerun"])
    run = await launch(api, checklist_id=made["id"], prerun={name: "Ada", other: "x"})
    path = f"{{org}}/checklists/{made['id']}"
    assert (await api.call("DELETE", f"{path}/preruns/{name}")).status_code == 204
    assert (await api.get(f"{{org}}/runs/{run['id']}"))["data"]["prerun"] == {other: "x"}
    assert [(f["id"], f["position"]) for f in (await api.get(path))["data"]["prerun"]] == [(other, 1)]
    await refused(api, "DELETE", f"{path}/preruns/{name}", None, 404)
    await refused(api, "POST", f"{path}/preruns", NAME, 404)


async def test_archive_restore_delete(api: Api) -> None:
    made = await create(api)
    path = f"{{org}}/checklists/{made['id']}"
    run = await launch(api, checklist_id=made["id"])
    assert await refused(api, "DELETE", f"{path}/delete", None)
    await refused(api, "PUT", f"{path}/restore", None, 404)
    reply = (await api.call("DELETE", path)).json()
    assert reply == {
        "message": "The Template was deleted, and references were also deleted from:",
        "deleted_references": [],
    }
    for method in ("GET", "PUT", "DELETE"):
        assert (await api.call(method, path, json={"title": "x"})).status_code == 404
    assert made["id"] in {row["id"] for row in (await api.get("{org}/checklists", archived="only"))["data"]}
    assert (await api.get(f"{{org}}/runs/{run['id']}"))["data"]["status"] == "active"
    back = (await api.call("PUT", f"{path}/restore")).json()["data"]
    assert (back["id"], back["archived_at"]) == (made["id"], None)
    await api.call("DELETE", path)
    assert (await api.call("DELETE", f"{path}/delete")).status_code == 200
    await refused(api, "PUT", f"{path}/restore", None, 404)
    assert (await api.get(f"{{org}}/runs/{run['id']}"))["data"]["status"] == "active"


async def test_archiving_strips_embedded_blocks_for_good(make: Callable[..., Api]) -> None:
    api = make(references_style="map")
    made, host = await create(api), await create(api, title="Host")
    block = f'<blockquote data-template="{made["id"]}"><p>Hire</p></blockquote>'
    link = f'<a href="/view/{made["id"]}">Hire</a>'
    path = f"{{org}}/checklists/{host['id']}"
    await put(api, host, title="Host", guidance=f"<p>before</p>{block}{link}")
    step = (await api.call("POST", f"{path}/steps", json={"title": "Do", "summary": f"{block}after"})).json()["data"]
    gone = (await api.call("DELETE", f"{{org}}/checklists/{made['id']}")).json()["deleted_references"]
    assert gone == [
        {"type": "Blueprint", "title": "Host", "id": host["id"]},
        {"type": "Step", "title": "Do", "id": step["id"]},
    ]
    assert (await api.get(path))["data"]["guidance"] == f"<p>before</p>{link}"
    assert (await api.get(f"{path}/steps/{step['id']}"))["data"]["summary"] == "after"
    await api.call("PUT", f"{{org}}/checklists/{made['id']}/restore")
    assert (await api.get(path))["data"]["guidance"] == f"<p>before</p>{link}"
    assert (await api.call("DELETE", path)).json()["deleted_references"] == {}


async def test_only_administrators_delete_for_good_and_light_members_edit_nothing(api: Api) -> None:
    made = await create(api)
    path = f"{{org}}/checklists/{made['id']}"
    await api.call("DELETE", path)
    standard = next(m for m in api.tenant.members.values() if m.role == "Standard" and m.status == "active")
    api.token = (await api.login(username=standard.user.email)).json()["access_token"]
    await refused(api, "DELETE", f"{path}/delete", None, 403)
    assert (await api.call("PUT", f"{path}/restore")).status_code == 200
    await light(api)
    for method, tail in (
        ("POST", "{org}/checklists"),
        ("PUT", path),
        ("DELETE", path),
        ("PUT", f"{path}/publish"),
        ("POST", f"{path}/clone"),
        ("POST", f"{path}/steps"),
        ("POST", f"{path}/automated-actions"),
    ):
        body: dict[str, Any] = {
            "title": "x",
            "type": "form",
            "tenant": api.tenant.id,
            "automated_alias": "a",
            "conditions": [],
            "then_actions": [],
        }
        reply = await api.call(method, tail, json=body)
        assert (reply.status_code, list(reply.json())) == (403, ["message"]), tail


async def test_publishing_in_draft_mode(api: Api) -> None:
    made = await create(api, dual_version_enabled=True)
    path = f"{{org}}/checklists/{made['id']}"
    assert made["is_published_state"] is False
    assert (await api.call("PUT", f"{path}/publish")).json()["data"]["is_published_state"] is True
    await api.call("POST", f"{path}/steps", json={"title": "Draft"})
    assert (await api.get(path))["data"]["is_published_state"] is False


async def grown(api: Api) -> Any:
    """Return a template with fields of both kinds, a rule, a deadline that hangs on a step, people and a tag."""
    made = await create(api, users=[1001], prerun=[SIZE])
    path = f"{{org}}/checklists/{made['id']}"
    first = (await api.call("POST", f"{path}/steps", json={"title": "A", "assignees": [1002]})).json()["data"]
    field = (await api.call("POST", f"{path}/steps/{first['id']}/captures", json=NAME)).json()["data"]
    deadline = {"value": 2, "unit": "days", "option": "from", "step": first["id"]}
    second = (await api.call("POST", f"{path}/steps", json={"title": "B", "deadline": deadline})).json()["data"]
    asked = {"conditionable_id": field["id"], "conditionable_type": "Capture", "operation": "is_empty"}
    shown = {"action_type": "visibility", "action_verb": "hide", "target_step_id": second["id"]}
    people = {"action_type": "assignment", "action_verb": "assign", "target_step_id": second["id"]}
    actions = [shown, people | {"assignees": {"users": [1003]}}]
    body = {"automated_alias": "r", "conditions": [asked | {"statement": None}], "then_actions": actions}
    assert (await api.call("POST", f"{path}/automated-actions", json=body)).status_code == 201
    checklist = api.tenant.checklists[made["id"]]
    checklist.tags = [next(iter(api.tenant.tags))]
    return checklist


async def test_clone_inside_one_organization(api: Api) -> None:
    original = await grown(api)
    path = f"{{org}}/checklists/{original.id}/clone"
    copy = (await api.call("POST", path, json={"tenant": api.tenant.id})).json()["data"]
    assert copy["title"] == "COPY OF - Hire"
    mine = api.tenant.checklists[copy["id"]]
    assert (mine.users, mine.tags, mine.steps[0].users) == ([1001], original.tags, [1002])
    old = {original.id, *(s.id for s in original.steps), original.prerun[0].id, original.rules[0].id}
    new = {mine.id, *(s.id for s in mine.steps), mine.prerun[0].id, mine.rules[0].id}
    assert len(old) == len(new) == 5
    assert not old & new
    field = mine.steps[0].captures[0]
    assert field.alias != original.steps[0].captures[0].alias
    assert mine.steps[1].deadline["step"] == mine.steps[0].id
    rule = mine.rules[0]
    assert rule.conditions[0].subject_id == field.id
    assert {action.target for action in rule.actions} == {mine.steps[1].id}
    assert rule.actions[1].assignees == {"users": [1003], "guests": [], "groups": []}
    named = await api.call("POST", path, data={"tenant": api.tenant.id, "title": "As a form"})
    assert named.json()["data"]["title"] == "As a form"


async def test_clone_from_another_organization(api: Api) -> None:
    original = await grown(api)
    original.webhook = "https://hooks.org/a"
    world = api.sandbox.world
    other = next(tenant for tenant in world.tenants.values() if tenant is not api.tenant)
    user = world.users[1001]
    user.home = other.id
    token = world.personal_token(user, life=60).value
    reply = await api.http.post(
        f"{api.sandbox.url}/organizations/{other.id}/checklists/{original.id}/clone",
        json={"tenant": api.tenant.id, "title": "Here"},
        headers={"Authorization": f"Bearer {token}", "X-Tallyfy-Client": "t", "Accept": "application/json"},
    )
    assert reply.status_code == 201, reply.text
    mine = other.checklists[reply.json()["data"]["id"]]
    assert (mine.title, mine.users, mine.webhook, mine.steps[0].users) == ("Here", [], None, [])
    assert mine.rules[0].actions[1].assignees is None
    assert [other.tags[tag].title for tag in mine.tags] == [api.tenant.tags[tag].title for tag in original.tags]
    assert not set(mine.tags) & set(original.tags)


async def test_clone_refusals(api: Api) -> None:
    made = await create(api)
    path = f"{{org}}/checklists/{made['id']}/clone"
    assert list(await refused(api, "POST", path, {"tenant": "0" * 32})) == ["tenant"]
    assert list(await refused(api, "POST", path, {"tenant": api.tenant.id, "title": "x" * 251})) == ["title"]
    await refused(api, "POST", "{org}/checklists/nope/clone", {"tenant": api.tenant.id}, 404)


async def test_all_fields_and_deadlines_of_a_template(api: Api) -> None:
    original = await grown(api)
    path = f"{{org}}/checklists/{original.id}"
    both = (await api.get(f"{path}/form-fields"))["data"]
    assert (both["id"], both["title"]) == (original.id, "Hire")
    assert [(f["label"], f["step_id"]) for f in both["form_fields"]] == [("Name", original.steps[0].id)]
    assert [(f["label"], f["checklist_id"]) for f in both["ko_form_fields"]] == [("Size", original.id)]
    rows = (await api.get(f"{path}/steps-deadlines"))["data"]
    assert [row["deadline"] for row in rows] == [[], original.steps[1].deadline]


async def test_list_by_folder(api: Api) -> None:
    made = await create(api)
    api.tenant.checklists[made["id"]].folder_id = "f" * 32
    for name in ("folder", "folder_id"):
        rows = (await api.get("{org}/checklists", **{name: "f" * 32}))["data"]
        assert [row["id"] for row in rows] == [made["id"]]
    assert (await api.get("{org}/checklists", folder="0" * 32))["data"] == []


async def test_folder_include_and_filing(api: Api) -> None:
    made = await create(api)
    folder = (await api.call("POST", "{org}/folders", json={"name": "HR", "folder_type": "checklist"})).json()["data"]
    runs = (await api.call("POST", "{org}/folders", json={"name": "P", "folder_type": "run"})).json()["data"]
    assert list(
        await refused(api, "PUT", f"{{org}}/checklists/{made['id']}", {"title": "T", "folder_id": runs["id"]})
    ) == ["folder_id"]
    row = await put(api, made, title="T", folder_id=folder["id"], default_folder=runs["id"])
    assert (row["folder_id"], row["default_folder"]) == (folder["id"], runs["id"])
    path = f"{{org}}/checklists/{made['id']}"
    assert (await api.get(f"{path}?with=folder,assets"))["data"]["folder"]["data"]["name"] == "HR"
    await api.call("DELETE", path)
    del api.tenant.folders[folder["id"]]
    assert (await api.call("PUT", f"{path}/restore")).json()["data"]["folder_id"] is None


async def test_edits_are_told_in_the_activity_feed(api: Api) -> None:
    made = await create(api)
    await put(api, made, title="Hired")
    path = f"{{org}}/checklists/{made['id']}"
    step = (await api.call("POST", f"{path}/steps", json={"title": "A"})).json()["data"]
    await api.call("DELETE", path)
    told = [
        (entry.verb, entry.record[0], entry.field, entry.old)
        for entry in api.tenant.activities
        if made["id"] in entry.record or (entry.parent and made["id"] in entry.parent)
    ]
    assert told == [
        ("created", "checklist", None, None),
        ("updated", "checklist", "title", "Hire"),
        ("updated", "checklist", None, None),
        ("created", "step", None, None),
        ("archived", "checklist", None, None),
    ]
    assert step["id"] in {entry.record[1] for entry in api.tenant.activities}
