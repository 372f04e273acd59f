"""One POST to a receiver of webhooks: one attempt, one time limit for everything, no redirect followed."""

import contextlib
import io
import socket
import time
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

MOST = 64 * 1024
"""Bytes of an answer that are read; nobody looks at them."""
FAILURES = (OSError, ValueError, HTTPException)
"""What sending raises: no connection, no answer in time, no HTTP, an address that is none."""


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine's own."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def without_login(url: str) -> str:
    """Return an address for people to read: without user, password and query, which may be secrets."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "an address that is none"


class Exchange:
    """A POST that another thread may end: `send()` returns the status or raises one of FAILURES."""

    def __init__(self, url: str, headers: Mapping[str, str], body: bytes, limit: float) -> None:
        self._url, self._headers, self._body, self._limit = url, headers, body, limit
        self._connection: HTTPConnection | None = None
        self._aborted = False

    def send(self) -> int:
        """Send the body and read the answer, all of it within the limit of seconds."""
        until = time.monotonic() + self._limit
        parts = urlsplit(self._url)
        kinds = {"http": HTTPConnection, "https": HTTPSConnection}
        if parts.scheme not in kinds or not parts.hostname:
            raise ValueError("no http or https address")
        connection = self._connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=self._limit)
        try:
            connection.connect()
            if self._aborted:
                raise ConnectionAbortedError("aborted")
            connection.request("POST", _target(parts), self._body, {**_login(parts), **self._headers})
            return _status(connection.sock, until)
        finally:
            connection.close()

    def abort(self) -> None:
        """End it, from another thread."""
        self._aborted = True
        sock: socket.socket | None = getattr(self._connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _target(parts: SplitResult) -> str:
    """Return path and query; what may not stand in a request line is percent-encoded, the rest left as it is."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(target, safe="/?%:@!$&'()*+,;=~[]")


def _login(parts: SplitResult) -> dict[str, str]:
    """Return the header that an address with user and password asks for."""
    if parts.username is None:
        return {}
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + b64encode(words.encode()).decode()}


def _status(sock: socket.socket, until: float) -> int:
    # A response asks its socket for nothing but a file, and the file decides how long each read may take.
    with HTTPResponse(cast(socket.socket, _Paced(sock, until)), method="POST") as reply:
        reply.begin()
        reply.read(MOST)
        return reply.status


class _Paced(io.RawIOBase):
    """The receiving side of a socket until a moment of the monotonic clock."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        super().__init__()
        self._sock, self._until = sock, until

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the file that a response reads from."""
        del mode
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._sock.recv_into(buffer)
