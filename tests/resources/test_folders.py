from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import ConfigurationError, ValidationError
from tests.resources.place import place

pytestmark = pytest.mark.anyio


async def test_moving_a_folder_keeps_its_name() -> None:
    async with place() as at:
        top = await at.org.folders.create(name="2026", folder_type="run")
        inner = await at.org.folders.create(name="Q1", folder_type="run", parent_id=top.id)
        assert inner.parent_id == top.id
        moved = await at.org.folders.update(inner.id, parent_id=None)
        assert (moved.name, moved.parent_id) == ("Q1", None)
        assert at.bodies()[-1] == {"name": "Q1", "parent_id": None}
        await at.org.folders.update(inner.id, name="Q2")
        assert [request.method for request in at.received[-3:]] == ["GET", "PUT", "PUT"]


@pytest.mark.parametrize("word", ["process", "Run", "", "template"])
async def test_an_unknown_type_would_make_a_folder_of_templates_and_is_refused(word: str) -> None:
    async with place() as at:
        with pytest.raises(ConfigurationError, match="folder_type must be"):
            await at.org.folders.create(name="Q1", folder_type=word)
        with pytest.raises(ConfigurationError, match="folder_type must be"):
            at.org.folders.list(folder_type=word)
        assert not at.received


async def test_runs_go_in_and_out_of_folders_of_runs() -> None:
    async with place() as at:
        folder, run = await at.org.folders.create(name="Q1", folder_type="run"), at.run()
        filed = await at.org.folders.add_object(folder.id, subject_id=run.id, subject_type="Run")
        assert (filed.folder_id, filed.subject_id) == (folder.id, run.id)
        assert run.id in [one.id async for one in at.org.runs.list(folder=folder.id)]
        await at.org.folders.remove_object(filed.id)
        assert [one.id async for one in at.org.runs.list(folder=folder.id)] == []


async def test_templates_are_filed_by_an_update() -> None:
    async with place() as at:
        folder, row = await at.org.folders.create(name="HR"), at.checklist()
        users = list(row.users)
        with pytest.raises(ConfigurationError, match=r"checklists\.update"):
            await at.org.folders.add_object(folder.id, subject_id=row.id, subject_type="Checklist")
        with pytest.raises(ValidationError, match="No such a folder exists in Processes"):
            await at.org.folders.add_object(folder.id, subject_id=at.run().id, subject_type="Run")
        await at.org.checklists.update(row.id, folder_id=folder.id)
        assert (row.folder_id, row.users) == (folder.id, users)
        await at.org.folders.delete(folder.id)
        assert row.folder_id is None


async def test_a_name_is_found_in_its_tree_also_inside_other_folders() -> None:
    async with place() as at:
        template = await at.org.folders.create(name="Q1")
        top = await at.org.folders.create(name="2026", folder_type="run")
        inner = await at.org.folders.create(name="Q1", folder_type="run", parent_id=top.id)
        assert (found := await at.org.folders.find_by_name("Q1"))
        assert found.id == template.id
        assert (found := await at.org.folders.find_by_name("Q1", folder_type="run"))
        assert found.id == inner.id
        assert await at.org.folders.find_by_name("q1") is None
        assert (shown := (await at.org.folders.get(top.id, with_=["children"])).children)
        assert [one.id for one in shown] == [inner.id]


async def test_ids_in_bodies_are_checked() -> None:
    async with place() as at:
        folders: Any = at.org.folders
        with pytest.raises(ConfigurationError, match="folder_id must be a str"):
            await folders.add_object(7, subject_id="x", subject_type="Run")
        assert not at.received
