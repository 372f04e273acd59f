"""Four processes that share a pace, two of which are killed; what the sandbox heard of them.

TALLYFY_FLEET_SECONDS says for how long they call before that, 1.5 if not set. With 130 the sandbox's own limit of a
rolling minute is met twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tallyfy_async.sandbox import Sandbox, Settings
from tests.fleet.limiter.rig import most_within
from tests.redis_server import RedisServer

SECONDS = float(os.environ.get("TALLYFY_FLEET_SECONDS", "1.5"))
PER_MINUTE, BURST, AT_ONCE, LEASE = 2400, 4, 12, 4.0
WORKER = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).parents[3]


class Worker:
    def __init__(self, job: dict[str, Any]) -> None:
        command = [sys.executable, str(WORKER), json.dumps(job)]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, **pipes, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def say(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go on\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def working(job: dict[str, Any], count: int) -> Generator[list[Worker], None, None]:
    workers = [Worker(job) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.communicate()


def members(server: RedisServer) -> int:
    """Count the processes that hold slots of the fleet, or may."""
    with server.admin() as admin:
        return len(admin.hgetall("{tallyfy_async:pace}:slots"))


@pytest.mark.once
def test_processes_never_exceed_the_cap_and_those_that_are_killed_free_their_slots(server: RedisServer) -> None:
    sizes = {"templates": 1, "runs": 1, "tasks": 1, "users": 1, "latency": 0.1}
    sandbox = Sandbox(Settings(**sizes, rate_limit_per_minute=PER_MINUTE))
    with sandbox.serve():
        job = {"redis": server.url, "base_url": sandbox.url, "token": sandbox.credentials.personal_token}
        settings = {"per_minute": PER_MINUTE, "burst": BURST, "at_once": AT_ONCE, "lease": LEASE}
        with working({**job, **settings}, 4) as workers:
            assert [worker.hear() for worker in workers] == ["ready"] * 4
            for worker in workers:
                worker.say()
            time.sleep(SECONDS)
            for worker in workers[:2]:
                worker.process.kill()
            before = sandbox.stats.requests
            ends = time.monotonic() + 30
            while members(server) > 2 and time.monotonic() < ends:
                time.sleep(0.05)
            assert members(server) == 2
            free, began = sandbox.stats.requests, time.monotonic()
            time.sleep(1)
            rate = (sandbox.stats.requests - free) / (time.monotonic() - began)
            for worker in workers[2:]:
                worker.say()
            calls = [int(worker.hear()) for worker in workers[2:]]
        (heard,) = sandbox._backend.recent.values()
    per_second = (PER_MINUTE - BURST) / (60 + 2 * 1.0)
    for window in (0.5, 1.0, 2.0, 4.0):
        assert most_within(list(heard), window) <= BURST + (window + 2 * 1.0) * per_second
    assert sandbox.stats.by_status[429] == 0
    assert sandbox.stats.max_concurrency <= AT_ONCE
    assert free > before
    assert rate > 0.4 * per_second  # two thirds of the slots are enough for all of it
    assert min(calls) > 0.5 * max(calls)
    tell = {window: most_within(list(heard), window) for window in (0.5, 1.0, 60.0)}
    print(f"most calls in so many seconds: {tell}, rate {rate:.1f} of {per_second:.1f}, calls {calls}")  # noqa: T201
