"""Clients in several processes on one Redis store, and what happens when processes, leases or the server end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tallyfy_async import (
    ReauthenticationRequiredError,
    RefreshToken,
    StoreError,
    StoreLockTimeoutError,
    TallyfyClient,
    Token,
)
from tallyfy_async.auth.stores import redis_commands
from tallyfy_async.auth.stores.redis import RedisStore
from tallyfy_async.sandbox import Fault, Sandbox
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.stores.redis.rig import KEYS, drop_locks, everything, names, opened
from tests.faults.rig import (
    CALLERS,
    connected,
    every,
    line_of,
    login,
    logins,
    me,
    refreshes,
    sent,
    served,
    together,
    until,
)
from tests.redis_server import PASSWORD, RedisServer

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[4]
WORKER = Path(__file__).with_name("worker.py")
LATE = Fault(path="/oauth/token", delay_after=1.0)


class Worker:
    """A process with a client of its own, on the store that all share."""

    def __init__(self, **job: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-W", "error", str(WORKER), json.dumps(job)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment)

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ready(self) -> None:
        assert self.read() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def outcome(self) -> dict[str, Any]:
        told = json.loads(self.read())
        assert isinstance(told, dict)
        return told

    def end(self) -> None:
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0


@contextmanager
def workers(count: int, server: RedisServer, sandbox: Sandbox, grant: Any, **job: Any) -> Iterator[list[Worker]]:
    """Start processes that wait for their first call; end them cleanly."""
    known = {"redis": server.url, "keys": KEYS, "base_url": sandbox.url, "lease": 30.0, "dies_at": None}
    with ExitStack() as stack:
        made = [Worker(**{**known, "grant": grant, **job}) for _ in range(count)]
        for one in made:
            stack.callback(one.process.kill)
        for one in made:
            one.ready()
        yield made


def known(sandbox: Sandbox, **more: str) -> dict[str, str]:
    return {"client_id": sandbox.credentials.client_id, "client_secret": sandbox.credentials.client_secret, **more}


async def stale_line(server: RedisServer, sandbox: Sandbox) -> RefreshToken:
    """Log in aside; leave a record in the store whose access token is long dead, and return the grant."""
    async with connected(sandbox) as client:
        token = await client.tokens.get()
    assert token.refresh_token is not None
    auth = RefreshToken(**known(sandbox), refresh_token=token.refresh_token)
    async with opened(server) as store:
        await store.save(line_of(auth, sandbox.url), aged(token), expected=None)
    sandbox.stats.reset()
    return auth


def aged(token: Token) -> Token:
    return Token(
        access_token=token.access_token,
        refresh_token=token.refresh_token,
        issued_at=time.time() - 7200,
        lifetime=3600.0,
        generation=token.generation,
    )


def as_job(auth: RefreshToken, sandbox: Sandbox) -> dict[str, str]:
    return known(sandbox, refresh_token=auth.refresh_token.reveal())


async def record(server: RedisServer, auth: Any, sandbox: Sandbox) -> Token:
    async with opened(server) as store:
        token = await store.load(line_of(auth, sandbox.url))
    assert token is not None
    return token


@pytest.mark.parametrize("count", [2, 4])
async def test_row_27_processes_on_redis_refresh_once_between_them(server: RedisServer, count: int) -> None:
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        with workers(count, server, sandbox, as_job(auth, sandbox)) as group:
            for one in group:
                one.go()
            outcomes = [one.outcome() for one in group]
            for one in group:
                one.end()
        assert [(told["status"], told["generation"]) for told in outcomes] == [(200, 2)] * count
        assert sum(told["requests"] for told in outcomes) == 1
        assert sum(told["adopted"] for told in outcomes) == count - 1
        assert refreshes(sandbox) == sent(sandbox, auth) == 1
        assert sandbox.stats.presented_twice == 0
        assert (await record(server, auth, sandbox)).generation == 2
        assert names(server, "lock") == []
        assert_no_secret(server, sandbox, auth)


def assert_no_secret(server: RedisServer, sandbox: Sandbox, auth: RefreshToken) -> None:
    told = everything(server)
    credentials = sandbox.credentials
    secrets = [auth.refresh_token.reveal(), KEYS, credentials.client_secret, credentials.username, credentials.password]
    assert b"sealed" in told
    assert [secret for secret in secrets if secret.encode() in told] == []
    # The sealed record is base64, in which "eyJ", the beginning of every JSON web token, may come by chance; a dot not.
    assert re.search(rb"eyJ[\w-]+\.[\w-]+\.", told) is None


async def test_row_31_lease_that_ends_during_the_request_costs_no_token(server: RedisServer) -> None:
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        # The lease of the second process must not end as well while a busy machine lets it wait.
        sandbox.faults.add(Fault(path="/oauth/token", delay_after=2.5))
        with workers(2, server, sandbox, as_job(auth, sandbox), lease=1.0) as group:
            for one in group:
                one.go()
            outcomes = sorted((one.outcome() for one in group), key=lambda told: "error" in told)
            assert [told.get("status", told.get("error")) for told in outcomes] == [200, "AmbiguousRefreshError"]
            assert [told["requests"] for told in outcomes] == [1, 0]
            for one in group:
                one.go()
            assert [one.outcome()["generation"] for one in group] == [2, 2]
            for one in group:
                one.end()
        assert refreshes(sandbox) == sent(sandbox, auth) == 1
        assert (await record(server, auth, sandbox)).generation == 2


async def test_row_33_late_refresh_does_not_overwrite_the_login_of_another_process(server: RedisServer) -> None:
    with served() as sandbox:
        auth = login(sandbox)
        async with connected(sandbox) as client:
            first = aged(await client.tokens.get())
        async with opened(server) as store:
            await store.save(line_of(auth, sandbox.url), first, expected=None)
        sandbox.stats.reset()
        sandbox.faults.add(LATE)
        password = known(sandbox, username=sandbox.credentials.username, password=sandbox.credentials.password)
        with workers(2, server, sandbox, password, lease=0.2) as group:
            group[0].go()
            await until(lambda: bool(sandbox.stats.presented))
            group[1].go()
            outcomes = [one.outcome() for one in reversed(group)]
            stored = await record(server, auth, sandbox)
            for one in group:
                one.end()
        assert [(told["status"], told["generation"]) for told in outcomes] == [(200, 2)] * 2
        assert (refreshes(sandbox), logins(sandbox)) == (1, 1)
        assert sandbox.stats.presented_twice == 0
        assert stored == await record(server, auth, sandbox)


async def test_row_37_process_that_dies_before_the_write_leaves_a_marked_record(server: RedisServer) -> None:
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        with workers(1, server, sandbox, as_job(auth, sandbox), dies_at=2) as (victim,):
            victim.go()
            assert victim.process.wait(timeout=30) < 0
            victim.process.communicate()
        assert len(names(server, "lock")) == 1
        drop_locks(server)  # the lease ends
        left = await record(server, auth, sandbox)
        assert (left.generation, left.presented) == (1, True)
        with workers(1, server, sandbox, as_job(auth, sandbox)) as (restarted,):
            for _ in range(3):
                restarted.go()
                told = restarted.outcome()
                assert (told["error"], told["requests"]) == ("AmbiguousRefreshError", 0)
            restarted.end()
        assert refreshes(sandbox) == sent(sandbox, auth) == 1


async def test_row_37_password_logs_in_anew_after_a_death(server: RedisServer) -> None:
    with served() as sandbox:
        password = known(sandbox, username=sandbox.credentials.username, password=sandbox.credentials.password)
        with workers(1, server, sandbox, password, dies_at=1) as (victim,):
            victim.go()
            assert victim.process.wait(timeout=30) < 0
            victim.process.communicate()
        drop_locks(server)
        with workers(1, server, sandbox, password) as (restarted,):
            restarted.go()
            assert restarted.outcome()["status"] == 200
            restarted.end()
        assert (refreshes(sandbox), logins(sandbox)) == (0, 2)


async def test_row_30_lock_that_is_never_free_sends_nothing(server: RedisServer) -> None:
    clock = ManualClock()
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        clock.skew = time.time()
        async with (
            opened(server, clock=clock) as store,
            opened(server) as other,
            connected(sandbox, auth, clock=clock, token_store=store) as tallyfy,
        ):
            async with other.lock(line_of(auth, sandbox.url)):
                started = clock.monotonic()
                every(await together(lambda: me(tallyfy)), StoreLockTimeoutError)
                assert clock.monotonic() - started <= 20
            assert refreshes(sandbox) == 0
            assert await me(tallyfy) == 200
        assert refreshes(sandbox) == sent(sandbox, auth) == 1
        assert names(server, "lock") == []


@contextmanager
def given_up_soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(redis_commands, "PATIENCE", 0.2)
        yield


@pytest.mark.parametrize("how", ["stopped", "hanging"])
async def test_row_34_redis_down_is_an_error_and_nothing_is_sent(
    server: RedisServer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        async with opened(server) as store, connected(sandbox, auth, token_store=store) as tallyfy:
            assert await me(tallyfy) == 200
            server.stop() if how == "stopped" else server.pause()
            try:
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS, "a token that lives needs no store"
                with given_up_soon(monkeypatch):
                    for error in every(await together(tallyfy.tokens.refresh), StoreError):
                        assert f"127.0.0.1:{server.port}" in str(error)
                        assert PASSWORD not in str(error)
                assert refreshes(sandbox) == 1
            finally:
                server.start() if how == "stopped" else server.resume()
            if how == "stopped":  # it kept nothing on disk
                with pytest.raises(ReauthenticationRequiredError, match="lost the record"):
                    await tallyfy.tokens.refresh()
            else:
                assert (await tallyfy.tokens.refresh()).generation == 3
                assert (await record(server, auth, sandbox)).generation == 3
        assert refreshes(sandbox) == (1 if how == "stopped" else 2)
        assert sandbox.stats.presented_twice == 0


async def test_row_34_flushed_redis_sends_no_refresh_token(server: RedisServer) -> None:
    """A sibling may have traded it in since: the access token is used to its end, a login by password begins anew."""
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        async with opened(server) as store, connected(sandbox, auth, token_store=store) as tallyfy:
            assert await me(tallyfy) == 200
            with server.admin() as admin:
                admin.flushall()
            assert await me(tallyfy) == 200
            with pytest.raises(ReauthenticationRequiredError, match="lost the record"):
                await tallyfy.tokens.refresh()
        async with opened(server) as store, connected(sandbox, token_store=store) as tallyfy:
            assert await me(tallyfy) == 200
            with server.admin() as admin:
                admin.flushall()
            assert (await tallyfy.tokens.refresh()).generation == 2
            assert await me(tallyfy) == 200
        assert refreshes(sandbox) == 1
        assert sandbox.stats.presented_twice == 0


async def test_row_34_memory_takes_over_where_asked(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        line = line_of(auth, sandbox.url)
        async with opened(server, when_down="memory") as store:
            async with connected(sandbox, auth, token_store=store) as tallyfy:
                assert await me(tallyfy) == 200
                server.stop()
                for generation in (3, 4, 5):
                    assert (await tallyfy.tokens.refresh()).generation == generation
                assert not tallyfy.tokens.statistics.unpersisted
                async with connected(sandbox, auth, token_store=store) as sibling:
                    assert (await sibling.tokens.get()).generation == 5, "found in memory"
                server.start()
                assert names(server, "token") == []
                store._rest_until = 0.0
                assert (await store.load(line)) == await tallyfy.tokens.get()
            warnings = [one for one in caplog.records if "kept in memory" in one.getMessage()]
            assert len(warnings) == 1
            assert PASSWORD not in caplog.text
        assert (await record(server, auth, sandbox)).generation == 5
        assert refreshes(sandbox) == 4
        assert sandbox.stats.presented_twice == 0
        assert_no_secret(server, sandbox, auth)


class Falling(RedisStore):
    """A store whose server goes down when a generation is about to be written."""

    server: RedisServer
    at: int | None = None

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        if token.generation == self.at:
            self.at = None
            self.server.stop()
        return await super().save(key, token, expected=expected)


async def test_row_95_redis_that_goes_down_before_the_write_costs_no_token(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        async with Falling(server.url, keys=KEYS) as store:
            store.server, store.at = server, 2
            async with connected(sandbox, auth, token_store=store) as tallyfy:
                assert await together(lambda: me(tallyfy)) == [200] * CALLERS
                assert tallyfy.tokens.statistics.unpersisted
                assert "writing the new token to the store failed" in caplog.text
                server.start()
                assert (await tallyfy.tokens.refresh()).generation == 3
                assert not tallyfy.tokens.statistics.unpersisted
        assert sent(sandbox, auth) == 1
        assert refreshes(sandbox) == 2
        assert sandbox.stats.presented_twice == 0
        assert (await record(server, auth, sandbox)).generation == 3


async def test_two_clients_of_one_process_on_two_stores_refresh_once(server: RedisServer) -> None:
    with served() as sandbox:
        auth = await stale_line(server, sandbox)
        async with (
            opened(server) as one,
            opened(server) as two,
            connected(sandbox, auth, token_store=one) as ada,
            connected(sandbox, auth, token_store=two) as bob,
        ):
            clients: list[TallyfyClient] = [ada, bob] * (CALLERS // 2)
            assert await together(lambda: me(clients.pop())) == [200] * CALLERS
        assert refreshes(sandbox) == sent(sandbox, auth) == 1
