"""A process of a fleet: from the first line on standard input to the second it calls as often as it may."""

from __future__ import annotations

import json
import sys
from typing import Any

import anyio

from tallyfy_async import RateLimit, TallyfyClient
from tallyfy_async.fleet import RedisLimiter


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(job: dict[str, Any]) -> None:
    calls = 0
    rate = RateLimit(per_minute=job["per_minute"], burst=job["burst"])
    limiter = RedisLimiter(job["redis"], per_user=rate, at_once=job["at_once"], lease=job["lease"], patience=1.0)
    async with limiter, TallyfyClient(job["token"], base_url=job["base_url"], limiter=limiter) as client:

        async def work() -> None:
            nonlocal calls
            while True:
                await client.request("GET", "/me")
                calls += 1

        tell("ready")
        await anyio.to_thread.run_sync(sys.stdin.readline)
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(work)
            await anyio.to_thread.run_sync(sys.stdin.readline)
            group.cancel_scope.cancel()
    tell(json.dumps(calls))


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]))
