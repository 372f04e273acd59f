"""How long a webhook's sender waits for the answer under load: our receiver against a bare Starlette route.

16 connections post one completed task after another, each another one, 1,600 a round; the 99th percentile of the
answers counts, and the median is shown. Ours checks the sender, reads the event into its models, queues it, and has a
handler called for it in the same process meanwhile; the bare route decodes the JSON and answers. The row fails unless
every delivery was answered with 200 and handled.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import quantiles
from urllib.parse import urlsplit
from urllib.request import urlopen

from benchmarks.harness import Goal, Line, RowError, alternate, line_of, running

ORGANIZATION = "f1e2d3c4b5a697887766554433221100"
CONNECTIONS = 16
EACH = 100
_PATIENCE = 10.0
_MORE = 4
"""A round is over in a quarter of a second, and one pause of the machine is a percentile of it."""
_NUMBERS = itertools.count()


def delivery(number: int) -> bytes:
    """Return the request of one delivery: a task completed in a run of ten."""
    fields = {f"field-{at}": f"value {at}" for at in range(10)}
    captures = {f"{at:032x}": {"alias": f"field-{at}", "label": "Field", "value": "value"} for at in range(5)}
    person = {"id": 1001, "email": "ada@example.com", "full_name": "Ada Lovelace"}
    task = {"id": f"{number:032x}", "title": "Review", "alias": "review", "status": "completed", "position": 3}
    body = json.dumps(
        {
            "this_task": {
                **task,
                "completed_at": "2026-03-01T10:00:00Z",
                "completed_by": person,
                "owners": {"users": [person], "guests": []},
                "captures": captures,
                "assets": [],
            },
            "launcher": person,
            "completer": person,
            "process-tasks": {f"task-{at}": f"{at:032x}" for at in range(10)},
            "form-fields": fields,
            "template": {"id": "a" * 32, "title": "Template", "alias": None, "summary": None},
            "process": {"id": "b" * 32, "organization_id": ORGANIZATION, "name": "Run", "progress": 30, "tags": []},
            "guest-links": [],
            "next_task": {**task, "id": "c" * 32, "status": "not-started", "captures": {}},
        }
    ).encode()
    head = (
        f"POST /hooks/ HTTP/1.1\r\nHost: hooks\r\nX-Tallyfy-orgID: {ORGANIZATION}\r\nContent-Type: application/json\r\n"
    )
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _post(host: str, port: int, deliveries: list[bytes], waits: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for one in deliveries:
            started = time.perf_counter()
            writer.write(one)
            head = await reader.readuntil(b"\r\n\r\n")
            waits.append(time.perf_counter() - started)
            if not head.startswith(b"HTTP/1.1 200 "):
                msg = f"a delivery was answered {head[:40]!r}"
                raise RowError(msg)
            await reader.readexactly(len(b"accepted\n"))
    finally:
        writer.close()
        await writer.wait_closed()


async def _load(url: str) -> list[float]:
    place = urlsplit(url)
    waits: list[float] = []
    batches = [[delivery(next(_NUMBERS)) for _ in range(EACH)] for _ in range(CONNECTIONS)]
    await asyncio.gather(*(_post(str(place.hostname), place.port or 0, batch, waits) for batch in batches))
    return waits


class Side:
    """A receiver in a process of its own."""

    def __init__(self, url: str) -> None:
        self._url, self._sent = url, 0

    def __call__(self) -> tuple[float, float]:
        """Load it; return the 99th percentile and the median of the answers in milliseconds."""
        waits = asyncio.run(_load(self._url))
        self._sent += len(waits)
        self._check_counted()
        cuts = quantiles(waits, n=100)
        return cuts[98] * 1_000, cuts[49] * 1_000

    def _check_counted(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while (counted := int(urlopen(f"{self._url}/counted", timeout=_PATIENCE).read())) != self._sent:
            if time.monotonic() > deadline:
                msg = f"{counted} of {self._sent} deliveries were handled"
                raise RowError(msg)
            time.sleep(0.01)


def measure(rounds: int) -> Iterator[Line]:
    """Measure both sides in alternation."""
    with ExitStack() as stack:
        sides = [Side(line_of(stack.enter_context(running("benchmarks.receivers", side)))) for side in ("ours", "bare")]
        ours, bare = alternate(_MORE * rounds, *sides)
    case = f"{CONNECTIONS} connections, against a bare Starlette route"
    for at, (what, goal) in enumerate({"p99": Goal(2.0), "median": None}.items()):
        mine, peers = tuple(one[at] for one in ours), tuple(one[at] for one in bare)
        yield Line(row="webhook", case=f"{case}: {what} answer", unit="ms", ours=mine, peer=peers, goal=goal)
