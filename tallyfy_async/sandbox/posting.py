"""One POST to a receiver of webhooks: one attempt, one time limit for everything, no redirect followed."""

import contextlib
import io
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPResponse
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

MOST = 64 * 1024
"""Bytes of an answer that are read; nobody looks at them."""
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("127.0.0.1", "::1")


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine's own."""
    try:
        host = urlsplit(url).hostname or ""
        return _is_localhost(host) or ip_address(host.rstrip(".")).is_loopback
    except ValueError:
        return False


def _is_localhost(host: str) -> bool:
    host = host.rstrip(".")
    return host == "localhost" or host.endswith(".localhost")


def without_login(url: str) -> str:
    """Return an address for people to read: without user, password and query, which may be secrets."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "an address that is none"


class Exchange:
    """A POST that another thread may end: `send()` returns the status, or raises whatever went wrong."""

    def __init__(self, url: str, headers: Mapping[str, str], body: bytes, limit: float) -> None:
        self._url, self._headers, self._body, self._limit = url, headers, body, limit
        self._sock: socket.socket | None = None
        self._aborted = False

    def send(self) -> int:
        """Connect, send the body and read the answer, all of it within the limit of seconds.

        Only looking up a name other than that of this machine is the resolver's own affair.
        """
        until = time.monotonic() + self._limit
        parts = urlsplit(self._url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("no http or https address")
        usual = _PORTS[parts.scheme]
        connection = HTTPConnection(parts.hostname, usual if parts.port is None else parts.port)
        connection.default_port = usual  # it stays out of the header Host
        try:
            self._connect(connection.host, connection.port, until)
            if parts.scheme == "https":
                self._encrypt(connection.host, until)
            paced = _Paced(self._open(), until)
            connection.sock = cast(socket.socket, paced)
            connection.request("POST", _target(parts), self._body, {**_login(parts), **self._headers})
            return _status(paced)
        finally:
            if self._sock is not None:
                self._sock.close()

    def abort(self) -> None:
        """End it, from another thread."""
        self._aborted = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                # Not the method of an SSLSocket, which takes away what the other thread is using.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _connect(self, host: str, port: int, until: float) -> None:
        """Connect to the first address of a host that takes us; raise what the first one said where none does."""
        failures: list[OSError] = []
        for family, kind, protocol, _, address in _addresses(host, port):
            try:
                self._sock = socket.socket(family, kind, protocol)
                self._open().settimeout(_left(until))
                self._sock.connect(address)
            except OSError as error:
                failures.append(error)
                self._close()
            else:
                return
        raise failures[0] if failures else OSError("the host has no address")

    def _encrypt(self, host: str, until: float) -> None:
        context = ssl.create_default_context()
        self._sock = tls = context.wrap_socket(self._open(), server_hostname=host, do_handshake_on_connect=False)
        self._open().settimeout(_left(until))
        tls.do_handshake()

    def _open(self) -> socket.socket:
        """Return the socket; whoever aborts finds it, or is found here."""
        if self._aborted or self._sock is None:
            raise ConnectionAbortedError("aborted")
        return self._sock

    def _close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


_Address = tuple[int, int, int, str, Any]


def _addresses(host: str, port: int) -> list[_Address]:
    """Look up a host. Names of this machine are not looked up: a resolver may know others of them."""
    hosts = _LOOPBACK if _is_localhost(host) else (host,)
    return [found for one in hosts for found in socket.getaddrinfo(one, port, type=socket.SOCK_STREAM)]


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


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


def _status(sock: "_Paced") -> int:
    # A response asks its socket for nothing but a file.
    with HTTPResponse(cast(socket.socket, sock), method="POST") as reply:
        reply.begin()
        reply.read(MOST)
        return reply.status


class _Paced(io.RawIOBase):
    """A socket until a moment of the monotonic clock: as much of it as http.client asks for."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        super().__init__()
        self._sock, self._until = sock, until

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(_left(self._until))
            rest = rest[self._sock.send(rest[:MOST]) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the file that a response reads from."""
        del mode
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._sock.settimeout(_left(self._until))
        return self._sock.recv_into(buffer)
