"""The life of templates (templates.md section 4)."""

import re
from typing import Any

from attrs import evolve

from . import checks, fields, owners, rules, steps
from .desk import Desk, allow
from .problems import forbidden, invalid, resource_not_found
from .records import Action, Checklist, Condition, Field, JsonObject, Member, Rule, Step, Tag, is_list
from .settings import Settings
from .world import Tenant, World

TYPES = ("procedure", "form", "document")
MAX_TITLE = 250
MAX_SUMMARY = 2000
MAX_NAME_FORMAT = 550
_TEXTS = ("summary", "guidance", "kickoff_description")
_KNOWN: dict[str, checks.Check] = {
    "title": checks.text(MAX_TITLE, empty=False),
    "type": checks.one_of(TYPES),
    "summary": checks.text(MAX_SUMMARY),
    "guidance": checks.text(),
    "icon": checks.text(),
    "alias": checks.text(empty=False),
    "webhook": checks.url,
    "explanation_video": checks.url,
    "kickoff_title": checks.text(),
    "kickoff_description": checks.text(),
    "public_cover": checks.text(),
    "default_process_name_format": checks.text(MAX_NAME_FORMAT),
    "starred": checks.flag,
    "is_pinned": checks.flag,
    "is_public": checks.flag,
    "is_public_kickoff": checks.flag,
    "is_featured": checks.flag,
    "auto_naming": checks.flag,
    "dual_version_enabled": checks.flag,
    "folderize_process": checks.flag,
    "tag_process": checks.flag,
    "allow_launcher_change_name": checks.flag,
    "folder_changeable_by_launcher": checks.flag,
    "can_add_oot": checks.flag,
    "folder_id": checks.text(),
    "default_folder": checks.text(),
}


def _read(tenant: Tenant, body: JsonObject, *needed: str) -> JsonObject:
    """Read the plain keys; raise Invalid on missing and wrong ones, and on people and folders of elsewhere."""
    checks.demand(body, *needed)
    found = checks.read(body, _KNOWN)
    if "is_pinned" in found:
        found["pinned"] = found.pop("is_pinned")
    for key, name in (("owner_id", "owner_id"), ("user_id", "created_by")):
        if body.get(key) is not None:
            found[name] = owners.member(tenant, body[key], key)
    for name, kind in (("folder_id", "checklist"), ("default_folder", "run")):
        folder = tenant.folders.get(found.get(name) or "")
        if found.get(name) and (folder is None or folder.folder_type != kind):
            raise invalid(name, f"The selected {name.replace('_', ' ')} is invalid.")
    return found


def create(world: World, tenant: Tenant, me: Member, body: JsonObject) -> Checklist:
    """Make a template, with its kick-off form if one is sent. Steps and rules of an export are dropped."""
    found = _read(tenant, body, "title", "type")
    now, number = world.now(), tenant.next_increment()
    plain: JsonObject = {"summary": None, "icon": "fa-users", "owner_id": me.user.id, "created_by": me.user.id}
    plain |= {"starred": False, "pinned": False, "can_add_oot": False, "alias": f"{fields.slug(found['title'])}-v1"}
    checklist = Checklist(
        **(plain | found),
        id=world.new_id(),
        increment_id=number,
        status=None,
        steps=[],
        prerun=fields.replaced(world, [], body["prerun"]) if body.get("prerun") else [],
        users=owners.members(tenant, body.get("users"), "users"),
        groups=owners.groups(tenant, body.get("groups"), "groups"),
        tags=[],
        last_updated_by=me.user.id,
        created_at=now,
        updated_at=now,
    )
    return _added(Desk(world=world, tenant=tenant, me=me, checklist=checklist))


def _added(desk: Desk) -> Checklist:
    desk.tenant.checklists[desk.checklist.id] = desk.checklist
    desk.log("created", f"{desk.checklist.title} was created")
    desk.tenant.changed()
    return desk.checklist


