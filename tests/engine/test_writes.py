"""A write takes effect at most once, whatever happens on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tallyfy_async import IndeterminateError, Outcome, RetryPolicy, TransportError
from tallyfy_async.sandbox import Fault, Proxy, Rule, Sandbox
from tests.helpers import connect, small_sandbox

pytestmark = pytest.mark.anyio

LOSSES = {
    "the connection ends before the request is passed on": (Rule(method="POST", drop_before=True), 0),
    "the connection ends before the reply": (Rule(method="POST", drop_after=True), 1),
    "the connection is reset before the reply": (Rule(method="POST", drop_after=True, reset=True), 1),
    "the reply is cut": (Rule(method="POST", truncate=80), 1),
}


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with small_sandbox().serve() as sandbox:
        yield sandbox


@pytest.fixture
def proxy(server: Sandbox) -> Iterator[Proxy]:
    with server.proxy() as proxy:
        yield proxy


def template(sandbox: Sandbox) -> str:
    """Return a template without required kick-off fields."""
    return str(sandbox.truth()["checklists"][2])


@pytest.mark.parametrize("name", LOSSES)
async def test_a_lost_reply_never_launches_twice(server: Sandbox, proxy: Proxy, name: str) -> None:
    rule, effects = LOSSES[name]
    before = len(server.truth()["runs"])
    async with connect(server, base_url=proxy.url, transport=None, retry=RetryPolicy(attempts=10)) as client:
        runs = client.organization().runs
        proxy.add(rule)
        with pytest.raises(IndeterminateError, match=r"POST /organizations/\{org\}/runs may have landed") as caught:
            await runs.launch(template(server), name="Once")
        assert caught.value.outcome is Outcome.UNKNOWN
        assert type(caught.value.__cause__) is TransportError
        assert len(server.truth()["runs"]) == before + effects
        assert proxy.struck == 1
        await runs.launch(template(server), name="Twice")
    assert len(server.truth()["runs"]) == before + effects + 1


async def test_a_refused_write_is_sent_again_and_takes_effect_once(server: Sandbox) -> None:
    before = len(server.truth()["runs"])
    server.faults.add(Fault(operation="launch_run", status=429, headers={"Retry-After": "0"}, times=2))
    async with connect(server, transport=None) as client:
        await client.organization().runs.launch(template(server), name="Once")
    assert len(server.truth()["runs"]) == before + 1
    assert server.stats.by_operation["launch_run"] == 3


async def test_a_server_error_after_the_effect_does_not_repeat_it(server: Sandbox) -> None:
    before = len(server.truth()["runs"])
    server.faults.add(Fault(operation="launch_run", status=502, stage="after", times=None))
    async with connect(server, transport=None) as client:
        with pytest.raises(Exception, match="502") as caught:
            await client.organization().runs.launch(template(server), name="Once")
    assert getattr(caught.value, "outcome", None) is Outcome.UNKNOWN
    assert len(server.truth()["runs"]) == before + 1


async def test_reads_pass_over_every_loss(server: Sandbox, proxy: Proxy) -> None:
    async with connect(server, base_url=proxy.url, transport=None, retry=RetryPolicy(attempts=6, initial=0)) as client:
        proxy.add(Rule(method="GET", drop_before=True), Rule(method="GET", drop_after=True))
        proxy.add(Rule(method="GET", truncate=80), Rule(method="GET", drop_after=True, reset=True))
        assert (await client.me.get()).email
    assert proxy.struck == 4
