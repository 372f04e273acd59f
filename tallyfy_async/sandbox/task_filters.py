"""Filters and orders of the task lists."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import dates
from .lists import ordered, truthy, words
from .problems import invalid
from .records import JsonObject, Task
from .router import Call
from .views.lens import SOON

Test = Callable[[Task], bool]
DAY = 24 * 3600
_REFUSING = frozenset({"list_tasks", "list_my_tasks"})
_DAYS = ("deadline_on", "deadline_start_range", "deadline_end_range", "deadline_before", "deadline_after")

SORTS: dict[str, Callable[[Task], Any]] = {
    "position": lambda t: t.position,
    "deadline": lambda t: t.deadline,
    "problems": lambda t: not t.problem,
}
"""`newest` and `completed_newest` run the other way round: the plain word puts the newest first."""
NEWEST: dict[str, Callable[[Task], Any]] = {
    "newest": lambda t: -t.created_at,
    "completed_newest": lambda t: -t.completed_at if t.completed_at is not None else None,
}


def sort_tasks(call: Call, rows: Sequence[Task]) -> list[Task]:
    """Order by `sort`, or `sort_by` as web client and SDK send it; unknown words keep the order."""
    return ordered(rows, call.query.get("sort") or call.query.get("sort_by"), SORTS | NEWEST)


def status_tests(now: int) -> dict[str, Test]:
    """Map the filter words, which differ from the stored ones, to tests."""

    def left(task: Task) -> int | None:
        return task.deadline - now if task.is_open and task.deadline is not None else None

    def overdue(task: Task) -> bool:
        seconds = left(task)
        return seconds is not None and seconds < 0

    def due_soon(task: Task) -> bool:
        seconds = left(task)
        return seconds is not None and 0 <= seconds < SOON

    return {
        "all": lambda _: True,
        "complete": lambda t: t.status == "completed",
        "completed": lambda t: t.status == "completed",
        "active": lambda t: t.is_open,
        "active_visible": lambda t: t.is_open,
        "incomplete": lambda t: t.is_open,
        "inprogress": lambda t: t.status == "in-progress",
        "not-started": lambda t: t.status == "not-started",
        "hasproblem": lambda t: t.problem,
        "overdue": overdue,
        "due_soon": due_soon,
    }


def task_tests(call: Call, default: str | None) -> list[Test]:
    """Build the tests that the query asks for; raise 422 on an unknown status word or a broken date.

    The tasks of a run and of a member have no 422 (contract: list_run_tasks, list_user_tasks): they ignore such words.
    `default` is the status where none is asked for.
    """
    query, tenant = _readable(call), call.tenant
    tests = _people_tests(call) + _deadline_tests(query)
    word = query.get("status") or default
    if word:
        known = status_tests(call.now)
        if word not in known:
            raise invalid("status", "The selected status is invalid.")
        tests.append(known[word])
    if needle := query.get("q", "").casefold():
        runs = tenant.runs
        tests.append(lambda t: needle in f"{t.title}\n{runs[t.run_id].name if t.run_id else ''}".casefold())
    if "is_oneoff" in query:
        wanted = truthy(query["is_oneoff"])
        tests.append(lambda t: t.is_oneoff == wanted)
    if tag := query.get("tag"):
        ids = {row.id for row in tenant.tags.values() if row.title.casefold() == tag.casefold()}
        tests.append(lambda t: bool(ids & set(t.tags) or (t.run_id and ids & set(tenant.runs[t.run_id].tags))))
    if folders := words(query.get("folder")):
        tests.append(lambda t: bool(folders & {*t.folders, *(tenant.runs[t.run_id].folders if t.run_id else ())}))
    if query.get("roles"):
        # No step can be given a role through the API.
        tests.append(lambda _: False)
    if key := query.get("custom_field_key"):
        values, value = tenant.custom_values, query.get("custom_field_value")
        tests.append(lambda t: _carries(values.get(("task", t.id), {}), key, value))
    return tests


def _carries(values: JsonObject, key: str, wanted: str | None) -> bool:
    """Tell whether a task has a custom field, with one value where that is asked for."""
    return key in values and (wanted is None or str(values[key]) == wanted)


def _people_tests(call: Call) -> list[Test]:
    query = call.query
    tests: list[Test] = []
    owners = words(query.get("owners"))
    if query.get("assignee"):
        owners |= {str(call.user.id) if query["assignee"] == "me" else query["assignee"]}
    if owners:
        tests.append(lambda t: any(str(user) in owners for user in t.users))
    if guests := words(query.get("guests")):
        tests.append(lambda t: bool(guests & set(t.guests)))
    if groups := words(query.get("groups")):
        tests.append(lambda t: bool(groups & set(t.groups)))
    if truthy(query.get("unassigned")):
        tests.append(lambda t: not (t.users or t.guests or t.groups))
    return tests


def _readable(call: Call) -> Mapping[str, str]:
    if call.operation.name in _REFUSING:
        return call.query
    known = status_tests(call.now)
    readable: dict[str, Callable[[str], bool]] = {
        **dict.fromkeys(_DAYS, lambda text: _moment(text) is not None),
        "created": lambda text: all(_moment(day) is not None for day in _days(text)),
        "status": lambda text: text in known,
    }
    return {name: text for name, text in call.query.items() if name not in readable or readable[name](text)}


def _deadline_tests(query: Mapping[str, str]) -> list[Test]:
    """deadline_on wins over the other deadline filters; before and after are exclusive days."""
    if query.get("deadline_on"):
        start = _day(query["deadline_on"], "deadline_on")
        return [_between("deadline", start, start + DAY), *_created_tests(query)]
    tests = _created_tests(query)
    if query.get("deadline_start_range"):
        tests.append(_between("deadline", _day(query["deadline_start_range"], "deadline_start_range"), None))
    if query.get("deadline_end_range"):
        tests.append(_between("deadline", None, _day(query["deadline_end_range"], "deadline_end_range") + DAY))
    if query.get("deadline_before"):
        tests.append(_between("deadline", None, _day(query["deadline_before"], "deadline_before")))
    if query.get("deadline_after"):
        tests.append(_between("deadline", _day(query["deadline_after"], "deadline_after") + DAY, None))
    return tests


def _created_tests(query: Mapping[str, str]) -> list[Test]:
    text = query.get("created")
    if not text:
        return []
    first, last = _days(text)
    return [_between("created_at", _day(first, "created"), _day(last, "created") + DAY)]


def _days(text: str) -> tuple[str, str]:
    """Split a range; one day is a range of its own."""
    first, _, last = text.partition(":")
    return first, last or first


def _between(name: str, start: int | None, end: int | None) -> Test:
    def test(task: Task) -> bool:
        moment: int | None = getattr(task, name)
        return moment is not None and (start is None or moment >= start) and (end is None or moment < end)

    return test


def _moment(text: str) -> int | None:
    return dates.read(text) if len(text) == len("YYYY-MM-DD") else None


def _day(text: str, name: str) -> int:
    moment = _moment(text)
    if moment is None:
        raise invalid(name, f"The {name.replace('_', ' ')} is not a valid date.")
    return moment
