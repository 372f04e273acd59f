"""The state machine of runs (processes.md section 2)."""

from collections.abc import Mapping, Sequence
from typing import Any

from . import automations, custom_fields, dates, deadlines, owners, values
from .problems import Invalid, forbidden, invalid, required, resource_not_found
from .records import Asset, Checklist, JsonObject, Member, Run, Step, Task, Thread, is_list, is_object
from .world import Tenant, World

MAX_NAME = 550


def launch(world: World, tenant: Tenant, me: Member, body: JsonObject) -> Run:
    """Start a run from a template and create its tasks from the steps. Raise 404 or Invalid, then without effect."""
    if not body.get("checklist_id"):
        raise required("checklist_id")
    checklist = tenant.checklist(body["checklist_id"])
    answers = _kickoff(world, tenant, checklist, body.get("prerun"))
    starter = owners.member(tenant, body["user_id"], "user_id") if body.get("user_id") else me.user.id
    overrides = _overrides(tenant, checklist, body.get("tasks"))
    _roles(tenant, body.get("roles"))
    run = _run(world, tenant, checklist, body, answers=answers, starter=starter)
    now = run.created_at
    chosen = {step_id: override["deadline"] for step_id, override in overrides.items() if "deadline" in override}
    due = deadlines.due(checklist.steps, now, chosen)
    tasks = [
        _task(world, tenant, run, step, overrides.get(step.id, {}) | {"deadline": due[step.id]})
        for step in checklist.steps
    ]
    run.task_ids = [task.id for task in tasks]
    tenant.runs[run.id] = run
    tenant.tasks.update({task.id: task for task in tasks})
    _inherit(tenant, run, tasks)
    tenant.happened("process.launched", run)
    automations.apply(world, tenant, run, launching=True)
    for task in tasks:
        if task.is_open and automations.people(task):
            tenant.happened("task.assigned", task)
    checklist.started_processes += 1
    world.launched += 1
    tenant.changed()
    return run


def _inherit(tenant: Tenant, run: Run, tasks: Sequence[Task]) -> None:
    """Copy custom field values from the template and its steps, once."""
    custom_fields.inherit(tenant, ("checklist", run.checklist_id), ("run", run.id))
    for task in tasks:
        custom_fields.inherit(tenant, ("step", task.step_id or ""), ("task", task.id))


def _run(
    world: World, tenant: Tenant, checklist: Checklist, body: JsonObject, *, answers: JsonObject, starter: int
) -> Run:
    """Make the run without its tasks. Tags and folders that do not exist are dropped."""
    now = world.now()
    return Run(
        id=world.new_id(),
        increment_id=tenant.next_increment(),
        checklist_id=checklist.id,
        checklist_title=checklist.title,
        name=_name(body["name"]) if body.get("name") else f"{checklist.title} - {dates.day(now)}",
        summary=str(body.get("summary") or ""),
        type=checklist.type,
        started_by=starter,
        owner_id=owners.member(tenant, body["owner_id"], "owner_id") if body.get("owner_id") else starter,
        assign_someone_else=bool(body.get("assign_someone_else")),
        prerun=answers,
        prerun_completed_at=now,
        prerun_completed_by=starter,
        starred=bool(body.get("starred")),
        is_public=bool(body.get("is_public")),
        can_add_oot=checklist.can_add_oot,
        parent_id=_parent(tenant, body.get("parent_id")),
        hidden_fields=owners.rows(body.get("publicly_hidden_fields"), "publicly_hidden_fields"),
        users=owners.members(tenant, body["users"], "users") if "users" in body else list(checklist.users),
        groups=owners.groups(tenant, body["groups"], "groups") if "groups" in body else list(checklist.groups),
        tags=_known_tags(tenant, body.get("tags")),
        folders=_known_folders(tenant, body.get("folders") or [checklist.default_folder]),
        rules=list(checklist.rules),
        created_at=now,
        updated_at=now,
    )


def _known_tags(tenant: Tenant, tags: object) -> list[str]:
    return [tag for tag in dict.fromkeys(map(str, owners.rows(tags, "tags"))) if tag in tenant.tags]


def _known_folders(tenant: Tenant, folders: object) -> list[str]:
    """Keep the folders for processes; those for templates take no runs."""
    named = [tenant.folders.get(name) for name in dict.fromkeys(map(str, owners.rows(folders, "folders")))]
    return [folder.id for folder in named if folder is not None and folder.folder_type == "run"]


def _parent(tenant: Tenant, parent_id: object) -> str | None:
    """Read the run that a new one is a sub-process of."""
    if not parent_id:
        return None
    if not isinstance(parent_id, str) or parent_id not in tenant.runs:
        raise invalid("parent_id", "The selected parent id is invalid.")
    return parent_id


