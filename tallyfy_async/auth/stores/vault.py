"""The system's keyring behind deadlines: a prompt that nobody answers holds up neither the event loop nor the exit.

Values are Secrets on every way in and out, because tracebacks show local variables; of what a backend raises, the kind
is told and nothing else.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar, cast

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token
from attrs import define, field

from tallyfy_async.auth.stores.folder import PrivateFolder, state_directory
from tallyfy_async.auth.stores.locking import guard, require_locks
from tallyfy_async.errors import ConfigurationError, StoreError
from tallyfy_async.protocol.redaction import Secret
from tallyfy_async.transport.clock import Clock

T = TypeVar("T")

SERVICE: Final = "tallyfy_async"
_KEY_ENTRY = "token-keys"
_KEY_SECONDS = 10.0
_MOST_STUCK = 4

# Backends that take a record in one entry. Any other may be Windows' or like it: 2,560 bytes of UTF-16.
_ROOMY = {f"keyring.backends.{name}" for name in ("SecretService", "kwallet", "libsecret", "macOS")}
_SMALL_ENTRY = 1200
_NONE = (
    "there is no usable keyring on this system ({}): install or unlock one, or use FileStore or RedisStore with keys; "
    "tokens are not stored in the clear"
)
_STUCK = "the keyring does not answer: it may be waiting for somebody to unlock it"


class Backend(Protocol):
    """What is asked of a backend of the package keyring."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return an entry, None where there is none."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write an entry."""
        ...

    def delete_password(self, service: str, username: str) -> None:
        """Delete an entry."""
        ...


def require_keyring() -> None:
    """Raise ConfigurationError where a package of the extra ``keyring`` is missing."""
    try:
        importlib.import_module("keyring")
    except ImportError:
        msg = 'the keyring is used through the package keyring: pip install "tallyfy-async[keyring]"'
        raise ConfigurationError(msg) from None
    require_locks("keyring")


@define(eq=False)
class Vault:
    """The entries of one service, for one task. Every method blocks and raises StoreError.

    Attributes:
        service: under which name the entries are kept.
        backend: of the package keyring, None for the system's.
        given_up: set when nobody waits any more: what is under way ends, and nothing further is begun.

    """

    service: str
    backend: Backend | None = None
    given_up: threading.Event = field(factory=threading.Event)

    def get(self, name: str) -> Secret | None:
        """Return an entry, None where there is none."""

        def read(backend: Backend) -> Secret | None:
            return None if (found := backend.get_password(self.service, name)) is None else Secret(found)

        return self._ask(read)

    def set(self, name: str, value: Secret) -> None:
        """Write an entry."""
        self._ask(lambda backend: backend.set_password(self.service, name, value.reveal()))

    def delete(self, name: str) -> None:
        """Delete an entry that is there."""
        self._ask(lambda backend: backend.delete_password(self.service, name))

    def room(self) -> int | None:
        """Return how many characters an entry holds, None for any number."""
        return self._ask(lambda backend: None if type(backend).__module__ in _ROOMY else _SMALL_ENTRY)

    def _ask(self, call: Callable[[Backend], T]) -> T:
        if self.given_up.is_set():
            raise StoreError(_STUCK)
        try:
            return call(_usable(self.backend))
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - backends raise what their platform does
            failure = StoreError(_told(error))
        raise failure  # here, because the backend's own frames hold the value


def _usable(backend: Backend | None) -> Backend:
    import keyring  # noqa: PLC0415 - belongs to the extra

    found = cast("Backend", keyring.get_keyring()) if backend is None else backend
    chained: list[object] = list(getattr(found, "backends", ()))
    if type(found).__module__ == "keyring.backends.chainer" and not chained:
        raise StoreError(_NONE.format("none found"))
    for one in (found, *chained):
        kinds = [f"{kind.__module__}.{kind.__name__}" for kind in type(one).__mro__]
        if any(kind.startswith(("keyring.backends.fail.", "keyring.backends.null.")) for kind in kinds):
            raise StoreError(_NONE.format("none found, or switched off"))
        if any("plaintext" in kind.lower() for kind in kinds):
            raise StoreError(_NONE.format("only one that keeps plain text"))
    return found


def _told(error: Exception) -> str:
    kind = type(error).__name__
    if kind == "NoKeyringError":
        return _NONE.format("none found")
    if kind in {"KeyringLocked", "InitError"}:
        return "the keyring is locked, or could not be opened: unlock it and try again"
    return f"the keyring failed: {kind}"


@define(eq=False)
class _Errand(Generic[T]):
    """Work for a thread that nobody has to wait for, the interpreter's exit included."""

    work: Callable[[], T]
    _outcome: list[T] = field(factory=list[T], init=False)
    _error: Exception | None = field(default=None, init=False)
    done: bool = field(default=False, init=False)

    def start(self, wake: Callable[[], object]) -> None:
        def run() -> None:
            try:
                self._outcome.append(self.work())
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                self._error = error
            self.done = True
            with suppress(RuntimeError):  # the event loop may be gone
                wake()

        threading.Thread(target=run, name="tallyfy_async keyring", daemon=True).start()

    def take(self) -> T:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self._outcome.pop()


@define(eq=False)
class Patience:
    """Runs work on vaults in threads, each for ``seconds`` at most; few are left behind that never end."""

    seconds: float
    clock: Clock
    _left: list[_Errand[Any]] = field(factory=list[_Errand[Any]], init=False)

    async def run(self, vault: Vault, work: Callable[[Vault], T]) -> T:
        """Return what ``work`` returns; raise StoreError after the deadline, from which on the vault is given up."""
        self._left = [errand for errand in self._left if not errand.done]
        if len(self._left) >= _MOST_STUCK:
            raise StoreError(_STUCK)
        answered, token = anyio.Event(), current_token()
        errand = _Errand(partial(work, vault))

        def wake() -> None:
            # Nobody may be left to wake: a loop that has ended would keep this thread waiting for ever.
            if not vault.given_up.is_set():
                from_thread.run_sync(answered.set, token=token)

        errand.start(wake)
        try:
            with self.clock.timeout(self.seconds):
                await answered.wait()
        finally:
            if not errand.done:
                vault.given_up.set()
                self._left.append(errand)
        if not errand.done:
            raise StoreError(_STUCK)
        return errand.take()


def shared_key(make: Callable[[], str]) -> Secret:
    """Return this user's key for encrypted stores from the system's keyring; where there is none, make and keep one.

    Raises ConfigurationError where packages are missing, StoreError where the keyring does not answer within 10 s.
    """
    require_keyring()
    vault, answered = Vault(SERVICE), threading.Event()
    errand = _Errand(partial(_shared_key, vault, make))
    errand.start(answered.set)
    if not answered.wait(_KEY_SECONDS):
        vault.given_up.set()
        raise StoreError(_STUCK)
    return errand.take()


def _shared_key(vault: Vault, make: Callable[[], str]) -> Secret:
    with guard(partial(PrivateFolder(state_directory()).open_lock, f"{_KEY_ENTRY}.guard")):
        found = vault.get(_KEY_ENTRY)
        if found is not None:
            return found
        made = Secret(make())
        vault.set(_KEY_ENTRY, made)
        if vault.get(_KEY_ENTRY) == made:
            return made
    msg = "the keyring did not keep the new key: nothing is encrypted under it"
    raise StoreError(msg)
