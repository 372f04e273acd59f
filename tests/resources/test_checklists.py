from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async import ConfigurationError, NotFoundError, ValidationError
from tallyfy_async.models import Checklist as Template
from tallyfy_async.models.fields import PrerunInput
from tallyfy_async.sandbox import UNSET, Fault
from tallyfy_async.sandbox.records import Checklist
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio
TEXT = PrerunInput(label="Notes", field_type="text", required=False)


def shared(at: Place) -> Checklist:
    """Return a template that members and a group have access to."""
    row = at.checklist()
    row.users, row.groups = [1001, 1002], [next(iter(at.tenant.groups))]
    return row


def rich(at: Place) -> Checklist:
    """Return the template whose kick-off form has fields of all ten types."""
    return next(row for row in at.tenant.checklists.values() if len(row.prerun) == 10)


def methods(at: Place) -> list[str]:
    return [request.method for request in at.received]


async def test_an_update_keeps_who_has_access() -> None:
    async with place() as at:
        row = shared(at)
        groups = list(row.groups)
        changed = await at.org.checklists.update(row.id, guidance="Read this first", folder_id=None)
        assert (row.guidance, row.users, row.groups) == ("Read this first", [1001, 1002], groups)
        assert (changed.guidance, changed.users) == ("Read this first", (1001, 1002))
        assert methods(at) == ["GET", "PUT"]
        assert at.bodies()[1] == {
            "title": "Invoice Approval",
            "users": [1001, 1002],
            "groups": groups,
            "guidance": "Read this first",
            "folder_id": None,
        }


async def test_one_list_given_keeps_the_other() -> None:
    async with place() as at:
        row = shared(at)
        groups = list(row.groups)
        await at.org.checklists.update(row.id, users=[])
        assert (row.users, row.groups) == ([], groups)


async def test_all_given_costs_no_read() -> None:
    async with place() as at:
        row = shared(at)
        await at.org.checklists.update(row.id, title="Bills", users=[1001], groups=[])
        assert (row.title, row.users, row.groups, methods(at)) == ("Bills", [1001], [], ["PUT"])


async def test_replacing_says_everything_that_would_be_emptied() -> None:
    async with place() as at:
        row = shared(at)
        with pytest.raises(ConfigurationError, match=r"checklists\.replace: lacks groups, users"):
            await at.org.checklists.replace(row.id, title="Bills")  # type: ignore[call-arg]
        await at.org.checklists.replace(row.id, title="Bills", users=[], groups=[])
        assert (row.title, row.users, row.groups, methods(at)) == ("Bills", [], [], ["PUT"])


@pytest.mark.parametrize("lacking", ["users", "groups"])
async def test_a_read_without_what_would_be_emptied_changes_nothing(lacking: str) -> None:
    async with place() as at:
        row = shared(at)
        at.sandbox.faults.add(Fault(operation="get_checklist", patch={"data": {lacking: UNSET}}))
        with pytest.raises(ConfigurationError, match=f"read without {lacking}"):
            await at.org.checklists.update(row.id, guidance="x")
        assert methods(at) == ["GET"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs something to change"),
        ({"name": "Bills"}, "did you mean 'title'"),
        ({"description": "x"}, "did you mean 'summary'"),
        ({"prerun": []}, "does not know 'prerun'"),
        ({"users": ["1001"]}, "must be int"),
        ({"is_public": "yes"}, "must be bool"),
    ],
)
async def test_wrong_changes_are_told_before_anything_is_sent(fields: Any, message: str) -> None:
    async with place() as at:
        with pytest.raises(ConfigurationError, match=message):
            await at.org.checklists.update(at.checklist().id, **fields)
        assert not at.received


async def test_a_new_template_has_its_form_in_the_order_given() -> None:
    async with place() as at:
        first, second = PrerunInput(label="B", field_type="text", required=True), {**TEXT, "label": "A"}
        made = await at.org.checklists.create(title="Payroll", type="procedure", prerun=[first, second])  # type: ignore[list-item]
        assert [(one.label, one.position) for one in made.prerun or ()] == [("B", 1), ("A", 2)]
        assert (made.title, made.users, made.groups) == ("Payroll", (), ())
        assert made.id in at.tenant.checklists


