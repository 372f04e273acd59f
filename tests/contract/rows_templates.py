"""Templates with steps, form fields, kick-off fields and rules; legacy routes."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from tallyfy_async.models.fields import CaptureCreate, PrerunInput
from tests.contract.row import Row
from tests.resources.place import Place

ID = "0a" * 16
OTHER = "1b" * 16
TEXT = CaptureCreate(label="Notes", field_type="text", required=False)
NOTES = PrerunInput(label="Notes", field_type="text", required=False)
PLAN = PrerunInput(
    label="Plan", field_type="radio", required=False, options=[{"id": 1, "text": "A"}, {"id": 2, "text": "B"}]
)
DEADLINE: Any = {"value": 2, "unit": "days", "option": "from", "step": "start_run"}


async def archived(at: Place) -> Any:
    """Archive a template."""
    await at.org.checklists.archive(at.checklist().id)
    return at.checklist()


async def drawn(at: Place) -> Any:
    """Create a template with two steps and a kick-off field."""
    org = at.org
    made = await org.checklists.create(title="Draft", type="procedure", prerun=[PLAN], dual_version_enabled=True)
    first = await org.checklists.steps.create(made.id, title="First")
    second = await org.checklists.steps.create(made.id, title="Second")
    field = await org.checklists.steps.captures.create(made.id, first.id, TEXT)
    template = await org.checklists.get(made.id)
    assert template.prerun
    return {"id": made.id, "first": first.id, "second": second.id, "field": field.id, "prerun": template.prerun[0].id}


async def ruled(at: Place) -> Any:
    """Create a template with a rule."""
    made = await drawn(at)
    rule = await at.org.checklists.automations.create(made["id"], **rule_of(made))
    return {**made, "rule": rule.id}


def rule_of(made: Any) -> Any:
    """Return a rule that shows the second step once the first one is complete."""
    return {
        "automated_alias": "Show the second",
        "conditions": [{"conditionable_id": made["first"], "conditionable_type": "Step", "operation": "completed"}],
        "then_actions": [{"action_type": "visibility", "action_verb": "show", "target_step_id": made["second"]}],
    }


def every_action(made: Any) -> Any:
    """Return a rule with every kind of action and a condition on the kick-off form."""
    target = {"target_step_id": made["second"]}
    return {
        "automated_alias": "Everything",
        "conditions": [
            {
                "conditionable_id": made["prerun"],
                "conditionable_type": "Prerun",
                "operation": "equals_any",
                "statement": ["A", "B"],
                "logic": "and",
            },
            {
                "conditionable_id": made["field"],
                "conditionable_type": "Capture",
                "operation": "is_not_empty",
                "logic": "or",
            },
        ],
        "then_actions": [
            {"action_type": "visibility", "action_verb": "hide", **target},
            {
                "action_type": "deadline",
                "action_verb": "deadline",
                "deadline": {"value": 3, "unit": "days", "option": "from"},
                **target,
            },
            {
                "action_type": "assignment",
                "action_verb": "assign",
                "assignees": {"users": [1001], "guests": [], "groups": []},
                **target,
            },
            {
                "action_type": "webhook",
                "action_verb": "emit_webhook",
                "webhook_url": "https://example.com/hook",
                "alias_name": "Hook",
                **target,
            },
        ],
    }


ROWS = [
    Row(operation="list_checklists", call=lambda at: at.org.checklists.list()),
    Row(
        operation="list_checklists",
        call=lambda at: at.org.checklists.list(
            q="invoice",
            status="active",
            type="procedure",
            starred=True,
            folder=["a", "b"],
            tag="urgent",
            owner_id=1001,
            archived="only",
            sort_by="-updated",
            with_=["steps", "tags"],
            per_page=5,
        ),
    ),
    Row(
        operation="list_checklists", call=lambda at: one(at.org.checklists.find_by_name("Customer Onboarding Process"))
    ),
    Row(operation="get_checklist", call=lambda at: at.org.checklists.get(at.checklist().id)),
    Row(
        operation="get_checklist",
        call=lambda at: at.org.templates.get(
            at.checklist().id, with_=["steps", "tags", "folder"], entire_folder_tree=True
        ),
    ),
    Row(
        operation="create_checklist",
        call=lambda at: at.org.checklists.create(
            title="Payroll", type="procedure", summary="Every month", owner_id=1001, users=[1001], groups=[]
        ),
    ),
    Row(
        operation="create_checklist",
        call=lambda at: at.org.checklists.create(title="Survey", type="form", prerun=[PLAN, NOTES], guidance=None),
    ),
    Row(
        operation="update_checklist",
        call=lambda at: at.org.checklists.update(at.checklist().id, guidance="Read this first", is_pinned=True),
    ),
    Row(
        operation="update_checklist",
        call=lambda at: at.org.checklists.replace(at.checklist().id, title="Bills", users=[1001], groups=[]),
    ),
    Row(
        operation="update_checklist",
        call=lambda at: at.org.checklists.preruns.replace(at.checklist().id, [PLAN, NOTES]),
    ),
    Row(operation="archive_checklist", call=lambda at: at.org.checklists.archive(at.checklist().id)),
    Row(
        operation="restore_checklist",
        arrange=archived,
        call=lambda at: at.org.checklists.restore(at.arranged.id),
    ),
    Row(operation="delete_checklist", arrange=archived, call=lambda at: at.org.checklists.delete(at.arranged.id)),
    Row(operation="clone_checklist", call=lambda at: at.org.checklists.clone(at.checklist().id, title="Copy")),
    Row(operation="clone_checklist", call=lambda at: at.org.checklists.clone(at.checklist().id, tenant=at.org.id)),
    Row(
        operation="publish_checklist",
        arrange=drawn,
        call=lambda at: at.org.checklists.publish(at.arranged["id"]),
    ),
    Row(operation="get_checklist_form_fields", call=lambda at: at.org.checklists.form_fields(at.checklist().id)),
    Row(
        operation="get_checklist_steps_deadlines",
        call=lambda at: at.org.checklists.steps_deadlines(at.checklist().id),
    ),
    Row(operation="export_checklist", call=lambda at: at.org.checklists.export(at.checklist().id)),
    Row(
        operation="download_checklist_export",
        call=lambda at: content(at.org.checklists.download_export(at.checklist().id)),
    ),
    Row(operation="list_public_checklists", call=lambda at: at.tallyfy.public_checklists.list()),
    Row(operation="list_steps", call=lambda at: at.org.checklists.steps.list(at.checklist().id)),
    Row(
        operation="list_steps",
        call=lambda at: at.org.checklists.steps.list(at.checklist().id, with_=["tags"], per_page=3),
    ),
    Row(
        operation="get_step",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.get(at.arranged["id"], at.arranged["first"]),
    ),
    Row(
        operation="create_step",
        call=lambda at: at.org.checklists.steps.create(
            at.checklist().id,
            title="Manager approval",
            step_type="approval",
            summary="<p>Check it.</p>",
            deadline=DEADLINE,
            start_date={"value": 1, "unit": "days"},
            assignees=[1001],
            guests=[],
            groups=[],
        ),
    ),
    Row(
        operation="update_step",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.update(at.arranged["id"], at.arranged["first"], deadline=DEADLINE),
    ),
    Row(
        operation="update_step",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.replace(
            at.arranged["id"], at.arranged["first"], title="Call", assignees=[1001], guests=[], groups=[]
        ),
    ),
    Row(
        operation="delete_step",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.delete(at.arranged["id"], at.arranged["first"]),
    ),
    Row(
        operation="clone_step",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.clone(at.arranged["id"], at.arranged["first"]),
    ),
    Row(
        operation="reorder_step",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.reorder(at.arranged["id"], at.arranged["second"], position=1),
    ),
    Row(
        operation="create_capture",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.captures.create(
            at.arranged["id"],
            at.arranged["first"],
            {
                "field_type": "dropdown",
                "label": "Priority",
                "required": True,
                "position": 1,
                "options": [{"id": 1, "text": "High"}, {"id": 2, "text": "Low", "value": None}],
            },
        ),
    ),
    Row(
        operation="create_capture",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.captures.create(
            at.arranged["id"],
            at.arranged["first"],
            {
                "field_type": "table",
                "label": "Costs",
                "required": False,
                "columns": [{"id": 1, "label": "Item"}],
                "guidance": "One row",
                "settings": {},
            },
        ),
    ),
    Row(
        operation="update_capture",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.form_fields.replace(
            at.arranged["id"], at.arranged["first"], at.arranged["field"], {**TEXT, "label": "Legal name"}
        ),
    ),
    Row(
        operation="delete_capture",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.captures.delete(
            at.arranged["id"], at.arranged["first"], at.arranged["field"]
        ),
    ),
    Row(
        operation="reorder_capture",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.captures.reorder(
            at.arranged["id"], at.arranged["first"], capture_id=at.arranged["field"], position=1
        ),
    ),
    Row(
        operation="move_capture",
        arrange=drawn,
        call=lambda at: at.org.checklists.steps.captures.move(
            at.arranged["id"], at.arranged["first"], at.arranged["field"], target_step_id=at.arranged["second"]
        ),
    ),
    Row(
        operation="delete_prerun",
        arrange=drawn,
        call=lambda at: at.org.checklists.kickoff_fields.delete(at.arranged["id"], at.arranged["prerun"]),
    ),
    Row(
        operation="create_automated_action",
        arrange=drawn,
        call=lambda at: at.org.checklists.automations.create(at.arranged["id"], **rule_of(at.arranged)),
    ),
    Row(
        operation="create_automated_action",
        arrange=drawn,
        call=lambda at: at.org.checklists.automations.create(at.arranged["id"], **every_action(at.arranged)),
    ),
    Row(
        operation="update_automated_action",
        arrange=ruled,
        call=lambda at: at.org.checklists.automations.update(
            at.arranged["id"], at.arranged["rule"], **rule_of(at.arranged)
        ),
    ),
    Row(
        operation="update_automated_action",
        arrange=ruled,
        call=lambda at: at.org.checklists.automations.replace(
            at.arranged["id"], at.arranged["rule"], **every_action(at.arranged)
        ),
    ),
    Row(
        operation="delete_automated_action",
        arrange=ruled,
        call=lambda at: at.org.checklists.automations.delete(at.arranged["id"], at.arranged["rule"]),
    ),
    Row(operation="create_step_legacy", call=lambda at: at.org.legacy.create_step(ID, title="First")),
    Row(operation="get_step_legacy", call=lambda at: at.org.legacy.get_step(ID)),
    Row(
        operation="update_step_legacy",
        call=lambda at: at.org.legacy.update_step(ID, title="First", assignees=[1001], guests=[], groups=[]),
    ),
    Row(operation="delete_step_legacy", call=lambda at: at.org.legacy.delete_step(ID)),
    Row(operation="create_capture_legacy", call=lambda at: at.org.legacy.create_capture(ID, TEXT)),
    Row(operation="update_capture_legacy", call=lambda at: at.org.legacy.update_capture(ID, OTHER, TEXT)),
    Row(operation="delete_capture_legacy", call=lambda at: at.org.legacy.delete_capture(ID, OTHER)),
    Row(
        operation="comment_step_legacy",
        call=lambda at: at.org.legacy.comment_on_step(ID, content="Hello", state="open"),
    ),
    Row(operation="report_step_issue_legacy", call=lambda at: at.org.legacy.report_step_issue(ID, content="Broken")),
    Row(
        operation="resolve_step_issue_legacy",
        call=lambda at: at.org.legacy.resolve_step_issue(ID, thread_id=7, content="Repaired"),
    ),
    Row(operation="reopen_run_task_legacy", call=lambda at: at.org.legacy.reopen_run_task(ID, OTHER)),
    Row(
        operation="upload_file_legacy",
        call=lambda at: at.org.legacy.upload_file(
            b"text", filename="notes.txt", fields={"subject_id": ID, "subject_type": "Run"}
        ),
    ),
    Row(operation="download_files", call=lambda at: content(at.org.legacy.download_files(ID))),
]


async def one(found: Awaitable[Any]) -> tuple[Any]:
    """Look for something in a list; the reply is the list, the result one of its items."""
    return (await found,)


async def content(download: Any) -> bytes:
    """Read a download to its end."""
    async with download as file:
        read: bytes = await file.read()
        return read
