"""Count and time the calls of a client with prometheus_client.

Run it with ``pip install "tallyfy-async[sandbox]" prometheus-client`` and ``python examples/prometheus_hooks.py``: it
works on a local Tallyfy that fails now and then, and prints what a scrape of the process would see.
"""

from __future__ import annotations

from typing import Self

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tallyfy_async import AttemptRecord, Hooks, TokenRecord
from tallyfy_async.sandbox import Fault, Sandbox, Settings
from tallyfy_async.telemetry import CallHooks, CallRecord
from tallyfy_async.testing import connect


class InFlight(CallHooks):
    """Counts one call as under way until it ends, however it ends."""

    def __init__(self, gauge: Gauge) -> None:
        self.gauge = gauge
        gauge.inc()

    def on_end(self, error: BaseException | None) -> None:
        self.gauge.dec()


class PrometheusHooks(Hooks):
    """Fills metrics; labels hold operations and statuses, never ids, so that their number stays small."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "tallyfy_request_duration_seconds", "Duration of attempts.", ["operation", "outcome"], registry=registry
        )
        self.retries = Counter("tallyfy_retries", "Attempts that led to another.", ["operation"], registry=registry)
        self.calls = Gauge("tallyfy_calls_in_flight", "Calls under way.", ["operation"], registry=registry)
        self.tokens = Counter("tallyfy_tokens", "Tokens that came into use.", ["grant"], registry=registry)
        self.failures = Counter("tallyfy_auth_failures", "Failures to authenticate.", ["error"], registry=registry)

    @classmethod
    def with_registry(cls) -> tuple[Self, CollectorRegistry]:
        """Return hooks and a registry that holds nothing else."""
        registry = CollectorRegistry()
        return cls(registry), registry

    def on_call(self, record: CallRecord) -> CallHooks:
        return InFlight(self.calls.labels(record.operation))

    def on_attempt(self, record: AttemptRecord) -> None:
        refused = record.status is not None and record.status >= 400
        outcome = str(record.status) if refused or record.error is None else record.error
        self.seconds.labels(record.operation, outcome).observe(record.elapsed)
        if record.retry_in is not None:
            self.retries.labels(record.operation).inc()

    async def on_token(self, record: TokenRecord) -> None:
        self.tokens.labels(record.grant).inc()

    def on_auth_failure(self, error: Exception) -> None:
        self.failures.labels(type(error).__name__).inc()


async def main() -> str:
    """Read all runs of a Tallyfy that fails twice, and return the metrics as Prometheus reads them."""
    hooks, registry = PrometheusHooks.with_registry()
    sandbox = Sandbox(Settings(templates=3, runs=250, tasks=300, users=5))
    sandbox.faults.add(Fault(operation="list_runs", status=503, times=2))
    async with connect(sandbox, hooks=[hooks]) as tallyfy:
        runs = await tallyfy.organization().runs.list(archived="true").collect()
    print(f"# {len(runs)} runs")
    return generate_latest(registry).decode()


if __name__ == "__main__":
    print(anyio.run(main))
