"""Checklists, steps and field definitions on the wire (templates.md sections 1, 4-6)."""

from collections.abc import Collection

from tallyfy_async.sandbox.records import Action, Checklist, Condition, Field, JsonObject, Rule, Step, Tag

from . import files
from .lens import Lens, php_map, wrap

_EMPTY = ("permissions", "stages", "linked_tasks", "member_watchers", "guest_watchers")


def checklist(lens: Lens, row: Checklist, includes: Collection[str] = ()) -> JsonObject:
    """Render a template; `prerun` and `automated_actions` are always inlined, bare."""
    data: JsonObject = {
        "id": row.id,
        "increment_id": row.increment_id,
        "title": row.title,
        "summary": row.summary,
        "starred": int(row.starred) if row.increment_id % 2 else row.starred,
        "webhook": row.webhook,
        "guidance": row.guidance,
        "alias": row.alias,
        "folder_id": row.folder_id,
        "prerun": [prerun(lens, row, f) for f in row.prerun],
        "created_by": row.created_by or row.owner_id,
        "owner_id": str(row.owner_id) if row.increment_id % 5 == 0 else row.owner_id,
        "last_updated_by": row.last_updated_by or row.owner_id,
        "kickoff_title": row.kickoff_title,
        "kickoff_description": row.kickoff_description,
        "started_processes": row.started_processes,
        "created_at": lens.date(row.created_at, "millis"),
        "last_updated": lens.date(row.updated_at, "millis"),
        "archived_at": lens.date(row.archived_at, "millis"),
        "is_public": row.is_public,
        "automated_actions": [rule(lens, r) for r in row.rules],
        "topic_tags": [],
        "industry_tags": [],
        "public_cover": row.public_cover,
        "icon": row.icon,
        "type": row.type,
        "steps_count": len(row.steps),
        "is_public_kickoff": row.is_public_kickoff,
        "default_process_name_format": row.default_process_name_format,
        "dual_version_enabled": row.dual_version_enabled,
        "is_published_state": row.is_published_state,
        "is_featured": row.is_featured,
        "auto_naming": row.auto_naming,
        "status": row.status,
        "explanation_video": row.explanation_video,
        "users": list(row.users),
        "groups": list(row.groups),
        "is_pinned": row.pinned,
        "folderize_process": row.folderize_process,
        "tag_process": row.tag_process,
        "allow_launcher_change_name": row.allow_launcher_change_name,
        "ko_form_blueprint_id": None,
        "default_folder": row.default_folder,
        "folder_changeable_by_launcher": row.folder_changeable_by_launcher,
        "can_add_oot": row.can_add_oot,
        "kickoff_sharing_user_id": None,
        "custom_fields": lens.metadata("checklist", row.id),
    }
    for name in includes:
        data |= _include(lens, row, name)
    return data


def _include(lens: Lens, row: Checklist, name: str) -> JsonObject:
    if name == "steps":
        return {"steps": wrap([step(lens, s) for s in sorted(row.steps, key=lambda s: s.position)])}
    if name == "tags":
        return {"tags": wrap(tag_links(lens, row.id, row.tags))}
    if name == "folder":
        folder = lens.tenant.folders.get(row.folder_id or "")
        return {"folder": wrap(files.folder(lens, folder)) if folder else None}
    if name == "assets":
        return {"assets": files.assets(lens, row.id)}
    return {name: wrap([])} if name in _EMPTY else {}


def tag_links(lens: Lens, owner: str, ids: Collection[str]) -> list[JsonObject]:
    """Render the tags of a record: each entry has the integer id of the association beside the tag's own id."""
    known = [lens.tenant.tags[tag_id] for tag_id in ids if tag_id in lens.tenant.tags]
    return [_tag_link(tag, lens.tenant.pivot("tag", owner, tag.id)) for tag in known]


def _tag_link(tag: Tag, number: int) -> JsonObject:
    return {"id": number, "tag_id": tag.id, "title": tag.title, "color": tag.color}


def capture(lens: Lens, owner: Step, row: Field) -> JsonObject:
    """Render a form field of a step."""
    return {"step_id": owner.id, **field(lens, row), "custom_fields": lens.metadata("capture", row.id)}


def prerun(lens: Lens, owner: Checklist, row: Field) -> JsonObject:
    """Render a field of the kick-off form."""
    return {"checklist_id": owner.id, **field(lens, row), "custom_fields": lens.metadata("prerun", row.id)}


