"""OpenTelemetry (extra ``otel``): spans and metrics of calls by the semantic conventions for HTTP clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.telemetry import CallHooks, CallRecord, Hooks, TokenRecord

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


class OpenTelemetryHooks(Hooks):
    """Tells OpenTelemetry of every call: ``TallyfyClient(auth, hooks=[OpenTelemetryHooks()])``.

    A call is an internal span, named by its operation, with the attributes ``tallyfy.operation`` and
    ``tallyfy.attempts``; it is the current span while the call lasts, so that a token request that it had to wait for
    is seen inside of it. Each attempt is a client span in it, ``{method} {url.template}`` (such as ``GET /api/me``),
    with ``http.request.method``, ``server.address``, ``server.port``, ``url.full``, ``url.template``,
    ``http.response.status_code``, ``error.type``, ``http.request.resend_count``, and ``tallyfy.operation``,
    ``tallyfy.attempt``, ``tallyfy.retry_in`` (seconds) and ``tallyfy.request_id``. ``url.full`` holds the path's
    template and no query: no id of a row, no payload, no secret and no message of an error leaves the process.

    Metrics: ``http.client.request.duration`` (seconds, one for each attempt), ``http.client.active_requests``,
    ``tallyfy.client.tokens`` (tokens that came into use) and ``tallyfy.client.auth.failures``.

    Args:
        tracer_provider: whose tracer is used, the global one if not given.
        meter_provider: whose meter is used, the global one if not given.
        propagate: send the W3C headers ``traceparent`` and ``tracestate``; baggage, which may hold anything, never.

    Raises ConfigurationError where OpenTelemetry is missing (``pip install "tallyfy-async[otel]"``).

    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        propagate: bool = True,
    ) -> None:
        try:
            from tallyfy_async.engine.spans import Instruments  # noqa: PLC0415 - belongs to the extra
        except ImportError:
            msg = 'OpenTelemetryHooks needs opentelemetry-api: pip install "tallyfy-async[otel]"'
            raise ConfigurationError(msg) from None
        self._instruments = Instruments.make(tracer_provider, meter_provider, propagate=propagate)

    def on_call(self, record: CallRecord) -> CallHooks:
        """Open the span of a call."""
        return self._instruments.follow(record)

    async def on_token(self, record: TokenRecord) -> None:
        """Count a token."""
        self._instruments.tokens.add(1, {"tallyfy.grant": record.grant, "tallyfy.adopted": record.adopted})

    def on_auth_failure(self, error: Exception) -> None:
        """Count a failure to get or use a token."""
        self._instruments.failures.add(1, {"error.type": type(error).__name__})