def update(desk: Desk, body: JsonObject) -> None:
    """Change a template. The title is needed each time; absent users and groups are emptied.

    A `prerun` replaces the whole kick-off form; everything else stays where it is absent.
    """
    tenant, checklist = desk.tenant, desk.checklist
    found = _read(tenant, body, "title")
    users = owners.members(tenant, body.get("users"), "users")
    groups = owners.groups(tenant, body.get("groups"), "groups")
    if body.get("prerun") is not None:
        found["prerun"] = _form(desk, body["prerun"])
    for name, value in (found | {"users": users, "groups": groups}).items():
        _set(desk, name, value)
    desk.touch("updated", f"{checklist.title} was edited")


def _set(desk: Desk, name: str, value: object) -> None:
    """Set one attribute and note in the activity feed what it was."""
    old: object = getattr(desk.checklist, name)
    if value != old and not is_list(old):
        desk.log("updated", f"{name.replace('_', ' ')} was changed", field=name, old=old)
    setattr(desk.checklist, name, value)


def _form(desk: Desk, entries: object) -> list[Field]:
    """Read a new kick-off form. A field that a rule uses may not be left out."""
    form = fields.replaced(desk.world, desk.checklist.prerun, entries or [])
    kept = {field.id for field in form}
    for field in desk.checklist.prerun:
        if field.id not in kept:
            rules.guard_kickoff(desk.checklist, field.id)
    return form


def delete_prerun(desk: Desk, field_id: str) -> None:
    """Delete a kick-off field with every collected answer, unless a rule uses it."""
    field = next((field for field in desk.checklist.prerun if field.id == field_id), None)
    if field is None:
        raise resource_not_found()
    rules.guard_kickoff(desk.checklist, field_id)
    desk.checklist.prerun = fields.without(desk.checklist.prerun, field)
    for run in desk.tenant.runs.values():
        if run.checklist_id == desk.checklist.id:
            run.prerun = {key: value for key, value in run.prerun.items() if key != field_id}
    desk.touch("updated", f"the kick-off field {field.label} was deleted")


def publish(desk: Desk) -> None:
    """Publish the draft."""
    desk.touch("updated", f"{desk.checklist.title} was published")
    desk.checklist.is_published_state = True


def archive(desk: Desk) -> list[JsonObject]:
    """Archive a template; its runs go on. Return what embedded it, which has lost the block for good."""
    checklist = desk.checklist
    checklist.archived_at = checklist.updated_at = desk.world.now()
    block = _block(checklist.id)
    found: list[JsonObject] = []
    for other in desk.tenant.checklists.values():
        rows: list[Checklist | Step] = [other, *other.steps]
        found += [_reference(row) for row in rows if row is not checklist and _stripped(row, block)]
    desk.log("archived", f"{checklist.title} was archived")
    desk.tenant.changed()
    return found


def _block(checklist_id: str) -> re.Pattern[str]:
    """Match an embedded template: an element, but no link, that names its id. No source shows the spelling."""
    return re.compile(rf"<(?!a\b)(\w+)\b[^<>]*\b{re.escape(checklist_id)}\b[^<>]*>(?:.*?</\1\s*>)?", re.DOTALL)


def _reference(row: Checklist | Step) -> JsonObject:
    return {"type": "Step" if isinstance(row, Step) else "Blueprint", "title": row.title, "id": row.id}


def _stripped(row: Checklist | Step, block: re.Pattern[str]) -> bool:
    """Take the block out of the texts of a record and tell whether there was one."""
    count = 0
    for name in _TEXTS:
        text: Any = getattr(row, name, None)
        if text:
            text, times = block.subn("", text)
            count += times
            setattr(row, name, text)
    return count > 0


def archived(tenant: Tenant, checklist_id: str) -> Checklist:
    """Find an archived template; a live one is a 404."""
    found = tenant.checklists.get(checklist_id)
    if found is None or found.archived_at is None:
        raise resource_not_found()
    return found


def restore(desk: Desk) -> None:
    """Bring an archived template back: into its folder if there still is one, else to the root."""
    desk.checklist.archived_at = None
    if desk.checklist.folder_id not in desk.tenant.folders:
        desk.checklist.folder_id = None
    desk.touch("unarchived", f"{desk.checklist.title} was restored")


