from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tallyfy_async import ConfigurationError
from tallyfy_async.models import OwnersInput
from tests.resources.place import place

pytestmark = pytest.mark.anyio
MOMENT = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


async def test_a_task_is_created_and_moved_and_loses_its_assignees() -> None:
    async with place() as at:
        owners: Any = {"users": [1001, 1002], "guests": ["guest1@partner.org"]}
        made = await at.org.micro.create_task(name="Call", deadline=MOMENT, description="By phone", owners=owners)
        row = at.tenant.tasks[made.id]
        assert (made.title, made.deadline, row.task_type, row.summary) == ("Call", MOMENT, "task", "By phone")
        assert (row.users, row.guests) == ([1001, 1002], ["guest1@partner.org"])
        assert await at.org.micro.edit_task_deadline(made.id, date(2026, 12, 2)) is None
        assert row.deadline == int(datetime(2026, 12, 2, tzinfo=UTC).timestamp())
        assert await at.org.micro.remove_assignee(made.id, 1002) is None
        assert (row.users, row.guests) == ([1001], ["guest1@partner.org"])
        assert await at.org.micro.remove_guest(made.id, "guest1@partner.org") is None
        assert (row.users, row.guests) == ([1001], [])
        assert at.bodies()[1:] == [{"Deadline": "2026-12-02 00:00:00"}, None, None]


async def test_a_step_says_who_must_complete_it() -> None:
    async with place() as at:
        checklist = at.checklist()
        step = checklist.steps[0]
        for word in ("all", "any"):
            await at.org.micro.edit_step_type(checklist.id, step.id, word)  # type: ignore[arg-type]
            assert step.everyone_must_complete is (word == "all")
        assert at.bodies() == [{"stepType": "all"}, {"stepType": "any"}]


WRONG: list[tuple[Any, str]] = [
    (lambda micro: micro.create_task(deadline=MOMENT), "lacks name"),
    (lambda micro: micro.create_task(name="x"), "lacks deadline"),
    (lambda micro: micro.create_task(name="x", deadline="soon"), "deadline must be datetime or date"),
    (lambda micro: micro.create_task(name="x", deadline=MOMENT, summary="y"), "does not know 'summary'"),
    (
        lambda micro: micro.create_task(name="x", deadline=MOMENT, owners=OwnersInput(users=[1], guests=[], groups=[])),
        "owners does not know 'groups'",
    ),
    (lambda micro: micro.edit_step_type("b", "s", ""), "step_type must be a str"),
    (lambda micro: micro.edit_step_type("b", "", "all"), "step must not be empty"),
    (lambda micro: micro.edit_task_deadline("t", None), "Deadline must be datetime or date"),
    (lambda micro: micro.remove_assignee("t", None), "member must be a str or an int"),
    (lambda micro: micro.remove_guest("t", ""), "guest must not be empty"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=range(len(WRONG)))
async def test_a_wrong_argument_is_refused_before_anything_is_sent(call: Any, message: str) -> None:
    async with place(runs=1, tasks=5) as at:
        with pytest.raises(ConfigurationError, match=message):
            await call(at.org.micro)
        assert at.received == []
