"""What the commands list and change, as tables and as JSON, against a served sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.sandbox.records import Task
from tests.cli.terminal import Terminal, become, lines, tenant
from tests.faults.rig import served


def live(sandbox: Sandbox, what: str) -> set[str]:
    rows: dict[str, Any] = getattr(tenant(sandbox), what)
    return {one.id for one in rows.values() if not one.archived_at}


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("checklists list", "checklists"),
        ("templates list", "checklists"),
        ("runs list", "runs"),
        ("processes list", "runs"),
        ("tasks list", "tasks"),
    ],
)
def test_a_list_is_whole_as_a_table_and_as_json(words: str, what: str, tallyfy: Terminal, user: Sandbox) -> None:
    expected = live(user, what)
    as_json = tallyfy(*words.split(), "--json")
    assert (as_json.status, as_json.err) == (0, "")
    assert {one["id"] for one in as_json.data} == expected
    as_table = tallyfy(*words.split())
    assert (as_table.status, as_table.err) == (0, "")
    assert {line.split()[0] for line in lines(as_table.out)} == expected


def test_the_objects_are_those_of_the_api(tallyfy: Terminal, user: Sandbox) -> None:
    run = tallyfy("runs", "list", "--json", "--limit", "1").data[0]
    known = tenant(user).runs[run["id"]]
    assert (run["name"], run["checklist_id"]) == (known.name, known.checklist_id)
    assert "progress" in run


def test_lists_are_narrowed(tallyfy: Terminal, user: Sandbox) -> None:
    runs = [one for one in tenant(user).runs.values() if not one.archived_at]
    one = runs[0]
    assert {r["checklist_id"] for r in tallyfy("runs", "list", "--template", one.checklist_id, "--json").data} == {
        one.checklist_id
    }
    assert one.id in {r["id"] for r in tallyfy("runs", "list", "-q", one.name, "--json").data}
    assert tallyfy("runs", "list", "--query", "no run has this name", "--json").data == []
    assert tallyfy("runs", "archive", one.id).status == 0
    assert one.id in {r["id"] for r in tallyfy("runs", "list", "--archived", "--json").data}
    assert one.id not in {r["id"] for r in tallyfy("runs", "list", "--json").data}
    assert {r["status"] for r in tallyfy("runs", "list", "--status", "active", "--json").data} <= {"active"}


def test_templates_are_narrowed(tallyfy: Terminal, user: Sandbox) -> None:
    title = next(iter(tenant(user).checklists.values())).title
    assert {one["title"] for one in tallyfy("checklists", "list", "-q", title, "--json").data} == {title}
    assert tallyfy("checklists", "list", "--type", "document", "--query", title, "--json").data == []
    assert all(one["archived_at"] for one in tallyfy("checklists", "list", "--archived", "--json").data)


def test_tasks_are_those_of_a_run_or_ones_own(tallyfy: Terminal, user: Sandbox) -> None:
    run = next(one.run_id for one in tenant(user).tasks.values() if one.run_id)
    found = tallyfy("tasks", "list", "--run", run, "--json").data
    assert {one["run_id"] for one in found} == {run}
    assert len(found) == len([one for one in tenant(user).tasks.values() if one.run_id == run])
    assert tallyfy("tasks", "list", "--mine", "--json").status == 0
    assert user.stats.by_operation["list_my_tasks"] == 1
    said = tallyfy("tasks", "list", "--run", run, "--mine")
    assert (said.status, said.out) == (2, "")
    assert "goes with neither" in said.err


def test_texts_of_the_server_command_no_terminal(tallyfy: Terminal, user: Sandbox) -> None:
    for one in tenant(user).runs.values():
        one.name = "\x1b[2J[red]Evil\u202e\nline"
    out = tallyfy("runs", "list").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert " [2J[red]Evil  line" in out


def open_task(sandbox: Sandbox) -> Task:
    return next(
        one
        for one in tenant(sandbox).tasks.values()
        if one.run_id and one.task_type == "task" and one.status == "in-progress" and not one.archived_at
        if not one.problem and not any(field.required for field in one.captures)
    )


@pytest.mark.parametrize("named", [True, False])
def test_a_task_is_completed_and_reopened(named: bool, tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(organizations=1, runs=30, tasks=250) as sandbox:
        become(sandbox, monkeypatch)
        task = open_task(sandbox)
        more = ["--run", task.run_id or ""] if named else []
        said = tallyfy("tasks", "complete", task.id, *more, "--json")
        assert (said.status, said.data["id"], said.data["status"]) == (0, task.id, "completed")
        assert tenant(sandbox).tasks[task.id].status == "completed"
        said = tallyfy("tasks", "reopen", task.id, *more)
        assert said.status == 0
        assert task.id in said.out
        assert tenant(sandbox).tasks[task.id].status != "completed"
        assert sandbox.stats.by_operation["get_task"] == (0 if named else 2)


def test_a_one_off_task_is_completed_and_reopened(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(organizations=1, runs=30, tasks=250) as sandbox:
        become(sandbox, monkeypatch)
        task = open_task(sandbox)
        task.run_id = None
        assert tallyfy("tasks", "complete", task.id, "--json").data["status"] == "completed"
        assert tallyfy("tasks", "reopen", task.id, "--json").data["status"] != "completed"
        assert sandbox.stats.by_operation["complete_task"] == sandbox.stats.by_operation["reopen_task"] == 1


def test_the_verdict_of_an_approval_goes_along(tallyfy: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(organizations=1, runs=30, tasks=250) as sandbox:
        become(sandbox, monkeypatch)
        task = open_task(sandbox)
        task.task_type = "approval"
        refused = tallyfy("tasks", "complete", task.id)
        assert (refused.status, refused.out) == (4, "")
        assert "ValidationError" in refused.err
        assert tallyfy("tasks", "complete", task.id, "--reject", "--json").data["is_approved"] is False


def test_runs_are_archived_until_one_is_refused(tallyfy: Terminal, user: Sandbox) -> None:
    ids = sorted(live(user, "runs"))
    said = tallyfy("runs", "archive", ids[0], ids[0], ids[1], "--json")
    assert (said.status, said.data) == (4, {"archived": [ids[0]]})
    assert "NotFoundError" in said.err
    assert live(user, "runs") == set(ids[1:])
    said = tallyfy("processes", "archive", *ids[1:])
    assert said.status == 0
    assert all(one in said.out for one in ids[1:])


def test_odd_ids_are_refused_before_anything_is_archived(tallyfy: Terminal, user: Sandbox) -> None:
    before = live(user, "runs")
    said = tallyfy("runs", "archive", min(before), " .")
    assert (said.status, said.out, said.err) == (2, "", "' .' is no id of a run\n")
    assert live(user, "runs") == before


def test_a_list_that_fails_leaves_nothing_on_standard_output(tallyfy: Terminal, user: Sandbox) -> None:
    user.faults.add(Fault(operation="list_tasks", status=400, body={"message": "no"}, times=None))
    said = tallyfy("tasks", "list", "--json")
    assert (said.status, said.out) == (4, "")
