from __future__ import annotations

import traceback
from typing import Any, get_args

import pytest

from tallyfy_async import DecodeError, Outcome, PaginationError, TallyfyError, errors
from tallyfy_async.sandbox import UNSET, Fault
from tallyfy_async.sandbox.settings import DateSpelling, LinksStyle
from tests.resources.place import place

pytestmark = pytest.mark.anyio
JUNK = b"junk-value " * 1_000_000
MANY = b'{"data":[' + b'"junk-value",' * 800_000 + b'"junk-value"]}'


@pytest.mark.parametrize("style", get_args(LinksStyle))
async def test_every_spelling_of_links_makes_the_same_walk(style: LinksStyle) -> None:
    async with place(links_style=style) as at:
        live = [run.id for run in at.tenant.runs.values() if not run.archived_at]
        walked = [run.id async for run in at.org.runs.list(per_page=4)]
        async with at.org.runs.list(per_page=4).prefetch(3) as items:
            ahead = [run.id async for run in items]
        assert sorted(walked) == sorted(live)
        assert ahead == walked


@pytest.mark.parametrize("style", get_args(LinksStyle))
async def test_links_alone_carry_a_walk(style: LinksStyle) -> None:
    numbers: Any = {"total_pages": UNSET, "current_page": UNSET}
    async with place(links_style=style) as at:
        at.sandbox.faults.add(Fault(operation="list_runs", times=None, patch={"meta": {"pagination": numbers}}))
        live = {run.id for run in at.tenant.runs.values() if not run.archived_at}
        if style in {"auto", "prev"}:
            assert {run.id async for run in at.org.runs.list(per_page=4)} == live
        else:
            with pytest.raises(PaginationError, match=f"4 of {len(live)}"):
                await at.org.runs.list(per_page=4).collect()


async def test_a_list_without_meta_is_one_page() -> None:
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="list_users", patch={"meta": UNSET}))
        page = await at.org.users.list(per_page=3)
        assert (len(page), page.has_next, page.total, page.total_pages) == (3, False, None, None)


async def test_owners_come_as_ids_or_as_objects() -> None:
    async with place() as at:
        row = at.task(test=lambda task: bool(task.users))
        inputs = []
        for style in ("ids", "objects"):
            at.sandbox.configure(owners_style=style)
            task = await at.org.runs.tasks.get(row.run_id or "", row.id)
            assert task.owners is not None
            assert task.owners.users is not None
            assert (task.owners.users[0].full_name is None) is (style == "ids")
            inputs.append(task.owners.as_input())
        assert inputs[0] == inputs[1] == {"users": row.users, "guests": row.guests, "groups": row.groups}


async def test_an_update_keeps_members_that_come_as_objects() -> None:
    async with place(owners_style="objects") as at:
        run = at.run(lambda run: bool(run.users))
        before = list(run.users)
        await at.org.runs.update(run.id, starred=True)
        assert run.users == before


async def test_dates_come_in_five_spellings() -> None:
    async with place() as at:
        run, moments = at.run(lambda run: bool(run.completed_at)), set()
        for spelling in get_args(DateSpelling):
            at.sandbox.configure(date_spelling=spelling)
            found = await at.org.runs.get(run.id)
            moments.add((found.created_at, found.completed_at, found.due_date))
        assert len(moments) == 1
        created, completed, _ = moments.pop()
        assert created is not None
        assert completed is not None
        assert (created.timestamp(), completed.timestamp()) == (run.created_at, run.completed_at)


@pytest.mark.parametrize("style", ["docs", "laravel"])
async def test_validation_errors_come_in_two_spellings(style: str) -> None:
    async with place(validation_style=style) as at:
        with pytest.raises(errors.ValidationError) as caught:
            await at.org.runs.list(status="nonsense")
        assert caught.value.fields == {"status": ["The selected status is invalid."]}


@pytest.mark.parametrize(("twice", "kind"), [("ok", None), ("error", errors.ValidationError)])
async def test_completing_twice_is_a_matter_of_the_server(twice: str, kind: type[Exception] | None) -> None:
    async with place(complete_twice=twice) as at:
        row = at.task("completed")
        if kind is None:
            assert (await at.org.runs.tasks.complete(row.run_id or "", row.id)).status == "completed"
        else:
            with pytest.raises(kind):
                await at.org.runs.tasks.complete(row.run_id or "", row.id)


async def test_what_the_models_do_not_know_is_kept() -> None:
    news = {"mood": "fine", "nested": {"a": [1, None]}}
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="get_run", times=None, patch={"data": news}))
        run = await at.org.runs.get(at.run().id)
        assert {name: run.extra[name] for name in news} == news
        assert run.to_dict()["nested"] == news["nested"]


