"""The sandbox as a real server: uvicorn in a thread, on a socket without Nagle's delay."""

import contextlib
import socket
import threading
import time
from collections.abc import Generator

import uvicorn

from .app import Application

START_TIMEOUT = 10.0
STOP_TIMEOUT = 5.0


def listening_socket(host: str, port: int) -> socket.socket:
    """Open a listening TCP socket.

    The protocol is named: event loops switch Nagle's algorithm off only where it is IPPROTO_TCP, and a server with it
    answers 40 ms late.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def serving(app: Application, host: str, port: int) -> Generator[tuple[str, int], None, None]:
    """Serve an application in a daemon thread; yield the address. Raise RuntimeError when it does not come up."""
    listener = listening_socket(host, port)
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="tallyfy-sandbox", daemon=True)
    thread.start()
    try:
        _await_start(server, thread)
        address = listener.getsockname()
        yield str(address[0]), int(address[1])
    finally:
        server.should_exit = True
        thread.join(STOP_TIMEOUT)
        listener.close()


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the sandbox server did not start")
        time.sleep(0.002)
