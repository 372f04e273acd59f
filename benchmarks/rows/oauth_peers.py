"""20 callers and one expiry: token requests and failed callers, beside authlib's AsyncOAuth2Client and httpx-auth.

Everybody logs in with a password, over real sockets, at a server that rotates refresh tokens, ends the old access token
with them, and takes a refresh token that comes twice for theft. Then the token expires, and 20 callers call at once,
each once. A caller fails when its call raises or is refused; the package's own retries are off. Settings are the
defaults. httpx-auth asks for tokens synchronously, which holds up an event loop, so it is also measured in threads, the
way its synchronous callers use it. Counts are of what the server saw, the worst round counts.

* expiry, then 1 h: the token of the refresh lives an hour.
* expiry, then 3 s: it lives 3 seconds, which is less than the leeway of both peers, 60 s and 30 s.
* login: there is no token yet. authlib is left out, as it does not log in by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import anyio
import httpx
from attrs import frozen

from benchmarks.authority import authority, counted
from benchmarks.harness import Goal, Line, peer, server
from tallyfy_async import PasswordGrant, TallyfyClient

_CALLERS = 20
_FIRST_LIFE = 1
_LATER = 1.05
"""Seconds until the token of the login has ended."""


@frozen(kw_only=True)
class Side:
    """One library on one authority.

    Attributes:
        log_in: gets the first token.
        storm: calls with all callers at once and returns how many failed.

    """

    log_in: Callable[[], Awaitable[object]]
    storm: Callable[[], Awaitable[int]]


@frozen
class Outcome:
    """What became of the callers.

    Attributes:
        requests: token requests that the server saw after the expiry.
        failed: callers whose call failed.

    """

    requests: int
    failed: int


OpenSide = Callable[[str], AbstractAsyncContextManager[Side]]


async def _gathered(call: Callable[[], Awaitable[object]]) -> int:
    """Call with all callers at once; return how many failed."""
    failed = 0

    async def caller() -> None:
        nonlocal failed
        try:
            await call()
        except Exception:  # noqa: BLE001 - whatever a library raises
            failed += 1

    async with anyio.create_task_group() as group:
        for _ in range(_CALLERS):
            group.start_soon(caller)
    return failed


@asynccontextmanager
async def _ours(url: str) -> AsyncGenerator[Side, None]:
    grant = PasswordGrant(client_id="1", client_secret="s", username="ada@example.com", password="p")
    async with TallyfyClient(grant, base_url=url, retry=0) as client:
        yield Side(log_in=client.tokens.get, storm=lambda: _gathered(client.me.get))


@asynccontextmanager
async def _authlib(url: str) -> AsyncGenerator[Side, None]:
    async with peer("authlib.integrations.httpx_client").AsyncOAuth2Client(
        "1",
        "s",
        token_endpoint=f"{url}/oauth/token",
        token_endpoint_auth_method="client_secret_post",
        trust_env=False,
    ) as client:

        async def log_in() -> None:
            await client.fetch_token(username="ada@example.com", password="p", grant_type="password")

        async def call() -> None:
            (await client.get(f"{url}/me")).raise_for_status()

        yield Side(log_in=log_in, storm=lambda: _gathered(call))


def _password(url: str, token_client: httpx.Client) -> httpx.Auth:
    tokens = peer("httpx_auth")
    auth: httpx.Auth = tokens.OAuth2ResourceOwnerPasswordCredentials(
        f"{url}/oauth/token", "ada@example.com", "p", client_id="1", client_secret="s", client=token_client
    )
    return auth


@asynccontextmanager
async def _httpx_auth(url: str) -> AsyncGenerator[Side, None]:
    with httpx.Client(trust_env=False) as token_client:
        auth = _password(url, token_client)
        async with httpx.AsyncClient(auth=auth, trust_env=False) as client:

            async def call() -> None:
                (await client.get(f"{url}/me")).raise_for_status()

            yield Side(log_in=call, storm=lambda: _gathered(call))


@asynccontextmanager
async def _httpx_auth_in_threads(url: str) -> AsyncGenerator[Side, None]:
    with httpx.Client(trust_env=False) as token_client:
        auth = _password(url, token_client)
        with httpx.Client(auth=auth, trust_env=False) as client, ThreadPoolExecutor(_CALLERS) as threads:

            def fails(_caller: int) -> bool:
                try:
                    client.get(f"{url}/me").raise_for_status()
                except Exception:  # noqa: BLE001 - whatever a library raises
                    return True
                return False

            async def log_in() -> None:
                fails(0)

            async def storm() -> int:
                return sum(threads.map(fails, range(_CALLERS)))

            yield Side(log_in=log_in, storm=storm)


_PEERS: dict[str, OpenSide] = {
    "authlib": _authlib,
    "httpx-auth": _httpx_auth,
    "httpx-auth in threads": _httpx_auth_in_threads,
}
_LIVES = {"expiry, then 1 h": 3_600, "expiry, then 3 s": 3}


async def _expiry(server: str) -> dict[tuple[str, str], Outcome]:
    """Let everybody's token expire at the same time, then measure one after another."""
    sides: dict[tuple[str, str], tuple[str, Side]] = {}
    async with AsyncExitStack() as stack:
        for case, life in _LIVES.items():
            for name, opened in {"": _ours, **_PEERS}.items():
                url = authority(server, first=_FIRST_LIFE, then=life)
                side = await stack.enter_async_context(opened(url))
                await side.log_in()
                sides[case, name] = url, side
        await anyio.sleep(_LATER)
        return {key: await _stormed(url, side) for key, (url, side) in sides.items()}


async def _login(server: str) -> dict[tuple[str, str], Outcome]:
    found: dict[tuple[str, str], Outcome] = {}
    for name, opened in {"": _ours, **_PEERS}.items():
        if name != "authlib":
            url = authority(server, first=3_600, then=3_600)
            async with opened(url) as side:
                found["login", name] = await _stormed(url, side)
    return found


async def _stormed(url: str, side: Side) -> Outcome:
    before = counted(url)
    failed = await side.storm()
    return Outcome(counted(url).since(before).requests, failed)


async def _round(server: str) -> dict[tuple[str, str], Outcome]:
    return {**await _expiry(server), **await _login(server)}


def _lines(rounds: Sequence[dict[tuple[str, str], Outcome]]) -> Iterator[Line]:
    for case, name in rounds[0]:
        if not name:
            continue
        ours, theirs = [one[case, ""] for one in rounds], [one[case, name] for one in rounds]
        yield Line(
            row="oauth_peers",
            case=f"{case}: token requests, beside {name}",
            unit="requests",
            ours=tuple(one.requests for one in ours),
            peer=tuple(one.requests for one in theirs),
            best=max,
            goal=Goal(1, alone=True),
        )
        yield Line(
            row="oauth_peers",
            case=f"{case}: failed callers, beside {name}",
            unit="callers",
            ours=tuple(one.failed for one in ours),
            peer=tuple(one.failed for one in theirs),
            best=max,
            goal=Goal(0, alone=True),
        )


def measure(rounds: int) -> Iterator[Line]:
    """Measure an expiry and a first login with 20 callers."""
    with server() as url:
        # Counts hardly vary, and every round takes its time.
        yield from _lines([anyio.run(_round, url) for _ in range(min(rounds, 2))])
