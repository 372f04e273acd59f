"""The spans and instruments of OpenTelemetry; the only module that imports its API, loaded where it is used.

Names are those of the semantic conventions for HTTP clients, version 1.27, where these have one.
"""

from __future__ import annotations

from contextvars import Token
from urllib.parse import urlsplit

from attrs import define, field, frozen
from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tallyfy_async import __version__
from tallyfy_async.engine.trail import error_name
from tallyfy_async.telemetry import AttemptRecord, CallHooks, CallRecord

Attributes = dict[str, str | int | float | bool]

_SCOPE = "tallyfy_async"
_SCHEMA = "https://opentelemetry.io/schemas/1.27.0"
_BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_PROPAGATOR = TraceContextTextMapPropagator()


@frozen(kw_only=True)
class Instruments:
    """What spans and measurements are made with.

    Attributes:
        tracer: makes spans.
        duration: of attempts, in seconds.
        active: attempts under way.
        tokens: counts tokens that came into use.
        failures: counts failures to get or use a token.
        propagate: whether the trace goes on in the request's headers.

    """

    tracer: Tracer
    duration: Histogram
    active: UpDownCounter
    tokens: Counter
    failures: Counter
    propagate: bool

    @classmethod
    def make(
        cls, tracer_provider: TracerProvider | None, meter_provider: MeterProvider | None, *, propagate: bool
    ) -> Instruments:
        """Return the instruments of two providers, the global ones where they are None."""
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider, _SCHEMA)
        return cls(
            tracer=trace.get_tracer(_SCOPE, __version__, tracer_provider, _SCHEMA),
            duration=meter.create_histogram(
                "http.client.request.duration",
                unit="s",
                description="Duration of HTTP client requests.",
                explicit_bucket_boundaries_advisory=_BOUNDARIES,
            ),
            active=meter.create_up_down_counter(
                "http.client.active_requests", unit="{request}", description="Number of active HTTP requests."
            ),
            tokens=meter.create_counter(
                "tallyfy.client.tokens", unit="{token}", description="Number of tokens that came into use."
            ),
            failures=meter.create_counter(
                "tallyfy.client.auth.failures", unit="{failure}", description="Number of failures to authenticate."
            ),
            propagate=propagate,
        )

    def follow(self, call: CallRecord) -> CallSpans:
        """Open the span of a call and make it the current one."""
        span = self.tracer.start_span(call.operation, attributes={"tallyfy.operation": call.operation})
        around = _within(span, context.get_current())
        return CallSpans(self, call, span, around, context.attach(around))


@define(eq=False)
class CallSpans(CallHooks):
    """The span of one call and those of its attempts."""

    _tools: Instruments
    _call: CallRecord
    _span: Span
    _around: Context
    _attached: Token[Context]
    _attempt: Span | None = field(default=None, init=False)
    _attempts: int = field(default=0, init=False)

    def on_send(self, attempt: int) -> dict[str, str]:
        """Open the span of an attempt and return the headers that carry the trace on."""
        self._attempts = attempt
        name, attributes = _request(self._call)
        attributes |= {"tallyfy.operation": self._call.operation, "tallyfy.attempt": attempt}
        if attempt > 1:
            attributes["http.request.resend_count"] = attempt - 1
        self._attempt = self._tools.tracer.start_span(
            name, context=self._around, kind=SpanKind.CLIENT, attributes=attributes
        )
        self._tools.active.add(1, _server(self._call))
        headers: dict[str, str] = {}
        if self._tools.propagate:
            _PROPAGATOR.inject(headers, _within(self._attempt, self._around))
        return headers

    def on_attempt(self, record: AttemptRecord) -> None:
        """Close the span of an attempt and measure it."""
        span, self._attempt = self._attempt, None
        if span is None:
            return  # nothing was sent
        outcome = _outcome(record)
        span.set_attributes(outcome)
        if record.retry_in is not None:
            span.set_attribute("tallyfy.retry_in", record.retry_in)
        if record.request_id is not None:
            span.set_attribute("tallyfy.request_id", record.request_id)
        self._close(span, failed="error.type" in outcome)
        server = _server(self._call)
        self._tools.active.add(-1, server)
        measured = server | outcome | _template(self._call)
        self._tools.duration.record(record.elapsed, measured, _within(span, self._around))

    def on_end(self, error: BaseException | None) -> None:
        """Close the span of the call."""
        self._span.set_attribute("tallyfy.attempts", self._attempts)
        if error is not None:
            self._span.set_attribute("error.type", error_name(error))
        self._close(self._span, failed=error is not None)
        if not isinstance(error, GeneratorExit):  # a call that is thrown away ends in a foreign context
            context.detach(self._attached)

    def _close(self, span: Span, *, failed: bool) -> None:
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end()


def _within(span: Span, around: Context) -> Context:
    """Return a context with a span in it, the given one where there is no SDK: then a remote trace goes on as it is."""
    return trace.set_span_in_context(span, around) if span.get_span_context().is_valid else around


def _method(call: CallRecord) -> str:
    return call.method if call.method in _METHODS else "_OTHER"


def _server(call: CallRecord) -> Attributes:
    return {
        "http.request.method": _method(call),
        "server.address": call.server_address,
        "server.port": call.server_port,
    }


def _template(call: CallRecord) -> Attributes:
    """Return the template of the whole path; the path of a raw request is none, and may hold ids."""
    return {} if call.operation == "request" else {"url.template": urlsplit(call.base_url).path + call.path}


def _request(call: CallRecord) -> tuple[str, Attributes]:
    """Return name and attributes of the span of an attempt."""
    method, template = _method(call), _template(call)
    attributes = _server(call) | template
    attributes["url.full"] = call.base_url + (call.path if template else "/{path}")
    if method == "_OTHER":
        attributes["http.request.method_original"] = call.method
        method = "HTTP"
    return " ".join([method, *map(str, template.values())]), attributes


def _outcome(record: AttemptRecord) -> Attributes:
    """Return the status, and the kind of the error: the status where that tells it, else the name of its class."""
    if record.status is None:
        return {} if record.error is None else {"error.type": record.error}
    outcome: Attributes = {"http.response.status_code": record.status}
    if record.status >= 400:
        outcome["error.type"] = str(record.status)
    elif record.error is not None:
        outcome["error.type"] = record.error
    return outcome
