"""Records on a real server: compare-and-set, sealing, what is corrupt."""

from __future__ import annotations

from collections import Counter

import anyio
import anyio.lowlevel
import pytest
from cryptography.fernet import Fernet

from tallyfy_async import (
    StoreCorruptError,
    StoreError,
)
from tallyfy_async.auth.stores.sealing import generate_key
from tests.auth.stores.redis.rig import KEYS, LINE, SECRETS, everything, names, opened, token
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


async def test_compare_and_set(server: RedisServer) -> None:
    async with opened(server) as store, opened(server) as other:
        assert await store.load(LINE) is None
        assert not await store.save(LINE, token(2), expected=1)
        assert await store.save(LINE, token(1), expected=None)
        assert not await other.save(LINE, token(2), expected=None)
        assert await other.save(LINE, token(3), expected=1)
        assert not await store.save(LINE, token(2), expected=1)
        assert await store.load(LINE) == token(3)
        assert await store.load("another line") is None


async def test_every_field_survives(server: RedisServer) -> None:
    variants = [
        token(0, lifetime=0.0, refresh_token=None),
        token(1, scopes=None, lifetime=None, presented=True),
        token(2, scopes=frozenset({"read", "write"}), issued_at=1_780_000_000.25),
    ]
    async with opened(server) as store:
        for number, variant in enumerate(variants):
            assert await store.save(f"line {number}", variant, expected=None)
            assert await store.load(f"line {number}") == variant


async def test_one_of_many_first_writers_wins(server: RedisServer) -> None:
    won: list[bool] = []
    async with opened(server) as store, anyio.create_task_group() as group:

        async def write(number: int) -> None:
            won.append(await store.save(LINE, token(number), expected=None))

        for number in range(1, 51):
            group.start_soon(write, number)
    assert Counter(won) == {True: 1, False: 49}


async def test_server_holds_no_secret(server: RedisServer) -> None:
    async with opened(server) as store, store.lock(LINE):
        for number in range(1, 4):
            assert await store.save(LINE, token(number), expected=number - 1 or None)
        told = everything(server)
        assert len(names(server, "token")) == len(names(server, "lock")) == 1
    assert b"generation" in told
    for secret in (*SECRETS, KEYS, "42|password"):
        assert secret.encode() not in told


async def test_row_104_both_tokens_are_one_record_in_one_key(server: RedisServer) -> None:
    async with opened(server) as store:
        await store.save(LINE, token(5), expected=None)
        (name,) = names(server, "token")
        with server.admin() as admin:
            assert admin.keys("*") == [name.encode()]
            record = admin.hgetall(name)
            assert record[b"generation"] == b"5"
            assert set(record) == {b"generation", b"sealed"}
            plain = Fernet(KEYS).decrypt(record[b"sealed"])
        assert b"access-token-of-ada-5" in plain
        assert b"refresh-token-of-ada-5" in plain


async def test_row_103_record_of_a_newer_version_is_refused_and_kept(server: RedisServer) -> None:
    async with opened(server) as store:
        await store.save(LINE, token(), expected=None)
        (name,) = names(server, "token")
        newer = Fernet(KEYS).encrypt(b'{"v": 2, "key": "k", "token": {}}')
        with server.admin() as admin:
            admin.hset(name, "sealed", newer)
            with pytest.raises(StoreError, match="newer version"):
                await store.load(LINE)
            assert admin.hget(name, "sealed") == newer


async def test_keys_rotate(server: RedisServer) -> None:
    fresh = generate_key()
    async with opened(server) as old, opened(server, keys=[fresh, KEYS]) as both, opened(server, keys=fresh) as new:
        await old.save(LINE, token(1), expected=None)
        assert await both.load(LINE) == token(1)
        with pytest.raises(StoreCorruptError):
            await new.load(LINE)
        await both.save(LINE, token(2), expected=1)
        assert await new.load(LINE) == token(2)


@pytest.mark.parametrize("damage", ["flip", "cut", "garbage", "generation", "no sealed", "wrong type", "rolled back"])
async def test_row_99_what_is_no_record_of_this_line_is_corrupt(server: RedisServer, damage: str) -> None:
    async with opened(server) as store:
        await store.save(LINE, token(1), expected=None)
        (name,) = names(server, "token")
        with server.admin() as admin:
            first = admin.hget(name, "sealed")
            await store.save(LINE, token(2), expected=1)
            sealed = admin.hget(name, "sealed")
            if damage == "wrong type":
                admin.delete(name)
                admin.set(name, "something")
            else:
                changes = {
                    "flip": {"sealed": sealed[:40] + (b"A" if sealed[40:41] != b"A" else b"B") + sealed[41:]},
                    "cut": {"sealed": sealed[:-20]},
                    "garbage": {"sealed": b"\xff\x00"},
                    "generation": {"generation": "two"},
                    "no sealed": {"sealed": b""},
                    "rolled back": {"sealed": first},
                }
                admin.hset(name, mapping=changes[damage])
        kept = everything(server)
        error: type[StoreError] = StoreError if damage == "wrong type" else StoreCorruptError
        with pytest.raises(error) as caught:
            await store.load(LINE)
        assert all(secret not in str(caught.value) for secret in SECRETS)
        assert everything(server) == kept
        assert (await store.set_aside(LINE)) is not None
        assert await store.load(LINE) is None
        assert await store.save(LINE, token(1), expected=None)
        assert len(names(server, "token")) == 2


async def test_set_aside_of_nothing(server: RedisServer) -> None:
    async with opened(server) as store:
        assert await store.set_aside(LINE) is None


async def test_record_of_another_line_is_corrupt(server: RedisServer) -> None:
    async with opened(server) as store:
        await store.save(LINE, token(), expected=None)
        (ours,) = names(server, "token")
        await store.save("bob", token(), expected=None)
        (bobs,) = set(names(server, "token")) - {ours}
        with server.admin() as admin:
            admin.hset(bobs, "sealed", admin.hget(ours, "sealed"))
        with pytest.raises(StoreCorruptError):
            await store.load("bob")
