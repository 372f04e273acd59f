"""The service under load: hundreds of browsers at once, many of which leave in the middle. Nothing leaks or is lost.

It takes 30 seconds, or as many as TALLYFY_LOAD_SECONDS says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tallyfy_async import StaticToken, TallyfyClient
from tallyfy_async.sandbox import Sandbox, Settings
from tests.examples.browsers import Crowd
from tests.examples.rig import environment as environ
from tests.examples.rig import members

pytestmark = [pytest.mark.anyio, pytest.mark.once]

SECONDS = float(os.environ.get("TALLYFY_LOAD_SECONDS", "30"))
SIZES = {"templates": 6, "runs": 100, "tasks": 1500, "users": 40}


@pytest.fixture
def anyio_backend() -> str:
    """Return the browsers' event loop; the service has its own."""
    return "asyncio"


@contextmanager
def process(*command: str, log: Path, **environment: str) -> Iterator[str]:
    """Run a server that prints one line and ends when it is told to; its errors go to a file."""
    known = {name: value for name, value in environ().items() if not name.startswith("TALLYFY_")}
    with log.open("w") as errors:
        run = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**known, **environment},
        )
    assert run.stdout is not None
    try:
        yield run.stdout.readline()
    finally:
        run.terminate()
        try:
            run.wait(30)
        finally:
            run.kill()
            run.wait()
            run.stdout.close()
    assert run.returncode in {0, -15}, log.read_text()


async def read(url: str) -> Any:
    async with httpx.AsyncClient(timeout=60) as one:
        return (await one.get(url)).json()


async def settled(url: str, before: dict[str, Any]) -> dict[str, Any]:
    """Return the gauges once they are no higher than before, or after 20 seconds: cut calls need a moment to end."""
    now = before
    for _ in range(100):
        now = await read(f"{url}/gauges")
        webhooks = now["webhooks"]
        calm = not webhooks["queued"] and not webhooks["in_hand"]
        if calm and all(now[name] <= before[name] for name in ("tasks", "descriptors", "busy", "taken")):
            break
        await anyio.sleep(0.2)
    return now


async def posted(control: str) -> list[dict[str, Any]]:
    """Return the webhooks of a sandbox once none is on its way."""
    for _ in range(300):
        found = await read(f"{control}/webhooks")
        if not found["pending"]:
            deliveries: list[dict[str, Any]] = found["deliveries"]
            return deliveries
        await anyio.sleep(0.1)
    raise TimeoutError


@pytest.mark.parametrize(
    ("loop", "browsers", "seconds"), [("asyncio", 300, SECONDS), ("uvloop", 100, min(SECONDS, 2.0))]
)
async def test_the_service_under_load(loop: str, browsers: int, seconds: float, tmp_path: Path) -> None:
    people = [member.user.email for member in members(Sandbox(Settings(**SIZES)))]  # a seed makes the same ones
    assert len(people) > 20
    sizes = [word for name, size in SIZES.items() for word in (f"--{name}", str(size))]
    log = tmp_path / "service.log"
    with process("tallyfy_async.sandbox", *sizes, log=tmp_path / "sandbox.log") as hello:
        known = json.loads(hello)
        environment = {
            "TALLYFY_BASE_URL": known["url"],
            "TALLYFY_ORGANIZATION": known["organization"],
            "TALLYFY_CLIENT_ID": known["client_id"],
            "TALLYFY_CLIENT_SECRET": known["client_secret"],
            "HOOK_SECRET": "open-sesame",
            "PATIENCE": "60",
        }
        control = known["url"].removesuffix("/api") + "/_sandbox"
        async with httpx.AsyncClient() as one:  # on a machine that does other things too
            (await one.post(f"{control}/settings", json={"webhook_timeout": 60})).raise_for_status()
        with process("tests.examples.gauged", loop, log=log, **environment) as said:
            url = said.strip()
            token = StaticToken(known["personal_token"])
            async with TallyfyClient(token, base_url=known["url"], organization=known["organization"]) as admin:
                org = admin.organization()
                async for template in org.templates.list():
                    await org.templates.update(template.id, webhook=f"{url}/hooks/open-sesame")
                before = await read(f"{url}/gauges")
                crowd = Crowd(url, people, seconds)
                await crowd.come(browsers)
                deliveries = await posted(control)
                after = await settled(url, before)
                done = {task.id async for task in org.tasks.list(status="complete", archived="true")}
        stats = await read(f"{control}/stats")
    sys.stdout.write(f"{loop}: {crowd.told()}\nbefore {before}\nafter {after}\n")

    assert crowd.statuses.keys() <= {200, 403, 422}, crowd.told()  # refused completions among them, nothing of ours
    assert not crowd.broken
    assert len(crowd.completed) >= 10
    assert crowd.left["GET"] >= 10
    assert crowd.left["POST"] >= 3
    assert crowd.most == browsers
    assert {name: after[name] for name in ("tasks", "descriptors", "busy", "taken") if after[name] > before[name]} == {}
    assert (after["busy"], after["taken"]) == (0, 0)
    assert crowd.completed <= done
    tokens = stats["user_token_requests"]
    assert tokens == {"ok": len(crowd.came)}, "a member's token is asked for once, whoever waits and leaves"
    heard = after["webhooks"]
    assert {one["outcome"] for one in deliveries} == {"sent"}
    assert heard["offered"] == stats["webhooks"]["sent"]
    assert sum(heard[name] for name in ("handled", "duplicates", "busy", "unmatched")) == heard["offered"]
    assert heard["handled"] > 0
    assert heard["dead_letters"] == 0
    assert log.read_text() == "", "the service complained"
