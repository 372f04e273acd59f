from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from attrs import field, frozen

from tallyfy_async import RequestOptions
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio

PAGE = {"page": "1", "per_page": "100"}
DAY = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
NOBODY: Any = {"users": [], "guests": [], "groups": []}


@frozen(kw_only=True)
class Row:
    """A call and what the server gets of it; ``{…}`` in texts are ids of the place."""

    operation: str
    call: Callable[[Place], Awaitable[Any]]
    sent: str
    query: dict[str, str] = field(factory=dict[str, str])
    body: Any = None


READS = [
    Row(operation="get_me", call=lambda at: at.tallyfy.me.get(), sent="GET /me"),
    Row(
        operation="list_my_organizations",
        call=lambda at: at.tallyfy.organizations.list(),
        sent="GET /me/organizations",
        query=PAGE,
    ),
    Row(operation="list_users", call=lambda at: at.org.users.list(), sent="GET {org}/users", query=PAGE),
    Row(
        operation="list_users",
        call=lambda at: at.org.users.list(q="Ada L", sort="-id", with_=["groups", "stats"], per_page=2),
        sent="GET {org}/users",
        query={"q": "Ada L", "sort": "-id", "with": "groups,stats", "page": "1", "per_page": "2"},
    ),
    Row(
        operation="get_user",
        call=lambda at: at.org.users.get(1001, with_="groups"),
        sent="GET {org}/users/1001",
        query={"with": "groups"},
    ),
    Row(operation="list_checklists", call=lambda at: at.org.checklists.list(), sent="GET {org}/checklists", query=PAGE),
    Row(
        operation="list_checklists",
        call=lambda at: at.org.templates.list(starred=True, folder="f1", owner_id=7, archived="only"),
        sent="GET {org}/checklists",
        query={"starred": "true", "folder": "f1", "owner_id": "7", "archived": "only", **PAGE},
    ),
    Row(
        operation="get_checklist",
        call=lambda at: at.org.checklists.get(at.checklist().id, with_=["steps"]),
        sent="GET {org}/checklists/{checklist}",
        query={"with": "steps"},
    ),
    Row(operation="list_runs", call=lambda at: at.org.runs.list(), sent="GET {org}/runs", query=PAGE),
    Row(
        operation="list_runs",
        call=lambda at: at.org.processes.list(
            status="active", owners=[1001, 1002], tag_ids={"b", "a"}, untagged=False, with_=("tasks", "tags")
        ),
        sent="GET {org}/runs",
        query={"status": "active", "owners": "1001,1002", "tag_ids": "a,b", "untagged": "false", "with": "tasks,tags"}
        | PAGE,
    ),
    Row(operation="get_run", call=lambda at: at.org.runs.get(at.run().id), sent="GET {org}/runs/{run}"),
    Row(
        operation="list_run_tasks",
        call=lambda at: at.org.runs.tasks.list(at.run().id, status="active", unassigned=False),
        sent="GET {org}/runs/{run}/tasks",
        query={"status": "active", "unassigned": "false", **PAGE},
    ),
    Row(
        operation="get_run_task",
        call=lambda at: at.org.runs.tasks.get(at.task().run_id or "", at.task().id, with_=["form_fields", "threads"]),
        sent="GET {org}/runs/{task_run}/tasks/{task}",
        query={"with": "form_fields,threads"},
    ),
    Row(operation="list_tasks", call=lambda at: at.org.tasks.list(), sent="GET {org}/tasks", query=PAGE),
    Row(
        operation="list_tasks",
        call=lambda at: at.org.tasks.list(
            deadline_on=date(2026, 12, 1), guests="a+b@example.com", folder="f 1", is_oneoff=True, created="2026-11-01"
        ),
        sent="GET {org}/tasks",
        query={"deadline_on": "2026-12-01", "guests": "a+b@example.com", "folder": "f 1", "is_oneoff": "true"}
        | {"created": "2026-11-01"}
        | PAGE,
    ),
    Row(operation="get_task", call=lambda at: at.org.tasks.get(at.oneoff().id), sent="GET {org}/tasks/{oneoff}"),
    Row(
        operation="list_my_tasks",
        call=lambda at: at.org.me.tasks.list(),
        sent="GET {org}/me/tasks",
        query={"status": "all", **PAGE},
    ),
    Row(
        operation="list_my_tasks",
        call=lambda at: at.org.me.tasks.list(status="overdue", sort="deadline"),
        sent="GET {org}/me/tasks",
        query={"status": "overdue", "sort": "deadline", **PAGE},
    ),
]
WRITES = [
    Row(
        operation="launch_run",
        call=lambda at: at.org.runs.launch(at.checklist().id),
        sent="POST {org}/runs",
        body={"checklist_id": "{checklist}"},
    ),
    Row(
        operation="launch_run",
        call=lambda at: at.org.runs.launch(
            at.checklist().id,
            name="Onboard Ada",
            starred=True,
            users=(1002,),
            prerun={at.field("Start date"): date(2026, 12, 1)},
        ),
        sent="POST {org}/runs",
        body={"checklist_id": "{checklist}", "name": "Onboard Ada", "starred": True, "users": [1002]}
        | {"prerun": {"{start}": "2026-12-01 00:00:00"}},
    ),
    Row(
        operation="update_run",
        call=lambda at: at.org.runs.update(at.run().id, summary="", users=[1003], groups=[]),
        sent="PUT {org}/runs/{run}",
        body={"summary": "", "users": [1003], "groups": []},
    ),
    Row(operation="archive_run", call=lambda at: at.org.runs.archive(at.run().id), sent="DELETE {org}/runs/{run}"),
    Row(
        operation="activate_run",
        call=lambda at: at.org.runs.activate(at.archived_run().id),
        sent="PUT {org}/runs/{archived}/activate",
    ),
    Row(
        operation="update_run_task",
        call=lambda at: at.org.runs.tasks.update(
            at.task().run_id or "", at.task().id, title="Call Ada", deadline=DAY, owners=NOBODY, webhook=None
        ),
        sent="PUT {org}/runs/{task_run}/tasks/{task}",
        body={"title": "Call Ada", "deadline": "2026-12-01 09:30:00", "owners": NOBODY, "webhook": None},
    ),
    Row(
        operation="complete_run_task",
        call=lambda at: at.org.runs.tasks.complete(at.task().run_id or "", at.task().id),
        sent="POST {org}/runs/{task_run}/completed-tasks",
        body={"task_id": "{task}"},
    ),
    Row(
        operation="complete_run_task",
        call=lambda at: at.org.runs.tasks.complete(
            at.task().run_id or "", at.task().id, is_approved=False, override_user=1002
        ),
        sent="POST {org}/runs/{task_run}/completed-tasks",
        body={"task_id": "{task}", "is_approved": False, "override_user": 1002},
    ),
    Row(
        operation="reopen_run_task",
        call=lambda at: at.org.runs.tasks.reopen(at.task("completed").run_id or "", at.task("completed").id),
        sent="DELETE {org}/runs/{done_run}/completed-tasks/{done}",
    ),
    Row(
        operation="update_task",
        call=lambda at: at.org.tasks.update(at.oneoff().id, title="Call", deadline=date(2026, 12, 1), owners=NOBODY),
        sent="PUT {org}/tasks/{oneoff}",
        body={"title": "Call", "deadline": "2026-12-01 00:00:00", "owners": NOBODY},
    ),
    Row(
        operation="complete_task",
        call=lambda at: at.org.tasks.complete(at.oneoff().id, override_user=1001),
        sent="POST {org}/completed-tasks",
        body={"task_id": "{oneoff}", "override_user": 1001},
    ),
    Row(
        operation="reopen_task",
        call=lambda at: at.org.tasks.reopen(at.oneoff("completed").id),
        sent="DELETE {org}/completed-tasks/{done_oneoff}",
    ),
]


