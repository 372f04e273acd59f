"""The ways to a token: what each grant sends, and whether it can be repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import urlencode

from attrs import Attribute, field, frozen

from tallyfy_async.auth.token import Token
from tallyfy_async.errors import AuthError, ConfigurationError
from tallyfy_async.protocol.operation import Operation, Safety
from tallyfy_async.protocol.redaction import Secret

ASK_FOR_TOKEN = Operation(
    id="create_token",
    method="POST",
    path="/oauth/token",
    scopes="none",
    call="tallyfy_async.PasswordGrant",
    # Asking twice harms nobody: the first token is simply not used.
    safety=Safety.SAFE,
)
REFRESH_TOKEN = Operation(
    id="refresh_token",
    method="POST",
    path="/oauth/token/refresh",
    scopes="none",
    call="tallyfy_async.RefreshToken",
    safety=Safety.ANSWERED,
    confidence="documented",
)

Parameters = Mapping[str, str | Secret]
SecretSource = str | Secret | Callable[[], str | Secret]


@frozen(kw_only=True)
class TokenRequest:
    """One request to the token endpoint.

    Attributes:
        operation: :data:`ASK_FOR_TOKEN`, which may be repeated, or :data:`REFRESH_TOKEN`, which may not.
        headers: extra headers.
        content: the encoded body.
        content_type: how it is encoded.

    """

    operation: Operation
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    content: bytes = field(repr=False)
    content_type: str


class Grant(Protocol):
    """What the token manager asks of a way to a token."""

    name: ClassVar[str]
    """The grant's name, for messages."""

    @property
    def replay_refresh(self) -> bool:
        """Whether a refresh token whose answer was lost may be sent once more."""
        ...

    def identity(self) -> tuple[str, ...]:
        """Return what tells this grant's tokens from others, without secrets."""
        ...

    def ready(self, wall: float) -> Token | None:
        """Return the record that the grant starts with, possibly expired; None where there is none."""
        ...

    def first(self) -> TokenRequest | None:
        """Return the request that brings a token from nothing, None where there is none."""
        ...

    def refresh(self, token: Token) -> TokenRequest | None:
        """Return the request that renews ``token``, None where it cannot be renewed."""
        ...


def _masked(value: str | Secret) -> Secret:
    # What is no text passes, so that the validator can refuse it under the argument's name.
    return Secret(value) if isinstance(value, str) else value


def _secret_source(value: SecretSource) -> Secret | Callable[[], str | Secret]:
    return value if callable(value) else _masked(value)


def _is_filled(value: Any) -> bool:
    """Whether a value is a text that is not empty and that UTF-8 can carry; it stays out of the caller's variables."""
    text = value.reveal() if isinstance(value, Secret) else value
    return isinstance(text, str) and bool(text.strip()) and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _fits_header(value: Secret) -> bool:
    text = value.reveal()
    return bool(text) and all("!" <= letter <= "~" for letter in text)


