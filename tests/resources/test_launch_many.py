from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint

from tallyfy_async import ConfigurationError, KickoffError, NotFoundError, TallyfyClient
from tallyfy_async.engine.bulk import Report, Row, State, read_csv, read_report, write_csv
from tallyfy_async.models import Run
from tallyfy_async.models.forms import KickoffForm
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.sandbox.records import Checklist
from tests.engine.flaky import Flaky, lost
from tests.helpers import small_sandbox
from tests.resources.place import Place, place
from tests.resources.test_kickoff import VALUES, answers, operations, whole

pytestmark = pytest.mark.anyio


def states(report: Report[Any]) -> dict[str, State]:
    return {row.key: row.state for row in report}


def launched(at: Place) -> list[str]:
    """Return the names of the runs of the template that the sandbox holds beside the seeded ones."""
    return sorted(run.name for run in at.tenant.runs.values() if run.name.startswith("Row "))


async def test_the_template_is_read_once_for_all_rows() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        rows = [{"name": f"Row {n}", "kickoff": answers(template.prerun)} for n in range(1, 13)]
        report = await at.org.runs.launch_many(rows, checklist_id=template.id, concurrency=4)
        assert operations(at) == ["get_checklist", *["launch_run"] * 12]
        assert report.complete
        assert [row.key for row in report] == [str(n) for n in range(1, 13)]
        for row in report:
            assert isinstance(row.result, Run)
            assert row.reference == row.result.id
            assert row.result.name == f"Row {row.key}"
            assert len(at.tenant.runs[row.result.id].prerun) == len(template.prerun)


async def test_a_ready_form_makes_no_read() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        form = await at.org.checklists.kickoff_form(template.id)
        field = template.prerun[0]
        rows: list[dict[str, Any]] = [
            {"key": "by label", "kickoff": answers(template.prerun)},
            {"key": "filled", "kickoff": form.fill(answers(template.prerun))},
            {"key": "by id", "prerun": {field.id: VALUES[field.field_type]}},
        ]
        report = await at.org.runs.launch_many(rows, checklist_id=template.id, form=form)
        assert operations(at) == ["get_checklist", *["launch_run"] * 3]
        assert states(report) == dict.fromkeys(["by label", "filled", "by id"], State.DONE)


async def test_rows_may_come_asynchronously() -> None:
    async def rows(template: Checklist) -> AsyncIterator[dict[str, Any]]:
        for n in range(3):
            await checkpoint()
            yield {"name": f"Row {n}", "kickoff": answers(template.prerun), "key": n}

    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        report = await at.org.runs.launch_many(rows(template), checklist_id=template.id)
        assert states(report) == dict.fromkeys(["0", "1", "2"], State.DONE)


def wrong_rows(template: Checklist) -> list[Any]:
    good = answers(template.prerun)
    label = next(field.label for field in template.prerun if field.field_type == "radio")
    return [
        {"name": "Row 1", "kickoff": good},
        {"name": "Row 2", "kickoff": {**good, label: "Hihg", "Colour": "red"}},
        {"name": "Row 3"},
        {"nmae": "Row 4", "kickoff": good},
        {"name": "Row 5", "kickoff": good, "prerun": {}},
        {"name": "Row 6", "prerun": {"Start": 1}},
        "Row 7",
        {"key": "", "kickoff": good},
        {"key": "nine", "kickoff": good},
    ]


async def test_the_problems_of_all_rows_are_told_before_the_first_launch() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        work = at.org.runs.launch_many(wrong_rows(template), checklist_id=template.id)
        with pytest.raises(KickoffError) as caught:
            await work
        assert operations(at) == ["get_checklist"]
        required = next(field.label for field in template.prerun if field.required)
        fields = caught.value.fields
        assert fields["row 2, Colour"].startswith("is no field of the form")
        assert "did you mean 'High'" in next(told for name, told in fields.items() if "did you mean 'High'" in told)
        assert fields[f"row 3, {required}"] == "is required"
        assert fields["row 4"] == "row: does not know 'nmae': did you mean 'name'?"
        assert "not both" in fields["row 5"]
        assert "is no field id" in fields["row 6"]
        assert "must be a mapping" in fields["row 7"]
        assert "key must be a text" in fields["row 8"]
        assert not [name for name in fields if name.startswith(("row 1", "row nine"))]
        assert str(caught.value).startswith("7 rows cannot be launched, nothing was: row 2")
        assert len(work.report) == 0


