"""What a body is read as, what is kept of it, and by what it is known again."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyfy_async.protocol.converter import unstructure
from tallyfy_async.webhooks import (
    OrganizationEvent,
    ProcessCompleted,
    ProcessLaunched,
    TaskCompleted,
    WebhookError,
    dedupe_key,
    parse_event,
)
from tests.models.test_payloads import ODD, places, replaced, same
from tests.webhooks.samples import LATER, ORGANIZATION, OTHER, organization_event, process, task

DONE = "2025-10-03T09:00:00Z"
BODIES = {
    "task": (task(), TaskCompleted),
    "launch": (process(), ProcessLaunched),
    "completion": (process(completed_at=DONE), ProcessCompleted),
    "event": (organization_event(more=[1, {"x": None}]), OrganizationEvent),
}


def parse(body: Any) -> Any:
    return parse_event(json.dumps(body).encode(), organization=ORGANIZATION)


@pytest.mark.parametrize("name", BODIES)
def test_kinds_are_told_apart_by_shape_and_nothing_is_lost(name: str) -> None:
    body, kind = BODIES[name]
    before = copy.deepcopy(body)
    event = parse({**body, "added_in_2027": [1]})
    assert type(event) is kind
    assert not event.polled
    assert not event.unread
    assert event.organization == ORGANIZATION
    assert event.extra["added_in_2027"] == [1]
    assert same({**before, "added_in_2027": [1]}, event.to_dict()), event.to_dict()
    assert parse(event.to_dict()).payload == event.payload
    assert json.dumps(unstructure(event.payload))


@pytest.mark.once
@pytest.mark.parametrize("name", BODIES)
def test_events_can_be_copied_and_sent_to_another_process(name: str) -> None:
    event = parse(BODIES[name][0])
    assert pickle.loads(pickle.dumps(event)) == copy.deepcopy(event) == event


def test_members_of_a_task() -> None:
    event = parse(task())
    payload = event.payload
    assert (event.task_id, event.alias) == ("task003ghi789xyz", "review-contract")
    assert (event.process_id, event.checklist_id) == ("run123abc456", "template123abc")
    assert event.moment == datetime(2025, 10, 2, 14, 30, tzinfo=UTC)
    assert payload.form_fields == {"risk-assessment": "Low", "contract-value": "50000"}
    assert payload.this_task.captures["capture123timeline"].value == "50000"
    assert payload.this_task.completed_by.full_name == "John Smith"
    assert payload.process.client_url == "https://go.tallyfy.com/tracker/run123abc456"
    assert payload.process.progress.percent == 60
    assert payload.process.process_forms["step001"]["capture001timeline"].alias == "initial-review-notes"
    assert payload.next_task.owners.users[0].email == "legal@acmecorp.com"
    assert payload.guest_links["external.reviewer@vendor.com"]["link_for_guest"].startswith("https://")


def test_members_of_a_process() -> None:
    event = parse(process())
    assert (event.process_id, event.checklist_id) == ("abc123def456ghi789jkl012mno345pq", "template789xyz123abc")
    assert event.moment == datetime(2025, 10, 1, 9, 15, tzinfo=UTC)
    assert event.payload.ko_form_fields["vendor-name"] == "Widget Suppliers Inc"
    assert event.payload.users[0].user_id == "user123"
    assert event.payload.launcher.email == "john@acmecorp.com"


@pytest.mark.parametrize("text", ["2025-10-15T17:00:00Z", "15/10/2025 05:00 PM CET", "not a date"])
def test_dates_in_values_stay_text(text: str) -> None:
    body = task(captures={"c1": {"alias": "due", "label": "Due", "value": text}})
    body["form-fields"] = {"due": text}
    event = parse(body)
    assert event.payload.this_task.captures["c1"].value == text
    assert event.payload.form_fields == {"due": text}


@pytest.mark.parametrize("nothing", [[], {}, None])
def test_empty_maps_and_no_next_task(nothing: Any) -> None:
    body = {**task(captures=[], owners=[]), "next_task": nothing, "process-tasks": [], "guest-links": []}
    event = parse(body)
    assert event.payload.next_task is None
    assert event.payload.this_task.captures == {}
    assert event.payload.process_tasks == {}


def test_a_surprise_in_one_member_does_not_cost_the_others() -> None:
    body = task(position="third", assets="none")
    body["launcher"] = [1]
    event = parse(body)
    assert event.unread == {"this_task.position": "third", "this_task.assets": "none", "launcher": [1]}
    assert event.payload.this_task.title == "Review Contract"
    assert event.payload.launcher is None
    run = parse(process(due_soon="perhaps"))
    assert run.unread == {"due_soon": "perhaps"}
    assert run.payload.late_tasks == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'"text"',
        b"1" * 5000,
        b'{"a": NaN}',
        b"[" * 100_000,
        b"{}",
        b'{"id": 1}',
        b'{"this_task": null}',
        b'{"this_task": []}',
        b'{"this_task": {"title": "no id"}}',
        b'{"this_task": {"id": {"no": "id"}}}',
        b'{"this_task": {"id": "t", "completed_at": "yesterday"}}',
        b'{"event": 7}',
        b'{"event": "x", "deep": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"this_task": {"id": "t", "deep": ' + b'{"a":' * 99 + b"1" + b"}" * 99 + b"}}",
        b'{"event": null}',
        json.dumps(process(id=None)).encode(),
        json.dumps(process(completed_at="0000-00-00 00:00:00")).encode(),
    ],
)
def test_what_is_no_webhook_is_malformed(body: bytes) -> None:
    with pytest.raises(WebhookError) as caught:
        parse_event(body, organization=ORGANIZATION)
    assert (caught.value.kind, caught.value.status) == ("malformed", 400)
    assert "yesterday" not in str(caught.value)
    assert caught.value.__context__ is None or not str(caught.value.__context__).count("yesterday")


def test_what_is_taken_is_never_too_deep_to_be_written_or_known_again() -> None:
    deep = json.loads("[" * 98 + "]" * 98)
    for body in (organization_event(deep=deep), {"this_task": {"id": "t", "deep": deep[0]}}):
        for form in (body, json.dumps(body), json.dumps(body).encode(), bytearray(json.dumps(body).encode())):
            event = parse_event(form, organization=ORGANIZATION)
            assert dedupe_key(event)
            assert event.to_dict() == body
    with pytest.raises(WebhookError, match="deep"):
        parse_event(organization_event(deep=[[deep]]), organization=ORGANIZATION)


@pytest.mark.parametrize("body", [task(), process()])
def test_links_by_which_a_guest_can_be_impersonated_are_not_shown(body: dict[str, Any]) -> None:
    (link,) = {link["link_for_guest"] for link in body["guest-links"].values()}
    event = parse_event(body, organization=ORGANIZATION)
    (address,) = event.payload.guest_links  # type: ignore[union-attr, misc]
    assert link not in repr(event)
    assert address in repr(event)
    assert link in json.dumps(event.to_dict())
    odd = parse_event({**body, "guest-links": link}, organization=ORGANIZATION)
    assert link not in repr(odd)
    assert odd.unread == {"guest-links": link}


def test_keys() -> None:
    first = parse(task())
    assert dedupe_key(first) == f"{ORGANIZATION}/task/task003ghi789xyz/1759415400"
    assert dedupe_key(parse(task(completed_at="2025-10-02T14:30:00.734Z"))) == dedupe_key(first)
    assert dedupe_key(parse(task(completed_at="2025-10-02 14:30:00"))) == dedupe_key(first)
    assert dedupe_key(parse(task(title="renamed"))) == dedupe_key(first)
    assert dedupe_key(parse(task(completed_at=LATER))) != dedupe_key(first)
    assert dedupe_key(parse_event(task(), organization=OTHER)) != dedupe_key(first)
    run = process()["id"]
    assert dedupe_key(parse(process())) == f"{ORGANIZATION}/process/launched/{run}"
    assert dedupe_key(parse(process(completed_at=DONE))) == f"{ORGANIZATION}/process/completed/{run}/1759482000"
    assert dedupe_key(parse(organization_event())) == dedupe_key(parse(organization_event()))
    assert dedupe_key(parse(organization_event())) != dedupe_key(parse(organization_event(at="2026-01-01")))
    assert dedupe_key(parse(task(completed_at=None))) != dedupe_key(parse(task(completed_at=None, title="x")))


@pytest.mark.parametrize("identifier", ["a/b", "", "x" * 5000, "\ud800", "ä", "~" + "0" * 40])
def test_odd_ids_make_plain_keys_that_do_not_collide(identifier: str) -> None:
    key = dedupe_key(parse(task(identifier)))
    assert key.isascii()
    assert len(key) < 200
    assert key != dedupe_key(parse(task(f"{identifier}0")))


ALL = [body for body, _ in BODIES.values()]


@settings(max_examples=300)
@given(data=st.data())
def test_a_mutated_body_is_an_event_or_malformed(data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(ALL))
    for _ in range(data.draw(st.integers(1, 3))):
        body = replaced(body, data.draw(st.sampled_from(places(body))), data.draw(st.sampled_from(ODD)))
    try:
        event = parse_event(json.dumps(body, allow_nan=False), organization=ORGANIZATION)
    except ValueError:
        return  # of the test's own encoder: infinity is no JSON
    except WebhookError as error:
        assert error.status == 400  # noqa: PT017
    else:
        assert dedupe_key(event).isascii()
        json.dumps(event.to_dict())
