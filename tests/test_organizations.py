"""One client, several organizations: whose token goes where."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from tallyfy_async import (
    AuthenticationError,
    ClientCredentials,
    ConfigurationError,
    MemoryStore,
    NotFoundError,
    OnBehalfOf,
    PasswordGrant,
    PermissionDeniedError,
    StaticToken,
    TallyfyClient,
)
from tallyfy_async.config import ClientConfig
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.rig import connected, login, served

pytestmark = pytest.mark.anyio
A, B, C = ("a" * 32, "b" * 32, "c" * 32)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served(organizations=3) as made:
        yield made


def member(sandbox: Sandbox, organization: str) -> OnBehalfOf:
    """Return the seeded user's credential in one of the organizations, by way of an application of its own."""
    client = sandbox.add_client(redirect_uris=[], organization=organization)
    known = ClientCredentials(client_id=client.id, client_secret=client.secret)
    return OnBehalfOf(application=known, organization=organization, email=sandbox.credentials.username)


async def test_every_organization_has_its_own_credential(sandbox: Sandbox) -> None:
    first, second, third = sandbox.credentials.organizations
    keys = {second: member(sandbox, second), third: member(sandbox, third)}
    async with connected(sandbox, organizations=keys) as client:
        for organization in (first, second, third):
            assert [user async for user in client.organization(organization).users.list()]
            raw = await client.request("GET", f"/organizations/{organization}/users")
            assert raw.status == 200
        assert len({id(client.tokens_of(one)) for one in (first, second, third)}) == 3
        assert client.tokens_of(first) is client.tokens
        derived = client.with_options(timeout=5)
        assert derived.tokens_of(second) is client.tokens_of(second)
    assert sandbox.stats.by_status[403] == 0


async def test_an_organization_without_a_credential_of_its_own(sandbox: Sandbox) -> None:
    first, second, _ = sandbox.credentials.organizations
    async with connected(sandbox, organization=first) as client:
        with pytest.raises(PermissionDeniedError) as told:
            await client.organization(second).users.list()
        note = " ".join(told.value.__notes__)
        assert first in note
        assert second in note
        assert "organizations=" in note
        with pytest.raises(PermissionDeniedError) as told:
            await client.request("GET", f"/organizations/{second}/runs")
        with pytest.raises(NotFoundError) as missing:
            await client.organization(first).runs.get("f" * 32)
        assert missing.value.__notes__ == [f"Looked for in organization {first}."]


async def test_a_credential_that_is_known_to_be_for_another_one(sandbox: Sandbox) -> None:
    first, second, _ = sandbox.credentials.organizations
    async with connected(sandbox, member(sandbox, first)) as client:
        for use in (client.organization, client.tokens_of):
            with pytest.raises(ConfigurationError, match=f"organization {first} and cannot act in {second}"):
                use(second)
        with pytest.raises(ConfigurationError, match=second):
            await client.request("GET", f"/organizations/%{ord(second[0]):02x}{second[1:]}/runs")
        assert [user async for user in client.organization(first).users.list()]


def test_credentials_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="organizations must be a mapping"):
        TallyfyClient("token", organizations=["a"])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="auth must be"):
        TallyfyClient("token", organizations={A: 5})  # type: ignore[dict-item]
    app = ClientCredentials(client_id="1", client_secret="s")
    with pytest.raises(ConfigurationError, match=f"the credential for {A} is one for {B}"):
        TallyfyClient("token", organizations={A: OnBehalfOf(application=app, organization=B, email="ada@example.com")})


def test_lines_have_different_names() -> None:
    app = ClientCredentials(client_id="1", client_secret="s")
    grants = [
        PasswordGrant(client_id="1", client_secret="s", username="ada", password="p"),
        PasswordGrant(client_id="1", client_secret="s", username="ada", password="p", scope="account"),
        PasswordGrant(client_id="1|password", client_secret="s", username="ada", password="p"),
        PasswordGrant(client_id="1", client_secret="s", username="password|ada", password="p"),
        app,
        OnBehalfOf(application=app, organization=A, email="ada"),
        OnBehalfOf(application=app, organization=B, email="ada"),
        StaticToken("x"),
    ]
    config = ClientConfig(auth="x")
    names = [config.token_key(grant) for grant in grants] + [config.token_key(grants[0], A)]
    elsewhere = ClientConfig(auth="x", base_url="https://staging.go.tallyfy.com/api")
    names += [elsewhere.token_key(grant) for grant in grants]
    assert len(set(names)) == len(names)
    assert not any("'s'" in name for name in names)


class Tenants(httpx.AsyncBaseTransport):
    """A server that knows each credential by its secret and notes every token that reaches another's organization."""

    def __init__(self, clock: ManualClock, dice: random.Random) -> None:
        self.clock, self.dice = clock, dice
        self.owner: dict[str, str] = {}
        self.calls = 0
        self.mixed: list[tuple[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        if request.url.path.endswith("/oauth/token"):
            form = dict(httpx.QueryParams((await request.aread()).decode()))
            token = f"token-{len(self.owner)}"
            old = form.get("refresh_token", "").removeprefix("r-")
            self.owner[token] = form["username"] if form["grant_type"] == "password" else self.owner[old]
            return httpx.Response(200, json={"access_token": token, "refresh_token": f"r-{token}", "expires_in": 30})
        tenant = request.url.path.split("/")[3]
        holder = self.owner[request.headers["authorization"].removeprefix("Bearer ")]
        self.calls += 1
        if holder != tenant:
            self.mixed.append((holder, tenant))
        if self.dice.random() < 0.1:
            return httpx.Response(401, json={"error": True, "message": "Unauthenticated."})
        return httpx.Response(200, json={"data": []})


async def test_row_80_thousand_interleavings_never_mix() -> None:
    dice, clock = random.Random(80), ManualClock()
    server = Tenants(clock, dice)

    def auth(tenant: str) -> PasswordGrant:
        """Return the same application's grant of another user, whose name the server knows the tenant by."""
        return PasswordGrant(client_id="42", client_secret="s", username=tenant, password="p")

    async with TallyfyClient(
        auth(A),
        organizations={B: auth(B), C: auth(C)},
        transport=server,
        clock=clock,
        token_store=MemoryStore(),
        max_connections=50,
    ) as client:
        derived = client.with_options(auth=auth(C), organizations={A: auth(A), B: auth(B)})
        clients = [client, derived]
        refused: list[str] = []

        async def call() -> None:
            tenant = dice.choice([A, B, C])
            one = dice.choice(clients)
            ways: list[Callable[[], Awaitable[Any]]] = [
                one.organization(tenant).runs.list().__aiter__().__anext__,
                lambda: one.request("GET", f"/organizations/{tenant}/runs"),
                lambda: one.tokens_of(tenant).refresh(),
            ]
            try:
                await dice.choice(ways)()
            except StopAsyncIteration:
                pass
            except AuthenticationError:
                refused.append(tenant)  # two 401 in a row are the dice's doing

        for _ in range(20):
            clock.advance(20)
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(call)
    assert server.calls > 500
    assert server.mixed == []


async def test_same_user_in_two_organizations_logs_in_for_each(sandbox: Sandbox) -> None:
    """A token is tied to the organization that its user was in: one login cannot serve two of them."""
    first, second, _ = sandbox.credentials.organizations
    async with connected(sandbox, organizations={first: login(sandbox), second: login(sandbox)}) as client:
        await client.tokens_of(first).get()
        await client.tokens_of(second).get()
        assert client.tokens_of(first).peek() != client.tokens_of(second).peek()
    assert sandbox.stats.token_requests["password"]["ok"] == 2
