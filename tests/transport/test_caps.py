"""Hourly caps: what is refused here because the server refused it, until when, and for whom."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime
from typing import Any

import pytest

from tallyfy_async import Outcome, RateLimitError
from tallyfy_async.transport.budget import RetryBudget
from tallyfy_async.transport.caps import HourlyCaps
from tallyfy_async.transport.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def caps(clock: ManualClock) -> HourlyCaps:
    return HourlyCaps(clock)


def error(action: str | None = "Comment", limit: int = 120, asked: float | None = None) -> RateLimitError:
    return RateLimitError("enough", status=429, action=action, limit=limit, retry_after=asked)


class Caller:
    """Somebody who asks."""


def ask(
    caps: HourlyCaps,
    operation: str = "create_task_comment",
    organization: str | None = "one",
    whose: str | None = None,
    caller: Caller | None = None,
    *,
    claim: bool = True,
) -> None:
    caps.check(operation, organization, whose, caller or Caller(), claim=claim)


def refusal(caps: HourlyCaps, *asked: Any, **given: Any) -> RateLimitError:
    with pytest.raises(RateLimitError) as caught:
        ask(caps, *asked, **given)
    return caught.value


def seconds_until(error: RateLimitError, clock: ManualClock) -> float:
    assert error.resumes_at is not None
    return (error.resumes_at - datetime.fromtimestamp(clock.time(), UTC)).total_seconds()


def test_it_concerns_one_action_of_one_organization(caps: HourlyCaps) -> None:
    caps.reached(error(asked=100.0), "create_task_comment", "one")
    for operation in ("create_task_comment", "create_run_comment", "report_task_problem"):
        assert refusal(caps, operation).outcome is Outcome.NOT_SENT
    ask(caps, "create_task_comment", "two")
    ask(caps, "create_guest", "one")
    ask(caps, "list_runs", "one")
    ask(caps, "create_task_comment", None)


def test_a_mention_that_met_the_cap_of_invites_leaves_comments_free(caps: HourlyCaps) -> None:
    caps.reached(error("Guest Invite", 30, 100.0), "create_task_comment", "one")
    ask(caps, "create_task_comment", "one")
    assert refusal(caps, "create_guest").action == "Guest Invite"


def test_an_action_that_nobody_knows_concerns_the_operation_that_met_it(caps: HourlyCaps) -> None:
    caps.reached(error("Export", 3, 100.0), "export_everything", "one")
    assert refusal(caps, "export_everything").limit == 3
    ask(caps, "create_task_comment", "one")


def test_the_refusal_tells_what_is_left_of_the_wait(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.reached(error(asked=100.0), "create_task_comment", "one")
    clock.advance(40)
    found = refusal(caps)
    assert found.retry_after == 60.0
    assert seconds_until(found, clock) == pytest.approx(60)
    assert found.__notes__ == ["Not sent: the server refused Comment for this organization until then."]
    assert refusal(caps) is not found


def test_when_the_time_has_come_one_goes_first(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.reached(error(asked=100.0), "create_task_comment", "one")
    clock.advance(100)
    ask(caps, "create_task_comment", "one")
    assert refusal(caps).retry_after == 5.0
    clock.advance(5)
    ask(caps, "create_task_comment", "one")
    caps.landed("create_task_comment", "one", clock.monotonic())
    for _ in range(3):
        ask(caps, "create_task_comment", "one")


def test_who_only_looks_does_not_go_first(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.reached(error(asked=100.0), "create_task_comment", "one")
    refusal(caps, claim=False)
    clock.advance(100)
    for _ in range(3):
        ask(caps, claim=False)
    ask(caps)
    refusal(caps, claim=False)


def test_what_the_first_sends_again_goes_under_the_same_leave(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.reached(error(asked=100.0), "create_task_comment", "one")
    clock.advance(100)
    first = Caller()
    for _ in range(3):
        ask(caps, caller=first, claim=False)
        ask(caps, caller=first)
        refusal(caps)
        clock.advance(1)
    caps.reached(error(asked=100.0), "create_task_comment", "one")
    assert refusal(caps, caller=first).retry_after == 100.0, "the leave ends with a new refusal"


def test_a_leave_does_not_keep_the_call_alive(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.reached(error(asked=1.0), "create_task_comment", "one")
    clock.advance(1)
    first = Caller()
    seen = weakref.ref(first)
    ask(caps, caller=first)
    del first
    gc.collect()
    assert seen() is None


def test_a_long_wait_concerns_everything_of_one_user(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.told_to_wait(error(None, asked=300.0), "ada")
    for operation, organization in (("list_runs", "one"), ("create_guest", "two"), ("get_me", None)):
        found = refusal(caps, operation, organization, "ada")
        assert (found.outcome, found.retry_after, found.action) == (Outcome.NOT_SENT, 300.0, None)
        assert found.__notes__ == ["Not sent: the server refused everything until then."]
        ask(caps, operation, organization, "bob")
        ask(caps, operation, organization, None)
    clock.advance(300)
    ask(caps, "list_runs", "one", "ada")
    assert refusal(caps, "list_runs", "one", "ada").retry_after == 5.0
    caps.passed("bob", clock.monotonic())
    caps.passed("ada", -1.0)
    refusal(caps, "list_runs", "one", "ada")
    caps.passed("ada", clock.monotonic())
    for _ in range(3):
        ask(caps, "list_runs", "one", "ada")
    assert caps.idle


def test_a_long_wait_of_nobody_known_or_of_unknown_length_holds_nobody(caps: HourlyCaps) -> None:
    caps.told_to_wait(error(None, asked=300.0), None)
    caps.told_to_wait(error(None), "ada")
    assert caps.idle


def test_who_may_not_go_for_one_reason_does_not_go_first_for_the_other(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.reached(error(asked=10.0), "create_task_comment", "one")
    caps.told_to_wait(error(None, asked=100.0), "ada")
    clock.advance(10)
    refusal(caps, whose="ada")
    ask(caps, whose="bob")


def test_a_refusal_names_no_request(caps: HourlyCaps) -> None:
    met = error(asked=100.0)
    met.request_id = "request-1"
    caps.reached(met, "create_task_comment", "one")
    assert refusal(caps).request_id is None
    assert met.request_id == "request-1"


def test_what_is_over_for_an_hour_is_forgotten(caps: HourlyCaps, clock: ManualClock) -> None:
    for number in range(100):
        caps.landed("create_task_comment", f"org {number}", clock.monotonic())
        caps.reached(error(asked=100.0), "create_task_comment", f"org {number}")
        caps.told_to_wait(error(None, asked=100.0), f"user {number}")
    clock.advance(3600 + 101)
    caps.landed("create_task_comment", "one", clock.monotonic())
    assert [*caps._landed] == [("one", "Comment")]
    assert caps.idle


def test_what_may_still_count_is_not_forgotten(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.landed("create_task_comment", "one", clock.monotonic())
    clock.advance(3599)
    caps.landed("create_task_comment", "two", clock.monotonic())
    met = error()
    caps.reached(met, "create_task_comment", "one")
    assert seconds_until(met, clock) == pytest.approx(1)


def test_what_was_under_way_before_the_refusal_does_not_lift_it(caps: HourlyCaps, clock: ManualClock) -> None:
    clock.advance(10)
    caps.reached(error(asked=100.0), "create_task_comment", "one")
    caps.landed("create_task_comment", "one", 9.0)
    refusal(caps)


def test_without_a_word_of_the_server_it_is_when_the_oldest_call_leaves_the_hour(
    caps: HourlyCaps, clock: ManualClock
) -> None:
    clock.advance(1000)
    caps.landed("create_run_comment", "one", clock.monotonic())
    clock.advance(600)
    caps.landed("create_task_comment", "one", clock.monotonic())
    clock.advance(600)
    met = error()
    caps.reached(met, "create_task_comment", "one")
    assert seconds_until(met, clock) == pytest.approx(2400)
    assert met.retry_after is None
    assert refusal(caps).retry_after is None
    clock.advance(2400)
    ask(caps, "create_task_comment", "one")


def test_where_more_landed_than_the_limit_says_enough_of_them_must_leave(caps: HourlyCaps, clock: ManualClock) -> None:
    for _ in range(5):
        caps.landed("create_task_comment", "one", clock.monotonic())
        clock.advance(60)
    met = error(limit=3)
    caps.reached(met, "create_task_comment", "one")
    assert seconds_until(met, clock) == pytest.approx(3600 - 180)


def test_without_any_record_it_is_in_an_hour(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.landed("create_task_comment", "two", clock.monotonic())
    caps.landed("create_guest", "one", clock.monotonic())
    met = error()
    caps.reached(met, "create_task_comment", "one")
    assert seconds_until(met, clock) == 3600


def test_calls_more_than_an_hour_ago_do_not_count(caps: HourlyCaps, clock: ManualClock) -> None:
    caps.landed("create_task_comment", "one", clock.monotonic())
    clock.advance(3600)
    met = error()
    caps.reached(met, "create_task_comment", "one")
    assert seconds_until(met, clock) == 3600


def test_it_never_refuses_on_its_own_count(caps: HourlyCaps, clock: ManualClock) -> None:
    for _ in range(500):
        ask(caps, "create_task_comment", "one")
        caps.landed("create_task_comment", "one", clock.monotonic())


def test_a_call_without_organization_is_told_when_and_holds_nobody(caps: HourlyCaps, clock: ManualClock) -> None:
    met = error()
    caps.reached(met, "request", None)
    assert seconds_until(met, clock) == 3600
    ask(caps, "request", None)
    ask(caps, "create_task_comment", "one")


@pytest.mark.parametrize(("slots", "saved"), [(1, 10), (2, 10), (20, 100)])
def test_the_budget_starts_full_and_ends(slots: int, saved: int) -> None:
    budget = RetryBudget(slots)
    assert [budget.spend() for _ in range(saved + 2)] == [True] * saved + [False] * 2


def test_first_attempts_earn_their_share_up_to_what_the_budget_holds() -> None:
    budget = RetryBudget(1)
    for _ in range(10):
        budget.spend()
    for _ in range(5):
        assert not budget.spend()
        budget.earn(0.2)
    assert budget.spend()
    budget.earn(None)
    assert budget.saved == pytest.approx(0)
    for _ in range(1000):
        budget.earn(0.2)
    assert budget.saved == 10
