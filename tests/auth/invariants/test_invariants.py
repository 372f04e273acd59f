"""The invariants of a token line under random schedules, on both event loops."""

from __future__ import annotations

import logging

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tallyfy_async import AuthError
from tests.auth.invariants.authority import secret
from tests.auth.invariants.leaks import Trap, leaked, shown
from tests.auth.invariants.machine import MACHINES
from tests.auth.invariants.steps import same_order_every_time

SCHEDULES = settings(
    max_examples=120,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("backend", sorted(MACHINES))
def test_invariants_hold_under_random_schedules(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    same_order_every_time(monkeypatch)
    run_state_machine_as_test(MACHINES[backend], settings=SCHEDULES)


def test_the_search_finds_secrets_in_locals_and_logs() -> None:
    with pytest.raises(AuthError) as caught:
        _careless(secret("access"))
    assert leaked(shown(caught.value))
    with Trap() as trap:
        logging.getLogger("httpcore.http11").debug("sent %r", secret("refresh"))
        logging.getLogger("tallyfy_async").debug("sent nothing")
    assert (trap.seen, len(trap.shown)) == (2, 1)


def _careless(clear: str) -> None:
    raise AuthError(f"{len(clear)} letters")
