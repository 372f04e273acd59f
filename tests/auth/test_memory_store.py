"""The store in memory: compare-and-set, and locks that leave nothing behind."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from tallyfy_async import MemoryStore
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.line import record

pytestmark = pytest.mark.anyio


async def test_nothing_is_stored_at_first() -> None:
    store = MemoryStore()
    assert await store.load("a") is None
    assert repr(store) == "<MemoryStore 0 records>"


async def test_compare_and_set() -> None:
    store, clock = MemoryStore(), ManualClock()
    first, second, third = (record(clock, number) for number in (1, 2, 3))
    assert not await store.save("a", second, expected=1)
    assert await store.save("a", first, expected=None)
    assert not await store.save("a", second, expected=None)
    assert await store.save("a", third, expected=1)
    assert not await store.save("a", second, expected=1)
    assert await store.load("a") is third
    assert await store.load("b") is None


async def test_a_mark_keeps_the_generation() -> None:
    store, first = MemoryStore(), record(ManualClock())
    await store.save("a", first, expected=None)
    assert await store.save("a", first.mark(presented=True), expected=1)
    stored = await store.load("a")
    assert stored is not None
    assert stored.presented


async def test_lock_excludes_by_key() -> None:
    store = MemoryStore()
    inside: list[str] = []
    most: dict[str, int] = {}

    async def work(key: str) -> None:
        async with store.lock(key):
            inside.append(key)
            most[key] = max(most.get(key, 0), inside.count(key))
            most["all"] = max(most.get("all", 0), len(inside))
            await anyio.sleep(0.001)
            inside.remove(key)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(work, "ab"[number % 2])
    assert most == {"a": 1, "b": 1, "all": 2}


async def test_lock_map_does_not_grow() -> None:
    store = MemoryStore()

    async def work(key: str) -> None:
        async with store.lock(key):
            await anyio.lowlevel.checkpoint()

    for number in range(10_000):
        async with store.lock(str(number)):
            pass
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(work, str(number % 10))
    assert store._gates == {}


async def test_lock_is_forgotten_after_errors_and_cancellation() -> None:
    store = MemoryStore()

    async def wait() -> None:
        async with store.lock("a"):
            raise AssertionError

    async def hold() -> None:
        async with store.lock("a"):
            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
            assert store._gates["a"].users == 1, "the holder's lock is still the one that others would wait for"
            raise LookupError

    with pytest.raises(LookupError):
        await hold()
    assert store._gates == {}
