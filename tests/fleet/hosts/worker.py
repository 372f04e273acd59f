"""A process on a host: for every line on standard input it makes calls at once, and tells how they went."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import anyio

from tallyfy_async import PasswordGrant, RedisStore, RequestOptions, TallyfyClient, TallyfyError


def tell(what: Any) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


async def calls(client: TallyfyClient, count: int, deadline: float) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()

    async def call() -> None:
        try:
            reply = await client.request("GET", "/me", options=RequestOptions(deadline=deadline))
            outcomes[str(reply.status)] += 1
        except TallyfyError as error:
            outcomes[type(error).__name__] += 1

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(call)
    token = client.tokens.peek()
    return {"outcomes": outcomes, "generation": None if token is None else token.generation}


async def main(job: dict[str, Any]) -> None:
    async with RedisStore(job["redis"], keys=job["keys"]) as store:
        store._lease = job["lease"]
        await store.load("nothing")  # connects
        auth = PasswordGrant(**job["grant"])
        settings: Any = {"base_url": job["base_url"], "token_store": store, "timeout": 3, "allow_insecure_http": True}
        async with TallyfyClient(auth, **settings) as client:
            tell("ready")
            while line := await anyio.to_thread.run_sync(sys.stdin.readline):
                tell(await calls(client, **json.loads(line)))


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]))
