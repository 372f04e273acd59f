"""What the simulation takes from measurements: run ``python -m benchmarks capacity --measure`` and compare.

What a question takes is processor time of the server's thread, parsing and all, the least of many batches; what Redis
holds is what it says of a key; the page is exported from a sandbox in another process into SQLite; clients are opened
in a process of their own, and what its resident size grows by is theirs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from attrs import frozen

from benchmarks.capacity import published
from benchmarks.harness import in_fresh, line_of, memory, peer, running
from benchmarks.redis_server import redis_server
from tallyfy_async import ClientCredentials, TallyfyClient, export
from tallyfy_async.auth.stores.redis import RedisStore
from tallyfy_async.auth.stores.sealing import generate_key
from tallyfy_async.auth.token import Token
from tallyfy_async.fleet.decisions import Asked, asked
from tallyfy_async.fleet.limiter import PER_USER
from tallyfy_async.fleet.lines import interval_of
from tallyfy_async.fleet.scripts import ATTEND, DECIDE
from tallyfy_async.protocol.redaction import Secret

_BATCHES, _CALLS = 20, 500
_TASKS = 5_000
_MEMBERS = 1_000
_CLIENTS, _ORGANIZATIONS = 300, 10_000
_BUCKET = f"{{tallyfy_async:pace}}:user:{'0' * 64}"
_PREFIX = "tokens"
_LETTERS = 1_000
"""Letters of an access token, which is a JWT, and of a refresh token, which Laravel encrypts."""


@frozen(kw_only=True)
class Measured:
    """A figure, the one that the simulation takes, and the unit of both."""

    name: str
    figure: float
    taken: float
    unit: str


def measure() -> list[Measured]:
    """Measure everything."""
    return [*_redis(), _page(), *_clients()]


def _redis() -> Iterator[Measured]:
    with redis_server() as url, peer("redis").Redis.from_url(url) as client:
        members = [f"member {number}" for number in range(_MEMBERS)]
        client.zadd("members", dict.fromkeys(members, 4e12))
        buckets = [Asked(name=_BUCKET, interval=interval_of(PER_USER, 0.5), burst=PER_USER.burst, spent=False)]
        keys, values = asked("members", buckets, 1, waited=False)
        decision = _least(client, DECIDE, keys, values)
        attendance = _least(client, ATTEND, ["members", "slots"], ["me", 10_000, 0, 0, 0, 0])
        bucket = client.memory_usage(_BUCKET)
        anyio.run(_store, url)
        (token,) = [client.memory_usage(key) for key in client.keys("*") if _PREFIX.encode() in key]
    line = Measured
    yield line(name="a decision", figure=1e6 * decision, taken=1e6 * published.REDIS_DECISION, unit="us of Redis")
    yield line(
        name=f"an attendance, {_MEMBERS:,} processes",
        figure=1e6 * attendance,
        taken=1e6 * published.REDIS_ATTENDANCE,
        unit="us of Redis",
    )
    yield line(name="a bucket", figure=bucket, taken=published.BUCKET_BYTES, unit="bytes")
    yield line(name="a token", figure=token, taken=published.TOKEN_BYTES, unit="bytes")


def _least(client: Any, script: str, keys: Sequence[str], values: Sequence[Any]) -> float:
    """Return the seconds that a question takes of the server's thread."""
    found: list[float] = []
    name = client.script_load(script)
    for _ in range(_BATCHES):
        before = _busy(client)
        with client.pipeline(transaction=False) as batch:
            for _ in range(_CALLS):
                batch.evalsha(name, len(keys), *keys, *values)
            batch.execute()
        found.append((_busy(client) - before) / _CALLS)
    return min(found)


def _busy(client: Any) -> float:
    """Return the seconds of processor time of the server's thread: what else runs on the machine does not count."""
    told = client.info("cpu")
    return float(told["used_cpu_user_main_thread"] + told["used_cpu_sys_main_thread"])


async def _store(url: str) -> None:
    token = Token(access_token=Secret("a" * _LETTERS), refresh_token=Secret("r" * _LETTERS), issued_at=0.0)
    async with RedisStore(url, keys=generate_key(), prefix=_PREFIX) as store:
        await store.save("line", token, expected=None)


def _page() -> Measured:
    """Return what a page of 100 tasks takes from the socket into SQLite."""
    with running("tallyfy_async.sandbox", "--tasks", str(_TASKS)) as process, TemporaryDirectory() as folder:
        told = json.loads(line_of(process))
        taken = [anyio.run(_export, told, str(Path(folder, f"{number}.db"))) for number in range(4)]
    figure = 1e3 * min(taken) * 100 / _TASKS
    return Measured(name="a page of tasks", figure=figure, taken=1e3 * published.PAGE_CPU, unit="ms of a processor")


async def _export(told: dict[str, str], file: str) -> float:
    async with TallyfyClient(told["personal_token"], base_url=told["url"]) as client:
        org = client.organization(told["organization"])
        await org.get()
        began = time.process_time()
        await export.to_sqlite(org, file, kinds="tasks")
        return time.process_time() - began


def _clients() -> Iterator[Measured]:
    each, further = in_fresh(held)
    yield Measured(name="a further client", figure=each, taken=published.CLIENT_BYTES, unit="bytes")
    name = "a further organization of a client"
    yield Measured(name=name, figure=further, taken=published.ORGANIZATION_BYTES, unit="bytes")


def held() -> tuple[float, float]:
    """Return the bytes that this process takes for a client, and for one of many organizations of a client."""
    return anyio.run(_held)


async def _held() -> tuple[float, float]:
    await _open(1)  # loads everything
    before = memory()
    clients = await _open(_CLIENTS)
    between = memory()
    grants = {f"{number:032x}": _grant(number) for number in range(_ORGANIZATIONS)}
    many = TallyfyClient("token", organizations=grants)
    tenants = [many.organization(name) for name in grants]
    after = memory()
    for client in (*clients, many):
        await client.aclose()
    return (between - before) / len(clients), (after - between) / len(tenants)


async def _open(number: int) -> list[TallyfyClient]:
    return [await TallyfyClient(_grant(each)).__aenter__() for each in range(number)]


def _grant(number: int) -> ClientCredentials:
    return ClientCredentials(client_id=str(number), client_secret=40 * "s")
