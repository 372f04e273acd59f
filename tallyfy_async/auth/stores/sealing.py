"""Encryption of token records at rest: Fernet of the package ``cryptography``, under keys that can be rotated."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, SupportsIndex

from tallyfy_async.auth.stores.record import attempt, to_bytes
from tallyfy_async.auth.token import Token
from tallyfy_async.errors import ConfigurationError, StoreCorruptError, StoreError
from tallyfy_async.protocol.redaction import Secret

if TYPE_CHECKING:
    from cryptography.fernet import Fernet, MultiFernet

ENVIRONMENT_VARIABLE: Final = "TALLYFY_TOKEN_KEYS"
"""Where keys come from that are not given as an argument; several are separated by commas."""

Key = str | bytes | Secret
Keys = Key | Sequence[Key]

_HOW = (
    'make one with `python -c "import tallyfy_async; print(tallyfy_async.generate_key())"` and keep it apart from '
    f"the tokens; pass it as keys=… or in the environment variable {ENVIRONMENT_VARIABLE}"
)
_MISSING = f"tokens are stored encrypted only, and there is no key: {_HOW}"
_SHUT = (
    "the stored token record cannot be decrypted: it was changed or cut, or its key is none of those given "
    f"(keys=… or {ENVIRONMENT_VARIABLE}). It is kept as it is"
)


def generate_key() -> str:
    """Return a new key for encrypted token stores: 32 random bytes in URL-safe base64, as Fernet takes them."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


class Sealer:
    """Encrypts records under the first of its keys and decrypts under any, so that keys can be rotated.

    ``keys`` are what :func:`generate_key` returns. To rotate, put a new key first and keep the old one behind it until
    every record has been written again. Raises ConfigurationError for no key, for one that is no key, and where the
    package ``cryptography`` is missing.
    """

    __slots__ = ("_count", "_fernet")

    def __init__(self, keys: Sequence[Key]) -> None:
        keys = secret = masked(keys)
        self._count = len(secret)
        self._fernet: MultiFernet = _fernet(secret)

    @classmethod
    def of(cls, keys: Keys | Sealer | None) -> Sealer:
        """Return a sealer with the keys given.

        A text may hold several, separated by commas. None reads the environment variable TALLYFY_TOKEN_KEYS, and
        ``"keyring"`` the system's keyring, where a key is made if there is none yet; that may wait up to 10 s for the
        keyring. Raises ConfigurationError as above, StoreError for a keyring that does not answer.
        """
        given, keys = masked(keys), None
        if isinstance(given, Sealer):
            return given
        if given is None:
            return cls(_several(Secret(os.environ.get(ENVIRONMENT_VARIABLE, ""))))
        return cls(_several(_from_keyring()) if given == "keyring" else given)

    def __repr__(self) -> str:
        return f"<Sealer {self._count} {'key' if self._count == 1 else 'keys'}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        msg = "a Sealer is not pickled, because a pickle holds its keys in the clear"
        raise TypeError(msg)

    def seal(self, key: str, token: Token) -> bytes:
        """Return the encrypted record of ``token`` in the line ``key``, as ASCII text.

        Raises StoreError for a record that could not be read back.
        """
        return self._fernet.encrypt(to_bytes(key, token))

    def open(self, key: str, data: bytes) -> Token:
        """Return the token of an encrypted record.

        Raises StoreCorruptError for one that was changed, was encrypted under another key or belongs to another line;
        StoreError for one of a newer version.
        """
        found = self.attempt(key, data)
        del data  # tracebacks show local variables, and what lies there may be somebody's plain token
        if isinstance(found, Token):
            return found
        raise found

    def attempt(self, key: str, data: bytes) -> Token | StoreError:
        """Return the token, or the error that :meth:`open` raises, for callers whose variables hold the record."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - belongs to the extra

        try:
            return attempt(key, self._fernet.decrypt(data)) if _is_canonical(data) else StoreCorruptError(_SHUT)
        except InvalidToken:
            return StoreCorruptError(_SHUT)


def _is_canonical(data: bytes) -> bool:
    """Whether the base64 is the one spelling of its bytes: Fernet itself skips foreign letters and spare bits."""
    try:
        return base64.urlsafe_b64encode(base64.b64decode(data, altchars=b"-_", validate=True)) == data
    except binascii.Error:
        return False


def masked(keys: Keys | Sealer | None) -> Any:
    """Return keys so that no traceback shows them, to be called where they come in; nothing is checked here.

    A text may hold several, separated by commas.
    """
    if isinstance(keys, str | bytes | Secret):
        return keys if keys == "keyring" else _several(_secret(keys))
    return keys if keys is None or isinstance(keys, Sealer) else [_secret(key) for key in keys]


def _several(keys: Secret) -> list[Secret]:
    return [Secret(part.strip()) for part in keys.reveal().split(",") if part.strip()]


def _from_keyring() -> Secret:
    from tallyfy_async.auth.stores.vault import shared_key  # noqa: PLC0415 - lazy: most keys come from elsewhere

    return shared_key(generate_key)


def _secret(key: object) -> Secret:
    if isinstance(key, bytes):
        return Secret(key.decode("ascii", "replace"))
    # What is no text is no key: it is refused as such, by its place.
    return Secret.of(key) if isinstance(key, str | Secret) else Secret("")


def _fernet(keys: Sequence[Secret]) -> MultiFernet:
    if not keys:
        raise ConfigurationError(_MISSING)
    try:
        from cryptography.fernet import MultiFernet  # noqa: PLC0415 - belongs to the extra
    except ImportError:
        msg = 'encrypted token stores need the package cryptography: pip install "tallyfy-async[file]" or "[redis]"'
        raise ConfigurationError(msg) from None
    made = [_one_fernet(key) for key in keys]
    fernets = [one for one in made if one is not None]
    if len(fernets) == len(made):
        return MultiFernet(fernets)
    msg = f"key {made.index(None) + 1} of the token store is no key: {_HOW}"
    raise ConfigurationError(msg)


def _one_fernet(key: Secret) -> Fernet | None:
    from cryptography.fernet import Fernet  # noqa: PLC0415 - belongs to the extra

    try:
        return Fernet(key.reveal())
    except ValueError:
        return None
