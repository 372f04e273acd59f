"""What is common to all that send commands to a Redis server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tallyfy_async.auth.stores.redis_commands import RedisCommands, Trouble
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import SystemClock
from tests.redis_server import RedisServer, served_redis

pytestmark = [pytest.mark.anyio, pytest.mark.once]


def commands(url: str) -> RedisCommands:
    return RedisCommands(Secret(url), SystemClock())


async def test_more_commands_than_connections_wait_for_each_other(server: RedisServer) -> None:
    told = commands(f"{server.url}?max_connections=2")
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await told.answer(lambda: told.client.blpop("nothing", 0.01)))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(ask)
    await told.aclose()
    assert answers == [None] * 6


async def test_closing_waits_for_commands_so_that_none_opens_a_connection_afterwards(server: RedisServer) -> None:
    told = commands(server.url)
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await told.answer(lambda: told.client.blpop("nothing", 0.2)))

    with server.admin() as admin:
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while len(admin.client_list()) < 2:  # noqa: ASYNC110 - the server cannot tell
                await anyio.sleep(0.005)
            await told.aclose()
        assert answers == [None]
        assert len(admin.client_list()) == 1


@asynccontextmanager
async def address(ports: list[int]) -> AsyncGenerator[int, None]:
    """An address that leads a new connection to the first of the ports, as a name does that moves at a failover."""

    async def copy(source: SocketStream, target: SocketStream) -> None:
        try:
            async for piece in source:
                await target.send(piece)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            await target.aclose()

    async def serve(near: SocketStream) -> None:
        async with await anyio.connect_tcp("127.0.0.1", ports[0]) as far, anyio.create_task_group() as both:
            both.start_soon(copy, near, far)
            both.start_soon(copy, far, near)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def test_a_server_that_became_a_replica_is_left_for_the_one_that_its_address_leads_to_now(
    server: RedisServer,
) -> None:
    with served_redis() as other, server.admin() as admin:
        ports = [server.port]
        async with address(ports) as port:
            told = commands(server.url.replace(str(server.port), str(port)))
            assert await told.answer(lambda: told.client.set("key", "value")) is True
            admin.replicaof("127.0.0.1", 1)
            try:
                ports[0] = other.port
                refused = await told.answer(lambda: told.client.set("key", "value"))
                assert isinstance(refused, Trouble)
                assert refused.down
                assert await told.answer(lambda: told.client.set("key", "value")) is True
            finally:
                admin.replicaof("NO", "ONE")
            await told.aclose()