async def test_a_long_list_of_problems_is_told_in_part() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        with pytest.raises(KickoffError, match=r"30 rows cannot be launched.*; and 20 more$") as caught:
            await at.org.runs.launch_many([{"kickoff": {"x": 1}}] * 30, checklist_id=at.checklist().id)
        assert len(caught.value.fields) == 30


async def test_rows_that_do_not_fit_can_be_skipped() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        report = await at.org.runs.launch_many(
            wrong_rows(template), checklist_id=template.id, skip_invalid=True, concurrency=1
        )
        refused = dict.fromkeys(["2", "3", "4", "5", "6", "7", "8"], State.REFUSED)
        assert states(report) == {"1": State.DONE, "nine": State.DONE, **refused}
        assert launched(at) == ["Row 1"]
        problem = report["2"].problem
        assert problem is not None
        assert problem.kind == "KickoffError"
        assert "Colour" in problem.fields
        # Corrected, they are launched; those that are done stay.
        rows = [{"name": f"Row {n}", "kickoff": answers(template.prerun)} for n in range(1, 4)]
        await at.org.runs.launch_many(rows, checklist_id=template.id, resume=report)
        assert launched(at) == ["Row 1", "Row 2", "Row 3"]


async def test_a_row_that_landed_is_not_made_refused_by_a_later_check() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        report: Report[Run] = Report.of([Row(key="1", state=State.UNKNOWN), Row(key="2", state=State.DONE)])
        wrong = [{"kickoff": {"x": 1}}] * 3
        await at.org.runs.launch_many(wrong, checklist_id=at.checklist().id, resume=report, skip_invalid=True)
        assert states(report) == {"1": State.UNKNOWN, "2": State.DONE, "3": State.REFUSED}


async def test_refused_and_unknown_launches_are_told_apart() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = at.checklist()
        at.sandbox.faults.add(Fault(operation="launch_run", status=422, times=1))
        at.sandbox.faults.add(Fault(operation="launch_run", status=502, times=1))
        rows = [{"name": f"Row {n}"} for n in (1, 2, 3)]
        report = await at.org.runs.launch_many(rows, checklist_id=template.id, concurrency=1)
        assert states(report) == {"1": State.REFUSED, "2": State.UNKNOWN, "3": State.DONE}
        first = report["1"].problem
        assert first is not None
        assert first.status == 422
        before = launched(at)
        await at.org.runs.launch_many(rows, checklist_id=template.id, resume=report)
        assert states(report) == {"1": State.DONE, "2": State.UNKNOWN, "3": State.DONE}
        assert launched(at) == sorted([*before, "Row 1"])
        await at.org.runs.launch_many(rows, checklist_id=template.id, resume=report, retry_unknown=True)
        assert report.complete


async def test_a_row_whose_number_now_means_another_one_is_not_taken_for_done() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = at.checklist()
        rows = [{"name": "Row 1"}, {"name": "Row 2"}]
        report = await at.org.runs.launch_many(rows, checklist_id=template.id)
        saved: Report[Run] = Report.from_json(report.to_json(), Run)
        assert saved["1"].result == report["1"].result
        with pytest.raises(ConfigurationError, match="'1' is done in the report, but was another job"):
            await at.org.runs.launch_many([{"name": "Row 0"}, *rows], checklist_id=template.id, resume=saved)
        assert launched(at) == ["Row 1", "Row 2"]


async def test_a_dead_credential_stops_the_rest() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        form = await at.org.checklists.kickoff_form(at.checklist().id)
        at.sandbox.faults.add(Fault(operation="launch_run", status=401, times=None))
        rows = [{"name": f"Row {n}"} for n in range(50)]
        report = await at.org.runs.launch_many(rows, checklist_id=at.checklist().id, form=form, concurrency=2)
        assert at.sandbox.stats.by_operation["launch_run"] <= 4
        assert report.stopped is not None
        assert not report.done
        assert len(report) == 50


