"""The activity feed (templates.md section 12)."""

from collections.abc import Callable

from tallyfy_async.sandbox import dates
from tallyfy_async.sandbox.activity import Record
from tallyfy_async.sandbox.exchange import Reply, encode
from tallyfy_async.sandbox.lists import ordered, paged
from tallyfy_async.sandbox.people import Errors
from tallyfy_async.sandbox.problems import Invalid, forbidden
from tallyfy_async.sandbox.records import Activity
from tallyfy_async.sandbox.router import Call, Routes
from tallyfy_async.sandbox.views import activity as views

routes = Routes()
Test = Callable[[Activity], bool]
DAY = 24 * 3600
_TYPES = ("Comment", "Task", "Step", "Process", "Blueprint", "User", "Organization", "Tag", "Group")
_VERBS = (
    *("created", "updated", "owners-updated", "uploaded", "completed", "uncompleted", "deleted", "re-ordered"),
    *("commented", "issue-reported", "issue-resolved", "archived", "unarchived", "re-opened", "emitted", "enabled"),
    *("disabled", "comment-deleted", "invited", "invite-accepted", "linked", "unlinked"),
)
_WORDS = {
    "entity_type": ("checklist", "run", "step", "task", "thread"),
    "type": _TYPES,
    "verb": _VERBS,
    "actor_type": ("user", "guest"),
    "source": ("Member", "Guest", "Webhook"),
    "origin_type": ("checklist", "run", "step", "task"),
}
_GUARDED = ("run", "task", "checklist")


@routes.add("GET", "/organizations/{org}/activity-feeds", "list_activity_feeds", scope="unknown")
def list_activity_feeds(call: Call) -> Reply:
    """List what happened, newest first unless told otherwise."""
    _check(call)
    rows = [row for row in call.tenant.activities if _readable(call, row)]
    for test in _tests(call):
        rows = [row for row in rows if test(row)]
    rows = ordered(rows, call.query.get("sort"), {"created_at": _moment, "id": lambda a: a.id}, "-created_at")
    lens = call.lens
    return paged(call, rows, lambda row: encode(views.activity(lens, row)))


def _moment(row: Activity) -> tuple[int, int]:
    return row.created_at, row.id


def _check(call: Call) -> None:
    """Refuse words that the contract does not know, and a feed that is not the caller's to see."""
    query, errors = call.query, _word_errors(call)
    for name, other in (("entity_type", "entity_id"), ("entity_id", "entity_type"), ("origin_id", "origin_type")):
        if query.get(name) and not query.get(other):
            errors[other] = [f"The {other.replace('_', ' ')} field is required with {name.replace('_', ' ')}."]
    if query.get("search") and not 2 <= len(query["search"]) <= 100:
        errors["search"] = ["The search must be between 2 and 100 characters."]
    for name in ("created_after", "created_before"):
        if query.get(name) and (len(query[name]) != 10 or dates.read(query[name]) is None):
            errors[name] = [f"The {name.replace('_', ' ')} does not match the format Y-m-d."]
    if query.get("actor_id") and not query["actor_id"].isdigit():
        errors["actor_id"] = ["The actor id must be an integer."]
    if errors:
        raise Invalid(errors)
    if query.get("entity_type") and not _visible(call, (query["entity_type"], query["entity_id"])):
        raise forbidden("You do not have permission to see this activity.")


def _word_errors(call: Call) -> Errors:
    wrong = [name for name, known in _WORDS.items() if call.query.get(name) and call.query[name] not in known]
    return {name: [f"The selected {name.replace('_', ' ')} is invalid."] for name in wrong}


def _readable(call: Call, row: Activity) -> bool:
    """Tell whether the caller may see an entry: what it is about, or what that lies in, decides."""
    guarded = [record for record in (row.record, row.parent) if record is not None and record[0] in _GUARDED]
    return not guarded or any(_visible(call, record) for record in guarded)


def _visible(call: Call, record: Record) -> bool:
    """Tell whether the caller may see a record: administrators all, others what they made or work on."""
    me, tenant = call.user.id, call.tenant
    if call.member.is_admin or record[0] not in _GUARDED:
        return True
    if record[0] == "checklist":
        checklist = tenant.checklists.get(record[1])
        return checklist is not None and (me == checklist.owner_id or me in checklist.users)
    task = tenant.tasks.get(record[1]) if record[0] == "task" else None
    run = tenant.runs.get(record[1] if task is None else task.run_id or "")
    if run is None:
        return task is not None and me in {task.starter_id, *task.users}
    return me in {run.started_by, run.owner_id} or any(me in row.users for row in tenant.tasks_of(run))


def _tests(call: Call) -> list[Test]:
    """Build the filters that the query asks for."""
    query, tests = call.query, _actor_tests(call)
    for kind, record_id in (("entity_type", "entity_id"), ("origin_type", "origin_id")):
        if query.get(kind):
            tests.append(_about(query[kind], query.get(record_id, ""), direct=kind == "entity_type"))
    if word := query.get("type"):
        tests.append(lambda a: views.type_of(a) == word)
    if verb := query.get("verb"):
        tests.append(lambda a: a.verb == verb)
    if field := query.get("field"):
        tests.append(lambda a: a.field == field)
    if needle := query.get("search", "").casefold():
        tests.append(lambda a: needle in a.text.casefold())
    if (since := dates.read(query.get("created_after"))) is not None:
        tests.append(lambda a: a.created_at >= since)
    if (until := dates.read(query.get("created_before"))) is not None:
        tests.append(lambda a: a.created_at < until + DAY)
    return tests


def _about(kind: str, record_id: str, *, direct: bool) -> Test:
    """Match entries of a record and of what lies in it; an origin is only what they lie in."""

    def same(record: Record | None) -> bool:
        return record is not None and record[0] == kind and record_id in {"", record[1]}

    return lambda a: same(a.parent) or (direct and same(a.record))


def _actor_tests(call: Call) -> list[Test]:
    query = call.query
    tests: list[Test] = []
    if kind := query.get("actor_type"):
        tests.append(lambda a: a.actor is not None and isinstance(a.actor, str) == (kind == "guest"))
    if number := query.get("actor_id"):
        tests.append(lambda a: str(a.actor) == number)
    if source := query.get("source"):
        tests.append(lambda a: views.source_of(a) == source)
    if email := query.get("actor_email", "").lower():
        ids = {row.user.id for row in call.tenant.members.values() if row.user.email == email}
        tests.append(lambda a: a.actor == email or a.actor in ids)
    return tests
