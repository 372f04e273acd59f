"""Runs and tasks of the seeded organization, in every state that the notes know."""

import random

from . import catalog, dates
from .records import Checklist, Field, JsonObject, Run, Step, Task, Thread
from .settings import Settings
from .world import Tenant

DAY = 24 * 3600
HOUR = 3600


def grow_runs(rng: random.Random, tenant: Tenant, settings: Settings) -> None:
    """Start `settings.runs` runs over the templates, oldest first, with at most `settings.tasks` tasks in all."""
    templates = list(tenant.checklists.values())
    budget = settings.tasks - settings.tasks // 25
    if not templates:
        return
    for number in range(settings.runs):
        checklist = templates[number % len(templates)]
        left = settings.runs - number - 1
        size = max(0, min(len(checklist.steps), budget - left))
        budget -= size
        age = 90 * DAY * (settings.runs - number) // settings.runs
        _run(rng, tenant, checklist, number=number, size=size, created=settings.seed_epoch - age)


def grow_oneoffs(rng: random.Random, tenant: Tenant, settings: Settings) -> None:
    """Fill up with one-off tasks until the organization has `settings.tasks` tasks."""
    people = sorted(tenant.members)
    for number in range(settings.tasks - len(tenant.tasks)):
        created = settings.seed_epoch - rng.randrange(60 * DAY)
        done = number % 4 == 0
        title = f"{rng.choice(catalog.ONE_OFFS)} {rng.choice(catalog.CUSTOMERS)}"
        owner = people[0] if number % 5 == 0 else rng.choice(people)
        task = Task(
            id=_hex(rng),
            increment_id=tenant.next_increment(),
            title=title,
            original_title=title,
            summary=f"<p>{title}</p>",
            run_id=None,
            checklist_id=None,
            step_id=None,
            alias=None,
            task_type="approval" if number % 10 == 9 else "task",
            status="completed" if done else "not-started" if number % 3 else "in-progress",
            position=1,
            users=[owner],
            guests=[],
            groups=[],
            taskdata={},
            captures=[],
            started_at=created,
            deadline=dates.working_day(created + rng.randrange(1, 30) * DAY),
            created_at=created,
            updated_at=created + HOUR,
            completed_at=created + 5 * HOUR if done else None,
            completer_id=owner if done else None,
            is_approved=True if done and number % 10 == 9 else None,
            starter_id=people[0],
        )
        tenant.tasks[task.id] = task


