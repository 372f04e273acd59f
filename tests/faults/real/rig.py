"""Clients of the authorization server, and logins that were made before them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest

from tallyfy_async import MemoryStore, PasswordGrant, RefreshToken, TallyfyClient, Token
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.config import ClientConfig
from tallyfy_async.transport.clock import Clock
from tests.faults.rig import together as _together
from tests.faults.rig import until
from tests.oauth_server.authority import Authority
from tests.oauth_server.known import PASSWORD_CLIENT, USERS

CALLERS = 12
TOKEN = "/o/token"
ADA, BOB = USERS


def password(email: str = ADA, **changes: Any) -> PasswordGrant:
    """Return a user's login."""
    known: dict[str, Any] = {"client_id": PASSWORD_CLIENT[0], "client_secret": PASSWORD_CLIENT[1]}
    given: dict[str, Any] = {**known, "username": email, "password": USERS[email], **changes}
    return PasswordGrant(**given)


def addresses(url: str) -> dict[str, Any]:
    """Return the settings that lead a client to a server, or to a proxy before it."""
    return {"base_url": f"{url}/api", "token_url": f"{url}{TOKEN}", "authorize_url": f"{url}/o/authorize/"}


def connected(url: str, auth: Any = None, **settings: Any) -> TallyfyClient:
    """Return a client, with Ada's login unless told otherwise."""
    given: dict[str, Any] = {**addresses(url), "max_connections": CALLERS, **settings}
    return TallyfyClient(password() if auth is None else auth, **given)


async def me(client: TallyfyClient) -> int:
    """Make a call that needs a user's token; return the status."""
    return (await client.request("GET", "/me")).status


async def make(client: TallyfyClient) -> int:
    """Make a thing; return the status."""
    return (await client.request("POST", "/things", json={"name": "one"})).status


async def together(work: Callable[[], Awaitable[Any]], count: int = CALLERS) -> list[Any]:
    """Do something ``count`` times at once; return what each returned or raised."""
    return await _together(work, count)


async def together_while(
    event: Callable[[], Coroutine[Any, Any, None]], work: Callable[[], Awaitable[Any]], count: int = CALLERS
) -> list[Any]:
    """Do what :func:`together` does while something happens beside it."""
    outcomes: list[Any] = []
    async with anyio.create_task_group() as group:
        group.start_soon(event)
        outcomes += await together(work, count)
    return outcomes


async def cancelled_at(
    ready: Callable[[], bool],
    release: Callable[[], None],
    work: Callable[[], Coroutine[Any, Any, Any]],
    *,
    native: bool,
) -> None:
    """Start ``work``, cancel it when ``ready``, ``release`` what held it, and wait for its end."""
    if native:
        import asyncio

        task = asyncio.ensure_future(work())
        await until(ready)
        task.cancel()
        release()
        with pytest.raises(asyncio.CancelledError):
            await task
        return
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await until(ready)
        group.cancel_scope.cancel()
        release()


def line_of(auth: Any, url: str) -> str:
    """Return the name under which a client of this server or proxy keeps its tokens in a store."""
    return ClientConfig(auth=auth, **addresses(url)).token_key()


async def stored(store: TokenStore, auth: Any, url: str) -> Token:
    """Return the record of a line."""
    token = await store.load(line_of(auth, url))
    assert token is not None
    return token


def record(reply: dict[str, Any], wall: float, *, generation: int = 1, spare: float | None = None) -> Token:
    """Return the record of a token reply, got at ``wall``, or so long ago that it dies after ``spare`` seconds."""
    life = float(reply["expires_in"])
    return Token(
        access_token=reply["access_token"],
        refresh_token=reply["refresh_token"],
        issued_at=wall if spare is None else wall - life + spare,
        lifetime=life,
        generation=generation,
    )


async def earlier_login(
    authority: Authority, clock: Clock, url: str | None = None, *, spare: float = 0.0, **changes: Any
) -> tuple[RefreshToken, MemoryStore]:
    """Log in as another program; return a RefreshToken grant and a store that holds the record.

    By the client's clock the access token dies after ``spare`` seconds; the server would still take it.
    """
    reply = authority.login()
    known: dict[str, Any] = {"client_id": PASSWORD_CLIENT[0], "client_secret": PASSWORD_CLIENT[1]}
    auth = RefreshToken(**{**known, "refresh_token": reply["refresh_token"], **changes})
    store = MemoryStore()
    token = record(reply, clock.time(), spare=spare)
    assert await store.save(line_of(auth, url or authority.url), token, expected=None)
    return auth, store


def sent(authority: Authority, auth: RefreshToken) -> int:
    """Return how often the refresh token of an earlier login reached the token endpoint."""
    return authority.report.sent(auth.refresh_token.reveal())


def refreshes(authority: Authority) -> dict[str, int]:
    """Return how often each outcome was given to refresh requests."""
    return dict(authority.report.requests.get("refresh_token", {}))


def logins(authority: Authority) -> int:
    """Return how many password requests came."""
    return sum(authority.report.requests.get("password", {}).values())
