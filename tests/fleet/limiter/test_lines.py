"""The parts of a cap, and what is remembered of users."""

from __future__ import annotations

import math

import pytest

from tallyfy_async import RateLimit
from tallyfy_async.fleet.lines import Bucket, Lines, Outage, Turn
from tests.fleet.limiter.rig import ADA, BOB

pytestmark = pytest.mark.once

CAP = RateLimit(per_minute=600, burst=10)


def test_the_parts_of_all_processes_are_no_more_than_the_cap_of_any_minute() -> None:
    bucket = Bucket("ada", CAP, 0.5)
    for fleet in range(1, 601):
        of_each = math.ceil(61.0 / bucket.interval_of_part(fleet) - 1e-9)  # of one that begins when it likes
        assert fleet * of_each <= 600, fleet
        assert fleet / bucket.interval_of_part(fleet) <= 1 / bucket.interval + 1e-9, fleet
    assert bucket.interval_of_part(10) == 10 * bucket.interval
    assert bucket.interval_of_part(1000) == 1000 * bucket.interval


def test_a_part_of_no_cap_is_no_cap() -> None:
    assert Bucket("ada", RateLimit(per_minute=math.inf), 0.5).interval_of_part(1000) < 1e-4


def test_a_line_whose_turns_are_over_is_forgotten() -> None:
    lines = Lines("p", CAP, None, 0.5)
    lines._many = 1
    lines.line(ADA, None, 0.0).turns.append(Turn(due=1.0, ends=1.5))
    lines.line(BOB, None, 1.2)
    assert len(lines.lines) == 2
    lines._many = 2
    lines.line("carol", None, 2.0)
    assert list(lines.lines) == [("carol", None)]


def test_a_user_of_an_outage_long_past_is_forgotten() -> None:
    lines = Lines("p", CAP, None, 0.5)
    lines._many = 1
    outage = Outage(number=1, began=0.0, fleet=2)
    lines.line(ADA, None, 5.0).take_part(outage, 5.0, 0.0, 0.5)
    assert lines.user(ADA).spent
    lines.line(ADA, None, 5.0).turns.clear()
    lines.line(BOB, None, 5.1)
    assert len(lines.buckets) == 2, "its part of the outage is not used up yet"
    lines._many = 1
    lines.line("carol", None, 60.0)
    assert len(lines.buckets) == 1
