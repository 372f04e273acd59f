"""Token records in encrypted files, shared by the processes of one user."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from anyio import to_thread

from tallyfy_async.auth.stores.folder import PrivateFolder
from tallyfy_async.auth.stores.locking import guard, hold, require_locks
from tallyfy_async.auth.stores.sealing import Keys, Sealer, masked
from tallyfy_async.auth.token import Token
from tallyfy_async.transport.clock import Clock, SystemClock


class FileStore:
    """Keeps each record in an encrypted file of its own, for all processes of this user on this machine.

    ``directory`` is created with mode 0700, and refused where it is a symbolic link, another user's or open to others
    for writing; files have mode 0600 and are replaced in one step. Locks are the kernel's, so use a local disk.
    ``keys`` encrypt: the first seals, any opens; see Sealer.of for where they come from if not given.

    A file that is no record stays where it is and is never written over: :meth:`set_aside` makes room.
    Raises ConfigurationError where keys or packages are missing (``pip install "tallyfy-async[file]"``); methods raise
    StoreError and its kinds. All I/O is done in worker threads.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, keys: Keys | Sealer | None = None, clock: Clock | None = None
    ) -> None:
        keys = masked(keys)
        self._folder = PrivateFolder(Path(directory).expanduser().absolute())
        require_locks("file")
        self._sealer = Sealer.of(keys)
        self._clock: Clock = SystemClock() if clock is None else clock

    def __repr__(self) -> str:
        return f"<FileStore {self._folder.path}>"

    def path(self, key: str) -> Path:
        """Return where the record of ``key`` is kept."""
        return self._folder.path / _name(key)

    async def load(self, key: str) -> Token | None:
        """Return the record under ``key``, None where there is none.

        Raises StoreCorruptError for a file that is no record or cannot be decrypted; it is kept.
        """
        return await to_thread.run_sync(self._load, key, abandon_on_cancel=True)

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        """Write ``token``, if the stored generation is ``expected``; return whether it was.

        This is one step also between processes. A caller that is cancelled does not know whether it was done.
        """
        return await to_thread.run_sync(self._save, key, token, expected, abandon_on_cancel=True)

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None, None]:
        """Hold ``key``'s lock, which the kernel frees when the process dies; the caller bounds the wait."""
        async with hold(partial(self._folder.open_lock, f"{_name(key)}.lock"), self._clock):
            yield

    async def set_aside(self, key: str) -> Path | None:
        """Rename the file of ``key`` so that the line can begin anew; return its new path, None where there is none.

        For a user who has seen a StoreCorruptError and means to log in again: it is never done unasked, because what
        the file held may be the only trace of a refresh token that was spent.
        """
        return await to_thread.run_sync(self._set_aside, key, abandon_on_cancel=True)

    def _load(self, key: str) -> Token | None:
        data = self._folder.read(_name(key))
        if data is None:
            return None
        found = self._sealer.attempt(key, data)
        del data  # tracebacks show local variables, and what lies there may be somebody's plain token
        if isinstance(found, Token):
            return found
        msg = f"{found} ({self.path(key)})"
        raise type(found)(msg)

    def _save(self, key: str, token: Token, expected: int | None) -> bool:
        with self._guarded(key):
            stored = self._load(key)
            if (None if stored is None else stored.generation) != expected:
                return False
            self._folder.write(_name(key), self._sealer.seal(key, token))
            return True

    def _set_aside(self, key: str) -> Path | None:
        with self._guarded(key):
            return self._folder.set_aside(_name(key))

    def _guarded(self, key: str) -> AbstractContextManager[None]:
        return guard(partial(self._folder.open_lock, f"{_name(key)}.guard"))


def _name(key: str) -> str:
    # The line's name holds an email address, which no directory listing should show.
    return hashlib.sha256(key.encode()).hexdigest()