def ids(at: Place) -> dict[str, str]:
    """Return the ids that the rows speak of, before a call changes the rows."""
    done = at.task("completed")
    return {
        "{org}": f"/organizations/{at.org.id}",
        "{run}": at.run().id,
        "{archived}": at.archived_run().id,
        "{task_run}": at.task().run_id or "",
        "{task}": at.task().id,
        "{done_run}": done.run_id or "",
        "{done}": done.id,
        "{oneoff}": at.oneoff().id,
        "{done_oneoff}": at.oneoff("completed").id,
        "{checklist}": at.checklist().id,
        "{start}": at.field("Start date"),
    }


def filled(text: str, known: dict[str, str]) -> str:
    """Put ids in the place of their names."""
    for name, value in known.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize("row", READS + WRITES, ids=lambda row: row.operation)
async def test_every_method_sends_what_the_contract_says(row: Row) -> None:
    async with place() as at:
        known = ids(at)
        await row.call(at)
        (request,) = at.received
        assert f"{request.method} {request.path.removeprefix('/api')}" == filled(row.sent, known)
        assert request.operation == row.operation
        assert dict(request.query) == row.query
        assert (json.loads(request.body) if request.body else None) == json.loads(filled(json.dumps(row.body), known))
        writes = row in WRITES
        assert request.headers.get("content-type") == ("application/json" if writes else None)


async def test_options_add_headers_and_query_to_one_call() -> None:
    options = RequestOptions(headers={"X-Trace": "t1"}, query={"with": "stats", "page": 1})
    async with place() as at:
        await at.org.users.list(q="Ada", with_="groups", options=options)
        await at.org.users.get(1001)
        first, second = at.received
        assert dict(first.query) == {"q": "Ada", "with": "stats", **PAGE}
        assert first.headers["x-trace"] == "t1"
        assert "x-trace" not in second.headers
        assert dict(second.query) == {}


async def test_an_id_stays_in_its_segment() -> None:
    async with place() as at:
        status = []
        for run_id in ("../me", "a b", "?x", "%2e%2e"):
            with pytest.raises(Exception, match="-> 404"):
                await at.org.runs.get(run_id)
            status.append(at.received[-1].operation)
        assert status == ["get_run"] * 4
