"""Token records in the system's keyring: macOS Keychain, Windows Credential Manager, Secret Service, KWallet."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import frozen

from tallyfy_async.auth.stores.folder import PrivateFolder, state_directory
from tallyfy_async.auth.stores.locking import guard, hold
from tallyfy_async.auth.stores.record import from_bytes, to_bytes
from tallyfy_async.auth.stores.vault import SERVICE, Backend, Patience, Vault, require_keyring
from tallyfy_async.auth.token import Token
from tallyfy_async.errors import ConfigurationError, StoreCorruptError, StoreError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import Clock, SystemClock

T = TypeVar("T")

_LEAST_ROOM = 200
_MOST_PARTS = 10_000
_NEWER = "the keyring entry was written by a newer version of tallyfy_async: upgrade this one; the entry is kept"
_CORRUPT = "the keyring holds something that is not a token record: {}; it is kept as it is"


class KeyringStore:
    """Keeps records in the keyring of this user's desktop, which encrypts them.

    A record longer than an entry can be is split, and the entry that names its parts is written last, so that whoever
    is killed meanwhile leaves the old record readable. Where there is no keyring, where it is switched off or keeps
    plain text, methods raise StoreError: nothing is stored elsewhere instead.

    ``timeout`` is the longest wait for the keyring in seconds, which may be asking somebody to unlock it. Locks are the
    kernel's, on files in ``lock_directory`` (default: a directory of this user's state), mode 0700. ``backend`` is one
    of the package keyring in the place of the system's. ``room`` is how many characters an entry takes; by default
    1,200 but for backends known to take any number.
    Raises ConfigurationError for wrong arguments and missing packages (``pip install "tallyfy-async[keyring]"``).
    """

    def __init__(
        self,
        *,
        service: str = SERVICE,
        timeout: float = 10.0,
        lock_directory: str | os.PathLike[str] | None = None,
        backend: Backend | None = None,
        room: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._service, self._backend, self._room = service, backend, room
        if not service or timeout <= 0 or (room is not None and room < _LEAST_ROOM):
            msg = f"service must not be empty, timeout more than 0, and room at least {_LEAST_ROOM}"
            raise ConfigurationError(msg)
        require_keyring()
        self._clock: Clock = SystemClock() if clock is None else clock
        self._patience = Patience(timeout, self._clock)
        given = state_directory() / "keyring" if lock_directory is None else Path(lock_directory)
        self._locks = PrivateFolder(given.expanduser().absolute())

    def __repr__(self) -> str:
        return f"<KeyringStore {self._service}>"

    async def load(self, key: str) -> Token | None:
        """Return the record under ``key``, None where there is none.

        Raises StoreCorruptError for an entry that is no record; it is kept.
        """
        return await self._ask(partial(self._load, key))

    async def save(self, key: str, token: Token, *, expected: int | None) -> bool:
        """Write ``token``, if the stored generation is ``expected``; return whether it was.

        This is one step also between processes. A caller that is cancelled does not know whether it was done.
        """
        return await self._ask(partial(self._save, key, token, expected))

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None, None]:
        """Hold ``key``'s lock, which the kernel frees when the process dies; the caller bounds the wait."""
        async with hold(partial(self._locks.open_lock, f"{self._lock_name(key)}.lock"), self._clock):
            yield

    async def discard(self, key: str) -> None:
        """Delete whatever is under ``key``, so that the line can begin anew.

        For a user who has seen a StoreCorruptError and means to log in again: it is never done unasked.
        """
        await self._ask(partial(self._discard, key))

    async def _ask(self, work: Callable[[Vault], T]) -> T:
        return await self._patience.run(Vault(self._service, self._backend), work)

    def _guarded(self, key: str) -> AbstractContextManager[None]:
        return guard(partial(self._locks.open_lock, f"{self._lock_name(key)}.guard"))

    def _lock_name(self, key: str) -> str:
        return _name(f"{self._service}\0{key}")

    def _load(self, key: str, vault: Vault) -> Token | None:
        with self._guarded(key):  # a record in parts is read in several steps
            return _opened(key, vault, vault.get(_name(key)))

    def _save(self, key: str, token: Token, expected: int | None, vault: Vault) -> bool:
        name = _name(key)
        with self._guarded(key):
            head = vault.get(name)
            stored = _opened(key, vault, head)
            if (None if stored is None else stored.generation) != expected:
                return False
            text = Secret(to_bytes(key, token).decode())
            before = None if head is None else _index(head)
            room = vault.room() if self._room is None else self._room
            fits = room is None or len(text.reveal()) <= room
            vault.set(name, text if fits else _write_parts(vault, name, text, before, room or _LEAST_ROOM))
            if before is not None:
                with suppress(StoreError):  # what is left is cleared before its series is used again
                    _clear(vault, name, before.series)
            return True

    def _discard(self, key: str, vault: Vault) -> None:
        name = _name(key)
        with self._guarded(key):
            if vault.get(name) is not None:
                vault.delete(name)
            for series in _SERIES:
                _clear(vault, name, series)


