from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .steps import launch, refused, tasks_of

if TYPE_CHECKING:
    from .conftest import Api

pytestmark = pytest.mark.anyio


async def as_member(api: Api, role: str) -> None:
    member = next(m for m in api.tenant.members.values() if m.role == role and m.status == "active")
    api.token = (await api.login(username=member.user.email)).json()["access_token"]


async def tag(api: Api, title: str, **more: Any) -> dict[str, Any]:
    reply = await api.call("POST", "{org}/tags", json={"title": title} | more)
    assert reply.status_code == 201, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def test_machine_made_tags_need_the_literal_all(api: Api) -> None:
    made = await tag(api, "from:Hiring")
    assert made["auto_generated"] is True

    async def titles(**params: str) -> set[str]:
        return {row["title"] for row in (await api.get("{org}/tags", per_page="100", **params))["data"]}

    usual = {row.title for row in api.tenant.tags.values()} - {"from:Hiring"}
    assert await titles() == usual
    assert await titles(auto_generated="true") == set()
    for word in ("True", "1"):
        assert await titles(all=word) == usual
    assert await titles(all="true") == usual | {"from:Hiring"}
    assert await titles(all="true", auto_generated="true") == {"from:Hiring"}
    assert await titles(q=next(iter(usual))[:4].upper()) <= usual
    assert "pagination" in (await api.get("{org}/tags", without_pagination="true"))["meta"]


async def test_the_catalogue_of_tags(api: Api) -> None:
    row = await tag(api, "Steam", color="#e74c3c")
    path = f"{{org}}/tags/{row['id']}"
    assert list(await refused(api, "POST", "{org}/tags", {"title": "steam"})) == ["title"]
    assert list(await refused(api, "POST", "{org}/tags", {"title": "x" * 31})) == ["title"]
    assert list(await refused(api, "POST", "{org}/tags", {"title": "x", "color": "red"})) == ["color"]
    assert (await api.call("PUT", path, json={"color": "#00ff00"})).json()["data"]["color"] == "#00ff00"
    api.sandbox.configure(tag_title="required")
    assert list(await refused(api, "PUT", path, {"color": "#000000"})) == ["title"]
    changed = (await api.call("PUT", path, json={"title": "Steam", "color": "#000000"})).json()["data"]
    assert (changed["title"], changed["color"]) == ("Steam", "#000000")
    assert (await api.call("PUT", path, json={"title": "STEAM"})).json()["data"]["title"] == "STEAM"
    assert (await api.call("DELETE", path)).status_code == 204
    assert (await api.call("DELETE", path)).status_code == 204
    await refused(api, "GET", path, None, 404)
    await refused(api, "PUT", path, {"title": "x"}, 404)


@pytest.mark.parametrize("role", ["Standard", "Light"])
async def test_only_administrators_manage_tags(api: Api, role: str) -> None:
    row = await tag(api, "Steam")
    await as_member(api, role)
    await refused(api, "POST", "{org}/tags", {"title": "Coal"}, 403)
    await refused(api, "PUT", f"{{org}}/tags/{row['id']}", {"title": "Coal"}, 403)
    await refused(api, "DELETE", f"{{org}}/tags/{row['id']}", None, 403)
    assert (await api.get(f"{{org}}/tags/{row['id']}"))["data"]["title"] == "Steam"


@pytest.mark.parametrize("kind", ["Run", "Checklist"])
async def test_tags_hang_on_by_a_number(api: Api, kind: str) -> None:
    run = await launch(api)
    row = await tag(api, "Steam")
    subject = run["id"] if kind == "Run" else run["checklist_id"]
    path = f"{{org}}/{'runs' if kind == 'Run' else 'checklists'}/{subject}?with=tags"
    body = {"subject_id": subject, "subject_type": kind, "tag_id": row["id"], "tag_type": "private"}
    link = (await api.call("POST", "{org}/checklists/tags", json=body)).json()["data"]
    again = (await api.call("POST", "{org}/checklists/tags", json=body)).json()["data"]
    assert isinstance(link["id"], int)
    assert again == link

    async def links() -> list[int]:
        rows = (await api.get(path))["data"]["tags"]["data"]
        return [entry["id"] for entry in rows if entry["tag_id"] == row["id"]]

    assert await links() == [link["id"]]
    counts = (await api.get(f"{{org}}/tags/{row['id']}?with=statistics"))["data"]["statistics"]["data"]
    assert counts["active_process" if kind == "Run" else "active_template"] == 1
    for wrong in (row["id"], "0", "999999999", "x"):
        assert (await api.call("DELETE", f"{{org}}/checklists/tags/{wrong}")).status_code == 204
    assert await links() == [link["id"]]
    assert (await api.call("DELETE", f"{{org}}/checklists/tags/{link['id']}")).status_code == 204
    assert await links() == []
    fresh = (await api.call("POST", "{org}/checklists/tags", json=body)).json()["data"]
    assert fresh["id"] != link["id"]
    await api.call("DELETE", f"{{org}}/tags/{row['id']}")
    assert await links() == []


