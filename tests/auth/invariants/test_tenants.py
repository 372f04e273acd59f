"""Tokens of several organizations and users never mix, however the calls interleave."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from tallyfy_async import AuthenticationError, MemoryStore, PasswordGrant, TallyfyClient
from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.protocol.response import Reply
from tallyfy_async.transport.exchange import Progress, Request, Transport
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.invariants.steps import same_order_every_time, shuffle_from
from tests.auth.line import CLIENT

pytestmark = pytest.mark.anyio
ORGANIZATIONS = [f"{number:032x}" for number in range(1, 6)]
OWN = "own"
INTERLEAVINGS = 1000


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> None:
    same_order_every_time(monkeypatch)
    shuffle_from(0)


@define(eq=False)
class Backend(Transport):
    """Authorization server and API of all organizations. A token names the user that it was given to.

    Answers take a random number of turns; a token dies after a random number of uses.
    """

    chance: random.Random
    issued: int = 0
    dead: set[str] = field(factory=set[str])
    mixed: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    spent: Counter[str] = field(factory=Counter[str])
    calls: Counter[str] = field(factory=Counter[str])
    sends: Counter[str] = field(factory=Counter[str])
    refreshes: Counter[str] = field(factory=Counter[str])
    used_for: defaultdict[str, set[str]] = field(factory=lambda: defaultdict(set))

    async def exchange(self, request: Request, progress: Progress | None = None) -> Reply:
        await self._take_turns()
        status, body = self._token(request) if request.url.endswith("/oauth/token") else self._call(request)
        await self._take_turns()
        return Reply(status=status, content=json.dumps(body).encode())

    async def _take_turns(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await anyio.lowlevel.checkpoint()

    def _token(self, request: Request) -> tuple[int, Any]:
        form = dict(parse_qsl((request.content or b"").decode()))
        user = form.get("username", "")
        if "refresh_token" in form:
            user = form["refresh_token"].split("~")[1]
            self.spent[form["refresh_token"]] += 1
            self.refreshes[user] += 1
        self.issued += 1
        pair = {"access_token": f"access~{user}~{self.issued}", "refresh_token": f"refresh~{user}~{self.issued}"}
        return 200, {"token_type": "Bearer", "expires_in": 3600, **pair}

    def _call(self, request: Request) -> tuple[int, Any]:
        headers, parts = dict(request.headers), request.url.split("/")
        access = headers["Authorization"].removeprefix("Bearer ")
        asked = parts[parts.index("organizations") + 1] if "organizations" in parts else OWN
        user = access.split("~")[1]
        self.calls[asked] += 1
        self.sends[headers["X-Call"]] += 1
        self.used_for[access].add(asked)
        if user != _user(asked):
            self.mixed.append((user, asked))
        if access in self.dead:
            return 401, {"error": True, "message": "Unauthenticated."}
        if self.chance.random() < 0.1:
            self.dead.add(access)
        return 200, {"data": []}

    def to_origins(self, origins: tuple[str, ...]) -> Backend:
        return self

    async def aclose(self) -> None:
        return


def _user(organization: str) -> str:
    """Return whose token belongs to the calls of an organization; two of them share a user, not a token."""
    return {ORGANIZATIONS[0]: "ada", ORGANIZATIONS[1]: "ada"}.get(organization, f"user-{organization[-2:]}")


def _login(organization: str) -> PasswordGrant:
    return PasswordGrant(**CLIENT, username=_user(organization), password="pw")


def _client(backend: Backend, clock: ManualClock, store: MemoryStore) -> TallyfyClient:
    client = TallyfyClient(
        _login(OWN),
        base_url="https://tallyfy.example/api",
        organizations={organization: _login(organization) for organization in ORGANIZATIONS},
        token_store=store,
        clock=clock,
    )
    client._transport._opened = backend
    return client


async def _interleave(client: TallyfyClient, chance: random.Random, number: int) -> None:
    """Make some calls of some organizations at once; some of them are cancelled on the way."""

    async def call(which: int, scope: anyio.CancelScope) -> None:
        organization = chance.choice([*ORGANIZATIONS, OWN])
        path = "/me/tasks" if organization == OWN else f"/organizations/{organization}/runs"
        options = RequestOptions(headers={"X-Call": f"{number}-{which}"})
        with scope:
            for _ in range(chance.randrange(3)):
                await anyio.lowlevel.checkpoint()
            with suppress(AuthenticationError):  # the new token may die at its first use, too
                await client.request("GET", path, options=options)

    scopes = [anyio.CancelScope() for _ in range(chance.randint(2, 5))]
    async with anyio.create_task_group() as group:
        for which, scope in enumerate(scopes):
            group.start_soon(call, which, scope)
        if chance.random() < 0.2:
            for _ in range(chance.randrange(12)):
                await anyio.lowlevel.checkpoint()
            scopes[0].cancel()


@pytest.mark.usefixtures("order")
async def test_row_80_tokens_of_organizations_never_mix_in_a_thousand_interleavings() -> None:
    chance, clock, store = random.Random(80), ManualClock(), MemoryStore()
    backend = Backend(chance)
    async with _client(backend, clock, store) as one, _client(backend, clock, store) as other:
        for number in range(INTERLEAVINGS):
            if chance.random() < 0.03:
                clock.advance(3600)
            clock.advance(31)  # beyond the pause after a renewal that did not help
            await _interleave(chance.choice([one, other]), chance, number)
    assert backend.mixed == []
    assert {len(asked) for asked in backend.used_for.values()} == {1}, "one user's tokens for two organizations"
    assert set(backend.calls) == {*ORGANIZATIONS, OWN}
    assert min(backend.calls.values()) > 100
    assert all(count > 3 for count in backend.refreshes.values()), backend.refreshes
    assert {token for token, count in backend.spent.items() if count > 1} == set()
    assert max(backend.sends.values()) == 2, "once more, where the token was refused"