@pytest.mark.parametrize(
    ("patch", "path", "types"),
    [
        ({"progress": {"percent": "sec-value"}}, "data.progress.percent", "got str"),
        ({"id": UNSET}, "data.id", "absent|missing|nothing|None"),
        ({"users": ["sec-value"]}, "data.users[0].id", "got str"),
        ({"created_at": "sec-value"}, "data.created_at", "got str"),
        ({"created_at": 5}, "data.created_at", "got int"),
        ({"starred": "sec-value"}, "data.starred", "got str"),
        ({"name": ["sec-value"]}, "data.name", "got list"),
    ],
)
async def test_a_wrong_value_is_told_by_path_and_type(patch: dict[str, Any], path: str, types: str) -> None:
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="get_run", patch={"data": patch}))
        with pytest.raises(DecodeError, match=types) as caught:
            await at.org.runs.get(at.run().id)
        assert caught.value.path == path
        assert path in str(caught.value)
        silent(caught.value)


def silent(error: TallyfyError) -> None:
    """Assert that no value of a payload shows in an error, its notes or its chain."""
    text = "".join(traceback.format_exception(error))
    assert "sec-value" not in text
    assert "junk-value" not in text


BROKEN = [
    ("HTML", Fault(status=200, body="<!DOCTYPE html><html>sec-value</html>"), "body", "no JSON.*text/html, status 200"),
    ("half a JSON", Fault(body=b'{"data":{"id":"sec-value', content_type="application/json"), "body", "no JSON"),
    ("nothing", Fault(body=b""), "body", "expected object, got null"),
    ("junk", Fault(body=JUNK), "body", "no JSON: 11000000 bytes"),
    ("a word", Fault(body='"sec-value"'), "body", "expected object, got string"),
    ("a bare list", Fault(body=[{"id": "sec-value"}]), "body", "expected object, got array"),
    ("null inside", Fault(body={"data": None}), "data", "got null"),
]


@pytest.mark.parametrize(("fault", "path", "message"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
async def test_a_reply_that_is_no_reply_is_a_decode_error(fault: Fault, path: str, message: str) -> None:
    async with place(runs=3, tasks=10) as at:
        run = at.run()
        at.sandbox.faults.add(fault, fault, fault)
        for call in (at.org.runs.get(run.id), at.org.runs.list(), at.org.runs.activate(run.id)):
            with pytest.raises(DecodeError, match=message) as caught:
                await call
            assert caught.value.path == path
            assert caught.value.outcome is Outcome.DONE
            silent(caught.value)
        assert at.sandbox.stats.requests == 3


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"data": {"id": "sec-value"}}, "data"),
        ({"data": ["sec-value"]}, "data[0]"),
        (MANY, "data[0]"),
        ({"data": [{"id": "a", "name": "b"}, {"id": "a", "name": {}}]}, "data[1].name"),
        ({"data": [], "meta": {"pagination": {"total": "sec-value"}}}, "meta.pagination.total"),
    ],
)
async def test_a_list_of_another_shape_is_a_decode_error(body: Any, path: str) -> None:
    async with place(runs=3, tasks=10) as at:
        at.sandbox.faults.add(Fault(operation="list_runs", body=body))
        with pytest.raises(DecodeError) as caught:
            await at.org.runs.list()
        assert caught.value.path == path
        silent(caught.value)


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("body", [b"<html>sec-value</html>", b'{"data":[{"id"', {"data": ["sec-value"]}, JUNK])
async def test_an_unreadable_page_loses_nothing_of_what_was_read_before(body: Any, ahead: bool) -> None:
    async with place() as at:
        live = [run.id for run in at.tenant.runs.values() if not run.archived_at]
        at.sandbox.faults.add(Fault(operation="list_runs", after=2, body=body))
        pager = at.org.runs.list(per_page=5)
        context = pager.prefetch(2)
        items = await context.__aenter__() if ahead else aiter(pager)
        seen: list[str] = []
        with pytest.raises(DecodeError):  # noqa: PT012 - what came before the error counts
            async for run in items:
                seen.append(run.id)  # noqa: PERF401 - likewise
        assert len(seen) in {10, 5}
        seen += [run.id async for run in items]
        if ahead:
            await context.__aexit__(None, None, None)
        assert sorted(seen) == sorted(live)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (422, errors.ValidationError),
        (500, errors.ServerError),
        (418, errors.APIError),
    ],
)
async def test_a_refused_write_is_sent_once_and_named(status: int, kind: type[errors.APIError]) -> None:
    async with place(runs=3, tasks=10) as at:
        at.sandbox.faults.add(Fault(operation="launch_run", status=status, body={"message": "no"}))
        with pytest.raises(kind) as caught:
            await at.org.runs.launch(at.checklist().id)
        assert str(caught.value).startswith(f"POST /organizations/{{org}}/runs -> {status}: no (sandbox-")
        assert at.sandbox.stats.by_operation == {"launch_run": 1}
        assert at.org.id not in str(caught.value)
