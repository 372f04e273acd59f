"""Sockets of anyio in the form that httpcore asks for, for asyncio and trio.

httpcore has such a class itself. Ours sets no timer where no time is given, looks at a socket without collecting all
that is known of it, and does not forget a socket when a cancellation strikes at the end of connecting.
"""

from __future__ import annotations

import select
import ssl
from collections.abc import Iterable
from typing import Any

import anyio
import httpcore
from anyio.abc import ByteStream, SocketAttribute
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.streams.tls import TLSAttribute, TLSStream

from tallyfy_async.transport.duplex import DuplexStream

_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class SocketStream(httpcore.AsyncNetworkStream):
    """A TCP or TLS connection."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._socket = stream.extra(SocketAttribute.raw_socket)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's name
        """Return what has come, at most so many bytes; nothing at the end."""
        try:
            if timeout is None:
                return await self._stream.receive(max_bytes)
            with anyio.fail_after(timeout):
                return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except _BROKEN as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write all of it."""
        if not buffer:
            return
        try:
            if timeout is None:
                await self._stream.send(buffer)
                return
            with anyio.fail_after(timeout):
                await self._stream.send(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except _BROKEN as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Return the stream with TLS; the connection is closed where the handshake does not end well."""
        try:
            with anyio.fail_after(timeout):
                stream = await TLSStream.wrap(
                    self._stream, hostname=server_hostname, ssl_context=ssl_context, standard_compatible=False
                )
            await checkpoint_if_cancelled()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout(str(error)) from error
            if isinstance(error, (*_BROKEN, anyio.EndOfStream, ssl.SSLError)):
                raise httpcore.ConnectError(str(error)) from error
            raise
        return SocketStream(stream)

    def get_extra_info(self, info: str) -> Any:
        """Return a detail of the connection by httpcore's name for it, None for one that is not known."""
        match info:
            case "is_readable":
                return _is_readable(self._socket.fileno())
            case "ssl_object":
                return self._stream.extra(TLSAttribute.ssl_object, None)
            case "socket":
                return self._socket
            case _:
                return None


def _is_readable(descriptor: int) -> bool:
    """Whether there is something to read, be it the end; so it is with a socket that is closed."""
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


class SocketBackend(httpcore.AsyncNetworkBackend):
    """Makes connections that are heard while they are written to, and closed where a cancellation strikes."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; raise ConnectError or ConnectTimeout."""
        try:
            with anyio.fail_after(timeout):
                stream = SocketStream(await anyio.connect_tcp(host, port, local_host=local_address))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, anyio.BrokenResourceError) as error:
            raise httpcore.ConnectError(str(error)) from error
        try:
            for option in socket_options or ():
                stream.get_extra_info("socket").setsockopt(*option)
            await checkpoint_if_cancelled()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            if isinstance(error, OSError):
                raise httpcore.ConnectError(str(error)) from error
            raise
        return DuplexStream(stream)

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds."""
        await anyio.sleep(seconds)
