"""No error shows a token, whatever went wrong, even where a traceback is printed with all its locals."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import anyio
import pytest

from tallyfy_async import TallyfyClient
from tallyfy_async.sandbox import Fault, Proxy, Rule, Sandbox
from tests.helpers import small_sandbox, until, user_grant
from tests.transport.test_http_outcomes import closed_port

pytestmark = pytest.mark.anyio

FAULTS = {
    "401 and the renewed token too": Fault(operation="get_me", status=401, times=None),
    "a 403": Fault(operation="get_me", status=403),
    "a 500 that quotes the request": Fault(operation="get_me", status=500, times=None, body="Bearer {token}"),
    "a 429 for too long": Fault(operation="get_me", status=429, headers={"Retry-After": "3600"}),
    "no JSON": Fault(operation="get_me", body="<html>"),
    "half a JSON": Fault(operation="get_me", body='{"data": {"id"'),
    "the wrong envelope": Fault(operation="get_me", body=[1]),
}
RULES = {
    "dropped before": Rule(drop_before=True, times=None),
    "dropped after": Rule(drop_after=True, times=None),
    "reset": Rule(drop_after=True, reset=True, times=None),
    "cut": Rule(truncate=60, times=None),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with small_sandbox().serve() as sandbox:
        yield sandbox


@pytest.fixture
def proxy(server: Sandbox) -> Iterator[Proxy]:
    server.faults.clear()
    with server.proxy() as proxy:
        yield proxy
    server.faults.clear()


def client_of(server: Sandbox, url: str) -> TallyfyClient:
    return TallyfyClient(user_grant(server), base_url=url, retry=0, timeout=60)


async def failure_of(work: Callable[[], Awaitable[object]]) -> BaseException:
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - every kind is wanted
        return error
    pytest.fail("nothing went wrong")


def check(error: BaseException, secrets: set[str]) -> None:
    """Look for secrets in everything that can be printed or pickled of an error."""
    assert len(secrets) >= 2
    printed = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    shown = [printed, repr(error), str(error), repr(pickle.dumps(error))]
    assert "client = <TallyfyClient" in printed, "the locals are not there"
    for secret in secrets:
        assert not any(secret in text for text in shown)


def secrets_of(server: Sandbox) -> set[str]:
    known, vault = server.credentials, server.world.vault
    return {known.client_secret, known.password, *vault.access, *vault.refresh} - {known.personal_token}


async def read(client: TallyfyClient) -> object:
    return await client.me.get()


async def write(client: TallyfyClient) -> object:
    return await client.request("PUT", "/nowhere", json={"a": 1})


@pytest.mark.parametrize("name", FAULTS)
async def test_a_reply_that_is_no_good(server: Sandbox, proxy: Proxy, name: str) -> None:
    async with client_of(server, server.url) as client:
        token = (await client.tokens.get()).access_token.reveal()
        fault = FAULTS[name]
        if isinstance(fault.body, str) and "{token}" in fault.body:
            fault = Fault(operation="get_me", status=500, times=None, body=f"Authorization: Bearer {token}")
        del token
        server.faults.add(fault)
        check(await failure_of(partial(read, client)), secrets_of(server))


@pytest.mark.parametrize("call", [read, write])
@pytest.mark.parametrize("name", RULES)
async def test_an_exchange_that_breaks(
    server: Sandbox, proxy: Proxy, name: str, call: Callable[[TallyfyClient], Awaitable[object]]
) -> None:
    async with client_of(server, proxy.url) as client:
        await client.tokens.get()
        proxy.add(RULES[name])
        error = await failure_of(partial(call, client))
        check(error, secrets_of(server))
        assert error.__cause__ is not None
        assert error.__cause__.__traceback__ is None or call is write


@pytest.mark.parametrize("name", RULES)
async def test_a_token_request_that_breaks(server: Sandbox, proxy: Proxy, name: str) -> None:
    async with client_of(server, proxy.url) as client:
        proxy.add(RULES[name])
        check(await failure_of(partial(read, client)), secrets_of(server))


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_a_token_request_that_is_refused(server: Sandbox, proxy: Proxy, status: int) -> None:
    async with client_of(server, server.url) as client:
        body = {"error": "invalid_client", "message": f"no {server.credentials.client_secret}"}
        server.faults.add(Fault(operation="create_token", status=status, body=body, times=None))
        check(await failure_of(partial(read, client)), secrets_of(server) - {server.credentials.client_secret})


async def test_a_connection_that_is_refused(server: Sandbox) -> None:
    async with client_of(server, f"http://127.0.0.1:{closed_port()}") as client:
        check(await failure_of(partial(read, client)), secrets_of(server))


async def test_a_scope_that_runs_out(server: Sandbox, proxy: Proxy) -> None:
    async def work() -> None:
        with anyio.fail_after(60) as scope:
            group.start_soon(end, scope)
            await client.me.get()

    async def end(scope: anyio.CancelScope) -> None:
        await until(lambda: proxy.struck)
        scope.deadline = anyio.current_time()

    async with client_of(server, proxy.url) as client:
        await client.tokens.get()
        proxy.add(Rule(hang=True))
        async with anyio.create_task_group() as group:
            error = await failure_of(work)
    assert type(error) is TimeoutError
    check(error, secrets_of(server))


def test_a_wait_for_that_runs_out(server: Sandbox, proxy: Proxy) -> None:
    async def main() -> None:
        async def work() -> None:
            await asyncio.wait_for(client.me.get(), seconds)

        async with client_of(server, proxy.url) as client:
            await client.tokens.get()
            proxy.add(Rule(hang=True, times=None))
            for seconds in (0.05, 0.5, 5.0, 20.0):  # noqa: B007 - work reads it; until the request was on its way in time
                error = await failure_of(work)
                assert type(error) is TimeoutError
                check(error, secrets_of(server))
                if proxy.struck:
                    return
        pytest.fail("no request was on its way when the time ran out")

    asyncio.run(main())
