"""A sandbox on a real socket, a shared clock, and many callers at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio

from tallyfy_async import MemoryStore, PasswordGrant, RefreshToken, TallyfyClient, Token
from tallyfy_async.auth.stores import TokenStore
from tallyfy_async.config import ClientConfig
from tallyfy_async.sandbox import Sandbox, Settings
from tallyfy_async.transport.manual_clock import ManualClock

CALLERS = 50
TOO_LONG = 30.0
_SMALL = {"templates": 3, "runs": 3, "tasks": 12, "users": 3}
T = TypeVar("T")


@contextmanager
def served(clock: ManualClock | None = None, **settings: Any) -> Iterator[Sandbox]:
    """Serve a small sandbox whose tokens die by ``clock``."""
    given = Settings(**{**_SMALL, **settings})
    made = Sandbox(given) if clock is None else Sandbox(given, clock=clock.time)
    with made.serve() as sandbox:
        yield sandbox


def login(sandbox: Sandbox, **changes: Any) -> PasswordGrant:
    """Return the seeded user's login."""
    known = sandbox.credentials
    given = {
        "client_id": known.client_id,
        "client_secret": known.client_secret,
        "username": known.username,
        "password": known.password,
    }
    return PasswordGrant(**{**given, **changes})


def connected(sandbox: Sandbox, auth: Any = None, **settings: Any) -> TallyfyClient:
    """Return a client of a sandbox that is served, with the seeded user's login."""
    given = {"base_url": sandbox.url, "max_connections": CALLERS, **settings}
    return TallyfyClient(login(sandbox) if auth is None else auth, **given)


async def me(client: TallyfyClient) -> int:
    """Make a call that needs a user's token; return the status."""
    return (await client.request("GET", "/me")).status


async def together(work: Callable[[], Awaitable[T]], count: int = CALLERS) -> list[T | Exception]:
    """Start ``count`` tasks, release them at once, and return what each returned or raised."""
    gate = anyio.Event()
    outcomes: list[Any] = [None] * count

    async def one(number: int) -> None:
        await gate.wait()
        try:
            outcomes[number] = await work()
        except Exception as error:  # noqa: BLE001 - an outcome like any other
            outcomes[number] = error

    with anyio.fail_after(TOO_LONG):
        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(one, number)
            await anyio.wait_all_tasks_blocked()
            gate.set()
    return outcomes


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, without asking any clock of the code under test."""
    with anyio.fail_after(TOO_LONG):
        while not condition():  # noqa: ASYNC110 - the other side lives in another thread
            await anyio.sleep(0.002)


def refreshes(sandbox: Sandbox) -> int:
    """Return how many refresh requests the token endpoint received."""
    return sum(sandbox.stats.token_requests["refresh_token"].values())


def logins(sandbox: Sandbox) -> int:
    """Return how many password requests the token endpoint received."""
    return sum(sandbox.stats.token_requests["password"].values())


def line_of(auth: Any, url: str) -> str:
    """Return the name under which a client with this base URL keeps its tokens in a store."""
    return ClientConfig(auth=auth, base_url=url).token_key()


async def stored(store: TokenStore, auth: Any, url: str) -> Token:
    """Return the record of a line."""
    token = await store.load(line_of(auth, url))
    assert token is not None
    return token


async def earlier_login(
    sandbox: Sandbox, clock: ManualClock, url: str | None = None, *, spare: float = 0.0, **changes: Any
) -> tuple[RefreshToken, MemoryStore]:
    """Log in aside; return a RefreshToken grant and a store that holds its record, ``spare`` seconds before its end.

    The sandbox's counters start anew.
    """
    async with connected(sandbox, clock=clock) as client:
        token = await client.tokens.get()
    assert token.refresh_token is not None
    assert token.lifetime is not None
    known, store = sandbox.credentials, MemoryStore()
    auth = RefreshToken(
        client_id=known.client_id, client_secret=known.client_secret, refresh_token=token.refresh_token, **changes
    )
    await store.save(line_of(auth, url or sandbox.url), token, expected=None)
    clock.advance(token.lifetime - spare)
    sandbox.stats.reset()
    return auth, store


def sent(sandbox: Sandbox, auth: RefreshToken) -> int:
    """Return how often the refresh token of an earlier login reached the token endpoint."""
    return sandbox.stats.presented[auth.refresh_token.reveal()]


def every(outcomes: list[Any], kind: type[T]) -> list[T]:
    """Return the outcomes of all callers, each of which must be of this kind."""
    right = [outcome for outcome in outcomes if type(outcome) is kind]
    assert len(right) == len(outcomes), outcomes
    return right


def native_cancel() -> bool:
    """Whether the running loop has native task cancellation."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
