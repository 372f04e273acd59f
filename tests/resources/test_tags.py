from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import ConfigurationError, ValidationError
from tests.resources.place import place

pytestmark = pytest.mark.anyio


def methods(at: Any) -> list[str]:
    return [request.method for request in at.received]


async def test_a_colour_alone_keeps_the_title() -> None:
    async with place() as at:
        made = await at.org.tags.create(title="High", color="#e74c3c")
        changed = await at.org.tags.update(made.id, color="#000000")
        assert (changed.title, changed.color) == ("High", "#000000")
        assert at.bodies()[-1] == {"title": "High", "color": "#000000"}
        renamed = await at.org.tags.update(made.id, title="Higher", color="#111111")
        assert (renamed.title, methods(at)) == ("Higher", ["POST", "GET", "PUT", "PUT"])


async def test_a_tag_without_colour_is_renamed() -> None:
    async with place() as at:
        made = await at.org.tags.create(title="Plain")
        next(tag for tag in at.tenant.tags.values() if tag.id == made.id).color = None
        await at.org.tags.update(made.id, title="Plainer")
        assert at.bodies()[-1] == {"title": "Plainer"}


async def test_nothing_or_unknown_things_to_change_are_told() -> None:
    async with place() as at:
        tags: Any = at.org.tags
        with pytest.raises(ConfigurationError, match="needs something to change"):
            await tags.update("0a" * 16)
        with pytest.raises(ConfigurationError, match="did you mean 'color'"):
            await tags.update("0a" * 16, colour="#000000")
        assert not at.received


async def test_machine_made_tags_come_when_they_are_asked_for() -> None:
    async with place() as at:
        made = await at.org.tags.create(title="from: Zapier")
        assert made.id not in [one.id async for one in at.org.tags.list()]
        assert made.id not in [one.id async for one in at.org.tags.list(all=False)]
        assert made.id in [one.id async for one in at.org.tags.list(all=True)]
        await at.org.tags.list(auto_generated=True)
        sent = [request.query for request in at.received[1:]]
        assert [query.get("all") for query in sent] == [None, None, "true", "true"]
        assert (found := await at.org.tags.find_by_name("from: Zapier"))
        assert found.id == made.id
        assert await at.org.tags.find_by_name("from: zapier") is None


async def test_a_tag_is_put_on_and_taken_off_by_the_association() -> None:
    async with place() as at:
        tag, run = await at.org.tags.create(title="High"), at.run()
        on = await at.org.tags.attach(tag.id, subject_id=run.id, subject_type="Run")
        assert (on.tag_id, type(on.id)) == (tag.id, int)
        shown = (await at.org.runs.get(run.id, with_=["tags"])).tags or ()
        assert on.id in [one.id for one in shown]
        await at.org.tags.detach(str(on.id))
        assert at.received[-1].path.endswith(f"/checklists/tags/{on.id}")
        shown = (await at.org.runs.get(run.id, with_=["tags"])).tags or ()
        assert on.id not in [one.id for one in shown]


@pytest.mark.parametrize("wrong", ["a1424ae2b3c4d5e6f708192a3b4c5d6e", 0, -1, True, None, "", "1.5"])
async def test_the_id_of_a_tag_takes_nothing_off_and_is_refused(wrong: Any) -> None:
    async with place() as at:
        with pytest.raises(ConfigurationError, match="integer id of the relation"):
            await at.org.tags.detach(wrong)
        with pytest.raises(ConfigurationError, match="integer id of the relation"):
            await at.org.folders.remove_object(wrong)
        assert not at.received


@pytest.mark.parametrize(("word", "right"), [("checklist", "'Checklist'"), ("process", "'Run'"), ("Task", "'Run'")])
async def test_subjects_are_templates_and_runs(word: str, right: str) -> None:
    async with place() as at:
        with pytest.raises(ConfigurationError, match=right):
            await at.org.tags.attach("0a" * 16, subject_id=at.run().id, subject_type=word)
        assert not at.received


async def test_an_archived_template_takes_no_tag() -> None:
    async with place() as at:
        tag = await at.org.tags.create(title="High")
        await at.org.checklists.archive(at.checklist().id)
        with pytest.raises(ValidationError, match="Subject not found"):
            await at.org.tags.attach(tag.id, subject_id=at.checklist().id, subject_type="Checklist")


async def test_statistics_count_what_carries_a_tag() -> None:
    async with place() as at:
        tag = await at.org.tags.create(title="High")
        await at.org.tags.attach(tag.id, subject_id=at.checklist().id, subject_type="Checklist")
        found = await at.org.tags.get(tag.id, with_=["statistics"])
        assert found.statistics is not None
        assert (found.statistics.active_template, found.statistics.active_process) == (1, 0)
        await at.org.tags.delete(tag.id)
        await at.org.tags.delete(tag.id)  # the server does not mind
