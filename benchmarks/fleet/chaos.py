"""Chaos among workers: ``python -m benchmarks chaos`` exports while workers are killed, replies fail and tokens die.

Four processes of Dask export three organizations into NDJSON files. Every few seconds one of them is killed, as soon as
all are there; the server throttles, fails and cuts replies; tokens live for seconds; a Redis server shares the tokens
and the pace. In the end every task is there once, each life of a token was asked for once, and no user called more
often than the cap allows, which is what the pace of the export comes from.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio
from attrs import asdict, define, field, frozen

from benchmarks.fleet.realm import environment, grants, realm
from benchmarks.harness import RowError
from benchmarks.redis_server import redis_server
from tallyfy_async import RateLimit, RedisStore, RetryPolicy, TallyfyClient, TallyfyError, fleet, generate_key
from tallyfy_async.fleet import Access
from tallyfy_async.sandbox import Sandbox

_WINDOW = 60.0
_ATTEMPTS = 200
_LOADED = ["distributed.nanny", "tallyfy_async.fleet.stations", "httpx", "redis.asyncio", "cryptography.fernet"]
_RETRY = RetryPolicy(attempts=12, initial=0.05, maximum=1.0, budget=None)


@frozen(kw_only=True)
class Trial:
    """What is done to whom.

    Attributes:
        tasks: of all organizations together, at least.
        organizations: how many.
        page: tasks of a page.
        pages: pages of a unit; few, so that many units end between two kills.
        workers: processes.
        kill_every: seconds between two kills; longer where the killed one is not back by then.
        most_kills: kills in all.
        life: seconds that an access token lives.
        cap: calls that a user may make in a rolling minute.
        weather: the sandbox's profile of faults.
        latency: seconds of every reply.
        seed: decides who is killed.

    """

    tasks: int = 50_000
    organizations: int = 3
    page: int = 10
    pages: int = 4
    workers: int = 4
    kill_every: float = 5.0
    most_kills: int = 10_000
    life: float = 10.0
    cap: int = 600
    weather: str = "some"
    latency: float = 0.02
    seed: int = 1


@frozen(kw_only=True)
class Findings:
    """What happened.

    Attributes:
        seconds: how long it took, the start of the cluster apart.
        exports: how often ``fleet.export`` was called until one ended.
        errors: what the others ended with.
        kills: workers that were killed.
        kill_interval: seconds from one kill to the next, on average.
        expected: tasks that the server has.
        arrived: lines of tasks that were written.
        lost: tasks of the server that are not among them.
        doubles: lines too many.
        calls: calls of the API that the server received.
        busiest: calls of one user within one minute, at most.
        cap: what is allowed in a minute.
        faults: replies that were made to fail.
        token_requests: requests for a token that the server granted.
        lives: tokens with which a call was accepted.
        reuses: refresh tokens that came again after they were spent.

    """

    seconds: float
    exports: int
    errors: Mapping[str, int]
    kills: int
    kill_interval: float
    expected: int
    arrived: int
    lost: int
    doubles: int
    calls: int
    busiest: int
    cap: int
    faults: int
    token_requests: int
    lives: int
    reuses: int

    def problems(self) -> list[str]:
        """Return what is not as it should be."""
        wrong = {
            f"{self.lost} tasks are missing": self.lost,
            f"{self.doubles} tasks came twice": self.doubles,
            f"a user made {self.busiest} calls in a minute, the cap is {self.cap}": self.busiest > self.cap,
            f"nothing came near the cap: {self.busiest} of {self.cap} calls": (
                self.seconds > 2 * _WINDOW and self.busiest < 0.7 * self.cap
            ),
            f"{self.reuses} refresh tokens were sent again": self.reuses,
            # A worker that is killed between a request for a token and its first call leaves a life unused.
            f"{self.token_requests} tokens for {self.lives} lives": self.token_requests - self.lives > self.kills,
        }
        return [words for words, is_wrong in wrong.items() if is_wrong]


@define(eq=False)
class Watch:
    """An application in front of the sandbox's own, which notes when calls come, and whose."""

    app: Any
    times: defaultdict[str, list[float]] = field(factory=lambda: defaultdict[str, list[float]](list))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Note a call of the API, and hand it on."""
        if scope["type"] == "http" and "/organizations/" in scope["path"]:
            headers = dict(scope["headers"])
            self.times[headers.get(b"authorization", b"").decode().removeprefix("Bearer ")].append(time.monotonic())
        await self.app(scope, receive, send)

    def busiest(self, sandbox: Sandbox) -> int:
        """Return the calls of one user within one rolling minute, at most."""
        by_user: defaultdict[object, list[float]] = defaultdict(list)
        for token, times in self.times.items():
            found = sandbox.world.vault.access.get(token)
            by_user[found.user_id if found is not None else None].extend(times)
        return max((_most(sorted(times)) for times in by_user.values()), default=0)


def _most(times: Sequence[float]) -> int:
    most = begin = 0
    for end, moment in enumerate(times, 1):
        while moment - times[begin] >= _WINDOW:
            begin += 1
        most = max(most, end - begin)
    return most


@contextmanager
def quick_starts() -> Generator[None, None, None]:
    """Have workers start as copies of a process that has loaded all that they need."""
    import dask
    from distributed.utils import get_mp_context

    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload(_LOADED)
        yield


@cache
def token_keys() -> str:
    """Return the key of the token store: the process that workers are copied from keeps its first environment."""
    return generate_key()


def run(trial: Trial) -> Findings:
    """Do it; raise RowError where no Redis server can be started."""
    from distributed import Client, LocalCluster

    each = -(-trial.tasks // trial.organizations)
    sizes = {
        "templates": 1,
        "runs": 1,
        "tasks": each,
        "users": 4,
        "page_sizes": {"list_tasks": (trial.page, trial.page)},
    }
    sandbox = realm(trial.organizations, access_life=trial.life, latency=trial.latency, **sizes)
    sandbox.app = watch = Watch(sandbox.app)  # type: ignore[assignment]
    login = sandbox.credentials
    secrets = {
        "TALLYFY_TOKEN_KEYS": token_keys(),
        "TALLYFY_CLIENT_SECRET": login.client_secret,
        "TALLYFY_PASSWORD": login.password,
    }
    with (
        redis_server() as url,
        environment(secrets),
        quick_starts(),
        sandbox.serve(),
        sandbox.proxy() as proxy,
        LocalCluster(
            n_workers=trial.workers,
            threads_per_worker=4,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as dask,
        tempfile.TemporaryDirectory(prefix="tallyfy-chaos-") as folder,
    ):
        proxy.profile(trial.weather)  # type: ignore[arg-type]
        scene = Scene(trial, sandbox, proxy.url, url, cluster, dask, Path(folder) / "out")
        anyio.run(scene.play)
        return scene.findings(watch, proxy.struck)


@define(eq=False)
class Scene:
    """One trial under way."""

    trial: Trial
    sandbox: Sandbox
    base_url: str
    redis: str
    cluster: Any
    dask: Any
    out: Path
    kills: list[float] = field(factory=list[float], init=False)
    exports: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)
    errors: Counter[str] = field(factory=Counter[str], init=False)

    async def play(self) -> None:
        """Export until it is done, while workers die."""
        found = grants(self.sandbox)
        home = self.sandbox.credentials.organization
        began = time.monotonic()
        async with RedisStore(self.redis) as store:
            settings: dict[str, Any] = {"organization": home, "organizations": found, "token_store": store}
            async with TallyfyClient(found[home], base_url=self.base_url, retry=_RETRY, **settings) as tallyfy:
                cap = RateLimit(per_minute=self.trial.cap, burst=10)
                access = Access.of(tallyfy, store=self.redis, limiter=self.redis, per_user=cap)
                async with anyio.create_task_group() as group:
                    group.start_soon(self._kill)
                    await self._export([tallyfy.organization(one) for one in found], access)
                    group.cancel_scope.cancel()
        self.seconds = time.monotonic() - began

    async def _export(self, orgs: list[Any], access: Access) -> None:
        while True:
            self.exports += 1
            try:
                await fleet.export(
                    orgs,
                    to=fleet.NDJSON(self.out),
                    dask=self.dask,
                    access=access,
                    kinds=["tasks", "runs", "users"],
                    pages=self.trial.pages,
                )
            except TallyfyError as error:
                self.errors[type(error).__name__] += 1
                if self.exports >= _ATTEMPTS:
                    raise
                await anyio.sleep(0.2)
            else:
                return

    async def _kill(self) -> None:
        chance = random.Random(self.trial.seed)
        while len(self.kills) < self.trial.most_kills:
            await anyio.sleep(self.trial.kill_every)
            while len(pids := self._alive()) < self.trial.workers:  # or there would soon be none
                self.cluster.scale(self.trial.workers)  # in the place of those whose nanny gave up
                await anyio.sleep(0.1)
            os.kill(chance.choice(pids), signal.SIGKILL)
            self.kills.append(time.monotonic())

    def _alive(self) -> list[int]:
        """Return the processes that work: one that is killed while it starts is not started again by Dask's nanny."""
        known = set(self.cluster.scheduler.workers)
        nannies = [one for one in self.cluster.workers.values() if one.status.name == "running"]
        return [one.pid for one in nannies if one.pid and one.worker_address in known]

    def findings(self, watch: Watch, faults: int) -> Findings:
        """Return what happened."""
        stats = self.sandbox.stats
        arrived: list[str] = []
        expected: set[str] = set()
        for organization in self.sandbox.credentials.organizations:
            expected.update(self.sandbox.truth(organization)["tasks"])
            arrived.extend(_ids((self.out / organization / "tasks.ndjson").read_bytes().splitlines()))
        return Findings(
            seconds=self.seconds,
            exports=self.exports,
            errors=dict(self.errors),
            kills=len(self.kills),
            kill_interval=(self.kills[-1] - self.kills[0]) / (len(self.kills) - 1) if len(self.kills) > 1 else 0.0,
            expected=len(expected),
            arrived=len(arrived),
            lost=len(expected - set(arrived)),
            doubles=len(arrived) - len(set(arrived)),
            calls=sum(map(len, watch.times.values())),
            busiest=watch.busiest(self.sandbox),
            cap=self.trial.cap,
            faults=faults,
            token_requests=self.sandbox.token_lives,
            lives=self.sandbox.lives_used,
            reuses=stats.reuses,
        )


def _ids(lines: Iterable[bytes]) -> Iterable[str]:
    return (json.loads(line)["id"] for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a trial, print what happened as JSON, and return the exit status: 1 where something was not as it should."""
    parser = argparse.ArgumentParser("python -m benchmarks chaos", description=__doc__)
    for one in Trial.__attrs_attrs__:  # type: ignore[attr-defined]
        parser.add_argument(f"--{one.name.replace('_', '-')}", type=type(one.default), default=one.default)
    warnings.simplefilter("ignore")
    try:
        found = run(Trial(**vars(parser.parse_args(arguments))))
    except RowError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(found), indent=1))
    for problem in found.problems():
        print(problem, file=sys.stderr)
    return int(bool(found.problems()))


if __name__ == "__main__":
    raise SystemExit(main())