def form_fields(lens: Lens, row: Checklist) -> JsonObject:
    """Render all fields of a template: those of the steps, and those of the kick-off form."""
    return {
        "id": row.id,
        "title": row.title,
        "form_fields": [capture(lens, owner, f) for owner in row.steps for f in owner.captures],
        "ko_form_fields": [prerun(lens, row, f) for f in row.prerun],
    }


def deadlines(row: Checklist) -> list[JsonObject]:
    """Render the deadlines of the steps. No source shows the shape; this one is ours."""
    return [{"id": s.id, "title": s.title, "position": s.position, "deadline": php_map(s.deadline)} for s in row.steps]


def rule(lens: Lens, row: Rule) -> JsonObject:
    """Render an automation."""
    return {
        "id": row.id,
        "automated_alias": row.alias,
        "conditions": [_condition(condition) for condition in row.conditions],
        "then_actions": [_action(action) for action in row.actions],
        "created_at": lens.date(row.created_at, "millis"),
        "last_updated": lens.date(row.updated_at, "millis"),
        "archived_at": None,
    }


def _condition(row: Condition) -> JsonObject:
    return {
        "id": row.id,
        "conditionable_id": row.subject_id,
        "conditionable_type": row.subject_type,
        "operation": row.operation,
        "statement": row.statement,
        "logic": row.logic,
        "position": row.position,
        "column_contains_name": row.column,
    }


def _action(row: Action) -> JsonObject:
    """Render an action; the keys of a webhook are there on webhooks only."""
    data: JsonObject = {
        "id": row.id,
        "action_type": row.type,
        "action_verb": row.verb,
        "target_step_id": row.target,
        "position": row.position,
        "actionable_id": row.source_id,
        "actionable_type": row.source_type,
        "deadline": row.deadline,
        "assignees": row.assignees or (list[str]() if row.type == "assignment" else None),
    }
    if row.type == "webhook":
        data |= {"webhook_url": row.webhook_url, "alias_name": row.webhook_name}
    return data


def step(lens: Lens, row: Step, includes: Collection[str] = ()) -> JsonObject:
    """Render a step with its fields; empty deadlines and start dates are []."""
    data: JsonObject = {
        "id": row.id,
        "checklist_id": row.checklist_id,
        "alias": row.alias,
        "title": row.title,
        "summary": row.summary,
        "step_type": row.step_type,
        "position": row.position,
        "allow_guest_owners": row.allow_guest_owners,
        "max_assignable": row.max_assignable,
        "skip_start_process": row.skip_start_process,
        "can_complete_only_assignees": row.can_complete_only_assignees,
        "everyone_must_complete": row.everyone_must_complete,
        "webhook": row.webhook,
        "start_date": php_map(row.start_date),
        "is_soft_start_date": row.is_soft_start_date,
        "deadline": php_map(row.deadline),
        "bp_to_launch": None,
        "assignees": list(row.users),
        "guests": list(row.guests),
        "groups": list(row.groups),
        "captures": [capture(lens, row, f) for f in row.captures],
        "prevent_guest_comment": row.prevent_guest_comment,
        "roles": [],
        "role_changes_every_time": row.role_changes_every_time,
        "assign_run_starter": row.assign_run_starter,
        "top_secret": row.top_secret,
        "send_chromeless": row.send_chromeless,
        "custom_fields": lens.metadata("step", row.id),
        "created_at": lens.date(row.created_at, "millis"),
        "last_updated": lens.date(row.updated_at, "millis"),
        "archived_at": None,
    }
    return data | ({"tags": wrap(tag_links(lens, row.id, row.tags))} if "tags" in includes else {})


def field(lens: Lens, row: Field) -> JsonObject:
    """Render a field definition."""
    return {
        "id": row.id,
        "alias": row.alias,
        "field_type": row.field_type,
        "label": row.label,
        "guidance": row.guidance,
        "position": row.position,
        "required": row.required,
        "options": list(row.options),
        "columns": list(row.columns),
        "default_value_enabled": row.default_value_enabled,
        "default_value": row.default_value,
        "collect_time": row.field_type == "date" if row.collect_time is None else row.collect_time,
        "use_wysiwyg_editor": row.use_wysiwyg_editor,
        "field_validation": list(row.field_validation),
        "prefix": row.prefix,
        "suffix": row.suffix,
        "settings": php_map(row.settings),
        "list": row.source_list,
        "created_at": lens.date(row.created_at, "millis"),
        "last_updated": lens.date(row.updated_at, "millis"),
        "archived_at": None,
    }