def _roles(tenant: Tenant, roles: object) -> None:
    """Check who takes which role. No step can be given a role through the API, so nothing comes of it."""
    for role, people in (roles if is_object(roles) else {}).items():
        owners.read(tenant, people, f"roles.{role}")


def _name(value: object) -> str:
    name = str(value)
    if len(name) > MAX_NAME:
        raise invalid("name", f"The name may not be greater than {MAX_NAME} characters.")
    return name


def _kickoff(world: World, tenant: Tenant, checklist: Checklist, prerun: object) -> JsonObject:
    """Read the kick-off answers: one object keyed by timeline id; every required field needs one."""
    answers = _keyed(prerun)
    kept, _, errors = values.check(world, tenant, checklist.prerun, answers)
    absent = values.missing([field for field in checklist.prerun if field.id not in errors], kept)
    if errors or absent:
        raise Invalid(absent | ({"prerun": [errors]} if errors else {}))
    return kept


def _keyed(prerun: object) -> Mapping[str, Any]:
    if is_list(prerun) and prerun:
        raise invalid("prerun", "The prerun must be an object keyed by the id of the kick-off field.")
    return prerun if is_object(prerun) else {}


def _overrides(tenant: Tenant, checklist: Checklist, tasks: object) -> dict[str, JsonObject]:
    """Read `tasks`: step id -> owners, deadline, position, max_assignable. Ids of no step are dropped."""
    if not is_object(tasks):
        return {}
    known = {step.id for step in checklist.steps}
    found: dict[str, JsonObject] = {}
    for step_id, override in tasks.items():
        if step_id in known and is_object(override):
            found[step_id] = _override(tenant, step_id, override)
    return found


def _override(tenant: Tenant, step_id: str, override: JsonObject) -> JsonObject:
    """Read one override; `taskdata.deadline` is the older place of the deadline."""
    older = override.get("taskdata")
    deadline = override.get("deadline") or (older.get("deadline") if is_object(older) else None)
    read: JsonObject = {}
    if deadline is not None:
        read["deadline"] = dates.read(deadline)
        if read["deadline"] is None:
            raise Invalid({"tasks": [{step_id: ["The deadline is not a valid date."]}]})
    if "owners" in override:
        read["owners"] = owners.read(tenant, override["owners"], f"tasks.{step_id}.owners")
    for name in ("position", "max_assignable"):
        if isinstance(override.get(name), int):
            read[name] = override[name]
    return read


def _task(world: World, tenant: Tenant, run: Run, step: Step, override: JsonObject) -> Task:
    """Make the task of a step. Owners: the override, else the step, else the launcher if the step wants that."""
    own = owners.Owners(list(step.users), list(step.guests), list(step.groups))
    own = override.get("owners") or own
    if not own and step.assign_run_starter:
        own = owners.Owners([run.started_by], [], [])
    return Task(
        id=world.new_id(),
        increment_id=tenant.next_increment(),
        title=step.title,
        original_title=step.title,
        summary=step.summary,
        run_id=run.id,
        checklist_id=run.checklist_id,
        step_id=step.id,
        alias=step.alias,
        task_type=step.step_type,
        status="not-started",
        position=override.get("position", step.position),
        users=own.users,
        guests=own.guests,
        groups=own.groups,
        taskdata={},
        captures=step.captures,
        started_at=run.created_at,
        deadline=override["deadline"],
        created_at=run.created_at,
        updated_at=run.created_at,
        starter_id=run.started_by,
        everyone_must_complete=step.everyone_must_complete,
        can_complete_only_assignees=step.can_complete_only_assignees,
        max_assignable=override.get("max_assignable", step.max_assignable),
        prevent_guest_comment=step.prevent_guest_comment,
    )


def update(world: World, tenant: Tenant, run: Run, body: JsonObject) -> None:
    """Change a run. Absent `users` and `groups` are emptied, even on a rename (measured 2026-07-21)."""
    name = _name(body["name"]) if "name" in body else run.name
    if not name:
        raise required("name")
    users = owners.members(tenant, body.get("users"), "users")
    groups = owners.groups(tenant, body.get("groups"), "groups")
    owner = owners.member(tenant, body["owner_id"], "owner_id") if body.get("owner_id") else run.owner_id
    answers = _new_answers(world, tenant, run, body)
    run.name, run.users, run.groups, run.owner_id, run.prerun = name, users, groups, owner, answers
    if "summary" in body:
        run.summary = str(body["summary"] or "")
    if "starred" in body:
        run.starred = bool(body["starred"])
    if "is_public" in body:
        run.is_public = bool(body["is_public"])
    if "publicly_hidden_fields" in body:
        run.hidden_fields = owners.rows(body["publicly_hidden_fields"], "publicly_hidden_fields")
    run.updated_at = world.now()
    if automations.apply(world, tenant, run):
        settle(world, tenant, run)
    tenant.changed()


