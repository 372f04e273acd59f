"""A small sandbox, and a client of it in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Unpack

import anyio
import httpx

from tallyfy_async import PasswordGrant, TallyfyClient
from tallyfy_async.config import ClientSettings
from tallyfy_async.sandbox import Sandbox, Settings
from tallyfy_async.transport.http import HTTPTransport, asgi_transport
from tallyfy_async.transport.pool import ConnectionPool


def small_sandbox(**settings: Any) -> Sandbox:
    """Return a sandbox with 30 runs and 250 tasks that records what it receives."""
    sizes: dict[str, Any] = {"templates": 3, "runs": 30, "tasks": 250, "users": 5, "record": True}
    return Sandbox(Settings(**{**sizes, **settings}))


def user_grant(sandbox: Sandbox) -> PasswordGrant:
    """Return the password grant of the user of a sandbox."""
    known = sandbox.credentials
    return PasswordGrant(
        client_id=known.client_id, client_secret=known.client_secret, username=known.username, password=known.password
    )


def connect(sandbox: Sandbox, **settings: Unpack[ClientSettings]) -> TallyfyClient:
    """Return a client that calls the sandbox without a socket, with its personal token."""
    given: ClientSettings = {
        "base_url": sandbox.url,
        "organization": sandbox.credentials.organization,
        "transport": asgi_transport(sandbox.app),
        **settings,
    }
    return TallyfyClient(sandbox.credentials.personal_token, **given)


def http_of(client: TallyfyClient) -> httpx.AsyncClient:
    """Return the httpx client below a client, opened if it was not yet."""
    transport = client._transport.opened()
    assert isinstance(transport, HTTPTransport)
    return transport.client


def pool_of(client: TallyfyClient) -> ConnectionPool:
    """Return the connection pool of a client that has one of its own."""
    pool = http_of(client)._transport
    assert isinstance(pool, ConnectionPool)
    return pool


_ATTENTIVE = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("tallyfy_async", run_name="__main__", alter_sys=True)
"""


def attentive(*words: str) -> list[str]:
    """Return the command line of the package that hears Ctrl-C, also where the tests run in a shell's background."""
    return [sys.executable, "-c", _ATTENTIVE, *words]


def counts(sandbox: Sandbox) -> dict[str, int]:
    """Return how often each operation was answered."""
    return dict(sandbox.stats.by_operation)


async def until(met: Callable[[], object]) -> None:
    """Wait for something that another thread does; raise TimeoutError after 5 seconds."""
    for _ in range(2500):
        if met():
            return
        await anyio.sleep(0.002)
    raise TimeoutError
