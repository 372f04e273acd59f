from __future__ import annotations

import pytest

from tallyfy_async import ConfigurationError, NotFoundError, PermissionDeniedError
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio


async def launched(at: Place, *names: str) -> list[str]:
    """Launch runs of these names, a minute apart, and return their ids."""
    found: list[str] = []
    for number, name in enumerate(names):
        run = await at.org.runs.launch(at.checklist().id, name=name)
        at.tenant.runs[run.id].created_at += 60 * number
        found.append(run.id)
    return found


async def test_a_replacement_is_one_request_that_sets_both_lists() -> None:
    async with place() as at:
        run = at.run(lambda run: bool(run.users and run.groups))
        changed = await at.org.runs.replace(run.id, users=[1005], groups=[], name="Renamed")
        assert (run.name, run.users, run.groups) == ("Renamed", [1005], [])
        assert (changed.user_ids, changed.group_ids) == ((1005,), ())
        assert at.bodies() == [{"users": [1005], "groups": [], "name": "Renamed"}]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"users": [1]}, "lacks groups"),
        ({"groups": []}, "lacks users"),
        ({"name": "x"}, "lacks groups, users"),
        ({"users": [1], "groups": [], "title": "x"}, "did you mean 'name'"),
        ({"users": [], "groups": [], "prerun": {"Start date": "x"}}, "is no field id"),
    ],
)
async def test_a_replacement_in_part_is_refused(fields: dict[str, object], message: str) -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match=message):
            await at.org.runs.replace(at.run().id, **fields)  # type: ignore[arg-type]
        assert at.received == []


async def test_a_run_is_found_by_its_exact_name() -> None:
    async with place() as at:
        _, exact, _ = await launched(at, "Ada's week two", "Ada's week", "ada's week")
        found = await at.org.runs.find_by_name("Ada's week")
        assert found is not None
        assert found.id == exact
        assert await at.org.runs.find_by_name("Ada's") is None
        assert [request.query["q"] for request in at.received[-2:]] == ["Ada's week", "Ada's"]


async def test_of_runs_of_one_name_the_newest_is_found() -> None:
    async with place() as at:
        first, *_, last = await launched(at, "Ada", "Ada", "Ada")
        found = [await at.org.runs.find_by_name("Ada"), await at.org.runs.find_by_name("Ada", sort="created_at")]
        assert [run and run.id for run in found] == [last, first]


async def test_an_archived_run_is_found_on_demand() -> None:
    async with place() as at:
        (run_id,) = await launched(at, "Ada")
        await at.org.runs.archive(run_id)
        assert await at.org.runs.find_by_name("Ada") is None
        found = await at.org.runs.find_by_name("Ada", archived="only")
        assert found is not None
        assert found.id == run_id


@pytest.mark.parametrize("name", ["", "  ", None, 5])
async def test_no_name_finds_nothing(name: str) -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match="name must be a str that is not empty"):
            await at.org.runs.find_by_name(name)
        assert at.received == []


async def test_a_name_may_stand_on_a_later_page() -> None:
    async with place() as at:
        await launched(at, *[f"Ada {number}" for number in range(101)], "Ada")
        at.tenant.runs[(await launched(at, "x"))[0]].created_at = 0
        found = await at.org.runs.find_by_name("Ada", sort="created_at")
        assert found is not None
        assert found.name == "Ada"
        assert [request.query["page"] for request in at.received if request.method == "GET"] == ["1", "2"]


@pytest.mark.parametrize(("wanted", "sent"), [(True, "true"), (False, "false"), (None, None)])
async def test_answers_of_all_tasks_come_on_demand(wanted: bool | None, sent: str | None) -> None:
    async with place(runs=1, tasks=5) as at:
        await at.org.runs.get(at.run().id, form_fields_values=wanted, with_=["tasks"])
        assert dict(at.received[0].query) == {"with": "tasks"} | ({"form_fields_values": sent} if sent else {})


async def test_the_fields_of_a_run_tell_where_answers_go() -> None:
    async with place() as at:
        run = await at.org.runs.launch(at.checklist().id)
        fields = await at.org.runs.form_fields(run.id)
        definitions = {
            field.id: task.id for task in at.tenant.tasks.values() if task.run_id == run.id for field in task.captures
        }
        assert {field.id: field.task_id for field in fields.form_fields or ()} == definitions
        assert [field.id for field in fields.ko_form_fields or ()] == [field.id for field in at.checklist().prerun]
        assert fields.extra == {}


async def test_the_kickoff_form_is_submitted_and_opened_again() -> None:
    async with place() as at:
        run = await at.org.runs.launch(at.checklist().id)
        opened = await at.org.runs.reopen_prerun(run.id)
        assert (opened.prerun_status, opened.prerun_completed_at) == ("incomplete", None)
        submitted = await at.org.runs.complete_prerun(run.id)
        assert submitted.prerun_status in {"complete", "completed"}
        assert submitted.prerun_completed_by == 1001
        assert submitted.prerun_completed_at is not None
        assert [request.body for request in at.received[1:]] == [b"", b""]


async def test_only_an_archived_run_is_deleted() -> None:
    async with place() as at:
        run = at.run()
        with pytest.raises(Exception, match=r"-> 4(04|22)"):
            await at.org.runs.delete(run.id)
        await at.org.runs.archive(run.id)
        token = at.sandbox.world.personal_token(1002, life=3600).value
        with pytest.raises(PermissionDeniedError):
            await at.tallyfy.with_options(auth=token).organization().runs.delete(run.id)
        await at.org.runs.delete(run.id)
        with pytest.raises(NotFoundError):
            await at.org.runs.get(run.id)