async def test_wrong_arguments_are_told_at_once() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        runs, ident = at.org.runs, "a" * 32
        other = KickoffForm(checklist_id="f" * 32, fields=())
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"rows": "abc"}, "rows must be an iterable of mappings"),
            ({"rows": {"name": "x"}}, "rows must be an iterable of mappings"),
            ({"rows": None}, "rows must be an iterable"),
            ({"checklist_id": ""}, "checklist_id must be a str"),
            ({"checklist_id": None}, "checklist_id must be a str"),
            ({"form": other}, "form is that of template f{32}"),
            ({"concurrency": 0}, "concurrency must be"),
            ({"resume": {}}, "resume must be a Report"),
        ]
        for change, told in wrong:
            given: dict[str, Any] = {"rows": [], "checklist_id": ident, **change}
            with pytest.raises(ConfigurationError, match=told):
                runs.launch_many(given.pop("rows"), **given)
        assert at.sandbox.stats.requests == 0


async def test_an_unknown_template_ends_it_before_any_launch() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        with pytest.raises(NotFoundError):
            await at.org.runs.launch_many([{}], checklist_id="f" * 32)
        with pytest.raises(ConfigurationError, match="two jobs have the key 'x'"):
            await at.org.runs.launch_many([{"key": "x"}, {"key": "x"}], checklist_id=at.checklist().id)
        assert operations(at) == ["get_checklist", "get_checklist"]


async def test_progress_is_told() -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        told: list[tuple[str, int]] = []

        def hook(row: Row[Run], report: Report[Run]) -> None:
            told.append((row.key, report.count(State.DONE)))

        await at.org.runs.launch_many([{}, {}], checklist_id=at.checklist().id, on_progress=hook, concurrency=1)
        assert told == [("1", 1), ("2", 2)]


CELLS = {
    "text": "Acme",
    "textarea": '"one\ntwo"',
    "email": "ada@example.com",
    "date": "2026-12-01 09:30:00",
    "radio": "high",
    "dropdown": "2",
    "multiselect": "Teams; Jira",
    "table": '"[{""Item"": ""Pen"", ""Quantity"": 2}]"',
    "assignees_form": "1001; guest@example.org",
    "file": "https://example.com/a.pdf",
}
STORED = {
    "text": "Acme",
    "textarea": "one\ntwo",
    "email": "ada@example.com",
    "date": "2026-12-01 09:30:00",
    "radio": "High",
    "dropdown": {"id": 2, "text": "Americas"},
    "multiselect": [{"id": 2, "text": "Teams", "selected": True}, {"id": 4, "text": "Jira", "selected": True}],
    "table": ["Pen", 2, None],
    "assignees_form": {"users": [1001], "guests": ["guest@example.org"], "groups": []},
}


async def test_rows_of_a_csv_file_are_launched_and_written_back(tmp_path: Path) -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        template = whole(at)
        path, out = tmp_path / "rows.csv", tmp_path / "out.csv"
        labels = [field.label.lower() for field in template.prerun]
        cells = [CELLS[field.field_type] for field in template.prerun]
        required = [CELLS[field.field_type] if field.required else "" for field in template.prerun]
        lines = [
            ",".join(["key", "name", "summary", "owner_id", *labels]),
            ",".join(["ada", "Row Ada", "First", "1001", *cells]),
            ",".join(["bob", "Row Bob", "", "", *required]),
            ",".join(["eve", "Row Eve", "", "me", *cells]),
        ]
        path.write_text("\n".join(lines), "utf-8")
        rows = read_csv(path)
        report = await at.org.runs.launch_many(rows, checklist_id=template.id, skip_invalid=True)
        assert states(report) == {"eve": State.REFUSED, "ada": State.DONE, "bob": State.DONE}
        run = at.tenant.runs[report["ada"].reference or ""]
        assert (run.name, run.summary, run.owner_id) == ("Row Ada", "First", 1001)
        by_type = {field.field_type: run.prerun[field.id] for field in template.prerun}
        assert [entry["url"] for entry in by_type.pop("file")] == ["https://example.com/a.pdf"]
        assert by_type == STORED
        bob = at.tenant.runs[report["bob"].reference or ""]
        assert bob.prerun.keys() == {field.id for field in template.prerun if field.required}

        write_csv(out, report, rows)
        text = out.read_text("utf-8-sig")
        assert "row: owner_id must be int, not str" in text
        out.write_text(text.replace("Row Eve,,me", "Row Eve,,1001"), "utf-8")
        resumed = await at.org.runs.launch_many(read_csv(out), checklist_id=template.id, resume=read_report(out))
        assert resumed.complete
        assert launched(at) == ["Row Ada", "Row Bob", "Row Eve"]


