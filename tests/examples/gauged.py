"""The service of the example in a process of its own: ``python -m tests.examples.gauged LOOP`` prints its URL.

``GET /gauges`` tells what is open in it: running tasks, descriptors, connections and slots in use, and what became of
the webhooks.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import uvicorn
from attrs import asdict
from fastapi import FastAPI, Request

from benchmarks.soak.gauges import Gauges
from tallyfy_async.sandbox.server import listening_socket
from tests.examples.rig import example
from tests.helpers import pool_of


async def gauges(request: Request) -> dict[str, Any]:
    """Read this process. Connections that idle in the pool are kept on purpose: they are no leak."""
    state = request.app.state
    known = Gauges.read(state.tallyfy)
    kept = pool_of(state.tallyfy).idle
    open_now = {**asdict(known), "descriptors": known.descriptors - known.busy - kept}
    return {**open_now, "webhooks": asdict(state.dispatcher.statistics)}


def served(loop: Any) -> None:
    """Serve on a free port until the process is told to end."""
    with example("fastapi_service/service.py") as service:
        app: FastAPI = service.create_app()
        app.get("/gauges")(gauges)
        listener = listening_socket("127.0.0.1", 0)
        config = uvicorn.Config(app, loop=loop, lifespan="on", ws="none", log_config=None, access_log=False)
        sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")  # whoever connects waits in the backlog
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    served(sys.argv[1])