def _new_answers(world: World, tenant: Tenant, run: Run, body: JsonObject) -> JsonObject:
    """Merge the sent kick-off answers into the stored ones."""
    checklist = tenant.checklists.get(run.checklist_id)
    answers = _keyed(body.get("prerun"))
    if checklist is None:
        return run.prerun
    kept, cleared, errors = values.check(world, tenant, checklist.prerun, answers)
    if errors:
        raise Invalid({"prerun": [errors]})
    return {key: value for key, value in (run.prerun | kept).items() if key not in cleared}


def archive(world: World, tenant: Tenant, me: Member, run: Run) -> None:
    """Archive a run with its tasks. Light members may not."""
    if me.is_light:
        raise forbidden("You do not have permission to archive this process.")
    tasks = tenant.tasks_of(run)
    run.archived_at = run.updated_at = world.now()
    for row in _belongings(tenant, run, tasks):
        row.archived_at = row.archived_at or run.archived_at
    tenant.changed()


def _belongings(tenant: Tenant, run: Run, tasks: Sequence[Task]) -> list[Task | Thread | Asset]:
    """List what is archived and restored together with a run: its tasks, threads and files."""
    ids = {run.id, *(task.id for task in tasks)}
    threads = [thread for subject in ids for thread in tenant.threads_of(subject)]
    return [*tasks, *threads, *(asset for asset in tenant.assets.values() if asset.subject_id in ids)]


def activate(world: World, tenant: Tenant, run: Run) -> None:
    """Bring an archived run back with its tasks, in the state it had. A live one is a 404."""
    if run.archived_at is None:
        raise resource_not_found()
    for row in _belongings(tenant, run, tenant.tasks_of(run)):
        row.archived_at = None if row.archived_at == run.archived_at else row.archived_at
    run.archived_at, run.updated_at = None, world.now()
    tenant.changed()


def delete(tenant: Tenant, me: Member, run: Run, *, unarchived: str) -> list[str]:
    """Delete an archived run for good with all that hangs on it. Return the ids of the files whose bytes may go.

    `unarchived` is the setting for a run that is not archived: 422 or 404.
    """
    if not me.is_admin:
        raise forbidden("Only administrators can delete a process permanently.")
    if run.archived_at is None:
        raise resource_not_found() if unarchived == "404" else invalid("run", "The process must be archived first.")
    gone = {run.id, *run.task_ids}
    for task_id in run.task_ids:
        del tenant.tasks[task_id]
    del tenant.runs[run.id]
    tenant.changed()
    return forget(tenant, gone)


def forget(tenant: Tenant, gone: set[str]) -> list[str]:
    """Drop the threads, relations and files of deleted rows. Return the ids of the files."""
    for subject in gone:
        tenant.threads.pop(subject, None)
    tenant.pivots = {key: number for key, number in tenant.pivots.items() if key[1] not in gone}
    files = [asset.id for asset in tenant.assets.values() if asset.subject_id in gone]
    for asset_id in files:
        del tenant.assets[asset_id]
    return files


def complete_prerun(world: World, tenant: Tenant, me: Member, run: Run) -> None:
    """Submit the kick-off form of a run; every required field needs an answer."""
    checklist = tenant.checklists.get(run.checklist_id)
    absent = values.missing(checklist.prerun if checklist else [], run.prerun)
    if absent:
        raise Invalid(absent)
    if run.prerun_completed_at is None:
        run.prerun_completed_at = run.updated_at = world.now()
        run.prerun_completed_by = me.user.id
        tenant.changed()


def reopen_prerun(world: World, tenant: Tenant, run: Run) -> None:
    """Open the kick-off form of a run again; its answers stay."""
    run.prerun_completed_at = run.prerun_completed_by = None
    run.updated_at = world.now()
    tenant.changed()


def settle(world: World, tenant: Tenant, run: Run) -> None:
    """Bring a run in line with its tasks: complete when the last visible one is, else active or problem.

    An open issue of the run itself outweighs both.
    """
    tasks = tenant.tasks_of(run)
    visible = [task for task in tasks if task.status != "auto-skipped"]
    if visible and all(task.status == "completed" for task in visible):
        if run.completed_at is None:
            tenant.happened("process.completed", run)
        run.status, run.completed_at = "complete", run.completed_at or world.now()
    else:
        run.status = "problem" if any(t.problem for t in tasks) else "active"
        run.completed_at = None
    if run.open_issue:
        run.status = "issue"
    run.updated_at = world.now()
