"""Kernel locks: who is kept out, and what becomes of locks whose taker is gone."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tallyfy_async import ConfigurationError, StoreError, StoreLockTimeoutError
from tallyfy_async.auth.stores import locking
from tallyfy_async.auth.stores.folder import PrivateFolder
from tallyfy_async.auth.stores.locking import guard, hold, require_locks
from tallyfy_async.transport.clock import SystemClock
from tallyfy_async.transport.manual_clock import ManualClock
from tests.auth.stores.disk import KEY, file_store, worker

pytestmark = pytest.mark.anyio


@pytest.fixture
def opener(tmp_path: Path) -> Callable[[], int]:
    return partial(PrivateFolder(tmp_path / "locks").open_lock, "one.lock")


def is_free(opener: Callable[[], int]) -> bool:
    """Whether somebody else could have the lock now."""
    claim = locking._Claim(opener)
    try:
        return claim.attempt()
    finally:
        claim.end()


async def test_lock_excludes_tasks_and_is_free_afterwards(opener: Callable[[], int]) -> None:
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with hold(opener, SystemClock()):
            inside += 1
            most = max(most, inside)
            assert not is_free(opener)
            await anyio.sleep(0.001)
            inside -= 1

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(work)
    assert most == 1
    assert is_free(opener)


async def test_lock_is_free_after_an_error(opener: Callable[[], int]) -> None:
    with pytest.raises(LookupError):
        async with hold(opener, SystemClock()):
            raise LookupError
    assert is_free(opener)


async def test_waiting_is_done_by_the_clock_in_growing_pauses(opener: Callable[[], int]) -> None:
    clock = ManualClock()
    with guard(opener), clock.timeout(60) as scope:
        async with hold(opener, clock):
            pytest.fail("had a lock that somebody else holds")
    assert scope.cancelled_caught
    assert clock.slept[0] <= 0.0075
    assert max(clock.slept) <= 0.15
    assert len(clock.slept) < 1300, "not a busy wait"
    assert is_free(opener)


class Gate:
    """An opener that waits in its thread until told, like a file system that hangs."""

    def __init__(self, opener: Callable[[], int]) -> None:
        self.opener, self.entered, self.open, self.left = (
            opener,
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )

    def __call__(self) -> int:
        self.entered.set()
        assert self.open.wait(60)
        return self.opener()


async def settled(opener: Callable[[], int], gate: Gate) -> None:
    """Let the late thread go, and wait until the lock is free; fail where it stays held."""
    gate.open.set()
    with anyio.fail_after(10):
        while not is_free(opener):  # noqa: ASYNC110 - the other side lives in another thread
            await anyio.sleep(0.005)


async def test_row_26_waiter_cancelled_in_the_worker_thread(opener: Callable[[], int]) -> None:
    gate = Gate(opener)

    async def wait() -> None:
        async with hold(gate, SystemClock()):
            pytest.fail("a cancelled task went on with the lock")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.to_thread.run_sync(gate.entered.wait)
            group.cancel_scope.cancel()
    await settled(opener, gate)


async def test_row_26_late_lock_is_given_back_by_the_thread(opener: Callable[[], int]) -> None:
    claim = locking._Claim(opener)
    claim.end()
    assert not claim.attempt()
    assert is_free(opener)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio has no native cancellation
async def test_row_26_native_cancellation(opener: Callable[[], int]) -> None:
    import asyncio

    gate = Gate(opener)

    async def wait() -> None:
        async with hold(gate, SystemClock()):
            pytest.fail("a cancelled task went on with the lock")

    task = asyncio.ensure_future(wait())
    await anyio.to_thread.run_sync(gate.entered.wait)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await settled(opener, gate)


async def test_row_26_store_lock_after_cancelled_waiters(tmp_path: Path) -> None:
    store = file_store(tmp_path)

    async def wait() -> None:
        async with store.lock(KEY):
            pytest.fail("the lock is held")

    async with store.lock(KEY):
        for _ in range(5):
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(wait)
                await anyio.sleep(0.01)
                group.cancel_scope.cancel()
    with anyio.fail_after(5):
        async with store.lock(KEY):
            pass


async def test_row_35_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    async with worker(store, "hold", key=KEY) as other:
        assert (await other.hear())["state"] == "holding"
        with anyio.move_on_after(0.3):
            async with store.lock(KEY):
                pytest.fail("two processes hold the lock")
        await other.kill()
    [lock] = store.path(KEY).parent.glob("*.lock")
    assert lock.exists(), "the file outlives its holder and means nothing"
    with anyio.fail_after(10):
        async with store.lock(KEY):
            pass


async def test_row_35_lock_file_alone_means_nothing(tmp_path: Path) -> None:
    store = file_store(tmp_path)
    async with store.lock(KEY):
        pass
    [lock] = store.path(KEY).parent.glob("*.lock")
    lock.write_text("123456\n")
    with anyio.fail_after(5):
        async with file_store(tmp_path).lock(KEY):
            pass


async def test_deleted_lock_file_is_no_second_lock(opener: Callable[[], int], tmp_path: Path) -> None:
    def deleted_meanwhile() -> int:
        descriptor = opener()
        (tmp_path / "locks" / "one.lock").unlink()
        return descriptor

    assert not is_free(deleted_meanwhile), "that file is nobody else's: its lock keeps nobody out"
    assert is_free(opener)


def test_guard_is_patient_but_not_for_ever(opener: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with guard(opener), pytest.raises(StoreLockTimeoutError, match="5 s"), guard(opener):
        pytest.fail("two writers at once")
    assert 4.9 < sum(pauses) < 5.2
    assert is_free(opener)


async def test_file_system_without_locks(opener: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    opened: list[int] = []

    def refuse(descriptor: int, *, blocking: bool) -> bool:
        opened.append(descriptor)
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)
    with pytest.raises(StoreError, match="local disk"):
        async with hold(opener, SystemClock()):
            pytest.fail("no lock is no lock")
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(opened[0])


def test_forked_child_does_not_keep_the_parents_lock(opener: Callable[[], int]) -> None:
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which this child does not need
        with guard(opener):
            if (child := os.fork()) == 0:
                os.close(theirs)
                os.read(ours, 1)
                os._exit(0)
            assert not is_free(opener), "the child's end of it does not free the parent's lock"
    try:
        assert is_free(opener), "the lock is free although the child, made while it was held, lives on"
    finally:
        os.close(ours)
        os.close(theirs)
        assert os.waitpid(child, 0)[1] == 0


def test_forked_child_outlives_a_killed_holder(opener: Callable[[], int]) -> None:
    ready, done = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if (holder := os.fork()) == 0:
            with guard(opener):
                if os.fork() == 0:
                    os.close(done[1])
                    os.write(ready[1], b"x")
                    os.read(done[0], 1)
                os._exit(0)  # without giving the lock back, as if killed
    os.waitpid(holder, 0)
    os.read(ready[0], 1)
    try:
        assert is_free(opener)
    finally:
        for end in (*ready, *done):
            os.close(end)


@pytest.mark.parametrize("extra", ["file", "keyring"])
def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(ConfigurationError, match=rf'pip install "tallyfy-async\[{extra}\]"'):
        require_locks(extra)
