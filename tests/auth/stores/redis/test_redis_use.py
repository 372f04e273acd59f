"""How a store is made, used and closed, and what it refuses."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from functools import partial

import anyio
import anyio.lowlevel
import pytest
import redis
import redis.asyncio

from tallyfy_async import (
    ClientClosedError,
    ClientLoopError,
    ConfigurationError,
    StoreError,
)
from tallyfy_async.auth.stores import redis_commands
from tallyfy_async.auth.stores.redis import RedisStore
from tests.auth.stores.redis.rig import KEYS, LINE, everything, opened, token
from tests.redis_server import PASSWORD, RedisServer

pytestmark = pytest.mark.anyio
TOO_LONG = 30.0


@pytest.mark.parametrize("decoding", [False, True])
async def test_clients_of_the_caller_stay_open(server: RedisServer, decoding: bool) -> None:
    async with redis.asyncio.Redis.from_url(server.url, decode_responses=decoding) as client:
        async with RedisStore(client, keys=KEYS, prefix="mine") as store:
            async with store.lock(LINE):
                assert await store.save(LINE, token(), expected=None)
            assert await store.load(LINE) == token()
        assert await client.ping()
    assert everything(server).startswith(b"mine:token:")


async def test_closed_store_refuses(server: RedisServer) -> None:
    store = RedisStore(server.url, keys=KEYS)
    await store.load(LINE)
    await store.aclose()
    await store.aclose()
    with pytest.raises(ClientClosedError):
        await store.load(LINE)
    with server.admin() as admin:
        assert len(admin.client_list()) == 1


async def test_cancelled_close_leaves_no_connection(server: RedisServer) -> None:
    store = RedisStore(server.url, keys=KEYS)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(store.load, LINE)
    with server.admin() as admin:
        assert len(admin.client_list()) > 2
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    with server.admin() as admin, anyio.fail_after(TOO_LONG):
        while len(admin.client_list()) > 1:  # noqa: ASYNC110 - the server tells nobody when it has noticed
            await anyio.sleep(0.01)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_refused(anyio_backend: str) -> None:
    store = RedisStore("redis://127.0.0.1:1/0", keys=KEYS)
    for use in (
        partial(store.load, LINE),
        partial(store.save, LINE, token(), expected=None),
        store.lock(LINE).__aenter__,
    ):
        with pytest.raises(ConfigurationError, match="RedisStore needs asyncio"):
            await use()


def test_another_loop_is_refused(server: RedisServer) -> None:
    async def use(store: RedisStore, client: redis.asyncio.Redis) -> None:
        try:
            await store.load(LINE)
        finally:
            await client.aclose()

    client = redis.asyncio.Redis.from_url(server.url)
    store = RedisStore(client, keys=KEYS)
    anyio.run(use, store, client)
    with pytest.raises(ClientLoopError, match="another event loop"):
        anyio.run(use, store, client)


async def test_row_36_forked_child_is_refused(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(server) as store:
        await store.load(LINE)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(ClientLoopError, match="after the fork"):
                await store.load(LINE)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=r'pip install "tallyfy-async\[redis\]"'):
        RedisStore("redis://localhost", keys=KEYS)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"client": "http://localhost"}, "the URL must look like"),
        ({"client": f"redis://user:{PASSWORD}@host:port-{PASSWORD}/0"}, "the URL must look like"),
        ({"client": 5}, "client must be"),
        ({"client": redis.Redis()}, "client must be"),
        ({"keys": "no key"}, "is no key"),
        ({"prefix": ""}, "prefix must be"),
        ({"lease": 20}, "lease must be more than"),
        ({"lease": float("nan")}, "lease must be more than"),
        ({"lease": float("inf")}, "lease must be more than"),
        ({"lease": "30"}, "lease must be more than"),
        ({"when_down": "ignore"}, "when_down must be"),
    ],
)
def test_wrong_arguments_are_refused(arguments, what: str) -> None:
    known = {"client": "redis://localhost", "keys": KEYS, **arguments}
    with pytest.raises(ConfigurationError, match=what) as caught:
        RedisStore(known.pop("client"), **known)
    assert PASSWORD not in repr(caught.value)
    if "client" in arguments:
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert shown.__cause__ is shown.__context__ is None
        assert PASSWORD not in "".join(f"{frame.locals}" for frame in shown.stack if "tests" not in frame.filename)


async def test_store_shows_no_secret_and_is_not_pickled(server: RedisServer) -> None:
    async with opened(server) as store:
        assert repr(store) == f"<RedisStore 127.0.0.1:{server.port}>"
        with pytest.raises(TypeError):
            pickle.dumps(store)
    unix = RedisStore(f"unix://:{PASSWORD}@/run/redis.sock", keys=KEYS)
    assert repr(unix) == "<RedisStore /run/redis.sock>"
    await unix.aclose()


async def test_wrong_password_is_an_error_also_where_memory_takes_over(server: RedisServer) -> None:
    url = server.url.replace(PASSWORD, "wrong-one")
    for when_down in ("refuse", "memory"):
        async with RedisStore(url, keys=KEYS, when_down=when_down) as store:
            with pytest.raises(StoreError, match=rf"Redis at 127.0.0.1:{server.port}: AuthenticationError") as caught:
                await store.load(LINE)
            assert "wrong-one" not in "".join(traceback.format_exception(caught.value))
            assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("given", [True, False], ids=["client without timeouts", "URL"])
async def test_server_that_hangs_is_given_up(server: RedisServer, monkeypatch: pytest.MonkeyPatch, given: bool) -> None:
    monkeypatch.setattr(redis_commands, "PATIENCE", 0.1)
    settings = {"socket_timeout": None, "socket_connect_timeout": None} if given else {}
    async with (
        redis.asyncio.Redis.from_url(server.url, **settings) as client,
        RedisStore(client if given else server.url, keys=KEYS) as store,
    ):
        server.pause()
        try:
            for use in (partial(store.load, LINE), store.lock(LINE).__aenter__):
                with (
                    anyio.fail_after(TOO_LONG),
                    pytest.raises(StoreError, match=r"no answer within 0.1 s|TimeoutError"),
                ):
                    await use()
        finally:
            server.resume()
        async with store.lock(LINE):
            assert await store.save(LINE, token(), expected=None)
