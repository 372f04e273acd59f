"""How long a token is fresh, and how long it can be sent."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tallyfy_async.auth.token import Held, Token, hold

LEEWAY = 60.0


def issued(lifetime: float | None, at: float = 1000.0) -> Token:
    return Token(access_token="a", refresh_token="r", issued_at=at, lifetime=lifetime)


def held(lifetime: float | None, *, age: float = 0.0) -> Held:
    return hold(issued(lifetime), monotonic=5.0, wall=1000.0 + age, leeway=LEEWAY)


@pytest.mark.parametrize(
    ("lifetime", "advisory", "mandatory"),
    [
        (3600.0, 60.0, 10.0),
        (31_536_000.0, 60.0, 10.0),
        (840.0, 60.0, 10.0),
        (500.0, 50.0, 10.0),
        (100.0, 10.0, 2.0),
        (3.0, 0.3, 0.06),
        (0.0, 0.0, 0.0),
    ],
)
def test_windows_shrink_with_the_life(lifetime: float, advisory: float, mandatory: float) -> None:
    record = held(lifetime)
    assert record.fresh_until == pytest.approx(5.0 + lifetime - advisory)
    assert record.fresh_until_wall == pytest.approx(1000.0 + lifetime - advisory)
    assert record.usable_until == pytest.approx(5.0 + lifetime - mandatory)
    assert record.usable_until_wall == pytest.approx(1000.0 + lifetime - mandatory)


def test_time_since_the_sending_counts() -> None:
    assert held(100.0, age=30.0).fresh_until == pytest.approx(5.0 + 70 - 10)


def test_a_record_from_the_future_lives_no_longer_than_its_life() -> None:
    assert held(100.0, age=-7200.0).usable_until == pytest.approx(5.0 + 98)


def test_unknown_life_is_fresh_for_ever() -> None:
    record = held(None)
    assert record.fresh(1e12, 1e12)
    assert record.usable_until == math.inf
    assert issued(None).expires_at is None


def test_the_earlier_of_two_clocks_wins() -> None:
    record = held(100.0)
    assert record.fresh(94.9, 1089.9)
    assert not record.fresh(95.1, 1000.0)
    assert not record.fresh(5.0, 1090.1)
    assert record.usable(102.9, 1097.9)
    assert not record.usable(103.1, 1000.0)
    assert not record.usable(5.0, 1098.1)


@given(st.floats(0.5, 1e9), st.floats(0.0, 1e6), st.floats(0.0, 1e4))
def test_every_living_token_is_used_before_it_is_renewed(lifetime: float, leeway: float, now: float) -> None:
    record = hold(issued(lifetime, at=now), monotonic=0.0, wall=now, leeway=leeway)
    assert record.fresh(0.0, now)
    assert record.fresh_until <= record.usable_until <= lifetime
    assert record.usable_until >= 0.97 * lifetime


@given(st.floats(0.0, 1e6), st.floats(-1e6, 1e6))
def test_fresh_is_usable(lifetime: float, age: float) -> None:
    record = hold(issued(lifetime), monotonic=0.0, wall=1000.0 + age, leeway=LEEWAY)
    assert record.usable(0.0, 1000.0 + age) or not record.fresh(0.0, 1000.0 + age)


def test_a_record_masks_copies_and_refuses_pickling() -> None:
    token = evolve(issued(10.0), access_token="access-in-the-clear", refresh_token="refresh-in-the-clear")
    assert "in-the-clear" not in repr(token)
    assert copy.copy(token) is token
    assert copy.deepcopy([token]) == [token]
    with pytest.raises(TypeError, match="token store"):
        pickle.dumps(token)
    assert token.expires_at == 1010.0
    assert token.mark(presented=True).presented
