"""The arithmetic of units: what is due, and when a round is good."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async.export.kinds import KINDS
from tallyfy_async.fleet.units import Round, UnitMark

pytestmark = pytest.mark.once
RUNS = next(kind for kind in KINDS if kind.name == "runs")
TAGS = next(kind for kind in KINDS if kind.name == "tags")


def begun(*marks: UnitMark, kind: Any = TAGS, pages: int = 3, since: str | None = None) -> Round:
    return Round("org", kind, 0, pages, since, {mark.first: mark for mark in marks})


def mark(first: int, reached: int, **more: Any) -> UnitMark:
    return UnitMark(first=first, reached=reached, **{"rows": 1, "most": 80, "fewest": 80, "pages": 8, **more})


def test_the_first_unit_tells_how_many_there_are() -> None:
    assert [unit.first for unit in begun().due()] == [1]
    assert [(unit.first, unit.last) for unit in begun(mark(1, 3)).due()] == [(4, 6), (7, 9)]
    assert begun(mark(1, 3), mark(4, 6), mark(7, 8, ended=True)).due() == []


def test_a_list_without_pages_is_one_unit() -> None:
    assert begun(UnitMark(first=1, reached=1, rows=5, ended=True)).due() == []
    assert begun(UnitMark(first=1, reached=1, rows=5, ended=True)).is_whole(5)


def test_pages_that_came_within_a_unit_that_had_ended_are_its_end_again() -> None:
    grown = begun(mark(1, 3), mark(4, 6, most=83, pages=9), mark(7, 8, ended=True))
    assert grown.due() == []
    assert [unit.first for unit in grown.tail()] == [7]


def test_pages_that_went_are_not_waited_for() -> None:
    lost = begun(mark(1, 3, pages=9), mark(4, 6), mark(7, 8, ended=True, most=79, fewest=79))
    assert lost.due() == []


def test_what_was_read_in_units_of_another_size_is_not_read_again() -> None:
    one = begun(mark(1, 2), mark(5, 6), pages=4)
    assert [(unit.first, unit.last) for unit in one.due()] == [(3, 6), (7, 10)]


def test_newest_first_a_total_that_went_down_is_no_good_round() -> None:
    moment = "2026-11-22T00:00:00+00:00"
    steady, grown = mark(1, 3), mark(4, 5, most=82, fewest=81, stopped=True)
    assert begun(steady, grown, kind=RUNS, since=moment).is_whole(50)
    fallen = mark(4, 5, most=79, fewest=79, stopped=True)
    assert not begun(steady, fallen, kind=RUNS, since=moment).is_whole(50)
    assert not begun(mark(1, 5, shrank=True, stopped=True), kind=RUNS, since=moment).is_whole(50)


def test_rows_that_came_at_the_end_need_the_end_again() -> None:
    grown = begun(mark(1, 3, most=83), mark(4, 6), mark(7, 8, ended=True))
    assert grown.due() == []
    assert not grown.is_whole(80)
    assert [unit.first for unit in grown.tail()] == [7]


def test_a_round_is_whole_when_as_many_rows_came_as_there_ever_were() -> None:
    lost = begun(mark(1, 3), mark(4, 6, fewest=79), mark(7, 8, ended=True, most=79, fewest=79))
    assert not lost.is_whole(79)
    assert lost.is_whole(80)
    assert (lost.most, lost.fewest) == (80, 79)


def test_since_newest_first_goes_one_by_one_and_stops() -> None:
    moment = "2026-11-22T00:00:00+00:00"
    assert [unit.first for unit in begun(mark(1, 3), kind=RUNS, since=moment).due()] == [4]
    stopped = begun(mark(1, 3), mark(4, 5, stopped=True), kind=RUNS, since=moment)
    assert stopped.due() == []
    assert stopped.is_whole(50)
    assert [unit.first for unit in begun(mark(1, 3), kind=TAGS, since=moment).due()] == [4, 7]


def test_the_probe_is_the_last_page_that_was_read() -> None:
    assert begun().probe() is None
    found = begun(mark(1, 3), mark(4, 5, ids="abc")).probe()
    assert found is not None
    unit, digest = found
    assert (unit.first, unit.last, unit.probe, digest) == (5, 5, True, "abc")


def test_marks_survive_storage() -> None:
    one = mark(4, 6, ids="x", stopped=True)
    assert UnitMark.of(one.to_dict()) == one


@given(total=st.integers(0, 60), per_page=st.integers(1, 7), pages=st.integers(1, 4))
def test_units_cover_every_page_once(total: int, per_page: int, pages: int) -> None:
    last = max(1, -(-total // per_page))
    one = begun(pages=pages)
    read: list[int] = []
    while units := one.due():
        for unit in units:
            reached = min(unit.last, last)
            read.extend(range(unit.first, reached + 1))
            one.marks[unit.first] = UnitMark(
                first=unit.first, reached=reached, most=total, fewest=total, pages=last, ended=reached == last
            )
    assert sorted(read) == list(range(1, last + 1))
