"""Comments and issues on runs, tasks and templates (processes.md section 6)."""

from . import caps, checks, runs, tasks
from .guests import INVITE
from .problems import invalid, resource_not_found
from .records import Checklist, JsonObject, Member, Run, Task, Thread, whole
from .settings import Settings
from .views.threads import MENTION
from .world import Tenant, World

Subject = Run | Task | Checklist
_SAID = {"resolve": "task.issue_resolved"}
"""Label that a route gives -> what happened; a comment that calls itself a resolution resolves nothing."""
LABELS = ("comment", "problem", "resolve", "improvement", "advice")
STATES = ("open", "hide-for-guests", "collapsed")
_KNOWN: dict[str, checks.Check] = {
    "content": checks.text(empty=False),
    "label": checks.one_of(LABELS),
    "state": checks.one_of(STATES),
}


def comment(
    world: World,
    tenant: Tenant,
    me: Member,
    subject: Subject,
    body: JsonObject,
    *,
    settings: Settings,
    label: str | None = None,
    bot: bool = False,
) -> Thread:
    """Say something about a run, task or template. Raise Invalid, or a 429 at the hourly cap, then without effect.

    Members are told by `@[member id]` in the content alone, `sent_to` is not read; a machine tells nobody. A thread
    labelled `problem` is an issue: a completed task is reopened by it and cannot be completed before it is resolved,
    a run with one lets nobody change its tasks.
    """
    found: JsonObject = _read(body) | ({"label": label} if label else {})
    names: list[str] = [] if bot else MENTION.findall(found["content"])
    guests = sorted({name.lower() for name in names if "@" in name} - set(tenant.guests))
    mentions = dict.fromkeys(user for user in map(whole, names) if user is not None and user in tenant.members)
    if found.get("label") == "problem" and isinstance(subject, Task) and subject.status == "completed":
        tasks.reopen(world, tenant, subject)
    now = world.clock()
    caps.spend(tenant, INVITE, most=settings.guest_invites_per_hour, now=now, times=len(guests))
    caps.spend(tenant, "Comment", most=settings.comments_per_hour, now=now)
    tenant.mention(*guests)
    thread = Thread(
        **found,
        id=str(tenant.next_increment()),
        author_id=me.user.id,
        is_bot=bot,
        task_id=subject.id if isinstance(subject, Task) else None,
        mentions=list(mentions),
        created_at=world.now(),
        updated_at=world.now(),
    )
    tenant.threads.setdefault(subject.id, []).append(thread)
    if isinstance(subject, Task) and not bot:
        name = "task.issue_raised" if thread.is_open_issue else _SAID.get(label or "", "task.comment_added")
        tenant.happened(name, subject, thread=thread)
    if thread.is_open_issue:
        _settle(world, tenant, subject)
    tenant.changed()
    return thread


def _read(body: JsonObject) -> JsonObject:
    checks.demand(body, "content")
    return checks.read(body, _KNOWN)


def _settle(world: World, tenant: Tenant, subject: Subject) -> None:
    """Bring a run or task in line with its issues."""
    is_open = any(thread.is_open_issue for thread in tenant.threads_of(subject.id))
    run = tenant.runs.get(subject.run_id or "") if isinstance(subject, Task) else subject
    if isinstance(subject, Task):
        subject.problem, subject.updated_at = is_open, world.now()
    elif isinstance(subject, Run):
        subject.open_issue = is_open
    if isinstance(run, Run):
        runs.settle(world, tenant, run)


def find(tenant: Tenant, subject: Subject, thread_id: object) -> Thread:
    """Find a thread of a run, task or template or raise a 404."""
    for thread in tenant.threads_of(subject.id):
        if thread.id == str(thread_id):
            return thread
    raise resource_not_found()


def edit(world: World, tenant: Tenant, subject: Subject, thread_id: str, body: JsonObject) -> Thread:
    """Change a comment; its label and state only when sent."""
    thread = find(tenant, subject, thread_id)
    was_issue = thread.is_open_issue
    for name, value in _read(body).items():
        setattr(thread, name, value)
    thread.updated_at = world.now()
    if was_issue != thread.is_open_issue:
        _settle(world, tenant, subject)
    tenant.changed()
    return thread


def delete(world: World, tenant: Tenant, subject: Subject, thread_id: str) -> None:
    """Delete a comment; with an open issue its flag goes, too."""
    thread = find(tenant, subject, thread_id)
    tenant.threads[subject.id].remove(thread)
    if thread.is_open_issue:
        _settle(world, tenant, subject)
    tenant.changed()


def resolve(
    world: World, tenant: Tenant, me: Member, subject: Subject, body: JsonObject, *, settings: Settings
) -> Thread:
    """Resolve an issue; the content is kept as the comment that did it. The last one sets run and task free."""
    checks.demand(body, "thread_id", "content")
    issue = find(tenant, subject, body["thread_id"])
    if not issue.is_open_issue:
        raise invalid("thread_id", "This is no open issue.")
    thread = comment(world, tenant, me, subject, body, settings=settings, label="resolve")
    issue.resolve_id, issue.updated_at = thread.id, thread.created_at
    _settle(world, tenant, subject)
    tenant.changed()
    return thread
