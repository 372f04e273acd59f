"""New one-off tasks: alone, in a run, or one for each assignee in a run of their own (processes.md section 3)."""

from collections.abc import Iterator

from attrs import evolve

from . import automations, checks, fields, owners, runs, tasks
from .owners import Owners
from .problems import Invalid, invalid
from .records import Field, JsonObject, Member, Run, Task, is_list, is_object
from .world import Tenant, World

_KNOWN: dict[str, checks.Check] = {
    "title": checks.text(tasks.MAX_TITLE, empty=False),
    "task_type": checks.one_of(tasks.TASK_TYPES),
    "summary": checks.text(),
    "description": checks.text(),
    "webhook": checks.url,
    "position": checks.number(1),
    "max_assignable": checks.number(),
    "tags": checks.texts,
    "is_soft_start_date": checks.flag,
    "separate_task_for_each_assignee": checks.flag,
    "prevent_guest_comment": checks.flag,
    "everyone_must_complete": checks.flag,
    "can_complete_only_assignees": checks.flag,
    "top_secret": checks.flag,
}
_KEPT = frozenset(_KNOWN) - {"description", "separate_task_for_each_assignee", "tags", "position"}


def create(world: World, tenant: Tenant, me: Member, body: JsonObject) -> Task:
    """Create a one-off task, or one for each assignee; the first of them comes back.

    Raise Invalid or 404, then without effect. Instructions come as `summary`, or as `description` by older pages.
    """
    checks.demand(body, "title", "task_type", "owners", "deadline")
    found = checks.read(body, _KNOWN)
    found |= tasks.moments(body)
    found["summary"] = found.get("summary") or found.get("description")
    people = owners.read(tenant, body["owners"])
    tasks.check_number(people, found.get("max_assignable", 0))
    run = _host(tenant, body.get("run_id"))
    captures = _captures(world, body.get("form_fields"))
    alone = not found.get("separate_task_for_each_assignee")
    shares = [people] if alone else list(_shares(tenant, people))
    if not shares:
        raise invalid("owners", "At least one assignee is needed.")
    if run is None and not alone:
        run = _shell(world, tenant, me, found["title"])
    made = [_task(world, tenant, me, found, share=share, run=run, captures=captures) for share in shares]
    if run is not None:
        runs.settle(world, tenant, run)
    tenant.changed()
    return made[0]


def _host(tenant: Tenant, run_id: object) -> Run | None:
    """Find the run that the task goes into; it must be live and allow ad-hoc tasks."""
    if run_id is None:
        return None
    run = tenant.run(str(run_id), archived=False)
    if not run.can_add_oot:
        raise invalid("run_id", "One-off tasks cannot be added to this process.")
    return run


def _captures(world: World, entries: object) -> list[Field]:
    """Read the form of a task. Here a choice may have no options, though nobody can answer it then."""
    if entries is None:
        return []
    if not is_list(entries):
        raise invalid("form_fields", "The form fields must be an array.")
    return [_capture(world, entry, place) for place, entry in enumerate(entries, 1)]


def _capture(world: World, entry: object, place: int) -> Field:
    prefix = f"form_fields.{place - 1}"
    if not is_object(entry):
        raise Invalid({prefix: [f"The {prefix} must be an array."]})
    return fields.make(world, fields.read(entry, f"{prefix}.", options=False), place)


def _shares(tenant: Tenant, people: Owners) -> Iterator[Owners]:
    """Split assignees: one share a person, groups expanded."""
    groups = [tenant.groups[group] for group in people.groups]
    users = [*people.users, *(user for group in groups for user in group.members)]
    guests = [*people.guests, *(guest for group in groups for guest in group.guests)]
    for user in dict.fromkeys(users):
        yield Owners([user], [], [])
    for guest in dict.fromkeys(guests):
        yield Owners([], [guest], [])


def _shell(world: World, tenant: Tenant, me: Member, title: str) -> Run:
    """Make the run around a fan-out, from the hidden template MISC. The caller owns it but has no task."""
    if tenant.misc_id is None:
        tenant.misc_id = world.new_id()
    now = world.now()
    run = Run(
        id=world.new_id(),
        increment_id=tenant.next_increment(),
        checklist_id=tenant.misc_id,
        checklist_title="MISC",
        name=title,
        summary="",
        type="procedure",
        started_by=me.user.id,
        owner_id=me.user.id,
        prerun={},
        prerun_completed_at=now,
        prerun_completed_by=me.user.id,
        created_at=now,
        updated_at=now,
    )
    tenant.runs[run.id] = run
    return run


def _task(
    world: World,
    tenant: Tenant,
    me: Member,
    found: JsonObject,
    *,
    share: Owners,
    run: Run | None,
    captures: list[Field],
) -> Task:
    now = world.now()
    words: JsonObject = {name: value for name, value in found.items() if name in _KEPT}
    task = Task(
        **words,
        deadline=found["deadline"],
        started_at=found.get("started_at"),
        id=world.new_id(),
        increment_id=tenant.next_increment(),
        original_title=found["title"],
        run_id=run.id if run else None,
        checklist_id=run.checklist_id if run else None,
        step_id=None,
        alias=None,
        status="not-started",
        position=found.get("position") or _last(tenant, run) + 1,
        users=share.users,
        guests=share.guests,
        groups=share.groups,
        taskdata={},
        captures=captures,
        tags=[tag for tag in found.get("tags", ()) if tag in tenant.tags],
        created_at=now,
        updated_at=now,
        starter_id=me.user.id,
    )
    return _put(tenant, run, task)


def _last(tenant: Tenant, run: Run | None) -> int:
    return max((task.position for task in tenant.tasks_of(run)), default=0) if run else 0


def _put(tenant: Tenant, run: Run | None, task: Task) -> Task:
    tenant.tasks[task.id] = task
    if run is not None:
        run.task_ids.append(task.id)
    if automations.people(task):
        tenant.happened("task.assigned", task)
    return task


def clone(world: World, tenant: Tenant, me: Member, task: Task) -> Task:
    """Duplicate a task with its people, dates and form, without answers. The copy came from no step."""
    run = tenant.run(task.run_id, archived=False) if task.run_id else None
    now = world.now()
    copy = evolve(
        task,
        id=world.new_id(),
        increment_id=tenant.next_increment(),
        step_id=None,
        alias=None,
        status="not-started",
        position=_last(tenant, run) + 1,
        users=list(task.users),
        guests=list(task.guests),
        groups=list(task.groups),
        tags=list(task.tags),
        folders=list(task.folders),
        taskdata={},
        is_approved=None,
        problem=False,
        reopened=False,
        completed_at=None,
        completer_id=None,
        completed_by=[],
        created_at=now,
        updated_at=now,
        starter_id=me.user.id,
        encoded=None,
    )
    _put(tenant, run, copy)
    if run is not None:
        runs.settle(world, tenant, run)
    tenant.changed()
    return copy
