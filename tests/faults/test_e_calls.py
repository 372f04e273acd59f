"""Rows 68 to 71 and 75 to 78: calls that are answered with 401, and what is not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tallyfy_async import (
    AuthenticationError,
    ClientCredentials,
    ConfigurationError,
    IndeterminateError,
    PermissionDeniedError,
    PersonalTokenRevokedError,
    RequestOptions,
    ServerError,
    TallyfyClient,
)
from tallyfy_async.sandbox import Fault, Rule, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.rig import CALLERS, connected, every, login, logins, me, refreshes, served, together

pytestmark = pytest.mark.anyio
UNAUTHENTICATED = {"error": True, "message": "Unauthenticated."}


def refuse(sandbox: Sandbox, status: int = 401, times: int | None = None, **changes: Any) -> None:
    """Let /me answer with an error status."""
    sandbox.faults.add(Fault(operation="get_me", status=status, times=times, body=UNAUTHENTICATED, **changes))


async def launch(tallyfy: TallyfyClient, sandbox: Sandbox) -> int:
    """Launch a run of a template whose kick-off form demands nothing; return the status."""
    organization = sandbox.credentials.organization
    templates = sandbox.world.tenants[organization].checklists
    free = next(one.id for one in templates.values() if not any(field.required for field in one.prerun))
    body = {"checklist_id": free, "name": "Row 75"}
    return (await tallyfy.request("POST", f"/organizations/{organization}/runs", json=body)).status


async def test_row_68_fresh_token_is_refused_too() -> None:
    with served() as sandbox:
        refuse(sandbox, times=99)
        async with connected(sandbox) as tallyfy:
            with pytest.raises(AuthenticationError) as caught:
                await me(tallyfy)
        assert caught.value.message == "Unauthenticated."
        assert sandbox.stats.by_operation["get_me"] == 2
        assert (logins(sandbox), refreshes(sandbox)) == (1, 1)


async def test_row_69_one_endpoint_refuses_for_ever() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        refuse(sandbox)
        async with connected(sandbox, clock=clock) as tallyfy:
            for _ in range(100):
                with pytest.raises(AuthenticationError):
                    await me(tallyfy)
            every(await together(lambda: me(tallyfy)), AuthenticationError)
            assert refreshes(sandbox) == 1
            assert sandbox.stats.by_operation["get_me"] == 100 + 1 + CALLERS
            sandbox.faults.clear()
            assert await me(tallyfy) == 200
            sandbox.world.vault.revoke_all_access()
            clock.advance(31)
            assert await me(tallyfy) == 200, "after the pause a revoked token is renewed again"
        assert refreshes(sandbox) == 2


async def test_row_69_many_at_once_on_the_refusing_endpoint() -> None:
    with served() as sandbox:
        refuse(sandbox)
        async with connected(sandbox) as tallyfy:
            every(await together(lambda: me(tallyfy)), AuthenticationError)
            every(await together(lambda: me(tallyfy)), AuthenticationError)
        assert refreshes(sandbox) == 1


async def test_row_69_application_token_where_a_user_is_needed() -> None:
    with served() as sandbox:
        known = sandbox.credentials
        auth = ClientCredentials(client_id=known.client_id, client_secret=known.client_secret)
        async with connected(sandbox, auth) as tallyfy:
            for _ in range(20):
                with pytest.raises(AuthenticationError) as refusal:
                    await me(tallyfy)
        assert sandbox.stats.token_requests == {"client_credentials": {"ok": 2}}
        assert "password grant (PasswordGrant)" in "".join(refusal.value.__notes__)


async def test_row_70_server_revoked_the_token_early() -> None:
    with served() as sandbox:
        async with connected(sandbox) as tallyfy:
            await me(tallyfy)
            for count in range(1, 4):
                sandbox.world.vault.revoke_all_access()
                assert await me(tallyfy) == 200
                assert refreshes(sandbox) == count
        assert sandbox.stats.by_operation["get_me"] == 7


async def test_row_71_403_is_no_401() -> None:
    with served() as sandbox:
        refuse(sandbox, 403)
        async with connected(sandbox) as tallyfy:
            every(await together(lambda: me(tallyfy)), PermissionDeniedError)
        assert sandbox.stats.token_total == 1
        assert sandbox.stats.by_operation["get_me"] == CALLERS


async def test_row_75_lost_reply_of_a_write_is_not_resent() -> None:
    rule = Rule(method="POST", path="/api/organizations/", drop_after=True)
    with served() as sandbox, sandbox.proxy(rule) as proxy:
        runs = len(sandbox.truth()["runs"])
        async with connected(sandbox, base_url=proxy.url) as tallyfy:
            sandbox.faults.add(Fault(operation="launch_run", after=1, status=401, body=UNAUTHENTICATED))
            with pytest.raises(IndeterminateError):
                await launch(tallyfy, sandbox)
        assert sandbox.stats.by_operation["launch_run"] == 1
        assert sandbox.stats.token_total == 1
        assert len(sandbox.truth()["runs"]) == runs + 1


async def test_row_75_answered_401_of_a_write_is_resent_once() -> None:
    with served() as sandbox:
        runs = len(sandbox.truth()["runs"])
        async with connected(sandbox) as tallyfy:
            await me(tallyfy)
            sandbox.world.vault.revoke_all_access()
            assert await launch(tallyfy, sandbox) in {200, 201}
        assert sandbox.stats.by_operation["launch_run"] == 2
        assert refreshes(sandbox) == 1
        assert len(sandbox.truth()["runs"]) == runs + 1


async def test_row_76_one_budget_for_auth_and_other_retries() -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        refuse(sandbox, 401, 1)
        refuse(sandbox, 503, 1)
        refuse(sandbox, 401)
        async with connected(sandbox, clock=clock) as tallyfy:
            with pytest.raises(AuthenticationError):
                await me(tallyfy)
        assert sandbox.stats.by_operation["get_me"] == 3
        assert refreshes(sandbox) == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_row_76_upper_bound_of_sends(retries: int) -> None:
    clock = ManualClock()
    with served(clock) as sandbox:
        refuse(sandbox, 401, 1)
        refuse(sandbox, 503)
        async with connected(sandbox, clock=clock, retry=retries) as tallyfy:
            with pytest.raises(ServerError):
                await me(tallyfy)
        assert sandbox.stats.by_operation["get_me"] == retries + 2, "one for the 401, and the attempts"
        assert refreshes(sandbox) == 1


class _Slow(httpx.AsyncBaseTransport):
    """Answers as it is told; a token lives for an hour, and some replies take longer than that."""

    def __init__(self, clock: ManualClock, *answers: tuple[int, float]) -> None:
        self.clock, self.answers, self.tokens = clock, [*answers], 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/oauth/token"):
            self.tokens += 1
            token = {"access_token": f"t{self.tokens}", "refresh_token": "r", "expires_in": 3600}
            return httpx.Response(200, json={**token, "token_type": "Bearer"})
        status, seconds = self.answers.pop(0)
        self.clock.advance(seconds)
        return httpx.Response(status, json={"data": {"id": 1, "email": "ada@example.com"}})


@pytest.mark.parametrize(("taken", "status"), [(4000.0, 200), (0.0, 401)])
async def test_row_76_a_token_that_ends_on_the_way_does_not_use_up_the_one_renewal(taken: float, status: int) -> None:
    clock = ManualClock()
    line = _Slow(clock, (401, 0.0), (503, 0.0), (401, taken), (200, 0.0))
    grant = ClientCredentials(client_id="1", client_secret="s")
    async with TallyfyClient(grant, transport=line, clock=clock, deadline=None, timeout=9999.0) as tallyfy:
        if status == 200:
            await tallyfy.request("GET", "/me")
        else:
            with pytest.raises(AuthenticationError):
                await tallyfy.request("GET", "/me")
    assert line.tokens == (3 if status == 200 else 2)
    assert len(line.answers) == (0 if status == 200 else 1)


@pytest.mark.parametrize(("ends", "sent", "done"), [(1, 2, True), (3, 4, True), (4, 4, False)])
async def test_row_76_tokens_that_end_on_the_way_are_renewed_three_times(ends: int, sent: int, done: bool) -> None:
    clock = ManualClock()
    line = _Slow(clock, *[(401, 4000.0)] * ends, *[(200, 0.0)] * 2)
    grant = ClientCredentials(client_id="1", client_secret="s")
    async with TallyfyClient(grant, transport=line, clock=clock, deadline=None, timeout=9999.0) as tallyfy:
        if done:
            await tallyfy.request("GET", "/me")
        else:
            with pytest.raises(AuthenticationError):
                await tallyfy.request("GET", "/me")
        assert ends + 2 - len(line.answers) == sent
        left = len(line.answers)
        assert (await tallyfy.request("GET", "/me")).status == 200
        assert left - len(line.answers) == 1, "nobody held it against the next call"


async def test_row_76_tokens_replaced_on_the_way_are_no_refusals() -> None:
    class Replacing(_Slow):
        """Refuses twice, each time because another call had the token replaced meanwhile."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self.answers and self.answers[0][0] == 401 and not request.url.path.endswith("/oauth/token"):
                await client.tokens.refresh()
            return await super().handle_async_request(request)

    line = Replacing(clock := ManualClock(), (401, 0.0), (401, 0.0), (200, 0.0), (200, 0.0))
    grant = ClientCredentials(client_id="1", client_secret="s")
    async with TallyfyClient(grant, transport=line, clock=clock) as client:
        assert (await client.request("GET", "/me")).status == 200
        assert (line.tokens, len(line.answers)) == (3, 1)


