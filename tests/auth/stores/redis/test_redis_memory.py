"""``when_down="memory"``: going on without the server, and what is written back when it returns."""

from __future__ import annotations

import logging

import anyio
import pytest

from tallyfy_async import StoreCorruptError, StoreError
from tallyfy_async.auth.stores import redis_commands
from tallyfy_async.auth.stores.redis import RedisStore
from tallyfy_async.auth.stores.sealing import generate_key
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.stores.redis.rig import KEYS, LINE, names, opened, token
from tests.redis_server import PASSWORD, RedisServer

pytestmark = pytest.mark.anyio
REST = 2.0


class Away:
    """A server that pretends to be away: connections are refused, and what it holds stays."""

    def __init__(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.server, self.patch = server, monkeypatch
        self.tries = 0

    def begin(self) -> None:
        async def refuse(commands, _work):
            self.tries += 1
            return redis_commands.Trouble(f"Redis at {commands.place}: ConnectionError", down=True)

        self.patch.setattr(redis_commands.RedisCommands, "answer", refuse)

    def end(self) -> None:
        self.patch.undo()


@pytest.fixture
def away(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Away:
    return Away(server, monkeypatch)


async def back(store: RedisStore, clock: ManualClock, away: Away) -> None:
    """End the time away, and let the store notice by a command about another line."""
    away.end()
    clock.advance(REST)
    await store.load("another line")


async def test_records_seen_before_are_there_while_the_server_is_away(
    server: RedisServer, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tallyfy_async")
    clock = ManualClock()
    async with opened(server) as other, opened(server, when_down="memory", clock=clock) as store:
        await other.save(LINE, token(4), expected=None)
        assert await store.load(LINE) == token(4)
        away.begin()
        async with store.lock(LINE):
            assert await store.load(LINE) == token(4)
            assert not await store.save(LINE, token(6), expected=3)
            assert await store.save(LINE, token(4, presented=True), expected=4)
            assert await store.save(LINE, token(5), expected=4)
        assert await store.load(LINE) == token(5)
        assert await store.load("unknown line") is None
        assert away.tries == 1, "it is left alone for a while"
        clock.advance(REST)
        assert await store.load(LINE) == token(5)
        assert away.tries == 2
        await back(store, clock, away)
        assert await other.load(LINE) == token(5)
        assert await store.load(LINE) == token(5)
    told = [one.getMessage() for one in caplog.records]
    place = f"Redis at 127.0.0.1:{server.port}"
    assert told == [
        f"{place}: ConnectionError; tokens are kept in memory until it is back",
        f"{place} is back",
    ]
    assert PASSWORD not in caplog.text


async def test_lock_excludes_in_this_process_while_the_server_is_away(server: RedisServer, away: Away) -> None:
    inside: list[int] = []
    away.begin()
    async with opened(server, when_down="memory") as store, anyio.create_task_group() as group:

        async def work(number: int) -> None:
            async with store.lock(LINE):
                assert inside == []
                inside.append(number)
                await anyio.sleep(0.002)
                inside.remove(number)

        for number in range(20):
            group.start_soon(work, number)
    away.end()
    assert names(server, "lock") == []


@pytest.mark.parametrize("theirs", [3, 4])
async def test_newer_record_of_another_process_is_kept(server: RedisServer, away: Away, theirs: int) -> None:
    clock = ManualClock()
    async with opened(server) as other, opened(server, when_down="memory", clock=clock) as store:
        await store.save(LINE, token(2), expected=None)
        away.begin()
        assert await store.save(LINE, token(3, access_token="ours"), expected=2)
        away.end()
        await other.save(LINE, token(theirs, access_token="theirs"), expected=2)
        await back(store, clock, away)
        assert await other.load(LINE) == token(theirs, access_token="theirs")
        assert await store.load(LINE) == token(theirs, access_token="theirs")


async def test_older_record_of_another_process_is_replaced(server: RedisServer, away: Away) -> None:
    clock = ManualClock()
    async with opened(server) as other, opened(server, when_down="memory", clock=clock) as store:
        await store.save(LINE, token(2), expected=None)
        away.begin()
        assert await store.save(LINE, token(3), expected=2)
        assert await store.save(LINE, token(4), expected=3)
        away.end()
        await other.save(LINE, token(3, access_token="theirs"), expected=2)
        await back(store, clock, away)
        assert await other.load(LINE) == token(4)


async def test_mark_is_written_back_and_is_not_undone(server: RedisServer, away: Away) -> None:
    clock = ManualClock()
    async with opened(server) as other, opened(server, when_down="memory", clock=clock) as store:
        await store.save(LINE, token(2), expected=None)
        away.begin()
        assert await store.save(LINE, token(2, presented=True), expected=2)
        await back(store, clock, away)
        assert await other.load(LINE) == token(2, presented=True)

        away.begin()
        assert await store.save(LINE, token(2), expected=2)
        away.end()
        assert await other.save(LINE, token(2, presented=True, refresh_token=None), expected=2)
        await back(store, clock, away)
        assert await other.load(LINE) == token(2, presented=True, refresh_token=None), "theirs is on its way"


async def test_own_mark_is_undone_where_nobody_else_wrote(server: RedisServer, away: Away) -> None:
    clock = ManualClock()
    async with opened(server) as other, opened(server, when_down="memory", clock=clock) as store:
        await store.save(LINE, token(2), expected=None)
        await store.save(LINE, token(2, presented=True), expected=2)
        away.begin()
        assert await store.save(LINE, token(2), expected=2)
        await back(store, clock, away)
        assert await other.load(LINE) == token(2)


async def test_emptied_server_gets_what_was_written_meanwhile(server: RedisServer) -> None:
    clock = ManualClock()
    async with opened(server, when_down="memory", clock=clock) as store:
        await store.save(LINE, token(2), expected=None)
        server.stop()
        assert await store.save(LINE, token(3), expected=2)
        assert await store.save("another line", token(1), expected=None)
        server.start()
        clock.advance(REST)
        assert await store.load(LINE) == token(3)
    async with opened(server) as other:
        assert await other.load(LINE) == token(3)
        assert await other.load("another line") == token(1)


async def test_record_that_cannot_be_read_is_not_written_over(
    server: RedisServer, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    stranger = generate_key()
    async with opened(server, keys=stranger) as other, opened(server, when_down="memory", clock=clock) as store:
        away.begin()
        assert await store.save(LINE, token(3), expected=None)
        away.end()
        await other.save(LINE, token(2), expected=None)
        await back(store, clock, away)
        assert "could not be written back" in caplog.text
        assert await other.load(LINE) == token(2)
        with pytest.raises(StoreCorruptError):
            await store.load(LINE)


async def test_write_back_that_is_overtaken_is_tried_again(
    server: RedisServer, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    async with opened(server) as other, opened(server, when_down="memory", clock=clock) as store:
        await store.save(LINE, token(2), expected=None)
        away.begin()
        assert await store.save(LINE, token(5), expected=2)
        away.end()
        read, rivals = store._server.read, [token(3)]

        async def read_and_be_overtaken(name: str):
            found = await read(name)
            while rivals:
                assert await other.save(LINE, rivals.pop(), expected=2)
            return found

        monkeypatch.setattr(store._server, "read", read_and_be_overtaken)
        clock.advance(REST)
        assert await store.load(LINE) == token(3)
        assert await store.load(LINE) == token(5)
        assert await other.load(LINE) == token(5)


async def test_server_that_falls_again_during_the_write_back(server: RedisServer, away: Away) -> None:
    clock = ManualClock()
    async with opened(server) as other, opened(server, when_down="memory", clock=clock) as store:
        away.begin()
        assert await store.save(LINE, token(1), expected=None)
        clock.advance(REST)
        assert await store.load(LINE) == token(1)
        away.end()
        assert await other.load(LINE) is None
        clock.advance(REST)
        assert await store.load(LINE) == token(1)
        assert await other.load(LINE) == token(1)


@pytest.mark.parametrize("when_down", ["refuse", "memory"])
async def test_server_that_goes_away_under_the_lock_masks_nothing(server: RedisServer, when_down: str) -> None:
    async with opened(server, when_down=when_down) as store:

        async def fall_and_fail() -> None:
            async with store.lock(LINE):
                server.stop()
                raise LookupError

        with pytest.raises(LookupError):
            await fall_and_fail()
        server.start()
        store._rest_until = 0.0
        async with store.lock(LINE):
            assert len(names(server, "lock")) == 1
        assert names(server, "lock") == []


async def test_setting_aside_needs_the_server(server: RedisServer, away: Away) -> None:
    async with opened(server, when_down="memory") as store:
        away.begin()
        with pytest.raises(StoreError, match="ConnectionError"):
            await store.set_aside(LINE)
        away.end()


async def test_refusing_store_keeps_nothing_in_memory(server: RedisServer, away: Away) -> None:
    async with RedisStore(server.url, keys=KEYS) as store:
        await store.save(LINE, token(1), expected=None)
        away.begin()
        for _ in range(2):
            with pytest.raises(StoreError):
                await store.load(LINE)
            with pytest.raises(StoreError):
                await store.save(LINE, token(2), expected=1)
        assert away.tries == 4
        away.end()
        assert await store.load(LINE) == token(1)
