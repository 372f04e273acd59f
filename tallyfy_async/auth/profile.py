"""What ``python -m tallyfy_async login`` leaves beside the token: where to, as whom, in which store. No secret."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from attrs import Attribute, asdict, field, fields_dict, frozen

from tallyfy_async.auth.logins import StoredLogin
from tallyfy_async.auth.oauth_client import filled, filled_or_none, to_masked
from tallyfy_async.auth.stores.folder import PrivateFolder, state_directory
from tallyfy_async.errors import ConfigurationError, StoreCorruptError, StoreError
from tallyfy_async.protocol.redaction import Secret

if TYPE_CHECKING:
    from tallyfy_async.auth.oauth_client import SecretSource
    from tallyfy_async.auth.stores import TokenStore
    from tallyfy_async.auth.stores.sealing import Keys

SECRET_VARIABLE = "TALLYFY_CLIENT_SECRET"  # noqa: S105 - its name, not the secret
DIRECTORY_VARIABLE = "TALLYFY_DIRECTORY"
_NAME = "profile.json"
_VERSION = 1
_LOG_IN = "python -m tallyfy_async login"

StoreKind = Literal["file", "keyring"]


def _store_kind(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value not in {"file", "keyring"}:
        msg = f"{attribute.name} must be file or keyring"
        raise ConfigurationError(msg)


def _flag(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if type(value) is not bool:
        msg = f"{attribute.name} must be true or false"
        raise ConfigurationError(msg)


@frozen(kw_only=True)
class Profile:
    """A stored login.

    Attributes:
        base_url: where the API lives.
        token_url: the token endpoint; with client, login and scope it names the line of tokens in the store.
        client_id: the client that logged in.
        confidential: whether the client has a secret, which is not stored.
        scope: the scopes asked for.
        login: name of the login in the store.
        organization: id of the organization that the user picked, None for none.
        store: ``file`` or ``keyring``.

    """

    base_url: str = field(validator=filled)
    token_url: str = field(validator=filled)
    client_id: str = field(validator=filled)
    confidential: bool = field(default=False, validator=_flag)
    scope: str | None = field(default="*", validator=filled_or_none)
    login: str = field(validator=filled)
    organization: str | None = field(default=None, validator=filled_or_none)
    store: StoreKind = field(validator=_store_kind)

    def grant(self, client_secret: SecretSource | None = None) -> StoredLogin:
        """Return the login as a grant.

        The secret of a confidential client comes from TALLYFY_CLIENT_SECRET if not given. Raises ConfigurationError
        where it is needed and missing.
        """
        if isinstance(client_secret, str):
            client_secret = to_masked(client_secret)
        if client_secret is None and self.confidential:
            client_secret = environment_secret()
            if client_secret is None:
                msg = f"client {self.client_id} has a secret: set {SECRET_VARIABLE}, or pass client_secret"
                raise ConfigurationError(msg)
        return StoredLogin(client_id=self.client_id, client_secret=client_secret, login=self.login, scope=self.scope)


def environment_secret() -> Secret | None:
    """Return the client secret that the environment gives, None for none."""
    return Secret(value) if (value := os.environ.get(SECRET_VARIABLE)) else None


def login_directory(directory: str | os.PathLike[str] | None = None) -> Path:
    """Return where profile and tokens are kept: as given, else TALLYFY_DIRECTORY, else the user's state directory."""
    given = directory if directory is not None else os.environ.get(DIRECTORY_VARIABLE) or state_directory()
    return Path(given).expanduser().absolute()


def open_store(
    kind: StoreKind, directory: str | os.PathLike[str] | None = None, keys: Keys | None = None
) -> TokenStore:
    """Return the token store of a login. Raises ConfigurationError where its packages or keys are missing."""
    place = login_directory(directory)
    if kind == "keyring":
        from tallyfy_async.auth.stores.keyring import KeyringStore  # noqa: PLC0415 - belongs to an extra

        return KeyringStore(lock_directory=place)
    from tallyfy_async.auth.stores.file import FileStore  # noqa: PLC0415 - belongs to an extra

    return FileStore(place, keys=keys)


def save_profile(profile: Profile, directory: str | os.PathLike[str] | None = None) -> Path:
    """Write the profile in one step, for this user alone (0600); return its path. Raises StoreError."""
    folder = PrivateFolder(login_directory(directory))
    text = json.dumps({"version": _VERSION, **asdict(profile)}, indent=2) + "\n"
    folder.write(_NAME, text.encode())
    return folder.path / _NAME


def remove_profile(directory: str | os.PathLike[str] | None = None) -> None:
    """Delete the profile; there need not be one. The tokens are the store's. Raises StoreError."""
    path = login_directory(directory) / _NAME
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        msg = f"could not delete {path}: {error.strerror or type(error).__name__}"
        raise StoreError(msg) from error


def has_profile(directory: str | os.PathLike[str] | None = None) -> bool:
    """Return whether a login is kept, without creating the directory. Raises StoreError where nobody can tell."""
    path = login_directory(directory) / _NAME
    try:
        return path.exists()
    except OSError as error:
        msg = f"could not look for {path}: {error.strerror or type(error).__name__}"
        raise StoreError(msg) from error


def load_profile(directory: str | os.PathLike[str] | None = None) -> Profile:
    """Return the profile of the last login.

    Raises ConfigurationError where nobody has logged in, StoreCorruptError for a file that is no profile, StoreError
    for one of a newer version and for a directory that is not this user's own.
    """
    folder = PrivateFolder(login_directory(directory))
    data = folder.read(_NAME)
    if data is None:
        msg = f"there is no login in {folder.path}: run {_LOG_IN}"
        raise ConfigurationError(msg)
    return _parsed(data, folder.path / _NAME)


def _parsed(data: bytes, path: Path) -> Profile:
    corrupt = StoreCorruptError(f"{path} is no profile of a login: run {_LOG_IN} again")
    try:
        found: object = json.loads(data)
    except ValueError:
        raise corrupt from None
    if not isinstance(found, dict):
        raise corrupt
    values = cast("dict[str, Any]", found)
    version = values.pop("version", None)
    if type(version) is not int or version < 1:
        raise corrupt
    if version > _VERSION or not values.keys() <= fields_dict(Profile).keys():
        msg = f"{path} was written by a newer version of tallyfy_async: upgrade this one"
        raise StoreError(msg)
    try:
        return Profile(**values)
    except (ConfigurationError, TypeError):
        raise corrupt from None


def login_settings(
    directory: str | os.PathLike[str] | None = None,
    *,
    client_secret: SecretSource | None = None,
    keys: Keys | None = None,
) -> dict[str, Any]:
    """Return the last login as arguments of TallyfyClient: auth, base_url, token_url, token_store, organization.

    ``client_secret`` comes from TALLYFY_CLIENT_SECRET and ``keys`` of the file store from TALLYFY_TOKEN_KEYS if not
    given. Raises what :func:`load_profile` and :func:`open_store` raise.
    """
    profile = load_profile(directory)
    return {
        "auth": profile.grant(client_secret),
        "base_url": profile.base_url,
        "token_url": profile.token_url,
        "token_store": open_store(profile.store, directory, keys),
        "organization": profile.organization,
    }
