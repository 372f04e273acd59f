"""What the conditions of rules mean: answers, tables, moments, and how several are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .workflow import YES, Workflow

if TYPE_CHECKING:
    from .conftest import Api, Clock

pytestmark = pytest.mark.anyio
DAY = 86_400


@pytest.fixture
async def flow(api: Api) -> Workflow:
    made = Workflow(api)
    await made.build()
    return made


@pytest.mark.parametrize(
    ("asked", "holds", "fails"),
    [
        (("text", "equals", "x"), ["x"], ["y", "xx", None]),
        (("text", "equals", 12), ["12", 12], ["13", None]),
        (("text", "not_equals", "x"), ["y", None], ["x"]),
        (("text", "equals_any", ["x", "y"]), ["x", "y"], ["z", None]),
        (("text", "contains", "ell"), ["hello"], ["help", None]),
        (("text", "not_contains", "ell"), ["help", None], ["hello"]),
        (("text", "greater_than", "9"), ["10", "9.5", 11], ["9", "8", "many", None]),
        (("text", "less_than", 9), ["8", "-1"], ["9", "10", "few", None]),
        (("text", "is_empty", None), [None, ""], ["x"]),
        (("text", "is_not_empty", None), ["x"], [None]),
        (("drop", "equals", "Yes"), [YES], [{"id": 2, "text": "No"}, None]),
        (("drop", "equals", YES), [YES], [{"id": 2, "text": "No"}]),
        (("drop", "equals_any", [YES]), [YES], [None]),
        (("multi", "equals", "Yes"), [[YES | {"selected": True}]], [[YES | {"selected": False}], [YES], None]),
        (("multi", "contains", "Ye"), [[YES | {"selected": True}]], [None]),
        (("table", "contains", "b"), [["a", "b"], ["b", "a"]], [["a", "c"]]),
        (("date", "contains", "2026-12"), ["2026-12-01 10:00:00"], ["2026-11-01 10:00:00", None]),
        (
            ("file", "contains", ".pdf"),
            [[{"url": "https://a.org/x", "filename": "x.pdf"}]],
            [[{"url": "https://a.org"}]],
        ),
        (("date", "is_empty", None), [None], ["2026-12-01"]),
    ],
)
async def test_field_conditions(flow: Workflow, asked: Any, holds: list[Any], fails: list[Any]) -> None:
    label = asked[0]
    await flow.rule([flow.when(*asked)], flow.then("show", "B"))
    await flow.launch()
    for wanted, values in (("", holds), ("B", fails)):
        for value in values:
            await flow.answer(**{label: value})
            assert flow.hidden == wanted, value


async def test_one_column_of_a_table(flow: Workflow) -> None:
    await flow.rule([flow.when("table", "contains", "b", column_contains_name="y")], flow.then("show", "B"))
    await flow.launch()
    for cells, hidden in ((["b", "a"], "B"), (["a", "b"], "")):
        await flow.answer(table=cells)
        assert flow.hidden == hidden


async def test_picker_is_empty_or_not(flow: Workflow) -> None:
    await flow.rule([flow.when("who", "is_empty")], flow.then("hide", "B"))
    await flow.launch()
    assert flow.hidden == "B"
    await flow.launch(prerun={flow.ids["who"]: {"users": [1002]}})
    assert flow.hidden == ""


async def test_logic_runs_from_left_to_right(flow: Workflow) -> None:
    """yes or no and no: with precedence this would hold."""
    yes, no = flow.when("text", "is_empty"), flow.when("text", "is_not_empty")
    await flow.rule([yes, no | {"logic": "or"}, no | {"logic": "and"}], flow.then("show", "B"))
    await flow.rule([no, yes | {"logic": "or"}], flow.then("show", "D"))
    await flow.launch()
    assert flow.hidden == "B"


@pytest.mark.parametrize(
    ("clause", "holds"),
    [
        ("any_time", (True, True, True, True)),
        ("on-time", (True, True, False, False)),
        ("early_24", (True, False, False, False)),
        ("late_24", (False, False, False, True)),
        (None, (False, False, False, False)),
        ("whenever", (False, False, False, False)),
    ],
)
async def test_time_clauses(flow: Workflow, clock: Clock, clause: str | None, holds: tuple[bool, ...]) -> None:
    """Completed a day and a half and half a day before the deadline, and as long after it."""
    await flow.rule([flow.when("A", "completed", clause)], flow.then("show", "B"))
    deadline = {"value": 2, "unit": "days", "option": "from", "step": "start_run"}
    steps = f"{flow.path}/steps/{flow.ids['A']}"
    await flow.api.call("PUT", steps, json={"title": "A", "deadline": deadline})
    start = clock.now
    for moment, wanted in zip((0.5, 1.5, 2.5, 3.5), holds, strict=True):
        clock.now = start
        await flow.launch()
        clock.now = start + moment * DAY
        flow.api.token = (await flow.api.login()).json()["access_token"]
        await flow.complete("A")
        assert (flow.hidden == "") == wanted, moment
