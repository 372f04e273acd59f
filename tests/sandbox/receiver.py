"""A receiver of webhooks on a socket of its own, and templates that name it."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from .conftest import Api


@frozen(kw_only=True)
class Post:
    path: str
    headers: dict[str, str]
    body: Any


class Receiver:
    """Keeps what is posted. `statuses` are given out one by one, then 200; it answers no faster than `gate` allows."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.posts: list[Post] = []
        self.statuses: list[int] = []
        self.location: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self._lock = threading.Lock()
        self._busy: dict[str, int] = {}
        self.most_at_once: dict[str, int] = {}

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        with self._lock:
            self._busy[path] = self._busy.get(path, 0) + 1
            self.most_at_once[path] = max(self._busy[path], self.most_at_once.get(path, 0))
        self.entered.set()
        self.gate.wait(60)
        with self._lock:
            self._busy[path] -= 1
            self.posts.append(Post(path=path, headers=headers, body=json.loads(body)))
            return self.statuses.pop(0) if self.statuses else 200

    @property
    def bodies(self) -> list[Any]:
        return [post.body for post in self.posts]

    @property
    def kinds(self) -> list[str]:
        return [kind(post.body) for post in self.posts]


def kind(body: Any) -> str:
    """Tell payloads apart by their shape, as receivers must."""
    if "event" in body:
        return str(body["event"])
    if "this_task" in body:
        return f"task {body['this_task']['title']}"
    return "launched" if body["completed_at"] is None else "completed"


@contextmanager
def receiving() -> Generator[Receiver, None, None]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.take(self.path, dict(self.headers.items()), body)
            self.send_response(status)
            if receiver.location is not None:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            del format, args

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.gate.set()
            server.shutdown()
            thread.join()


async def template(api: Api, *steps: str, **body: Any) -> Any:
    """Make a template of steps without fields; return its record."""
    made = await api.call("POST", "{org}/checklists", json={"title": "Hooked", "type": "procedure"} | body)
    assert made.status_code == 201, made.text
    path = f"{{org}}/checklists/{made.json()['data']['id']}"
    for title in steps:
        reply = await api.call("POST", f"{path}/steps", json={"title": title})
        assert reply.status_code == 201, reply.text
    return api.tenant.checklists[made.json()["data"]["id"]]


async def complete(api: Api, run: dict[str, Any], title: str, status: int = 200, **body: Any) -> Any:
    task = next(t for t in api.tenant.tasks_of(api.tenant.runs[run["id"]]) if t.title == title)
    reply = await api.call("POST", f"{{org}}/runs/{run['id']}/completed-tasks", json={"task_id": task.id} | body)
    assert reply.status_code == status, reply.text
    return task


async def reopen(api: Api, task: Any) -> None:
    reply = await api.call("DELETE", f"{{org}}/runs/{task.run_id}/completed-tasks/{task.id}")
    assert reply.status_code == 200, reply.text
