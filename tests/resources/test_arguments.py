from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest

from tallyfy_async import ConfigurationError, Outcome
from tallyfy_async.sandbox import UNSET, Fault
from tests.resources.place import Place, place

pytestmark = pytest.mark.anyio
R, T = "a" * 32, "b" * 32

# What is called, and what the message must name: the argument and, behind it, a remedy or the type that is right.
WRONG: list[tuple[str, Callable[[Any], Any], str]] = [
    ("no run id", lambda org: org.runs.get(""), "run_id must not be empty.*pass the id"),
    ("run id None", lambda org: org.runs.get(None), "run_id must be a str or an int, not NoneType"),
    ("a dot segment", lambda org: org.runs.archive(".."), "run_id must not be empty or a dot segment"),
    ("a run for its id", lambda org: org.runs.activate(object()), "run_id must be a str"),
    ("no task id", lambda org: org.runs.tasks.get(R, ""), "task_id"),
    ("no user id", lambda org: org.users.get(None), "user_id must"),
    ("no template", lambda org: org.checklists.get(" "), "checklist_id must"),
    ("launch of nothing", lambda org: org.runs.launch(""), "checklist_id must be a str that is not empty"),
    ("launch of None", lambda org: org.runs.launch(None), "checklist_id must be a str"),
    ("complete nothing", lambda org: org.runs.tasks.complete(R, ""), "task_id must be a str that is not empty"),
    ("complete None", lambda org: org.tasks.complete(None), "task_id must be a str"),
    ("reopen nothing", lambda org: org.tasks.reopen(""), "task_id must"),
    (
        "approval word",
        lambda org: org.runs.tasks.complete(R, T, is_approved="yes"),
        "is_approved must be bool.*pass bool",
    ),
    ("completer name", lambda org: org.tasks.complete(T, override_user="Ada"), "override_user must be int.*pass int"),
    ("launch, wrong word", lambda org: org.runs.launch(R, nmae="x"), "'nmae': did you mean 'name'"),
    ("launch, web word", lambda org: org.runs.launch(R, description="x"), "'description': did you mean 'summary'"),
    ("launch, old word", lambda org: org.runs.launch(R, prerun_data={}), "did you mean 'prerun'"),
    (
        "launch, wrong type",
        lambda org: org.runs.launch(R, starred="yes"),
        r"runs\.launch: starred must be bool.*pass bool",
    ),
    ("launch, one user", lambda org: org.runs.launch(R, users=1001), r"users must be a list.*pass \[value\]"),
    ("launch, user names", lambda org: org.runs.launch(R, users=[1, "2"]), r"users\[1\] must be int.*pass int"),
    ("answers as list", lambda org: org.runs.launch(R, prerun=["x"]), "prerun must be a mapping.*by field id"),
    (
        "answers by label",
        lambda org: org.runs.launch(R, prerun={"Start": "x"}),
        r"'Start' is no field id.*checklist\.prerun",
    ),
    ("upper-case id", lambda org: org.runs.launch(R, prerun={"A" * 32: "x"}), "is no field id"),
    ("naive answer", lambda org: org.runs.launch(R, prerun={R: datetime(2026, 12, 1)}), "naive|time ?zone|tzinfo"),  # noqa: DTZ001
    (
        "owners in part",
        lambda org: org.runs.launch(R, tasks={T: {"owners": {"users": []}}}),
        "lacks groups, guests.*empties",
    ),
    ("empty update", lambda org: org.runs.update(R), "needs something to change"),
    ("update, answers by label", lambda org: org.runs.update(R, prerun={"Start": 1}), "is no field id"),
    ("update, wrong word", lambda org: org.runs.update(R, title="x"), "'title': did you mean 'name'"),
    ("empty task update", lambda org: org.runs.tasks.update(R, T), "needs something to change"),
    (
        "task answers by label",
        lambda org: org.runs.tasks.update(R, T, taskdata={"Notes": "x"}),
        "'Notes' is no field id",
    ),
    ("task answers as list", lambda org: org.runs.tasks.update(R, T, taskdata=[]), "taskdata must be a mapping"),
    (
        "task owners in part",
        lambda org: org.runs.tasks.update(R, T, owners={"users": [1]}),
        "lacks groups, guests.*as_input",
    ),
    ("task, due", lambda org: org.runs.tasks.update(R, T, due="x"), "did you mean 'deadline'"),
    (
        "task, text deadline",
        lambda org: org.runs.tasks.update(R, T, deadline="2026-12-01"),
        "deadline must be datetime or date",
    ),
    ("one-off in part", lambda org: org.tasks.replace(T, title="x"), "lacks deadline, owners"),
    (
        "one-off answers",
        lambda org: org.tasks.update(
            T,
            title="x",
            deadline=date(2026, 12, 1),
            owners={"users": [], "guests": [], "groups": []},
            taskdata={"N": 1},
        ),
        "'N' is no field id",
    ),
    ("list, wrong filter", lambda org: org.runs.list(state="active"), "'state': did you mean 'status'"),
    ("list, wrong type", lambda org: org.runs.list(starred=1), r"runs\.list: starred must be bool"),
    ("list, None", lambda org: org.runs.list(status=None), "status must be str, not NoneType"),
    ("list, one owner", lambda org: org.runs.list(owners=5), r"owners must be a list.*pass \[value\]"),
    ("list, no owner", lambda org: org.runs.list(owners=[]), "owners is empty.*leave it out"),
    ("list, numbers for words", lambda org: org.users.list(with_=[1]), r"with_\[0\] must be str"),
    ("list, page 0", lambda org: org.users.list(per_page=0), "per_page must be a whole number of at least 1"),
    ("list, page text", lambda org: org.tasks.list(per_page="10"), "per_page must be a whole number"),
    ("list, page true", lambda org: org.me.tasks.list(per_page=True), "per_page must be a whole number"),
    ("list, moment", lambda org: org.tasks.list(deadline_on=5), "deadline_on must be date or str"),
    ("list of tasks, no run", lambda org: org.runs.tasks.list(""), "run_id must not be empty"),
    ("options as a dict", lambda org: org.runs.get(R, options={"timeout": 3}), r"options must be RequestOptions\("),
    ("options of a list", lambda org: org.runs.list(options={}), "options must be RequestOptions"),
    ("options of a write", lambda org: org.runs.launch(R, options=5), "options must be RequestOptions"),
    ("with a number", lambda org: org.runs.get(R, with_=5), "with_ must be a list"),
    ("with numbers", lambda org: org.checklists.get(R, with_=[5]), r"with_\[0\] must be str"),
    ("with a mapping", lambda org: org.users.get(1, with_={"stats": True}), "with_ must be a list"),
]


