"""aiohttp beneath the client (extra ``aiohttp``), for those who use it already."""

from __future__ import annotations

import ssl

import httpx

from tallyfy_async.errors import ConfigurationError
from tallyfy_async.transport.http import warn_unless_verifying


def aiohttp_transport(*, ssl_context: ssl.SSLContext | None = None) -> httpx.AsyncBaseTransport:
    """Return a transport over aiohttp's connections: ``TallyfyClient(auth, transport=aiohttp_transport())``.

    It belongs to the client that it is given to, which closes it. Proxies, cookies and redirects are none of its
    business, and nothing is sent a second time. ``ssl_context`` is for https; the shared verifying one if not given.
    aiohttp runs on asyncio only: under trio the first call raises ClientLoopError, before anything is sent.

    Raises ConfigurationError where aiohttp or httpx-aiohttp is missing (``pip install "tallyfy-async[aiohttp]"``).
    """
    try:
        from tallyfy_async.transport.aiohttp_session import AiohttpPool  # noqa: PLC0415 - belongs to the extra
    except ImportError:
        msg = 'aiohttp_transport needs aiohttp and httpx-aiohttp: pip install "tallyfy-async[aiohttp]"'
        raise ConfigurationError(msg) from None
    if ssl_context is not None:
        warn_unless_verifying(ssl_context)
    return AiohttpPool(ssl_context)
