"""The same three calls with the package and with its peers: read a task, read a page of 100 tasks, write a task.

Every side sends the same token, checks what came back, and is opened in the process that measures it: a library is
imported when its side is.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from attrs import frozen

from benchmarks.harness import RowError, peer
from benchmarks.payload import PER_PAGE, task_id

TOKEN = "t" * 900
ORGANIZATION = "f1e2d3c4b5a697887766554433221100"
TASK_ID = task_id(0)
NEW_TASK: dict[str, Any] = {
    "title": "Send the offer",
    "owners": {"users": [1001], "guests": [], "groups": []},
    "deadline": "2026-12-01 17:00:00",
}
QUERY: dict[str, str | int] = {"status": "all", "page": 1, "per_page": PER_PAGE}
HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "X-Tallyfy-Client": "APIClient",
    "Accept": "application/json",
    "Content-Type": "application/json",
}

_TASKS = f"/organizations/{ORGANIZATION}/tasks"
_TASK = f"{_TASKS}/{TASK_ID}"
_PAGE = f"/organizations/{ORGANIZATION}/me/tasks"
_SECONDS = 30

R = TypeVar("R")


@frozen(kw_only=True)
class Target:
    """Where a side calls.

    Attributes:
        url: base URL of the server.
        ca: path of the PEM file of the CA to trust; empty: none is needed.
        connections: connections at once; 0: as many as the library has by default.
        app: an ASGI application to call instead of a server, by the sides that can.

    """

    url: str
    ca: str = ""
    connections: int = 0
    app: Any = None

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context that trusts the CA, where there is one."""
        return ssl.create_default_context(cafile=self.ca) if self.ca else None


@frozen(kw_only=True)
class Calls(Generic[R]):
    """One library's ways to make the calls."""

    get: Callable[[], R]
    page: Callable[[], R]
    create: Callable[[], R]


AsyncSide = Callable[[Target], AbstractAsyncContextManager[Calls[Awaitable[object]]]]
ThreadSide = Callable[[Target], AbstractContextManager[Calls[object]]]


def check(got: object, expected: object) -> None:
    """Raise RowError unless what came is what was expected."""
    if got != expected:
        msg = f"{got!r} came instead of {expected!r}"
        raise RowError(msg)


def _check_page(content: bytes) -> None:
    tasks = json.loads(content)["data"]
    check((len(tasks), tasks[0]["id"]), (PER_PAGE, TASK_ID))


def _check_task(content: bytes) -> None:
    check(json.loads(content)["data"]["id"], TASK_ID)


def _check_new(content: bytes) -> None:
    check(json.loads(content)["data"]["title"], NEW_TASK["title"])


@asynccontextmanager
async def ours(target: Target) -> AsyncGenerator[Calls[Awaitable[object]], None]:
    """Call with the package: whole calls, up to typed models."""
    from tallyfy_async import TallyfyClient

    settings: dict[str, Any] = {"base_url": target.url}
    if target.connections:
        settings["max_connections"] = target.connections
    if target.ca:
        settings["ssl_context"] = target.context
    if target.app is not None:
        import httpx

        settings["transport"] = httpx.ASGITransport(app=target.app)
    async with TallyfyClient(TOKEN, **settings) as client:
        organization = client.organization(ORGANIZATION)
        deadline = datetime.fromisoformat(NEW_TASK["deadline"]).replace(tzinfo=UTC)
        new: dict[str, Any] = {**NEW_TASK, "deadline": deadline}

        async def get() -> None:
            check((await organization.tasks.get(TASK_ID)).id, TASK_ID)

        async def page() -> None:
            tasks = await organization.me.tasks.list(status="all")
            check((len(tasks), tasks[0].id), (PER_PAGE, TASK_ID))

        async def create() -> None:
            task = await organization.tasks.create(**new)
            check(task.title, NEW_TASK["title"])

        yield Calls(get=get, page=page, create=create)


