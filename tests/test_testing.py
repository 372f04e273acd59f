from __future__ import annotations

import pytest

from tallyfy_async import PasswordGrant, ReauthenticationRequiredError, TallyfyError, TokenRequestError, testing
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.sandbox import Fault, Rule, Sandbox, Settings
from tallyfy_async.testing import connect
from tallyfy_async.transport.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


def small(**settings: object) -> Sandbox:
    return Sandbox(Settings(**{"templates": 3, "runs": 6, "tasks": 40, "users": 4, "record": True, **settings}))


async def test_in_process_it_logs_in_with_the_password_grant() -> None:
    sandbox = small()
    async with connect(sandbox) as tallyfy:
        me = await tallyfy.me.get()
        page = await tallyfy.organization().runs.list(archived="true")
    assert me.email == sandbox.credentials.username
    assert {run.id for run in page} == set(sandbox.truth()["runs"])
    assert sandbox.stats.token_requests == {"password": {"ok": 1}}
    assert {received.headers["host"] for received in sandbox.stats.received} == {"sandbox.localhost"}


async def test_served_it_goes_over_a_real_socket() -> None:
    sandbox = small()
    with sandbox.serve():
        async with connect(sandbox) as tallyfy:
            tasks = await tallyfy.organization().tasks.list(archived="true").collect()
        port = sandbox.url.removesuffix("/api").rpartition(":")[2]
    assert len(tasks) == 40
    assert {received.headers["host"] for received in sandbox.stats.received} == {f"127.0.0.1:{port}"}
    async with connect(sandbox) as tallyfy:
        await tallyfy.me.get()
    assert sandbox.stats.received[-1].headers["host"] == "sandbox.localhost"


async def test_a_base_url_of_ones_own_leads_through_the_proxy() -> None:
    sandbox = small()
    with sandbox.serve(), sandbox.proxy(Rule(path="/api/me", drop_before=True)) as proxy:
        async with connect(sandbox, base_url=proxy.url) as tallyfy:
            await tallyfy.me.get()
        assert proxy.struck == 1
        assert proxy.requests == 3


async def test_a_token_and_other_settings_are_passed_on() -> None:
    sandbox = small()
    async with connect(sandbox, auth=sandbox.credentials.personal_token, organization="0" * 32, retry=0) as tallyfy:
        assert tallyfy.organization().id == "0" * 32
        sandbox.faults.add(Fault(status=503))
        with pytest.raises(TallyfyError, match="503"):
            await tallyfy.me.get()
        await tallyfy.me.get()
    assert sandbox.stats.token_total == 0
    assert sandbox.stats.by_operation["get_me"] == 2


async def test_a_grant_of_ones_own_is_used_and_may_fail() -> None:
    sandbox = small()
    login = sandbox.credentials
    wrong = PasswordGrant(
        client_id=login.client_id, client_secret=Secret(login.client_secret), username=login.username, password="no"
    )
    async with connect(sandbox, auth=wrong) as tallyfy:
        with pytest.raises((TokenRequestError, ReauthenticationRequiredError)):
            await tallyfy.me.get()
    assert sandbox.stats.by_operation["get_me"] == 0


@pytest.mark.parametrize("body_encoding", ["form", "json", "any"])
@pytest.mark.parametrize("client_auth", ["body", "headers", "any"])
async def test_the_login_is_what_the_sandbox_demands(body_encoding: str, client_auth: str) -> None:
    sandbox = small(body_encoding=body_encoding, client_auth=client_auth)
    async with connect(sandbox) as tallyfy:
        await tallyfy.me.get()
    assert sandbox.stats.token_requests == {"password": {"ok": 1}}


async def test_one_clock_for_both_sides() -> None:
    clock = ManualClock(autojump=True)
    sandbox = Sandbox(Settings(templates=3, runs=6, tasks=40, users=4, access_life=60), clock=clock.time)
    async with connect(sandbox, clock=clock) as tallyfy:
        for _ in range(3):
            await tallyfy.me.get()
            clock.advance(61)
    assert sandbox.stats.token_requests == {"password": {"ok": 1}, "refresh_token": {"ok": 2}}
    assert sandbox.stats.by_status[401] == 0
    assert sandbox.token_lives == sandbox.lives_used == 3


def test_it_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match=r"tallyfy_async\.testing' has no attribute 'conect'"):
        _ = testing.conect  # type: ignore[attr-defined]


def test_importing_it_needs_no_extra() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules.update(starlette=None, uvicorn=None, rich=None, typer=None)\n"
        "import tallyfy_async.testing as testing\n"
        "assert callable(testing.connect)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