async def test_archiving_hides_and_restoring_brings_back() -> None:
    async with place() as at:
        row = at.checklist()
        gone = await at.org.checklists.archive(row.id)
        assert gone.message
        assert gone.deleted_references == ()
        with pytest.raises(NotFoundError):
            await at.org.checklists.get(row.id)
        with pytest.raises(NotFoundError):
            await at.org.checklists.update(row.id, guidance="x")
        assert [one.id async for one in at.org.checklists.list(archived="only")] == [row.id]
        assert (await at.org.checklists.restore(row.id)).archived_at is None
        assert (await at.org.checklists.get(row.id)).title == row.title


async def test_only_archived_templates_are_deleted_for_good() -> None:
    async with place() as at:
        row = at.checklist()
        with pytest.raises(ValidationError):
            await at.org.checklists.delete(row.id)
        await at.org.checklists.archive(row.id)
        await at.org.checklists.delete(row.id)
        assert row.id not in at.tenant.checklists


async def test_archiving_may_answer_nothing() -> None:
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="archive_checklist", status=204, body=b"", stage="after"))
        assert (await at.org.checklists.archive(at.checklist().id)).deleted_references is None


@pytest.mark.parametrize("style", [{"a": "b"}, [{"type": "Step", "id": "0a" * 16, "title": "Read"}]])
async def test_references_that_went_come_as_list_or_as_map(style: Any) -> None:
    async with place() as at:
        reply = {"message": "x", "deleted_references": style if isinstance(style, list) else {}}
        at.sandbox.faults.add(Fault(operation="archive_checklist", body=reply))
        gone = await at.org.checklists.archive(at.checklist().id)
        assert [one.title for one in gone.deleted_references or ()] == (["Read"] if isinstance(style, list) else [])


@pytest.mark.parametrize("body", [b"", {"data": {}}, {"data": []}, {"message": "Published"}])
@pytest.mark.parametrize("verb", ["publish", "restore"])
async def test_replies_that_tell_nothing_are_read_again(verb: str, body: Any) -> None:
    async with place() as at:
        row = at.checklist()
        row.dual_version_enabled = True
        if verb == "restore":
            await at.org.checklists.archive(row.id)
        at.sandbox.faults.add(Fault(operation=f"{verb}_checklist", status=200, body=body, stage="after"))
        template: Template = await getattr(at.org.checklists, verb)(row.id)
        assert (template.id, template.title) == (row.id, row.title)
        assert methods(at)[-2:] == ["PUT", "GET"]


async def test_a_copy_is_named_after_its_model() -> None:
    async with place() as at:
        copy = await at.org.checklists.clone(at.checklist().id)
        assert copy.title == "COPY OF - Invoice Approval"
        assert copy.id != at.checklist().id
        assert at.bodies() == [{"tenant": at.org.id}]


async def test_a_name_is_found_as_it_is_written() -> None:
    async with place() as at:
        row = at.checklist()
        other = await at.org.checklists.create(title="Invoice Approval (old)", type="procedure")
        assert (found := await at.org.checklists.find_by_name("Invoice Approval"))
        assert found.id == row.id
        assert (found := await at.org.checklists.find_by_name("Invoice Approval (old)"))
        assert found.id == other.id
        assert await at.org.checklists.find_by_name("invoice approval") is None
        assert await at.org.checklists.find_by_name("Invoice") is None


async def test_a_name_is_looked_for_on_every_page() -> None:
    async with place(page_sizes={"list_checklists": (1, 1)}) as at:
        for title in ("Report 1", "Report", "Report 2"):
            await at.org.checklists.create(title=title, type="form")
        assert (found := await at.org.checklists.find_by_name("Report"))
        assert found.title == "Report"
        assert len([one for one in at.received if one.method == "GET"]) > 1


async def test_all_fields_of_a_template_come_at_once() -> None:
    async with place() as at:
        row = rich(at)
        found = await at.org.checklists.form_fields(row.id)
        assert [one.id for one in found.ko_form_fields or ()] == [one.id for one in row.prerun]
        assert {one.id for one in found.form_fields or ()} == {
            field.id for step in row.steps for field in step.captures
        }


