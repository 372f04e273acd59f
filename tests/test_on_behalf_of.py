"""Tokens of members, got by an application: two lines, each renewed once however many wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tallyfy_async import (
    AuthenticationError,
    ClientCredentials,
    ConfigurationError,
    InvalidClientError,
    MemoryStore,
    OnBehalfOf,
    PasswordGrant,
    PermissionDeniedError,
    TallyfyClient,
    TokenRequestError,
    ValidationError,
)
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.faults.rig import CALLERS, connected, every, login, me, served, together

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sandbox(clock: ManualClock) -> Iterator[Sandbox]:
    with served(clock, application_life=7200, user_token_life=3600) as made:
        yield made


def application(sandbox: Sandbox, **changes: Any) -> ClientCredentials:
    known = sandbox.credentials
    return ClientCredentials(**{"client_id": known.client_id, "client_secret": known.client_secret, **changes})


def member(sandbox: Sandbox, **changes: Any) -> OnBehalfOf:
    """Return the seeded user's credential, by way of the application."""
    known = sandbox.credentials
    given = {"application": application(sandbox), "organization": known.organization, "email": known.username}
    return OnBehalfOf(**{**given, **changes})


def asked(sandbox: Sandbox) -> tuple[int, int]:
    """Return how many requests for application tokens and for members' tokens came in."""
    stats = sandbox.stats
    return sum(stats.token_requests["client_credentials"].values()), sum(stats.user_token_requests.values())


async def test_acts_for_the_member(sandbox: Sandbox, clock: ManualClock) -> None:
    async with connected(sandbox, member(sandbox), clock=clock) as client:
        assert (await client.me.get()).email == sandbox.credentials.username
        assert [run async for run in client.organization(sandbox.credentials.organization).runs.list()]
        token = await client.tokens.get()
    assert (token.lifetime, token.refresh_token) == (3600, None)
    assert asked(sandbox) == (1, 1)


async def test_one_request_a_layer_however_many_wait(sandbox: Sandbox, clock: ManualClock) -> None:
    async with connected(sandbox, member(sandbox), clock=clock) as client:
        every(await together(lambda: me(client)), int)
        assert asked(sandbox) == (1, 1)
        clock.advance(3600)  # the member's token ends, the application's lives on
        every(await together(lambda: me(client)), int)
        assert asked(sandbox) == (1, 2)
        clock.advance(3600)  # now both have ended
        every(await together(lambda: me(client)), int)
        assert asked(sandbox) == (2, 3)
    assert sandbox.token_lives == 5


async def test_row_79_dead_tokens_of_both_layers(sandbox: Sandbox, clock: ManualClock) -> None:
    """The member's token and the application's are revoked behind our back: each layer is asked once."""
    async with connected(sandbox, member(sandbox), clock=clock) as client:
        await me(client)
        sandbox.world.vault.revoke_all_access()
        sandbox.stats.reset()
        every(await together(lambda: me(client)), int)
    assert asked(sandbox)[0] == 1
    assert dict(sandbox.stats.user_token_requests) == {"401": 1, "ok": 1}
    assert sandbox.stats.by_status[401] <= CALLERS + 1


async def test_row_79_refusals_that_last_end(sandbox: Sandbox, clock: ManualClock) -> None:
    sandbox.faults.add(Fault(operation="create_application_user_token", status=401, times=None))
    async with connected(sandbox, member(sandbox), clock=clock) as client:
        with pytest.raises(TokenRequestError, match="user-token call of the application answered 401"):
            await me(client)
    assert asked(sandbox) == (2, 2)


async def test_members_of_one_application_share_its_token(sandbox: Sandbox, clock: ManualClock) -> None:
    tenant = sandbox.world.tenants[sandbox.credentials.organization]
    emails = [one.user.email for one in tenant.members.values() if one.status == "active"]
    assert len(emails) >= 2
    async with connected(sandbox, member(sandbox), clock=clock) as client:
        for email in emails:
            acting = client.with_options(auth=member(sandbox, email=email))
            assert (await acting.me.get()).email == email
    assert asked(sandbox) == (1, len(emails))


async def test_two_clients_of_one_store(sandbox: Sandbox, clock: ManualClock) -> None:
    store = MemoryStore()
    async with (
        connected(sandbox, member(sandbox), clock=clock, token_store=store) as one,
        connected(sandbox, member(sandbox), clock=clock, token_store=store) as two,
    ):
        assert await me(one) == await me(two) == 200
    assert asked(sandbox) == (1, 1)


