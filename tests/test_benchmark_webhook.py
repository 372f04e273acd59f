"""The row ``webhook``: what it counts as an answer, and what it refuses to count."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks import receivers
from benchmarks.harness import RowError
from benchmarks.rows import webhook
from tallyfy_async.webhooks import TaskCompleted, parse_event
from tests.webhooks.served import served

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "CONNECTIONS", 2)
    monkeypatch.setattr(webhook, "EACH", 3)


def test_every_delivery_is_a_completion_of_its_own_that_the_models_know() -> None:
    bodies = [webhook.delivery(number).partition(b"\r\n\r\n")[2] for number in (1, 2)]
    events = [parse_event(body, organization=webhook.ORGANIZATION) for body in bodies]
    assert not any(event.unread or event.extra for event in events)
    tasks = [event.task_id for event in events if isinstance(event, TaskCompleted)]
    assert tasks == [f"{1:032x}", f"{2:032x}"]


@pytest.mark.parametrize("name", receivers.SIDES)
def test_both_sides_answer_and_count_every_delivery(name: str) -> None:
    with served(receivers.SIDES[name]()) as url:
        side = webhook.Side(url)
        for _ in range(2):
            p99, median = side()
            assert p99 >= median > 0


def test_a_delivery_that_is_refused_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "ORGANIZATION", "another")
    with served(receivers.ours()) as url, pytest.raises(RowError, match=r"answered b'HTTP/1\.1 403"):
        webhook.Side(url)()


def test_a_delivery_that_is_answered_and_not_handled_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_PATIENCE", 1.0)

    async def forget(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("accepted\n")

    async def tell(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("0")

    app = Starlette(routes=[Route("/hooks/", forget, methods=["POST"]), Route("/counted", tell)])
    with served(app) as url, pytest.raises(RowError, match="0 of 6 deliveries were handled"):
        webhook.Side(url)()