def _hex(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"


def _run(rng: random.Random, tenant: Tenant, checklist: Checklist, *, number: int, size: int, created: int) -> None:
    fate = ("active", "complete", "active", "problem", "active", "complete", "active", "archived")[number * 5 % 32 // 4]
    starter = rng.choice([m.user.id for m in tenant.members.values() if m.status == "active"])
    run = Run(
        id=_hex(rng),
        increment_id=tenant.next_increment(),
        checklist_id=checklist.id,
        checklist_title=checklist.title,
        name=f"{checklist.title} - {rng.choice(catalog.CUSTOMERS)} #{number + 1}",
        summary="",
        type=checklist.type,
        started_by=starter,
        owner_id=starter,
        prerun={f.id: _value(rng, tenant, f, created) for f in checklist.prerun if f.required or rng.random() < 0.5},
        starred=number % 9 == 0,
        can_add_oot=checklist.can_add_oot,
        prerun_completed_at=created,
        prerun_completed_by=starter,
        users=list(checklist.users),
        groups=list(checklist.groups),
        tags=list(checklist.tags) if number % 3 == 0 else [],
        created_at=created,
        updated_at=created,
    )
    tenant.runs[run.id] = run
    checklist.started_processes += 1
    if size:
        _tasks(rng, tenant, checklist, run, size=size, fate=fate)
    if fate == "archived":
        _archive(tenant, run)


def _tasks(rng: random.Random, tenant: Tenant, checklist: Checklist, run: Run, *, size: int, fate: str) -> None:
    done = size if fate == "complete" else rng.randrange(size)
    steps = checklist.steps[:size]
    tasks = [
        _task(rng, tenant, step, run, done=place < done, current=place == done) for place, step in enumerate(steps)
    ]
    run.task_ids = [task.id for task in tasks]
    run.updated_at = max(task.updated_at for task in tasks)
    if fate == "complete":
        run.status = "complete"
        run.completed_at = max((t.completed_at for t in tasks if t.completed_at), default=run.updated_at)
    if fate == "problem":
        _problem(tenant, run, tasks[done])


def _task(rng: random.Random, tenant: Tenant, step: Step, run: Run, *, done: bool, current: bool) -> Task:
    hidden = not current and step.position > 1 and rng.random() < 0.05
    started = run.created_at
    finished = started + step.position * 7 * HOUR + rng.randrange(HOUR)
    answered = done and not hidden
    users = list(step.users) if step.users or step.guests or step.groups else [run.started_by]
    status = "auto-skipped" if hidden else "completed" if done else "in-progress" if current else "not-started"
    task = Task(
        id=_hex(rng),
        increment_id=tenant.next_increment(),
        title=step.title,
        original_title=step.title,
        summary=step.summary,
        run_id=run.id,
        checklist_id=run.checklist_id,
        step_id=step.id,
        alias=step.alias,
        task_type=step.step_type,
        status=status,
        position=step.position,
        users=users,
        guests=list(step.guests),
        groups=list(step.groups),
        taskdata={f.id: _value(rng, tenant, f, started) for f in step.captures} if answered else {},
        captures=step.captures,
        is_approved=True if answered and step.step_type == "approval" else None,
        started_at=started,
        deadline=dates.working_day(started + step.position * DAY),
        created_at=started,
        updated_at=finished if answered else started + HOUR,
        completed_at=finished if answered else None,
        starter_id=run.started_by,
        completer_id=(users or [run.started_by])[0] if answered else None,
        can_complete_only_assignees=step.can_complete_only_assignees,
    )
    tenant.tasks[task.id] = task
    return task


def _problem(tenant: Tenant, run: Run, task: Task) -> None:
    run.status = "problem"
    task.problem = True
    thread = Thread(
        id=str(tenant.next_increment()),
        content="The customer has not answered yet.",
        label="problem",
        author_id=run.started_by,
        task_id=task.id,
        created_at=task.updated_at,
        updated_at=task.updated_at,
    )
    tenant.threads[task.id] = [thread]


def _archive(tenant: Tenant, run: Run) -> None:
    run.archived_at = run.updated_at = run.updated_at + DAY
    for task_id in run.task_ids:
        tenant.tasks[task_id].archived_at = run.archived_at


def _value(rng: random.Random, tenant: Tenant, field: Field, moment: int) -> object:
    """Answer a field the way a launch would have stored it."""
    kind = field.field_type
    if field.options:
        return _choice(rng, field)
    if kind == "table":
        return [rng.choice(catalog.VERBS), str(rng.randrange(1, 9)), f"{rng.randrange(100, 9999) / 100:.2f}"]
    if kind == "assignees_form":
        return {"users": [rng.choice(sorted(tenant.members))], "guests": [], "groups": []}
    if kind == "file":
        return [_file(rng)]
    if kind == "date":
        return dates.spell(moment + rng.randrange(40) * DAY, "millis")
    office = f"{rng.choice(('info', 'sales', 'office'))}@example.com"
    return office if kind == "email" else f"{rng.choice(catalog.CUSTOMERS)} {rng.randrange(1000, 9999)}"


def _choice(rng: random.Random, field: Field) -> object:
    """Answer a choice: the text of a radio, one option of a dropdown, every option of a multiselect."""
    if field.field_type == "multiselect":
        return [{**option, "selected": rng.random() < 0.5} for option in field.options]
    option = rng.choice(field.options)
    return option["text"] if field.field_type == "radio" else dict(option)


def _file(rng: random.Random) -> JsonObject:
    name = f"{rng.choice(('contract', 'scan', 'photo'))}.pdf"
    return {
        "id": _hex(rng),
        "filename": name,
        "version": 1,
        "source": "url",
        "url": f"https://files.example/{name}",
        "full_url": f"https://files.example/{name}",
    }
