"""Clients over aiohttp, and what they are sent against."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any

import h11
import trustme

from tallyfy_async import TallyfyClient, Timeouts, aiohttp_transport
from tallyfy_async.protocol.origin import origin_of
from tallyfy_async.sandbox import Sandbox
from tallyfy_async.transport.clock import Clock, SystemClock
from tallyfy_async.transport.exchange import Request
from tallyfy_async.transport.http import HTTPTransport, build_client
from tests.helpers import connect
from tests.transport.peer import Peer

AUTHORITY = trustme.CA()
LARGE = os.urandom(3_000_000)


def over_aiohttp(server: Sandbox, **settings: Any) -> TallyfyClient:
    return connect(server, **{"transport": aiohttp_transport(), **settings})


def exchanger(url: str, clock: Clock | None = None, tls: ssl.SSLContext | None = None) -> HTTPTransport:
    client = build_client(connections=2, transport=aiohttp_transport(ssl_context=tls))
    return HTTPTransport(client=client, clock=clock or SystemClock(), origins=(origin_of(url),))


def request_to(url: str, method: str = "POST", **settings: Any) -> Request:
    given = {"headers": (), "timeouts": Timeouts(attempt=20.0), "stall": 20.0, **settings}
    return Request(method=method, url=f"{url}/x", **given)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def echo(peer: Peer, head: h11.Request) -> None:
    await peer.answer(200, await peer.body())


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
