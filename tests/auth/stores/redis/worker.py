"""A process that shares a Redis store: for every line on standard input it makes one call, and tells how it went."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import anyio

from tallyfy_async import PasswordGrant, RefreshToken, TallyfyClient, TallyfyError, Token
from tallyfy_async.auth.stores.redis import RedisStore


class MortalStore(RedisStore):
    """A store whose process dies when it is about to write a generation."""

    dies_at: int | None = None

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        if token.generation == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().save(key, token, expected=expected)


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def call(client: TallyfyClient) -> dict[str, Any]:
    told: dict[str, Any] = {}
    try:
        told["status"] = (await client.request("GET", "/me")).status
        told["generation"] = (await client.tokens.get()).generation
    except TallyfyError as error:
        told["error"] = type(error).__name__
    statistics = client.tokens.statistics
    return {**told, "requests": statistics.requests, "adopted": statistics.adopted}


async def main(job: dict[str, Any]) -> None:
    async with MortalStore(job["redis"], keys=job["keys"]) as store:
        store._lease, store.dies_at = job["lease"], job["dies_at"]
        await store.load("nothing")  # connects, so that all start at the same moment
        auth = (PasswordGrant if "password" in job["grant"] else RefreshToken)(**job["grant"])
        async with TallyfyClient(auth, base_url=job["base_url"], token_store=store) as client:
            tell("ready")
            while await anyio.to_thread.run_sync(sys.stdin.readline):
                tell(json.dumps(await call(client)))


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]))