async def test_the_call_has_a_place_of_its_own(sandbox: Sandbox, clock: ManualClock) -> None:
    """Seed 001 does not know its host; another one sees the application's token only because it was named."""
    with sandbox.proxy() as proxy:
        elsewhere = f"{proxy.url}/applications/{{org}}/users/{{email}}/token"
        async with connected(sandbox, member(sandbox, url=elsewhere), clock=clock) as client:
            assert await me(client) == 200
        assert proxy.requests == 1
    assert asked(sandbox) == (1, 1)


def test_the_place_is_checked() -> None:
    auth = OnBehalfOf(
        application=ClientCredentials(client_id="42", client_secret="s"),
        organization="o" * 32,
        email="ada@example.com",
        url="http://elsewhere.example/{org}/{email}",
    )
    with pytest.raises(ConfigurationError, match=r"OnBehalfOf\.url must be https"):
        TallyfyClient(auth)


@pytest.mark.parametrize(
    "wrong",
    [
        {"application": "42"},
        {"application": PasswordGrant(client_id="1", client_secret="s", username="u", password="p")},
        {"organization": ""},
        {"organization": None},
        {"organization": "a/b"},
        {"email": " "},
        {"email": None},
        {"url": ""},
    ],
    ids=str,
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    good = {
        "application": ClientCredentials(client_id="42", client_secret="s"),
        "organization": "o" * 32,
        "email": "ada@example.com",
    }
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        OnBehalfOf(**{**good, **wrong})


async def test_wrong_secret_of_the_application(sandbox: Sandbox, clock: ManualClock) -> None:
    auth = member(sandbox, application=application(sandbox, client_secret="wrong"))
    async with connected(sandbox, auth, clock=clock) as client:
        with pytest.raises(InvalidClientError, match="check client_id"):
            await me(client)
    assert asked(sandbox) == (1, 0)


async def test_refusals_say_what_to_do(sandbox: Sandbox, clock: ManualClock) -> None:
    other = next(one for one in sandbox.credentials.organizations if one != sandbox.credentials.organization)
    async with connected(sandbox, member(sandbox, organization=other), clock=clock) as client:
        with pytest.raises(TokenRequestError, match="no permissions for this organization"):
            await client.me.get()
    async with connected(sandbox, member(sandbox, email="nobody@tallyfy.com"), clock=clock) as client:
        with pytest.raises(TokenRequestError, match=r"client\.applications\.create_user"):
            await client.me.get()


async def test_provision_a_member_and_act_for_it(sandbox: Sandbox, clock: ManualClock) -> None:
    organization = sandbox.credentials.organization
    async with connected(sandbox, application(sandbox), clock=clock) as client:
        made = await client.applications.create_user(
            organization, first_name="Grace", last_name="Hopper", email="grace@tallyfy.com", role="standard"
        )
        assert (made.email, made.role) == ("grace@tallyfy.com", "standard")
        acting = client.with_options(auth=member(sandbox, email=made.email))
        assert (await acting.me.get()).id == made.id
        more = await acting.applications.create_user(
            organization, first_name="Alan", last_name="Turing", email="alan@tallyfy.com", role="light"
        )
        assert more.id != made.id
        with pytest.raises(ValidationError):
            await client.applications.create_user(
                organization, first_name="Grace", last_name="Hopper", email="grace@tallyfy.com"
            )
        with pytest.raises(PermissionDeniedError, match="application's permissions"):
            await client.applications.create_user(
                sandbox.credentials.organizations[1], first_name="A", last_name="B", email="a@tallyfy.com"
            )
    assert asked(sandbox) == (1, 1)


async def test_provisioning_takes_an_application(sandbox: Sandbox) -> None:
    async with connected(sandbox, login(sandbox)) as client:
        with pytest.raises(ConfigurationError, match="application token"):
            await client.applications.create_user("o" * 32, first_name="A", last_name="B", email="a@tallyfy.com")
        with pytest.raises(ConfigurationError, match="application token"):
            await client.with_options(auth="personal").applications.create_user(
                "o" * 32, first_name="A", last_name="B", email="a@tallyfy.com"
            )
    assert sandbox.stats.requests == 0


async def test_401_of_an_application_names_the_other_grants(sandbox: Sandbox) -> None:
    async with connected(sandbox, application(sandbox)) as client:
        with pytest.raises(AuthenticationError) as told:
            await me(client)
    assert any("PasswordGrant" in note and "OnBehalfOf" in note for note in told.value.__notes__)