async def form(at: Place, row: Checklist) -> list[dict[str, Any]]:
    """Return the kick-off fields as the API shows them, without their moments."""
    template = await at.org.checklists.get(row.id)
    shown = sorted(template.prerun or (), key=lambda one: one.position or 0)
    return [{k: v for k, v in one.to_dict().items() if k not in {"last_updated", "position"}} for one in shown]


async def test_a_kick_off_field_is_added_and_the_rest_stays_as_it_is() -> None:
    async with place() as at:
        row = rich(at)
        row.users = [1001]
        before = await form(at, row)
        assert len({one["field_type"] for one in before}) == 10
        template = await at.org.checklists.preruns.create(row.id, TEXT)
        after = await form(at, row)
        assert after[:-1] == before
        assert (after[-1]["label"], row.users) == ("Notes", [1001])
        assert [one.position for one in template.prerun or ()] == list(range(1, 12))


async def test_a_kick_off_field_is_changed_alone() -> None:
    async with place() as at:
        row = rich(at)
        before = await form(at, row)
        target = before[3]
        await at.org.checklists.preruns.update(row.id, target["id"], {"label": "Renamed", "required": False})
        after = await form(at, row)
        assert after == [{**one, "label": "Renamed", "required": False} if one is target else one for one in before]


async def test_kick_off_fields_are_put_in_order() -> None:
    async with place() as at:
        row = rich(at)
        ids = [one.id for one in row.prerun]
        await at.org.checklists.kickoff_fields.reorder(row.id, [ids[4], ids[1]])
        shown = await form(at, row)
        assert [one["id"] for one in shown] == [ids[4], ids[1], ids[0], *ids[2:4], *ids[5:]]


async def test_a_form_is_replaced_by_ids_and_new_fields() -> None:
    async with place() as at:
        row = rich(at)
        template = await at.org.checklists.get(row.id)
        kept = (template.prerun or ())[2].as_input()
        await at.org.checklists.preruns.replace(row.id, [TEXT, kept])
        shown = await form(at, row)
        assert [one["label"] for one in shown] == ["Notes", kept["label"]]
        assert shown[1]["id"] == kept.get("id")


async def test_ids_that_the_form_lacks_are_told_before_the_form_is_written() -> None:
    async with place() as at:
        row, strange = at.checklist(), "0a" * 16
        preruns = at.org.checklists.preruns
        for call in (
            preruns.update(row.id, strange, {"label": "x"}),
            preruns.reorder(row.id, [strange]),
            preruns.replace(row.id, [{**TEXT, "id": strange}]),
        ):
            with pytest.raises(ConfigurationError, match=f"has no field '{strange}'"):
                await call
        assert set(methods(at)) == {"GET"}


@pytest.mark.parametrize("lacking", ["users", "groups", "prerun"])
async def test_a_form_read_without_what_an_update_empties_is_not_written(lacking: str) -> None:
    async with place() as at:
        at.sandbox.faults.add(Fault(operation="get_checklist", patch={"data": {lacking: UNSET}}))
        with pytest.raises(ConfigurationError, match="would empty"):
            await at.org.checklists.preruns.create(at.checklist().id, TEXT)
        assert methods(at) == ["GET"]


async def test_a_field_read_without_its_definition_is_not_written() -> None:
    async with place() as at:
        bare = [{"id": "0a" * 16, "label": "Name", "field_type": "text"}]
        at.sandbox.faults.add(Fault(operation="get_checklist", patch={"data": {"prerun": bare}}))
        with pytest.raises(ConfigurationError, match="read without required"):
            await at.org.checklists.preruns.create(at.checklist().id, TEXT)
        assert methods(at) == ["GET"]


async def test_a_wrong_definition_is_told_before_anything_is_sent() -> None:
    async with place() as at:
        preruns: Any = at.org.checklists.preruns
        with pytest.raises(ConfigurationError, match="did you mean 'guidance'"):
            await preruns.create(at.checklist().id, {**TEXT, "help_text": "x"})
        with pytest.raises(ConfigurationError, match="lacks required"):
            await preruns.create(at.checklist().id, {"label": "x", "field_type": "text"})
        with pytest.raises(ConfigurationError, match="needs something to change"):
            await preruns.update(at.checklist().id, "0a" * 16, {})
        assert not at.received