async def test_lists_in_cells_and_wrong_columns(tmp_path: Path) -> None:
    async with place(templates=3, runs=1, tasks=5) as at:
        path = tmp_path / "rows.csv"
        tag, other = sorted(at.tenant.tags)[:2]
        path.write_text(f'name,tags\nRow 1,"{tag}; {other};"\n', "utf-8")
        await at.org.runs.launch_many(read_csv(path), checklist_id=at.checklist().id)
        assert at.bodies()[1]["tags"] == [tag, other]
        path.write_text("nmae,key\nRow 1,a\nRow 2,b\n", "utf-8")
        with pytest.raises(KickoffError) as caught:
            await at.org.runs.launch_many(read_csv(path), checklist_id=at.checklist().id)
        assert list(caught.value.fields) == ["row a, nmae", "row b, nmae"]


def test_texts_become_values() -> None:
    form = KickoffForm(checklist_id="f" * 32, fields=())
    assert form.parse({"x": "y", "z": "  "}) == {"x": "y"}


class Leisurely(httpx.AsyncBaseTransport):
    """Serves from a sandbox after some rounds of the scheduler, and takes some more to bring the reply back."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._inner = httpx.ASGITransport(app=sandbox.app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await checkpoint()
        response = await self._inner.handle_async_request(request)
        await checkpoint()
        return response


async def cut(by: str, work: Any, step: int) -> bool:
    """Cancel a bulk after some rounds, by its scope or natively; tell whether it was under way."""

    async def run() -> None:
        await work

    if by == "task":
        task = asyncio.create_task(run())
        for _ in range(step):
            await asyncio.sleep(0)
        under_way = task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return under_way
    under_way = False
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def fire() -> None:
            nonlocal under_way
            for _ in range(step):
                await checkpoint()
            under_way = True
            scope.cancel()

        group.start_soon(fire)
        with scope:
            await run()
        group.cancel_scope.cancel()
    return under_way


@pytest.mark.parametrize(("anyio_backend", "by"), [("asyncio", "scope"), ("trio", "scope"), ("asyncio", "task")])
async def test_a_launch_that_was_cut_is_never_taken_for_undone(by: str) -> None:
    sandbox = small_sandbox(templates=3, runs=1, tasks=5)
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    template = next(one for one in tenant.checklists.values() if one.title == "Invoice Approval")
    step = 0
    while True:
        rows = [{"name": f"Row {step}.{n}"} for n in range(4)]
        async with TallyfyClient(
            sandbox.credentials.personal_token, base_url=sandbox.url, transport=Leisurely(sandbox)
        ) as tallyfy:
            runs = tallyfy.organization(sandbox.credentials.organization).runs
            work = runs.launch_many(rows, checklist_id=template.id, concurrency=2)
            under_way = await cut(by, work, step)
            there = {run.name for run in tenant.runs.values()}
            for n, row in enumerate(rows, 1):
                state = work.report[str(n)].state if str(n) in work.report else State.NOT_RUN
                assert state is not State.DONE or row["name"] in there
                assert state is not State.NOT_RUN or row["name"] not in there
            await runs.launch_many(rows, checklist_id=template.id, resume=work.report)
            names = [run.name for run in tenant.runs.values() if run.name.startswith(f"Row {step}.")]
            assert len(names) == len(set(names))
            assert len(work.report) == 4
        if not under_way:
            break
        step += 1
    assert step > 20


async def test_a_lost_reply_is_unknown_and_a_plan_b_is_the_readers() -> None:
    sandbox = small_sandbox(templates=3, runs=1, tasks=5)
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    template = next(one for one in tenant.checklists.values() if one.title == "Invoice Approval")
    transport = Flaky(sandbox, [lambda _: None, lost])
    async with TallyfyClient(sandbox.credentials.personal_token, base_url=sandbox.url, transport=transport) as tallyfy:
        runs = tallyfy.organization(sandbox.credentials.organization).runs
        report = await runs.launch_many([{}, {}], checklist_id=template.id, concurrency=1)
        assert states(report) == {"1": State.UNKNOWN, "2": State.DONE}
        problem = report["1"].problem
        assert problem is not None
        assert problem.kind == "IndeterminateError"
