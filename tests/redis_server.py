"""A real Redis or Valkey server in a subprocess, without persistence, which a test may stop, pause and start again."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from benchmarks.redis_server import find_binary, free_port, start, stop

PASSWORD = "p4ssw0rd-of-the-server"


class RedisServer:
    """A server on a loopback port of its own, with a password; what it held is gone when it stops."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._binary = find_binary()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it on the same port, unless it runs, and wait until it answers."""
        if self.running:
            return
        self._process = start(self._binary, self._folder, self.port, {"requirepass": PASSWORD})

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            stop(self._process)

    def pause(self) -> None:
        """Let it accept connections and commands, and answer none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def admin(self) -> Iterator[Redis]:
        """A plain client, to look behind the store and to meddle."""
        with Redis.from_url(self.url) as client:
            yield client


@contextmanager
def served_redis() -> Iterator[RedisServer]:
    """Start a server in a temporary folder; stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="tallyfy-redis-") as folder:
        server = RedisServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
