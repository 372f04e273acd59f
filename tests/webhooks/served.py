"""An ASGI application behind a real socket: uvicorn in a thread, with its lifespan."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tallyfy_async.sandbox.server import listening_socket


@contextmanager
def served(app: Any) -> Generator[str]:
    """Serve until the block ends; give the URL. Leaving waits for the application's shutdown."""
    listener = listening_socket("127.0.0.1", 0)
    config = uvicorn.Config(app, lifespan="on", ws="none", log_config=None, log_level="critical", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.002)
        assert server.started
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
    assert not thread.is_alive()