def _fingerprint(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()[:16]


def _filled(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if not callable(value) and not _is_filled(value):
        msg = f"{attribute.name} must be a text that is not empty"
        raise ConfigurationError(msg)


def _filled_or_none(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        _filled(instance, attribute, value)


def _is_token(_instance: Any, _attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Secret) or not _fits_header(value):
        msg = "the personal access token is empty or holds white space: copy it again from Tallyfy's settings"
        raise ConfigurationError(msg)


def _one_of(*words: str) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if value not in words:
            msg = f"{attribute.name} must be one of {', '.join(words)}"
            raise ConfigurationError(msg)

    return check


@frozen(kw_only=True)
class OAuthClient:
    """What every grant of a registered client shares.

    Attributes:
        client_id: given by Tallyfy's support.
        client_secret: a text, or a callable that returns the current one where secrets are rotated.
        scope: scopes to ask for, ``*`` for all, None to leave the parameter out. A refresh never carries one.
        encoding: body of the token request: ``form`` (seeds 001 and 002) or ``json`` (seed 000).
        client_auth: where id and secret travel: in the ``body`` (seeds 001, 002) or as ``headers`` (seed 000).
        replay_refresh: send a refresh token once more when the answer to it was lost. Only for servers that grant a
            grace time for rotated refresh tokens; others take a second use for theft.

    """

    name: ClassVar[str] = "refresh_token"

    client_id: str = field(validator=_filled)
    client_secret: Secret | Callable[[], str | Secret] = field(converter=_secret_source, validator=_filled)
    scope: str | None = field(default="*", validator=_filled_or_none)
    encoding: Literal["form", "json"] = field(default="form", validator=_one_of("form", "json"))
    client_auth: Literal["body", "headers"] = field(default="body", validator=_one_of("body", "headers"))
    replay_refresh: bool = False

    def identity(self) -> tuple[str, ...]:
        """Return client, grant, user and scope."""
        return self.client_id, self.name, self._user(), self.scope or ""

    def ready(self, wall: float) -> Token | None:
        """Return None: there is no token before the first request."""
        del wall
        return None

    def first(self) -> TokenRequest | None:
        """Return the request for a token from nothing, None where the grant cannot ask for one."""
        return None

    def refresh(self, token: Token) -> TokenRequest | None:
        """Return the refresh request, without a scope; None where the token has no refresh token."""
        if token.refresh_token is None:
            return None
        form: Parameters = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
        return self._request(REFRESH_TOKEN, form)

    def _user(self) -> str:
        return ""

    def _grant(self, parameters: Parameters) -> TokenRequest:
        scope: Parameters = {} if self.scope is None else {"scope": self.scope}
        body: Parameters = {"grant_type": self.name, **parameters, **scope}
        return self._request(ASK_FOR_TOKEN, body)

    def _request(self, operation: Operation, parameters: Parameters) -> TokenRequest:
        client: Parameters = {"client_id": self.client_id, "client_secret": self._current_secret()}
        in_body = self.client_auth == "body"
        if not in_body and not all(_fits_header(Secret.of(value)) for value in client.values()):
            msg = 'client_id and client_secret must be printable ASCII without spaces where client_auth is "headers"'
            raise ConfigurationError(msg)
        return TokenRequest(
            operation=operation,
            headers=() if in_body else tuple(_revealed(client).items()),
            content=_encode({**parameters, **client} if in_body else parameters, self.encoding),
            content_type="application/json" if self.encoding == "json" else "application/x-www-form-urlencoded",
        )

    def _current_secret(self) -> Secret:
        if not callable(self.client_secret):
            return self.client_secret
        try:
            secret = _masked(self.client_secret())
        except Exception as error:  # noqa: BLE001 - whatever a secret manager raises
            msg = f"client_secret could not be had: the callable raised {type(error).__name__}"
            raise AuthError(msg) from error.with_traceback(None)
        if not _is_filled(secret):
            msg = "client_secret must be a text that is not empty, also where a callable returns it"
            raise ConfigurationError(msg)
        return secret


def _revealed(parameters: Parameters) -> dict[str, str]:
    return {name: Secret.of(value).reveal() for name, value in parameters.items()}


def _encode(parameters: Parameters, encoding: str) -> bytes:
    clear = _revealed(parameters)
    return (json.dumps(clear) if encoding == "json" else urlencode(clear)).encode()


@frozen(kw_only=True)
class PasswordGrant(OAuthClient):
    """The password grant: a token with the full rights of a user (seed 002).

    Attributes:
        username: the user's email address.
        password: the user's password.

    """

    name: ClassVar[str] = "password"

    username: str = field(validator=_filled)
    password: Secret = field(converter=_masked, validator=_filled)

    def first(self) -> TokenRequest:
        """Return the login."""
        return self._grant({"username": self.username, "password": self.password})

    def _user(self) -> str:
        return self.username


@frozen(kw_only=True)
class ClientCredentials(OAuthClient):
    """The client credentials grant: an application token (seed 001). Most operations need a user token instead."""

    name: ClassVar[str] = "client_credentials"

    def first(self) -> TokenRequest:
        """Return the request for an application token."""
        return self._grant({})


@frozen(kw_only=True)
class RefreshToken(OAuthClient):
    """A refresh token from an earlier login.

    It is the start of the line only: servers rotate refresh tokens, so keep a token store to survive a restart.
    """

    refresh_token: Secret = field(converter=_masked, validator=_filled)

    def ready(self, wall: float) -> Token:
        """Return an expired record that holds the refresh token, as if it had been read from a store."""
        return Token(
            access_token="none yet",  # noqa: S106 - expired, so it is never sent
            refresh_token=self.refresh_token,
            issued_at=wall,
            lifetime=0.0,
            generation=0,
        )

    def _user(self) -> str:
        return _fingerprint(self.refresh_token)


@frozen
class StaticToken:
    """A personal access token from Settings > Integrations > REST API (seed 002); it dies when its user logs out.

    Raises ConfigurationError for an empty text or one with white space.
    """

    token: Secret = field(converter=_masked, validator=_is_token)

    name: ClassVar[str] = "personal"

    @property
    def replay_refresh(self) -> bool:
        """False: there is no refresh token."""
        return False

    def identity(self) -> tuple[str, ...]:
        """Return the kind and a fingerprint of the token."""
        return "", self.name, _fingerprint(self.token), ""

    def ready(self, wall: float) -> Token:
        """Return the token, whose life is unknown."""
        return Token(access_token=self.token, issued_at=wall)

    def first(self) -> None:
        """Return None: nothing can be asked for."""

    def refresh(self, token: Token) -> None:
        """Return None: a personal token is not renewed."""