@frozen
class _Index:
    """What the main entry of a record in parts says. Two series of parts take turns."""

    series: str
    parts: int
    digest: str


_SERIES = ("a", "b")


def _name(key: str) -> str:
    # The line's name holds an email address, and keyrings list the names of their entries.
    return hashlib.sha256(key.encode()).hexdigest()


def _part(name: str, series: str, number: int) -> str:
    return f"{name}.{series}.{number}"


def _digest(text: Secret) -> str:
    return hashlib.sha256(text.reveal().encode()).hexdigest()


def _opened(key: str, vault: Vault, head: Secret | None) -> Token | None:
    """Return the token of a main entry, which is a record or the index of one in parts."""
    if head is None:
        return None
    index = _index(head)
    text = head if index is None else _joined(vault, _name(key), index)
    return from_bytes(key, text.reveal().encode(errors="surrogatepass"))


def _index(head: Secret) -> _Index | None:
    """Return the index that an entry is; None for anything else, which is a record or corrupt as such."""
    try:
        document = json.loads(head.reveal())
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or "series" not in document:
        return None
    body = cast("dict[str, Any]", document)
    version = body.get("v")
    if type(version) is int and (version > 1 or body.keys() - {"v", "series", "parts", "sha256"}):
        raise StoreError(_NEWER)
    index = _Index(body["series"], body.get("parts", 0), body.get("sha256", ""))
    if version != 1 or index.series not in _SERIES or type(index.parts) is not int or index.parts not in _COUNTS:
        raise StoreCorruptError(_CORRUPT.format("a broken index"))
    return index


_COUNTS = range(1, _MOST_PARTS)


def _joined(vault: Vault, name: str, index: _Index) -> Secret:
    parts = [vault.get(_part(name, index.series, number)) for number in range(index.parts)]
    text = Secret("".join(part.reveal() for part in parts if part is not None))
    if None in parts or _digest(text) != index.digest:
        raise StoreCorruptError(_CORRUPT.format("parts are missing or changed"))
    return text


def _write_parts(vault: Vault, name: str, text: Secret, before: _Index | None, room: int) -> Secret:
    """Write the parts beside those in use; return the main entry that will name them."""
    series = _SERIES[1] if before is not None and before.series == _SERIES[0] else _SERIES[0]
    _clear(vault, name, series)
    parts = _split(text, room)
    for number, part in enumerate(parts):
        vault.set(_part(name, series, number), part)
    return Secret(json.dumps({"v": 1, "series": series, "parts": len(parts), "sha256": _digest(text)}))


def _split(text: Secret, room: int) -> list[Secret]:
    whole = text.reveal()
    return [Secret(whole[start : start + room]) for start in range(0, len(whole), room)]


def _clear(vault: Vault, name: str, series: str) -> None:
    """Delete a series from its end, so that no gap hides what is left if this is cut short."""
    found = next(number for number in count() if vault.get(_part(name, series, number)) is None)
    for number in reversed(range(found)):
        vault.delete(_part(name, series, number))
