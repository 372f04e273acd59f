"""The audit trail of an organization: who did what to which record (templates.md section 12)."""

from .records import Activity
from .world import Tenant

Record = tuple[str, str]
"""A kind and an id: ("run", "1f…"). Kinds: checklist, run, step, task, thread, user, organization, tag, group."""
MOST = 20_000


def activity(
    tenant: Tenant,
    verb: str,
    record: Record,
    text: str,
    *,
    now: int,
    actor: int | str | None,
    parent: Record | None = None,
    field: str | None = None,
    old: object = None,
) -> Activity:
    """Add an entry to the feed.

    `verb` is a word of the contract (created, updated, completed, …), `text` the sentence that people read, `actor`
    a member id, the e-mail of a guest, or None for the machine. `parent` is what the record lies in: the run of a
    task, the template of a step.
    """
    tenant.last_activity += 1
    entry = Activity(
        id=tenant.last_activity,
        verb=verb,
        record=record,
        parent=parent,
        text=text,
        actor=actor,
        field=field,
        old=old,
        created_at=now,
    )
    tenant.activities.append(entry)
    if len(tenant.activities) > MOST:
        del tenant.activities[0]
    return entry
