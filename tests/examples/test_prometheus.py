from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tallyfy_async import DecodeError, PersonalTokenRevokedError, RequestOptions, RequestTimeoutError, TallyfyClient
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.testing import connect
from tallyfy_async.transport.manual_clock import ManualClock
from tests.engine.flaky import Slow

pytestmark = [pytest.mark.anyio, pytest.mark.once]
PATH = Path(__file__).parents[2] / "examples" / "prometheus_hooks.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("prometheus_hooks", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "prometheus_hooks", module)
    spec.loader.exec_module(module)
    return module


def samples(text: str, *names: str) -> dict[tuple[str, ...], float]:
    """Return label values -> value of the samples with one of these names, as Prometheus reads them."""
    families = text_string_to_metric_families(text)
    found = [sample for family in families for sample in family.samples if sample.name in names]
    return {tuple(sample.labels.values()): sample.value for sample in found}


async def test_the_example_prints_what_a_scrape_sees(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    text = await example.main()
    assert capsys.readouterr().out == "# 250 runs\n"
    assert samples(text, "tallyfy_request_duration_seconds_count") == {
        ("create_token", "200"): 1,
        ("list_runs", "503"): 2,
        ("list_runs", "200"): 3,
    }
    assert samples(text, "tallyfy_retries_total") == {("list_runs",): 2}
    assert samples(text, "tallyfy_calls_in_flight") == {("create_token",): 0, ("list_runs",): 0}
    assert samples(text, "tallyfy_tokens_total") == {("password",): 1}


async def test_cut_and_refused_calls_are_not_in_flight(
    example: ModuleType, tallyfy_client: TallyfyClient, tallyfy_sandbox: Sandbox, tallyfy_clock: ManualClock
) -> None:
    hooks, registry = example.PrometheusHooks.with_registry()
    slow: Any = Slow(tallyfy_sandbox, tallyfy_clock, 60)
    token = tallyfy_sandbox.credentials.personal_token
    async with connect(tallyfy_sandbox, auth=token, clock=tallyfy_clock, hooks=[hooks], transport=slow) as client:
        with pytest.raises(RequestTimeoutError):
            await client.me.get(options=RequestOptions(deadline=5))
    tallyfy_sandbox.faults.add(Fault(operation="get_me", status=401, times=None))
    with pytest.raises(PersonalTokenRevokedError):
        await tallyfy_client.with_options(auth=token, hooks=[hooks]).me.get()
    text = generate_latest(registry).decode()
    assert samples(text, "tallyfy_calls_in_flight") == {("get_me",): 0}
    assert samples(text, "tallyfy_auth_failures_total") == {("PersonalTokenRevokedError",): 1}
    counted = samples(text, "tallyfy_request_duration_seconds_count")
    assert counted[("get_me", "RequestTimeoutError")] == 1
    assert counted[("get_me", "401")] == 1


async def test_a_reply_that_cannot_be_used_is_no_success(
    example: ModuleType, tallyfy_client: TallyfyClient, tallyfy_sandbox: Sandbox
) -> None:
    hooks, registry = example.PrometheusHooks.with_registry()
    tallyfy_sandbox.faults.add(Fault(operation="get_me", body="<html>"))
    with pytest.raises(DecodeError):
        await tallyfy_client.with_options(hooks=[hooks]).me.get()
    counted = samples(generate_latest(registry).decode(), "tallyfy_request_duration_seconds_count")
    assert counted == {("create_token", "200"): 1, ("get_me", "DecodeError"): 1}


async def test_two_clients_count_into_one_registry(example: ModuleType, tallyfy_client: TallyfyClient) -> None:
    hooks = example.PrometheusHooks(registry := CollectorRegistry())
    for client in (tallyfy_client.with_options(hooks=[hooks]), tallyfy_client.with_options(hooks=[hooks])):
        await client.me.get()
    text = generate_latest(registry).decode()
    assert samples(text, "tallyfy_request_duration_seconds_count")[("get_me", "200")] == 2