async def attempt(call: Callable[[Any], Any], at: Place) -> None:
    """Make a call; a list must refuse before it is awaited."""
    made = call(at.org)
    if hasattr(made, "pages"):
        pytest.fail("a list with wrong arguments was made")
    await made


@pytest.mark.parametrize(("call", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
async def test_a_wrong_argument_is_refused_by_name_before_anything_is_sent(
    call: Callable[[Any], Any], message: str
) -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match=message) as caught:
            await attempt(call, at)
        assert caught.value.outcome is Outcome.NOT_SENT
        assert isinstance(caught.value, ValueError)
        assert at.sandbox.stats.requests == 0


async def test_no_includes_are_no_parameter() -> None:
    async with place(runs=1, tasks=5) as at:
        await at.org.users.get(1001, with_=[])
        await at.org.users.list(with_=())
        assert [dict(one.query) for one in at.received] == [{}, {"page": "1", "per_page": "100"}]


async def test_a_run_read_without_its_members_is_not_updated() -> None:
    async with place() as at:
        run = at.run(lambda run: bool(run.users))
        before = list(run.users)
        at.sandbox.faults.add(Fault(operation="get_run", patch={"data": {"users": UNSET}}))
        with pytest.raises(ConfigurationError, match=r"pass both to runs\.update"):
            await at.org.runs.update(run.id, name="x")
        assert run.users == before
        assert at.sandbox.stats.by_operation["update_run"] == 0


async def test_an_unknown_noun_names_the_known_ones() -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(AttributeError, match=r"has no 'members'; it has activity, assets, .*users, webhooks"):
            _ = at.org.members  # type: ignore[attr-defined]
        runs = at.org.runs
        assert at.org.processes is runs
        assert at.org.templates is at.org.checklists
        assert {"runs", "templates", "id"} <= set(dir(at.org))
        assert repr(at.org) == f"<Organization {at.org.id}>"
