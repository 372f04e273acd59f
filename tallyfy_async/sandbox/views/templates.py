"""Checklists, steps and field definitions on the wire (templates.md sections 1, 4-6)."""

from collections.abc import Collection

from tallyfy_async.sandbox.records import Checklist, Field, JsonObject, Step, Tag

from .lens import Lens, php_map, wrap

_EMPTY = ("permissions", "stages", "linked_tasks", "assets", "member_watchers", "guest_watchers")


def checklist(lens: Lens, row: Checklist, includes: Collection[str] = ()) -> JsonObject:
    """Render a template; `prerun` and `automated_actions` are always inlined, bare."""
    data: JsonObject = {
        "id": row.id,
        "increment_id": row.increment_id,
        "title": row.title,
        "summary": row.summary,
        "starred": int(row.starred) if row.increment_id % 2 else row.starred,
        "webhook": None,
        "guidance": None,
        "alias": row.alias,
        "folder_id": None,
        "prerun": [{"checklist_id": row.id, **field(lens, f)} for f in row.prerun],
        "created_by": row.owner_id,
        "owner_id": str(row.owner_id) if row.increment_id % 5 == 0 else row.owner_id,
        "last_updated_by": row.owner_id,
        "kickoff_title": None,
        "kickoff_description": None,
        "started_processes": row.started_processes,
        "created_at": lens.date(row.created_at, "millis"),
        "last_updated": lens.date(row.updated_at, "millis"),
        "archived_at": lens.date(row.archived_at, "millis"),
        "is_public": False,
        "automated_actions": [],
        "topic_tags": [],
        "industry_tags": [],
        "public_cover": None,
        "icon": row.icon,
        "type": row.type,
        "steps_count": len(row.steps),
        "is_public_kickoff": False,
        "default_process_name_format": None,
        "dual_version_enabled": False,
        "is_published_state": False,
        "is_featured": False,
        "auto_naming": False,
        "status": row.status,
        "explanation_video": None,
        "users": list(row.users),
        "groups": list(row.groups),
        "is_pinned": row.pinned,
        "folderize_process": False,
        "tag_process": False,
        "allow_launcher_change_name": False,
        "ko_form_blueprint_id": None,
        "default_folder": None,
        "folder_changeable_by_launcher": False,
        "can_add_oot": row.can_add_oot,
        "kickoff_sharing_user_id": None,
        "custom_fields": [],
    }
    for name in includes:
        data |= _include(lens, row, name)
    return data


def _include(lens: Lens, row: Checklist, name: str) -> JsonObject:
    if name == "steps":
        return {"steps": wrap([step(lens, s) for s in sorted(row.steps, key=lambda s: s.position)])}
    if name == "tags":
        return {"tags": wrap(tag_links(lens, row.tags))}
    if name == "folder":
        return {"folder": None}
    return {name: wrap([])} if name in _EMPTY else {}


def tag_links(lens: Lens, ids: Collection[str]) -> list[JsonObject]:
    """Render the tags of a record: each entry has the integer id of the association beside the tag's own id."""
    known = [lens.tenant.tags[tag_id] for tag_id in ids if tag_id in lens.tenant.tags]
    return [_tag_link(tag, number) for number, tag in enumerate(known, 4711)]


def _tag_link(tag: Tag, number: int) -> JsonObject:
    return {"id": number, "tag_id": tag.id, "title": tag.title, "color": tag.color}


def step(lens: Lens, row: Step) -> JsonObject:
    """Render a step with its fields; empty deadlines and start dates are []."""
    return {
        "id": row.id,
        "checklist_id": row.checklist_id,
        "alias": row.alias,
        "title": row.title,
        "summary": row.summary,
        "step_type": row.step_type,
        "position": row.position,
        "allow_guest_owners": True,
        "max_assignable": row.max_assignable,
        "skip_start_process": False,
        "can_complete_only_assignees": row.can_complete_only_assignees,
        "everyone_must_complete": row.everyone_must_complete,
        "webhook": None,
        "start_date": php_map(row.start_date),
        "is_soft_start_date": False,
        "deadline": php_map(row.deadline),
        "bp_to_launch": None,
        "assignees": list(row.users),
        "guests": list(row.guests),
        "groups": list(row.groups),
        "captures": [{"step_id": row.id, **field(lens, f)} for f in row.captures],
        "prevent_guest_comment": row.prevent_guest_comment,
        "roles": [],
        "role_changes_every_time": False,
        "assign_run_starter": row.assign_run_starter,
        "top_secret": False,
        "send_chromeless": False,
        "custom_fields": [],
        "created_at": lens.date(row.created_at, "millis"),
        "last_updated": lens.date(row.updated_at, "millis"),
        "archived_at": None,
    }


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
        "default_value_enabled": False,
        "default_value": None,
        "collect_time": row.field_type == "date",
        "use_wysiwyg_editor": False,
        "field_validation": [],
        "prefix": None,
        "suffix": None,
        "settings": php_map(row.settings),
        "list": None,
        "created_at": lens.date(row.created_at, "millis"),
        "last_updated": lens.date(row.updated_at, "millis"),
        "archived_at": None,
    }
