from __future__ import annotations

import random
import ssl
from collections.abc import Iterator

import anyio
import httpx
import pytest
import trustme

from tallyfy_async import NotSentError
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.pool import shared_ssl_context
from tests.helpers import connect, http_of, pool_of, small_sandbox
from tests.transport.wire import tls_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return small_sandbox()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def url(sandbox: Sandbox, authority: trustme.CA) -> Iterator[str]:
    with tls_server(sandbox, authority) as url:
        yield url


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_an_unknown_authority_is_refused_and_nothing_is_sent(sandbox: Sandbox, url: str) -> None:
    before = sandbox.stats.requests
    for trust_env in (False, True):
        async with connect(sandbox, base_url=url, transport=None, retry=0, trust_env=trust_env) as client:
            with pytest.raises(NotSentError):
                await client.me.get()
    assert sandbox.stats.requests == before


async def test_an_authority_that_is_trusted_on_purpose_is_accepted(
    sandbox: Sandbox, url: str, authority: trustme.CA
) -> None:
    async with connect(sandbox, base_url=url, transport=None, ssl_context=trusting(authority)) as client:
        assert (await client.me.get()).email


async def test_a_certificate_for_another_host_is_refused(sandbox: Sandbox, authority: trustme.CA) -> None:
    with tls_server(sandbox, authority, host="go.tallyfy.com") as url:
        async with connect(sandbox, base_url=url, transport=None, retry=0, ssl_context=trusting(authority)) as client:
            with pytest.raises(NotSentError):
                await client.me.get()


async def test_a_context_that_does_not_verify_warns(sandbox: Sandbox, url: str, authority: trustme.CA) -> None:
    careless = trusting(authority)
    careless.check_hostname = False
    with pytest.warns(UserWarning, match="does not verify"):
        client = connect(sandbox, base_url=url, transport=None, ssl_context=careless)
    await client.aclose()
    careless.verify_mode = ssl.CERT_NONE
    with pytest.warns(UserWarning, match="does not verify"):
        client = connect(sandbox, base_url=url, transport=None, ssl_context=careless)
    async with client:
        assert (await client.me.get()).email


def test_the_environment_does_not_change_whom_we_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    context = shared_ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert shared_ssl_context() is context


@pytest.mark.parametrize("trust_env", [False, True], ids=["own pool", "pool of httpx"])
async def test_cut_calls_leave_tls_connections_clean(
    sandbox: Sandbox, url: str, authority: trustme.CA, trust_env: bool
) -> None:
    chance = random.Random(3)
    cut: list[bool] = []
    context = trusting(authority)
    async with connect(
        sandbox, base_url=url, transport=None, max_connections=5, ssl_context=context, trust_env=trust_env
    ) as client:

        async def worker() -> None:
            for _ in range(20):
                with anyio.move_on_after(chance.uniform(0, 0.03)) as scope:
                    await client.me.get()
                cut.append(scope.cancelled_caught)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(worker)
        for _ in range(5):
            with anyio.fail_after(5):
                assert (await client.me.get()).email
        assert client._limiter.free == 5
        assert any(cut)
        if trust_env:
            transport = http_of(client)._transport
            assert isinstance(transport, httpx.AsyncHTTPTransport)
            assert all(connection.is_idle() for connection in transport._pool.connections)
        else:
            assert pool_of(client).busy == 0, pool_of(client)
            assert pool_of(client).idle <= 7
