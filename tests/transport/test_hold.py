"""httpx's own pools, with what they need to survive cancellation."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import httpcore
import httpx
import pytest

from tallyfy_async import TallyfyClient
from tallyfy_async.transport.hold import keep_hold
from tallyfy_async.transport.http import asgi_transport
from tallyfy_async.transport.sockets import SocketBackend
from tests.helpers import http_of
from tests.transport.forward_proxy import forward_proxy

pytestmark = pytest.mark.anyio


def pool_in(transport: Any) -> Any:
    return transport._pool


async def test_a_client_and_a_transport_that_are_brought_make_connections_of_ours() -> None:
    given = httpx.AsyncClient(trust_env=False, proxy="http://127.0.0.1:1")
    async with given, TallyfyClient("abc", http_client=given) as client:
        assert http_of(client) is given
        for transport in (given._transport, *given._mounts.values()):
            assert isinstance(pool_in(transport)._network_backend, SocketBackend)
    brought = httpx.AsyncHTTPTransport(trust_env=False)
    async with TallyfyClient("abc", transport=brought):
        assert isinstance(pool_in(brought)._network_backend, SocketBackend)


async def test_networks_of_others_are_left_alone() -> None:
    own_network = httpx.AsyncHTTPTransport(trust_env=False)
    network = pool_in(own_network)._network_backend = httpcore.AsyncMockBackend([])
    by_socket_file = httpx.AsyncHTTPTransport(trust_env=False, uds="/nowhere")
    usual = pool_in(by_socket_file)._network_backend
    for transport in (own_network, by_socket_file, asgi_transport(None)):
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            keep_hold(client)
    assert pool_in(own_network)._network_backend is network
    assert pool_in(by_socket_file)._network_backend is usual


async def test_a_tunnel_that_was_cut_while_it_was_made_is_given_up() -> None:
    with socket.socket() as silent, forward_proxy() as proxy:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/api"  # nobody answers the TLS handshake
        async with TallyfyClient("abc", base_url=url, proxy=proxy.url) as client:
            pool = pool_in(next(iter(http_of(client)._mounts.values())))
            for count in (1, 2, 3):
                with anyio.fail_after(20) as scope:
                    async with anyio.create_task_group() as group:
                        group.start_soon(client.me.get)
                        while proxy.tunnels < count:  # noqa: ASYNC110 - the proxy is in a thread
                            await anyio.sleep(0.002)
                        scope.cancel()
                assert pool.connections == []
