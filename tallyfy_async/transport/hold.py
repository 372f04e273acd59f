"""What httpx's own pools lack to survive cancellation; they serve behind proxies, and where a client is brought."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import httpcore
import httpx

from tallyfy_async.transport.sockets import SocketBackend


def keep_hold(client: httpx.AsyncClient) -> None:
    """Give httpx's own pools the sockets of ours, and let them give half-made tunnels up.

    httpcore 1.0.9 forgets a connection, and its slot in the pool for good, where a request is cancelled between the end
    of connecting and its first step, and leaves the descriptor open where a TLS handshake is cancelled. Our sockets let
    a cancellation strike before they are handed over, and are closed then. httpx has no seam for this, so it reaches
    into its transports; what is none of httpx's, and a pool with a network of its own, is left alone.
    """
    for transport in (vars(client).get("_transport"), *vars(client).get("_mounts", {}).values()):
        pool = vars(transport).get("_pool") if isinstance(transport, httpx.AsyncHTTPTransport) else None
        if isinstance(pool, httpcore.AsyncConnectionPool) and _has_usual_network(vars(pool)):
            vars(pool)["_network_backend"] = SocketBackend()
            if isinstance(pool, httpcore.AsyncHTTPProxy):
                vars(pool)["create_connection"] = partial(_connection_of, pool.create_connection)


def _has_usual_network(pool: dict[str, Any]) -> bool:
    return pool.get("_uds") is None and type(pool.get("_network_backend")).__name__ == "AutoBackend"


def _connection_of(
    create: Callable[[httpcore.Origin], httpcore.AsyncConnectionInterface], origin: httpcore.Origin
) -> httpcore.AsyncConnectionInterface:
    """Return a connection through the proxy that is closed where its tunnel does not come about.

    httpcore 1.0.9 counts one whose request was cancelled before the end of the TLS handshake as busy for ever.
    """
    connection = create(origin)
    if "_connected" in vars(connection):
        send = partial(_send_or_close, connection, connection.handle_async_request)
        vars(connection)["handle_async_request"] = send
    return connection


async def _send_or_close(
    connection: httpcore.AsyncConnectionInterface,
    send: Callable[[httpcore.Request], Awaitable[httpcore.Response]],
    request: httpcore.Request,
) -> httpcore.Response:
    try:
        return await send(request)
    except BaseException:
        if not vars(connection)["_connected"]:
            with anyio.CancelScope(shield=True):
                await connection.aclose()
            vars(connection)["is_closed"] = _yes  # one that had not begun to connect would not say so
        raise


def _yes() -> bool:
    return True
