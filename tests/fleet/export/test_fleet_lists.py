"""Lists that change while they are read, and organizations that cannot be: nothing is lost, and the others go on."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from anyio import create_task_group, wait_all_tasks_blocked

from tallyfy_async import (
    ConfigurationError,
    DecodeError,
    ExportError,
    InvalidClientError,
    PaginationError,
    ReauthenticationRequiredError,
    ServerError,
    TallyfyError,
    TokenRequestError,
    fleet,
)
from tallyfy_async.export.sqlite import SQLiteTarget
from tallyfy_async.fleet.crew import Slots
from tests.fleet.export.model import EPOCH, RUNS, TAGS, Lists, Memory, at, delete, export, fail, interrupted, lists_of

pytestmark = [pytest.mark.anyio, pytest.mark.once]


# Lists that change.


def _script(chance: random.Random, lists: Lists, name: str, acts: list[str]) -> None:
    """Have rows added, removed and changed before some of the replies."""
    script = [(chance.randrange(1, 25), chance.choice(acts), chance.randrange(100)) for _ in range(chance.randrange(6))]

    def before(_: str) -> None:
        for number, act, place in script:
            rows = lists.rows[name]
            if number == len(lists.asked):
                if act in {"delete", "swap"} and rows:
                    del rows[place % len(rows)]
                if act == "change" and rows:
                    lists.change(name, place % len(rows))
                if act in {"create", "swap"}:
                    lists.create(name)

    lists.before = before


@pytest.mark.parametrize("since", [False, True], ids=["whole", "since"])
async def test_a_row_that_is_there_all_the_time_comes(since: bool) -> None:
    kind, name, acts = (
        ("runs", RUNS, ["create", "delete", "change", "swap"])
        if since
        else ("tags", TAGS, ["create", "delete", "swap"])
    )
    for seed in range(80):
        chance = random.Random(seed)
        lists, memory = lists_of(chance.randrange(14), name, page=chance.choice([1, 2, 3])), Memory()
        _script(chance, lists, name, acts)
        moment = EPOCH + timedelta(seconds=chance.randrange(15)) if since else None
        old = {row["id"]: row["last_updated"] for row in lists.rows[name]}
        report = await export(
            lists, memory, kinds=[kind], since=moment, pages=chance.choice([1, 2, 3]), concurrency=chance.choice([1, 8])
        )
        new = {row["id"]: row["last_updated"] for row in lists.rows[name]}
        stayed = {key for key, changed in old.items() if key in new and (not since or changed == new[key])}
        wanted = {key for key in stayed if moment is None or datetime.fromisoformat(old[key]) >= moment}
        assert not report.organizations["o"].kinds[kind].unsettled, seed
        assert wanted <= memory.tables["o", kind].keys(), seed


async def test_lists_keep_abreast() -> None:
    """A user whose pace is slow would hold up all others, if all room were taken by the units of one list."""
    many, memory, order = [lists_of(40) for _ in range(3)], Memory(), list[int]()
    for number, lists in enumerate(many):
        lists.before = lambda _, number=number: order.append(number)
    orgs = [lists.organization(f"o{number}") for number, lists in enumerate(many)]
    await fleet.export(orgs, to=memory, kinds=["tags"], pages=1, concurrency=2)
    counts = [order[:30].count(number) for number in range(3)]
    assert min(counts) >= 8, order


async def test_room_is_handed_on_whoever_is_cancelled() -> None:
    slots, order = Slots(1), list[int]()

    async def hold(number: int) -> None:
        async with slots.slot(number):
            order.append(number)
            await wait_all_tasks_blocked()

    async with create_task_group() as group, create_task_group() as doomed, slots.slot(0):
        for number in (5, 3):
            group.start_soon(hold, number)
        for number in (1, 4):
            doomed.start_soon(hold, number)
        await wait_all_tasks_blocked()
        doomed.cancel_scope.cancel()
        # The first one gets its turn now, and does not live to use it.
    assert order == [3, 5]
    assert slots.free == 1


async def test_a_list_that_loses_its_last_page_is_not_read_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    lists, memory = lists_of(11), Memory()
    at(5, lists, lambda: delete(lists, 0))
    await export(lists, memory)
    assert memory.tables["o", "tags"].keys() == lists.ids(TAGS)
    assert len(lists.asked) < 20
    assert not caplog.records  # that a list changes while it is read is no news for who exports


async def test_a_row_that_goes_as_one_comes_between_the_first_replies_hides_none() -> None:
    lists, memory = lists_of(8), Memory()
    at(2, lists, lambda: (delete(lists, 0), lists.create(TAGS)))
    await export(lists, memory)
    assert memory.tables["o", "tags"].keys() == lists.ids(TAGS)


async def test_since_a_row_that_goes_while_runs_are_read_hides_none() -> None:
    lists, memory = lists_of(12, RUNS), Memory()
    at(3, lists, lambda: delete(lists, -1, RUNS))  # the one changed last, which came first
    await export(lists, memory, kinds=["runs"], since=EPOCH + timedelta(seconds=4))
    assert {f"{RUNS}{number}" for number in range(4, 12)} <= memory.tables["o", "runs"].keys()


async def test_since_runs_that_come_meanwhile_need_no_new_round() -> None:
    lists, memory = lists_of(8, RUNS), Memory()
    at(2, lists, lambda: lists.create(RUNS))
    report = await export(lists, memory, kinds=["runs"], since=EPOCH)
    assert len(memory.tables["o", "runs"]) >= 8
    assert not report.organizations["o"].kinds["runs"].unsettled
    assert len(lists.asked) == 5


@pytest.mark.parametrize("others_come", [False, True])
async def test_a_list_that_loses_rows_every_time_is_unsettled_and_nothing_is_removed(others_come: bool) -> None:
    """Units are read side by side, so that one row that goes hides as many as there are units."""
    lists, memory = lists_of(40), Memory()
    await export(lists, memory)

    def lose(_: str) -> None:
        if len(lists.asked) % 10 == 0:
            delete(lists, 0)
            if others_come:
                lists.create(TAGS)

    lists.before = lose
    report = await export(lists, memory)
    assert report.organizations["o"].kinds["tags"].unsettled
    assert report.removed == 0
    assert len(memory.tables["o", "tags"]) >= 40


async def test_since_runs_that_change_every_time_are_unsettled() -> None:
    """A run that is changed goes to the front, which was read: it comes with the next export."""
    lists, memory = lists_of(12, RUNS), Memory()

    def change(_: str) -> None:
        oldest = min(lists.rows[RUNS], key=lambda row: row["last_updated"])
        if len(lists.asked) % 3 == 0:
            lists.change(RUNS, lists.rows[RUNS].index(oldest))

    lists.before = change
    report = await export(lists, memory, kinds=["runs"], since=EPOCH)
    assert report.organizations["o"].kinds["runs"].unsettled
    assert len(memory.tables["o", "runs"]) >= 10


async def test_a_list_of_which_rows_are_told_that_never_come_is_an_error() -> None:
    lists = lists_of(5, told=7)
    with pytest.raises(PaginationError, match="last after 5 of 7 items"):
        await export(lists, Memory())


# Errors.


@pytest.mark.parametrize("calls", [5, 7], ids=["at the start", "at the end"])
async def test_an_error_in_the_look_whether_a_list_changed_is_no_change(calls: int) -> None:
    """The witness at the end of a round, and the page that was read last when an interrupted one goes on."""
    lists, memory = lists_of(8), Memory()
    at(calls, lists, fail)  # 4 pages are 7 calls: the first page twice, the last full one three times
    with pytest.raises(ServerError):
        await export(lists, memory)
    read = len(lists.asked)
    at(read + 1, lists, fail)
    with pytest.raises(ServerError):
        await export(lists, memory)
    assert len(lists.asked) == read + 1
    report = await export(lists, memory)
    assert report.resumed
    assert report.units == (1 if calls == 5 else 0)
    assert memory.tables["o", "tags"].keys() == lists.ids(TAGS)


async def test_what_is_wrong_with_one_organization_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    good, memory = [lists_of(3), lists_of(3)], Memory()
    bad = lists_of(3)

    def fail(_: str) -> None:
        raise ReauthenticationRequiredError("Log in again.")

    bad.before = fail
    orgs = [bad.organization("bad"), *(one.organization(f"good{number}") for number, one in enumerate(good))]
    with pytest.raises(ReauthenticationRequiredError) as caught:
        await fleet.export(orgs, to=memory, kinds=["tags"])
    assert caught.value.__notes__ == ["organization bad was not exported"]
    assert "organization bad cannot be exported" in caplog.text
    assert {name for name, _ in memory.tables} == {"good0", "good1"}
    bad.before = lambda _: None
    report = await fleet.export(orgs, to=memory, kinds=["tags"])
    assert report.resumed
    assert report.units == 1
    assert list(report.organizations) == ["bad", "good0", "good1"]


@pytest.mark.parametrize(
    ("error", "shared", "tries"),
    [
        (ReauthenticationRequiredError("Log in again."), False, 40),
        (TokenRequestError("Wrong password.", status=400), False, 40),
        (DecodeError("data[0] lacks id"), True, 40),
        (ReauthenticationRequiredError("Log in again."), True, 1),
        (TokenRequestError("Too many.", status=429), False, 1),
        (InvalidClientError("Wrong secret.", status=401), False, 1),
        (ServerError("Oops.", status=500), False, 1),
    ],
)
async def test_an_error_that_is_the_same_for_all_is_met_once(error: TallyfyError, shared: bool, tries: int) -> None:
    tokens = object()

    def fail(_: str) -> None:
        raise error.twin()

    lists = [Lists(before=fail, **({"tokens": tokens} if shared else {})) for _ in range(40)]
    orgs = [one.organization(f"o{number}") for number, one in enumerate(lists)]
    with pytest.raises(type(error)):
        await fleet.export(orgs, to=Memory(), kinds=["tags"], concurrency=1)
    assert sum(len(one.asked) for one in lists) == tries


async def test_organizations_that_fail_hold_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[object] = []
    close = SQLiteTarget.close
    monkeypatch.setattr(SQLiteTarget, "close", lambda self: (closed.append(self.path), close(self))[1])

    def fail(_: str) -> None:
        raise PaginationError("Oops.", seen=0, total=1)

    lists = Lists(before=fail)
    with pytest.raises(PaginationError) as caught:
        await fleet.export([lists.organization(f"o{n}") for n in range(3)], to=fleet.SQLite(tmp_path), kinds=["tags"])
    assert caught.value.__notes__ == ["organization o0 was not exported, nor were 2 others: see the log"]
    assert len(closed) == 3


@pytest.mark.parametrize("what", ["begin", "start_round", "put", "complete"])
async def test_what_a_destination_raises_is_an_export_error(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullError(Exception):
        """What some driver raises."""

    def fail(*_: object) -> None:
        raise FullError("no room for Bearer abcdefghijklmnop")

    lists, memory = lists_of(8), Memory()
    with monkeypatch.context() as patch:
        patch.setattr(Memory, what, fail)
        with pytest.raises(ExportError, match="cannot be written: no room") as caught:
            await export(lists, memory)
    assert isinstance(caught.value.__cause__, FullError) or what == "put"
    assert "abcdefghijklmnop" not in str(caught.value)
    assert (await export(lists, memory)).resumed == (what != "begin")
    assert memory.tables["o", "tags"].keys() == lists.ids(TAGS)


# Arguments.


async def test_what_is_no_destination_is_refused(tmp_path: Path) -> None:
    for wrong in (str(tmp_path / "out"), tmp_path / "out", None):
        with pytest.raises(ConfigurationError, match=r"to must be a destination such as fleet\.NDJSON"):
            await fleet.export([Lists().organization()], to=wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


async def test_no_organizations_are_no_export() -> None:
    lists, memory = lists_of(8), Memory()
    await interrupted(lists, memory, 5)
    used = iter([lists.organization()])
    list(used)
    for wrong in (used, [], None, 5):
        with pytest.raises(ConfigurationError, match="organizations must"):
            await fleet.export(wrong, to=memory, kinds=["tags"])  # type: ignore[arg-type]
    assert (await export(lists, memory)).resumed