async def test_refused_tags(api: Api) -> None:
    run = await launch(api)
    row = await tag(api, "Steam")
    body = {"subject_id": run["id"], "subject_type": "Run", "tag_id": row["id"], "tag_type": "private"}
    path = "{org}/checklists/tags"
    assert await refused(api, "POST", path, body | {"subject_id": "no"}) == {"subject_id": ["Subject not found"]}
    assert list(await refused(api, "POST", path, body | {"subject_type": "Task"})) == ["subject_type"]
    assert list(await refused(api, "POST", path, body | {"tag_type": "public"})) == ["tag_id"]
    assert list(await refused(api, "POST", path, body | {"tag_type": "secret"})) == ["tag_type"]
    assert list(await refused(api, "POST", path, body | {"tag_id": "no"})) == ["tag_id"]
    await api.call("DELETE", f"{{org}}/runs/{run['id']}")
    assert await refused(api, "POST", path, body) == {"subject_id": ["Subject not found"]}


async def test_tags_need_either_scope(api: Api) -> None:
    run, row = await launch(api), await tag(api, "Steam")
    body = {"subject_id": run["id"], "subject_type": "Run", "tag_id": row["id"], "tag_type": "private"}
    for scope, status in (("process", 201), ("template", 201), ("organization", 403)):
        api.token = (await api.login(scope=scope)).json()["access_token"]
        assert (await api.call("POST", "{org}/checklists/tags", json=body)).status_code == status


async def folder(api: Api, name: str, **more: Any) -> dict[str, Any]:
    reply = await api.call("POST", "{org}/folders", json={"name": name} | more)
    assert reply.status_code == 201, reply.text
    data: dict[str, Any] = reply.json()["data"]
    return data


async def test_two_trees_of_folders(api: Api) -> None:
    top = await folder(api, "Top", folder_type="run")
    inner = await folder(api, "Inner", folder_type="run", parent_id=top["id"])
    odd = await folder(api, "Odd", folder_type="process")
    assert (top["folder_type"], inner["parent_id"], odd["folder_type"]) == ("run", top["id"], "checklist")
    flat = await api.get("{org}/folders", folder_type="run", pagination="false")
    assert "meta" not in flat
    assert {top["id"], inner["id"]} <= {row["id"] for row in flat["data"]}
    tree = (await api.get("{org}/folders", **{"folder_type": "run", "with": "children", "per_page": "100"}))["data"]
    mine = next(row for row in tree if row["id"] == top["id"])
    assert [row["id"] for row in mine["children"]["data"]] == [inner["id"]]
    assert inner["id"] not in {row["id"] for row in tree}
    kinds = {row["folder_type"] for row in (await api.get("{org}/folders"))["data"]}
    assert kinds == {"checklist"}
    found = (await api.get("{org}/folders", **{"folder_type": "run", "q": "INN", "with": "children"}))["data"]
    assert [row["id"] for row in found] == [inner["id"]]