@asynccontextmanager
async def httpx_client(target: Target) -> AsyncGenerator[Calls[Awaitable[object]], None]:
    """Call with a stock ``httpx.AsyncClient`` and decode the JSON, which builds no models."""
    import httpx

    settings: dict[str, Any] = {"verify": target.context} if target.ca else {}
    if target.connections:
        settings["limits"] = httpx.Limits(
            max_connections=target.connections, max_keepalive_connections=target.connections
        )
    if target.app is not None:
        settings["transport"] = httpx.ASGITransport(app=target.app)
    # Whoever waits for one of its connections may wait: its default would fail callers where the machine is slow.
    limit = httpx.Timeout(_SECONDS, pool=None)
    async with httpx.AsyncClient(headers=HEADERS, timeout=limit, trust_env=False, **settings) as client:

        async def get() -> None:
            _check_task((await client.get(target.url + _TASK)).raise_for_status().content)

        async def page() -> None:
            _check_page((await client.get(target.url + _PAGE, params=QUERY)).raise_for_status().content)

        async def create() -> None:
            _check_new((await client.post(target.url + _TASKS, json=NEW_TASK)).raise_for_status().content)

        yield Calls(get=get, page=page, create=create)


@asynccontextmanager
async def aiohttp_client(target: Target) -> AsyncGenerator[Calls[Awaitable[object]], None]:
    """Call with an ``aiohttp.ClientSession`` and decode the JSON, which builds no models."""
    aiohttp = peer("aiohttp")
    connector = aiohttp.TCPConnector(limit=target.connections or 100, ssl=target.context or True)
    limit = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS, timeout=limit) as session:

        async def get() -> None:
            async with session.get(target.url + _TASK, raise_for_status=True) as response:
                _check_task(await response.read())

        async def page() -> None:
            async with session.get(target.url + _PAGE, params=QUERY, raise_for_status=True) as response:
                _check_page(await response.read())

        async def create() -> None:
            async with session.post(target.url + _TASKS, json=NEW_TASK, raise_for_status=True) as response:
                _check_new(await response.read())

        yield Calls(get=get, page=page, create=create)


@contextmanager
def requests_session(target: Target) -> Generator[Calls[object]]:
    """Call with a ``requests.Session`` that all threads share, and decode the JSON."""
    requests = peer("requests")
    with requests.Session() as session:
        _prepare(session, target)
        session.headers.update(HEADERS)

        def get() -> None:
            _check_task(_good(session.get(target.url + _TASK, timeout=_SECONDS)))

        def page() -> None:
            _check_page(_good(session.get(target.url + _PAGE, params=QUERY, timeout=_SECONDS)))

        def create() -> None:
            _check_new(_good(session.post(target.url + _TASKS, json=NEW_TASK, timeout=_SECONDS)))

        yield Calls(get=get, page=page, create=create)


@contextmanager
def official(target: Target) -> Generator[Calls[object]]:
    """Call with the official SDK, one for all threads: its own methods and models."""
    sdk = peer("tallyfy").TallyfySDK(api_key=TOKEN, base_url=target.url)
    _prepare(sdk.session, target)

    def get() -> None:
        check(sdk.tasks.get_standalone_task(ORGANIZATION, TASK_ID).id, TASK_ID)

    def page() -> None:
        tasks = sdk.tasks.get_my_tasks(ORGANIZATION).data
        check((len(tasks), tasks[0].id), (PER_PAGE, TASK_ID))

    def create() -> None:
        task = sdk.tasks.create_task(ORGANIZATION, NEW_TASK["title"], NEW_TASK["deadline"], user_ids=[1001])
        check(task.title, NEW_TASK["title"])

    try:
        yield Calls(get=get, page=page, create=create)
    finally:
        sdk.session.close()


def _prepare(session: Any, target: Target) -> None:
    session.trust_env = False
    if target.ca:
        session.verify = target.ca
    if target.connections:
        adapter = peer("requests.adapters").HTTPAdapter(pool_connections=1, pool_maxsize=target.connections)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)


def _good(response: Any) -> bytes:
    response.raise_for_status()
    content: bytes = response.content
    return content


ASYNC_SIDES: dict[str, AsyncSide] = {"tallyfy_async": ours, "httpx": httpx_client, "aiohttp": aiohttp_client}
THREAD_SIDES: dict[str, ThreadSide] = {"requests": requests_session, "tallyfy": official}
NAMES = {
    "httpx": "stock httpx",
    "aiohttp": "aiohttp",
    "requests": "requests",
    "tallyfy": "the official SDK",
}
