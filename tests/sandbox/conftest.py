from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tallyfy_async.sandbox import Sandbox, Settings

SMALL: dict[str, Any] = {"templates": 12, "runs": 24, "tasks": 300, "users": 20}


class Clock:
    """Seconds since 1970 that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_793_600_000.0

    def __call__(self) -> float:
        return self.now


class Api:
    """Plain httpx against a sandbox in-process: the sandbox must hold without the client that it serves."""

    def __init__(self, sandbox: Sandbox, http: httpx.AsyncClient) -> None:
        self.sandbox = sandbox
        self.http = http
        self.token = sandbox.credentials.personal_token
        self.org = f"/organizations/{sandbox.credentials.organization}"

    @property
    def tenant(self) -> Any:
        return self.sandbox.world.tenants[self.sandbox.credentials.organization]

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers: dict[str, str | None]
        headers = {"Authorization": f"Bearer {self.token}", "X-Tallyfy-Client": "Test", "Accept": "application/json"}
        headers |= options.pop("headers", {})
        wanted = {name: value for name, value in headers.items() if value is not None}
        path = path.replace("{org}", self.org)
        return await self.http.request(method, self.sandbox.url + path, headers=wanted, **options)

    async def get(self, path: str, **params: Any) -> Any:
        reply = await self.call("GET", path, params=params or None)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def form(self, path: str = "/oauth/token", **fields: Any) -> httpx.Response:
        """Ask for a token with the right client unless told otherwise; None leaves a field out."""
        mine = self.sandbox.credentials
        data = {"client_id": mine.client_id, "client_secret": mine.client_secret} | fields
        data = {name: value for name, value in data.items() if value is not None}
        return await self.http.post(self.sandbox.url + path, data=data)

    async def login(self, **fields: Any) -> httpx.Response:
        mine = self.sandbox.credentials
        return await self.form(
            **{"grant_type": "password", "username": mine.username, "password": mine.password} | fields
        )

    async def refresh(self, token: str, **fields: Any) -> httpx.Response:
        return await self.form(**{"grant_type": "refresh_token", "refresh_token": token} | fields)

    async def use(self, token: str) -> int:
        reply = await self.call("GET", "/me", headers={"Authorization": f"Bearer {token}"})
        return reply.status_code


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make(clock: Clock) -> AsyncIterator[Callable[..., Api]]:
    """Build further sandboxes with other settings; their clients are closed at the end."""
    clients: list[httpx.AsyncClient] = []

    def build(**settings: Any) -> Api:
        sandbox = Sandbox(Settings(**SMALL | settings), clock=clock)
        clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)))
        return Api(sandbox, clients[-1])

    yield build
    for client in clients:
        await client.aclose()


@pytest.fixture
def api(make: Callable[..., Api]) -> Api:
    return make()
