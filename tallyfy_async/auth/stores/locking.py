"""Locks of the kernel, which frees them when their holder dies. That a lock file exists says nothing.

Every try is one system call in a worker thread that does not wait, so that the event loop is never held up; between
tries the clock is slept on. A lock that a thread gets after its task was cancelled is given back by that thread.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

from anyio import to_thread
from attrs import define, field

from tallyfy_async.errors import ConfigurationError, StoreError, StoreLockTimeoutError
from tallyfy_async.transport.clock import Clock

Opener = Callable[[], int]
"""Opens a lock file, creating it where it is absent, and returns the descriptor."""

_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.1
_GUARD_SECONDS = 5.0
_NO_LOCKS = "the file system of the token store has no kernel locks: put it on a local disk"
_BUSY = f"another process has been writing to the token store for more than {_GUARD_SECONDS:g} s"


def require_locks(extra: str) -> None:
    """Raise ConfigurationError that names ``extra``, if the package filelock is missing or too old."""
    try:
        usable = hasattr(importlib.import_module("filelock"), "lock_descriptor")
    except ImportError:
        usable = False
    if not usable:
        msg = f'this token store needs the package filelock: pip install "tallyfy-async[{extra}]"'
        raise ConfigurationError(msg)


@asynccontextmanager
async def hold(opener: Opener, clock: Clock) -> AsyncGenerator[None, None]:
    """Hold the kernel lock of a file, waiting for it as long as the caller does.

    Threads, event loops and processes exclude each other. Raises StoreError where the file cannot be locked.
    """
    claim = _Claim(opener)
    pause = _FIRST_PAUSE
    try:
        while not await to_thread.run_sync(claim.attempt, abandon_on_cancel=True):
            await clock.sleep(pause * (0.5 + clock.random()))
            pause = min(2 * pause, _LONGEST_PAUSE)
        yield
    finally:
        claim.end()


@contextmanager
def guard(opener: Opener) -> Generator[None, None, None]:
    """Hold the kernel lock of a file for a moment, in a worker thread.

    Raises StoreLockTimeoutError after 5 seconds, and StoreError where the file cannot be locked.
    """
    claim, pause, waited = _Claim(opener), _FIRST_PAUSE, 0.0
    try:
        while not claim.attempt():
            if waited >= _GUARD_SECONDS:
                raise StoreLockTimeoutError(_BUSY)
            time.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, _LONGEST_PAUSE)
        yield
    finally:
        claim.end()


@define(eq=False, weakref_slot=True)
class _Claim:
    """The wish to hold a lock. Once it has ended, whatever comes late is given back at once."""

    opener: Opener
    _mutex: threading.Lock = field(factory=threading.Lock, init=False)
    _descriptor: int | None = field(default=None, init=False)
    _ended: bool = field(default=False, init=False)

    def attempt(self) -> bool:
        """Try once, without waiting; return whether the lock is held."""
        descriptor = self.opener()
        if not _taken(descriptor):
            os.close(descriptor)
            return False
        with self._mutex:
            if not self._ended:
                self._descriptor = descriptor
                _held.add(self)
                return True
        _give_back(descriptor)
        return False

    def end(self) -> None:
        """Give the lock back, if it is held, and refuse to hold it from now on."""
        with self._mutex:
            self._ended = True
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _give_back(descriptor)

    def forget(self) -> None:
        """Drop the descriptor in a forked child: the lock is the parent's, and must not outlive it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_held: weakref.WeakSet[_Claim] = weakref.WeakSet()


def _forget_all() -> None:
    for claim in list(_held):
        claim.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _taken(descriptor: int) -> bool:
    """Try to lock a file that is still there: a deleted one, opened before, would be a lock of its own."""
    from filelock import lock_descriptor  # noqa: PLC0415 - belongs to the extra

    try:
        return lock_descriptor(descriptor, blocking=False) and os.fstat(descriptor).st_nlink > 0
    except OSError as error:
        os.close(descriptor)
        raise StoreError(_NO_LOCKS) from error


def _give_back(descriptor: int) -> None:
    from filelock import unlock_descriptor  # noqa: PLC0415 - belongs to the extra

    # Unlocked by name, because a child forked meanwhile may share the descriptor; closing it unlocks as well.
    with suppress(OSError):
        unlock_descriptor(descriptor)
    os.close(descriptor)
