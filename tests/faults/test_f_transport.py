"""Redirects that would carry a credential elsewhere, and what hooks and recorders see."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tallyfy_async import (
    APIError,
    AttemptRecord,
    Hooks,
    MemoryStore,
    TallyfyError,
    TokenRecord,
    TokenRequestError,
    redact_headers,
)
from tallyfy_async.sandbox import Fault, Sandbox
from tests.faults.rig import connected, login, me, served

pytestmark = pytest.mark.anyio


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with served() as made:
        yield made


@pytest.fixture
def elsewhere() -> Iterator[Sandbox]:
    with served(record=True) as made:
        yield made


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_row_82_token_request_is_redirected(sandbox: Sandbox, elsewhere: Sandbox, status: int) -> None:
    """The form holds password and client secret: it is not sent after the redirect."""
    place = {"Location": f"{elsewhere.url}/oauth/token"}
    sandbox.faults.add(Fault(operation="create_token", status=status, headers=place, times=None))
    async with connected(sandbox) as client:
        with pytest.raises(TokenRequestError, match=f"answered {status}"):
            await me(client)
    assert sandbox.stats.token_total == 1
    assert elsewhere.stats.requests == 0


@pytest.mark.parametrize("status", [302, 307, 308])
async def test_row_81_redirect_to_another_origin(sandbox: Sandbox, elsewhere: Sandbox, status: int) -> None:
    """An API call that is redirected to a host which would answer 401: nothing goes there, nothing is refreshed."""
    place = {"Location": f"{elsewhere.url}/me"}
    sandbox.faults.add(Fault(operation="get_me", status=status, headers=place, times=None))
    async with connected(sandbox) as client:
        with pytest.raises(APIError) as told:
            await client.me.get()
        assert told.value.status == status
        assert client.tokens.statistics.requests == 1
    assert elsewhere.stats.requests == 0


class Ear(Hooks):
    """Keeps what it hears as text."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_attempt(self, record: AttemptRecord) -> None:
        self.heard.append(f"{record!r} {record}")

    async def on_token(self, record: TokenRecord) -> None:
        self.heard.append(repr(record))

    def on_auth_failure(self, error: Exception) -> None:
        self.heard.append(repr(error))


async def test_row_93_hooks_and_recorders(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """A recorder of raw requests masks them with redact_headers; our own hooks have nothing to mask."""
    caplog.set_level(logging.DEBUG)
    recorded: list[Any] = []

    async def record(request: httpx.Request) -> None:
        recorded.append(redact_headers(request.headers))

    async def record_reply(response: httpx.Response) -> None:
        recorded.append(redact_headers(response.headers))

    ear, auth = Ear(), login(sandbox)
    raw = httpx.AsyncClient(event_hooks={"request": [record], "response": [record_reply]})
    sandbox.faults.add(Fault(operation="get_me", status=401), Fault(operation="get_me", status=503))
    async with raw, connected(sandbox, auth, http_client=raw, hooks=[ear]) as client:
        assert await me(client) == 200
        held = await client.tokens.get()
        with pytest.raises(TallyfyError):
            await client.with_options(auth=login(sandbox, password="wrong"), token_store=MemoryStore()).me.get()
    assert held.refresh_token is not None
    text = repr((recorded, ear.heard)) + caplog.text
    for secret in (held.access_token, held.refresh_token, auth.password, auth.client_secret):
        assert secret.reveal() not in text  # type: ignore[union-attr]
    assert any(one.get("authorization") == "…" for one in recorded)
    assert len(ear.heard) >= 7