def delete(world: World, tenant: Tenant, me: Member, checklist_id: str, settings: Settings) -> None:
    """Delete an archived template for good. Administrators only; its runs stay."""
    if not me.is_admin:
        raise forbidden("Only administrators can delete templates permanently.")
    checklist = tenant.checklists.get(checklist_id)
    if checklist is None or (checklist.archived_at is None and settings.delete_unarchived == "404"):
        raise resource_not_found()
    if checklist.archived_at is None:
        raise invalid("checklist", "The template must be archived before it can be deleted.")
    Desk(world=world, tenant=tenant, me=me, checklist=checklist).log("deleted", f"{checklist.title} was deleted")
    del tenant.checklists[checklist.id]
    tenant.changed()


def source(world: World, tenant: Tenant, me: Member, body: JsonObject) -> Tenant:
    """Find the organization that a clone is taken from: one where the caller works too, this one by default."""
    named = body.get("tenant") or tenant.id
    found = world.tenants.get(named) if isinstance(named, str) else None
    member = found.members.get(me.user.id) if found else None
    if found is None or member is None or member.status != "active":
        raise invalid("tenant", "The selected tenant is invalid.")
    allow(member)
    return found


def clone(desk: Desk, origin: Tenant, body: JsonObject) -> Checklist:
    """Copy a template of `origin` into the organization of the desk, with fresh ids and aliases everywhere.

    From another organization neither people nor webhooks come along; tags are found or made again by their names.
    """
    world, tenant, original, own = desk.world, desk.tenant, desk.checklist, origin is desk.tenant
    title: str | None = checks.read({"title": body.get("title") or None}, {"title": checks.text(MAX_TITLE)})["title"]
    ids: dict[str, str] = {original.id: world.new_id()}
    now, number = world.now(), tenant.next_increment()
    copy = evolve(
        original,
        id=ids[original.id],
        increment_id=number,
        title=title or f"COPY OF - {original.title}",
        alias=f"{fields.slug(title or original.title)}-{number}",
        steps=[steps.copied(world, ids[original.id], step, ids) for step in original.steps],
        prerun=[fields.copied(world, field, ids) for field in original.prerun],
        tags=list(original.tags) if own else [_tag(desk, origin.tags[tag]) for tag in original.tags],
        users=list(original.users) if own else [],
        groups=list(original.groups) if own else [],
        owner_id=desk.me.user.id,
        created_by=desk.me.user.id,
        last_updated_by=desk.me.user.id,
        webhook=original.webhook if own else None,
        folder_id=original.folder_id if own else None,
        default_folder=original.default_folder if own else None,
        started_processes=0,
        created_at=now,
        updated_at=now,
    )
    copy.rules = [_copied_rule(world, rule, ids, own=own) for rule in original.rules]
    for step in copy.steps:
        _settled(step, ids, own=own)
    return _added(evolve(desk, checklist=copy))


def _tag(desk: Desk, tag: Tag) -> str:
    """Find the tag of the same name, or make it."""
    mine = desk.tenant.tags
    for known in mine.values():
        if known.title == tag.title:
            return known.id
    fresh = evolve(tag, id=desk.world.new_id(), created_at=desk.world.now())
    mine[fresh.id] = fresh
    return fresh.id


def _settled(step: Step, ids: dict[str, str], *, own: bool) -> None:
    """Let a copied step count from the copied steps, and leave people and webhook of another organization behind."""
    if step.deadline.get("step") in ids:
        step.deadline = step.deadline | {"step": ids[step.deadline["step"]]}
    if not own:
        step.users, step.guests, step.groups, step.tags, step.webhook = [], [], [], [], None


def _copied_rule(world: World, rule: Rule, ids: dict[str, str], *, own: bool) -> Rule:
    now = world.now()
    conditions = tuple(_renamed(condition, ids) for condition in rule.conditions)
    actions = tuple(_aimed(action, ids, own=own) for action in rule.actions)
    return evolve(rule, id=world.new_id(), conditions=conditions, actions=actions, created_at=now, updated_at=now)


def _renamed(condition: Condition, ids: dict[str, str]) -> Condition:
    return evolve(condition, subject_id=ids.get(condition.subject_id, condition.subject_id))


def _aimed(action: Action, ids: dict[str, str], *, own: bool) -> Action:
    source_id = ids.get(action.source_id or "", action.source_id)
    aimed = evolve(action, target=ids.get(action.target, action.target), source_id=source_id)
    return aimed if own else evolve(aimed, assignees=None, webhook_url=None)