async def test_row_77_retry_carries_the_new_token_and_the_callers_headers() -> None:
    with served(record=True) as sandbox:
        options = RequestOptions(headers={"X-Mine": "1"})
        async with connected(sandbox, headers={"X-Ours": "2"}) as tallyfy:
            old = await tallyfy.tokens.get()
            sandbox.world.vault.revoke_all_access()
            await tallyfy.request("GET", "/me", options=options)
            new = await tallyfy.tokens.get()
        calls = [dict(one.headers) for one in sandbox.stats.received if one.operation == "get_me"]
        shown = [headers.pop("authorization") for headers in calls]
        assert shown == [f"Bearer {token.access_token.reveal()}" for token in (old, new)]
        assert calls[0] == calls[1]
        assert (calls[1]["x-mine"], calls[1]["x-ours"], calls[1]["x-tallyfy-client"]) == ("1", "2", "APIClient")


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
async def test_row_77_callers_cannot_bring_their_own_authorization(name: str) -> None:
    with pytest.raises(ConfigurationError, match="set by the client"):
        RequestOptions(headers={name: "Bearer mine"})


async def test_row_78_personal_token_after_a_logout() -> None:
    with served() as sandbox:
        async with connected(sandbox, sandbox.credentials.personal_token) as tallyfy:
            assert await me(tallyfy) == 200
            user = next(user for user in sandbox.world.users.values() if user.email == sandbox.credentials.username)
            assert sandbox.world.vault.revoke_personal(user.id) == 1
            errors = every(await together(lambda: me(tallyfy)), PersonalTokenRevokedError)
            assert "logged out" in str(errors[0])
            assert isinstance(errors[0].__cause__, AuthenticationError)
        assert sandbox.stats.token_total == 0
        assert sandbox.stats.by_operation["get_me"] == 1 + CALLERS


async def test_row_78_a_login_lives_on_after_a_logout() -> None:
    with served() as sandbox:
        async with connected(sandbox, login(sandbox)) as tallyfy:
            assert await me(tallyfy) == 200
            for user in sandbox.world.users.values():
                sandbox.world.vault.revoke_personal(user.id)
            assert await me(tallyfy) == 200
        assert sandbox.stats.token_total == 1