async def test_rename_move_and_delete_folders(api: Api) -> None:
    top, other = await folder(api, "Top", folder_type="run"), await folder(api, "Other", folder_type="run")
    inner = await folder(api, "Inner", folder_type="run", parent_id=top["id"])
    templates = await folder(api, "Templates")
    path = f"{{org}}/folders/{inner['id']}"
    assert list(await refused(api, "PUT", path, {"parent_id": other["id"]})) == ["name"]
    moved = (await api.call("PUT", path, json={"name": "In", "parent_id": other["id"]})).json()["data"]
    assert (moved["name"], moved["parent_id"], moved["folder_type"]) == ("In", other["id"], "run")
    assert (await api.call("PUT", path, json={"name": "Inner"})).json()["data"]["parent_id"] == other["id"]
    loop = {"name": "Other", "parent_id": inner["id"]}
    assert list(await refused(api, "PUT", f"{{org}}/folders/{other['id']}", loop)) == ["parent_id"]
    assert list(await refused(api, "PUT", path, {"name": "x", "parent_id": templates["id"]})) == ["parent_id"]
    assert list(await refused(api, "POST", "{org}/folders", {"name": "x", "parent_id": other["id"]})) == ["parent_id"]
    assert list(await refused(api, "POST", "{org}/folders", {"name": "x" * 33})) == ["name"]
    assert (await api.call("PUT", path, json={"name": "Inner", "parent_id": None})).json()["data"]["parent_id"] is None
    await api.call("PUT", path, json={"name": "Inner", "parent_id": other["id"]})
    assert (await api.call("DELETE", f"{{org}}/folders/{other['id']}")).status_code == 204
    assert (await api.get(path))["data"]["parent_id"] is None
    await refused(api, "DELETE", f"{{org}}/folders/{other['id']}", None, 404)


async def test_light_members_do_not_manage_folders(api: Api) -> None:
    row = await folder(api, "Top")
    await as_member(api, "Light")
    await refused(api, "POST", "{org}/folders", {"name": "x"}, 403)
    await refused(api, "PUT", f"{{org}}/folders/{row['id']}", {"name": "x"}, 403)
    await refused(api, "DELETE", f"{{org}}/folders/{row['id']}", None, 403)


async def test_file_runs_and_tasks(api: Api) -> None:
    run = await launch(api)
    task = tasks_of(api, run)[0]
    top = await folder(api, "Top", folder_type="run")
    numbers: dict[str, int] = {}
    for kind, ident in (("Run", run["id"]), ("Task", task.id)):
        body = {"folder_id": top["id"], "subject_id": ident, "subject_type": kind}
        link = (await api.call("POST", "{org}/folders/add-object", json=body)).json()["data"]
        assert link == body | {"id": link["id"]}
        assert (await api.call("POST", "{org}/folders/add-object", json=body)).json()["data"] == link
        numbers[kind] = link["id"]
    assert (await api.get(f"{{org}}/folders/{top['id']}"))["data"]["total"] == 2
    assert [r["id"] for r in (await api.get("{org}/runs", folder=top["id"]))["data"]] == [run["id"]]
    shown = (await api.get(f"{{org}}/runs/{run['id']}?with=folders"))["data"]["folders"]["data"]
    assert [row["id"] for row in shown] == [top["id"]]
    found = {t["id"] for t in (await api.get("{org}/tasks", folder=top["id"], per_page="100"))["data"]}
    assert found == {t.id for t in tasks_of(api, run)}
    for wrong in (top["id"], "0", "123456"):
        assert (await api.call("DELETE", f"{{org}}/folders-objects/{wrong}")).status_code == 204
    assert task.folders == [top["id"]]
    assert (await api.call("DELETE", f"{{org}}/folders-objects/{numbers['Task']}")).status_code == 204
    assert task.folders == []
    assert (await api.call("DELETE", f"{{org}}/folders/{top['id']}")).status_code == 204
    assert (await api.get(f"{{org}}/runs/{run['id']}?with=folders"))["data"]["folders"]["data"] == []


async def test_refused_filing(api: Api) -> None:
    run = await launch(api)
    top, templates = await folder(api, "Top", folder_type="run"), await folder(api, "Templates")
    path, body = "{org}/folders/add-object", {"folder_id": top["id"], "subject_id": run["id"], "subject_type": "Run"}
    said = {"folder_id": ["No such a folder exists in Processes."]}
    assert await refused(api, "POST", path, body | {"folder_id": templates["id"]}) == said
    assert await refused(api, "POST", path, body | {"folder_id": "no"}) == said
    assert list(await refused(api, "POST", path, body | {"subject_type": "Checklist"})) == ["subject_type"]
    assert list(await refused(api, "POST", path, body | {"subject_id": "no"})) == ["subject_id"]


async def test_deleting_a_folder_of_templates_keeps_them(api: Api) -> None:
    row = next(f for f in api.tenant.folders.values() if f.name == "Operations")
    filed = [c for c in api.tenant.checklists.values() if c.folder_id == row.id]
    assert filed
    await api.call("DELETE", f"{{org}}/folders/{row.id}")
    assert {c.folder_id for c in filed} == {None}
    assert next(f for f in api.tenant.folders.values() if f.name == "Onboarding").parent_id is None
