"""Tags and what carries them (templates.md section 9)."""

import re
from collections.abc import Iterable
from typing import Any

from . import checks
from .problems import Invalid, forbidden, invalid, resource_not_found
from .records import Checklist, JsonObject, Member, Run, Tag
from .world import Tenant, World

MAX_TITLE = 30
KIND = "tag"
"""Kind of the relation between a record and a tag."""
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}\Z")


def _color(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _COLOR.match(value):
        raise checks.Wrong(f"The {name} format is invalid.")
    return value


_KNOWN: dict[str, checks.Check] = {"title": checks.text(MAX_TITLE, empty=False), "color": _color}


def _allow(me: Member) -> None:
    if not me.is_admin:
        raise forbidden("Only administrators can manage tags.")


def find(tenant: Tenant, tag_id: str) -> Tag:
    """Find a tag or raise a 404."""
    if tag_id not in tenant.tags:
        raise resource_not_found()
    return tenant.tags[tag_id]


def create(world: World, tenant: Tenant, me: Member, body: JsonObject) -> Tag:
    """Make a tag; its title is the only one of the organization."""
    _allow(me)
    checks.demand(body, "title")
    found = checks.read(body, _KNOWN)
    _free(tenant, found["title"])
    tag = Tag(id=world.new_id(), title=found["title"], color=found.get("color"), created_at=world.now())
    tenant.tags[tag.id] = tag
    tenant.changed()
    return tag


def update(tenant: Tenant, me: Member, tag: Tag, body: JsonObject, *, title_demanded: bool) -> None:
    """Rename or recolour a tag; what is not sent stays."""
    _allow(me)
    if title_demanded:
        checks.demand(body, "title")
    found = checks.read(body, _KNOWN)
    if "title" in found:
        _free(tenant, found["title"], tag)
    for name, value in found.items():
        setattr(tag, name, value)
    tenant.changed()


def _free(tenant: Tenant, title: str, mine: Tag | None = None) -> None:
    if any(tag.title.casefold() == title.casefold() for tag in tenant.tags.values() if tag is not mine):
        raise invalid("title", "The title has already been taken.")


def delete(tenant: Tenant, me: Member, tag_id: str) -> None:
    """Delete a tag for good and take it off everything; an unknown one changes nothing."""
    _allow(me)
    if tenant.tags.pop(tag_id, None) is None:
        return
    steps = [step for checklist in tenant.checklists.values() for step in checklist.steps]
    carriers: Iterable[Any] = (*tenant.checklists.values(), *steps, *tenant.runs.values(), *tenant.tasks.values())
    for row in carriers:
        if tag_id in row.tags:
            row.tags.remove(tag_id)
            tenant.pivots.pop((KIND, row.id, tag_id), None)
    tenant.changed()


def attach(tenant: Tenant, body: JsonObject) -> JsonObject:
    """Put a tag on a template or run. Return the relation, whose number takes it off again; a pair is kept once."""
    checks.demand(body, "subject_id", "subject_type", "tag_id", "tag_type")
    if body["tag_type"] not in {"private", "public"}:
        raise invalid("tag_type", "The selected tag type is invalid.")
    row = _subject(tenant, body["subject_type"], str(body["subject_id"]))
    tag = tenant.tags.get(str(body["tag_id"])) if body["tag_type"] == "private" else None
    if tag is None:
        raise invalid("tag_id", "The selected tag id is invalid.")
    if tag.id not in row.tags:
        row.tags.append(tag.id)
    tenant.changed()
    number = tenant.pivot(KIND, row.id, tag.id)
    return {
        "id": number,
        "tag_id": tag.id,
        "title": tag.title,
        "color": tag.color,
        "subject_id": row.id,
        "subject_type": body["subject_type"],
    }


def _subject(tenant: Tenant, kind: object, subject_id: str) -> Run | Checklist:
    if kind not in {"Run", "Checklist"}:
        raise invalid("subject_type", "The selected subject type is invalid.")
    row = tenant.runs.get(subject_id) if kind == "Run" else tenant.checklists.get(subject_id)
    if row is None or row.archived_at is not None:
        raise Invalid({"subject_id": ["Subject not found"]})
    return row


def detach(tenant: Tenant, number: int) -> None:
    """Take a tag off by the number of the relation; an unknown one changes nothing."""
    found = tenant.related(KIND, number)
    if found is None:
        return
    owner, tag_id = found
    row = tenant.runs.get(owner) or tenant.checklists.get(owner) or tenant.tasks.get(owner)
    if row is not None and tag_id in row.tags:
        row.tags.remove(tag_id)
    del tenant.pivots[KIND, owner, tag_id]
    tenant.changed()
