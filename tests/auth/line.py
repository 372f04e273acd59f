"""A token endpoint in this process, whose clock, gate and accidents a test commands."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import anyio
import anyio.lowlevel
from attrs import define, field

from tallyfy_async import MemoryStore, PasswordGrant, RefreshToken, Token, TokenManager
from tallyfy_async.auth.oauth_client import Grant, TokenRequest
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.protocol.response import Reply, failure
from tallyfy_async.transport.manual_clock import ManualClock

KEY = "line"
DOWN = (503, {"error": "server_error"})
CLIENT: dict[str, Any] = {"client_id": "42", "client_secret": "s3cret"}
LOGIN = PasswordGrant(**CLIENT, username="ada@example.com", password="pw")


@define
class Server:
    """Answers token requests, rotates refresh tokens without grace, and counts.

    ``accidents`` are taken one a request: a value is an exception to raise in the place of an answer, a status with a
    body, or a change of the good reply. ``gate`` holds every answer back while it is set.
    """

    clock: ManualClock
    life: float | None = 3600
    accidents: list[Any] = field(factory=list)
    received: list[dict[str, str]] = field(factory=list)
    spent: list[str] = field(factory=list)
    gate: anyio.Event | None = None
    issued: int = 0
    takes: float = 0.0
    deadlines: list[float] = field(factory=list)

    async def __call__(self, request: TokenRequest, deadline: float) -> Reply:
        form = dict(parse_qsl((request.content or b"").decode()))
        self.received.append(form)
        self.deadlines.append(deadline)
        await anyio.lowlevel.checkpoint()
        if self.gate is not None:
            with anyio.move_on_after(5):  # a test that fails before it opens the gate must not hang
                await self.gate.wait()
        self.clock.advance(self.takes)
        accident = self.accidents.pop(0) if self.accidents else {}
        if isinstance(accident, Exception):
            raise accident
        if isinstance(accident, tuple):
            status, body = accident
            raise failure("POST", "/oauth/token", Reply(status=status, content=json.dumps(body).encode()), 0.0)
        return self._answer(form, accident)

    def _answer(self, form: dict[str, str], changes: dict[str, Any]) -> Reply:
        if "refresh_token" in form:
            if form["refresh_token"] in self.spent:
                raise failure("POST", "/oauth/token", Reply(status=400, content=b'{"error": "invalid_grant"}'), 0.0)
            self.spent.append(form["refresh_token"])
        self.issued += 1
        body = {"access_token": f"access-{self.issued}", "refresh_token": f"refresh-{self.issued}"}
        good = {"token_type": "Bearer", "expires_in": self.life, **body, **changes}
        return Reply(status=200, content=json.dumps(good).encode(), elapsed=self.takes)

    @property
    def grants(self) -> list[str]:
        """The grant types that came in, in order."""
        return [form["grant_type"] for form in self.received]

    @property
    def resent(self) -> list[str]:
        """The refresh tokens that came in more than once."""
        seen = [form["refresh_token"] for form in self.received if "refresh_token" in form]
        return sorted({one for one in seen if seen.count(one) > 1})


def manager(server: Server, store: TokenStore | None = None, grant: Grant = LOGIN, **settings: Any) -> TokenManager:
    """Return a manager whose requests go to ``server``."""
    return TokenManager.create(grant, server, MemoryStore() if store is None else store, KEY, server.clock, **settings)


def resumed(refresh_token: str = "refresh-0", **changes: Any) -> RefreshToken:
    """Return a grant that has nothing but a refresh token."""
    return RefreshToken(**CLIENT, refresh_token=refresh_token, **changes)


def record(clock: ManualClock, generation: int = 1, *, age: float = 0.0, **changes: Any) -> Token:
    """Return a record of an hour's life."""
    known = {"access_token": f"access-g{generation}", "refresh_token": f"refresh-g{generation}", "lifetime": 3600.0}
    return Token(**{**known, "issued_at": clock.time() - age, "generation": generation, **changes})


async def holding(*tokens: Token) -> MemoryStore:
    """Return a store with these records one after the other."""
    store, before = MemoryStore(), None
    for token in tokens:
        assert await store.save(KEY, token, expected=before)
        before = token.generation
    return store


async def aged(server: Server, seconds: float, **settings: Any) -> TokenManager:
    """Return a manager whose first token is this old; the counters of the server start anew."""
    tokens = manager(server, **settings)
    await tokens.get()
    server.clock.advance(seconds)
    server.received.clear()
    return tokens


async def crowd(work: Callable[[], Awaitable[Any]], count: int = 20) -> list[Any]:
    """Run many at once; return what each returned or raised."""
    outcomes: list[Any] = [None] * count

    async def one(number: int) -> None:
        try:
            outcomes[number] = await work()
        except Exception as error:  # noqa: BLE001 - an outcome like any other
            outcomes[number] = error

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(one, number)
    return outcomes
