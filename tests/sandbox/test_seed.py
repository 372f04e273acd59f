from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tallyfy_async.sandbox import Sandbox, Settings

TYPES = {"text", "textarea", "radio", "dropdown", "multiselect", "date", "email", "file", "table", "assignees_form"}


@pytest.fixture(scope="module")
def full() -> Sandbox:
    return Sandbox()


def tenant(sandbox: Sandbox) -> Any:
    return sandbox.world.tenants[sandbox.credentials.organization]


def test_default_size(full: Sandbox) -> None:
    rows = tenant(full)
    sizes = (len(rows.checklists), len(rows.runs), len(rows.tasks), len(rows.members))
    assert sizes == (12, 300, 5000, 40)


def test_mix_of_states(full: Sandbox) -> None:
    rows = tenant(full)
    runs = Counter("archived" if run.archived_at else run.status for run in rows.runs.values())
    assert set(runs) == {"active", "problem", "complete", "archived"}
    assert {task.status for task in rows.tasks.values()} == {"not-started", "in-progress", "completed", "auto-skipped"}
    assert {member.status for member in rows.members.values()} == {"active", "invited", "disabled"}
    assert {member.role for member in rows.members.values()} == {"Admin", "Standard", "Light"}
    assert any(task.is_oneoff for task in rows.tasks.values())


def test_every_field_type_on_kickoff_and_steps(full: Sandbox) -> None:
    checklists = tenant(full).checklists.values()
    assert {field.field_type for row in checklists for field in row.prerun} == TYPES
    assert {field.field_type for row in checklists for step in row.steps for field in step.captures} == TYPES
    assert any(not any(field.required for field in row.prerun) for row in checklists)
    assert any(field.required for row in checklists for field in row.prerun)


def test_run_states_agree_with_their_tasks(full: Sandbox) -> None:
    rows = tenant(full)
    for run in rows.runs.values():
        visible = [task for task in rows.tasks_of(run) if task.status != "auto-skipped"]
        done = all(task.status == "completed" for task in visible)
        assert (run.status == "complete") == (done and bool(visible)) == (run.completed_at is not None), run
        assert (run.status == "problem") == any(task.problem for task in visible), run


def test_same_seed_same_world_other_seed_other_world(full: Sandbox) -> None:
    again, other = Sandbox(), Sandbox(seed=1)
    assert again.truth() == full.truth()
    assert again.credentials == full.credentials
    assert other.credentials.organization != full.credentials.organization
    assert not set(other.truth()["runs"]) & set(full.truth()["runs"])


@pytest.mark.parametrize(
    ("settings", "runs", "tasks"),
    [
        ({"tasks": 50}, 300, 50),
        ({"tasks": 0, "runs": 0}, 0, 0),
        ({"tasks": 7, "runs": 3, "templates": 1, "users": 1}, 3, 7),
        ({"tasks": 5001, "runs": 301}, 301, 5001),
        ({"templates": 0, "tasks": 9}, 0, 9),
        ({"templates": 30, "users": 90, "runs": 10, "tasks": 100}, 10, 100),
    ],
)
def test_asked_sizes_are_met(settings: dict[str, Any], runs: int, tasks: int) -> None:
    sandbox = Sandbox(Settings(**settings))
    assert (len(sandbox.truth()["runs"]), len(sandbox.truth()["tasks"])) == (runs, tasks)


def test_emails_are_unique() -> None:
    sandbox = Sandbox(Settings(users=90, tasks=0, runs=0))
    emails = [user.email for user in sandbox.world.users.values()]
    assert len(set(emails)) == 90


def test_credentials_show_no_secret(full: Sandbox) -> None:
    mine = full.credentials
    text = f"{mine!r} {full!r}"
    for secret in (mine.client_secret, mine.password, mine.personal_token):
        assert secret not in text
    assert mine.username in text


@pytest.mark.parametrize(
    "bad",
    [{"tasks": -1}, {"league": 7}, {"links_style": "x"}, {"access_life": "2"}, {"rotate_refresh": 1}, {"runs": True}],
)
def test_bad_settings_are_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Settings(**bad)
