"""The ways to a token that need no browser: what each grant sends, and whether it can be repeated."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import Attribute, field, frozen

from tallyfy_async.auth.oauth_client import (
    Grant,
    OAuthClient,
    TokenRequest,
    filled,
    fingerprint,
    fits_header,
    to_masked,
)
from tallyfy_async.auth.token import Token
from tallyfy_async.errors import ConfigurationError
from tallyfy_async.protocol.redaction import Secret


@frozen(kw_only=True)
class PasswordGrant(OAuthClient):
    """The password grant: a token with the full rights of a user (seed 002).

    Attributes:
        username: the user's email address.
        password: the user's password.

    """

    name: ClassVar[str] = "password"

    username: str = field(validator=filled)
    password: Secret = field(converter=to_masked, validator=filled)

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

    may_be_public: ClassVar[bool] = True

    refresh_token: Secret = field(converter=to_masked, validator=filled)

    def ready(self, wall: float) -> Token:
        """Return an expired record that holds the refresh token, as if it had been read from a store."""
        return Token.to_trade_in(self.refresh_token, wall)

    def _user(self) -> str:
        return fingerprint(self.refresh_token)


def _is_token(_instance: Any, _attribute: Attribute[Any], value: Any) -> None:
    if not fits_header(value):
        msg = "the personal access token is empty or holds white space: copy it again from Tallyfy's settings"
        raise ConfigurationError(msg)


@frozen
class StaticToken(Grant):
    """A personal access token from Settings > Integrations > REST API (seed 002); it dies when its user logs out.

    Raises ConfigurationError for an empty text or one with white space.
    """

    token: Secret = field(converter=to_masked, validator=_is_token)

    name: ClassVar[str] = "personal"
    renewable: ClassVar[bool] = False

    def identity(self) -> tuple[str, ...]:
        """Return the kind and a fingerprint of the token."""
        return "", self.name, fingerprint(self.token), "", ""

    def ready(self, wall: float) -> Token:
        """Return the token, whose life is unknown."""
        return Token(access_token=self.token, issued_at=wall)
