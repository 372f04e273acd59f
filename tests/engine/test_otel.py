from __future__ import annotations

import contextvars
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tallyfy_async import (
    ConfigurationError,
    NotFoundError,
    RequestTimeoutError,
    ServerError,
    TallyfyError,
)
from tallyfy_async.engine.otel import OpenTelemetryHooks
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.telemetry import CallRecord
from tallyfy_async.transport.manual_clock import ManualClock
from tests.engine.flaky import Flaky, Slow, lost, refused
from tests.helpers import connect, user_grant

pytestmark = pytest.mark.anyio
SERVER = {"http.request.method": "GET", "server.address": "sandbox.localhost", "server.port": 80}


class Watched:
    """Providers in memory, and what they hold."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def hooks(self, **settings: Any) -> OpenTelemetryHooks:
        return OpenTelemetryHooks(tracer_provider=self.tracers, meter_provider=self.meters, **settings)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Finished spans in the order of their begin."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def attempts(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.CLIENT]

    def calls(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is SpanKind.INTERNAL]

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        found = [] if data is None else [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return [point for metric in found if metric.name == name for point in metric.data.data_points]


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.tracers.shutdown()
    watched.meters.shutdown()


async def test_a_call_is_a_span_with_its_attempt_in_it(sandbox: Sandbox, clock: ManualClock, watched: Watched) -> None:
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()]) as client:
        run = await anext(aiter(client.organization().runs.list()))
        watched.exporter.clear()
        await client.organization().runs.get(run.id)
    (call,), (attempt,) = watched.calls(), watched.attempts()
    assert (call.name, dict(call.attributes or {})) == (
        "get_run",
        {"tallyfy.operation": "get_run", "tallyfy.attempts": 1},
    )
    assert call.parent is None
    assert attempt.parent == call.context
    assert attempt.name == "GET /api/organizations/{org}/runs/{run_id}"
    assert dict(attempt.attributes or {}) == SERVER | {
        "url.full": "http://sandbox.localhost/api/organizations/{org}/runs/{run_id}",
        "url.template": "/api/organizations/{org}/runs/{run_id}",
        "http.response.status_code": 200,
        "tallyfy.operation": "get_run",
        "tallyfy.attempt": 1,
        "tallyfy.request_id": "sandbox-00000002",
    }
    assert attempt.status.status_code is call.status.status_code is StatusCode.UNSET
    scope = attempt.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == ("tallyfy_async", "https://opentelemetry.io/schemas/1.27.0")


async def test_retries_are_counted_and_say_why(sandbox: Sandbox, clock: ManualClock, watched: Watched) -> None:
    sandbox.faults.add(Fault(status=503))
    transport = Flaky(sandbox, [refused, lost])
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()], transport=transport) as client:
        await client.me.get()
    seen = [dict(span.attributes or {}) for span in watched.attempts()]
    assert [one.get("error.type") for one in seen] == ["NotSentError", "TransportError", "503", None]
    assert [one.get("http.response.status_code") for one in seen] == [None, None, 503, 200]
    assert [one.get("http.request.resend_count") for one in seen] == [None, 1, 2, 3]
    assert [one.get("tallyfy.retry_in") for one in seen] == [*clock.slept[:3], None]
    assert [span.status.status_code.name for span in watched.attempts()] == ["ERROR", "ERROR", "ERROR", "UNSET"]
    (call,) = watched.calls()
    assert dict(call.attributes or {}) == {"tallyfy.operation": "get_me", "tallyfy.attempts": 4}
    assert [span.parent for span in watched.attempts()] == [call.context] * 4


async def test_a_failure_is_told_by_kind_and_by_nothing_else(
    sandbox: Sandbox, clock: ManualClock, watched: Watched
) -> None:
    sandbox.faults.add(Fault(status=503, body={"message": "for ada@example.com"}, times=None))
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()], retry=0) as client:
        with pytest.raises(ServerError, match=r"ada@example\.com"):
            await client.me.get()
    (call,), (attempt,) = watched.calls(), watched.attempts()
    assert dict(call.attributes or {})["error.type"] == "ServerError"
    assert call.status.status_code is StatusCode.ERROR
    assert "ada@example.com" not in call.to_json() + attempt.to_json()
    assert not call.events
    assert not attempt.events


async def test_nothing_secret_and_no_id_is_exported(sandbox: Sandbox, clock: ManualClock, watched: Watched) -> None:
    known = sandbox.credentials
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()]).with_options(auth=user_grant(sandbox)) as client:
        org = client.organization()
        await org.runs.list(q="private words").collect(limit=1)
        with pytest.raises(NotFoundError):
            await org.runs.get("0" * 32)
        await client.request("GET", f"/organizations/{known.organization}/runs")
    exported = "".join(span.to_json() for span in watched.spans)
    assert len(watched.attempts()) == 4
    for secret in (known.client_secret, known.password, known.username, known.organization, "private words", "0" * 32):
        assert secret not in exported
    raw = watched.attempts()[-1]
    assert raw.name == "GET"
    assert dict(raw.attributes or {})["url.full"] == "http://sandbox.localhost/api/{path}"
    assert "url.template" not in dict(raw.attributes or {})


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=302, headers={"Location": "https://elsewhere.example"}), ("APIError", 302)),
        (Fault(body="<html>"), ("DecodeError", 200)),
    ],
)
async def test_an_answer_that_is_no_success_has_the_name_of_its_error(
    sandbox: Sandbox, clock: ManualClock, watched: Watched, fault: Fault, expected: tuple[str, int | None]
) -> None:
    sandbox.faults.add(fault)
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()], retry=0) as client:
        with pytest.raises(TallyfyError) as caught:
            await client.me.get()
    assert type(caught.value).__name__ == expected[0]
    told = dict(watched.attempts()[0].attributes or {})
    assert (told["error.type"], told.get("http.response.status_code")) == expected


async def test_a_token_request_is_seen_in_the_call_that_waited_for_it(
    sandbox: Sandbox, clock: ManualClock, watched: Watched
) -> None:
    async with connect(sandbox, clock=clock).with_options(auth=user_grant(sandbox), hooks=[watched.hooks()]) as client:
        await client.me.get()
    names = {span.context.span_id: span.name for span in watched.spans}
    parents = {span.name: names.get(span.parent.span_id) if span.parent else None for span in watched.spans}
    assert parents == {
        "get_me": None,
        "create_token": "get_me",
        "POST /api/oauth/token": "create_token",
        "GET /api/me": "get_me",
    }
    (point,) = watched.points("tallyfy.client.tokens")
    assert (dict(point.attributes), point.value) == ({"tallyfy.grant": "password", "tallyfy.adopted": False}, 1)


async def test_a_token_endpoint_elsewhere_is_named_as_it_is(
    sandbox: Sandbox, clock: ManualClock, watched: Watched
) -> None:
    url = f"{sandbox.issuer}/realms/acme/token"
    known = connect(sandbox, clock=clock, token_url=url)
    async with known.with_options(auth=user_grant(sandbox), hooks=[watched.hooks()]) as client:
        with pytest.raises(TallyfyError):
            await client.me.get()
    (attempt,) = watched.attempts()
    told = dict(attempt.attributes or {})
    assert attempt.name == "POST /realms/acme/token"
    assert (told["url.full"], told["url.template"]) == (url, "/realms/acme/token")


async def test_spans_stand_in_the_user_s_trace_and_leave_it_as_it_was(
    sandbox: Sandbox, clock: ManualClock, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = watched.tracers.get_tracer("program")
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()], retry=0) as client:
        with tracer.start_as_current_span("job") as job:
            await client.me.get()
            assert trace.get_current_span() is job
            sandbox.faults.add(Fault(status=503))
            with pytest.raises(ServerError):
                await client.me.get()
            assert trace.get_current_span() is job
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(client.me.get)
    calls = [span for span in watched.calls() if span.name == "get_me"]
    assert [span.parent for span in calls] == [job.get_span_context()] * 7
    assert len({span.parent.span_id for span in watched.attempts() if span.parent}) == 7
    assert not caplog.records


@pytest.mark.parametrize("propagate", [True, False])
async def test_the_trace_goes_on_in_the_headers(
    sandbox: Sandbox, clock: ManualClock, watched: Watched, propagate: bool
) -> None:
    sandbox.faults.add(Fault(status=503))
    token = context.attach(baggage.set_baggage("user", "ada@example.com"))
    try:
        async with connect(sandbox, clock=clock, hooks=[watched.hooks(propagate=propagate)]) as client:
            await client.me.get()
    finally:
        context.detach(token)
    sent = [received.headers.get("traceparent") for received in sandbox.stats.received]
    expected = [
        f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{int(span.context.trace_flags):02x}"
        for span in watched.attempts()
    ]
    assert sent == (expected if propagate else [None, None])
    assert not any("baggage" in received.headers for received in sandbox.stats.received)


async def test_durations_are_seconds_by_status_and_template(
    sandbox: Sandbox, clock: ManualClock, watched: Watched
) -> None:
    sandbox.faults.add(Fault(status=503))
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()], transport=Slow(sandbox, clock, 2, 3)) as client:
        await client.me.get()
    points = watched.points("http.client.request.duration")
    told = {point.attributes["http.response.status_code"]: point for point in points}
    assert {status: (point.count, point.sum) for status, point in told.items()} == {503: (1, 2.0), 200: (1, 3.0)}
    assert dict(told[200].attributes) == SERVER | {"url.template": "/api/me", "http.response.status_code": 200}
    assert dict(told[503].attributes)["error.type"] == "503"
    assert told[200].explicit_bounds[:3] == (0.005, 0.01, 0.025)
    exemplar = told[200].exemplars[0]
    assert exemplar.span_id == watched.attempts()[1].context.span_id


async def test_active_requests_go_back_to_none(sandbox: Sandbox, clock: ManualClock, watched: Watched) -> None:
    clock.autojump = False
    transport = Slow(sandbox, clock, *[60] * 3)
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()], transport=transport) as client:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(client.me.get)
            await anyio.wait_all_tasks_blocked()
            (point,) = watched.points("http.client.active_requests")
            assert (dict(point.attributes), point.value) == (SERVER, 3)
            group.cancel_scope.cancel()
        (point,) = watched.points("http.client.active_requests")
        assert point.value == 0
        await client.me.get()
    (point,) = watched.points("http.client.active_requests")
    assert point.value == 0
    assert [dict(span.attributes or {}).get("error.type") for span in watched.attempts()] == [*["Cancelled"] * 3, None]
    assert len(watched.calls()) == 4


async def test_a_deadline_ends_both_spans(sandbox: Sandbox, clock: ManualClock, watched: Watched) -> None:
    transport = Slow(sandbox, clock, 60)
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()], transport=transport, deadline=5) as client:
        with pytest.raises(RequestTimeoutError):
            await client.me.get()
    assert [dict(span.attributes or {})["error.type"] for span in watched.spans] == ["RequestTimeoutError"] * 2
    (point,) = watched.points("http.client.request.duration")
    assert (point.count, point.sum) == (1, 5.0)


async def test_failures_to_authenticate_are_counted(sandbox: Sandbox, clock: ManualClock, watched: Watched) -> None:
    async with connect(sandbox, clock=clock).with_options(auth="wrong", hooks=[watched.hooks()]) as client:
        with pytest.raises(Exception, match="personal access token"):
            await client.me.get()
    (point,) = watched.points("tallyfy.client.auth.failures")
    assert (dict(point.attributes), point.value) == ({"error.type": "PersonalTokenRevokedError"}, 1)
    assert watched.calls()[0].status.status_code is StatusCode.ERROR


async def test_an_unusual_method_is_named_as_the_convention_has_it(
    sandbox: Sandbox, clock: ManualClock, watched: Watched
) -> None:
    async with connect(sandbox, clock=clock, hooks=[watched.hooks()]) as client:
        with pytest.raises(Exception, match="PURGE"):
            await client.request("PURGE", "/me")
    (attempt,) = watched.attempts()
    told = dict(attempt.attributes or {})
    assert attempt.name == "HTTP"
    assert (told["http.request.method"], told["http.request.method_original"]) == ("_OTHER", "PURGE")


async def test_without_an_sdk_it_does_nothing_and_passes_a_remote_trace_on(
    sandbox: Sandbox, clock: ManualClock
) -> None:
    remote = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1))
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
    try:
        hooks = OpenTelemetryHooks(tracer_provider=trace.NoOpTracerProvider())
        async with connect(sandbox, clock=clock, hooks=[hooks]) as client:
            await client.me.get()
    finally:
        context.detach(token)
    assert sandbox.stats.received[0].headers["traceparent"] == f"00-{1:032x}-{2:016x}-01"


def test_a_call_that_is_thrown_away_ends_its_span_in_a_foreign_context(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    record = CallRecord(
        operation="get_me", method="GET", path="/me", base_url="https://a/b", server_address="a", server_port=443
    )
    call = contextvars.copy_context().run(watched.hooks().on_call, record)
    call.on_end(GeneratorExit())
    assert [dict(span.attributes or {})["error.type"] for span in watched.spans] == ["GeneratorExit"]
    assert not caplog.records


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tallyfy_async.engine.spans", None)
    with pytest.raises(ConfigurationError, match=r'pip install "tallyfy-async\[otel\]"'):
        OpenTelemetryHooks()


def test_naming_the_hooks_loads_nothing_of_opentelemetry() -> None:
    code = "import sys, tallyfy_async.engine.otel; assert not [n for n in sys.modules if n.startswith('opentelemetry')]"
    subprocess.run([sys.executable, "-c", code], check=True)
